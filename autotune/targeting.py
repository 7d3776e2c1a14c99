"""What rules share that look at the last layer's gradients, above all those that aim at the target split."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.numerics.curvature import Curvature, last_layer_curvature
from autotune.numerics.influence import alignment_scores, mean_gradient
from autotune.sampling import labels, observed
from autotune.scoring import ScoreSelector
from autotune.signals import Signal, Signals

AIM: Final = frozenset(
    {
        Signal.EMBEDDINGS,
        Signal.ERRORS,
        Signal.TARGETS,
        Signal.TARGET_SPLIT_EMBEDDINGS,
        Signal.TARGET_SPLIT_ERRORS,
    }
)


@dataclass(frozen=True)
class TargetedSelector(ScoreSelector):
    """A rule that wants the samples on which a step of the last layer lowers the target split's loss most.

    Gradients are never formed: they are outer products. Subclasses implement `direction` and `cost`, and
    declare what they need beyond `AIM`. Classes are balanced by default, so that those which the target split
    lacks most do not fill the subset.
    """

    class_balanced: bool = True

    needs: ClassVar[frozenset[Signal]] = AIM

    @abstractmethod
    def direction(self, signals: Signals, gradient: Tensor) -> Tensor:
        """Where the last layer's weights had better go, for the mean gradient of the target split.

        Args:
            signals: Of the candidates.
            gradient: Shape (outputs, width + 1).

        Returns:
            Shape (outputs, width + 1).
        """

    @final
    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Inner products with the direction."""
        wanted = mean_gradient(signals[Signal.TARGET_SPLIT_EMBEDDINGS], signals[Signal.TARGET_SPLIT_ERRORS])
        return alignment_scores(
            observed(signals, Signal.EMBEDDINGS),
            observed(signals, Signal.ERRORS),
            self.direction(signals, wanted),
        )


def classifier(signals: Signals, selector: str) -> tuple[Tensor, Tensor]:
    """Inputs of the last layer and the probabilities that it gives, of which its curvature is made.

    Raises:
        SelectorError: When the targets are not class ids.
    """
    labels(signals[Signal.TARGETS], selector)
    return observed(signals, Signal.EMBEDDINGS), observed(signals, Signal.PROBABILITIES)


def curvature(signals: Signals, selector: str, damping: float) -> Curvature:
    """The last layer's curvature over the candidates, by EK-FAC; see `last_layer_curvature`."""
    return last_layer_curvature(*classifier(signals, selector), damping)
