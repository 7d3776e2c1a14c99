"""Studies that want more than a score, from the plan to the front."""

import math

import pytest
from torch import nn

from autotune.data.digits import digits
from autotune.engines.function import FunctionWorkload
from autotune.errors import ConfigurationError, StudyFailedError
from autotune.evaluation.weighing import weighed
from autotune.events import CONFIRM, SEARCH, Opened
from autotune.history import Trial
from autotune.ledger import Label
from autotune.objectives import Aims, Constraint, Objective
from autotune.report.page import page
from autotune.report.view import StudyView
from autotune.report.words import summary
from autotune.scheduling.asha import ASHA
from autotune.scheduling.extrapolating import Extrapolating
from autotune.searching import CMAES, TPE, FairStart, RandomSearch
from autotune.searching.cost import CostAware
from autotune.simulation.fleet import Fleet
from autotune.simulation.recorded import Recorded
from autotune.simulation.run import simulate
from autotune.space import Float, Int, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study
from autotune.study.yaml_form import read_study
from autotune.task import Classification

SPACE = SearchSpace({"width": Int(4, 256, log=True), "lr": Float(1e-4, 1.0, log=True)})
FASTER = Objective("latency_ms", "min")


def metrics(config, fidelity, seed):
    """The wider the better and the slower."""
    score = 1.0 - math.exp(-config["width"] / 60) - 0.1 * (math.log10(config["lr"]) + 2) ** 2
    return {"score": score - 0.3 * math.exp(-fidelity), "latency_ms": config["width"] / 10}


def plan(**wanted):
    confirm = Confirm(leaders=4, seeds=3)
    return Plan(Budget(trials=25), ASHA(3.0, 0.3), TPE(startup=5), confirm, **wanted)


def test_a_study_finds_a_front_within_its_constraints_and_replays(tmp_path):
    asked = plan(objectives=(FASTER,), constraints=(Constraint("latency_ms", at_most=12.0),))
    work = FunctionWorkload(metrics)
    result = Study(work, SPACE, tmp_path, asked).run()
    assert Study(work, SPACE, tmp_path, asked).run().verdict == result.verdict
    assert len(result.front) > 1
    points = [(one["score"], -one["metrics"]["latency_ms"]) for one in result.front]
    assert sorted(points, reverse=True) == points
    assert [-latency for _, latency in points] == sorted((-y for _, y in points), reverse=True)
    assert max(-latency for _, latency in points) <= 12.0
    assert result.front[0]["config"] == result.best_config
    assert all(len(one["trials"]) == 3 for one in result.front)
    assert result.to_json()["front"] == list(result.front)
    again = Recorded(tmp_path)
    simulated = simulate(again, again.plan(), Fleet(1))
    searched = result.history.of_phase(SEARCH)
    assert [t.scores for t in simulated.history.of_phase(SEARCH)] == [t.scores for t in searched]
    said = summary(tmp_path)
    assert "On the front of score and latency_ms (min), after confirmation: trial" in said
    assert "Constraints: latency_ms <= 12" in said
    assert "Objectives and constraints" in page(StudyView.load(tmp_path))


def test_nobody_wins_who_breaks_a_constraint(tmp_path):
    asked = plan(constraints=(Constraint("latency_ms", at_most=0.1),))
    result = Study(FunctionWorkload(metrics), SPACE, tmp_path, asked).run()
    assert result.best_config is None
    assert result.front == ()
    assert "no candidate kept the constraints (latency_ms <= 0.1); the nearest has" in summary(tmp_path)
    widths = [trial.config["width"] for trial in result.history.of_phase(SEARCH)]
    confirmed = [trial.config["width"] for trial in result.history.of_phase(CONFIRM)]
    assert min(confirmed) == min(widths)


def test_a_report_without_what_was_asked_for_is_a_failure(tmp_path):
    asked = plan(objectives=(Objective("latency", "min"),))
    with pytest.raises(StudyFailedError, match="did you mean 'latency_ms'"):
        Study(FunctionWorkload(metrics), SPACE, tmp_path, asked).run()


@pytest.mark.parametrize(
    "other",
    [{"scheduler": Extrapolating(ASHA(3.0))}, {"searcher": CMAES()}, {"searcher": FairStart(CMAES())}],
)
def test_what_heeds_the_score_alone_is_refused(other):
    name = "CMAES" if "searcher" in other else "Extrapolating"
    with pytest.raises(ConfigurationError, match=f"{name} heeds the score alone"):
        Plan(Budget(trials=1), objectives=(FASTER,), **other)
    assert Plan(Budget(trials=1), **other).aims == Aims()


def test_the_tasks_own_metric_is_no_further_objective(tmp_path):
    task = Classification(digits(), model)
    with pytest.raises(ConfigurationError, match="the task's own metric"):
        Study(task, SPACE, tmp_path, plan(objectives=(Objective("accuracy", "max"),)))


def test_a_plan_without_aims_is_written_as_ever():
    assert not {"objectives", "constraints"} & plan().to_json().keys()
    asked = plan(objectives=(FASTER,), constraints=(Constraint("latency_ms", at_most=1.0),))
    assert Aims.of(Opened({"plan": asked.to_json()}).study) == asked.aims


def test_who_keeps_the_constraints_is_ahead_whatever_its_rung():
    aims = Aims((), (Constraint("latency_ms", at_most=1.0),))

    def trial(number, rung, latency):
        return Trial(number, {}, 0, "test", scores={rung: 0.5}, metrics={"latency_ms": latency})

    trials = [trial(0, 2, 3.0), trial(1, 0, 1.0), trial(2, 1, 1.0), trial(3, 0, 2.0)]
    assert [one.number for one in weighed(trials, aims)] == [2, 1, 3, 0]


def test_objectives_and_constraints_in_yaml(tmp_path):
    text = """\
task: nowhere:task
space: {lr: {float: [0.1, 1.0]}}
plan:
  budget: {trials: 6}
  objectives: {latency_ms: min, worst_class: max}
  constraints: {parameters: {at_most: 1e6}}
  searcher: random
  cost_aware: true
"""
    (tmp_path / "study.yaml").write_text(text)
    asked = read_study(tmp_path / "study.yaml").plan
    assert asked.searcher == FairStart(CostAware(RandomSearch()))
    assert asked.objectives == (FASTER, Objective("worst_class", "max"))
    assert asked.constraints == (Constraint("parameters", at_most=1e6),)
    (tmp_path / "study.yaml").write_text(text.replace("latency_ms: min", "latency_ms: least"))
    with pytest.raises(ConfigurationError, match=r"study.yaml:5:\d+: plan.objectives.latency_ms.*'least'"):
        read_study(tmp_path / "study.yaml")


def model(config):
    width = config.get("width", 8)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10))


def test_what_a_model_takes_is_measured_where_a_study_asks(tmp_path):
    task = Classification(digits(), model)
    asked = Plan(
        Budget(trials=4),
        ASHA(0.4, 0.1),
        RandomSearch(),
        Confirm(leaders=2, seeds=2),
        objectives=(Objective("compute", "min"), Objective("latency_ms", "min")),
        constraints=(Constraint("parameters", at_most=6000), Constraint("worst_class", at_least=0.0)),
    )
    space = SearchSpace({"width": Int(8, 128), "lr": Float(1e-3, 0.1, log=True)})
    result = Study(task, space, tmp_path, asked).run()
    for trial in result.history.trials.values():
        width = trial.config["width"]
        assert trial.metrics["parameters"] == 75 * width + 10
        assert trial.metrics["compute"] == 2 * 74 * width
        assert trial.metrics["latency_ms"] > 0
        assert trial.ledger[Label.EVALUATE].flops > 0
    assert result.front
    for one in result.front:
        assert one["metrics"]["parameters"] <= 6000


def test_a_metric_that_a_task_never_reports_is_refused_before_anything_is_spent(tmp_path):
    task = Classification(digits(), model)
    space = SearchSpace({"lr": Float(1e-3, 0.1, log=True)})
    with pytest.raises(ConfigurationError, match="did you mean 'worst_class'"):
        Study(task, space, tmp_path, plan(objectives=(Objective("worst_clas", "max"),))).run()
