"""What a whole study may cost: the search ends early enough, and the confirmation is cut at a whole seed."""

from dataclasses import replace
from itertools import count

import pytest

from autotune.engines.base import Engine
from autotune.engines.function import FunctionWorkload
from autotune.engines.inprocess import InProcess
from autotune.errors import ConfigurationError
from autotune.events import Assigned, BudgetSpent, Held, Opened, PhaseStarted, Proposed, Reported
from autotune.history import History
from autotune.ledger import Charge, Label, Ledger
from autotune.log import read_events
from autotune.scheduling.asha import ASHA
from autotune.searching.random import RandomSearch
from autotune.simulation.curves import Curves
from autotune.simulation.fleet import Fleet
from autotune.simulation.run import simulate
from autotune.space import Choice, Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study
from autotune.study.director import PROPOSALS
from autotune.study.limits import Clock, confirmation_s, exceeded

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
HOUR = 3600.0
CONFIRM = Confirm(leaders=2, seeds=3)


def score(config, fidelity, seed):
    return 1.0 - (config["x"] - 0.7) ** 2 - 0.1 / (1 + fidelity) + (seed % 1000) * 1e-6


class HourPerEpoch(Engine):
    """In this process, but an epoch-equivalent takes an hour, on a machine with two places."""

    def __init__(self):
        self._inner = InProcess()
        self._seconds = 0.0
        self._until = {}

    def start(self, workload):
        self._inner.start(workload)

    def submit(self, assignment):
        self._until[assignment.id] = assignment.until - assignment.since
        self._inner.submit(assignment)

    def poll(self, timeout_s):
        outcomes = []
        for outcome in self._inner.poll(timeout_s):
            seconds = HOUR * self._until[outcome.assignment]
            self._seconds += seconds
            outcomes.append(replace(outcome, ledger=Ledger({Label.TRAIN: Charge(1.0, seconds)})))
        return outcomes

    def cancel(self, assignment):
        self._inner.cancel(assignment)

    def capacity(self):
        return 1

    def close(self):
        self._inner.close()

    def held(self):
        return Held({"local": self._seconds}, {"local": 2 * self._seconds})


class Rising(Curves):
    """The longer the better."""

    space, horizon = SPACE, 9.0

    def score(self, config, fidelity):
        return config["x"] * fidelity

    def seconds(self, config, since, until):
        return until - since

    def finals(self, count, seed):
        return []


def run(path, budget, prices=None, confirm=CONFIRM, observe=None):
    plan = Plan(budget, ASHA(horizon=3.0, lowest=0.3), RandomSearch(), confirm, seed=1)
    return Study(FunctionWorkload(score), SPACE, path, plan, HourPerEpoch(), prices=prices).run(observe)


@pytest.mark.parametrize("limit", ["usd", "gpu_hours"])
def test_the_search_ends_early_enough_to_confirm_with_what_is_left(tmp_path, limit):
    result = run(tmp_path, Budget(**{limit: 40.0}), {"local": 1.0})
    assert result.cut is None
    assert result.best_config is not None
    assert len(result.verdict["winner"]["validation"]) == CONFIRM.seeds
    assert limit in result.history.stopped
    spent = sum(s for nodes in result.history.seconds.values() for s in nodes.values()) / HOUR
    assert 30.0 < spent <= 40.0  # 18 of them confirm
    assert result.bill().total == pytest.approx(spent)


def test_a_budget_that_cannot_confirm_cuts_at_a_whole_seed(tmp_path):
    result = run(tmp_path, Budget(usd=16.0), {"local": 1.0}, Confirm(leaders=2, seeds=9))
    assert result.cut is not None
    found = [trial for trial in result.history.trials.values() if trial.phase == "confirm"]
    seeds = len(result.verdict["winner"]["validation"])
    assert 0 < seeds < 9
    assert result.bill().total <= 16.0
    assert seeds == len(found) // len({trial.origin for trial in found})


def test_a_study_that_was_cut_goes_on_as_its_log_says(tmp_path):
    first = run(tmp_path, Budget(usd=16.0), {"local": 1.0}, Confirm(leaders=2, seeds=9))
    assert run(tmp_path, Budget(usd=16.0), None, Confirm(leaders=2, seeds=9)).to_json() == first.to_json()
    reasons = [event.reason for event in read_events(tmp_path / "log") if isinstance(event, BudgetSpent)]
    assert len(reasons) == 2


def test_money_without_a_price_is_refused_before_anything_is_spent(tmp_path):
    with pytest.raises(ConfigurationError, match="usd is 16, but no type of machine has a price"):
        run(tmp_path, Budget(usd=16.0))
    assert run(tmp_path, Budget(usd=16.0), {"local": 1.0}).done


def history(answered, in_flight=0, phase="search"):
    """So many trials that went one of three epoch-equivalents, half an hour each, and others on their way."""
    events = [Opened({"rungs": [1.0, 3.0]})]
    for number in range(answered + in_flight):
        events += [Proposed(number, {"x": 0.5}, number, "r"), Assigned(number, number, 0, 0.0, 1.0)]
        if number < answered:
            ledger = Ledger({Label.TRAIN: Charge(1.0, HOUR / 2)})
            events.append(Reported(number, number, 0, 1.0, 0.5, {}, ledger))
    if phase != "search":
        events.append(PhaseStarted(phase, "as asked"))
    found = History()
    for event in events:
        found.apply(event)
    return found


def test_the_reserve_counts_every_candidate_and_seed_at_the_pace_of_the_largest_trials():
    past = history(4)
    # 2 leaders, and for each of two baselines its best trial and the leader's settings; then 4 finalists
    assert confirmation_s(past, CONFIRM, ("full", "fresh_random", "el2n")) == (2 * 6 + 4) * 3 * HOUR / 2
    assert confirmation_s(past, CONFIRM, ()) == (2 * 2 + 2) * 3 * HOUR / 2
    assert confirmation_s(history(0), CONFIRM, ()) == 0.0
    past.study = {**past.study, "plan": {"objectives": [{"metric": "latency_ms", "mode": "min"}]}}
    assert confirmation_s(past, CONFIRM, ("full", "fresh_random", "el2n")) == (2 * 6 + 6) * 3 * HOUR / 2


@pytest.mark.parametrize(
    ("limit", "over"),
    [(10.9, True), (11.1, False)],  # 2 h spent by 4 trials, 6 x 1.5 h to confirm
)
def test_the_limit_is_where_the_forecast_meets_it(limit, over):
    reason = exceeded(history(4), (), Budget(gpu_hours=limit), CONFIRM, (), Clock())
    assert (reason is not None) == over


def test_what_runs_is_part_of_the_forecast_and_of_the_pace():
    past = history(4, in_flight=2)
    idle = exceeded(past, (), Budget(gpu_hours=11.9), CONFIRM, (), Clock())
    assert idle is not None  # 2 h spent, 1 h in flight, 9 h to confirm
    assert exceeded(past, (), Budget(gpu_hours=12.1), CONFIRM, (), Clock(running_s=HOUR / 2)) is None


def test_wall_clock_goes_by_how_many_ran_at_once():
    past = history(4)  # 2 device-hours in half an hour: four at once
    clock = Clock(wall_s=HOUR / 2, places=4)
    assert exceeded(past, (), Budget(wall=3.4), CONFIRM, (), clock) is not None  # 0.5 h and 1.5 h by two
    assert exceeded(past, (), Budget(wall=3.6), CONFIRM, (), clock) is None
    few = Clock(wall_s=HOUR / 2, places=2)  # 4 trainings by two, then 2
    assert exceeded(past, (), Budget(wall=4.9), CONFIRM, (), few) is not None
    assert exceeded(past, (), Budget(wall=5.1), CONFIRM, (), few) is None
    many = Clock(wall_s=HOUR / 2, places=64)  # which do not make a training any shorter
    assert exceeded(past, (), Budget(wall=3.4), CONFIRM, (), many) is not None
    assert exceeded(past, (), Budget(hours=0.4), CONFIRM, (), clock) == "the hours of the budget are over"


def test_in_the_confirmation_only_what_is_begun_is_still_to_come():
    begun = [Assigned(4, 0, 1, 0.0, 3.0)]  # of 1.5 h, after 2 h spent
    assert exceeded(history(4, 0, "confirm"), begun, Budget(gpu_hours=3.6), CONFIRM, (), Clock()) is None
    assert exceeded(history(4, 0, "confirm"), begun, Budget(gpu_hours=3.4), CONFIRM, (), Clock()) is not None
    assert exceeded(history(4, 0, "verdict"), begun, Budget(gpu_hours=1.0), CONFIRM, (), Clock()) is None


def test_baselines_of_a_cut_confirmation_are_compared_by_the_same_seeds(tmp_path):
    space = SearchSpace(
        {"x": Float(0.0, 1.0), "policy": Choice({"full": {}, "fresh_random": {"fraction": 0.3}})}
    )
    plan = Plan(
        Budget(usd=60.0), ASHA(horizon=3.0, lowest=0.3), RandomSearch(), Confirm(leaders=2, seeds=40), seed=1
    )
    work = FunctionWorkload(score)
    result = Study(work, space, tmp_path, plan, HourPerEpoch(), prices={"local": 1.0}).run()
    assert result.cut is not None
    pairs = [one["pairs"] for one in result.verdict["comparisons"] if one.get("pairs")]
    assert pairs
    assert all(1 < count < 40 for count in pairs)


def test_what_the_rest_cannot_pay_for_is_not_even_proposed(monkeypatch):
    """With thousands in flight a proposal for each answer, of which none is begun, takes minutes."""
    asked = []
    propose = RandomSearch.propose
    monkeypatch.setattr(RandomSearch, "propose", lambda *told: asked.append(1) or propose(*told))
    plan = Plan(Budget(epochs=30.0), ASHA(9.0, 1.0), RandomSearch())
    trials = simulate(Rising(), plan, Fleet(20)).trials
    assert 0 < len(asked) - trials <= PROPOSALS


class Booting(HourPerEpoch):
    """Its machine takes a hundred hours to boot, which the clock shows and which is no work of any trial."""

    def __init__(self, clock):
        super().__init__()
        self._clock, self._booted = clock, False

    def poll(self, timeout_s):
        before = self._seconds
        outcomes = super().poll(timeout_s) if self._booted else []
        self._clock[0] += 100 * HOUR if not self._booted else self._seconds - before
        self._booted = True
        return outcomes

    def capacity(self):
        return 2

    def clock(self):
        return self._clock[0]

    def held(self):
        return Held({"local": self._clock[0]}, {"local": 2 * self._seconds})


def test_waiting_for_a_machine_is_no_work(tmp_path):
    clock = [0.0]
    plan = Plan(Budget(gpu_hours=40.0), ASHA(horizon=3.0, lowest=0.3), RandomSearch(), CONFIRM, seed=1)
    result = Study(FunctionWorkload(score), SPACE, tmp_path, plan, Booting(clock)).run()
    spent = sum(s for nodes in result.history.seconds.values() for s in nodes.values()) / HOUR
    assert clock[0] > 100 * HOUR
    assert result.cut is None
    assert 30.0 < spent <= 40.0


@pytest.mark.parametrize("limit", ["wall", "hours"])
def test_the_hours_of_earlier_drivers_count_and_the_pauses_between_them_do_not(tmp_path, monkeypatch, limit):
    budget = Budget(trials=6, **{limit: 100.0})

    def killed(history, event):
        if isinstance(event, Reported) and len(history.trials) > 2:
            raise KeyboardInterrupt

    def driven(folder, clock, observe=None):
        with monkeypatch.context() as patched:
            patched.setattr("autotune.log.local.time.time", clock)
            return run(tmp_path / folder, budget, observe=observe)

    days = count(0.0, 240 * HOUR)
    for folder, clock in (("long", lambda: next(days)), ("short", lambda: 0.0)):
        with pytest.raises(KeyboardInterrupt):
            driven(folder, clock, killed)
    assert limit in driven("long", lambda: next(days)).history.stopped  # at once: it had run for days
    assert limit not in (driven("short", lambda: 1e9).history.stopped or "")  # continued after years


def test_who_came_furthest_is_kept_up(tmp_path):
    history = run(tmp_path, Budget(trials=20)).history
    top = max(trial.rung for trial in history.trials.values())
    assert history.top == top
    assert sorted(history.furthest) == [n for n, trial in history.trials.items() if trial.rung == top]


def test_a_budget_that_does_not_depend_on_time_is_not_compared_with_it(tmp_path, monkeypatch):
    """Which would be a look at everything that is in flight, for every decision."""
    monkeypatch.setattr("autotune.study.loop.exceeded", lambda *told: pytest.fail("it was"))
    assert run(tmp_path / "search", Budget(trials=4, epochs=100.0)).best_config is not None
    with pytest.raises(pytest.fail.Exception):
        run(tmp_path / "timed", Budget(trials=4, wall=100.0))
