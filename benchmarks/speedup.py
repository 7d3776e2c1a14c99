"""How much compute and time a search takes beside stock Ray Tune, and whether its model is as good.

    python -m benchmarks.speedup --data-dir ../shared/data --datasets letter adult trec --seeds 5 --json FILE

A cell is one search of one system on one task with one seed, and trainings from scratch of what it found, by
the system's own trainer, always for the whole horizon. Stock Ray Tune tries `--trials` configurations on full
data; ours has the same space, a data policy besides, and `--share` of the compute that stock spent with
that seed. Our own final configuration is the leader of the search, for a confirmation costs more than such a
search; `--confirm` runs it as well and shows it apart. Finished cells are kept in `--rows`.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import ray
import torch

import autotune as at
from autotune.cluster.engine import RayEngine
from autotune.events import SEARCH
from autotune.policy import settings_of
from autotune.seeds import derive
from autotune.study.confirmation import candidates
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from benchmarks import stock
from benchmarks.figures import begin, options, write
from benchmarks.finals import cluster, final_ours, final_stock, noted
from benchmarks.ratios import accuracy, beside_ours, further, markdown, summary
from benchmarks.recipes import RECIPES
from benchmarks.recipes import recipe as recipe_of
from benchmarks.runs import keep, kept, searched
from benchmarks.systems import ALL, STOCK, SYSTEMS


@dataclass(frozen=True)
class Cell:
    """One search and its final trainings."""

    task: str
    system: str
    seed: int


def run_ours(cell: Cell, epochs: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """A study up to its confirmation; then its leader, trained as the study would."""
    recipe, system = recipe_of(cell.task), ALL[cell.system]
    task, splits = recipe.load(arguments.data_dir)
    task = dataclasses.replace(task, splits=splits)
    space = system.space(recipe)
    plan = system.plan(recipe, epochs, arguments.trials, cell.seed)
    rules = TrialRules(float(recipe.horizon), **system.rules)
    name = f"{cell.task}-{cell.system}-{cell.seed}".translate(str.maketrans(" ,%/:", "-____"))
    path = arguments.out / name
    shutil.rmtree(path, ignore_errors=True)  # of a cell that was interrupted: its clock would be wrong
    with cluster(arguments.workers, arguments.ready):
        study = at.Study(task, space, path, plan, RayEngine(workers=arguments.workers), rules)
        began = time.perf_counter()
        history = searched(study)
        took = time.perf_counter() - began
        arms = space.options("policy")
        leader = dict(candidates(history, plan.confirm, arms)[0].config)
        if system.horizon < 1:  # subsets served the search alone
            leader = settings_of(leader)
        workload = TrainingWorkload(noted(task), splits, rules, path / "finals", 0, space.reference())
        held = ray.put(workload.bulk)

        began_finals = time.perf_counter()
        given = (workload, held, leader)
        hits = ray.get([final_ours.remote(*given, one) for one in seeds(cell, arguments.finals)])
        ended = time.perf_counter()
        verdict = {"confirmed": confirmed(study)} if arguments.confirm else {}
    ledger, trials = history.spent["search"], history.of_phase("search")
    return {
        "epochs": ledger.own.epochs(workload.reference_flops),
        "seconds": took,
        "trials": len(trials),
        "arms": {arm: sum(trial.arm == arm for trial in trials) for arm in arms},
        "config": leader,
        "ledger": ledger.to_json(),
        "final_epochs": recipe.horizon * stock.size(task, space, leader),
        "one_final_seconds": (ended - began_finals) / turns(arguments),
        "hits": hits,
        **verdict,
        "items": len(splits.test),
    }


def confirmed(study: at.Study) -> dict[str, Any]:
    """What the confirmation of a study adds, whose search has ended: its cost, and what it says."""
    began = time.perf_counter()
    result = study.run()
    took, before = time.perf_counter() - began, result.epochs(SEARCH)
    return {"epochs": result.epochs() - before, "seconds": took, "says": result.summary()}


def run_stock(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """Stock Ray Tune; then its best configuration, trained by a plain loop."""
    recipe = recipe_of(cell.task)
    task, splits = recipe.load(arguments.data_dir)
    space = recipe.space()
    with cluster(arguments.workers, arguments.ready):
        held = stock.arrays(task, splits.train, splits.validation)
        found = stock.search(
            task, space, held, recipe.horizon, arguments.trials, arguments.workers, cell.seed
        )
        began = time.perf_counter()
        tested = ray.put(dataclasses.replace(held, judge=torch.from_numpy(splits.test.copy())))
        given = (task.without_data(), found.config, tested, recipe.horizon)
        hits = ray.get([final_stock.remote(*given, one) for one in seeds(cell, arguments.finals)])
        ended = time.perf_counter()
    return {
        "epochs": found.epochs,
        "seconds": found.seconds,
        "trials": found.trials,
        "config": found.config,
        "final_epochs": recipe.horizon * stock.size(task, space, found.config),
        "one_final_seconds": (ended - began) / turns(arguments),
        "hits": hits,
        "items": len(splits.test),
    }


def turns(arguments: argparse.Namespace) -> int:
    """How many final trainings each worker makes one after another."""
    return -(-int(arguments.finals) // int(arguments.workers))


def seeds(cell: Cell, count: int) -> list[int]:
    """Of the final trainings; the same for all systems."""
    return [derive(cell.seed, "final", repetition) % 2**31 for repetition in range(count)]


def main() -> None:
    """Run the cells that are missing, print the table, write the JSON."""
    parser = options(__doc__)
    others = f"{', '.join(RECIPES)}, or any other FOLDER[:COLUMN] below the data directory"
    parser.add_argument("--datasets", nargs="+", default=list(RECIPES), metavar="NAME", help=others)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(ALL), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, help="searches of each system")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=20, help="of stock; the most full trainings of any")
    parser.add_argument("--share", type=float, default=0.095, help="of stock's compute, for ours")
    parser.add_argument("--finals", type=int, default=2, help="trainings of what each search found")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--ready", action="store_true", help="on a cluster that has processes ready for trials"
    )
    parser.add_argument("--confirm", action="store_true", help="our studies to their verdicts, shown apart")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/speedup"), help="for studies")
    parser.add_argument("--rows", type=Path, default=Path("benchmarks/results/speedup.jsonl"))
    arguments = parser.parse_args()
    report = begin(arguments)
    rows = kept(arguments.rows, Cell)
    wanted = [
        Cell(task, system, seed)
        for task in arguments.datasets
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        for system in (STOCK, *arguments.systems)
    ]
    for cell in wanted:
        confirms = arguments.confirm and cell.system != STOCK
        if cell in rows and not (confirms and "confirmed" not in rows[cell]):
            continue
        if cell.system == STOCK:
            found = run_stock(cell, arguments)
        else:
            stocks = rows[dataclasses.replace(cell, system=STOCK)]
            share = ALL[cell.system].share or arguments.share
            found = run_ours(cell, share * stocks["epochs"], arguments)
        rows[cell] = {**dataclasses.asdict(cell), **found}
        keep(arguments.rows, rows[cell])
        told = f"{fmean(accuracy([found])):.4f}, {found['epochs']:.1f} ee, {found['seconds']:.0f} s"
        print(f"{cell.task}, {cell.system}, seed {cell.seed}: {told}", flush=True)
    found_rows = [rows[cell] for cell in wanted]
    report["table"], report["beside_ours"] = summary(found_rows), beside_ours(found_rows)
    report["confirmed"] = [
        {**dataclasses.asdict(cell), **rows[cell]["confirmed"]}
        for cell in wanted
        if "confirmed" in rows[cell]
    ]
    print(f"\n{markdown(report['table'])}\n\n{further(report)}")
    write(report, arguments.json)


if __name__ == "__main__":
    main()
