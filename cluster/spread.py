"""Passes over a data set, and work on parts, spread over the workers of a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, final

import ray
import ray.data
import torch

from autotune.cluster.live.connection import connect
from autotune.cluster.parts import OnRay
from autotune.data.columns import Array
from autotune.training.passing import Passing

P = TypeVar("P")
R = TypeVar("R")


@final
@dataclass(frozen=True)
class OnCluster:
    """The `Spread` of a cluster: `map_batches` of Ray Data for passes, tasks for parts.

    Attributes:
        address: Of a running cluster; None takes the connection that this process has, or starts a cluster of
            its own on loopback for the call.
        workers: Processes that hold the model, at least 1.
        gpus: Of each of them.
    """

    address: str | None = None
    workers: int = 2
    gpus: float = 0.0

    def passed(self, passing: Passing) -> Iterator[Mapping[str, Array]]:
        """The answers of a pass's items, as they arrive; one whose machine is lost is done again elsewhere.

        Raises:
            ClusterError: When the cluster cannot be reached.
            StudyError: When none can be started here.
        """
        with self._connected():
            ray.data.DataContext.get_current().enable_progress_bars = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells every plan
            held = ray.put(passing)  # once for each node
            items = ray.data.from_items([{"begin": begin, "end": end} for begin, end in passing.items])
            done = items.repartition(len(passing.items)).map_batches(
                _Worker,
                batch_size=1,
                fn_constructor_args=([held],),
                compute=ray.data.ActorPoolStrategy(size=self.workers),
                num_cpus=1,
                num_gpus=self.gpus,
            )
            yield from done.iter_batches(batch_size=None)

    def map(self, function: Callable[[P], R], parts: Iterable[P]) -> Iterable[R]:
        """The answers of a function, in the order of the parts; each part goes to one task.

        Raises:
            ClusterError: When the cluster cannot be reached.
            StudyError: When none can be started here.
        """
        return OnRay(self.address, workers=self.workers)(function, parts)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        own = connect(self.address, {"CPU": 1.0}, self.workers + 1)
        try:
            yield
        finally:
            if own:
                ray.shutdown()


class _Worker:
    """Holds the model on one worker."""

    def __init__(self, held: Sequence[Any]) -> None:
        torch.set_num_threads(1)  # as many threads as it was given CPUs
        self._done = ray.get(held[0]).opened()

    def __call__(self, item: Mapping[str, Array]) -> dict[str, Array]:
        values: dict[str, Array] = self._done(int(item["begin"][0]), int(item["end"][0]))
        return values
