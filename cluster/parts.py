"""A function over parts as Ray tasks: the first round of partitioned selection on more than one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, final

import ray

from autotune.cluster.live.connection import connect

P = TypeVar("P")
R = TypeVar("R")


@final
@dataclass(frozen=True)
class OnRay:
    """The `map` of `autotune.numerics.submodular.two_rounds`, spread over the workers of a cluster.

        picks = two_rounds(parted(n, 32, generator), budget, choose, value, OnRay(address="auto"))

    What the function holds, such as the features, goes to each node once and is shared there by its tasks. A
    task whose node is lost runs again elsewhere. Each part must fit the memory of one task.

    Attributes:
        address: Of a running cluster; None takes the connection that this process has, or starts a cluster of
            its own on loopback for the call.
        cpus: Logical CPUs of a task, above 0; its number of threads is Ray's affair.
        workers: CPUs of a cluster of its own; None takes one per core.
    """

    address: str | None = None
    cpus: float = 1.0
    workers: int | None = None

    def __call__(self, function: Callable[[P], R], parts: Iterable[P]) -> Iterable[R]:
        """The answers, in the order of the parts.

        Raises:
            ClusterError: When the cluster cannot be reached.
            StudyError: When none can be started here.
        """
        own = connect(self.address, {"CPU": self.cpus}, self.workers)
        try:
            task: Any = ray.remote(num_cpus=self.cpus)(_answer)
            held = ray.put(function)
            answers: list[R] = ray.get([task.remote(held, part) for part in parts])
            return answers
        finally:
            if own:
                ray.shutdown()


def _answer(function: Callable[[P], R], part: P) -> R:
    return function(part)
