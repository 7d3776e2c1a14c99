"""The coreset engines beside their peers: how long, how good, how much memory.

    python -m benchmarks.selectors --data-dir ../shared/data --peers PYTHON --repeats 3 --json FILE

`rules`: the time of each rule. `peers`: facility location on 10,000 samples beside apricot-select and
submodlib, where `--peers` names the interpreter of an environment with benchmarks/peers/coresets.txt.
`million`: facility location on a million. `gap`: the share of the gap between chance and exact greedy that
each approximate engine closes. `k_center`: farthest-first beside the bandwidth of the machine, and how near
it is to exact greedy; `k_center_noise`: the same where there is nothing to prune. Every timed run but the
rules is a process of its own on the same .npy file, sides by turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from autotune.data.sources import open_dataset
from autotune.numerics.similarity import FeatureSimilarities, similarities
from autotune.selection import make_selector
from autotune.signals import Signal, Signals
from benchmarks.coresets import value
from benchmarks.figures import options, write
from benchmarks.machine import machine

PEER: Final = Path(__file__).parent / "peers" / "coresets.py"
PEERS: Final = ("apricot", "submodlib")
JUDGED: Final = 20_000  # points by which picks from a million are judged
RULES: Final = (
    "k_center",
    "facility_location",
    "graph_cut",
    "log_det",
    "herding",
    "d2",
    "moderate",
    "prototypes",
    "leverage",
)
CHANCES: Final = 5  # random subsets that chance is the mean of
Row = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """How sides are run.

    Attributes:
        images: One in each row, in [0, 1].
        scale: What all sizes are multiplied by.
        repeats: Runs of each side.
        threads: Of each side.
        peers: An interpreter that has the peers.
        folder: For what processes hand to each other.
    """

    images: Tensor
    scale: float
    repeats: int
    threads: int
    peers: Path | None
    folder: Path

    def sized(self, *sizes: int) -> list[int]:
        """Sizes of this run."""
        return [max(1, round(self.scale * size)) for size in sizes]

    def sides(self, names: Sequence[str], features: Tensor, budget: int) -> dict[str, tuple[Tensor, Row]]:
        """Picks of each side, with the medians of what it took; sides take turns."""
        np.save(self.folder / "features.npy", features.numpy())
        took: dict[str, list[Row]] = {name: [] for name in names}
        for _ in range(self.repeats):
            for name, runs in took.items():
                runs.append(self._run(name, budget))
        picks = {name: torch.from_numpy(np.load(self.folder / f"{name}.npy")) for name in names}
        return {
            name: (
                picks[name],
                {key: median(run[key] for run in runs) for key in runs[0]} | {"runs": runs},
            )
            for name, runs in took.items()
        }

    def _run(self, name: str, budget: int) -> Row:
        program = (
            [str(self.peers), str(PEER)] if name in PEERS else [sys.executable, "-m", "benchmarks.coresets"]
        )
        given = [name, str(self.folder / "features.npy"), str(budget), str(self.folder / f"{name}.npy")]
        threads = {f"{owner}_NUM_THREADS": str(self.threads) for owner in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        patient = {"OMP_WAIT_POLICY": "passive"}  # or waiting would count as computing where cores are shared
        done = subprocess.run(
            [*program, *given],
            env=os.environ | threads | patient,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        found: Row = json.loads(done.stdout.splitlines()[-1])
        return found


def wide(images: Tensor, n: int, width: int, seed: int) -> Tensor:
    """Features of a random layer with rectified outputs, scaled to length 1."""
    generator = torch.Generator().manual_seed(seed)
    some = images[torch.randperm(len(images), generator=generator)[:n]]
    weights = torch.randn(images.shape[1], width, generator=generator) / images.shape[1] ** 0.5
    return torch.nn.functional.normalize((some @ weights).relu())


def replicated(images: Tensor, n: int, width: int, seed: int, noise: float = 0.1) -> Tensor:
    """Principal components, repeated as often as it takes, each copy with noise of its own."""
    centred = images - images.mean(0)
    directions = torch.linalg.eigh((centred.T @ centred).double()).eigenvectors[:, -width:].float()
    points, generator = centred @ directions, torch.Generator().manual_seed(seed)
    copies = [torch.randperm(len(points), generator=generator) for _ in range(-(-n // len(points)))]
    found: Tensor = points[torch.cat(copies)[:n]]
    found += noise * points.std() * torch.randn(n, width, generator=generator)
    return found


def chance(given: FeatureSimilarities, budget: int) -> float:
    """The objective of random picks."""
    drawn = [
        torch.randperm(given.shape[0], generator=torch.Generator().manual_seed(seed))[:budget]
        for seed in range(CHANCES)
    ]
    return sum(value(given, picks) for picks in drawn) / CHANCES


def radius(features: Tensor, picks: Tensor) -> float:
    """How far from greedy farthest-first picks are at worst: the least of distance / largest, in float64."""
    centers = features[picks].double()
    own, largest = torch.full((len(picks),), torch.inf), torch.zeros(len(picks)).double()
    own = own.double()
    for part in torch.split(torch.arange(len(features)), 4096):
        squared = torch.cdist(centers, features[part].double()).square_()
        least = squared.cummin(0).values  # after each pick
        largest = torch.maximum(largest, least.amax(1))
        inside = torch.isin(picks, part).nonzero().squeeze(1)
        inside = inside[inside > 0]
        own[inside] = least[inside - 1, picks[inside] - part[0]]
    return float((own[1:] / largest[:-1]).min().sqrt())


def peers(bench: Bench) -> dict[str, Row]:
    """10,000 samples of width 1,024, 1,000 picks."""
    (n, budget), width = bench.sized(10_000, 1000), 1024
    features = wide(bench.images, n, width, 0)
    found = bench.sides(["all pairs", "graph", *(PEERS if bench.peers else ())], features, budget)
    given = similarities(features)
    values = {name: value(given, picks) for name, (picks, _) in found.items()}
    exact = max(values[name] for name in values if name != "graph")
    return {name: row | {"objective": values[name] / exact} for name, (_, row) in found.items()}


def million(bench: Bench) -> dict[str, Row]:
    """A million samples of width 64, 10,000 picks; judged on some of the points."""
    n, budget = bench.sized(1_000_000, 10_000)
    features = replicated(bench.images, n, 64, 0)
    found = bench.sides(["graph", "cells"], features, budget)
    given = similarities(features)
    judges = torch.randperm(n, generator=torch.Generator().manual_seed(1))[:JUDGED]
    some = FeatureSimilarities(given.kernel, given.rows, given.columns[judges], given.scale)
    by_chance = chance(some, budget)
    return {
        name: row | {"objective": value(some, picks), "chance": by_chance}
        for name, (picks, row) in found.items()
    }


def gap(bench: Bench) -> dict[str, Row]:
    """30,000 of those samples, 300 picks: what each engine adds to chance, of what exact greedy adds."""
    n, budget = bench.sized(30_000, 300)
    features = replicated(bench.images, n, 64, 0)
    found = bench.sides(["all pairs", "graph", "cells", "stochastic", "two rounds"], features, budget)
    given = similarities(features)
    values, by_chance = (
        {name: value(given, picks) for name, (picks, _) in found.items()},
        chance(given, budget),
    )
    exact = values["all pairs"] - by_chance
    return {
        name: row
        | {"objective": values[name], "chance": by_chance, "gap": (values[name] - by_chance) / exact}
        for name, (_, row) in found.items()
    }


def k_center(bench: Bench) -> dict[str, Row]:
    """200,000 images with noise as samples of width 128, 2,000 picks."""
    (n,) = bench.sized(200_000)
    return farthest(bench, replicated(bench.images, n, 128, 0))


def k_center_noise(bench: Bench) -> dict[str, Row]:
    """As many of noise alone, where there is nothing to prune."""
    return farthest(
        bench, torch.randn(*bench.sized(200_000), 128, generator=torch.Generator().manual_seed(0))
    )


def farthest(bench: Bench, features: Tensor) -> dict[str, Row]:
    """Farthest-first, and what its picks would read by one product each."""
    rows = {}
    for name, (picks, row) in bench.sides(["k_center", "products"], features, *bench.sized(2000)).items():
        if name == "k_center":
            row["to_greedy"] = radius(features, picks)
        read = 4e-9 * features.numel() * len(picks)
        rows[name] = row | {"gb_per_s": read / row["wall_s"], "gb_per_cpu_s": read / row["cpu_s"]}
    return rows


def rules(bench: Bench) -> dict[str, Row]:
    """CPU seconds of `select` on 12,000 candidates of width 64, a tenth kept, one thread."""
    n, budget = bench.sized(12_000, 1200)
    generator = torch.Generator().manual_seed(0)
    given = {
        Signal.FEATURES: replicated(bench.images, n, 64, 0),
        Signal.LOSS: torch.rand(n, generator=generator),
        Signal.TARGETS: torch.randint(10, (n,), generator=generator),
    }
    torch.set_num_threads(1)
    rows = {}
    for name in RULES:
        selector = make_selector(name)
        signals = Signals(torch.arange(n), {signal: given[signal] for signal in selector.needs})
        times = []
        for seed in range(bench.repeats):
            start = time.process_time()
            selector.select(signals, budget, torch.Generator().manual_seed(seed))
            times.append(time.process_time() - start)
        rows[name] = {"cpu_s": median(times), "runs": times}
    torch.set_num_threads(bench.threads)
    return rows


PARTS: Final = {
    "rules": rules,
    "peers": peers,
    "million": million,
    "gap": gap,
    "k_center": k_center,
    "k_center_noise": k_center_noise,
}


def table(rows: dict[str, Row]) -> str:
    """One line for each side."""
    columns = [key for row in rows.values() for key in row if key != "runs"]
    columns = list(dict.fromkeys(columns))
    lines = ["| side | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        cells = [f"{row[key]:.5g}" if key in row else "" for key in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = options(__doc__, threads=2)
    parser.add_argument(
        "--dataset", "--datasets", default="fashion-mnist", help="images, a folder or file in it"
    )
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--peers", type=Path, help="interpreter of an environment that has the peers")
    parser.add_argument("--seeds", "--repeats", dest="repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes, to try it out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = open_dataset(arguments.data_dir / arguments.dataset)
    rows = np.setdiff1d(np.arange(data.n), data.official_test if data.official_test is not None else [])
    images = torch.from_numpy(np.array(data.inputs[rows])).float().flatten(1).div_(255.0)
    kept = arguments.json and arguments.json.exists()
    result: dict[str, Any] = json.loads(arguments.json.read_text()) if kept else {}
    print(machine()["summary"])
    with tempfile.TemporaryDirectory() as folder:
        shared = arguments.repeats, arguments.threads, arguments.peers, Path(folder)
        for name in arguments.only:
            found = PARTS[name](Bench(images, arguments.scale, *shared))
            print(f"\n{name}\n\n{table(found)}", flush=True)
            settings = {key: getattr(arguments, key) for key in ("dataset", "repeats", "scale", "threads")}
            result[name] = {"machine": machine(), "settings": settings, "sides": found}
            write(result, arguments.json)


if __name__ == "__main__":
    main()
