"""Processes without a trial: ready before one starts, and let go where none comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

from ray.tune.execution import class_cache

KEPT_S: Final = 10.0  # about twice what starting another one takes


@contextmanager
def plain_processes() -> Iterator[None]:
    """Trials start in processes that a node keeps ready, for they ask for no environment of their own.

    Tune asks for one, of a variable that Lightning reads and of the driver's keys for AWS, where it has any;
    everybody could then read them in Ray's lists of actors.
    """
    variables, keys = dict(class_cache.DEFAULT_ENV_VARS), set(class_cache.ENV_VARS_TO_PROPAGATE)
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS.update(variables)
        class_cache.ENV_VARS_TO_PROPAGATE.update(keys)


@final
class Kept:
    """The process that Tune keeps for the next trial: ended if none comes, so that its machine is free.

    Args:
        clock: Seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None

    def look(self, tune_controller: Any) -> None:
        """Called at each of Tune's steps."""
        controller = tune_controller._tune_controller  # what schedulers are shown knows of no processes
        if not controller._actor_cache.num_cached_objects:
            self._since = None
        elif self._since is None:
            self._since = self._clock()
        elif self._clock() - self._since > KEPT_S:
            let_go(tune_controller)


def let_go(tune_controller: Any) -> None:
    """End the processes that Tune keeps without a trial."""
    tune_controller._tune_controller._cleanup_cached_actors(force_all=True)
