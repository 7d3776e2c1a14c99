import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import study, write

from autotune.errors import LogError
from autotune.events import SEARCH, DriverStarted, Opened, Proposed
from autotune.ledger import Ledger
from autotune.log import TrialLog
from autotune.report.account import fates
from autotune.report.view import StudyView

STUDIES = st.builds(
    study, trials=st.integers(0, 40), seed=st.integers(0, 20), failing=st.sampled_from([0.0, 0.2, 1.0])
)


@settings(max_examples=30, deadline=None)
@given(STUDIES)
def test_every_flop_is_in_one_phase_and_has_one_fate(events):
    view = StudyView.of(events)
    everything = sum((event.ledger for event in events if hasattr(event, "ledger")), Ledger())
    assert view.account.total().total.flops == pytest.approx(everything.total.flops)
    search = view.account.phases.get(SEARCH, Ledger())
    parts = fates(view.history, view.account).values()
    assert sum(part.total.flops for part in parts) == pytest.approx(search.total.flops)
    assert 0.0 <= view.wasted() <= 1.0


@settings(max_examples=30, deadline=None)
@given(STUDIES)
def test_the_best_so_far_only_improves_and_ends_with_the_best(events):
    view = StudyView.of(events)
    scores = [point.score for point in view.best()]
    assert scores == sorted(scores)
    finite = [point.score for point in view.points if math.isfinite(point.score)]
    assert (scores[-1] if scores else None) == max(finite, default=None)
    spent = [point.spent for point in view.points]
    assert spent == sorted(spent)


def test_money_is_seconds_times_price_and_unknown_machines_are_named():
    view = StudyView.of(study(20), {"local": 3600.0})
    assert view.account.money(view.prices) == pytest.approx(view.account.total().total.seconds)
    assert view.account.unpriced(view.prices) == []
    assert view.account.unpriced({"gpu": 1.0}) == ["local"]
    assert view.account.money({}) is None


def test_a_folder_reads_as_its_events(tmp_path):
    events = study(20)
    loaded = StudyView.load(write(tmp_path, events))
    assert loaded.points == StudyView.of(events).points
    assert loaded.metric == "accuracy"
    assert "target_alignment" in loaded.arms


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(LogError, match="holds no study"):
        StudyView.load(tmp_path)


def test_wall_clock_counts_drivers_and_not_the_pauses_between_them(tmp_path, monkeypatch):
    clock = iter([100.0, 101.0, 105.0, 1000.0, 1002.0])
    monkeypatch.setattr("autotune.log.time.time", lambda: next(clock))
    opened = Opened({"name": "s", "rungs": [1.0], "reference_flops": 1.0})
    first = TrialLog(tmp_path / "log")
    first.append(opened)
    first.append(DriverStarted(1))
    first.append(Proposed(0, {}, 0, "t"))
    first.close()
    second = TrialLog(tmp_path / "log")
    second.append(DriverStarted(2))
    second.append(Proposed(1, {}, 0, "t"))
    second.close()
    assert StudyView.load(tmp_path).wall_s == 6.0  # from DriverStarted on
