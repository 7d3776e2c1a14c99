"""The coreset engines beside their peers: how long, how good, how much memory.

    python -m benchmarks.selectors --data-dir ../shared/data --datasets fashion-mnist --seeds 3 --json FILE

Facility location on 10,000 samples beside apricot-select and submodlib, which get an environment of their own
under benchmarks/out; facility location on a million; the share of the gap between chance and exact greedy
that each approximate engine closes; k-center beside the bandwidth of the machine and the plain loop. Every
timed run is a process of its own on the same .npy files, sides by turns. `--only` runs some of the parts.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autotune.data.sources import open_dataset
from autotune.numerics.neighbours import nearest
from autotune.numerics.similarity import FeatureSimilarities, restricted, similarities
from autotune.numerics.submodular import (
    FacilityLocation,
    facility_location,
    parted,
    sparse_facility_location,
    stochastic,
    two_rounds,
)
from autotune.selectors.coreset.k_center import farthest_first

OUT: Final = Path(__file__).parent / "out"
PEERS: Final = Path(__file__).parent / "peers"
NEIGHBOURS: Final = 32
KEPT_GIB: Final = 4.0  # of similarities, so that 30,000 samples can be compared exactly
Picks = npt.NDArray[np.int64]


def images(data_dir: Path, name: str) -> Tensor:
    """The training images of a data set, one row each, in [0, 1]."""
    data = open_dataset(data_dir / name)
    rows = np.setdiff1d(np.arange(data.n), data.official_test if data.official_test is not None else [])
    return torch.from_numpy(np.array(data.inputs[rows])).float().flatten(1).div_(255.0)


def wide(rows: Tensor, n: int, width: int, seed: int) -> Tensor:
    """Features of a random layer with rectified outputs, scaled to length 1."""
    generator = torch.Generator().manual_seed(seed)
    some = rows[torch.randperm(len(rows), generator=generator)[:n]]
    weights = torch.randn(rows.shape[1], width, generator=generator) / rows.shape[1] ** 0.5
    return torch.nn.functional.normalize((some @ weights).relu())


def replicated(rows: Tensor, n: int, width: int, seed: int, noise: float = 0.1) -> Tensor:
    """Principal components, repeated as often as it takes, each copy with noise of its own."""
    centred = rows - rows.mean(0)
    directions = torch.linalg.eigh((centred.T @ centred).double()).eigenvectors[:, -width:].float()
    points, generator = centred @ directions, torch.Generator().manual_seed(seed)
    copies = [torch.randperm(len(points), generator=generator) for _ in range(-(-n // len(points)))]
    found = points[torch.cat(copies)[:n]]
    return found + noise * points.std() * torch.randn(n, width, generator=generator)


def value(given: FeatureSimilarities, picks: Tensor) -> float:
    """The facility-location objective by all similarities, per sample."""
    found = []
    for points in torch.split(torch.arange(given.shape[1]), max(1, 2**24 // len(picks))):
        found.append(given.block(picks, points).amax(0).double().sum())
    return float(sum(found)) / given.shape[1]


def lazy_all(features: Tensor, budget: int) -> Tensor:
    return facility_location(similarities(features), budget, KEPT_GIB).picks


def on_graph(features: Tensor, budget: int) -> Tensor:
    given = similarities(features)
    near = nearest(given.rows, NEIGHBOURS, torch.Generator().manual_seed(0), probes=8)
    return sparse_facility_location(near, given, budget).picks


def on_samples(features: Tensor, budget: int) -> Tensor:
    objective = FacilityLocation(similarities(features), KEPT_GIB)
    return stochastic(objective, budget, 0.1, torch.Generator().manual_seed(0)).picks


def in_parts(features: Tensor, budget: int) -> Tensor:
    """Two rounds over four parts, each chosen from by its own points in the first."""
    given = similarities(features)

    def choose(candidates: Tensor, count: int) -> Tensor:
        part = similarities(features[candidates])
        return candidates[facility_location(part, count, KEPT_GIB).picks]

    def second(candidates: Tensor, count: int) -> Tensor:
        return candidates[facility_location(restricted(given, candidates), count, KEPT_GIB).picks]

    parts = parted(len(features), 4, torch.Generator().manual_seed(0))
    first = torch.cat([choose(part, budget) for part in parts]).sort().values
    return two_rounds([first], budget, second, lambda picks: value(given, picks))


def pruned(features: Tensor, budget: int) -> Tensor:
    return farthest_first(features, budget, 0)


def plain(features: Tensor, budget: int) -> Tensor:
    """Farthest-first as it is usually written: all distances to each new pick, one product each."""
    norms, picks = features.square().sum(1), [0]
    nearest_pick = torch.full((len(features),), torch.inf)
    while len(picks) < budget:
        squared = torch.addmv(norms, features, features[picks[-1]], alpha=-2.0).add_(norms[picks[-1]])
        torch.minimum(nearest_pick, squared, out=nearest_pick)
        nearest_pick[picks[-1]] = -1.0
        picks.append(int(nearest_pick.argmax()))
    return torch.tensor(picks)


def streamed(features: Tensor, budget: int) -> Tensor:
    """One matrix-vector product per pick and nothing else: the bandwidth of the machine."""
    for pick in range(budget):
        features @ features[pick]
    return torch.arange(budget)


ARMS: Final[dict[str, Callable[[Tensor, int], Tensor]]] = {
    "all pairs": lazy_all,
    "graph": on_graph,
    "stochastic": on_samples,
    "two rounds": in_parts,
    "k_center": pruned,
    "plain": plain,
    "streamed": streamed,
}


def peers() -> str:
    """The Python of an environment with the peers in it, made once."""
    folder = OUT / "peers"
    python = folder / "bin" / "python"
    stamp, wanted = folder / "installed.txt", (PEERS / "requirements.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(PEERS / "requirements.txt")]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return str(python)


def run(command: list[str], threads: int) -> str:
    """What a command prints last, with so many threads for whatever it computes with."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    environment = os.environ | {f"{name}_NUM_THREADS": str(threads) for name in names}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout.splitlines()[-1]


def peer(name: str, features: Path, budget: int, threads: int) -> tuple[Tensor, dict[str, float]]:
    """Picks and seconds of a peer."""
    out = OUT / "picks.npy"
    script = [peers(), str(PEERS / "coresets.py"), name, str(features), str(budget), str(out)]
    return (
        torch.from_numpy(np.load(out))
        if (s := run(script, threads)) == ""
        else _picks(out, {"seconds": float(s)})
    )


def ours(name: str, features: Path, budget: int, threads: int) -> tuple[Tensor, dict[str, float]]:
    """Picks, seconds and peak memory of one of our arms."""
    out = OUT / "picks.npy"
    script = [
        sys.executable,
        "-m",
        "benchmarks.selectors",
        "--arm",
        name,
        str(features),
        str(budget),
        str(out),
    ]
    return _picks(out, json.loads(run([*script, "--threads", str(threads)], threads)))


def _picks(out: Path, measured: dict[str, float]) -> tuple[Tensor, dict[str, float]]:
    return torch.from_numpy(np.load(out)), measured


def arm(name: str, features: Path, budget: int, out: Path) -> dict[str, float]:
    """One of our arms in this process."""
    given = torch.from_numpy(np.load(features))
    ARMS[name](given[:200], 20)
    before = time.perf_counter()
    picks = ARMS[name](given, budget)
    seconds = time.perf_counter() - before
    np.save(out, picks.numpy())
    return {"seconds": seconds, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
