"""A selection and a study over data in shards, in less memory than it takes, against the same data in memory.

    python -m benchmarks.beyond_memory --mib 1024 --memory-mib 128 --cache-mib 256 --seeds 3 --json FILE

Each run is a process of its own. The limit is the kernel's, on private memory that the process may write
(RLIMIT_DATA), so many MiB above what it had when the shards were opened; files that are mapped do not count.
`peak` is what it held of such memory at most, above what it had before; `read` counts bytes asked of shards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

import autotune as at
from autotune.data import Dataset, Limits
from autotune.data.shards.files import Shard
from autotune.scheduling.asha import ASHA
from autotune.searching.random import RandomSearch
from autotune.selection import make_selector
from autotune.space import Choice, Float, SearchSpace
from autotune.standalone.select import select
from autotune.standalone.sources import Sources
from autotune.training.rules import TrialRules
from benchmarks.figures import begin, needs_no_data, write

MIB = 1 << 20
WIDTH, ROWS = 768, 8192  # 6 MiB for a shard
SINGLE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others set addresses aside that the limit counts
    "MALLOC_ARENA_MAX": "1",
}


def shards(folder: Path, mib: int, seed: int) -> None:
    """Noisy copies of ten patterns of bytes."""
    generator = np.random.default_rng(seed)
    centres = generator.integers(0, 256, (10, WIDTH), dtype=np.uint8)
    for shard in range(mib * MIB // (WIDTH * ROWS)):
        targets = generator.integers(0, 10, ROWS)
        noise = generator.integers(0, 256, (ROWS, WIDTH), dtype=np.uint8)
        inputs = np.where(generator.random((ROWS, WIDTH)) < 0.5, noise, centres[targets])
        table = {
            "x": pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), WIDTH),
            "label": targets,
        }
        pq.write_table(pa.table(table), folder / f"{shard:05}.parquet", row_group_size=2048)


def build(config: Any) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, 10))


def selection(data: Dataset, folder: Path) -> Any:
    """A hundredth of the samples, by the features of a fixed projection."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, 16))
    budget = 500 / data.n
    return select(data, make_selector("k_center"), min(1.0, budget), Sources(encoder=encoder)).ids.tolist()


def study(data: Dataset, folder: Path) -> Any:
    """Four trials over learning rates and policies, and their confirmation."""
    policies = {"el2n": {"fraction": 0.1, "warmup": 0.1}, "fresh_random": {"fraction": 0.1}, "full": {}}
    sizes = Choice([256, 1024])
    space = SearchSpace({"lr": Float(0.003, 0.1, log=True), "batch_size": sizes, "policy": Choice(policies)})
    plan = at.Plan(
        at.Budget(trials=4),
        ASHA(horizon=1.0, lowest=0.5, reduction=2),
        RandomSearch(),
        at.Confirm(leaders=1, seeds=2),
        seed=1,
    )
    rules = TrialRules(1.0, device="cpu")
    result = at.Study(at.Classification(data, build), space, folder / "study", plan, rules=rules).run()
    return float(np.mean(result.verdict["winner"]["validation"]))


def child(task: str, shards_at: str, folder: Path, memory_mib: int, cache_mib: int) -> dict[str, Any]:
    """One run in this process; without a limit on memory the data is read into it."""
    torch.set_num_threads(1)
    work = {"selection": selection, "study": study}[task]
    warm = Dataset.from_arrays(np.eye(999, WIDTH, dtype=np.float32), np.arange(999) % 10)
    work(warm, folder / "warm")  # what libraries load and set aside at their first use
    before, peak, ended = _status("RssAnon"), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], _status("RssAnon"))

    asked: list[int] = []
    part = Shard.part

    def counted(self: Shard, start: int, length: int, beat: Callable[[], object] | None = None) -> bytes:
        asked.append(length)
        return part(self, start, length, beat)

    Shard.part = counted  # type: ignore[method-assign]
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.perf_counter()
    limits = Limits(cache_mib / 1024, memory_mib / 2048 or 1.0, folder / "cache")
    data = (
        Dataset.from_shards(shards_at, target="label", limits=limits)
        if memory_mib
        else Dataset.from_parquet(shards_at, target="label")
    )
    if memory_mib:  # only now: the many threads that open shards have stacks, which count
        allowed = _status("VmData") + memory_mib * MIB
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    answer = work(data, folder)
    ended.set()
    held = sum(path.stat().st_size for path in (folder / "cache").rglob("*.npy"))
    return {
        "seconds": time.perf_counter() - began,
        "peak_mib": max(0, peak[0] - before) / MIB,
        "read_mib": sum(asked) / MIB,
        "disk_mib": held / MIB,
        "answer": answer,
    }


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) << 10


def run(arguments: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """Both tasks, beyond memory and in it, on data of one seed."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        place = Path(name) / "data"
        place.mkdir()
        shards(place, arguments.mib, seed)
        size = sum(path.stat().st_size for path in place.iterdir()) / MIB
        for task in arguments.tasks:
            found = {}
            for where, memory in (("beyond", arguments.memory_mib), ("inside", 0)):
                folder = Path(name) / f"{task}-{where}"
                folder.mkdir()
                given = [task, str(place), str(folder), str(memory), str(arguments.cache_mib)]
                program = [sys.executable, "-m", "benchmarks.beyond_memory", "--child", *given]
                done = subprocess.run(
                    program, capture_output=True, text=True, env=os.environ | SINGLE, check=False
                )
                if done.returncode:
                    raise SystemExit(f"{task}, {where}: {done.stderr[-2000:]}")
                found[where] = json.loads(done.stdout)
            one, other = found["beyond"], found["inside"]
            same = one.pop("answer") == other.pop("answer")
            rows.append(
                {
                    "task": task,
                    "seed": seed,
                    "data_mib": arguments.mib,
                    "files_mib": size,
                    "memory_mib": arguments.memory_mib,
                    "cache_mib": arguments.cache_mib,
                    "same_answer": same,
                    "ratio_seconds": one["seconds"] / other["seconds"],
                    "read_per_file_byte": one["read_mib"] / size,
                    **found,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=int, default=1024, help="of inputs, decoded")
    parser.add_argument("--memory-mib", type=int, default=128)
    parser.add_argument("--cache-mib", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=["selection", "study"])
    parser.add_argument("--folder", type=Path, help="for data and caches (default: TMPDIR)")
    parser.add_argument("--json", type=Path)
    needs_no_data(parser)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task, place, folder, memory, cache = arguments.child
        print(json.dumps(child(task, place, Path(folder), int(memory), int(cache))))
        return
    result = begin(arguments)
    rows = [row for seed in range(arguments.seeds) for row in run(arguments, seed)]
    write(result | {"runs": rows}, arguments.json)


if __name__ == "__main__":
    main()
