"""One coreset engine on one input, in a process of its own, for `benchmarks.selectors`.

    python -m benchmarks.coresets ENGINE FEATURES.npy BUDGET PICKS.npy

Prints what it took as JSON, like its twin in peers/.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from autotune.numerics.neighbours import nearest
from autotune.numerics.similarity import FeatureSimilarities, restricted, similarities
from autotune.numerics.submodular import (
    FacilityLocation,
    celled_facility_location,
    facility_location,
    parted,
    sparse_facility_location,
    stochastic,
    two_rounds,
)
from autotune.selectors.coreset.facility_location import FacilityLocationSelector
from autotune.selectors.coreset.k_center import farthest_first

KEPT_GIB: Final = 4.0  # of similarities, so that 30,000 samples can be compared exactly
EPSILON: Final = 0.1
PARTS: Final = 4
PRODUCTS: Final = 200


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def value(given: FeatureSimilarities, picks: Tensor) -> float:
    """The facility-location objective by all similarities, per point that is to be covered."""
    points = torch.split(torch.arange(given.shape[1]), max(1, 2**24 // len(picks)))
    return sum(float(given.block(picks, part).amax(0).double().sum()) for part in points) / given.shape[1]


def all_pairs(features: Tensor, budget: int) -> Tensor:
    return facility_location(similarities(features), budget, KEPT_GIB).picks


def graph(features: Tensor, budget: int) -> Tensor:
    """What the selector does by default."""
    given, count = similarities(features), FacilityLocationSelector().neighbours
    return sparse_facility_location(nearest(given.rows, count, seeded()), given, budget).picks


def sampled(features: Tensor, budget: int) -> Tensor:
    return stochastic(FacilityLocation(similarities(features), KEPT_GIB), budget, EPSILON, seeded()).picks


def in_parts(features: Tensor, budget: int) -> Tensor:
    """Two rounds, both by the whole objective, so that their bound holds."""
    given = similarities(features)

    def choose(candidates: Tensor, count: int) -> Tensor:
        return candidates[facility_location(restricted(given, candidates), count, KEPT_GIB).picks]

    parts = parted(len(features), PARTS, seeded())
    return two_rounds(parts, budget, choose, lambda picks: value(given, picks))


def celled(features: Tensor, budget: int) -> Tensor:
    """The selector's default for more than 200,000 candidates."""
    return celled_facility_location(similarities(features), budget, seeded()).picks


def farthest(features: Tensor, budget: int) -> Tensor:
    return farthest_first(features, budget, 0)


def streamed(features: Tensor, budget: int) -> Tensor:
    """One matrix-vector product per pick and nothing else, for some picks: the bandwidth of the machine."""
    some = torch.arange(min(budget, PRODUCTS))
    for pick in some:
        features @ features[pick]
    return some


ENGINES: Final[dict[str, Callable[[Tensor, int], Tensor]]] = {
    "all pairs": all_pairs,
    "graph": graph,
    "cells": celled,
    "stochastic": sampled,
    "two rounds": in_parts,
    "k_center": farthest,
    "products": streamed,
}


def main() -> None:
    """Run one engine on one input."""
    name, given, budget, out = sys.argv[1:]
    features, engine = torch.from_numpy(np.load(given)), ENGINES[name]
    engine(features[:200], 20)  # what is loaded late is so before the clock starts
    wall, cpu = time.perf_counter(), time.process_time()
    picks = engine(features, int(budget))
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    np.save(out, picks.numpy())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({**took, "peak_gib": peak}))


if __name__ == "__main__":
    main()
