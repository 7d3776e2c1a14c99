"""The curves of an earlier study, and the command that simulates on them."""

import json
import math

import pytest

from autotune.cli import main
from autotune.engines.function import FunctionWorkload
from autotune.errors import ConfigurationError, FolderError
from autotune.events import Assigned, Failed, Opened, Proposed, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.log import TrialLog
from autotune.scheduling.asha import ASHA
from autotune.scheduling.extrapolating import Extrapolating
from autotune.searching import RandomSearch
from autotune.simulation.fleet import Fleet
from autotune.simulation.recorded import Recorded
from autotune.simulation.run import simulate
from autotune.space import Float, SearchSpace
from autotune.study import Study
from autotune.study.plan import Budget, Confirm, Plan

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
PLAN = Plan(Budget(trials=20), ASHA(9.0, 1.0), RandomSearch(), Confirm(leaders=1, seeds=2))


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


def test_a_recorded_search_ends_with_its_configurations(few):
    recorded = Recorded(few)
    found = simulate(recorded, recorded.plan(), Fleet(workers=2))
    assert found.trials == 3
    assert found.config == {"x": 0.1}


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--study", "{path}", "--plan", "x.yaml"], "a study has its own plan"),
        (["--taskset", "x.json"], "--plan is missing"),
        (["--study", "{path}", "--workers", "0"], "fleet.workers must be finite and at least 1"),
        (["--study", "{path}/no"], "no study"),
    ],
)
def test_commands_that_cannot_be(path, arguments, said, capsys):
    assert main(["simulate", *(one.format(path=path) for one in arguments)]) == 4
    assert said in capsys.readouterr().err
