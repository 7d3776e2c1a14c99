"""Trials side by side in one process, their steps made together, beside a process for each of them.

    python -m benchmarks.vectorised --seeds 3 --json FILE

All sides train the same configurations on the same core, one thread each: as many processes as configurations
at once (they start together once all are ready), one process that trains them in turn, and one process with a
lane for each. Every configuration has settings, a subset and a seed of its own. Needs no data: what is in it
takes no time.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing as mp
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from autotune.data import Dataset, Splits
from autotune.events import Config, Outcome, Reported
from autotune.task import Classification
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment
from benchmarks.figures import begin, needs_no_data, write

BAR = 1.5  # times the throughput of separate processes, for 32 configurations of the MLP
PROCESSES, TURNS, LANES = "a process each", "one process, in turn", "one process, lanes"
Runs: TypeAlias = dict[str, dict[str, list[dict[str, Any]]]]  # by case and side, one for each seed
POLICIES: tuple[Config, ...] = (
    {},
    {"policy": "random", "policy.fraction": 0.3},
    {"policy": "fresh_random", "policy.fraction": 0.5},
    {"policy": "infobatch", "policy.fraction": 0.7},
)


@dataclass(frozen=True)
class Case:
    """A model and its data.

    Attributes:
        build: The model.
        shape: Of a sample.
        classes: How many.
        samples: In the training split, about.
        horizon: Epoch-equivalents of each trial.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    classes: int
    samples: int
    horizon: float


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 26)
    )  # fmt: skip


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 3 * 3, 10),
    )  # fmt: skip


CASES = {
    "MLP 64-128-128-26": Case(mlp, (64,), 26, 25_600, 2.0),
    "CNN 8-16, 14 x 14": Case(cnn, (1, 14, 14), 10, 5_120, 1.5),
}


def config(index: int) -> Config:
    """The settings of a configuration: none has those of another."""
    settings: dict[str, Any] = {
        "optimizer": ("sgd", "adamw")[index % 2],
        "lr": (0.02 if index % 2 == 0 else 0.001) * 1.05**index,
        "weight_decay": 1e-4 * (1 + index),
        "schedule": ("constant", "linear", "cosine")[index % 3],
        "batch_size": 128,
    }
    if index % 2 == 0:
        settings |= {"momentum": 0.8 + 0.005 * index, "nesterov": index % 4 == 0}
    return {**settings, **POLICIES[index // 2 % len(POLICIES)]}


def workload(case: Case, seed: int, folder: str) -> TrainingWorkload:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(int(case.samples / 0.7), *case.shape)).astype(np.float32)
    flat = inputs.reshape(len(inputs), -1)
    data = Dataset.from_arrays(inputs, (flat @ rng.normal(size=(flat.shape[1], case.classes))).argmax(1))
    splits = Splits.make(data, target=0.1, validation=0.1, test=0.1, seed=seed)
    task = Classification(data, lambda config: case.build())
    return TrainingWorkload(task, splits, TrialRules(case.horizon, device="cpu"), folder)


def assignments(case: Case, count: int, seed: int) -> list[Assignment]:
    return [Assignment(i, i, config(i), 1000 * seed + i, 0, 0.0, case.horizon) for i in range(count)]


def in_turn(given: TrainingWorkload, chosen: Sequence[Assignment]) -> list[Outcome]:
    worker = given.worker(given.bulk)
    return [worker.advance(assignment, lambda: None) for assignment in chosen]


def in_lanes(given: TrainingWorkload, chosen: Sequence[Assignment]) -> list[Outcome]:
    lanes = given.worker(given.bulk).lanes()
    for assignment in chosen:
        lanes.enter(assignment)
    answers: list[Outcome] = []
    while len(answers) < len(chosen):
        answers += lanes.advance(lambda: None)
    return answers


class Notes(logging.Handler):
    """What was said about making steps together."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(record.getMessage())


def child(side: str, given: TrainingWorkload, chosen: Sequence[Assignment], start: Any, answers: Any) -> None:
    """What a process does, once all of them are ready."""
    torch.set_num_threads(1)
    notes = Notes()
    logger = logging.getLogger("autotune.training.vectorised")
    logger.addHandler(notes)
    logger.setLevel(logging.INFO)
    start.wait()
    before = time.process_time()
    outcomes = (in_lanes if side == LANES else in_turn)(given, chosen)
    spent = time.process_time() - before
    scores = {o.trial: o.score for o in outcomes if isinstance(o, Reported)}
    answers.put((spent, scores, notes.said))


def warm_up() -> None:
    """Make every import and first use here, which the processes would else pay for, each for itself."""
    with tempfile.TemporaryDirectory() as place:
        for run in (in_turn, in_lanes):
            case = Case(mlp, (64,), 26, 2_000, 0.2)
            run(workload(case, 0, f"{place}/{run.__name__}"), assignments(case, 4, 0))


def measure(case: Case, side: str, count: int, seed: int, folder: Path | None) -> dict[str, Any]:
    """Seconds until the last trial has ended, and those of the processor, of all processes together."""
    context = mp.get_context("fork")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        given = workload(case, seed, place)
        chosen = assignments(case, count, seed)
        shares = [[assignment] for assignment in chosen] if side == PROCESSES else [chosen]
        start, answers = context.Barrier(len(shares) + 1), context.Queue()
        children = [
            context.Process(target=child, args=(side, given, share, start, answers)) for share in shares
        ]
        for one in children:
            one.start()
        start.wait()
        began = time.perf_counter()
        found = [answers.get() for _ in children]
        wall = time.perf_counter() - began
        for one in children:
            one.join()
    scores = {trial: score for _, part, _ in found for trial, score in part.items()}
    if len(scores) != count:
        raise RuntimeError(f"{len(scores)} of {count} trials ended")
    said = [line for _, _, lines in found for line in lines]
    return {
        "wall_s": wall,
        "processor_s": sum(spent for spent, _, _ in found),
        "scores": scores,
        "said": said,
    }


def table(runs: Runs) -> list[str]:
    """The rows of the table: medians over the seeds, and the ratio of each seed."""
    rows = []
    for name, sides in runs.items():
        for side, found in sides.items():
            cells = [f"| {name} | {side}"]
            for kind in ("processor_s", "wall_s"):
                ratios = [base[kind] / run[kind] for base, run in zip(sides[PROCESSES], found, strict=True)]
                each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
                cells.append(f"{median(run[kind] for run in found):.1f} | {median(ratios):.2f} ({each})")
            rows.append(" | ".join(cells) + " |")
    return rows


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description="Trials side by side in one process, beside separate ones.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="*", default=[8, 32], help="configurations")
    parser.add_argument("--models", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--core", type=int, default=0, help="the core that all sides run on")
    parser.add_argument("--folder", type=Path, help="where checkpoints go; the system's temporary folder")
    parser.add_argument("--json", type=Path, help="file for the figures")
    needs_no_data(parser)
    given = parser.parse_args()
    result = begin(given)
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {given.core})
    warm_up()
    runs: Runs = {}
    for count in given.counts:
        for name in given.models:
            sides = runs[f"{name}, {count}"] = {PROCESSES: [], TURNS: [], LANES: []}
            for seed in range(given.seeds):
                for side, found in sides.items():
                    run = measure(CASES[name], side, count, seed, given.folder)
                    found.append(run)
                    seconds = f"{run['processor_s']:.1f} s of the processor, {run['wall_s']:.1f} s"
                    print(f"  {name}, {count}, seed {seed}, {side}: {seconds}", *run["said"], flush=True)
                write(result | {"runs": runs, "bar": BAR}, given.json)  # a long run may be cut short
    print(
        "\n| model, configurations | side | processor s | throughput (seeds) | wall s | throughput (seeds) |"
    )
    print("|---|---|---|---|---|---|")
    print("\n".join(table(runs)))
    differences = {
        name: max(
            abs(one["scores"][trial] - other["scores"][trial])
            for one, other in zip(sides[PROCESSES], sides[LANES], strict=True)
            for trial in one["scores"]
        )
        for name, sides in runs.items()
    }
    print(f"\nlargest difference of a score between lanes and a process each: {differences}")
    write(result | {"runs": runs, "differences": differences, "bar": BAR}, given.json)


if __name__ == "__main__":
    main()
