"""Training what a search found from scratch, and whether one system's models are as good as another's."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

import autotune as at
from autotune.cluster.live.connection import switches
from autotune.cluster.render.common import WARM
from autotune.events import Failed
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment
from benchmarks import stock

READY_S: Final = 15.0  # in which processes start


@contextlib.contextmanager
def cluster(workers: int, ready: bool = False) -> Iterator[None]:
    """Ray on this machine.

    Args:
        workers: CPUs.
        ready: Whether processes wait for trials, as on clusters that autotune renders.
    """
    with switches(WARM if ready else {}):
        ray.init(
            "local",
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
    try:
        time.sleep(READY_S if ready else 0.0)
        yield
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Noted(at.Classification):
    """A classification that notes which samples of a split were classified rightly.

    Attributes:
        hits: One row for each evaluation, shape (n,).
    """

    hits: list[NDArray[np.bool_]] = field(default_factory=list)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The usual ones."""
        self.hits.append((outputs.argmax(1) == targets).cpu().numpy())
        return super().metrics(outputs, targets)


def noted(task: at.Classification) -> Noted:
    """A task that notes its hits."""
    return Noted(**{one.name: getattr(task, one.name) for one in dataclasses.fields(at.Classification)})


@ray.remote(num_cpus=1)
def final_ours(workload: TrainingWorkload, bulk: Any, config: dict[str, Any], seed: int) -> str:
    """Train a configuration of a `Noted` task from scratch as a study does; the test hits, packed."""
    torch.set_num_threads(1)
    worker = workload.worker(bulk)
    train = Assignment(0, seed, config, seed, 0, 0.0, workload.rules.horizon)
    for one in (train, dataclasses.replace(train, id=1, test=True)):
        outcome = worker.advance(one, lambda: None)
        if isinstance(outcome, Failed):
            raise TypeError(f"a final training failed: {outcome}")
    return packed(cast(Noted, workload.task).hits[-1])


@ray.remote(num_cpus=1)
def final_stock(
    task: at.Classification, config: dict[str, Any], data: stock.Arrays, epochs: int, seed: int
) -> str:
    """Train a configuration from scratch on full data; the hits after the last epoch, packed."""
    torch.set_num_threads(1)
    model = stock.trained(task, config, data, epochs, seed)
    return packed(stock.hits(task, model, data).numpy())


def packed(hits: NDArray[np.bool_]) -> str:
    """Booleans as text."""
    return base64.b64encode(np.packbits(hits).tobytes()).decode()


def unpacked(text: str, count: int) -> NDArray[np.bool_]:
    """The first `count` booleans of `packed`."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8))[:count].astype(bool)


@dataclass(frozen=True)
class Bound:
    """How much worse one system's models may be, over searches and test items alike.

    Attributes:
        difference: Mean accuracy less the other's.
        low: Lower end of a one-sided 95 % interval of it.
        high: Upper end of another one.
        error: Standard error of the other's mean accuracy.
    """

    difference: float
    low: float
    high: float
    error: float

    @property
    def not_inferior(self) -> bool:
        """Whether the bound lies above minus one standard error."""
        return self.low > -self.error


def bound(ours: Sequence[NDArray[np.bool_]], theirs: Sequence[NDArray[np.bool_]]) -> Bound:
    """Compare two systems over searches and test items, both of which are samples.

    A t interval with the degrees of freedom of the searches, which are few; a bootstrap over so few would be
    too narrow.

    Args:
        ours: Hits of each search's final models, shape (models, items), in the same order; 2 or more.
        theirs: The other system's.
    """
    mine, other = (np.stack([one.mean(0) for one in side]) for side in (ours, theirs))
    difference, least = mine - other, float(student.ppf(0.95, len(mine) - 1))
    mean, half = float(difference.mean()), least * _error(difference)
    return Bound(mean, mean - half, mean + half, _error(other))


def _error(values: NDArray[np.float64]) -> float:
    """Standard error of a mean over searches, shape (searches, items), by both."""
    searches, items = values.shape
    return math.sqrt(values.mean(1).var(ddof=1) / searches + values.mean(0).var(ddof=1) / items)
