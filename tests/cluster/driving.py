"""Drivers of clusters in a process of their own, which leave the tests' cluster alone."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from autotune.cluster.render.common import HEALTH

HERE = Path(__file__).parent


def drive(script, *given):
    """What a driver prints; clusters of several nodes want a main thread of their own."""
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as own:  # Ray notes its latest cluster there
        done = subprocess.run(
            [sys.executable, "-W", "ignore", HERE / script, *map(str, given)],
            env={**inherited, **HEALTH, "PYTHONPATH": path, "RAY_TMPDIR": own},
            capture_output=True,
            text=True,
            timeout=280,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
