import io
import itertools

from synthetic import study

from autotune.history import History
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
    assert remaining(state, 0.0, 100.0) == 0.0
    assert remaining(state, 1.0, 100.0) is None  # nothing was done in this run


def test_a_snapshot_counts_every_search_trial_once():
    history = History()
    for event in study(40):
        history.apply(event)
        state = progress(history, "accuracy", 1)
        assert sum(state.states.values()) == len(history.of_phase("search"))
        assert line(state)
    assert state.to_json()["trials"]["stopped"] > 0
