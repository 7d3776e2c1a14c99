"""The contract of a selector, as a suite to subclass.

```python
class TestMine(SelectorContract):
    @pytest.fixture
    def selector(self) -> Mine:
        return Mine(strength=0.5)
```
"""

from __future__ import annotations

import copy
import dataclasses
import math
import random
from typing import Any

import numpy as np
import pytest
import torch

from autotune.errors import SelectorError
from autotune.selection import Selector, Size, Subset, make_selector, selector_name
from autotune.signals import Reading, Signal, Signals
from autotune.testing.signals import KINDS, degenerate, random_readings, some_ids


def draw(selector: Selector, signals: Signals, budget: int, seed: int = 0) -> Subset:
    """Select with a generator of this seed."""
    return selector.select(signals, budget, torch.Generator().manual_seed(seed))


def same(one: Subset, other: Subset) -> bool:
    """Whether two subsets are equal, order included."""
    return torch.equal(one.ids, other.ids) and torch.equal(one.weights, other.weights)


class SelectorContract:
    """Subclass it, and override `selector`; override `budgets` where a rule cannot meet them all."""

    @pytest.fixture
    def selector(self) -> Selector:
        raise NotImplementedError

    def budgets(self, n: int) -> list[int]:
        """Budgets to try with n candidates."""
        return sorted({1, max(1, n // 3), max(1, n - 1), n})

    def check(self, subset: Subset, signals: Signals, budget: int, selector: Selector) -> None:
        """Candidates of the declared size, distinct unless drawn with replacement, with weights of mean 1."""
        if selector.size is Size.EXACT:
            assert len(subset) == budget
        assert selector.replacement or len(set(subset.ids.tolist())) == len(subset)
        assert set(subset.ids.tolist()) <= set(signals.ids.tolist())
        assert subset.ids.dtype == torch.int64
        assert subset.weights.dtype == torch.float32
        assert subset.weights.shape == (len(subset),)
        assert bool(torch.isfinite(subset.weights).all())
        assert bool((subset.weights >= 0).all())
        assert math.isclose(float(subset.weights.double().mean()), 1.0, rel_tol=1e-5)

    @pytest.mark.parametrize("n", [1, 2, 3, 30, 2000])
    def test_size_ids_and_weights_are_as_declared(self, selector: Selector, n: int) -> None:
        signals = Signals(some_ids(n), random_readings(selector.needs, n))
        for budget in self.budgets(n):
            self.check(draw(selector, signals, budget), signals, budget, selector)

    def test_a_nested_order_has_prefixes(self, selector: Selector) -> None:
        if not selector.nested:
            pytest.skip("it claims nothing")
        signals = Signals(some_ids(40), random_readings(selector.needs, 40))
        whole = draw(selector, signals, 39).ids
        for budget in self.budgets(39)[:-1]:
            subset = draw(selector, signals, budget)
            assert torch.equal(subset.ids, whole[:budget])
            assert bool((subset.weights == 1).all())

    def test_an_expected_size_is_met_on_average(self, selector: Selector) -> None:
        if selector.size is not Size.EXPECTED:
            pytest.skip("its size is exact")
        signals = Signals(some_ids(200), random_readings(selector.needs, 200))
        for budget in self.budgets(200):
            sizes = [len(draw(selector, signals, budget, seed)) for seed in range(200)]
            assert abs(np.mean(sizes) - budget) <= 5 * np.std(sizes) / math.sqrt(len(sizes)) + 1e-9

    def test_the_generator_alone_decides(self, selector: Selector) -> None:
        signals = Signals(some_ids(40), random_readings(selector.needs, 40))
        budget = self.budgets(40)[-2:][0]
        subsets = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002  # the global state is what is tested
            random.seed(seed)
            before = (torch.get_rng_state(), _numpy_state(), random.getstate())
            subsets.append(draw(selector, signals, budget))
            assert torch.equal(torch.get_rng_state(), before[0])
            assert (_numpy_state(), random.getstate()) == before[1:]
        assert same(*subsets)

    def test_the_order_of_candidates_never_matters(self, selector: Selector) -> None:
        n, ids = 40, some_ids(40)
        readings = random_readings(selector.needs, n)
        for kind in ("random", *KINDS):
            given = degenerate(readings, kind)
            shuffle = torch.randperm(n, generator=torch.Generator().manual_seed(5))
            moved = {s: r if s.of_target_split else r.take(shuffle) for s, r in given.items()}
            for budget in self.budgets(n):
                one = draw(selector, Signals(ids, given), budget)
                assert same(one, draw(selector, Signals(ids[shuffle], moved), budget)), kind

    def test_only_declared_signals_are_read(self, selector: Selector) -> None:
        n, ids = 40, some_ids(40)
        everything = random_readings(list(Signal), n)
        declared = {signal: everything[signal] for signal in selector.needs}
        for budget in self.budgets(n):
            narrow = draw(selector, Signals(ids, declared), budget)
            assert same(narrow, draw(selector, Signals(ids, everything), budget))

    def test_a_value_that_is_not_covered_is_never_read(self, selector: Selector) -> None:
        n, ids = 40, some_ids(40)
        one = degenerate(random_readings(selector.needs, n), "half uncovered")
        other = {
            signal: Reading(_with(reading, -3), reading.age, reading.covered)
            for signal, reading in one.items()
        }
        for budget in self.budgets(n):
            assert same(
                draw(selector, Signals(ids, one), budget), draw(selector, Signals(ids, other), budget)
            )

    def test_signals_are_not_changed(self, selector: Selector) -> None:
        signals = Signals(some_ids(40), random_readings(selector.needs, 40))
        before = copy.deepcopy(signals)
        for budget in self.budgets(40):
            draw(selector, signals, budget)
        assert torch.equal(signals.ids, before.ids)
        for signal in signals:
            for field in ("values", "age", "covered"):
                now, then = (getattr(which.reading(signal), field) for which in (signals, before))
                torch.testing.assert_close(now, then, rtol=0, atol=0, equal_nan=True, msg=f"{signal} {field}")

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("n", [1, 3, 30])
    def test_degenerate_signals_are_survived(self, selector: Selector, kind: str, n: int) -> None:
        signals = Signals(some_ids(n), degenerate(random_readings(selector.needs, n), kind))
        for budget in self.budgets(n):
            self.check(draw(selector, signals, budget), signals, budget, selector)

    @pytest.mark.parametrize("kind", ["random", "equal", "nan sample", "half uncovered"])
    @pytest.mark.parametrize("n", [3, 7])
    def test_a_claim_of_no_bias_holds(self, selector: Selector, kind: str, n: int) -> None:
        if not selector.unbiased:
            pytest.skip("it claims nothing")
        signals = Signals(torch.arange(n), degenerate(random_readings(selector.needs, n), kind))
        draws = 600
        for budget in self.budgets(n):
            weights = torch.zeros(draws, n, dtype=torch.float64)
            generator = torch.Generator().manual_seed(0)
            for row in weights:
                subset = selector.select(signals, budget, generator)
                row.index_add_(0, subset.ids, subset.weights.double())
            error = (weights.mean(0) - budget / n).abs()
            assert bool((error <= 5 * weights.std(0) / math.sqrt(draws) + 1e-6).all()), (budget, error)

    def test_the_cost_is_declared(self, selector: Selector) -> None:
        costs = [selector.cost(n, 10, 16) for n in (10, 11, 100, 10_000)]
        assert all(math.isfinite(cost) and cost >= 0 for cost in costs)
        assert costs == sorted(costs)
        assert costs[0] == selector.cost(10, 10, 16)

    def test_it_is_a_value_known_by_name(self, selector: Selector) -> None:
        fields = _fields(selector)
        again = make_selector(selector_name(selector), **fields)
        assert again == selector
        assert hash(again) == hash(selector)
        for name, value in fields.items():
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(selector, name, value)

    def test_its_numbers_are_checked(self, selector: Selector) -> None:
        for name, value in _fields(selector).items():
            for bad in (math.nan, math.inf) if isinstance(value, float) else ():
                with pytest.raises(SelectorError, match=name):
                    make_selector(selector_name(selector), **{**_fields(selector), name: bad})


def _with(reading: Reading, value: float) -> torch.Tensor:
    """The values, with this one where a sample is not covered."""
    values = reading.values.clone()
    values[~reading.covered] = value
    return values


def _fields(selector: Selector) -> dict[str, Any]:
    """Its hyperparameters, by name."""
    fields = dataclasses.fields(selector)  # type: ignore[arg-type]  # all are dataclasses
    return {field.name: getattr(selector, field.name) for field in fields if field.init}


def _numpy_state() -> tuple[str, bytes, int]:
    """The part of numpy's global state that a draw changes, comparable."""
    state: Any = np.random.get_state()  # noqa: NPY002  # the global state is what is tested
    return state[0], state[1].tobytes(), state[2]
