"""Facility location by a peer for `benchmarks.selectors`, in an environment of its own: no autotune here.

    PYTHON coresets.py PEER FEATURES.npy BUDGET PICKS.npy

Features have rows of length 1, so that both peers maximise the same sum of cosines but for a constant:
apricot by squared distances, subtracted from their maximum, submodlib by cosines. Prints what it took, kernel
included, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np


def apricot(features, budget):
    """Its default optimizer: naive at first, then lazy."""
    from apricot import FacilityLocationSelection

    return FacilityLocationSelection(budget, metric="euclidean").fit(features).ranking


def submodlib(features, budget):
    """Its fastest exact optimizer."""
    from submodlib import FacilityLocationFunction

    objective = FacilityLocationFunction(n=len(features), mode="dense", data=features, metric="cosine")
    found = objective.maximize(budget=budget, optimizer="LazyGreedy", show_progress=False)
    return [pick for pick, _ in found]


def main():
    """Run one peer on one input."""
    name, given, budget, out = sys.argv[1:]
    features, peer = np.load(given), {"apricot": apricot, "submodlib": submodlib}[name]
    peer(features[:50], 5)  # what is imported or compiled is so before the clock starts
    wall, cpu = time.perf_counter(), time.process_time()
    picks = peer(features, int(budget))
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    np.save(out, np.asarray(picks, dtype=np.int64))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({**took, "peak_gib": peak}))


if __name__ == "__main__":
    main()
