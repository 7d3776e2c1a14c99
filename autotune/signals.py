"""What a selector may look at: per-sample arrays, in one canonical order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import torch
from torch import Tensor

from autotune.errors import SelectorError


class Signal(StrEnum):
    """A per-sample array a selector may ask for (n: candidates, m: samples of the *target* split).

    `LOSS` comes for free from the training passes where it is recent enough, histories always do; targets and
    groups are known. Every other signal costs a forward pass over the candidates, gradients a backward pass
    too; those of a frozen encoder and of the hold-out model are computed once per study. Signals named
    `TARGET_SPLIT_*` describe the target split instead.
    """

    LOSS = "loss"  # (n,) per-sample training loss
    LOGITS = "logits"  # (n, classes)
    PROBABILITIES = "probabilities"  # (n, classes) softmax of the logits
    TARGETS = "targets"  # (n,) class ids, or (n, outputs) regression targets
    GROUPS = "groups"  # (n,) ids >= 0 of the source or domain that a sample comes from
    EMBEDDINGS = "embeddings"  # (n, width) input of the last linear layer
    ERRORS = "errors"  # (n, outputs) gradient of the loss with respect to the last layer's output
    FEATURES = "features"  # (n, width) of the user's frozen encoder, or the embeddings where there is none
    GRADIENTS = "gradients"  # (n, k) random projection of each sample's gradient by the model's weights
    UPDATES = "updates"  # (n, k) the same of the gradient as the optimizer preconditions it
    CHECKPOINT_GRADIENTS = "checkpoint_gradients"  # (n, c, k) gradients at c points of training, latest last
    LOSS_HISTORY = "loss_history"  # (n, t) the latest t training losses, oldest first; NaN before the first
    MARGIN_HISTORY = "margin_history"  # (n, t) target logit less the largest other one, likewise
    REFERENCE_LOSS = "reference_loss"  # (n,) loss of a model that was trained on the target split
    TARGET_SPLIT_EMBEDDINGS = "target_split/embeddings"  # (m, width)
    TARGET_SPLIT_ERRORS = "target_split/errors"  # (m, outputs)
    TARGET_SPLIT_TARGETS = "target_split/targets"  # (m,) or (m, outputs)
    TARGET_SPLIT_GRADIENTS = "target_split/gradients"  # (m, k)
    TARGET_SPLIT_CHECKPOINT_GRADIENTS = "target_split/checkpoint_gradients"  # (m, c, k)

    @property
    def of_target_split(self) -> bool:
        """Whether the signal describes the target split instead of the candidates."""
        return self.value.startswith(_TARGET_SPLIT)

    @property
    def plain(self) -> Signal:
        """What the signal tells, of whichever samples."""
        return Signal(self.value.removeprefix(_TARGET_SPLIT))

    @property
    def on_target_split(self) -> Signal:
        """The signal that tells the same of the target split."""
        return Signal(_TARGET_SPLIT + self.plain.value)


_TARGET_SPLIT: Final = "target_split/"
KNOWN: Final = frozenset({Signal.TARGETS, Signal.GROUPS})  # the data has them
LENGTH: Final = 16  # of a history
HISTORIES: Final = frozenset({Signal.LOSS_HISTORY, Signal.MARGIN_HISTORY})  # training yields them
BACKWARD: Final = frozenset({Signal.GRADIENTS, Signal.UPDATES, Signal.CHECKPOINT_GRADIENTS})
ONCE: Final = frozenset({Signal.REFERENCE_LOSS})  # computed once per study, for all trials
FORWARD: Final = frozenset(
    signal
    for signal in Signal
    if not signal.of_target_split and signal not in KNOWN | HISTORIES | BACKWARD | ONCE
)
FORWARD_SHARE: Final = 1 / 3  # of a forward and backward pass
CHECKPOINTS: Final = 3  # at how many points of training gradients are taken, where that many are needed


def passes(needs: Iterable[Signal]) -> float:
    """Epoch-equivalents of collecting signals from all training samples; the target split's are left out."""
    wanted = frozenset(needs)
    whole = len(wanted & {Signal.GRADIENTS, Signal.UPDATES})
    whole += CHECKPOINTS * (Signal.CHECKPOINT_GRADIENTS in wanted)
    return whole + (FORWARD_SHARE if wanted & FORWARD else 0.0)


@dataclass(frozen=True)
class Reading:
    """One signal as it was collected.

    Attributes:
        values: The array; its first dimension is the samples.
        age: Epoch-equivalents since each value was collected, shape (n,); 0 is fresh.
        covered: Which samples have a value at all, shape (n,); the rest of `values` is undefined.
    """

    values: Tensor
    age: Tensor
    covered: Tensor

    @classmethod
    def fresh(cls, values: Tensor) -> Reading:
        """A reading collected just now, for every sample."""
        n = len(values)
        return cls(values, torch.zeros(n), torch.ones(n, dtype=torch.bool))

    def take(self, positions: Tensor) -> Reading:
        """The same reading for some of the samples, in the order of `positions`."""
        return Reading(self.values[positions], self.age[positions], self.covered[positions])


class Signals(Mapping[Signal, Tensor]):
    """The signals of n candidate samples, sorted by sample id.

    Sorting here, once, is what makes every selector independent of the order in which its candidates were
    collected: a stable sort breaks ties by sample id, and the k-th draw belongs to the k-th id.

    Args:
        ids: Distinct sample ids, shape (n,), any order.
        readings: One reading per signal; a plain tensor is taken as fresh.
        progress: Share of the trial's horizon spent, in [0, 1].

    Raises:
        SelectorError: When ids repeat, there are none, or a reading's length differs from theirs.
    """

    def __init__(
        self, ids: Tensor, readings: Mapping[Signal, Reading | Tensor], progress: float = 0.0
    ) -> None:
        self.progress = progress
        order = ids.argsort(stable=True)
        self.ids = ids[order]
        if len(ids) == 0:
            raise SelectorError("ids must name at least one candidate sample, got none")
        if bool((self.ids[1:] == self.ids[:-1]).any()):
            raise SelectorError("ids must be distinct; the same sample id was given twice")
        self._readings: dict[Signal, Reading] = {}
        for signal, given in readings.items():
            reading = given if isinstance(given, Reading) else Reading.fresh(given)
            if signal.of_target_split:
                self._readings[signal] = reading
                continue
            if len(reading.values) != len(ids):
                raise SelectorError(
                    f"signal {signal.value!r} must have one row per candidate: "
                    f"{len(ids)} ids, got {len(reading.values)} rows"
                )
            self._readings[signal] = reading.take(order)

    def __getitem__(self, signal: Signal) -> Tensor:
        return self.reading(signal).values

    def __iter__(self) -> Iterator[Signal]:
        return iter(self._readings)

    def __len__(self) -> int:
        return len(self._readings)

    @property
    def n(self) -> int:
        """How many candidates there are."""
        return len(self.ids)

    def reading(self, signal: Signal) -> Reading:
        """The values of a signal with their age and coverage."""
        if signal not in self._readings:
            have = ", ".join(sorted(self._readings)) or "none"
            raise SelectorError(
                f"signal {signal.value!r} was not collected; add it to the selector's `needs` (have: {have})"
            )
        return self._readings[signal]
