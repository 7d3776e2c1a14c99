"""Facility location on a neighbour graph: a sample can cover none but those it is among the nearest of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array

from autotune.numerics.neighbours import Neighbours
from autotune.numerics.similarity import FeatureSimilarities
from autotune.numerics.submodular.greedy import Order, Progress, largest_first, tell

Floats = npt.NDArray[np.float64]


def sparse_facility_location(
    near: Neighbours, given: FeatureSimilarities, budget: int, progress: Progress | None = None
) -> Order:
    """Exact greedy on the sum over all points of the largest similarity to a pick that is a neighbour.

    That objective is monotone submodular too, at most the dense one, and its gains are cheap to keep up to
    date: a pick changes those of its points' neighbours. Time n K log n + budget * K^2 about, memory some
    40 n K bytes, for K neighbours. It runs on the CPU, whatever the device of the features: its steps are
    small and wait for each other.

    Reference: Wei, Iyer and Bilmes, "Fast Multi-Stage Submodular Maximization", ICML 2014, section 4.

    Args:
        near: Neighbours of each sample by the distance of `given`'s rows, shape (n, K).
        given: The similarities of the n samples to each other.
        budget: In [1, n].
        progress: Told the share of picks made, from time to time.

    Returns:
        The picks, nested, with ties to the lowest position.
    """
    n = len(near.ids)
    itself = torch.arange(n, device=near.ids.device)[:, None]
    ids = torch.cat([itself, near.ids], 1).cpu().numpy()
    alike = given.at(torch.cat([torch.zeros_like(near.squared[:, :1]), near.squared], 1)).cpu().numpy()
    starts = np.arange(0, ids.size + 1, ids.shape[1])
    covers = csr_array((alike.ravel(), ids.ravel(), starts), shape=(n, n)).tocsc()
    gain: Floats = covers.sum(0).astype(np.float64)
    best = np.zeros(n, alike.dtype)
    picks: list[int] = []
    gains: list[float] = []
    for pick, _ in largest_first(gain, budget):
        column = slice(covers.indptr[pick], covers.indptr[pick + 1])
        points, now = covers.indices[column], covers.data[column]
        nearer = now > best[points]
        points, now = points[nearer], now[nearer, None]
        theirs, before = alike[points], best[points, None]
        lost = (np.maximum(theirs, before) - before) - (np.maximum(theirs, now) - now)
        np.subtract.at(gain, ids[points].ravel(), lost.ravel().astype(np.float64))
        picks.append(pick)
        gains.append(float((now - before).sum(dtype=np.float64)))
        best[points] = now[:, 0]
        tell(progress, len(picks), budget)
    return Order(torch.tensor(picks, device=near.ids.device), torch.tensor(gains, dtype=torch.double))
