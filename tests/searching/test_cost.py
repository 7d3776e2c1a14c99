"""Proposals weighted by cost: the contract, that cheap ones come more often, and that this wears off."""

import math
import statistics

import numpy as np
import pytest

from autotune.errors import ConfigurationError
from autotune.events import Assigned, Failed, Opened, Proposed, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.searching import GridSearch, RandomSearch
from autotune.searching.cost import LEAST, CostAware, features_of, fitted
from autotune.space import Choice, Float, Int, SearchSpace
from autotune.testing.searchers import SPACE, SearcherContract


class TestCostAware(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return CostAware(RandomSearch(), candidates=3)


WIDTHS = SearchSpace({"width": Int(4, 256, log=True), "lr": Float(0.0, 1.0)})


def after(trials, epochs=math.inf):
    """The state after so many trials of one epoch each, whose cost is their width."""
    searcher = CostAware(RandomSearch())
    state = searcher.initial(WIDTHS)
    budget = {} if math.isinf(epochs) else {"epochs": epochs}
    state = searcher.apply(state, Opened({"reference_flops": 32.0, "plan": {"budget": budget}}))
    drawing = np.random.default_rng(0)
    for trial in range(trials):
        config = WIDTHS.sample(drawing)
        ledger = Ledger({Label.TRAIN: Charge(float(config["width"]), 1.0)})
        for event in (
            Proposed(trial, config, 0, "test"),
            Assigned(trial, trial, 0, 0.0, 1.0),
            Reported(trial, trial, 0, 1.0, 0.5, {}, ledger),
        ):
            state = searcher.apply(state, event)
    return searcher, state


def median_width(searcher, state, proposals=60):
    return statistics.median(
        searcher.propose(state, trial, 1)["width"] for trial in range(100, 100 + proposals)
    )


def test_cheap_settings_are_proposed_more_often_until_the_budget_is_used_up():
    searcher, state = after(20)
    usual = median_width(searcher.searcher, state.inner)
    assert median_width(searcher, state) < usual / 2
    spent = state.flops / 32.0
    assert median_width(*after(20, epochs=spent)) == usual
    assert median_width(searcher, state) < median_width(*after(20, epochs=2 * spent)) < usual


def test_before_anything_is_known_about_costs_the_searcher_proposes():
    searcher, state = after(LEAST - 1)
    assert searcher.propose(state, 50, 3) == searcher.searcher.propose(state.inner, 50, 3)


def test_costs_are_told_by_sizes_and_options():
    space = SearchSpace({"width": Int(4, 256, log=True), "kind": Choice(["a", "b", "c"])})
    drawing = np.random.default_rng(1)
    configs = [space.sample(drawing) for _ in range(60)]
    costs = [math.log(one["width"]) + {"a": 0.0, "b": 1.0, "c": -1.0}[one["kind"]] for one in configs]
    model = fitted([features_of(space, one) for one in configs[:40]], costs[:40])
    predicted = [float(features_of(space, one) @ model) for one in configs[40:]]
    assert np.corrcoef(predicted, costs[40:])[0, 1] > 0.99


def test_every_configuration_has_as_many_features():
    drawing = np.random.default_rng(2)
    assert len({features_of(SPACE, SPACE.sample(drawing)).shape for _ in range(20)}) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: CostAware(GridSearch()), "must not count its trials"),
        (lambda: CostAware(candidates=1), "candidates must be at least 2"),
        (lambda: CostAware(weight=0.0), "weight must be finite and above 0"),
    ],
)
def test_what_cannot_be_says_why(wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        wrong()


def test_what_a_trial_failed_with_is_spent_and_says_nothing_of_what_an_epoch_takes():
    searcher, state = after(3, epochs=100.0)
    used, rates = state.used, dict(state.spent)
    ledger = Ledger({Label.TRAIN: Charge(320.0, 1.0)})
    state = searcher.apply(state, Failed(3, 0, 1, "memory", "", ledger))
    assert state.used == pytest.approx(used + 0.1)
    assert state.spent == rates
