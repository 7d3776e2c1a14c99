"""From a cloud's notice to a node that drains."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from autotune.cluster.spot.notice import Notice, Service
from autotune.errors import ClusterError

EVERY_S: Final = 0.5  # between two questions; the clouds recommend 1 s (Azure) to 5 s (AWS) at most


class Leaving(Protocol):
    """What is asked of a node."""

    def alive(self) -> bool:
        """Whether it has not ended."""

    def drain(self, notice: Notice) -> None:
        """Have it take no more work."""


def watch(
    service: Service,
    node: Leaving,
    say: Callable[[str], None],
    leave_early: bool = False,
    every_s: float = EVERY_S,
) -> None:
    """Ask until the node has ended; at the first notice, drain it.

    A service that is away or speaks in riddles is asked on, and Ray is told again until it takes the order.
    What happens is said once, not at every question.

    Args:
        service: The cloud's.
        node: This machine's.
        say: Takes a line for the log.
        leave_early: Also leave when an end is only likely.
        every_s: Seconds from one question to the next.
    """
    said = drained = ""
    while node.alive():
        began = time.monotonic()
        if not drained:
            try:
                notice = service.ask()
                if notice is not None and (notice.certain or leave_early):
                    node.drain(notice)
                    drained = words = f"{notice.why}{_when(notice)}: the node is draining"
                else:
                    words = (
                        "no notice" if notice is None else f"{notice.why}: the node stays until it is sure"
                    )
            except ClusterError as error:
                words = str(error)
            if words != said:
                say(words)
                said = words
        time.sleep(max(0.0, every_s - (time.monotonic() - began)))
    say("the node has ended")


def _when(notice: Notice) -> str:
    return "" if notice.at_s is None else f" in {notice.at_s - time.time():.0f} s"
