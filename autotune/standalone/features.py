"""Features of samples without a study: by an encoder, or from raw inputs, scaled and reduced."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.data import Dataset
from autotune.data.columns import Array, blocks
from autotune.errors import ConfigurationError, SelectorError
from autotune.signals import Signal
from autotune.standalone.progress import Progress
from autotune.task import prepare_inputs
from autotune.training.buffer import RowBuffer
from autotune.training.device import find_device
from autotune.training.passing import Encoding, Passing, Spread, on_disk, values_of
from autotune.training.samples import Samples
from autotune.training.statics import encoded

WIDTH: Final = 64  # principal components kept; wider raw inputs are reduced to so many
BAG: Final = 256  # width of a text's features
VOCABULARY: Final = 1 << 21  # token ids, at most: a direction of each is in memory
BATCH: Final = 256  # samples that an encoder is given at once
_SPARE: Final = 16  # directions beyond those kept, which make the kept ones accurate
_ROUNDS: Final = 4  # of subspace iteration; after these a component is known to about 1 %


def raw_features(data: Dataset, generator: torch.Generator) -> tuple[Tensor, str]:
    """Features of every sample from its inputs alone.

    Args:
        data: Numbers of any shape per sample, or token ids.
        generator: Draws the random directions of the reduction.

    Returns:
        Features, shape (n, d), float32; and in words what they are.
    """
    inputs = data.inputs
    if inputs.dtype.kind == "i" and inputs.ndim == 2:
        return bag_of_words(inputs, generator), f"words weighted by rarity, projected to {BAG} dimensions"
    width = int(np.prod(inputs.shape[1:]))
    table = inputs.ndim == 2
    shift, scale = _moments(inputs, each=table)
    how = "standardised columns" if table else "centred pixels"
    if width <= WIDTH:
        return torch.cat(list(_scaled(inputs, shift, scale))), how
    components = principal(inputs, shift, scale, generator)
    rows = [scaled @ components for scaled in _scaled(inputs, shift, scale)]
    return torch.cat(rows), f"the first {WIDTH} principal components of {how}"


def encoder_features(
    data: Dataset, rows: Array, encoder: nn.Module, device: str, progress: Progress
) -> Tensor:
    """Features of some samples by a frozen encoder.

    Args:
        data: Whose inputs it reads, prepared as for a model.
        rows: Ids.
        encoder: From a batch to one row of features per sample, of any shape.
        device: `auto`, or a torch device.
        progress: Told how far it is.

    Returns:
        Shape (n, d), float32, on the CPU.

    Raises:
        SelectorError: When the encoder does not give one row of numbers per sample.
    """
    samples = Samples(data, find_device(device), prepare_inputs)
    encoder = copy.deepcopy(encoder).to(samples.device)
    kept = RowBuffer(len(rows))
    for done, batch in enumerate(samples.batches(torch.from_numpy(rows), BATCH)):
        progress.at("encoding", done * BATCH / len(rows))
        kept.add(encoded(encoder, batch))
    return kept.rows


def sharded_features(
    data: Dataset, rows: Array, encoder: nn.Module | None, device: str, spread: Spread, progress: Progress
) -> tuple[Tensor, str]:
    """Features of data in shards by a frozen encoder, on disk until they are read.

    Args:
        data: Whose inputs it reads.
        rows: Ids, sorted.
        encoder: As in `encoder_features`.
        device: Of each worker: `auto`, or a torch device.
        spread: Where the pass is made.
        progress: Told how far it is.

    Raises:
        SelectorError: When there is no encoder, or it does not give one row of numbers per sample.
    """
    if encoder is None:
        raise SelectorError(
            "features of raw inputs are computed from all of them at once, and these stay in their shards; "
            "give an encoder, a model or features"
        )
    passing = Passing(Encoding(encoder), data, rows, device)
    found = values_of(passing, spread, lambda done: progress.at("encoding", done), on_disk)
    return torch.from_numpy(found[Signal.FEATURES]), "the given encoder"


def vocabulary(tokens: Array) -> int:
    """How many token ids there may be.

    Raises:
        ConfigurationError: When these numbers can hardly be token ids.
    """
    least, most = int(tokens.min()), int(tokens.max())
    if least < 0 or most >= VOCABULARY:
        raise ConfigurationError(
            f"whole numbers are taken for token ids, which must be from 0 to {VOCABULARY - 1}, got {least} "
            f"to {most}; give numbers that are no ids as floats"
        )
    return most + 1


def bag_of_words(tokens: Array, generator: torch.Generator) -> Tensor:
    """Sums of random directions of the words, rare words weighing more, scaled to length 1.

    Inner products approximate those of tf-idf vectors (Johnson and Lindenstrauss 1984).

    Args:
        tokens: Ids, 0 is padding, shape (n, length).
        generator: Draws the directions.

    Returns:
        Shape (n, 256), float32; 0 for a text without words.
    """
    size = vocabulary(tokens)
    seen = np.zeros(size, np.int64)
    for _, block in blocks(tokens):  # in how many texts each word is
        rows = np.sort(block, axis=1)
        first = np.ones(rows.shape, bool)
        first[:, 1:] = rows[:, 1:] != rows[:, :-1]
        seen += np.bincount(rows[first], minlength=size)
    rarity = torch.from_numpy(np.log((1 + len(tokens)) / (1 + seen)) + 1).float()
    directions = torch.randn(size, BAG, generator=generator) * rarity[:, None]
    parts = [
        F.embedding_bag(torch.from_numpy(block.astype(np.int64)), directions, mode="sum", padding_idx=0)
        for _, block in blocks(tokens)
    ]
    return F.normalize(torch.cat(parts))


def principal(inputs: Array, shift: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Directions of the largest variance, by randomised subspace iteration over blocks of rows.

    Reference: Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 2011,
    algorithm 4.4.

    Args:
        inputs: Shape (n, ...), with d numbers per row.
        shift: Subtracted from each row, shape (d,).
        scale: Multiplied with what is left, shape (d,).
        generator: Draws the directions to begin with.

    Returns:
        Orthonormal columns, the largest variance first, shape (d, 64).
    """
    basis = torch.randn(len(shift), min(WIDTH + _SPARE, len(shift)), generator=generator)
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(_times_covariance(inputs, shift, scale, basis)).Q
    inner = basis.T @ _times_covariance(inputs, shift, scale, basis)
    _, vectors = torch.linalg.eigh((inner + inner.T) / 2)
    components: Tensor = basis @ vectors.flip(1)[:, :WIDTH]
    return components


def _times_covariance(inputs: Array, shift: Tensor, scale: Tensor, basis: Tensor) -> Tensor:
    total = torch.zeros_like(basis)
    for scaled in _scaled(inputs, shift, scale):
        total.addmm_(scaled.T, scaled @ basis, alpha=1 / len(inputs))
    return total


def _scaled(inputs: Array, shift: Tensor, scale: Tensor) -> Iterator[Tensor]:
    """Scaled rows in blocks."""
    for _, block in blocks(inputs):
        flat = torch.from_numpy(block.reshape(len(block), -1).astype(np.float32))
        yield flat.sub_(shift).mul_(scale)


def _moments(inputs: Array, each: bool) -> tuple[Tensor, Tensor]:
    """Mean of each number, and one over its standard deviation, or over that of all where not `each`."""
    width = int(np.prod(inputs.shape[1:]))
    total = np.zeros(width)
    for _, block in blocks(inputs):
        total += block.reshape(len(block), -1).sum(0, dtype=np.float64)
    mean = total / len(inputs)
    squares = np.zeros(width)
    for _, block in blocks(inputs):
        squares += np.square(block.reshape(len(block), -1) - mean).sum(0)
    deviation = np.sqrt(squares / len(inputs))
    if not each:
        deviation = np.full(width, np.sqrt(np.square(deviation).mean()))
    scale = np.divide(1.0, deviation, out=np.zeros(width), where=deviation > 1e-12 * (1 + np.abs(mean)))
    return torch.from_numpy(mean).float(), torch.from_numpy(scale).float()
