"""The data of a study: named columns with stable row ids, a content fingerprint, shared read-only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from autotune.data import csv, idx, parquet, storage, table, text
from autotune.data import torch as torch_data
from autotune.data.checks import check_content, check_structure
from autotune.data.columns import INPUTS, OFFICIAL_TEST, TARGETS, Array, Columns, blocks, is_unloaded, plain
from autotune.data.files import Source
from autotune.data.shards import reading as shards
from autotune.data.shards.cache import Limits
from autotune.data.table import Roles
from autotune.data.text import HashingTokenizer
from autotune.errors import DataError
from autotune.storage.location import Remote

if TYPE_CHECKING:
    import pyarrow as pa
    from torch.utils.data import Dataset as TorchDataset

_TOKENIZER: Final = HashingTokenizer()
_LIMITS: Final = Limits()


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples as columns of equal length; a sample's id is its row number.

    Build one with a `from_...` constructor: these check the values too. Arrays are made read-only views of
    what was given; change the original afterwards and the fingerprint no longer holds.

    Attributes:
        columns: Arrays of shape (n, ...) by name: `inputs`, usually `targets`, any others for splits
            (times), `groups`, which selectors may read too, and `official_test`, true for the rows that
            their source sets aside for testing.
        names: Class names by class id; empty when unknown.
    """

    columns: Mapping[str, Array]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_structure(self.columns, self.names)
        views = {name: _read_only(values) for name, values in self.columns.items()}
        object.__setattr__(self, "columns", MappingProxyType(views))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {v.dtype}{list(v.shape)}" for name, v in self.columns.items())
        return f"Dataset({self.kind}: {shapes})"

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    def __len__(self) -> int:
        return self.n

    @property
    def inputs(self) -> Array:
        """What the model reads, shape (n, ...)."""
        return self.columns[INPUTS]

    @property
    def targets(self) -> Array:
        """Class ids (n,) or values (n, ...).

        Raises:
            DataError: When the data has none.
        """
        if TARGETS not in self.columns:
            raise DataError(
                "this data has no targets; pass targets= when building it, or use a CustomLoop task"
            )
        return self.columns[TARGETS]

    @property
    def kind(self) -> str:
        """Decides how the data is split and judged: "classification", "regression" or "unlabelled"."""
        if TARGETS not in self.columns:
            return "unlabelled"
        return "classification" if self.columns[TARGETS].dtype.kind == "i" else "regression"

    @cached_property
    def classes(self) -> int:
        """Number of classes.

        Raises:
            DataError: When the data is not for classification.
        """
        if self.kind != "classification":
            raise DataError(
                f"classes are known for classification only, this data is {self.kind}; use integer targets"
            )
        return len(self.names) or int(self.targets.max()) + 1

    @property
    def sizes(self) -> dict[str, int]:
        """How large it is: `samples`, numbers per sample (`features`), and `classes` where it has any."""
        found = {"samples": self.n, "features": math.prod(self.inputs.shape[1:])}
        return found | ({"classes": self.classes} if self.kind == "classification" else {})

    @cached_property
    def official_test(self) -> Array | None:
        """Ids of the rows that the source sets aside as its test part; None when it has none."""
        mask = self.columns.get(OFFICIAL_TEST)
        return None if mask is None or not mask.any() else np.flatnonzero(mask)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over column names, types, shapes and values, as hex; the same for every copy."""
        digest = hashlib.sha256()
        for name in sorted(self.columns):
            values = self.columns[name]
            digest.update(f"{name}\0{values.dtype.str}\0{values.shape}\0".encode())
            if is_unloaded(values):
                digest.update(values.fingerprint.encode())
                continue
            for _, block in blocks(values):
                digest.update(np.ascontiguousarray(block).data.cast("B"))
        return digest.hexdigest()

    def bulk(self) -> dict[str, Array]:
        """The arrays themselves, to be put into shared memory; see `from_bulk`."""
        return dict(self.columns)

    def meta(self) -> dict[str, Any]:
        """What `from_bulk` needs besides the arrays, as plain JSON values."""
        return {"names": list(self.names), "fingerprint": self.fingerprint}

    @classmethod
    def from_bulk(cls, bulk: Mapping[str, Array], meta: Mapping[str, Any] | None = None) -> Dataset:
        """Use checked arrays in place: nothing is copied, and no value is read."""
        meta = meta or {}
        data = cls(bulk, tuple(meta.get("names", ())))
        if "fingerprint" in meta:  # the cache of the property: spares a full scan
            data.__dict__["fingerprint"] = meta["fingerprint"]
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset.from_bulk, (self.bulk(), self.meta())

    def save(self, path: str | Path) -> Path:
        """Write one Arrow IPC file, atomically; `open` maps it.

        Raises:
            StorageError: When the path cannot be written.
        """
        return storage.save(Path(path), self.bulk(), self.meta())

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Map a saved file into memory: all processes of a node share its one copy in the page cache.

        Raises:
            StorageError: When the path cannot be read.
            DataError: When the file is damaged or was not written by `save`.
        """
        return cls.from_bulk(*storage.load(Path(path)))

    def with_columns(self, **columns: Any) -> Dataset:
        """The same data with columns added or replaced, such as targets with label noise."""
        kept = {name: one for name, one in {**self.columns, **columns}.items() if one is not None}
        return Dataset._checked(Columns(kept, self.names))

    def take(self, rows: Array) -> Dataset:
        """A copy of some rows, renumbered from 0; class ids keep their meaning."""
        names = self.names
        if self.kind == "classification" and not names:
            names = tuple(str(i) for i in range(self.classes))
        return Dataset({name: values[rows] for name, values in self.columns.items()}, names)

    @classmethod
    def from_arrays(
        cls, inputs: Any, targets: Any = None, *, names: Sequence[str] = (), **columns: Any
    ) -> Dataset:
        """From arrays with one row per sample.

        Args:
            inputs: Numbers, shape (n, ...); double precision becomes single.
            targets: Class ids 0..classes-1 or class names, shape (n,), for classification; floats for
                regression; None for neither.
            names: Class names by class id, when the targets are ids.
            columns: Further columns, such as groups or times for the splits, and `official_test`.

        Raises:
            DataError: When the arrays are empty, differ in length or hold unusable values.
        """
        given = {INPUTS: inputs, TARGETS: targets, **columns}
        return cls._checked(Columns({n: v for n, v in given.items() if v is not None}, tuple(names)))

    @classmethod
    def from_torch(cls, dataset: TorchDataset[Any]) -> Dataset:
        """From a map-style torch data set of (input, target) pairs, each read once; see `data.torch`."""
        return cls._checked(torch_data.read(dataset))

    @classmethod
    def from_table(
        cls,
        rows: pa.Table,
        *,
        target: str | None,
        inputs: str | Sequence[str] | None = None,
        keep: Sequence[str] = (),
        kind: str | None = None,
        tokenizer: HashingTokenizer = _TOKENIZER,
    ) -> Dataset:
        """From an Arrow table; see `data.table` for what becomes of each type of column.

        Args:
            rows: The table.
            target: Column to predict; None for data without targets.
            inputs: Columns that the model reads; None = all others, or the one column of images or lists.
            keep: Columns to carry along under their own names, such as groups or times.
            kind: "classification" or "regression"; None = by the type of the target.
            tokenizer: How a text column becomes numbers.
        """
        roles = Roles(target, inputs, tuple(keep), kind)
        return cls._checked(table.read(rows, roles, tokenizer))

    @classmethod
    def from_parquet(
        cls,
        source: Source,
        *,
        target: str | None,
        inputs: str | Sequence[str] | None = None,
        keep: Sequence[str] = (),
        kind: str | None = None,
        tokenizer: HashingTokenizer = _TOKENIZER,
    ) -> Dataset:
        """From Parquet files; like `from_table`, and encoded images are decoded in parallel.

        `source` is a file, several, a folder or a glob pattern; of several, those with `test` as a word in
        their name are the official test part. The other arguments are those of `from_table`.
        """
        roles = Roles(target, inputs, tuple(keep), kind)
        return cls._checked(parquet.read(source, roles, tokenizer))

    @classmethod
    def from_shards(
        cls,
        source: Source | Remote,
        *,
        target: str | None,
        inputs: str | Sequence[str] | None = None,
        keep: Sequence[str] = (),
        kind: str | None = None,
        limits: Limits = _LIMITS,
    ) -> Dataset:
        """From Parquet files that are larger than memory, in a folder or an object store; see docs/data.md.

        Targets and kept columns are read now; inputs are read by row id when they are needed, and what is
        read often is kept on the node's disk. The fingerprint is of what the shards' footers and the columns
        in memory say, not of every input.

        Args:
            source: As in `from_parquet`, or an address such as `s3://bucket/folder?region=eu-west-1`.
            target: As in `from_table`, like all but the last.
            inputs: Numbers, one column of images, of lists of one length, or of text.
            keep: Columns to carry along.
            kind: "classification" or "regression"; None = by the type of the target.
            limits: What reading may take of a node's disk and memory.

        Raises:
            StorageError: When a shard cannot be read.
            DataError: When a shard is damaged, differs from the others, or cannot be used.
        """
        roles = Roles(target, inputs, tuple(keep), kind)
        return cls._checked(shards.read(source, roles, _TOKENIZER, limits))

    @classmethod
    def from_csv(
        cls,
        source: Source,
        *,
        target: str | None,
        inputs: str | Sequence[str] | None = None,
        keep: Sequence[str] = (),
        kind: str | None = None,
        header: Sequence[str] | None = None,
    ) -> Dataset:
        """From CSV files; like `from_table`, with `?` and empty fields as missing values.

        `source` is as in `from_parquet`; `header` names the columns of files whose first line is data
        already. The other arguments are those of `from_table`.
        """
        roles = Roles(target, inputs, tuple(keep), kind)
        return cls._checked(csv.read(source, roles, header, _TOKENIZER))

    @classmethod
    def from_idx(cls, directory: str | Path) -> Dataset:
        """From the IDX files of MNIST or Fashion-MNIST, gzipped or not; `t10k` is the official test part."""
        return cls._checked(idx.read(Path(directory)))

    @classmethod
    def from_text(cls, source: Source, *, tokenizer: HashingTokenizer = _TOKENIZER) -> Dataset:
        """From text files with one `label text` per line, as TREC has them."""
        return cls._checked(text.read(source, tokenizer))

    @classmethod
    def _checked(cls, found: Columns) -> Dataset:
        found = plain(found.arrays, found.names)
        data = cls(found.arrays, found.names)
        check_content(data.columns, data.names)
        return data


def _read_only(values: Array) -> Array:
    if is_unloaded(values):
        return cast(Array, values)
    view = values.view()
    view.flags.writeable = False
    return view
