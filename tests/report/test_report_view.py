import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import study, write

from autotune.account import fates
from autotune.errors import FolderError
from autotune.events import (
    SEARCH,
    Assigned,
    DriverStarted,
    Held,
    Opened,
    Proposed,
    Reported,
    from_json,
    to_json,
)
from autotune.ledger import Charge, Label, Ledger
from autotune.log import TrialLog
from autotune.report.page import page
from autotune.report.tables import ledger_table, trials_table
from autotune.report.view import StudyView
from autotune.report.words import summary

STUDIES = st.builds(
    study, trials=st.integers(0, 40), seed=st.integers(0, 20), failing=st.sampled_from([0.0, 0.2, 1.0])
)


@settings(max_examples=30, deadline=None)
@given(STUDIES)
def test_every_flop_is_in_one_phase_and_has_one_fate(events):
    view = StudyView.of(events)
    everything = sum((event.ledger for event in events if hasattr(event, "ledger")), Ledger())
    assert view.total.total.flops == pytest.approx(everything.total.flops)
    search = view.phases.get(SEARCH, Ledger())
    parts = fates(view.history).values()
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


def test_money_is_seconds_times_price():
    view = StudyView.of(study(20, prices={"local": 3600.0}))
    assert view.bill.total == pytest.approx(view.total.total.seconds)
    assert sum(view.bill.machines.values()) == pytest.approx(view.bill.total)
    assert {
        phase: pytest.approx(view.phases[phase].total.seconds) for phase in view.phases
    } == view.bill.phases
    assert view.bill.unpriced == view.bill.unused == ()
    assert StudyView.of(study(20)).bill is StudyView.of(study(20, prices={})).bill is None


def test_the_bill_is_shared_out_to_trials_and_labels_but_for_idle_machines():
    events = study(20, prices={"local": 3600.0})
    busy = StudyView.of(events).total.total.seconds
    view = StudyView.of([*events, Held({"local": 2 * busy}, {"local": 4 * busy})])
    assert view.bill.idle > 0
    labels = [view.cost(Ledger({label: view.total[label]})) for label in Label]
    assert sum(labels) == pytest.approx(view.bill.total - view.bill.idle)
    assert sum(view.cost(ledger) for ledger in view.phases.values()) == pytest.approx(sum(labels))
    assert str(ledger_table(view)).count(">money</th>") == 1
    assert "idle and booting machines, money" in str(ledger_table(view))
    assert ">money</th>" in str(trials_table(view))
    free = StudyView.of(study(20))
    assert free.cost(free.total) is None
    assert "money" not in f"{ledger_table(free)}{trials_table(free)}"


def test_a_machine_without_a_price_and_a_price_without_a_machine_are_named():
    view = StudyView.of(study(20, prices={"gpu": 1.0}))
    assert (view.bill.unpriced, view.bill.unused, view.bill.total) == (("local",), ("gpu",), 0.0)
    for text in (summary(view), page(view)):
        assert "no price was given for local" in text
        assert "prices were given for gpu, where nothing ran" in text
    assert view.bill.to_json() == {
        "total": 0.0,
        "phases": dict.fromkeys(view.phases, 0.0),
        "machines": {},
        "unpriced": ["local"],
        "unused": ["gpu"],
        "idle": None,
    }


def test_the_prices_given_last_hold_for_everything_and_silence_changes_none():
    events = study(20, prices={"local": 1.0})
    first = StudyView.of(events).bill.total
    assert StudyView.of([*events, DriverStarted(2)]).bill.total == first
    assert StudyView.of([*events, DriverStarted(2, prices={"local": 3.0})]).bill.total == pytest.approx(
        3 * first
    )
    assert StudyView.of([*events, DriverStarted(2, prices={})]).bill is None


def test_a_log_without_prices_and_machines_is_still_read():
    old = [to_json(event) for event in study(12)]
    for body in old:
        if body["event"] == "DriverStarted":
            del body["prices"]
        if body["event"] == "TestRead":
            del body["node"]
    assert StudyView.of(map(from_json, old)).history.seconds == StudyView.of(study(12)).history.seconds


def test_drivers_are_counted_where_the_manifest_counts_them():
    view = StudyView.of([*study(5), DriverStarted(7)])  # the epochs between died before they said a word
    assert view.history.drivers == 2
    assert "<dt>drivers</dt><dd>2</dd>" in page(view)


def test_a_folder_reads_as_its_events(tmp_path):
    events = study(20)
    loaded = StudyView.load(write(tmp_path, events))
    assert loaded.points == StudyView.of(events).points
    assert loaded.metric == "accuracy"
    assert "target_alignment" in loaded.arms


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(FolderError, match="holds no study"):
        StudyView.load(tmp_path)


def test_wall_clock_counts_drivers_and_not_the_pauses_between_them(tmp_path, monkeypatch):
    clock = iter([100.0, 101.0, 105.0, 1000.0, 1002.0])
    monkeypatch.setattr("autotune.log.local.time.time", lambda: next(clock))
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


def test_what_trials_took_before_an_engine_could_tell_is_paid_too():
    """Three hours by a driver that told of no machines; the next one tells of a minute, and is told again."""

    def trial(number, seconds):
        spent = Ledger({Label.TRAIN: Charge(1.0, seconds)})
        done = Reported(number, number, 0, 1.0, 0.5, {}, spent, node="a100")
        return Proposed(number, {}, 0, "t"), Assigned(number, number, 0, 0.0, 1.0), done

    def paid(*events):
        return StudyView.of([Opened({"rungs": [1.0]}), *events]).bill

    first = (DriverStarted(1, prices={"a100": 2.0}), *trial(0, 3 * 3600.0))
    assert paid(*first).total == 6.0
    second = (DriverStarted(2), *trial(1, 30.0), Held({"a100": 60.0}, {"a100": 60.0}))
    bill = paid(*first, *second)
    assert bill.total == pytest.approx(6.0 + 2 / 60)
    assert bill.idle == pytest.approx(1 / 60)
    again = paid(*first, *second, DriverStarted(3), Held({"a100": 60.0}, {"a100": 60.0}))
    assert again.total == pytest.approx(6.0 + 4 / 60)
