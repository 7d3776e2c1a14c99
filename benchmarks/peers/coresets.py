"""Facility location by a peer for `benchmarks.selectors`, in an environment of its own: no autotune here.

    PYTHON coresets.py PEER FEATURES.npy BUDGET PICKS.npy

Features have rows of length 1, so that both peers maximise the same sum of cosines but for a constant:
apricot by squared distances, subtracted from their maximum, submodlib by cosines. Prints the seconds, kernel
included.
"""

from __future__ import annotations

import sys
import time

import numpy as np


def apricot(features, budget):
    """Its default optimizer: naive at first, then lazy."""
    from apricot import FacilityLocationSelection

    FacilityLocationSelection(5, metric="euclidean").fit(features[:50])  # compiled before the clock starts
    start = time.perf_counter()
    found = FacilityLocationSelection(budget, metric="euclidean").fit(features)
    return found.ranking, time.perf_counter() - start


def submodlib(features, budget):
    """Its fastest exact optimizer."""
    from submodlib import FacilityLocationFunction

    start = time.perf_counter()
    objective = FacilityLocationFunction(n=len(features), mode="dense", data=features, metric="cosine")
    found = objective.maximize(budget=budget, optimizer="LazyGreedy", show_progress=False)
    return [pick for pick, _ in found], time.perf_counter() - start


def main():
    """Run one peer on one input."""
    peer, given, budget, out = sys.argv[1:]
    picks, seconds = {"apricot": apricot, "submodlib": submodlib}[peer](np.load(given), int(budget))
    np.save(out, np.asarray(picks, dtype=np.int64))
    print(seconds)


if __name__ == "__main__":
    main()
