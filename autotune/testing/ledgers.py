"""The contract of a ledger, as a suite to subclass."""

from __future__ import annotations

import json

import pytest

from autotune.ledger import Label, Ledger


class LedgerContract:
    """Subclass it, and override `ledger`."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        raise NotImplementedError("override the fixture `ledger`")

    def test_nothing_is_negative_and_every_label_has_an_answer(self, ledger: Ledger) -> None:
        for label in Label:
            assert ledger[label].flops >= 0
            assert ledger[label].seconds >= 0

    def test_the_total_is_the_sum_of_the_labels(self, ledger: Ledger) -> None:
        assert ledger.total.flops == pytest.approx(sum(ledger[label].flops for label in Label))
        assert ledger.total.seconds == pytest.approx(sum(ledger[label].seconds for label in Label))

    def test_adding_nothing_changes_nothing(self, ledger: Ledger) -> None:
        assert (
            ledger + Ledger()
            == Ledger() + ledger
            == Ledger({k: ledger[k] for k in Label if k in ledger.charges})
        )

    def test_twice_as_much_costs_twice_as_much(self, ledger: Ledger) -> None:
        twice = ledger + ledger
        assert twice.epochs(7.0) == pytest.approx(2 * ledger.epochs(7.0))
        assert twice.money(3.0) == pytest.approx(2 * ledger.money(3.0))

    def test_it_survives_json(self, ledger: Ledger) -> None:
        assert Ledger.from_json(json.loads(json.dumps(ledger.to_json(), allow_nan=False))) == ledger
