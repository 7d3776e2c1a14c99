"""How long machines are held, beside a count of them at every moment."""

import math
import random

import pytest

from autotune.engines.machines import Machines


@pytest.mark.parametrize("idle", [0, 2, 7, math.inf])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_held_is_what_is_counted_at_every_moment(idle, seed):
    """As many as were at work at once in the time that a machine may be idle."""
    chance, machines = random.Random(seed), Machines(idle)
    working, history, held, boots = 0, [], 0.0, 0
    for now in range(200):
        wanted = max(0, min(9, working + chance.choice((-2, -1, -1, 0, 1, 1, 2))))
        while working > wanted:
            working -= 1
            machines.leave(working, now)
        while working < wanted:
            boots += machines.occupy(working, now)
            working += 1
        recent = history if math.isinf(idle) else history[max(0, len(history) - idle) :]
        held += max([working, *recent])
        history.append(working)
        assert machines.held(now + 1) == pytest.approx(held)
    assert boots > 0
