"""Every draw of a trial comes from its seed; the process's own generators are left as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from autotune.seeds import derive


def generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """A generator for one purpose. Nothing of it has to be saved: it can be derived again."""
    return torch.Generator().manual_seed(derive(seed, purpose, index))


@contextmanager
def scope(device: torch.device) -> Iterator[None]:
    """Let torch's global generators be used, and put them back as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


class GlobalGenerators:
    """Torch's global generators, from which dropout draws, as a part of a trial's state."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def seed(self, seed: int) -> None:
        """Start them at a seed."""
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):
                torch.cuda.manual_seed(seed)

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Their states."""
        states = {"cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self._device)
        return states, {}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go on where they were; a state from another kind of device is left out."""
        torch.set_rng_state(tensors["cpu"])
        if self._device.type == "cuda" and "cuda" in tensors:
            torch.cuda.set_rng_state(tensors["cuda"], self._device)
