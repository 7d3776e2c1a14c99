"""Look for samples of a data set that are likely wrong: mislabelled ones, and ones that are there twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import torch

from autotune.data import Dataset
from autotune.data.columns import TARGETS, Array, is_unloaded
from autotune.errors import ConfigurationError
from autotune.seeds import derive
from autotune.standalone.crossed import FOLDS, judge
from autotune.standalone.duplicates import Duplicates, find_duplicates, first_of_content
from autotune.standalone.files import write_table
from autotune.standalone.mislabels import Mislabels
from autotune.standalone.progress import Progress, Silent
from autotune.standalone.rows import candidates
from autotune.standalone.sources import Sources, features_of

NEAR: Final = 0.2  # of the median distance to the nearest sample
_DEFAULT: Final = Sources()
_SILENT: Final = Silent()


@final
@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in a data set.

    Attributes:
        data: That was looked at.
        rows: Ids of the samples that were, sorted, shape (n,): all but the official test part.
        labels: What training said of them; None for data without targets.
        duplicates: How alike they are.
        facts: What found it, as plain JSON values.
    """

    data: Dataset
    rows: Array
    labels: Mislabels | None
    duplicates: Duplicates
    facts: Mapping[str, Any]

    def summary(self) -> dict[str, Any]:
        """The counts, as plain JSON values."""
        repeated = self.duplicates.exact
        found: dict[str, Any] = {"samples": len(self.rows)}
        if self.labels is not None:
            found["likely_mislabelled"] = int(self.labels.suspect.sum())
        found["exact_copies"] = int(repeated.sum())
        found["copies_with_another_label"] = int(self._disagreeing().sum())
        found["near_duplicates"] = int((self.duplicates.near & ~repeated).sum())
        return found

    def table(self) -> pa.Table:
        """One row per sample, the likeliest mislabelled first; without targets in the order of ids."""
        twins = self.duplicates
        columns: dict[str, Any] = {"id": self.rows}
        if self.labels is not None:
            if self.data.targets.ndim == 1:
                columns["label"] = self._named(self.data.targets[self.rows])
            if self.data.kind == "classification":
                columns["suggested"] = self._named(self.labels.rival)
                columns["margin"] = self.labels.margin
            columns |= {"loss": self.labels.loss, "suspect": self.labels.suspect}
        columns["copy_of"] = _or_null(self.rows[twins.first], twins.exact)
        columns["nearest"] = _or_null(self.rows[twins.nearest], twins.nearest >= 0)
        columns["distance"] = _or_null(twins.distance, twins.nearest >= 0)
        columns["near_duplicate"] = twins.near
        table = pa.table(columns)
        if self.labels is not None:
            table = table.take(pa.array(self.labels.ranking()))
        return table

    def save(self, path: str | Path) -> Path:
        """Write the table.

        Args:
            path: Ends in `.parquet`, whose metadata keeps the facts, or in `.csv`.

        Raises:
            ConfigurationError: When it ends in something else.
            StorageError: When the file cannot be written.
        """
        return write_table(self.table(), self.facts, path)

    def suspects(self) -> Array:
        """Positions of the likely mislabelled samples, the likeliest first."""
        if self.labels is None:
            return np.empty(0, np.int64)
        order = self.labels.ranking()
        return order[self.labels.suspect[order]]

    def copies(self) -> list[Array]:
        """Positions of samples of the same content, by group; groups with several labels first."""
        twins, odd = self.duplicates, self._disagreeing()
        firsts = np.unique(twins.first[twins.exact])
        first_odd = np.isin(firsts, twins.first[odd])
        order = np.argsort(twins.first, kind="stable")
        bounds = np.searchsorted(twins.first[order], firsts[np.argsort(~first_odd, kind="stable")])
        sizes = np.bincount(twins.first, minlength=len(twins.first))
        return [order[at : at + sizes[twins.first[order[at]]]] for at in bounds]

    def mixed(self) -> list[tuple[str, str, int]]:
        """Given label, preferred label and count of likely mislabelled samples, the most frequent first."""
        if self.labels is None or self.data.kind != "classification":
            return []
        at = self.suspects()
        pairs = np.stack([self.data.targets[self.rows[at]], self.labels.rival[at]], 1)
        found, counts = np.unique(pairs, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        named = self._named(found[order]).tolist()
        return [(str(a), str(b), int(count)) for (a, b), count in zip(named, counts[order], strict=True)]

    def names(self, position: int) -> tuple[str, str]:
        """The label of a sample, and the one that the model preferred; empty where there is none."""
        if TARGETS not in self.data.columns:
            return "", ""
        target = self.data.targets[self.rows[position]]
        if self.labels is None or self.data.kind != "classification":
            return np.array2string(np.asarray(target), precision=4), ""
        return str(self._named(target)), str(self._named(self.labels.rival[position]))

    def _disagreeing(self) -> Array:
        """Copies whose label is not that of their first, shape (n,)."""
        if TARGETS not in self.data.columns:
            return np.zeros(len(self.rows), bool)
        targets = self.data.targets[self.rows]
        found: Array = (targets != targets[self.duplicates.first]).reshape(len(targets), -1).any(1)
        return found

    def _named(self, ids: Array) -> Array:
        return np.asarray(self.data.names)[ids] if self.data.names else ids


def audit(
    data: Dataset,
    sources: Sources = _DEFAULT,
    near: float = NEAR,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = _SILENT,
) -> Audit:
    """Rank likely mislabelled samples and find duplicates, among the rows not set aside for testing.

    A model is trained on all parts of them but one, labels as they are, for each part in turn. A sample is
    likely mislabelled when the models that are shown its label learn it late, if ever, and the one that is
    not prefers another. Data without targets is searched for duplicates only.

    Args:
        data: What to look at.
        sources: `training` says which model and how long, `given` features or `encoder` what is near.
        near: Distance below which two samples are near duplicates, over the median distance of samples to
            their nearest, at least 0.
        folds: Number of parts, and of models, from 2 to the number of samples.
        seed: Decides every draw but those of the training, which has its own.
        progress: Told what happens.

    Raises:
        ConfigurationError: When the model cannot be trained, or `near` or `folds` is out of its range.
        DivergedError: When the loss of the model is no longer finite.
    """
    if not near >= 0:
        raise ConfigurationError(f"near must be at least 0, got {near}")
    if is_unloaded(data.inputs):
        raise ConfigurationError(
            "an audit needs all inputs in memory; read the files without limits on memory or cache, "
            "or audit a part of them"
        )
    rows = candidates(data)
    inputs = data.inputs if len(rows) == data.n else data.inputs[rows]
    first = first_of_content(inputs)
    origins: dict[str, str] = {}
    labels = None
    if data.kind == "unlabelled" or (data.kind == "classification" and data.classes < 2):
        progress.note("labels: not audited, for the data has no two of them")
    else:
        labels, origins["labels"] = judge(data, rows, first, sources.training, folds, progress)
    features, origins["features"] = features_of(data, rows, sources, seed, progress)
    generator = torch.Generator().manual_seed(derive(seed, "duplicates"))
    twins = find_duplicates(first, features, near, generator, progress)
    facts = {"data": data.fingerprint, "near": near, "seed": seed, **origins}
    return Audit(data, rows, labels, twins, facts)


def _or_null(values: Array, known: Array) -> pa.Array:
    return pa.array(values, mask=~known)
