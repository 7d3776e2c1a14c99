"""What the library can say about a trained model besides its scores: how large, how dear, how fast."""

from __future__ import annotations

import time
from collections.abc import Iterable
from statistics import median
from typing import Final

import torch
from torch import nn

from autotune.errors import TrialError
from autotune.ledger import Label
from autotune.task import Batch
from autotune.training.flops import PassCost
from autotune.training.meter import Meter
from autotune.training.modes import evaluating

COMPUTE: Final = "compute"  # FLOPs of a forward pass over one sample
PARAMETERS: Final = "parameters"  # how many numbers the model has learnt or could learn
LATENCY: Final = "latency_ms"  # of a forward pass over a batch of BATCH samples, in milliseconds
MEASURES: Final = (COMPUTE, PARAMETERS, LATENCY)
BATCH: Final = 32
WARM: Final = 2  # passes before those that count
PASSES: Final = 7


def measured(
    names: Iterable[str], model: nn.Module, batch: Batch, cost: PassCost, meter: Meter
) -> dict[str, float]:
    """Those of `MEASURES` that are among the names; what timing takes is charged to evaluation.

    Args:
        names: What is asked for; others are left alone.
        model: In any mode, on the device of the batch.
        batch: What is timed.
        cost: What passes of this model cost.
        meter: Who pays.

    Raises:
        TrialError: When the model cannot be timed.
    """
    values: dict[str, float] = {}
    for name in names:
        if name == COMPUTE:
            values[name] = cost.forward
        elif name == PARAMETERS:
            values[name] = float(sum(parameter.numel() for parameter in model.parameters()))
        elif name == LATENCY:
            with meter.measure(Label.EVALUATE):
                values[name] = latency_ms(model, batch)
            meter.charge(Label.EVALUATE, cost.scoring((WARM + PASSES) * len(batch)))
    return values


def latency_ms(model: nn.Module, batch: Batch) -> float:
    """The median time of a forward pass in evaluation mode, in milliseconds.

    Raises:
        TrialError: When the model cannot be called with inputs alone.
    """
    seconds: list[float] = []
    with evaluating(model), torch.no_grad():
        for _ in range(WARM + PASSES):
            began = time.perf_counter()
            try:
                model(batch.inputs)
            except Exception as error:
                raise TrialError(
                    f"{LATENCY} needs a model that can be called with inputs alone ({error!s:.80}); report "
                    f"{LATENCY} from the loop instead"
                ) from error
            if batch.inputs.is_cuda:
                torch.cuda.synchronize(batch.inputs.device)
            seconds.append(time.perf_counter() - began)
    return 1000.0 * median(seconds[WARM:])
