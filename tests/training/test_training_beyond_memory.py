"""A study of data in shards, in less memory than the data take: the kernel holds it to that."""

import json
import subprocess
import sys

import pytest

MIB, ALLOWED, CACHE = 96, 64, 256


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_study_runs_in_less_memory_than_its_data_and_comes_to_the_same(tmp_path):
    sizes = ["--mib", str(MIB), "--memory-mib", str(ALLOWED), "--cache-mib", str(CACHE), "--seeds", "1"]
    command = [sys.executable, "-m", "benchmarks.beyond_memory", *sizes, "--tasks", "study"]
    done = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    row = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert row["same_answer"]
    assert row["beyond"]["peak_mib"] < MIB < row["inside"]["peak_mib"]
