"""Text as fixed-length rows of token ids, by hashing: nothing is learnt, so no test row can leak."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from autotune.data.columns import INPUTS, OFFICIAL_TEST, TARGETS, Array, Columns, class_ids
from autotune.data.files import Source, find
from autotune.errors import DataError, StorageError

SUFFIXES: Final = (".txt", ".text", ".all", ".label")
_WORD: Final = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class HashingTokenizer:
    """Words and punctuation marks, lower-cased, as CRC-32 ids; the same in every process and version.

    Attributes:
        vocabulary: Number of ids, the padding id 0 included; two words may share an id.
        length: Tokens per text; longer texts are cut, shorter ones padded at the end.
    """

    vocabulary: int = 1 << 13
    length: int = 40

    def __post_init__(self) -> None:
        if self.vocabulary < 2:
            raise DataError(
                f"vocabulary must be at least 2 (one id is padding), got {self.vocabulary}; try 8192"
            )
        if self.length < 1:
            raise DataError(f"length must be at least 1 token, got {self.length}; try 40")

    def encode(self, texts: Iterable[str]) -> Array:
        """Token ids, shape (n, length), int64, in [0, vocabulary)."""
        rows = [self._ids(text) for text in texts]
        out = np.zeros((len(rows), self.length), np.int64)
        for row, ids in zip(out, rows, strict=True):
            row[: len(ids)] = ids
        return out

    def _ids(self, text: str) -> list[int]:
        words = _WORD.findall(text.lower())[: self.length]
        return [1 + zlib.crc32(word.encode()) % (self.vocabulary - 1) for word in words]


def read(source: Source, tokenizer: HashingTokenizer) -> Columns:
    """Lines of `label text`; files with `test` in their name are the official test part.

    A file that is not UTF-8 is read as ISO-8859-1.

    Raises:
        StorageError: When a file cannot be read.
        DataError: When it is missing, or a line has no label or no text.
    """
    pairs, train = lines(source)
    arrays = {INPUTS: tokenizer.encode(text for _, text in pairs)}
    if train < len(pairs):
        arrays[OFFICIAL_TEST] = np.arange(len(pairs)) >= train
    labels = label_columns([label for label, _ in pairs])
    return Columns({**arrays, **labels.arrays}, labels.names)


def lines(source: Source) -> tuple[list[tuple[str, str]], int]:
    """Label and text of every line, and how many of them come before the official test part.

    Raises:
        StorageError: When a file cannot be read.
        DataError: When it is missing, or a line has no label or no text.
    """
    files = find(source, SUFFIXES)
    train = [line for path in files.train for line in _lines(path)]
    test = [line for path in files.test for line in _lines(path)]
    return train + test, len(train)


def label_columns(labels: list[str]) -> Columns:
    """Class ids of labels written as text: whole numbers stay numbers, words are numbered in sorted order."""
    if all(re.fullmatch(r"-?\d+", label) for label in labels):
        return class_ids(np.asarray([int(label) for label in labels], dtype=np.int64))
    names, ids = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    return Columns({TARGETS: ids.astype(np.int64)}, tuple(names.tolist()))


def _lines(path: Path) -> list[tuple[str, str]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}; check the path and its permissions") from error
    try:
        content = raw.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError:
        content = raw.decode("iso-8859-1")
    pairs = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        label, _, text = line.strip().partition(" ")
        if not text.strip():
            raise DataError(
                f"{path}, line {number}: expected `label text`, got {line.strip()[:60]!r}; fix the line"
            )
        pairs.append((label, text))
    if not pairs:
        raise DataError(f"{path} has no lines; expected one `label text` per line")
    return pairs
