"""What a cluster holds: room for trials, on machines that are there or boot, and what is paid for them."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Final, final

import ray

from autotune.cluster.footprint import Footprint
from autotune.cluster.live.connection import booting, live_nodes, on_their_way
from autotune.cluster.live.draining import staying
from autotune.cluster.live.rent import Rent
from autotune.events import Held

REFRESH_S: Final = 1.0
PATIENCE_S: Final = 5.0  # with a head that is asked


@final
class Fleet:
    """The machines of a cluster, looked at every second by a thread: an answer takes while a head is away.

    Args:
        footprint: What a trial occupies.

    Attributes:
        fits: Trials that have room on machines which are there to stay.
        coming: Those that will have on machines which boot.
        held: What machines were held since `open`, those that boot included.
    """

    def __init__(self, footprint: Footprint) -> None:
        self._footprint = footprint
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.fits = self.coming = 0
        self.held = Held()

    def open(self, grows: bool) -> None:
        """Look from now on, the start of the study; a machine is paid for from now on, too.

        Args:
            grows: Whether there may be an autoscaler that brings further ones.
        """
        self._ended = threading.Event()
        rent, first = Rent(self._footprint.each, time.monotonic(), live_nodes()), threading.Event()

        def watch() -> None:
            while not self._ended.is_set():
                with suppress(Exception):  # no head, or no cluster any more: no reason to end a study
                    self._look(rent, grows)
                first.set()
                self._ended.wait(REFRESH_S)

        self._thread = threading.Thread(target=watch, name="autotune-fleet", daemon=True)
        self._thread.start()
        first.wait(PATIENCE_S)

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)

    def _look(self, rent: Rent, grows: bool) -> None:
        """Take in what there is; without a head to ask, what was there last holds until one is back."""
        if not ray.is_initialized():
            return
        nodes = live_nodes()
        now, awaited = time.monotonic(), booting() if grows else {}
        self.fits = self._footprint.fits(staying(nodes))
        self.coming = on_their_way(awaited, nodes, self._footprint.each) // self._footprint.processes
        self.held = rent.look(nodes, now, awaited)

    def room(self, ahead: int) -> int:
        """Trials that there is room for, now and soon, where so many more are looked ahead.

        What boots counts for as much as is there, or is looked ahead: a cloud that has no machines left is
        not waited for with ever more trials, decided on too early.
        """
        return self.fits + min(self.coming, max(self.fits, ahead))
