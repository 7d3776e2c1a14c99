"""Search and scheduling on recorded curves in virtual time, beside every peer: normalised regret.

    python -m benchmarks.simulated --data-dir ../shared/data --seeds 20 --json FILE

Tasks of TaskSet are searched among their 1,000 recorded configurations where proposals are random, and in the
space of their settings otherwise; those of LCBench in the space of its surrogate. The regret of a search is
(best - score) / (best - median), the score being that at the end of training of the configuration it would
choose, best and median those of 1,000 random configurations there; at most 1. Finished runs are kept in
`--rows` and not repeated.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from scipy.stats import t as student

from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.asha import ASHA, Variant
from autotune.scheduling.base import Scheduler
from autotune.scheduling.extrapolating import Extrapolating
from autotune.scheduling.full import FullTraining
from autotune.scheduling.hyperband import Hyperband
from autotune.searching import TPE, RandomSearch
from autotune.searching.base import Searcher
from autotune.simulation.curves import Curves, Regret
from autotune.simulation.fleet import Fleet
from autotune.simulation.lcbench import LCBench
from autotune.simulation.run import simulate
from autotune.simulation.taskset import TaskSet
from autotune.study.plan import Budget, Plan
from benchmarks.figures import begin, options, write
from benchmarks.rivals import AtRandom, ByTPE, FirstEpoch, Full, Pruned, RayASHA, Rival, drive
from benchmarks.runs import measure

LCBENCH: Final = (
    "3945", "7593", "34539", "126025", "126026", "126029", "146212", "167104", "167149", "167152",
)  # fmt: skip
SETTINGS: Final[Mapping[str, tuple[float, int]]] = {  # full trainings, workers
    "20 in turn": (20, 1),
    "20 on 8": (20, 8),
    "320 in turn": (320, 1),
    "320 on 64": (320, 64),
}
REFERENCE: Final = "ASHA promotion"
Schedulers = Callable[[float], Scheduler[Any]]
OURS: Final[Mapping[str, tuple[Schedulers, Searcher[Any]]]] = {
    "ASHA promotion": (lambda end: ASHA(end, 1.0), RandomSearch()),
    "ASHA stopping": (lambda end: ASHA(end, 1.0, variant=Variant.STOPPING), RandomSearch()),
    "adaptive ASHA": (lambda end: AdaptiveASHA(end, 1.0), RandomSearch()),
    "extrapolating ASHA": (lambda end: Extrapolating(ASHA(end, 1.0)), RandomSearch()),
    "extrapolating adaptive ASHA": (lambda end: Extrapolating(AdaptiveASHA(end, 1.0)), RandomSearch()),
    "Hyperband": (lambda end: Hyperband(end, 1.0), RandomSearch()),
    "TPE, full training": (FullTraining, TPE()),
    "TPE, ASHA promotion": (lambda end: ASHA(end, 1.0), TPE()),
    "TPE, adaptive ASHA": (lambda end: AdaptiveASHA(end, 1.0), TPE()),
}
Rivals = Callable[[Curves, float, int], Rival]
PEERS: Final[Mapping[str, Rivals]] = {
    "random, full training": lambda c, b, s: Full(AtRandom(c.space, s), c.horizon),
    "first epoch, then the best": lambda c, b, s: FirstEpoch(AtRandom(c.space, s), c.horizon, b),
    "Ray's ASHA": lambda c, b, s: RayASHA(AtRandom(c.space, s), c.horizon),
    "Optuna's TPE, full training": lambda c, b, s: Full(ByTPE(c.space, s), c.horizon),
    "Optuna's TPE and median pruner": lambda c, b, s: Pruned(
        ByTPE(c.space, s, optuna.pruners.MedianPruner()), c.horizon
    ),
    "Optuna's TPE and Hyperband pruner": lambda c, b, s: Pruned(
        ByTPE(c.space, s, optuna.pruners.HyperbandPruner(1, int(c.horizon))), c.horizon
    ),
    "Ray's OptunaSearch and ASHA": lambda c, b, s: RayASHA(ByTPE(c.space, s), c.horizon),
}
RANDOM: Final = frozenset({"random, full training", "first epoch, then the best", "Ray's ASHA"})


@dataclass(frozen=True)
class Run:
    """One search."""

    task: str
    arm: str
    setting: str
    seed: int


def found(run: Run, data: Path) -> dict[str, Any]:
    """Search, and judge what it would choose."""
    trainings, workers = SETTINGS[run.setting]
    rows = run.arm in RANDOM or (run.arm in OURS and isinstance(OURS[run.arm][1], RandomSearch))
    curves = opened(data, run.task, rows)
    began, budget = time.process_time(), trainings * curves.horizon
    if run.arm in OURS:
        scheduler, searcher = OURS[run.arm]
        plan = Plan(Budget(epochs=budget), scheduler(curves.horizon), searcher, seed=run.seed)
        config = simulate(curves, plan, Fleet(workers), run.seed).config
    else:
        config = drive(curves, PEERS[run.arm](curves, budget, run.seed), budget, workers)
    score = curves.score(config, curves.horizon) if config is not None else -math.inf
    took = time.process_time() - began
    return {**asdict(run), "regret": regret(data, run.task)(score), "cpu_s": took}


@cache
def opened(data: Path, task: str, rows: bool) -> Curves:
    """The curves of a task: a number of LCBench's, or the name of a file of TaskSet's."""
    if task.isdigit():
        return LCBench(data / "hpo" / "lcbench", task)
    return TaskSet(data / "hpo" / "taskset" / f"{task}.json", rows)


@cache
def regret(data: Path, task: str) -> Regret:
    """Of a task."""
    return Regret(opened(data, task, True))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean over all runs, and half of its 95 % interval over the seeds.

    Args:
        values: Shape (tasks, seeds). With one seed the same settings are drawn in all tasks of one space, so
            what is independent are seeds, not runs.
    """
    by_seed = values.mean(0)
    if len(by_seed) < 2:
        return float(values.mean()), float("nan")
    factor = float(student.ppf(0.975, len(by_seed) - 1)) / math.sqrt(len(by_seed))
    return float(values.mean()), factor * float(by_seed.std(ddof=1))


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per family of tasks, setting and arm; differences from the reference by seed."""
    cells: dict[tuple[str, str, str], dict[str, dict[int, dict[str, Any]]]] = {}
    for row in rows:
        family = "LCBench" if row["task"].isdigit() else "TaskSet"
        of_task = cells.setdefault((family, row["setting"], row["arm"]), {}).setdefault(row["task"], {})
        of_task[row["seed"]] = row
    table = []
    for (family, setting, arm), of_tasks in cells.items():
        other = cells.get((family, setting, REFERENCE), {})
        values = _matrix(of_tasks)
        mean, half = interval(values)
        line = {"family": family, "setting": setting, "arm": arm, "seeds": values.shape[1]}
        line |= {"regret": mean, "half": half, "of_tasks": dict(zip(of_tasks, values.mean(1), strict=True))}
        line["cpu_s"] = float(np.median([row["cpu_s"] for t in of_tasks.values() for row in t.values()]))
        if other.keys() == of_tasks.keys() and _matrix(other).shape == values.shape:
            line["difference"], line["difference_half"] = interval(values - _matrix(other))
            line["ratio"] = mean / _matrix(other).mean()
        table.append(line)
    return table


def _matrix(of_tasks: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> np.ndarray:
    return np.array([[one[seed]["regret"] for seed in sorted(one)] for one in of_tasks.values()])


def markdown(table: list[dict[str, Any]]) -> str:
    """The table as the page has it, best first."""
    lines = []
    for family, setting in dict.fromkeys((row["family"], row["setting"]) for row in table):
        part = [row for row in table if (row["family"], row["setting"]) == (family, setting)]
        lines += [f"\n{family}, {setting}, {part[0]['seeds']} seeds\n"]
        lines += [
            "| arm | regret | beside ASHA promotion | ratio | worst task | CPU s |",
            "|---|---|---|---|---|---|",
        ]
        for row in sorted(part, key=lambda one: one["regret"]):
            beside = ratio = ""
            if "difference" in row:
                beside = f"{row['difference']:+.3f} ± {row['difference_half']:.3f}"
                ratio = f"{row['ratio']:.2f}"
            worst = max(row["of_tasks"].values())
            lines.append(
                f"| {row['arm']} | {row['regret']:.3f} ± {row['half']:.3f} | {beside} | {ratio} "
                f"| {worst:.3f} | {row['cpu_s']:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Search everything that is missing, print the tables, write the figures."""
    parser = options(__doc__)
    parser.add_argument("--tasks", nargs="+", help="(default: LCBench's ten and all of TaskSet's)")
    parser.add_argument("--arms", nargs="+", default=[*PEERS, *OURS], choices=[*PEERS, *OURS], metavar="ARM")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0, help="not those that were looked at")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--rows", type=Path, default=Path("benchmarks/out/simulated.jsonl"))
    arguments = parser.parse_args()
    recorded = sorted(file.stem for file in (arguments.data_dir / "hpo" / "taskset").glob("*.json"))
    arguments.tasks = arguments.tasks or [*recorded, *LCBENCH]
    table = run_all(arguments)
    references = {
        task: {"best": one.best, "median": one.median}
        for task, one in ((task, regret(arguments.data_dir, task)) for task in arguments.tasks)
    }
    write(begin(arguments, table=table, references=references), arguments.json)
    print(markdown(table))


def run_all(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The summary of all runs that were asked for."""
    wanted = [
        Run(task, arm, setting, seed)
        for setting in arguments.settings
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        for task in arguments.tasks
        for arm in arguments.arms
    ]
    work = partial(found, data=arguments.data_dir)
    return summary(measure(wanted, arguments.rows, work, arguments.workers))


if __name__ == "__main__":
    main()
