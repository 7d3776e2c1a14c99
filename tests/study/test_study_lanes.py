"""Lanes that are measured: once, before the study begins, and told; a resumed study goes by its log."""

import io

import pytest

from autotune.engines.function import FunctionWorkload
from autotune.engines.inprocess import InProcess
from autotune.errors import ConfigurationError
from autotune.events import Assigned, LanesChosen, Reported
from autotune.log import read_events
from autotune.report.console import Console
from autotune.scheduling.asha import ASHA
from autotune.searching.random import RandomSearch
from autotune.space import Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study
from autotune.work import Worker

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
PLAN = Plan(Budget(trials=12), ASHA(horizon=1.0), RandomSearch(), Confirm(leaders=1, seeds=2))


@pytest.fixture
def measured(monkeypatch):
    """What each measurement was asked; it says three lanes."""
    asked = []

    def lanes_worth(worker, most, part):
        asked.append((most, part))
        return 3, "as asked"

    monkeypatch.setattr(Worker, "lanes_worth", lanes_worth)
    return asked


def study(path, engine, plan=PLAN):
    return Study(FunctionWorkload(lambda config, fidelity, seed: config["x"]), SPACE, path, plan, engine)


def test_it_is_measured_once_told_and_kept_in_the_log(tmp_path, measured):
    stream, engine = io.StringIO(), InProcess(lanes="auto")

    def observe(history, event):
        console(history, event)
        if isinstance(event, Reported) and event.assignment == 4:
            raise InterruptedError

    with Console(stream=stream) as console, pytest.raises(InterruptedError):
        study(tmp_path / "study", engine).run(observe)
    assert measured == [(3, 1.0)]  # a quarter of the trials are of use in flight
    assert "lanes of each worker: 3; as asked" in stream.getvalue().splitlines()
    resumed = InProcess(lanes="auto")
    study(tmp_path / "study", resumed).run()
    assert (len(measured), resumed.lanes) == (1, 3)
    events = list(read_events(tmp_path / "study" / "log"))
    assert [event for event in events if isinstance(event, LanesChosen)] == [LanesChosen(3, "as asked")]
    first = next(number for number, event in enumerate(events) if isinstance(event, Reported))
    assert sum(isinstance(event, Assigned) for event in events[:first]) == 3


def test_a_number_that_was_given_is_not_measured(tmp_path, measured):
    study(tmp_path / "study", InProcess(lanes=2)).run()
    assert not measured
    assert not any(isinstance(event, LanesChosen) for event in read_events(tmp_path / "study" / "log"))


@pytest.mark.parametrize(
    ("budget", "ordered", "most"),
    [
        (Budget(trials=12), None, 3),
        (Budget(trials=2), None, 1),
        (Budget(trials=12), 5, 5),
        (Budget(epochs=20.0), None, 50),  # of 200 that could end at the lowest rung
        (Budget(epochs=20.0, trials=100), None, 25),
        (Budget(hours=1.0), None, 10_000),
    ],
)
def test_a_part_of_all_trials_is_of_use_at_once(budget, ordered, most):
    assert Plan(budget, ASHA(horizon=1.0, lowest=0.1), ordered_workers=ordered).most_in_flight == most


def test_work_that_cannot_be_done_together_gets_one_lane(tmp_path):
    engine = InProcess(lanes="auto")
    study(tmp_path / "study", engine).run()
    assert engine.lanes == 1


def test_any_other_word_is_refused():
    with pytest.raises(ConfigurationError, match=r"lanes must be .* or 'auto', got 'all'"):
        InProcess(lanes="all")
