"""Inputs as a frozen module sees them: computed once, instead of in every step of every trial."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from autotune.data import Dataset
from autotune.data.columns import INPUTS
from autotune.errors import DataError
from autotune.standalone.features import BATCH
from autotune.task import prepare_inputs
from autotune.training.buffer import RowBuffer
from autotune.training.device import find_device
from autotune.training.samples import Samples
from autotune.training.statics import outputs


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
    first: Tensor | None = None
    for batch in samples.batches(torch.arange(data.n), BATCH):
        found = outputs(module, batch, "module", DataError)
        first = found[0] if first is None else first
        if found.shape[1:] != first.shape:
            raise DataError(
                f"the module must give rows of one shape, got {tuple(first.shape)} and then "
                f"{tuple(found.shape[1:])}; pad them to one length in a module around it"
            )
        kept.add(found)
    return data.with_columns(**{INPUTS: kept.rows.numpy()})
