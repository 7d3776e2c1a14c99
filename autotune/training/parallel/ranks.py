"""The processes that train one trial together, as each of them sees the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, final

from torch import Tensor

T = TypeVar("T")


class Ranks(ABC):
    """One of several processes that run the same code on the same trial.

    All of them call the same methods in the same order. One that fails alone `tell`s the others, and whatever
    they call next raises there, so that nobody waits for somebody who will not come.

    Attributes:
        rank: Which one this is, counted from 0. The first one leads: it alone reads and writes storage.
        size: How many there are.
    """

    rank: int
    size: int

    @abstractmethod
    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set on any rank."""

    @abstractmethod
    def gather(self, value: T) -> list[T]:
        """The value that each rank gives, in their order."""

    @abstractmethod
    def first(self, function: Callable[[], T]) -> T:
        """What a function gives on the first rank, where alone it is called."""

    @abstractmethod
    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks, where it is; every rank gets the same bits."""

    @abstractmethod
    def tell(self, error: BaseException) -> None:
        """This rank ends the assignment with an error; the others shall, too."""

    @property
    def leads(self) -> bool:
        """Whether this is the first rank."""
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """This rank's rows of n, which differ between ranks by one at most."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def whole(self, values: Tensor, n: int) -> Tensor:
        """All rows of something of which each rank has its own."""
        if self.size == 1:
            return values
        joined = values.new_zeros(n, *values.shape[1:])
        joined[self.rows(n)] = values
        self.any()
        self.add([joined])
        return joined


@final
class Alone(Ranks):
    """A single process."""

    rank = 0
    size = 1

    def any(self, *flags: bool) -> list[bool]:
        """The flags themselves."""
        return list(flags)

    def gather(self, value: T) -> list[T]:
        """The value itself."""
        return [value]

    def first(self, function: Callable[[], T]) -> T:
        """What the function gives."""
        return function()

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Nothing: they are the sums."""

    def tell(self, error: BaseException) -> None:
        """Nobody."""


ALONE: Final = Alone()
