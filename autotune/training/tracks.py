"""What training passes tell of each sample for free, and how often they have told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autotune.signals import Reading


class Track:
    """The latest values of one quantity by sample, oldest first, and when each sample was last seen.

    Args:
        n: Number of samples in the data set.
        length: How many values are kept of each.
        device: Where they are observed.
    """

    def __init__(self, n: int, length: int, device: torch.device) -> None:
        self._values = torch.full((n, length), torch.nan, device=device)
        self._seen = torch.full((n,), -1.0, device=device)  # fidelity; -1 is never

    def observe(self, ids: Tensor, values: Tensor, fidelity: float) -> None:
        """Remember one more value of each sample of a batch; of a sample that it holds twice, one."""
        newest = values.detach().to(self._values.dtype).unsqueeze(1)
        self._values[ids] = torch.cat([self._values[ids][:, 1:], newest], 1)
        self._seen[ids] = fidelity

    def reading(self, ids: Tensor, fidelity: float) -> Reading:
        """All that is kept of these samples, on the CPU; NaN before the first value.

        Args:
            ids: Sample ids.
            fidelity: Now; ages are counted from it, in epoch-equivalents.

        Returns:
            Values of shape (n, length).
        """
        ids = ids.to(self._values.device)
        seen = self._seen[ids].cpu()
        covered = seen >= 0
        age = torch.where(covered, fidelity - seen, torch.inf)
        return Reading(self._values[ids].cpu(), age, covered)

    def latest(self, ids: Tensor, fidelity: float) -> Reading:
        """The newest value of each of these samples alone, shape (n,)."""
        whole = self.reading(ids, fidelity)
        return Reading(whole.values[:, -1], whole.age, whole.covered)

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Both columns."""
        return {"values": self._values, "seen": self._seen}, {}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Become what was captured."""
        self._values.copy_(tensors["values"])
        self._seen.copy_(tensors["seen"])


def unseen(n: int, length: int | None = None) -> Reading:
    """What is known of samples that no training pass has seen: nothing.

    Args:
        n: How many.
        length: Of their histories; None for the latest value alone.
    """
    values = torch.full((n,) if length is None else (n, length), torch.nan)
    return Reading(values, torch.full((n,), torch.inf), torch.zeros(n, dtype=torch.bool))


def suffices(reading: Reading, max_age: float) -> bool:
    """Whether free losses are as good as a pass: every candidate has one, and none is too old."""
    return bool(reading.covered.all()) and float(reading.age.max()) <= max_age


def margins(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of the target less the largest other one (Pleiss et al. 2020, eq. 1).

    Args:
        logits: Shape (n, classes), of at least 2 classes.
        targets: Class ids, shape (n,).

    Returns:
        Shape (n,); positive where the prediction is right.
    """
    of_target = logits.gather(1, targets.unsqueeze(1))
    others = logits.scatter(1, targets.unsqueeze(1), -torch.inf)
    return of_target.squeeze(1) - others.amax(1)
