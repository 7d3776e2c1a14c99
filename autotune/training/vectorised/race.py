"""Which of two ways of doing the same is faster here and now."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

SAMPLES: Final = 4  # of each way
HOLDS: Final = 1000  # rounds, after which the race is run again


class Race:
    """Rounds are made alone or together: first by turns, then as was faster; now and then again by turns.

    Of each way the shortest round counts, by row: other work on the machine only ever lengthens one.

    Args:
        device: Where they are made.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._round = 0
        self._best_s = {False: math.inf, True: math.inf}

    @property
    def together(self) -> bool:
        """How the next round is to be made."""
        if self._round < 2 * SAMPLES:
            return self._round % 2 == 1
        return self._best_s[True] < self._best_s[False]

    @contextmanager
    def round(self, rows: int) -> Iterator[None]:
        """A round of so many rows is made within."""
        together, racing = self.together, self._round < 2 * SAMPLES
        began = self._now() if racing else 0.0
        yield
        if racing:
            self._best_s[together] = min(self._best_s[together], (self._now() - began) / rows)
        self._round += 1
        if self._round == HOLDS:
            self._round, self._best_s = 0, {False: math.inf, True: math.inf}

    def result(self) -> str:
        """Both times of the race that was run last, for a person."""
        return f"{1e3 * self._best_s[True]:.3f} ms together, {1e3 * self._best_s[False]:.3f} ms alone"

    @property
    def gain(self) -> float:
        """How many times as fast together is as alone, by the race that was run last."""
        return self._best_s[False] / self._best_s[True]

    @property
    def over(self) -> bool:
        """Whether the last round was the last of the race."""
        return self._round == 2 * SAMPLES

    def _now(self) -> float:
        """Seconds; of the processor where they mean the same, since others may want it too."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif torch.get_num_threads() == 1:
            return time.thread_time()
        return time.perf_counter()
