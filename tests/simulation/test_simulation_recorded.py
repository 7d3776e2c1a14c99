"""The curves of an earlier study, and the command that simulates on them."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

import autotune as at
from autotune.cli import main
from autotune.engines.function import FunctionWorkload
from autotune.errors import ConfigurationError, FolderError
from autotune.events import Assigned, Failed, Opened, Proposed, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.log import TrialLog
from autotune.scheduling.asha import ASHA
from autotune.scheduling.extrapolating import Extrapolating
from autotune.search_spaces.policies import policies
from autotune.searching import RandomSearch
from autotune.simulation.fleet import Fleet
from autotune.simulation.recorded import Recorded
from autotune.simulation.run import simulate
from autotune.space import Float, SearchSpace
from autotune.study import Study
from autotune.study.plan import Budget, Confirm, Plan

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
PLAN = Plan(Budget(trials=20), ASHA(9.0, 1.0), RandomSearch(), Confirm(leaders=1, seeds=2))


class Perceptron:
    """Two outputs of four inputs."""

    def __call__(self, config):
        return nn.Linear(4, 2)


def bowl(config, fidelity, seed):
    return -((config["x"] - 0.3) ** 2) - 1 / fidelity


@pytest.fixture
def path(tmp_path):
    Study(FunctionWorkload(bowl), SPACE, tmp_path / "bowl", PLAN).run()
    return tmp_path / "bowl"


def test_one_worker_repeats_the_search(path):
    recorded = Recorded(path)
    found = simulate(recorded, recorded.plan(), Fleet())
    assert found.trials == 20
    best = max(recorded.configs, key=lambda config: bowl(config, 9.0, 0))
    assert found.config == best
    assert found.final == pytest.approx(bowl(best, 9.0, 0))


def log_of(folder, *events):
    log = TrialLog(folder / "log")
    plan = {"scheduler": {"kind": "ASHA", "horizon": 9.0, "lowest": 1.0}, "budget": {"trials": 5}, "seed": 0}
    study = {"space": SPACE.to_yaml(), "rungs": [1.0, 3.0, 9.0], "plan": plan, "reference_flops": 10.0}
    log.append(Opened(study), *events)
    log.close()
    return folder


def answered(number, rung, since, until, score, seconds=1.0, flops=10.0):
    spent = Ledger({Label.TRAIN: Charge(flops * (until - since), seconds * (until - since))})
    return [
        Assigned(10 * number + rung, number, rung, since, until),
        Failed(10 * number + rung, number, rung, "memory", "", spent)
        if score is None
        else Reported(10 * number + rung, number, rung, until, score, {}, spent),
    ]


@pytest.fixture
def few(tmp_path):
    one, two, three = ({"x": x} for x in (0.1, 0.2, 0.3))
    return log_of(
        tmp_path / "few",
        Proposed(0, one, 0, "test"),
        *answered(0, 0, 0.0, 1.0, 0.5, seconds=60.0),
        *answered(0, 1, 1.0, 3.0, 0.7, seconds=30.0),
        Proposed(1, two, 1, "test"),
        *answered(1, 0, 0.0, 1.0, 0.4, flops=25.0),
        Proposed(2, three, 2, "test"),
        *answered(2, 0, 0.0, 1.0, None),
    )


def test_where_a_trial_was_not_recorded_it_goes_on_as_before_and_gains_what_others_did(few):
    curves = Recorded(few)
    one, two, three = curves.configs
    assert [curves.score(one, fidelity) for fidelity in (1.0, 3.0)] == [0.5, 0.7]
    assert curves.score(two, 3.0) == pytest.approx(0.6)  # the one that went on gained 0.2
    assert curves.score(one, 9.0) == 0.7  # nobody knows
    assert math.isnan(curves.score(three, 1.0))
    assert [curves.seconds(one, 0.0, 1.0), curves.seconds(one, 1.0, 3.0)] == [60.0, 60.0]
    assert curves.seconds(one, 3.0, 9.0) == 180.0
    assert curves.cost(two, 1.0, 3.0) == 5.0  # in reference epoch-equivalents: it is 2.5 times as large
    assert curves.entry(one) == 1.0


def test_between_two_rungs_a_score_lies_between_theirs(few):
    curves = Recorded(few)
    one = curves.configs[0]
    assert curves.score(one, 3.0**0.5) == pytest.approx(0.6)
    assert curves.score(one, 3.0 * (1 + 1e-9)) == 0.7


def test_recorded_configurations_are_tried_again_where_the_budget_wants_more(few):
    recorded = Recorded(few)
    found = simulate(recorded, recorded.plan(), Fleet(workers=2))
    assert found.trials == 5
    assert found.ended == "all 5 trials of the budget were started"
    assert found.config == {"x": 0.1}
    tried = [found.history.trials[number].config for number in range(5)]
    assert tried[:3] == recorded.configs
    assert all(config in recorded.configs for config in tried)


def test_failures_are_those_that_were_recorded(few):
    recorded = Recorded(few)
    history = simulate(recorded, recorded.plan(), Fleet()).history
    assert history.trials[2].failure == ("memory", "")


def test_a_trial_that_passed_its_rung_by_a_batch_begins_where_it_did(tmp_path):
    """Reports come with the batch that takes a trial past its rung, some per cent beyond it."""
    settings = [{"x": round(0.1 * number, 1)} for number in range(9)]
    events = []
    for number, config in enumerate(settings):
        events += [Proposed(number, config, number, "test"), *answered(number, 0, 0.0, 1.06, config["x"])]
        if number > 5:
            events += answered(number, 1, 1.06, 3.1, config["x"])
    recorded = Recorded(log_of(tmp_path / "beyond", *events))
    assert {recorded.entry(config) for config in settings} == {1.0}
    assert recorded.seconds(settings[0], 0.0, 1.0) == pytest.approx(1.06)
    found = simulate(recorded, replace(recorded.plan(), budget=Budget(trials=9)), Fleet())
    assert {min(trial.scores) for trial in found.history.of_phase("search")} == {0}


def test_a_study_that_trained_is_repeated_by_one_worker(tmp_path):
    """Its decisions, what it was charged, and what its trials took, with two policies and a real loop."""
    inputs = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    data = at.Dataset.from_arrays(inputs, (inputs.sum(1) > 0).astype(np.int64))
    task = at.Classification(data, Perceptron())
    space = at.SearchSpace({"lr": at.Float(0.01, 1.0, log=True), "policy": policies(["small_loss"])})
    plan = Plan(
        Budget(trials=10), ASHA(3.0, 0.3), RandomSearch(), Confirm(leaders=1, seeds=2), ordered_workers=1
    )
    before = Study(task, space, tmp_path / "study", plan).run().history
    recorded = Recorded(tmp_path / "study")
    found = simulate(recorded, recorded.plan(), Fleet(), confirm=True)
    ours, theirs = (history.of_phase("search") for history in (found.history, before))
    assert [(one.config, sorted(one.scores)) for one in ours] == [
        (one.config, sorted(one.scores)) for one in theirs
    ]
    assert len(found.history.of_phase("confirm")) == found.trainings >= 2
    assert found.spent == pytest.approx(sum(one.ledger.own.epochs(recorded.flops) for one in theirs))
    assert found.searched == pytest.approx(sum(one.ledger.own.total.seconds for one in theirs), rel=1e-3)


def test_what_cannot_be_simulated(tmp_path, few):
    with pytest.raises(FolderError, match="no study"):
        Recorded(tmp_path)
    with pytest.raises(ConfigurationError, match="has no result yet"):
        Recorded(log_of(tmp_path / "new", Proposed(0, {"x": 0.1}, 0, "test")))
    recorded = Recorded(few)
    before = recorded.study["plan"]["scheduler"]
    recorded.study["plan"]["scheduler"] = {"kind": "Extrapolating", "scheduler": before}
    assert isinstance(recorded.plan().scheduler, Extrapolating)
    before["kind"] = "Mine"
    with pytest.raises(ConfigurationError, match="scheduled by Mine, which is not built in; known: ASHA"):
        recorded.plan()


def test_the_command_says_how_long_and_how_much(path, capsys):
    assert main(["simulate", "--study", str(path), "--workers", "1", "4", "--price", "3600"]) == 0
    said = capsys.readouterr().out
    assert "paid" in said.splitlines()[0]
    arguments = ["simulate", "--study", str(path), "--workers", "1", "4", "--seeds", "2", "--startup", "60"]
    assert main([*arguments, "--json"]) == 0
    alone, four = json.loads(capsys.readouterr().out)["rows"]
    assert (alone["workers"], four["workers"]) == (1, 4)
    assert four["hours"] < alone["hours"]
    assert alone["busy"] == pytest.approx(1.0)
    assert alone["hours"] == pytest.approx(alone["search_hours"] + alone["confirm_hours"])
    assert alone["trainings"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--study", "{path}", "--plan", "x.yaml"], "a study has its own plan"),
        (["--taskset", "x.json"], "--plan is missing"),
        (["--study", "{path}", "--workers", "0"], "fleet.workers must be finite and at least 1"),
        (["--study", "{path}", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--study", "{path}/no"], "no study"),
    ],
)
def test_commands_that_cannot_be(path, arguments, said, capsys):
    assert main(["simulate", *(one.format(path=path) for one in arguments)]) == 4
    assert said in capsys.readouterr().err
