"""Any supported data set from its path alone, for the command line and the benchmarks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from autotune.data import csv, parquet, text
from autotune.data.dataset import Dataset
from autotune.data.digits import digits
from autotune.data.files import find, neighbours
from autotune.data.shards.cache import Limits
from autotune.data.shards.files import find_shards
from autotune.data.shards.layout import read_footers
from autotune.errors import DataError, unknown
from autotune.storage.location import Location, Remote, locate

_TARGETS: Final = ("label", "target", "class", "y")
UNLABELLED: Final = "unlabelled"
_GLOB: Final = re.compile(r"[*?\[]")


def open_dataset(
    source: str | Path,
    *,
    target: str | None = None,
    inputs: str | Sequence[str] | None = None,
    keep: Sequence[str] = (),
    kind: str | None = None,
    header: Sequence[str] | None = None,
    limits: Limits | None = None,
) -> Dataset:
    """Read `digits`, a file, a folder or a glob pattern, in the format that its names show.

    The address of a file or folder in an object store is that of Parquet files, whose inputs stay there.

    Folders may hold IDX files as MNIST has them, Parquet, CSV (with a C4.5 `.names` file beside, its columns
    are named from it and the last is the target) or text with `label text` lines. `.arrow` is a file of
    `Dataset.save`.

    Args:
        source: Where the data is.
        target: Column to predict; None = the one named label, target, class or y.
        inputs: Columns that the model reads; None = all others, or the one column of images or lists.
        keep: Columns to carry along under their own names, such as groups or times.
        kind: "classification" or "regression"; None = by the type of the target; "unlabelled" = tables have
            no target.
        header: Column names of CSV files whose first line is data already.
        limits: Leave the inputs of Parquet files where they are, and read them within these limits; see
            `Dataset.from_shards`. None reads files into memory.

    Raises:
        StorageError: When it cannot be read.
        DataError: When nothing is there, the format is unknown or the data cannot be used.
    """
    place = locate(source)
    if isinstance(place, Remote) or limits is not None:
        schema = read_footers(find_shards(place)[0][:1])[0].schema
        chosen, kind = _target(target, kind, schema.names, place)
        return Dataset.from_shards(
            place, target=chosen, inputs=inputs, keep=keep, kind=kind, limits=limits or Limits()
        )
    path = place
    given = {"target": target, "inputs": inputs, "kind": kind, "header": header}
    if str(source) == "digits" and not path.exists():
        return _as_it_is(digits(), source, keep, given)
    suffix = format_of(path)
    if suffix == "idx":
        return _as_it_is(Dataset.from_idx(path), source, keep, given)
    if suffix == ".arrow":
        return _as_it_is(Dataset.open(path), source, keep, given)
    if suffix in parquet.SUFFIXES:
        names = parquet.column_names(find(source, parquet.SUFFIXES).train[0])
        chosen, kind = _target(target, kind, names, path)
        return Dataset.from_parquet(source, target=chosen, inputs=inputs, keep=keep, kind=kind)
    if suffix in csv.SUFFIXES:
        first = find(source, csv.SUFFIXES).train[0]
        header = header or c45_header(first.parent)
        if header and target is None and kind != UNLABELLED:
            target = header[-1]
        chosen, kind = _target(target, kind, csv.read_file(first, header).column_names, path)
        return Dataset.from_csv(source, target=chosen, inputs=inputs, keep=keep, kind=kind, header=header)
    return _as_it_is(Dataset.from_text(source), source, keep, given)


def _as_it_is(data: Dataset, source: object, keep: Sequence[str], given: Mapping[str, object]) -> Dataset:
    """Data of a format that says itself what its columns are.

    Raises:
        DataError: When something else is asked of it.
    """
    asked = [name for name, value in given.items() if value is not None]
    if asked:
        raise DataError(f"{source} says itself what its columns are; leave out {', '.join(asked)}")
    for name in keep:
        if name not in data.columns:
            raise DataError(f"{source}: {unknown('column', name, data.columns)}")
    return data


def c45_names(content: str) -> list[str]:
    """Column names of a C4.5 `.names` file in order, the target, which it does not name, last as `target`."""
    lines = [line for line in content.splitlines() if line.strip() and not line.startswith("|")]
    return [line.split(":")[0].strip() for line in lines if ":" in line] + ["target"]


def format_of(path: Path) -> str:
    """The format: `idx` or the suffix of the files.

    Raises:
        DataError: When nothing is there, or the format is unknown.
    """
    known = (*parquet.SUFFIXES, *csv.SUFFIXES, *text.SUFFIXES)
    if path.is_dir():
        if any("-idx" in each.name for each in path.iterdir()):
            return "idx"
        found = {each.suffix.lower() for each in path.iterdir() if each.is_file()}
        match = next((suffix for suffix in known if suffix in found), None)
    elif path.exists() or _GLOB.search(str(path)):
        suffix = find(path, known).train[0].suffix.lower()
        match = suffix if suffix in (*known, ".arrow") else None
    else:
        raise DataError(f"{path} does not exist; {neighbours(path)}")
    if match is None:
        raise DataError(
            f"no known data format at {path} (idx, {', '.join(known)}, .arrow); {neighbours(path)}"
        )
    return match


def _target(
    target: str | None, kind: str | None, names: Sequence[str], path: Location
) -> tuple[str | None, str | None]:
    """The target column, and what of `kind` is left to say."""
    if kind == UNLABELLED:
        if target is not None:
            raise DataError(
                f"data of kind {UNLABELLED!r} has no target, got {target!r}; leave one of them out"
            )
        return None, None
    if target is not None:
        return target, kind
    found = [name for name in names if name.lower() in _TARGETS]
    if len(found) != 1:
        raise DataError(
            f"which column of {path} is the target? name it with target=, or say kind={UNLABELLED!r}; "
            f"columns: {', '.join(names)}"
        )
    return found[0], kind


def c45_header(folder: Path) -> list[str] | None:
    """Column names from the one `.names` file of a folder; None where there is none, or several."""
    files = sorted(folder.glob("*.names"))
    return c45_names(files[0].read_text()) if len(files) == 1 else None
