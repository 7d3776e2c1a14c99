"""A random order that does not need a row group for each sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from autotune.data.columns import Array


def windows(
    ids: Tensor, size: int, group_of: Callable[[Array], Array], generator: torch.Generator
) -> list[Tensor]:
    """A random order of samples in windows: what a window holds is read at once, each row group about once.

    What fits into one window is shuffled as if it were in memory. Of more, the row groups are shuffled, cut
    into windows of equal size, and samples are shuffled within each. Every sample comes once in either case.

    Args:
        ids: Sample ids, shape (n,).
        size: Samples that a window holds at most.
        group_of: The row group of each id.
        generator: Draws everything.

    Returns:
        Positions in `ids`, those of the first window first.
    """
    n = len(ids)
    if n <= size:
        return [torch.randperm(n, generator=generator)]
    codes = torch.from_numpy(np.unique(group_of(ids.numpy()), return_inverse=True)[1])
    ranks = torch.randperm(int(codes.max()) + 1, generator=generator)
    together = ranks[codes].argsort(stable=True)
    parts = together.tensor_split(-(-n // size))
    return [part[torch.randperm(len(part), generator=generator)] for part in parts]
