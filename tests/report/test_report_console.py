import dataclasses
import io
import itertools

from synthetic import study

from autotune.events import Assigned, Interrupted, Opened, Proposed, Reported
from autotune.history import History
from autotune.ledger import Charge, Label, Ledger
from autotune.report.console import LINE_S, Console, line, remaining
from autotune.report.progress import progress


class Screen(io.StringIO):
    def isatty(self):
        return True


def watch(events, console):
    history = History()
    with console:
        for event in events:
            history.apply(event)
            console(history, event)
    return history


def test_where_nobody_watches_a_line_comes_now_and_then_and_at_each_phase():
    events, stream, ticks = study(60), io.StringIO(), itertools.count()
    watch(events, Console(stream=stream, clock=lambda: next(ticks) * LINE_S / 100))
    lines = stream.getvalue().splitlines()
    assert 4 <= len(lines) <= 4 + len(events) // 50
    assert sum("starts, because" in one for one in lines) == 2
    assert "best accuracy" in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_display_and_is_given_back():
    stream = Screen()
    watch(study(30, prices={"local": 2.0}), Console(stream=stream))
    shown = stream.getvalue()
    for word in ("trials", "at 0.1 ee", "compute", "bill", "failed"):
        assert word in shown


def test_quiet_is_quiet():
    stream = Screen()
    watch(study(10), Console(stream=stream, quiet=True))
    assert stream.getvalue() == ""


def test_the_end_is_foretold_from_the_pace_of_this_run():
    history = History()
    for event in study(40, confirmed=False):
        history.apply(event)
    state = progress(history, "accuracy", 1)
    assert state.share == 1.0
    half = dataclasses.replace(state, phase="search", share=0.5)
    assert remaining(half, 0.0, 100.0) == 100.0
    assert remaining(half, 0.25, 100.0) == 200.0
    assert remaining(half, 0.5, 100.0) is None  # nothing was done in this run


def test_a_snapshot_counts_every_search_trial_once():
    history = History()
    for event in study(40):
        history.apply(event)
        state = progress(history, "accuracy", 1)
        assert sum(state.states.values()) == len(history.of_phase("search"))
        assert line(state)
    assert state.to_json()["trials"]["stopped"] > 0


def counted(budget, *events):
    history = History()
    for event in (Opened({"reference_flops": 1.0, "rungs": [1.0], "plan": {"budget": budget}}), *events):
        history.apply(event)
    return history


def one_trial(own, shared):
    charges = {Label.TRAIN: Charge(own, 1.0), Label.SHARED: Charge(shared, 1.0)}
    done = Reported(0, 0, 0, 1.0, 0.5, {}, Ledger(charges))
    return Proposed(0, {}, 0, "t"), Assigned(0, 0, 0, 0.0, 1.0), done


def test_what_all_trials_share_counts_for_no_budget():
    state = progress(counted({"epochs": 10.0}, *one_trial(1.0, 9.0)), "accuracy", 1)
    assert (state.counted, state.share, state.epochs) == (1.0, 0.1, 10.0)
    assert "spent 1 ee of 10 ee on the search, 9 ee shared or lost" in line(state)


def test_what_was_lost_is_part_of_what_was_spent_and_of_no_budget():
    lost = Interrupted(0, 0, "gone", Ledger({Label.TRAIN: Charge(5.0, 1.0)}))
    proposed, assigned, done = one_trial(1.0, 0.0)
    state = progress(counted({"epochs": 10.0}, proposed, assigned, lost, done), "accuracy", 1)
    assert (state.counted, state.share, state.epochs) == (1.0, 0.1, 6.0)


def test_hours_count_those_of_all_drivers_or_none():
    history = counted({"hours": 10.0}, *one_trial(1.0, 0.0))
    assert progress(history, "accuracy", 1, hours=9.5).share == 0.95
    assert progress(history, "accuracy", 1).share is None


def test_nothing_is_foretold_once_nothing_more_is_begun():
    proposed, assigned, _ = one_trial(1.0, 0.0)
    state = progress(counted({"trials": 1}, proposed, assigned), "accuracy", 1)
    assert state.share == 1.0
    assert remaining(state, 0.0, 100.0) is None
