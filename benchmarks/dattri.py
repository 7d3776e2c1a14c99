"""dattri's scores, from an environment of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.attribution import (
    Samples,
)

PEER: Final = Path(__file__).parent / "peers" / "dattri_scores.py"


def run_peer(
    python: Path,
    methods: list[str],
    states: Sequence[list[Tensor]],
    data: Samples,
    test: Samples,
    threads: int,
) -> dict[str, Any]:
    """Scores and seconds of dattri, in its own process and environment."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "in.pt", Path(folder) / "out.pt"
        torch.save(
            {
                "methods": methods,
                "states": list(states),
                "train": (data.inputs, data.targets),
                "test": (test.inputs, test.targets),
                "threads": threads,
            },
            given,
        )
        quiet = {**os.environ, "TQDM_DISABLE": "1"}
        subprocess.run([str(python), str(PEER), str(given), str(answer)], check=True, env=quiet)
        result: dict[str, Any] = torch.load(answer)
        return result
