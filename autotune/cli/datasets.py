"""Options that say what data is read, and where features, models and signals come from."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotune.errors import ConfigurationError, unknown

if TYPE_CHECKING:
    from torch import nn

    from autotune.data import Dataset
    from autotune.standalone.sources import Sources


def add_options(one: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    data = one.add_argument_group("data")
    data.add_argument(
        "data", metavar="DATA", help="IDX folder, Parquet, CSV, text, .arrow, s3://…; or `digits`"
    )
    data.add_argument(
        "--target", metavar="COLUMN", help="what is predicted (default: label, target, class, y)"
    )
    data.add_argument(
        "--inputs", metavar="COLUMN", nargs="+", help="what a model reads (default: the others)"
    )
    data.add_argument(
        "--kind", choices=("classification", "regression", "unlabelled"), help="(default: by the target)"
    )
    data.add_argument(
        "--memory-gib",
        type=float,
        metavar="N",
        help="leave Parquet inputs in their shards: memory for what is read",
    )
    data.add_argument("--cache-gib", type=float, metavar="N", help="the same: disk for what is read often")
    sources = one.add_argument_group("features, models and signals")
    sources.add_argument("--features", metavar="FILE.npy|COLUMN", help="one row per sample")
    sources.add_argument("--encoder", metavar="MODULE:FACTORY", help="computes features; `factory(config)`")
    sources.add_argument("--model", metavar="MODULE:FACTORY", help="what is trained; `factory(config)`")
    sources.add_argument(
        "--epochs", type=float, default=5.0, metavar="N", help="how long it is trained (default: 5)"
    )
    sources.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of training or model"
    )
    sources.add_argument("--device", default="auto", help="such as cpu or cuda:0 (default: auto)")
    one.add_argument("--seed", type=int, default=0, help="decides every draw (default: 0)")
    one.add_argument("--overwrite", action="store_true", help="replace what --out names, if it is there")
    one.add_argument("--quiet", action="store_true", help="show no notes and no progress")


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` texts by name.

    Raises:
        ConfigurationError: When a text is none, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise ConfigurationError(f"{option} must be NAME=VALUE, got {text!r}")
        if name in found:
            raise ConfigurationError(f"{option}: {name!r} is given twice; remove one")
        found[name] = value
    return found


def plain(text: str) -> bool | int | float | str:
    """A value as it was meant: true or false, a whole number, a number, else the text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def load(given: argparse.Namespace, signals: Mapping[str, str]) -> tuple[Dataset, Sources]:
    """The data, and where signals come from; factories and files are looked at before the data is read.

    Args:
        given: The options.
        signals: `FILE.npy` or a column, by the name of the signal.

    Raises:
        ConfigurationError: When something cannot be imported, read or understood.
        StorageError: When a file cannot be read.
    """
    from autotune.data import Limits, open_dataset
    from autotune.importing import load_function
    from autotune.signals import Signal
    from autotune.standalone.files import read_array
    from autotune.standalone.sources import ONE_NUMBER, Sources
    from autotune.standalone.training import Training

    known = [signal.value for signal in Signal]
    for name in signals:
        if name not in known:
            raise ConfigurationError(unknown("signal", name, known))
    if given.features:
        signals = {**signals, Signal.FEATURES.value: given.features}
    named = {Signal(name): value for name, value in signals.items()}
    arrays = {signal: read_array(value) for signal, value in named.items() if value.endswith(".npy")}
    columns = {signal: value for signal, value in named.items() if signal not in arrays}
    here = [Path.cwd()]
    encoder, model = (load_function(one, here) if one else None for one in (given.encoder, given.model))
    settings = {name: plain(value) for name, value in pairs(given.set, "--set").items()}
    training = Training(model, given.epochs, settings, given.device, given.seed)

    asked = {"memory_gib": given.memory_gib, "cache_gib": given.cache_gib}
    named_limits = {name: value for name, value in asked.items() if value is not None}
    limits = Limits(**named_limits) if named_limits else None

    def read(inputs: list[str] | None, keep: list[str]) -> Dataset:
        return open_dataset(
            given.data, target=given.target, inputs=inputs, keep=keep, kind=given.kind, limits=limits
        )

    kept = list(dict.fromkeys(column for signal, column in columns.items() if signal in ONE_NUMBER))
    data = read(given.inputs, kept)
    for signal, column in columns.items():
        arrays[signal] = data.columns[column] if column in data.columns else read([column], []).inputs[:]
    return data, Sources(
        arrays, None if encoder is None else _built(encoder, training.config(data)), training
    )


def _built(factory: Callable[..., Any], config: Mapping[str, Any]) -> nn.Module:
    """The encoder of a configuration.

    Raises:
        ConfigurationError: When the factory raises, or returns something else.
    """
    from torch import nn

    try:
        made: object = factory(config)
    except Exception as error:  # whatever the user's code raises
        raise ConfigurationError(f"--encoder: the factory raised {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigurationError(
            f"--encoder: the factory must return an nn.Module, got {type(made).__name__}"
        )
    return made
