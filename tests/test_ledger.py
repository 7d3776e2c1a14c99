"""The ledger: sums, shares and money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.ledger import Charge, Label, Ledger
from autotune.testing.ledgers import LedgerContract


class TestLedger(LedgerContract):
    @pytest.fixture(params=[{}, {Label.TRAIN: Charge(3.0, 1.0)}, dict.fromkeys(Label, Charge(1.0, 0.5))])
    def ledger(self, request):
        return Ledger(request.param)


charges = st.builds(Charge, st.integers(0, 10**6).map(float), st.integers(0, 10**6).map(float))
ledgers = st.dictionaries(st.sampled_from(list(Label)), charges).map(Ledger)


@given(ledgers, ledgers)
def test_adding_adds_every_label(a, b):
    total = a + b
    for label in Label:
        assert total[label] == a[label] + b[label]
    assert total.total == a.total + b.total


@given(ledgers, ledgers)
def test_taking_away_undoes_adding_and_owes_nothing(a, b):
    assert {label: ((a + b) - b)[label] for label in Label} == {label: a[label] for label in Label}
    assert (a - (a + b)).charges == {}


@given(ledgers)
def test_what_is_shared_and_what_is_own_make_the_whole(ledger):
    shared = Ledger({Label.SHARED: ledger[Label.SHARED]} if Label.SHARED in ledger.charges else {})
    assert ledger.own + shared == Ledger({k: ledger[k] for k in Label if k in ledger.charges})
    assert ledger.own[Label.SHARED] == Charge()


@given(ledgers)
def test_json_round_trip(ledger):
    assert Ledger.from_json(ledger.to_json()) == ledger


def test_units():
    ledger = Ledger({Label.TRAIN: Charge(30.0, 1800.0), Label.SCORE: Charge(10.0, 1800.0)})
    assert ledger.epochs(reference_flops=20.0) == 2.0
    assert ledger.money(price_per_hour=3.0) == 3.0
