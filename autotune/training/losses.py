"""The losses that training passes yield for free, by sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autotune.signals import Reading


class LossTable:
    """Each sample's last training loss, and when it was seen.

    Args:
        n: Number of samples in the data set.
        device: Where losses are observed.
    """

    def __init__(self, n: int, device: torch.device) -> None:
        self._values = torch.zeros(n, device=device)
        self._seen = torch.full((n,), -1.0, device=device)  # fidelity; -1 is never

    def observe(self, ids: Tensor, losses: Tensor, fidelity: float) -> None:
        """Remember the losses of a batch."""
        self._values[ids] = losses.detach().to(self._values.dtype)
        self._seen[ids] = fidelity

    def reading(self, ids: Tensor, fidelity: float) -> Reading:
        """What is known of these samples, on the CPU, with its age in epoch-equivalents."""
        ids = ids.to(self._values.device)
        seen = self._seen[ids].cpu()
        covered = seen >= 0
        age = torch.where(covered, fidelity - seen, torch.inf)
        return Reading(self._values[ids].cpu(), age, covered)

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Both columns."""
        return {"values": self._values, "seen": self._seen}, {}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Become what was captured."""
        self._values.copy_(tensors["values"])
        self._seen.copy_(tensors["seen"])


def suffices(reading: Reading, max_age: float) -> bool:
    """Whether free losses are as good as a pass: every candidate has one, and none is too old."""
    return bool(reading.covered.all()) and float(reading.age.max()) <= max_age
