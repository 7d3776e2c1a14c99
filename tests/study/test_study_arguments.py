"""What a study refuses before anything is spent, and how it says it."""

import dataclasses
import shutil

import numpy as np
import pytest
from torch import nn

from autotune.data import Dataset
from autotune.engines.function import FunctionWorkload
from autotune.engines.inprocess import InProcess
from autotune.errors import ConfigurationError, FolderError
from autotune.report.view import StudyView
from autotune.scheduling.asha import ASHA
from autotune.searching import RandomSearch, StartingPoints
from autotune.space import Choice, Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Result, Study
from autotune.task import Classification, CustomLoop

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
PLAN = Plan(Budget(trials=4), confirm=Confirm(leaders=1, seeds=2))
WORK = FunctionWorkload(lambda config, fidelity, seed: config["x"])
DATA = Dataset.from_arrays(np.arange(400.0).reshape(100, 4), np.arange(100) % 2)


def build(config):
    return nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"objective": DATA}, "objective must be a Task or Workload, got a Dataset; give a task"),
        ({"objective": Classification(build, DATA)}, "data must be a Dataset, got a function; build one"),
        ({"objective": Classification(np.eye(3), build)}, "data must be a Dataset, got a ndarray"),
        ({"objective": Classification(DATA, build({}))}, "model must be a function .* got a Linear"),
        ({"objective": Classification(DATA, build, splits=(1, 2))}, "splits must be a Splits, got a tuple"),
        ({"objective": CustomLoop(DATA, 3)}, "train must be a function of a session, got a int; see"),
        ({"space": {"x": 1}}, r"space must be a SearchSpace, got a dict; wrap .* at.SearchSpace"),
        ({"plan": Budget(trials=4)}, r"plan must be a Plan, got a Budget; write at.Plan"),
        ({"engine": InProcess}, "engine must be a str or Engine, got the class InProcess"),
        ({"engine": "rya"}, "unknown engine 'rya'; did you mean 'ray'"),
        ({"prices": 0.04}, r"prices must be a mapping .* got a float; write prices={'local': 0.04}"),
        ({"prices": {"gpu": -1.0}}, r"prices\['gpu'\] must be .* finite and at least 0, got -1.0"),
        ({"prices": {"gpu": float("nan")}}, r"prices\['gpu'\] must be .* got nan"),
        ({"prices": {"gpu": float("inf")}}, r"prices\['gpu'\] must be .* got inf"),
        ({"prices": {"gpu": "1"}}, r"prices\['gpu'\] must be .* got '1'"),
        ({"prices": {"gpu": True}}, r"prices\['gpu'\] must be .* got True"),
        ({"prices": {3: 1.0}}, "a type of machine must be a name, got 3"),
    ],
)
def test_an_argument_of_another_kind_is_refused(tmp_path, given, text):
    arguments = {"objective": WORK, "space": SPACE, "plan": PLAN, "path": tmp_path / "study"} | given
    with pytest.raises(ConfigurationError, match=text):
        Study(**arguments)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, "at least one of epochs, trials, hours, usd, gpu_hours, wall"),
        ({"trials": "3"}, "budget.trials must be a finite number above 0, got '3'"),
        ({"trials": 2.5}, "budget.trials must be a whole number, got 2.5"),
        ({"trials": True}, "got True"),
        ({"epochs": float("nan")}, "budget.epochs must be .* got nan"),
        ({"hours": 0}, "budget.hours must be .* got 0"),
    ],
)
def test_a_budget_that_is_none_is_refused(limits, text):
    with pytest.raises(ConfigurationError, match=text):
        Budget(**limits)


def test_prices_given_in_python_are_found_by_every_reader_and_may_change(tmp_path):
    result = Study(WORK, SPACE, tmp_path, PLAN, prices={"local": 3600}).run()
    spent = sum(ledger.total.seconds for ledger in result.history.spent.values())
    bill = result.bill()
    assert 0 < bill.total - bill.idle == pytest.approx(spent)  # it is paid while nothing trains, too
    assert result.to_json()["bill"] == result.bill().to_json()
    assert Result.load(tmp_path).bill() == StudyView.load(tmp_path).bill == result.bill()
    assert "cost at the given prices" in (tmp_path / "result" / "report.html").read_text()
    assert Study(WORK, SPACE, tmp_path, PLAN).run().bill() == result.bill()
    dearer = Study(WORK, SPACE, tmp_path, PLAN, prices={"local": 7200}).run()
    assert dearer.bill().total == pytest.approx(2 * result.bill().total)
    assert Study(WORK, SPACE, tmp_path, PLAN, prices={}).run().bill() is None


def test_another_study_is_told_by_what_differs(tmp_path):
    Study(WORK, SPACE, tmp_path, PLAN).run()
    more = Plan(Budget(trials=5), confirm=PLAN.confirm)
    with pytest.raises(FolderError, match=r"plan differ \(plan.budget.trials was 4, is 5\); choose"):
        Study(WORK, SPACE, tmp_path, more).run()
    other = SearchSpace({"x": Float(0.0, 1.0), "kind": Choice(["a", "b"])})
    with pytest.raises(FolderError, match=r"space was without what is new, is kind:, choice: \[a, b\]"):
        Study(WORK, other, tmp_path, PLAN).run()


def test_a_folder_that_was_moved_is_still_the_same_study(tmp_path):
    first = Study(WORK, SPACE, tmp_path / "here", PLAN).run()
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert Study(WORK, SPACE, tmp_path / "there", PLAN).run().verdict == first.verdict


@pytest.mark.parametrize(
    "wrong", [lambda: ASHA(3.0, reduction=3.0), lambda: Confirm(leaders=2.0), lambda: Confirm(seeds=3.5)]
)
def test_counts_are_whole_numbers(wrong):
    with pytest.raises(ConfigurationError, match="must be a whole number of at least"):
        wrong()


def test_numbers_of_numpy_are_numbers(tmp_path):
    points = ({"x": np.float64(0.25)},)
    plan = dataclasses.replace(PLAN, searcher=StartingPoints(RandomSearch(), points))
    result = Study(WORK, SPACE, tmp_path, plan).run()
    assert result.history.trials[0].config == {"x": 0.25}


def test_a_budget_in_money_without_prices_leaves_nothing_behind(tmp_path):
    plan = dataclasses.replace(PLAN, budget=Budget(usd=1.0))
    with pytest.raises(ConfigurationError, match="prices"):
        Study(WORK, SPACE, tmp_path / "s", plan).run()
    assert not list((tmp_path / "s").glob("*.yaml"))
