"""Before a study has begun: how long it will take is near how long it takes."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

import autotune as at
from autotune.errors import ConfigurationError
from autotune.events import SEARCH
from autotune.search_spaces.policies import policies
from autotune.simulation.fleet import Fleet
from autotune.simulation.forecast import forecast, pace_of
from autotune.simulation.pace import Pace, measured_epoch

SPACE = at.SearchSpace({"lr": at.Float(0.01, 0.3, log=True), "width": at.Int(8, 64), "policy": policies([])})
PLAN = at.Plan(at.Budget(trials=12), at.ASHA(horizon=4.0, lowest=0.4), confirm=at.Confirm(1, seeds=2))


def build(config):
    return nn.Sequential(nn.Linear(8, config["width"]), nn.ReLU(), nn.Linear(config["width"], 3))


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 8)).astype(np.float32)
    return at.Classification(
        at.Dataset.from_arrays(inputs, (inputs @ rng.normal(size=(8, 3))).argmax(1)), build
    )


@pytest.fixture
def study(task, tmp_path):
    return lambda plan=PLAN: at.Study(task, SPACE, tmp_path / "study", plan)


def paced(study, epoch_s=10.0):
    return pace_of(study, epoch_s)


def test_it_is_near_what_the_study_then_takes(study):
    one = study()
    expected = forecast(one, paced(one), Fleet())
    history = one.run().history
    spent = history.spent[SEARCH].own.epochs(one.workload().reference_flops)
    assert expected.trials == len(history.of_phase(SEARCH)) == 12
    assert expected.spent == pytest.approx(spent, rel=0.35)
    assert expected.searched == pytest.approx(10.0 * expected.spent)
    trainings = len([trial for trial in history.trials.values() if trial.phase != SEARCH])
    assert {trainings, expected.trainings} <= {4, 6}  # who leads, and so how many rivals there are, is chance
    assert expected.seconds > expected.searched + 30.0 * expected.trainings


def test_what_machines_do_to_the_search_they_do_to_the_confirmation(study):
    one = study()
    calm, slow = (forecast(one, paced(one), Fleet(stragglers=share)) for share in (0.0, 1.0))
    assert slow.seconds - slow.searched == pytest.approx(3 * (calm.seconds - calm.searched))
    assert slow.searched == pytest.approx(3 * calm.searched)


def test_larger_models_take_longer(study):
    one = study()
    size = paced(one).size
    middle = one.space.reference()
    assert size(middle) == pytest.approx(1.0)
    assert size({**middle, "width": 64}) > 1.5 * size(middle)


def test_a_model_that_cannot_be_built_counts_as_the_reference(study):
    assert paced(study()).size({"lr": 0.1}) == 1.0


def test_more_workers_are_done_sooner_and_cost_no_less(study):
    one = study()
    pace = paced(one)
    alone, many = (forecast(one, pace, Fleet(workers, price=3.6)) for workers in (1, 8))
    assert many.seconds < alone.seconds / 2
    assert many.paid >= alone.paid
    assert alone.paid == pytest.approx(alone.seconds / 1000)


@pytest.mark.parametrize("limit", [{"usd": 0.5}, {"gpu_hours": 0.5 / 3.6}, {"wall": 0.5 / 3.6 / 4}])
def test_a_budget_for_the_whole_study_holds(study, limit):
    one = study(replace(PLAN, budget=at.Budget(**limit)))
    found = forecast(one, paced(one), Fleet(4, price=3.6))
    assert 0.25 < found.paid <= 0.55  # the pace so far is an estimate
    assert found.trials > 4


def test_idle_workers_are_part_of_a_budget_in_hours(study):
    """An hour is an hour, however few of the workers have something to do."""
    one = study(replace(PLAN, budget=at.Budget(hours=0.1)))
    found = forecast(one, paced(one), Fleet(8, startup=20.0, stragglers=0.3))
    assert found.utilisation < 0.9  # a tenth of the hour and more, nobody had work
    assert 0.1 * 3600 < found.searched < 0.1 * 3600 + 3 * (20.0 + 45.0)  # what runs then is finished


def test_what_cannot_be_forecast_is_said(study):
    one = study(replace(PLAN, budget=at.Budget(usd=0.01)))
    assert forecast(one, paced(one), Fleet(price=3.6)).cut.startswith("usd=0.01 of the budget")
    with pytest.raises(ConfigurationError, match="needs a price"):
        forecast(one, paced(one), Fleet())
    with pytest.raises(ConfigurationError, match="must be above 0"):
        Pace(0.0)


def test_the_pace_is_measured_by_training(study):
    workload = study().workload()
    assert measured_epoch(workload, until_s=0.01) > 0


def test_a_reference_that_cannot_be_trained_is_said(task, tmp_path):
    def refuse(config):
        raise ValueError("no such model")

    workload = at.Study(task, SPACE, tmp_path, PLAN).workload()
    with pytest.raises(ConfigurationError, match="no such model"):
        measured_epoch(replace(workload, task=replace(task, model=refuse)))
