"""What a trial remembers of its training for its selector, and no more than that one needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autotune.errors import SelectorError
from autotune.signals import CHECKPOINTS, LENGTH, Signal
from autotune.task import Batch
from autotune.training.parallel.ranks import ALONE, Ranks
from autotune.training.parts import Part
from autotune.training.points import Points
from autotune.training.tracks import Track, margins


class Memory:
    """Tracks and points of one trial.

    Args:
        needs: What its selector reads.
        model: That is trained.
        n: Number of samples in the data set.
        device: Where they are.
        ranks: That share each batch.

    Attributes:
        losses: Of training; None where nobody needs them.
        margins: Of training; None where nobody needs them.
        points: Weights as of the latest selections; None where nobody needs them.
    """

    def __init__(
        self,
        needs: Iterable[Signal],
        model: nn.Module,
        n: int,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        needs = frozenset(needs)
        self._ranks = ranks
        self._model = model
        self._outputs: Any = None
        self.losses: Track | None = None
        self.margins: Track | None = None
        if needs & {Signal.LOSS, Signal.LOSS_HISTORY}:
            self.losses = Track(n, LENGTH if Signal.LOSS_HISTORY in needs else 1, device)
        if Signal.MARGIN_HISTORY in needs:
            self.margins = Track(n, LENGTH, device)
        self.points: Points | None = None
        if Signal.CHECKPOINT_GRADIENTS in {signal.plain for signal in needs}:
            self.points = Points(model, CHECKPOINTS)

    def parts(self) -> dict[str, Part]:
        """What of it is saved with the trial."""
        parts = {"losses": self.losses, "margins": self.margins, "points": self.points}
        return {name: part for name, part in parts.items() if part is not None}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See what the model gives in a training step, where somebody needs that."""
        if self.margins is None:
            yield
            return
        self._outputs = None
        handle = self._model.register_forward_hook(self._see)
        try:
            yield
        finally:
            handle.remove()

    def stepped(self, batch: Batch, fidelity: float) -> None:
        """A step on this batch was made.

        Raises:
            SelectorError: When margins are needed and the model has given no logits.
        """
        if self.margins is not None:
            outputs, self._outputs = self._outputs, None
            mine = batch.rows(self._ranks.rows(len(batch)))
            found = margins(logits_of(outputs, mine), mine.targets)
            self.margins.observe(batch.ids, self._ranks.whole(found, len(batch)), fidelity)

    def _see(self, module: nn.Module, given: Any, output: Any) -> None:
        if module.training:
            self._outputs = output.detach() if isinstance(output, Tensor) else output


def logits_of(outputs: object, batch: Batch) -> Tensor:
    """The outputs of a model, if they are logits of a batch.

    Raises:
        SelectorError: When they are not.
    """
    if batch.targets.dim() != 1 or batch.targets.is_floating_point():
        raise SelectorError(
            "margins need class ids as targets; use selectors that do not need margin_history"
        )
    if (
        isinstance(outputs, Tensor)
        and outputs.dim() == 2
        and outputs.shape[1] > 1
        and len(outputs) == len(batch)
    ):
        return outputs
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    raise SelectorError(
        "margins need logits from the attached model, once in each step and for the whole batch, "
        f"({len(batch)}, classes), got {shape}; or use selectors that do not need margin_history"
    )
