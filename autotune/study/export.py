"""The result folder of a finished study: tables, settings and the model, for people and programs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.torch import save_file

from autotune.checkpoint import open_checkpoints
from autotune.errors import StorageError
from autotune.events import strict
from autotune.history import Trial
from autotune.ledger import Label
from autotune.storage.location import Location
from autotune.storage.opening import staged
from autotune.study.result import Result

FORMAT: Final = 1
MODEL: Final = "model/"  # the state dict, in a checkpoint
JUDGED: Final = "judged/"  # what stood in for some of it when the model was judged: averaged weights


def export(result: Result) -> Location:
    """Write `trials.parquet`, and once the study is done its winner's settings, model and manifest.

    Returns:
        The folder, `result.path / "result"`.

    Raises:
        StorageError: When it cannot be written.
    """
    target = result.path / "result"
    try:
        with staged(target) as folder:
            pq.write_table(trials_table(result), folder / "trials.parquet")
            if result.best_config is not None:
                (folder / "config.yaml").write_text(yaml.safe_dump(dict(result.best_config), sort_keys=False))
                model = _save_model(result, folder / "model.safetensors")
                manifest = json.dumps({**_manifest(result), "model": model}, indent=2)
                (folder / "manifest.json").write_text(manifest + "\n")
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"cannot write the result folder {target}: {error.strerror or error}; free space or fix the "
            "path, then run the study again: nothing is lost"
        ) from error
    return target


def trials_table(result: Result) -> pa.Table:
    """One row per trial: what it was, how it did, what it cost."""
    trials = result.history.trials.values()
    return pa.Table.from_pylist([_row(trial, result) for trial in trials])


def _row(trial: Trial, result: Result) -> dict[str, Any]:
    reference_flops = result.reference_flops
    row: dict[str, Any] = {
        "trial": trial.number,
        "phase": trial.phase,
        "origin": trial.origin,
        "status": result.history.called(trial.status),
        "source": trial.source,
        "policy": trial.arm,
        "rung": trial.rung,
        "fidelity": trial.fidelity,
        "score": trial.score,
        "epochs": trial.ledger.epochs(reference_flops),
        "failure": None if trial.failure is None else ": ".join(trial.failure),
        "seed": trial.seed,
        "config": json.dumps(dict(trial.config)),
        "metrics": json.dumps(strict(dict(trial.metrics))),
    }
    for label in Label:
        row[f"{label.value}_epochs"] = trial.ledger[label].flops / reference_flops
        row[f"{label.value}_seconds"] = trial.ledger[label].seconds
    return row


def _save_model(result: Result, path: Path) -> Mapping[str, Any] | None:
    """The weights of the winner's best seed on validation; None where trials keep no checkpoints."""
    winner = result.verdict["winner"]
    scores = [float(score) for score in winner["validation"]]  # a log has `nan` for a seed that ended badly
    best = max(pair for pair in zip(scores, winner["trials"], strict=True) if math.isfinite(pair[0]))
    checkpoint = open_checkpoints(result.path / "checkpoints").latest(best[1])
    if checkpoint is None:
        return None
    weights = {
        name.removeprefix(prefix): tensor
        for prefix in (MODEL, JUDGED)
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(prefix)
    }
    save_file(weights, path)
    return {"trial": best[1], "validation": best[0], "file": path.name}


def _manifest(result: Result) -> dict[str, Any]:
    winner = strict(result.verdict["winner"])
    seeds = [result.history.trials[number].seed for number in winner["trials"]]
    return {
        "format": FORMAT,
        "study": result.history.study,
        "winner": {**winner, "seeds": seeds},
        "versions": result.history.versions,
        "drivers": result.history.drivers,
        "git": _git_revision(),
    }


def _git_revision() -> str | None:
    """The revision of the script that runs the study, if it is under git; marked when it has changes."""
    folder = Path(sys.argv[0] or ".").resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
