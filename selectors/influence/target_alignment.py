"""Keep the samples whose gradient points where the target split wants to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.sampling import class_ids, observed, sort_cost, top_by_score
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals

BLOCK: Final = 1 << 22  # numbers in the largest temporary: 16 MiB of float32
NOMINAL_OUTPUTS: Final = 32  # where there are more, a pass over the model costs so much that the rule is free


@final
@register("target_alignment")
@dataclass(frozen=True)
class TargetAlignment(Selector):
    """Keep the samples on which one step lowers the loss of the target split the most, to first order.

    Only the last layer's gradients are compared, and never formed: they are outer products.

    Reference: Killamsetty et al., "GLISTER: Generalization based Data Subset Selection for Efficient and
    Robust Learning", AAAI 2021 (its first-order gain); Pruthi et al., "Estimating Training Data Influence by
    Tracing Gradient Descent", NeurIPS 2020 (the same product, at one checkpoint).

    Attributes:
        class_balanced: Keep the same share of every labelled class, so that the classes the target split
            lacks most do not fill the subset; no effect where targets are not class ids.
    """

    class_balanced: bool = True

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {
            Signal.EMBEDDINGS,
            Signal.ERRORS,
            Signal.TARGETS,
            Signal.TARGET_SPLIT_EMBEDDINGS,
            Signal.TARGET_SPLIT_ERRORS,
        }
    )

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The best aligned; a sample whose factors are not finite comes last."""
        scores = alignment_scores(
            observed(signals, Signal.EMBEDDINGS),
            observed(signals, Signal.ERRORS),
            mean_gradient(signals[Signal.TARGET_SPLIT_EMBEDDINGS], signals[Signal.TARGET_SPLIT_ERRORS]),
        )
        groups = class_ids(signals[Signal.TARGETS]) if self.class_balanced else None
        return Subset.uniform(signals.ids[top_by_score(scores, budget, groups=groups)])

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 n o (d + 2) and a sort, for o outputs; o is not known here and taken as d, but at most 32."""
        return 2.0 * n * min(width, NOMINAL_OUTPUTS) * (width + 2) + sort_cost(n)


def mean_gradient(embeddings: Tensor, errors: Tensor) -> Tensor:
    """Mean gradient of the last layer's weight and bias, G = E' [H 1] / m.

    Args:
        embeddings: Inputs of the last layer, H, shape (m, width); rows that are not finite are left out.
        errors: Gradients with respect to its outputs, E, shape (m, outputs).

    Returns:
        Shape (outputs, width + 1); zero where no row is finite.
    """
    usable = torch.isfinite(embeddings).all(1) & torch.isfinite(errors).all(1)
    rows = F.pad(embeddings[usable], (0, 1), value=1.0)
    return errors[usable].T @ rows / max(1, len(rows))


def alignment_scores(embeddings: Tensor, errors: Tensor, gradient: Tensor) -> Tensor:
    """Inner product of each sample's last-layer gradient with a given one, e_i' G [h_i; 1].

    A gradient step on sample i lowers the loss whose gradient is G by this, to first order and per unit of
    learning rate. It takes n x outputs numbers at most, in blocks, never n x outputs x width.

    Args:
        embeddings: Inputs of the last layer, h, shape (n, width).
        errors: Gradients with respect to its outputs, e, shape (n, outputs).
        gradient: G, shape (outputs, width + 1); the last column belongs to the bias.

    Returns:
        Scores, shape (n,); higher is better aligned.
    """
    weight, bias = gradient[:, :-1], gradient[:, -1]
    block = max(1, BLOCK // max(1, len(gradient)))
    return torch.cat(
        [
            (torch.addmm(bias, h, weight.T) * e).sum(1)
            for h, e in zip(torch.split(embeddings, block), torch.split(errors, block), strict=True)
        ]
    )
