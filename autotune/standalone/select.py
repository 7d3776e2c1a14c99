"""Choose a subset of a data set once, outside any study."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import torch

from autotune.data import Dataset
from autotune.data.columns import Array
from autotune.data.shards.cache import GIB
from autotune.data.shards.inputs import ShardedInputs
from autotune.errors import SelectorError
from autotune.seeds import derive
from autotune.selection import Selector, selector_name
from autotune.signals import Reading, Signals
from autotune.standalone.files import write_table
from autotune.standalone.partitioned import SHARE, select_in_parts
from autotune.standalone.progress import Progress, Silent
from autotune.standalone.sources import Gathered, Sources, gather
from autotune.training.device import find_device

_DEFAULT: Final = Sources()
_SILENT: Final = Silent()


@final
@dataclass(frozen=True, eq=False)
class Selection:
    """A subset, in the order in which its selector took it.

    Attributes:
        ids: Row numbers in the data, shape (k,).
        weights: Importance weights of mean 1, shape (k,).
        facts: What chose it, from what, as plain JSON values.
    """

    ids: Array
    weights: Array
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.ids)

    def save(self, path: str | Path) -> Path:
        """Write one row per sample: `id`, `weight` and `order`, which counts from 0.

        Of a nested selector the rows with an order below k are its answer to a budget of k.

        Args:
            path: Ends in `.parquet`, whose metadata keeps the facts, or in `.csv`.

        Raises:
            ConfigurationError: When it ends in something else.
            StorageError: When the file cannot be written.
        """
        table = pa.table({"id": self.ids, "weight": self.weights, "order": np.arange(len(self))})
        return write_table(table, self.facts, path)


def select(
    data: Dataset,
    selector: Selector,
    fraction: float,
    sources: Sources = _DEFAULT,
    seed: int = 0,
    progress: Progress = _SILENT,
) -> Selection:
    """Let a selector choose among the rows that the data does not set aside for testing.

    Args:
        data: What to choose from.
        selector: The rule.
        fraction: Share of these rows to keep, in (0, 1]; at least one is kept.
        sources: Where its signals come from.
        seed: Decides every draw but those of a training, which has its own.
        progress: Told what happens.

    Raises:
        SelectorError: When the fraction is out of its range, or a signal cannot be had.
        ConfigurationError: When the model that is needed cannot be trained.
        DivergedError: When its loss is no longer finite.
    """
    if not 0.0 < fraction <= 1.0:
        raise SelectorError(f"fraction must be in (0, 1], got {fraction}")
    began = time.perf_counter()
    gathered = gather(data, selector, sources, seed, progress)
    candidates, collected = len(gathered.rows), time.perf_counter()
    progress.at("selecting", 0.0)
    budget = max(1, round(fraction * candidates))
    fits, cut = _fits(data, gathered), None
    if fits < candidates:
        arrays = {signal: reading.values.numpy() for signal, reading in gathered.readings.items()}
        subset, cut = select_in_parts(selector, gathered.rows, arrays, budget, fits, seed, sources.spread)
    else:
        device = find_device(sources.training.device)
        readings = {signal: _moved(reading, device) for signal, reading in gathered.readings.items()}
        signals = Signals(torch.from_numpy(gathered.rows).to(device), readings, progress=1.0)
        subset = selector.select(signals, budget, torch.Generator().manual_seed(derive(seed, "select")))
    facts = {
        "selector": selector_name(selector),
        "parameters": dataclasses.asdict(selector),  # type: ignore[call-overload]  # all are dataclasses
        "seed": seed,
        "data": data.fingerprint,
        "candidates": candidates,
        "budget": budget,
        "selected": len(subset),
        "nested": selector.nested and (cut is None or cut.second),
        "parts": 1 if cut is None else len(cut.parts),
        "signals": dict(gathered.origins),
        "seconds": {"signals": collected - began, "selection": time.perf_counter() - collected},
    }
    return Selection(subset.ids.cpu().numpy(), subset.weights.cpu().numpy(), facts)


def _fits(data: Dataset, gathered: Gathered) -> int:
    """Candidates whose signals are in memory at once; all of them where the data is, too."""
    inputs: object = data.inputs
    if not isinstance(inputs, ShardedInputs):
        return len(gathered.rows)
    values = [reading.values for signal, reading in gathered.readings.items() if not signal.of_target_split]
    row = sum(one[0].numel() * one.element_size() for one in values)
    return max(1, int(SHARE * inputs.limits.memory_gib * GIB / max(1, row)))


def _moved(reading: Reading, device: torch.device) -> Reading:
    return Reading(reading.values.to(device), reading.age.to(device), reading.covered.to(device))
