"""The study's loop: the same decisions on every engine, after every interruption, and from every log."""

import json
import math
import random
from dataclasses import replace

import pytest
from torch import nn

from autotune.data.digits import digits
from autotune.engines.function import FunctionWorkload
from autotune.engines.inprocess import InProcess
from autotune.engines.simulated import Simulated
from autotune.errors import FolderError, LockedError, LogError, StudyFailedError
from autotune.events import (
    Assigned,
    Concluded,
    DriverStarted,
    Interrupted,
    Opened,
    PhaseStarted,
    Proposed,
    Reported,
)
from autotune.ledger import Charge, Label, Ledger
from autotune.log import TrialLog, read_events
from autotune.scheduling.asha import ASHA, Variant
from autotune.searching.random import RandomSearch
from autotune.searching.starting import StartingPoints
from autotune.searching.tpe import TPE
from autotune.space import Choice, Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Result, Study
from autotune.study.director import Director, replay
from autotune.task import Classification
from autotune.work import Workload

SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(1e-3, 1.0, log=True)})
PLAN = Plan(
    Budget(trials=24),
    ASHA(horizon=3.0, lowest=0.3),
    RandomSearch(),
    Confirm(leaders=2, seeds=3),
    seed=1,
)


def score(config, fidelity, seed):
    """Peaks at x = 0.7; better with more fidelity; some configurations diverge or raise."""
    if config["x"] < 0.05:
        return math.nan
    if config["x"] > 0.97:
        raise RuntimeError("too far")
    return 1.0 - (config["x"] - 0.7) ** 2 - 0.1 / (1 + fidelity) + (seed % 1000) * 1e-6


WORK = FunctionWorkload(score)


def decisions(path):
    kinds = Proposed | Assigned | PhaseStarted | Concluded
    return [event for event in read_events(path / "log") if isinstance(event, kinds)]


def study(path, engine=None, plan=PLAN):
    return Study(WORK, SPACE, path, plan, engine or InProcess())


def test_a_study_ends_with_the_best_and_says_what_it_cost(tmp_path):
    result = study(tmp_path).run()
    assert result.done
    assert abs(result.best_config["x"] - 0.7) < 0.1
    assert result.epochs("confirm") == pytest.approx(2 * 3 * 3.0)
    assert result.epochs("search") == pytest.approx(
        sum(e.until - e.since for e in decisions(tmp_path) if isinstance(e, Assigned) and e.trial < 24)
    )
    assert Result.load(tmp_path).to_json() == result.to_json()


@pytest.mark.parametrize("searcher", [RandomSearch(), TPE()])
@pytest.mark.parametrize("variant", list(Variant))
def test_every_engine_decides_the_same_with_one_worker(tmp_path, searcher, variant):
    plan = replace(PLAN, searcher=searcher, scheduler=replace(PLAN.scheduler, variant=variant))
    study(tmp_path / "a", InProcess(), plan).run()
    study(tmp_path / "b", Simulated(1), plan).run()
    assert decisions(tmp_path / "a") == decisions(tmp_path / "b")


def test_ordered_workers_decide_the_same_whatever_the_speed_of_the_machines(tmp_path):
    plan = replace(PLAN, ordered_workers=4, searcher=TPE())
    chance = random.Random(3)
    engines = {
        "calm": Simulated(4),
        "wild": Simulated(4, duration=lambda a, o: chance.random(), crash_rate=0.3),
        "one": InProcess(),
        "many": Simulated(9, duration=lambda a, o: chance.random()),
    }
    for name, engine in engines.items():
        study(tmp_path / name, engine, plan).run()
    calm = decisions(tmp_path / "calm")
    assert all(decisions(tmp_path / name) == calm for name in engines)
    assert any(isinstance(event, Interrupted) for event in read_events(tmp_path / "wild" / "log"))


def test_asynchronous_workers_use_all_their_capacity_and_replay(tmp_path):
    chance = random.Random(5)
    study(tmp_path, Simulated(6, duration=lambda a, o: chance.expovariate(1.0)), PLAN).run()
    in_flight, most = 0, 0
    for event in read_events(tmp_path / "log"):
        in_flight += isinstance(event, Assigned)
        in_flight -= type(event).__name__ in ("Reported", "Failed", "TestRead")
        most = max(most, in_flight)
    assert most == 6
    assert replay(Director(PLAN, SPACE, arms=("full",), test=False), read_events(tmp_path / "log")) > 40


class _DiesError(Exception):
    pass


class _Mortal(InProcess.__mro__[1]):  # an Engine that dies at the n-th poll
    def __init__(self, polls):
        self._inner, self._left = InProcess(), polls

    def poll(self, timeout_s):
        self._left -= 1
        if self._left < 0:
            raise _DiesError
        return self._inner.poll(timeout_s)

    def start(self, workload):
        self._inner.start(workload)

    def submit(self, assignment):
        self._inner.submit(assignment)

    def cancel(self, assignment):
        self._inner.cancel(assignment)

    def capacity(self):
        return 1

    def close(self):
        self._inner.close()


def test_dying_again_and_again_changes_no_decision_and_repeats_no_finished_work(tmp_path):
    study(tmp_path / "calm").run()
    chance = random.Random(0)
    deaths = 0
    while True:
        try:
            study(tmp_path / "mortal", _Mortal(chance.randrange(1, 6))).run()
        except _DiesError:
            deaths += 1
            continue
        break
    assert deaths >= 10
    assert decisions(tmp_path / "mortal") == decisions(tmp_path / "calm")


def test_running_a_finished_study_again_changes_nothing(tmp_path):
    first = study(tmp_path).run()
    before = len(list(read_events(tmp_path / "log")))
    again = study(tmp_path).run()
    assert again.verdict == first.verdict
    new = list(read_events(tmp_path / "log"))[before:]
    assert all(isinstance(event, DriverStarted) for event in new)


def test_a_winner_with_a_seed_that_diverged_is_exported_again_from_the_log(tmp_path):
    def moody(config, fidelity, seed):
        return math.nan if fidelity == 3.0 and seed % 2 else config["x"]

    found = [Study(FunctionWorkload(moody), SPACE, tmp_path, PLAN).run() for _ in range(2)]
    scores = [float(one) for one in found[0].verdict["winner"]["validation"]]
    assert 0 < sum(math.isfinite(one) for one in scores) < 3
    assert found[1].best_config == found[0].best_config
    manifest = (tmp_path / "result" / "manifest.json").read_text()
    assert json.loads(manifest, parse_constant=pytest.fail)["winner"]["config"] == found[0].best_config


def test_the_same_study_is_known_again_however_it_is_written(tmp_path, monkeypatch):
    class Endless(Workload):  # describes itself with what JSON has no word for
        def describe(self):
            return {"limit": math.inf, "shape": (2, 3)}

        @property
        def bulk(self):
            return {}

        def worker(self, bulk):
            return WORK.worker(bulk)

    first = Study(Endless(), SPACE, tmp_path, PLAN).run()
    monkeypatch.chdir(tmp_path)
    assert Study(Endless(), SPACE, ".", PLAN).run().verdict == first.verdict


def test_another_study_in_the_same_folder_is_refused(tmp_path):
    study(tmp_path).run()
    with pytest.raises(FolderError, match="holds another study: plan differ"):
        study(tmp_path, plan=replace(PLAN, seed=2)).run()
    with pytest.raises(FolderError, match="space"):
        Study(WORK, SearchSpace({"x": Float(0.0, 2.0)}), tmp_path, PLAN).run()


def test_a_second_driver_is_refused(tmp_path):
    held = TrialLog(tmp_path / "log")
    with pytest.raises(LockedError):
        study(tmp_path).run()
    held.close()


def test_a_log_that_decides_otherwise_does_not_replay(tmp_path):
    study(tmp_path).run()
    events = list(read_events(tmp_path / "log"))
    position = next(i for i, e in enumerate(events) if isinstance(e, Proposed) and e.trial == 5)
    events[position] = replace(events[position], config={"x": 0.5, "y": 0.5})
    with pytest.raises(LogError, match="a replay decides"):
        replay(Director(PLAN, SPACE, arms=("full",), test=False), events)


def test_what_all_trials_share_decides_nothing(tmp_path):
    """Which of them computes it is a matter of timing, whatever the budget is counted in."""
    plan = replace(PLAN, budget=Budget(epochs=12.0))
    study(tmp_path, plan=plan).run()
    events = list(read_events(tmp_path / "log"))
    shared = Ledger({Label.SHARED: Charge(5.0, 1.0)})
    charged = [replace(e, ledger=e.ledger + shared) if isinstance(e, Reported) else e for e in events]
    director = Director(plan, SPACE, arms=("full",), test=False)
    assert replay(director, charged) > 10
    assert director.history.spent["search"].total.flops > 2 * director.search_epochs()


def test_ten_failures_alike_end_the_study_with_a_summary(tmp_path):
    def broken(config, fidelity, seed):
        raise ValueError("wrong shape")

    with pytest.raises(StudyFailedError, match=r"first 10 trials failed alike.*wrong shape"):
        Study(FunctionWorkload(broken), SPACE, tmp_path, PLAN).run()


@pytest.mark.parametrize("error", [MemoryError, ValueError])
def test_failures_that_differ_in_their_numbers_only_are_alike(tmp_path, error):
    def broken(config, fidelity, seed):
        raise error(f"no room for {config['x']} bytes of <object at {id(config):#x}>")

    with pytest.raises(StudyFailedError, match="first 10 trials failed alike"):
        Study(FunctionWorkload(broken), SPACE, tmp_path, PLAN).run()


def test_a_study_where_nothing_works_for_different_reasons_concludes_without_a_winner(tmp_path):
    def broken(config, fidelity, seed):
        raise ValueError("too small") if config["x"] < 0.5 else TypeError("too large")

    result = Study(FunctionWorkload(broken), SPACE, tmp_path, PLAN).run()
    assert result.done and result.best_config is None


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("epochs", [1.0, 4.0, 10.0, 31.5])
def test_the_budget_in_epochs_is_kept_and_used(tmp_path, epochs, workers):
    plan = replace(PLAN, budget=Budget(epochs=epochs))
    result = study(tmp_path, Simulated(workers), plan).run()
    cheapest = plan.scheduler.rungs[0]
    assert epochs - cheapest < result.epochs("search") <= epochs
    assert "budget" in result.history.reasons["confirm"]


def test_a_budget_below_the_first_rung_buys_one_trial(tmp_path):
    plan = replace(PLAN, budget=Budget(epochs=0.01))
    result = study(tmp_path, Simulated(3), plan).run()
    assert len(result.history.of_phase("search")) == 1


def test_the_log_says_which_machine_and_versions_ran(tmp_path):
    study(tmp_path).run()
    events = list(read_events(tmp_path / "log"))
    assert isinstance(events[0], Opened) and isinstance(events[1], DriverStarted)
    assert {"python", "torch", "ray", "optuna"} <= set(events[1].versions)


def test_a_configuration_that_is_no_policy_fails_its_trial_and_not_the_study(tmp_path):
    """Ends and middles of the ranges are checked before; this combination lies between them."""
    shares = {"fraction": 0.5, "warmup": Choice([0.1, 0.6, 0.2]), "anneal": Choice([0.1, 0.6, 0.2])}
    space = SearchSpace({"lr": 0.05, "policy": Choice({"fresh_random": shares, "full": {}})})
    given = {"policy": "fresh_random", "policy.warmup": 0.6, "policy.anneal": 0.6, "policy.fraction": 0.5}
    plan = Plan(
        Budget(trials=2),
        ASHA(horizon=0.3, lowest=0.3),
        StartingPoints(RandomSearch(), ({"lr": 0.05, **given},)),
        Confirm(leaders=1, seeds=2),
    )
    task = Classification(digits(), lambda config: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    result = Study(task, space, tmp_path, plan).run()
    kind, message = result.history.trials[0].failure
    assert (kind, result.done) == ("error", True) and "must leave room to select" in message


def test_confirmations_that_all_fail_alike_stop_the_study_before_they_are_used_up(tmp_path):
    """As when the code changes on disk while a study runs."""
    broken = [False]

    def changed(config, fidelity, seed):
        if broken[0]:
            raise AttributeError("no attribute 'selectors'")
        return score(config, fidelity, seed)

    def watch(history, event):
        broken[0] = history.phase == "confirm"

    plan = replace(PLAN, confirm=Confirm(leaders=2, seeds=5))
    with pytest.raises(StudyFailedError, match=r"3 confirmations in a row failed alike.*goes on"):
        Study(FunctionWorkload(changed), SPACE, tmp_path, plan).run(observe=watch)
    result = Study(WORK, SPACE, tmp_path, plan).run()
    assert result.done
    assert result.best_config is not None


def test_what_is_recorded_holds_where_another_machine_would_propose_otherwise(tmp_path, caplog):
    """Another processor or version may round otherwise; a study must not be lost of it."""
    study(tmp_path).run()
    events = list(read_events(tmp_path / "log"))
    for position, event in enumerate(events):
        if isinstance(event, Proposed) and event.phase == "search" and event.trial in (5, 8):
            events[position] = replace(event, config={name: 0.999 * x for name, x in event.config.items()})
    director = Director(PLAN, SPACE, arms=("full",), test=False)
    assert replay(director, events, strict=False) > 40
    assert "2 of the settings that are recorded would be proposed otherwise here" in caplog.text
    assert director.history.trials[5].config == next(
        event.config for event in events if isinstance(event, Proposed) and event.trial == 5
    )


@pytest.mark.parametrize("change", [{"seed": 1}, {"trial": 77}, {"source": "somebody"}])
def test_whatever_else_differs_is_another_decision(tmp_path, change):
    study(tmp_path).run()
    events = list(read_events(tmp_path / "log"))
    position = next(i for i, e in enumerate(events) if isinstance(e, Proposed) and e.trial == 5)
    events[position] = replace(events[position], **change)
    with pytest.raises(LogError, match="a replay decides"):
        replay(Director(PLAN, SPACE, arms=("full",), test=False), events, strict=False)
