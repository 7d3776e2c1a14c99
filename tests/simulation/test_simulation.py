"""Searches on curves: time, money, losses, and the same decisions as a study."""

import math
from dataclasses import replace

import pytest

from autotune.errors import ConfigurationError
from autotune.objectives import Constraint
from autotune.scheduling.asha import ASHA
from autotune.searching import RandomSearch
from autotune.simulation.curves import Curves, Regret
from autotune.simulation.fleet import Fleet
from autotune.simulation.run import simulate
from autotune.space import Float, SearchSpace
from autotune.study.plan import Budget, Confirm, Plan


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


def test_a_lost_machine_costs_what_was_not_saved():
    """A full training takes 90 s, and a loss comes every two minutes."""
    seldom, often = (simulate(Bowl(), PLAN, Fleet(losses=30.0, checkpoint=s)) for s in (1000.0, 1.0))
    assert often.interrupted > 0
    assert often.lost <= often.interrupted  # at most a second each
    assert seldom.lost > 5 * seldom.interrupted
    assert often.busy - often.lost == pytest.approx(10.0 * often.spent)


def test_machines_boot_when_they_are_needed_first_and_for_lost_ones():
    calm, booted = (simulate(Bowl(), PLAN, Fleet(workers=4, boot=boot, price=1.0)) for boot in (0.0, 50.0))
    assert booted.seconds == pytest.approx(calm.seconds + 50.0)  # all four at once
    assert booted.busy == calm.busy
    assert booted.paid > calm.paid
    lossy = [simulate(Bowl(), PLAN, Fleet(losses=30.0, boot=boot)) for boot in (0.0, 50.0)]
    assert lossy[1].seconds == pytest.approx(lossy[0].seconds + 50.0 * (1 + lossy[0].interrupted))


def test_idle_workers_are_given_back_and_boot_again():
    plan = replace(PLAN, confirm=Confirm(leaders=1, seeds=2))
    kept, given, eager = (
        simulate(Bowl(), plan, Fleet(8, idle=idle, boot=5.0), confirm=True) for idle in (math.inf, 30.0, 0.0)
    )
    assert kept.held == pytest.approx(8 * kept.seconds)
    assert given.busy < given.held < kept.held - 6 * 60  # six of eight have nothing to do for 90 s
    assert eager.held < given.held
    assert eager.seconds >= given.seconds >= kept.seconds


def test_workers_that_are_never_needed_are_not_paid():
    plan = replace(PLAN, budget=Budget(trials=3))
    found = simulate(Bowl(), plan, Fleet(workers=50, price=3600.0))
    assert found.paid == pytest.approx(3 * found.seconds)
    assert found.paid <= 3 * 90.0


def test_a_winner_may_be_confirmed_too():
    plan = replace(PLAN, confirm=Confirm(leaders=2, seeds=3))
    found = simulate(Bowl(), plan, Fleet(), confirm=True)
    assert found.trainings == 6
    assert found.seconds == pytest.approx(found.searched + 6 * 90.0)
    chosen = {str(trial.config): trial.score for trial in found.history.of_phase("confirm")}
    assert found.final == max(chosen.values()) == chosen[str(found.config)]
    alone = simulate(Bowl(), plan, Fleet())
    assert (alone.seconds, alone.trainings) == (found.searched, 0)


@pytest.mark.parametrize("workers", [1, 7])
def test_a_budget_of_time_or_money_is_of_virtual_time(workers):
    """All machines are slow, which what they are charged tells."""
    fleet = Fleet(workers, price=36.0, idle=0.0, stragglers=1.0, slowdown=2.0)
    confirm = Confirm(leaders=1, seeds=2)
    hours = simulate(Bowl(), replace(PLAN, budget=Budget(hours=1.0)), fleet)
    assert 3600 < hours.searched < 3600 + 180
    assert hours.ended == "the hours of the budget are over"
    for budget in (Budget(usd=36.0), Budget(gpu_hours=1.0), Budget(wall=1.0 / workers)):
        found = simulate(Bowl(), replace(PLAN, budget=budget, confirm=confirm), fleet, confirm=True)
        assert found.cut is None and found.trainings == 2
        assert 2000 < found.held <= 3600 * 1.01  # seven wait for the last one, twice


def test_ordered_decisions_are_those_of_as_many_workers_as_there_are():
    plan = replace(PLAN, ordered_workers=2)
    alone, many = (simulate(Bowl(), plan, Fleet(workers)) for workers in (1, 8))
    assert many.seconds < alone.seconds / 3


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"scheduler": ASHA(27.0, 1.0)}, "trains to 27, but the curves end at 9; lower the horizon"),
        ({"scheduler": ASHA(9.0, 0.2)}, "lowest rung is 0.2, but the curves begin at 1; set `lowest`"),
        ({"budget": Budget(usd=1.0)}, "a budget in money needs a price"),
    ],
)
def test_what_cannot_be_simulated_is_said(plan, said):
    class Whole(Bowl):
        lowest = 1.0

    with pytest.raises(ConfigurationError, match=said):
        simulate(Whole(), replace(PLAN, **plan), Fleet())


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
        (
            "losses",
            3600.0,
            r"3600 per worker and hour: 60 losses are expected before",
        ),
        ("boot", -1.0, "fleet.boot must be finite and at least 0"),
    ],
)
def test_fleets_that_cannot_be(argument, value, said):
    with pytest.raises(ConfigurationError, match=said):
        Fleet(**{argument: value})


class Breaks(Bowl):
    """Configurations that are near the best diverge after the first rung."""

    def score(self, config, fidelity):
        if fidelity > 1.0 and abs(config["x"] - 0.3) < 0.25:
            return math.nan
        return super().score(config, fidelity)


def test_who_fails_leads_no_longer():
    found = simulate(Breaks(), replace(PLAN, budget=Budget(trials=30)), Fleet())
    failed = {trial.number for trial in found.history.trials.values() if trial.failure}
    assert failed & {one.trial for one in found.leaders[:-1]}
    assert found.leaders[-1].trial not in failed
    assert found.config == found.history.trials[found.leaders[-1].trial].config
    end = Breaks().score(found.config, Bowl.horizon)
    assert found.final == (end if math.isfinite(end) else -math.inf)


class Sized(Bowl):
    """The score rises with what a constraint bounds."""

    def score(self, config, fidelity):
        return config["x"] - 1 / fidelity

    def metrics(self, config, fidelity):
        return {"size": config["x"]}


@pytest.mark.parametrize("confirm", [False, True])
def test_the_winner_keeps_the_constraints(confirm):
    plan = replace(PLAN, constraints=(Constraint("size", at_most=0.4),), confirm=Confirm(3, seeds=2))
    assert 0.2 < simulate(Sized(), plan, Fleet(), confirm=confirm).config["x"] <= 0.4
