"""Ranks that torch.distributed connects: gloo between CPUs, NCCL between GPUs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast, final

import torch
import torch.distributed as dist
from torch import Tensor

from autotune.errors import PeerError, RankLostError
from autotune.training.failures import kind_of, message_of
from autotune.training.parallel.ranks import Ranks
from autotune.training.parallel.sealed import opened, sealed

T = TypeVar("T")

_FLAGS: Final = 3  # that fit into the message with which every exchange begins


@final
class Linked(Ranks):
    """Ranks in torch's default process group, which is there before and stays afterwards.

    Every exchange begins with a short message on the CPU: whether some rank has failed. So none is begun by
    some of them only.

    Args:
        key: With which the ranks sign the objects that they send each other; theirs alone.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._told: BaseException | None = None

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set on any rank."""
        if len(flags) <= _FLAGS:
            return self._meet(*flags)[: len(flags)]
        self._meet()
        message = torch.tensor(flags, dtype=torch.uint8)
        with _linked():
            dist.all_reduce(message, dist.ReduceOp.MAX)
        return cast(list[bool], message.bool().tolist())

    def gather(self, value: T) -> list[T]:
        """The value that each rank gives; it travels pickled and signed."""
        self._meet()
        return self._gather(value)

    def first(self, function: Callable[[], T]) -> T:
        """What a function gives on the first rank, where alone it is called."""
        value = function() if self.leads else None
        self._meet()
        mine = _bytes(sealed(value, self._key)) if self.leads else torch.empty(0, dtype=torch.uint8)
        size = torch.tensor(len(mine))
        with _linked():
            dist.broadcast(size, 0)
            message = mine if self.leads else mine.new_empty(int(size))
            dist.broadcast(message, 0)
        return cast(T, value if self.leads else self._opened(message))

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Sum up, in one message for each type; it is part of the exchange before, which found no failure."""
        alike: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            alike[tensor.dtype].append(tensor)
        for group in alike.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in group])
            with _linked():
                dist.all_reduce(flat)
            totals = torch.split(flat, [tensor.numel() for tensor in group])
            for tensor, total in zip(group, totals, strict=True):
                tensor.copy_(total.view_as(tensor))

    def tell(self, error: BaseException) -> None:
        """Let the others end with the same kind of failure, unless they have told this one."""
        if isinstance(error, PeerError | RankLostError) or error is self._told:
            return
        self._told = error
        self._meet(failed=error)

    def _meet(self, *flags: bool, failed: BaseException | None = None) -> list[bool]:
        """What every exchange begins with.

        Raises:
            PeerError: When another rank has failed and this one has not.
        """
        message = torch.zeros(1 + _FLAGS, dtype=torch.uint8)
        message[0] = failed is not None
        for position, flag in enumerate(flags, 1):
            message[position] = flag
        with _linked():
            dist.all_reduce(message, dist.ReduceOp.MAX)
        someone, *told = message.bool().tolist()
        if someone:
            errors = self._gather(None if failed is None else _described(failed))
            kind, text = next(error for error in errors if error is not None)
            if failed is None:
                raise PeerError(kind, text)
        return told

    def _gather(self, value: T) -> list[T]:
        mine = _bytes(sealed(value, self._key))
        sizes = torch.zeros(self.size, dtype=torch.int64)
        sizes[self.rank] = len(mine)
        with _linked():
            dist.all_reduce(sizes)
            messages = list(mine.new_zeros(self.size, int(sizes.max())))
            dist.all_gather(messages, torch.cat([mine, mine.new_zeros(len(messages[0]) - len(mine))]))
        return [self._opened(message[:size]) for message, size in zip(messages, sizes.tolist(), strict=True)]

    def _opened(self, message: Tensor) -> Any:
        return opened(message.numpy().tobytes(), self._key)


def _bytes(message: bytes) -> Tensor:
    return torch.frombuffer(bytearray(message), dtype=torch.uint8)


def _described(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Exception):
        return kind_of(error), message_of(error)
    return "error", f"{type(error).__name__}: {error}"


@contextmanager
def _linked() -> Iterator[None]:
    """What torch raises when a connection breaks means that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(f"another process of the trial is gone: {error!s:.200}") from error
