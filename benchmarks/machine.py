"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def machine() -> dict[str, str]:
    """Processor, cores and versions; `summary` in one line."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    processor = models[0] if models else platform.processor() or platform.machine()
    versions = {name: version(name) for name in ("autotune", "ray", "optuna", "torch")}
    cores = str(os.cpu_count())
    return {
        "processor": processor,
        "cores": cores,
        "python": platform.python_version(),
        **versions,
        "summary": f"{processor}, {cores} cores, ray {versions['ray']}, torch {versions['torch']}",
    }
