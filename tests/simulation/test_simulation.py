"""Searches on curves: time, money, losses, and the same decisions as a study."""

import math
from dataclasses import replace

import pytest

from autotune.errors import ConfigurationError
from autotune.scheduling.asha import ASHA
from autotune.searching import RandomSearch
from autotune.simulation.curves import Curves, Regret
from autotune.simulation.fleet import Fleet
from autotune.simulation.run import simulate
from autotune.space import Float, SearchSpace
from autotune.study.plan import Budget, Plan


class Bowl(Curves):
    """Scores rise towards `-(x - 0.3)**2`; a unit of fidelity takes ten seconds; x above 0.9 diverges."""

    space = SearchSpace({"x": Float(0.0, 1.0)})
    horizon = 9.0

    def score(self, config, fidelity):
        x = config["x"]
        return math.nan if x > 0.9 else -((x - 0.3) ** 2) - 1 / fidelity

    def seconds(self, config, since, until):
        return 10.0 * (until - since)

    def finals(self, count, seed):
        return [self.score({"x": n / count}, self.horizon) for n in range(count)]


PLAN = Plan(Budget(epochs=90.0), ASHA(9.0, 1.0), searcher=RandomSearch())


def test_one_worker_takes_as_long_as_all_the_work():
    found = simulate(Bowl(), PLAN, Fleet(price=36.0))
    assert found.seconds == pytest.approx(10.0 * found.spent)
    assert found.busy == pytest.approx(found.seconds)
    assert found.utilisation == pytest.approx(1.0)
    assert found.paid == pytest.approx(found.seconds / 100)  # 36 an hour is a hundredth a second
    assert found.interrupted == 0
    assert 90.0 <= found.spent < 90.0 + Bowl.horizon


def test_many_workers_are_done_sooner_for_about_the_same_work_and_not_all_of_them_are_busy():
    alone, many = simulate(Bowl(), PLAN, Fleet()), simulate(Bowl(), PLAN, Fleet(workers=8))
    assert many.seconds < alone.seconds / 3
    assert many.busy == pytest.approx(10.0 * many.spent)
    assert 0.3 < many.utilisation < 1.0
    assert many.trials >= alone.trials


def test_the_leaders_get_better_by_rung_and_the_last_is_the_answer():
    found = simulate(Bowl(), PLAN, Fleet())
    assert [one.seconds for one in found.leaders] == sorted(one.seconds for one in found.leaders)
    assert found.final == Bowl().score(found.config, Bowl.horizon)
    assert found.final > -1 / 9.0 - 0.05
    assert 0 < found.finished < found.trials


def test_a_simulation_is_a_function_of_its_arguments():
    fleet = Fleet(workers=4, stragglers=0.3, losses=20.0, startup=1.0)
    assert simulate(Bowl(), PLAN, fleet, 1) == simulate(Bowl(), PLAN, fleet, 1)
    assert simulate(Bowl(), PLAN, fleet, 1) != simulate(Bowl(), PLAN, fleet, 2)
    assert simulate(Bowl(), PLAN, fleet, 1) != simulate(Bowl(), replace(PLAN, seed=1), fleet, 1)


def test_lost_machines_and_stragglers_cost_time_and_change_no_decision_of_one_worker():
    plain = simulate(Bowl(), PLAN, Fleet())
    lossy = simulate(Bowl(), PLAN, Fleet(losses=30.0))
    slow = simulate(Bowl(), PLAN, Fleet(stragglers=1.0, slowdown=2.0))
    assert lossy.interrupted > 0
    assert lossy.busy > plain.busy
    assert slow.seconds == pytest.approx(2 * plain.seconds)
    for other in (lossy, slow):
        assert (other.config, other.trials, other.spent) == (plain.config, plain.trials, plain.spent)


def test_nobody_is_ahead_where_everything_diverges():
    class Hopeless(Bowl):
        def score(self, config, fidelity):
            return math.nan

    found = simulate(Hopeless(), replace(PLAN, budget=Budget(trials=5)), Fleet())
    assert found.config is None
    assert found.final == -math.inf


def test_regret_is_nought_at_the_best_and_one_at_the_median_and_beyond():
    regret = Regret(Bowl(), count=100)
    assert regret(regret.best) == 0.0
    assert regret(regret.median) == 1.0
    assert regret(math.nan) == regret(-math.inf) == regret(regret.median - 1) == 1.0
    assert regret(regret.best + 0.01) < 0.0


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("workers", 0, "fleet.workers must be finite and at least 1, got 0"),
        ("price", -1.0, "fleet.price must be finite and at least 0"),
        ("stragglers", 1.5, r"fleet.stragglers must be a share in \[0, 1\], got 1.5"),
        ("slowdown", 0.5, "fleet.slowdown must be finite and at least 1"),
        ("losses", math.inf, "fleet.losses must be finite"),
    ],
)
def test_fleets_that_cannot_be(argument, value, said):
    with pytest.raises(ConfigurationError, match=said):
        Fleet(**{argument: value})
