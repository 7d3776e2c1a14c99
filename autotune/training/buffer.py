"""Rows that come batch by batch, put into one place as they come."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor


@final
class RowBuffer:
    """What a pass leaves, on the CPU.

    Kept in a list until the end, small results lie between the large blocks that each batch needs for a
    moment, and the holes of those are not given back, nor used for the next ones: with glibc 2.36 a pass held
    half a MiB to 3 MiB more for each batch.

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
