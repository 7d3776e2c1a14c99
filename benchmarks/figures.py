"""What the benchmarks share: their common options, and the file for their figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.machine import machine


def options(description: str | None, threads: int | None = None) -> argparse.ArgumentParser:
    """A parser with the options that benchmarks on data have in common.

    Args:
        description: The module's docstring, of which the first line is shown.
        threads: How many torch uses unless told otherwise; None where that is not to be chosen.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds the data sets")
    parser.add_argument("--json", type=Path, help="file for the figures")
    if threads is not None:
        parser.add_argument("--threads", type=int, default=threads)
    return parser


def needs_no_data(parser: argparse.ArgumentParser) -> None:
    """Take the options that benchmarks on data have, for whoever calls all benchmarks alike."""
    parser.add_argument("--data-dir", type=Path, help="accepted, and not needed")
    parser.add_argument("--datasets", nargs="*", help="accepted, and not needed")


def begin(arguments: argparse.Namespace, **parts: Any) -> dict[str, Any]:
    """What a file of figures begins with: the machine, which is printed too, and all options."""
    print(machine()["summary"], flush=True)
    settings = {name: str(one) if isinstance(one, Path) else one for name, one in vars(arguments).items()}
    return {"machine": machine(), "settings": settings, **parts}


def write(result: dict[str, Any], file: Path | None) -> None:
    """Write the figures, where there is a file for them."""
    if file is not None:
        file.write_text(json.dumps(result, indent=1, default=str) + "\n")
