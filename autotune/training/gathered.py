"""Rows that come batch by batch, put into one place as they come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor


@final
class Gathered:
    """What a pass leaves, on the CPU.

    Kept in a list until the end, small results lie between the large blocks that each batch needs for a
    moment, and those are not given back: glibc before 2.38 does not use an aligned block's hole again for one
    of the same size (https://sourceware.org/bugzilla/show_bug.cgi?id=14581). A pass then holds all that it
    has read.

    Args:
        n: Rows that will come; more are taken, too.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._filled = 0
        self._rows: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        """Take the next rows, from any device."""
        end = self._filled + len(rows)
        if self._rows is None:
            self._rows = rows.new_empty((max(self._n, end), *rows.shape[1:]), device="cpu")
        elif end > len(self._rows):
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows[: self._filled]), rows.cpu()])
        self._rows[self._filled : end] = rows.detach()
        self._filled = end

    @property
    def parts(self) -> list[Tensor]:
        """All rows so far in one tensor; an empty list when none were ever given."""
        if self._rows is None:
            return []
        return [self._rows if self._filled == len(self._rows) else self._rows[: self._filled].clone()]

    @property
    def rows(self) -> Tensor:
        """The same where there are some."""
        (rows,) = self.parts
        return rows


def gathered(n: int, batches: Iterable[Tensor]) -> Tensor:
    """The rows of batches, n in all, one after the other, on the CPU."""
    kept = Gathered(n)
    for rows in batches:
        kept.add(rows)
    return kept.rows
