"""Hyperband: its contract, who competes with whom, and what each bracket gets."""

import pytest

from autotune.errors import ConfigurationError
from autotune.events import Assigned, Proposed, Reported
from autotune.scheduling.base import Promote, Start
from autotune.scheduling.hyperband import Hyperband
from autotune.testing.schedulers import SchedulerContract, drive


class TestHyperband(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return Hyperband(horizon=9.0, lowest=1.0, reduction=3)


def costs(log, rungs):
    """Fidelity spent in the bracket of each first rung."""
    first, spent = {}, [0.0] * len(rungs)
    for event in log:
        if isinstance(event, Assigned):
            first.setdefault(event.trial, event.rung)
            spent[first[event.trial]] += event.until - event.since
    return spent


def test_every_bracket_gets_about_the_same_compute():
    hyperband = Hyperband(horizon=27.0, lowest=1.0)
    spent = costs(drive(hyperband, 1, trials=400, seed=0), hyperband.rungs)
    assert len(spent) == 4
    assert max(spent) < 1.6 * min(spent)


def test_trials_compete_within_their_bracket():
    hyperband = Hyperband(horizon=4.0, lowest=1.0, reduction=2)
    state = hyperband.initial()
    for trial, (rung, score) in enumerate([(0, 0.1), (0, 0.2), (1, 0.9), (1, 0.8)]):
        state = hyperband.apply(state, Proposed(trial, {}, 0, "t"))
        state = hyperband.apply(state, Assigned(trial, trial, rung, 0.0, hyperband.rungs[rung]))
        state = hyperband.apply(state, Reported(trial, trial, rung, hyperband.rungs[rung], score))
    assert hyperband.decide(state) == Promote(2, 2)  # of its bracket's two, at the higher rung
    state = hyperband.apply(state, Assigned(4, 2, 2, 2.0, 4.0))
    assert hyperband.decide(state) == Promote(1, 1)  # though both of the other bracket are better
    state = hyperband.apply(state, Assigned(5, 1, 1, 1.0, 2.0))
    assert isinstance(hyperband.decide(state), Start)


def test_whoever_has_to_enter_later_belongs_to_the_later_bracket():
    hyperband = Hyperband(horizon=4.0, lowest=1.0, reduction=2)
    state = hyperband.apply(hyperband.initial(), Proposed(0, {}, 0, "t"))
    assert hyperband.decide(state) == Start(0)
    state = hyperband.apply(state, Assigned(0, 0, 2, 0.0, 4.0))
    assert state.bracket == {0: 2}
    assert state.turns == [4.0, 0.0, 0.0]  # a training to the end, in the turn of the first


@pytest.mark.parametrize(
    "arguments", [{"horizon": 0.0}, {"horizon": 1.0, "lowest": 2.0}, {"horizon": 1.0, "reduction": 1}]
)
def test_settings_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigurationError, match="must be"):
        Hyperband(**arguments)


def test_brackets_take_turns_where_nobody_can_begin_at_the_first():
    hyperband = Hyperband(horizon=27.0, lowest=1.0)
    state, wanted = hyperband.initial(), []
    for trial in range(60):
        start = hyperband.decide(state)
        assert isinstance(start, Start)
        wanted.append(start.rung)
        state = hyperband.apply(state, Proposed(trial, {}, 0, "t"))
        rung = max(1, start.rung)
        state = hyperband.apply(state, Assigned(trial, trial, rung, 0.0, hyperband.rungs[rung]))
    assert {0, 1, 2, 3} == set(wanted)
    assert 3 <= wanted.count(3) <= wanted.count(1)
