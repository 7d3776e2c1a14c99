"""Where the signals of a selection outside any study come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import torch
from torch import Tensor, nn

from autotune.data import Dataset, Splits
from autotune.data.columns import GROUPS, Array, is_unloaded
from autotune.errors import SelectorError
from autotune.seeds import derive
from autotune.selection import Selector
from autotune.signals import KNOWN, ONCE, Reading, Signal
from autotune.standalone.features import encoder_features, raw_features, sharded_features
from autotune.standalone.passes import spread_out
from autotune.standalone.progress import Progress
from autotune.standalone.rows import beside, candidates, target_split
from autotune.standalone.training import Training, fitted, remembering
from autotune.training.passing import Here, Spread
from autotune.training.session import Session

ONE_NUMBER: Final = frozenset({Signal.LOSS, Signal.REFERENCE_LOSS, Signal.GROUPS})  # per sample
_TRAINING: Final = Training()
_HERE: Final = Here()


@final
@dataclass(frozen=True)
class Sources:
    """Where signals come from, the first that has one: what is given, the data, the encoder, a trained model.

    The data has targets, and groups in a column of that name. Features come from the raw inputs where neither
    an encoder nor a model is named.

    Attributes:
        given: Arrays by signal, with one row per row of the data, or per row outside its official test part;
            those of the target split with one row per sample of that split.
        encoder: A trained module whose outputs for prepared inputs are features; None takes the raw inputs.
        training: How a model is trained where one is needed.
        target: Share of the candidates that is set aside as target split where a selector looks at one, in
            (0, 1), or the ids of that split.
        spread: Where an encoder's pass over data in shards is made, and parts of a selection.
    """

    given: Mapping[Signal, Array] = field(default_factory=dict)
    encoder: nn.Module | None = None
    training: Training = _TRAINING
    target: float | Array = 0.05
    spread: Spread = _HERE


@final
@dataclass(frozen=True)
class Gathered:
    """The signals of one selection.

    Attributes:
        rows: Ids of the candidates, sorted, shape (n,).
        readings: One per signal that the selector needs.
        origins: In words where each came from.
    """

    rows: Array
    readings: Mapping[Signal, Reading]
    origins: Mapping[str, str]


def gather(data: Dataset, selector: Selector, sources: Sources, seed: int, progress: Progress) -> Gathered:
    """Every signal that a selector needs; what cannot work is found before a model is trained.

    Args:
        data: What is chosen from.
        selector: Whose needs are met.
        sources: Where from.
        seed: Decides the target split and what features draw.
        progress: Told where signals come from, and how far the work is.

    Raises:
        SelectorError: When a signal cannot be had.
        ConfigurationError: When the model that is needed cannot be trained.
    """
    given = {
        signal: _checked(signal, sources.given[signal]) for signal in selector.needs & sources.given.keys()
    }
    missing = selector.needs - given.keys()
    target = np.empty(0, np.int64)
    if any(signal.of_target_split or signal in ONCE for signal in missing):
        _check_whole(given, missing)
        target, words = target_split(data, sources.target, seed)
        progress.note(words)
    rows = np.setdiff1d(candidates(data), target)
    known = missing & KNOWN
    raw = Signal.FEATURES in missing and (sources.encoder is not None or sources.training.model is None)
    learnt = missing - known - ({Signal.FEATURES} if raw else set())
    origins = {signal.value: "given" for signal in given} | {signal.value: "the data" for signal in known}
    found = {
        signal: values if signal.of_target_split else beside(data, values, rows, f"signal {signal.value!r}")
        for signal, values in given.items()
    }
    found |= {signal: _column(data, signal)[rows] for signal in known}
    readings = {signal: Reading.fresh(torch.from_numpy(np.array(values))) for signal, values in found.items()}
    if raw:
        features, origins[Signal.FEATURES.value] = features_of(data, rows, sources, seed, progress)
        readings[Signal.FEATURES] = Reading.fresh(features)
    if learnt:
        task, words = sources.training.task(data, rows)
        origins |= _told(learnt, words, progress)
        empty = np.empty(0, np.int64)
        splits = Splits(rows, target, empty, empty)
        policy = remembering(selector)
        with fitted(task, splits, sources.training, progress, policy, learnt) as session:
            readings |= _asked(session, learnt, rows, target, progress, sources.spread)
    return Gathered(rows, readings, origins)


def _checked(signal: Signal, values: Array) -> Array:
    """An array that can be such a signal, whatever its length."""
    least = 1 if signal.plain in ONE_NUMBER else 3 if signal.plain is Signal.CHECKPOINT_GRADIENTS else 2
    if values.dtype.kind not in "biuf":
        raise SelectorError(f"signal {signal.value!r} must hold numbers, got {values.dtype}")
    if values.ndim != least and signal.plain is not Signal.TARGETS:
        raise SelectorError(
            f"signal {signal.value!r} must have {least} dimensions, samples first, got shape {values.shape}"
        )
    if signal is Signal.GROUPS:
        return np.unique(values, return_inverse=True)[1]
    return values.astype(np.float32) if values.dtype.kind == "f" else values.astype(np.int64)


def _check_whole(given: Iterable[Signal], missing: Iterable[Signal]) -> None:
    """Signals of the target split describe the same samples, so they come from one place."""
    here = sorted(signal for signal in given if signal.of_target_split)
    if here:
        others = sorted(signal for signal in missing if signal.of_target_split or signal in ONCE)
        raise SelectorError(
            f"{', '.join(here)} were given, {', '.join(others)} were not; give all signals of the target "
            "split or none, for they must describe the same samples"
        )


def _column(data: Dataset, signal: Signal) -> Array:
    if signal is Signal.TARGETS:
        return data.targets
    if GROUPS not in data.columns:
        raise SelectorError(f"the data has no column {GROUPS!r}; give them with --signal groups=COLUMN")
    return np.unique(data.columns[GROUPS], return_inverse=True)[1]


def features_of(
    data: Dataset, rows: Array, sources: Sources, seed: int, progress: Progress
) -> tuple[Tensor, str]:
    """Features of some samples without training a model: given ones, an encoder's, or the raw inputs'.

    Args:
        data: What the rows are of.
        rows: Ids, shape (n,).
        sources: Where from.
        seed: Decides what the reduction of raw inputs draws.
        progress: Told where they come from.

    Returns:
        Shape (n, d), float32; and in words where they came from.

    Raises:
        SelectorError: When what is given or the encoder does not fit the data.
    """
    if Signal.FEATURES in sources.given:
        values = _checked(Signal.FEATURES, sources.given[Signal.FEATURES])
        given = beside(data, values, rows, "features")
        return torch.from_numpy(np.array(given, np.float32)), "given"
    features, words = _computed(data, rows, sources, seed, progress)
    _told([Signal.FEATURES], words, progress)
    return features, words


def _computed(
    data: Dataset, rows: Array, sources: Sources, seed: int, progress: Progress
) -> tuple[Tensor, str]:
    if is_unloaded(data.inputs):
        return sharded_features(
            data, rows, sources.encoder, sources.training.device, sources.spread, progress
        )
    if sources.encoder is None:
        generator = torch.Generator().manual_seed(derive(seed, "features"))
        features, words = raw_features(data if len(rows) == data.n else data.take(rows), generator)
        return features, f"{words}, since neither features nor an encoder nor a model was given"
    features = encoder_features(data, rows, sources.encoder, sources.training.device, progress)
    return features, "the given encoder"


def _asked(
    session: Session,
    signals: Iterable[Signal],
    rows: Array,
    target: Array,
    progress: Progress,
    spread: Spread,
) -> dict[Signal, Reading]:
    """What a trained trial tells of the candidates and of the target split."""
    source, ids = session.trial.source, torch.from_numpy(rows)

    def beat() -> None:
        progress.at("collecting signals", 0.0)

    wanted = {signal for signal in signals if not signal.of_target_split}
    found = source.histories(ids, wanted, session.fidelity)
    if is_unloaded(source.room.task.data.inputs):
        found |= spread_out(source, rows, wanted - found.keys(), progress, spread)
    found |= source.passes(ids, wanted - found.keys(), beat)
    there = {signal.plain for signal in signals if signal.of_target_split}
    told = source.passes(torch.from_numpy(target), there, beat)
    return found | {signal.on_target_split: reading for signal, reading in told.items()}


def _told(signals: Iterable[Signal], words: str, progress: Progress) -> dict[str, str]:
    names = sorted(signal.value for signal in signals)
    progress.note(f"{', '.join(names)}: {words}")
    return dict.fromkeys(names, words)
