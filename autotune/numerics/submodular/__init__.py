"""Greedy maximisation of monotone submodular objectives: what the coreset rules share.

An `Objective` knows the gain of each candidate given what was added; `naive`, `lazy` and `stochastic`
maximise any of them. `facility_location` is all of that for the most used one:

    from autotune.numerics.similarity import similarities
    from autotune.numerics.submodular import facility_location

    cover = facility_location(similarities(features, "euclidean"), budget)
    cover.picks                                      # (budget,) positions, best first, nested
    cover.gains                                      # (budget,) what each added; their sum is the objective
    torch.bincount(cover.owner, minlength=budget)    # how many points each pick stands for (CRAIG's weights)

Where n is too large for all pairs: `sparse_facility_location` on a graph of nearest neighbours,
`celled_facility_location` in cells of a million samples, `stochastic`, or `two_rounds` over parts (GreeDi),
which `autotune.cluster.parts.OnRay` spreads over a cluster; each says what it guarantees.

Similarities of your own come as a subclass of `autotune.numerics.similarity.Similarities`: a shape, and a
method that gives any block of them.
"""

from autotune.numerics.submodular.celled import celled_facility_location
from autotune.numerics.submodular.facility import Cover, FacilityLocation, facility_location
from autotune.numerics.submodular.greedy import Objective, Order, largest_first, lazy, naive, stochastic
from autotune.numerics.submodular.pairs import GraphCut, LogDet
from autotune.numerics.submodular.partitioned import parted, two_round_bound, two_rounds
from autotune.numerics.submodular.sparse import sparse_facility_location

__all__ = [
    "Cover",
    "FacilityLocation",
    "GraphCut",
    "LogDet",
    "Objective",
    "Order",
    "celled_facility_location",
    "facility_location",
    "largest_first",
    "lazy",
    "naive",
    "parted",
    "sparse_facility_location",
    "stochastic",
    "two_round_bound",
    "two_rounds",
]
