"""A trial's weights as of its latest selections, to look at samples through them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from autotune.training.compare import wearing


class Points:
    """The latest points of training, oldest first; the model's own weights are the last of them.

    Args:
        model: That is trained.
        most: How many are kept.
    """

    def __init__(self, model: nn.Module, most: int) -> None:
        self._model = model
        self._most = most
        self._kept: list[dict[str, Tensor]] = []

    def keep(self) -> None:
        """Keep the weights as they are now."""
        now = {name: value.detach().to("cpu", copy=True) for name, value in self._model.state_dict().items()}
        self._kept = [*self._kept, now][-self._most :]

    def visit(self) -> Iterator[None]:
        """Let the model have the weights of each point in turn, and then its own again.

        The last are its own as they are, so there is always one.
        """
        for weights in [*self._kept[:-1], None]:
            with nullcontext() if weights is None else wearing(self._model, weights):
                yield

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All weights by the number of the point."""
        tensors = {f"{i}/{name}": value for i, kept in enumerate(self._kept) for name, value in kept.items()}
        return tensors, {"points": len(self._kept)}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Become what was captured."""
        self._kept = [
            {k.removeprefix(f"{i}/"): v.clone() for k, v in tensors.items() if k.startswith(f"{i}/")}
            for i in range(state["points"])
        ]
