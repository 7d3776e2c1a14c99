"""What a search may still begin."""

import math

import pytest

from autotune.events import Assigned, Failed, Interrupted, Opened, Proposed, Reported
from autotune.history import History
from autotune.ledger import Charge, Label, Ledger
from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.asha import ASHA
from autotune.scheduling.base import Promote
from autotune.scheduling.hyperband import Hyperband
from autotune.searching import RandomSearch
from autotune.simulation.curves import Curves
from autotune.simulation.fleet import Fleet
from autotune.simulation.run import simulate
from autotune.space import Choice, Float, SearchSpace
from autotune.study.plan import Budget, Plan
from autotune.study.purse import Purse

RUNGS = (1.0, 3.0, 9.0)
SMALL, LARGE = {"width": 8}, {"width": 64}


class Told:
    """A purse with a limit of 20, told of what happens; a reference epoch-equivalent has 100 FLOPs."""

    def __init__(self, policies=True, limit=20.0):
        self.history = History()
        self.purse = Purse(self.history, limit, 100.0, RUNGS, policies)
        self.assignments = 0
        self.tell(Opened({"rungs": list(RUNGS)}))

    def tell(self, event):
        self.history.apply(event)
        self.purse.apply(event)

    def begin(self, trial, config, rung=0, since=0.0):
        if trial not in self.history.trials:
            self.tell(Proposed(trial, config, 0, "test"))
        self.tell(Assigned(self.assignments, trial, rung, since, RUNGS[rung]))
        self.assignments += 1
        return self.assignments - 1

    def answer(self, assignment, trial, rung, size, step):
        ledger = Ledger({Label.TRAIN: Charge(size * step * 100.0, 1.0)})
        self.tell(Reported(assignment, trial, rung, RUNGS[rung], 0.5, {}, ledger))


def test_what_is_in_flight_is_set_aside_until_it_answers():
    told = Told()
    first = told.begin(0, SMALL)
    assert told.purse.left == 19.0
    told.answer(first, 0, 0, size=0.5, step=1.0)
    assert (told.purse.spent, told.purse.committed, told.purse.left) == (0.5, 0.0, 19.5)
    second = told.begin(0, SMALL, 1, since=1.0)
    assert told.purse.committed == pytest.approx(1.0)  # two steps of half the size
    told.tell(Interrupted(second, 0, "preempted"))
    assert told.purse.committed == pytest.approx(1.0)  # still due
    told.tell(Failed(second, 0, 1, "memory", ""))
    assert told.purse.committed == 0.0


def test_a_promotion_costs_what_its_trial_has_shown():
    told = Told()
    told.answer(told.begin(0, LARGE), 0, 0, size=4.0, step=1.0)
    told.answer(told.begin(1, SMALL), 1, 0, size=0.5, step=1.0)
    assert told.purse.pays_for(Promote(0, 1))  # 8 of 15.5
    told.begin(0, LARGE, 1, since=1.0)
    assert not told.purse.pays_for(Promote(0, 2))  # 24 of 7.5
    assert told.purse.pays_for(Promote(1, 2))  # 3


def test_who_was_not_seen_is_as_large_as_its_settings_or_the_largest():
    told = Told()
    assert told.purse.pays_to_begin(LARGE, 2)  # the reference, so 9 of 20
    told.answer(told.begin(0, LARGE | {"policy": "full"}), 0, 0, size=4.0, step=1.0)
    told.answer(told.begin(1, SMALL | {"policy": "full"}), 1, 0, size=0.5, step=1.0)
    assert told.purse.pays_to_begin(SMALL | {"policy": "el2n", "policy.fraction": 0.1}, 2)  # 4.5 of 15.5
    assert not told.purse.pays_to_begin(LARGE | {"policy": "el2n", "policy.fraction": 0.1}, 2)  # 36
    assert not told.purse.pays_to_begin({"width": 32}, 2)
    assert told.purse.pays_to_begin({"width": 32}, 1)  # 12


def test_without_policies_settings_are_not_remembered():
    told = Told(policies=False)
    told.answer(told.begin(0, SMALL), 0, 0, size=0.5, step=1.0)
    assert not told.purse.sizes and told.purse.largest == 1.0


def test_without_a_limit_everything_is_paid_for():
    told = Told(limit=None)
    told.answer(told.begin(0, LARGE), 0, 0, size=1e9, step=1.0)
    assert told.purse.left == math.inf and told.purse.pays_for(Promote(0, 2))


class Sized(Curves):
    """Large models are better, and ten times as dear."""

    space = SearchSpace({"large": Choice([0, 1]), "x": Float(0.0, 1.0)})
    horizon = 9.0

    def score(self, config, fidelity):
        return 10.0 * config["large"] + config["x"] - 1 / fidelity

    def seconds(self, config, since, until):
        return self.cost(config, since, until)

    def cost(self, config, since, until):
        return (10.0 if config["large"] else 1.0) * (until - since)

    def finals(self, count, seed):
        return []


@pytest.mark.parametrize("kind", [ASHA, AdaptiveASHA, Hyperband])
@pytest.mark.parametrize("seed", range(5))
def test_the_rest_of_a_budget_goes_to_the_best_that_it_pays_for(kind, seed):
    """Neither the best one that waits, which is too dear, nor a proposal that is ends the search."""
    plan = Plan(Budget(epochs=300.0), kind(9.0, 1.0), RandomSearch(), seed=seed)
    found = simulate(Sized(), plan, Fleet())
    assert 290.0 < found.spent <= 300.0  # what has not been tried may be as large as any


def test_a_trial_that_fails_says_nothing_of_what_an_epoch_takes():
    told = Told()
    told.answer(told.begin(0, SMALL), 0, 0, size=1.0, step=1.0)
    again = told.begin(0, SMALL, 1, since=1.0)
    told.tell(Failed(again, 0, 1, "memory", "", Ledger({Label.TRAIN: Charge(190.0, 1.0)})))
    assert (told.purse.spent, told.purse.largest) == (2.9, 1.0)
