"""Inputs as a frozen module sees them: computed once, instead of in every step of every trial."""

from __future__ import annotations

import copy
from typing import Final

import torch
from torch import Tensor, nn

from autotune.data import Dataset
from autotune.data.columns import INPUTS
from autotune.errors import DataError
from autotune.task import prepare_inputs
from autotune.training.buffer import RowBuffer
from autotune.training.device import find_device
from autotune.training.modes import evaluating
from autotune.training.samples import Samples

BATCH: Final = 256  # samples that the module is given at once


def encode(data: Dataset, module: nn.Module, device: str = "auto") -> Dataset:
    """The same samples with a module's outputs for inputs, in single precision.

    For a pre-trained body that no trial of the study trains: its pass over the data is then made once, and
    trials train what comes after it. Ids, targets and further columns stay as they are, so splits made
    before are valid. The module is copied, and in evaluation mode: what it draws in training, dropout and
    augmentation, is not drawn.

    Args:
        data: Whose inputs it reads, prepared as for a model: bytes become floats in [0, 1].
        module: From a batch of inputs, shape (b, ...), to one tensor, shape (b, ...).
        device: `auto`, or a torch device. The outputs are in memory, on the CPU.

    Raises:
        DataError: When the module gives something else, rows of several shapes, or no finite numbers.
    """
    samples = Samples(data, find_device(device), prepare_inputs)
    module, kept = copy.deepcopy(module).to(samples.device), RowBuffer(data.n)
    shape: tuple[int, ...] = ()
    with evaluating(module), torch.inference_mode():
        for batch in samples.batches(torch.arange(data.n), BATCH):
            found = _rows(module(batch.inputs), len(batch))
            shape = shape or tuple(found.shape[1:])
            if found.shape[1:] != shape:
                raise DataError(
                    f"the module must give rows of one shape, got {shape} and then {tuple(found.shape[1:])}; "
                    "pad them to one length in a module around it"
                )
            kept.add(found)
    return data.with_columns(**{INPUTS: kept.rows.numpy()})


def _rows(found: object, count: int) -> Tensor:
    if not isinstance(found, Tensor) or found.dim() == 0 or len(found) != count:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise DataError(
            f"the module must give one tensor with a row for each of {count} samples, got {shape}; wrap it "
            "in a module that does"
        )
    return found.float()
