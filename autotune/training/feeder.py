"""Turns a policy into a stream of batches: warm-up, selection, passes over the subset, annealing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.policy import Policy, Schedule
from autotune.selection import Scope, Subset
from autotune.training.randomness import generator

ALL: Final = "all"
SUBSET: Final = "subset"

Choose = Callable[[int], Subset]  # the number of the selection, counted from 0
Order = Callable[[Tensor, torch.Generator], list[Tensor]]  # ids to their positions, in windows


def phase(schedule: Schedule, progress: float) -> str:
    """What is trained on at a progress: all data in the warm-up and in the end, a subset between."""
    return SUBSET if schedule.warmup <= progress < 1.0 - schedule.anneal else ALL


def shuffled(ids: Tensor, generator: torch.Generator) -> list[Tensor]:
    """A random order in one window."""
    return [torch.randperm(len(ids), generator=generator)]


def due(policy: Policy, progress: float, selected_at: float) -> bool:
    """Whether to choose again, a pass over the present subset being done."""
    return policy.selector.scope is Scope.EPOCH and progress - selected_at >= policy.schedule.interval


@dataclass
class _Position:
    """Where the stream is; with the subset, all that has to be saved: orders are derived again."""

    phase: str = ""  # none yet
    passes: int = -1  # number of the pass; seeds its order
    batch: int = 0  # next in the pass
    selections: int = 0
    selected_at: float = 0.0  # progress


class Feeder:
    """The stream of one trial.

    Args:
        policy: What to train on.
        ids: The training split, on the CPU.
        seed: The trial's; with the number of the pass it decides the order.
        choose: Makes a selection, whatever that takes.
        device: Where ids and weights are wanted.
        order: Of a pass; what a window of it holds is wanted together.
    """

    def __init__(
        self,
        policy: Policy,
        ids: Tensor,
        seed: int,
        choose: Choose,
        device: torch.device,
        order: Order = shuffled,
    ) -> None:
        self._policy = policy
        self._all = Subset.uniform(ids)
        self._seed = seed
        self._choose = choose
        self._device = device
        self._by = order
        self._at = _Position()
        self._subset: Subset | None = None
        self._batches: list[tuple[Tensor, Tensor]] = []
        self._windows: list[Tensor] = []
        self._reached: list[int] = []  # the window in which each batch ends
        self._ordered = False  # whether the batches are those of the pass
        self.batch_size = 1

    @property
    def selections(self) -> int:
        """How often a subset was chosen."""
        return self._at.selections

    def ready(self, progress: float) -> None:
        """Make sure that there is a batch to take; begins a pass and selects when that is due."""
        now = phase(self._policy.schedule, progress) if self._policy.selects else ALL
        at = self._at
        if at.phase == now:
            self._order()
            if at.batch < len(self._batches):
                return
        if now == SUBSET and (self._subset is None or due(self._policy, progress, at.selected_at)):
            self._select(progress)
        at.phase, at.passes, at.batch = now, at.passes + 1, 0
        self._ordered = False
        self._order()

    def take(self) -> tuple[Tensor, Tensor]:
        """Ids and weights of the next batch; `ready` comes first."""
        self._at.batch += 1
        return self._batches[self._at.batch - 1]

    @property
    def window(self) -> Tensor:
        """Ids of the window in which the batch ends that was taken last."""
        return self._windows[self._reached[self._at.batch - 1]]

    def _select(self, progress: float) -> None:
        subset = self._choose(self._at.selections)
        if len(subset) == 0:
            raise SelectorError(f"policy {self._policy.name!r} selected no sample at all; raise its fraction")
        self._subset = subset
        self._at.selections += 1
        self._at.selected_at = progress

    def _order(self) -> None:
        """Shuffle for the present pass; the same however often it is done.

        Batches are equal in size, give or take one sample: a small last one would weigh its samples more than
        the others, and breaks batch normalisation when it holds a single one.
        """
        if self._ordered:
            return
        subset = self._subset if self._at.phase == SUBSET and self._subset is not None else self._all
        windows = self._by(subset.ids, generator(self._seed, "order", self._at.passes))
        order = torch.cat(windows)
        count = -(-len(subset) // self.batch_size)
        ids = subset.ids[order].to(self._device).tensor_split(count)
        weights = subset.weights[order].to(self._device).tensor_split(count)
        self._batches = list(zip(ids, weights, strict=True))
        ends, last = (torch.tensor([len(one) for one in parts]).cumsum(0) for parts in (windows, ids))
        self._windows = [subset.ids[window] for window in windows]
        self._reached = torch.searchsorted(ends, last).tolist()
        self._ordered = True

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The position, and the subset."""
        subset = self._subset
        tensors = {} if subset is None else {"ids": subset.ids, "weights": subset.weights}
        return tensors, dict(vars(self._at))

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go on where it was."""
        self._at = _Position(**state)
        self._subset = Subset(tensors["ids"], tensors["weights"]) if tensors else None
        self._ordered = False
