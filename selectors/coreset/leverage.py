"""Draw what a linear model hangs on, weighted so that on average every sample counts the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.features import usable
from autotune.numerics.draws import inclusion, uniform
from autotune.sampling import sort_cost
from autotune.selection import Selector, Subset, check_positive, register
from autotune.signals import Signal, Signals

ROWS: Final = 2**16  # of the features that are converted to float64 together


@final
@register("leverage")
@dataclass(frozen=True)
class Leverage(Selector):
    """Draw samples about in proportion to their leverage, with weights that make sums unbiased exactly.

    Samples sorted by leverage are cut into as many strata as are drawn, of equal total leverage each, and one
    of each stratum is drawn, weighted by the stratum's size. So the number drawn and the sum of the weights
    are exact, and each sample's expected weight is the same; of independent draws with weights 1/p the first
    two hold on average only. Samples whose features are not finite have the mean leverage.

    References: Drineas, Mahoney and Muthukrishnan, "Sampling algorithms for l2 regression and applications",
    SODA 2006; Langberg and Schulman, "Universal epsilon-approximators for integrals", SODA 2010.

    Attributes:
        floor: Share of the chances given to all alike, in [0, 1]: no weight exceeds about 1 / floor.
        ridge: Regularisation of the linear model, relative to the mean variance of a feature, above 0.
    """

    floor: float = 0.2
    ridge: float = 0.001

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES})
    unbiased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.floor <= 1.0:
            raise SelectorError(f"floor must be in [0, 1], got {self.floor}")
        check_positive("ridge", self.ridge, 0.001)

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """One draw from each stratum."""
        positions, features = usable(signals)
        found = torch.ones(signals.n, dtype=torch.float64, device=features.device)
        if len(positions):
            scores = leverages(features, self.ridge)
            found[positions] = scores / scores.mean()
        chances = (1.0 - self.floor) * found + self.floor
        picks, weights = one_per_stratum(chances, budget, generator)
        return Subset.weighted(signals.ids[picks], weights)

    def cost(self, n: int, budget: int, width: int) -> float:
        """The second moments of the features, their inverse, a product with each sample, and a sort."""
        return 4.0 * n * width * width + 10.0 * width**3 + sort_cost(n) if budget < n else 0.0


def leverages(features: Tensor, ridge: float) -> Tensor:
    """Ridge leverage scores of a linear model with intercept: how much its fit at a sample hangs on it.

    h_i = 1/n + z_i' (Z'Z + n ridge v I)^-1 z_i, where Z are the centred features and v their mean variance.
    Where all samples are equal it is 1/n.

    Args:
        features: Finite, shape (n, d).
        ridge: Above 0.

    Returns:
        In (0, 1], float64, shape (n,).
    """
    n, width = features.shape
    centred = features - features.mean(0, dtype=torch.float64).to(features.dtype)
    moments = torch.zeros(width, width, dtype=torch.float64, device=features.device)
    for part in torch.split(centred, ROWS):
        moments += part.T.double() @ part.double()
    penalty = ridge * moments.diagonal().mean()
    if not penalty > 0:
        return features.new_full((n,), 1.0 / n, dtype=torch.float64)
    moments.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    found = [((part.double() @ inverse) * part.double()).sum(1) for part in torch.split(centred, ROWS)]
    return torch.cat(found).clamp_min(0.0) + 1.0 / n


def one_per_stratum(chances: Tensor, budget: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw one sample from each of `budget` strata of samples with about equal chances.

    Args:
        chances: Finite, above 0, in any unit, shape (n,).
        budget: In [1, n].
        generator: Draws one number per stratum.

    Returns:
        Distinct positions, and the sizes of their strata, both of shape (budget,): a sample is drawn with
        chance 1 / size, so weights in proportion to the sizes are exactly those of importance sampling.
    """
    exact, n = inclusion(chances, budget), len(chances)
    order = exact.argsort(descending=True, stable=True)
    middle = exact[order].cumsum(0) - exact[order] / 2  # never more than 1 from one to the next
    stratum = torch.arange(budget, device=chances.device)
    first = torch.searchsorted(middle, stratum.to(middle.dtype)) - stratum
    first = torch.minimum(first.cummax(0).values, first.new_tensor(n - budget)) + stratum  # none is empty
    first[0] = 0
    sizes = torch.diff(first, append=first.new_tensor([n]))
    place = (uniform(budget, generator, chances.device) * sizes).long()
    return order[first + torch.minimum(place, sizes - 1)], sizes
