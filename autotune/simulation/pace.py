"""How long training takes on this machine, and how much longer for larger models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import torch

from autotune.errors import ConfigurationError
from autotune.events import Config, Failed, Reported
from autotune.ledger import Label
from autotune.policy import settings_of
from autotune.training.probe import probe
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

LONG_ENOUGH_S: Final = 2.0
FIRST: Final = 1 / 256  # of the horizon
GROWTH: Final = 4


@dataclass(frozen=True)
class Pace:
    """What training takes.

    Attributes:
        epoch_s: Seconds of one reference epoch-equivalent, above 0.
        size: Reference epoch-equivalents of one epoch-equivalent of a configuration's own.
    """

    epoch_s: float
    size: Callable[[Config], float] = field(default=lambda config: 1.0)

    def __post_init__(self) -> None:
        if not self.epoch_s > 0:
            raise ConfigurationError(f"the seconds of an epoch must be above 0, got {self.epoch_s}")


def sizes(workload: TrainingWorkload) -> Callable[[Config], float]:
    """How large the model of a configuration is beside the reference's; built once per settings.

    A model that cannot be built counts as the reference: its trial will fail, at little cost.
    """
    room, known = workload.room(workload.task), dict[str, float]()

    def size(config: Config) -> float:
        settings = settings_of(config)
        name = str(sorted(settings.items()))
        if name not in known:
            try:
                known[name] = probe(room, settings).cost.epoch / workload.reference_flops
            except Exception:  # whatever the user's model factory raises
                known[name] = 1.0
        return known[name]

    return size


def measured_epoch(workload: TrainingWorkload, until_s: float = LONG_ENOUGH_S) -> float:
    """Seconds of one reference epoch-equivalent here, on one thread or on the device that trials would take.

    The reference is trained for some seconds, and thrown away. Starting and saving are left out.

    Args:
        workload: What is trained.
        until_s: Seconds of training that tell enough.

    Raises:
        ConfigurationError: When the reference configuration cannot be trained.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker with one core has it
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _epoch(replace(workload, path=folder, shared=None), until_s)
    finally:
        torch.set_num_threads(threads)


def _epoch(workload: TrainingWorkload, until_s: float) -> float:
    worker, share = workload.worker(workload.bulk), FIRST
    while True:
        until = share * workload.rules.horizon
        found = worker.advance(
            Assignment(0, round(1 / share), workload.reference, 0, 0, 0.0, until), lambda: None
        )
        if not isinstance(found, Reported):
            message = found.message if isinstance(found, Failed) else "it was interrupted"
            raise ConfigurationError(f"the reference configuration cannot be trained: {message}")
        spent = found.ledger.own[Label.TRAIN]
        if spent.seconds >= until_s or share >= 1.0:
            worker.close()
            return spent.seconds / (spent.flops / workload.reference_flops)
        share *= GROWTH
