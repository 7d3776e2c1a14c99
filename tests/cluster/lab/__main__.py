"""The long form of the matrix: `make chaos`, or `python -m tests.cluster.lab --rows node,driver`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .matrix import MATRIX, Row
from .sandbox import missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.lab", description=__doc__)
    parser.add_argument("--rows", default=",".join(MATRIX), help="which ones, separated by commas")
    parser.add_argument("--json", type=Path, help="where figures go; rows that were not run stay in it")
    given = parser.parse_args()
    if (reason := missing()) is not None:
        print(f"skipped: {reason}")
        return 0
    failed = False
    for name in given.rows.split(","):
        needs = MATRIX[name].needs
        if needs is not None and shutil.which(needs) is None:
            print(f"{name:10} skipped: there is no {needs}", flush=True)
            continue
        figures = _measure(MATRIX[name])
        failed = failed or bool(figures["misses"])
        print(_line(name, figures), flush=True)
        if given.json:
            _keep(given.json, name, figures)
    return int(failed)


def _measure(row: Row) -> dict[str, Any]:
    began, load = time.time(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="autotune-lab-") as folder:
        figures = row.run(Path(folder))
    return {
        **figures,
        "misses": row.misses(figures),
        "bars": dict(row.bars),
        "wall_s": round(time.time() - began),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("ray", "optuna")}
        | {"python": platform.python_version()},
    }


def _line(name: str, figures: dict[str, Any]) -> str:
    shown = {key: figures[key] for key in ("faults", "p50_s", "p95_s", *figures["bars"]) if key in figures}
    verdict = f"misses {figures['misses']}" if figures["misses"] else "reached"
    return f"{name:10} {verdict:10} " + "  ".join(f"{key}={value}" for key, value in shown.items())


def _keep(path: Path, name: str, figures: dict[str, Any]) -> None:
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**kept, name: figures}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
