"""What a cluster holds: room for trials, on machines that are there or boot, and what is paid for them."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Final, final

import ray

from autotune.cluster.connection import booting, live_nodes, on_their_way
from autotune.cluster.draining import staying
from autotune.cluster.footprint import Footprint
from autotune.cluster.rent import Rent
from autotune.events import Held

REFRESH_S: Final = 1.0
PATIENCE_S: Final = 5.0  # with a head that is asked


@final
class Fleet:
    """The machines of a cluster, looked at no more than once a second.

    Args:
        footprint: What a trial occupies.

    Attributes:
        fits: Trials that have room on machines which are there to stay.
        coming: Those that will have on machines which boot.
        held: What machines were held since `rent`, those that boot included.
    """

    def __init__(self, footprint: Footprint) -> None:
        self._footprint = footprint
        self._looked = -REFRESH_S
        self._rent: Rent | None = None
        self._grows = False
        self._asking: threading.Thread | None = None
        self.fits = self.coming = 0
        self.held = Held()

    def rent(self, grows: bool) -> None:
        """A machine is paid for from now on, the start of the study.

        Args:
            grows: Whether there may be an autoscaler that brings further ones.
        """
        self._rent, self._grows = Rent(self._footprint.each, time.monotonic()), grows

    def look(self) -> None:
        """Take in what there is; without a head to ask, what was there last holds until one is back."""
        now = time.monotonic()
        away = self._asking is not None and self._asking.is_alive()
        if away or now - self._looked < REFRESH_S or not ray.is_initialized():
            return
        self._looked = now
        self._asking = threading.Thread(target=self._ask, args=(now,), name="autotune-fleet", daemon=True)
        self._asking.start()
        self._asking.join(PATIENCE_S)

    def _ask(self, now: float) -> None:
        with suppress(Exception):  # no head, or no cluster any more: no reason to end a study
            nodes = live_nodes()
            awaited = booting() if self._grows else {}
            self.fits = self._footprint.fits(staying(nodes))
            self.coming = on_their_way(awaited, nodes, self._footprint.each) // self._footprint.processes
            if self._rent is not None:
                self.held = self._rent.look(nodes, now, awaited)

    def room(self, ahead: int) -> int:
        """Trials that there is room for, now and soon, where so many more are looked ahead.

        What boots counts for as much as is there, or is looked ahead: a cloud that has no machines left is
        not waited for with ever more trials, decided on too early.
        """
        return self.fits + min(self.coming, max(self.fits, ahead))
