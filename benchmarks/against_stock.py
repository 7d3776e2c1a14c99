"""autotune beside stock Ray Tune on the same data, space, maximum epochs and machine.

    python -m benchmarks.against_stock --data-dir ../shared/data --datasets fashion-mnist --json FILE

Searches that are in the JSON file already are kept, so running it again goes on with those that are missing.
Both search; then both train what they found from scratch, with the same paired seeds. Search, our
confirmation and these finals are shown apart. Any image data set in a supported format works; name its folder
in `--datasets`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import ray

import autotune as at
from autotune.cluster.engine import RayEngine
from autotune.data.sources import open_dataset
from autotune.evaluation.comparison import compare
from autotune.events import CONFIRM, DONE, SEARCH, PhaseStarted
from autotune.history import History
from autotune.log import has_begun
from autotune.seeds import derive
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from benchmarks import stock
from benchmarks.figures import options, write
from benchmarks.finals import cluster, final_ours, final_stock, noted, unpacked
from benchmarks.machine import machine
from examples import fashion_mnist

HEADER = """\
| system | test accuracy | trials | search ee | search s | confirm ee | confirm s | finals s |
|---|---|---|---|---|---|---|---|"""
MARGIN = 0.003  # what "not inferior" allows: 0.3 points of test accuracy


def ours(
    task: at.Classification, splits: at.Splits, arguments: argparse.Namespace, path: Path, seed: int
) -> dict[str, Any]:
    """Search and confirm with autotune, then train its winner with further seeds."""
    task = dataclasses.replace(task, splits=splits)
    plan = fashion_mnist.plan(arguments.epochs, float(arguments.max_epochs), arguments.confirm_seeds, seed)
    clock = {} if has_begun(path / "log") else {SEARCH: time.perf_counter()}  # who goes on did not see all

    def watch(history: History, event: object) -> None:
        if isinstance(event, PhaseStarted):
            clock[event.phase] = time.perf_counter()

    engine = RayEngine(workers=arguments.workers)
    result = at.Study(task, fashion_mnist.space(), path, plan, engine).run(observe=watch)
    clock[DONE] = time.perf_counter()
    winner = result.verdict["winner"]
    test = list(winner["test"])
    workload = TrainingWorkload(
        noted(task),
        splits,
        TrialRules(plan.scheduler.rungs[-1]),
        path / "finals",
        0,
        fashion_mnist.space().reference(),
    )
    with cluster(arguments.workers):
        held = ray.put(workload.bulk)
        wanted = seeds(seed, arguments.seeds)[len(test) :]
        hits = ray.get([final_ours.remote(workload, held, winner["config"], one) for one in wanted])
        test += [float(unpacked(one, len(splits.test)).mean()) for one in hits]
    return {
        "search_epochs": result.epochs("search"),
        "search_seconds": elapsed(clock, SEARCH, CONFIRM),
        "confirm_epochs": result.epochs("confirm") + result.epochs("verdict"),
        "confirm_seconds": elapsed(clock, CONFIRM, DONE),
        "final_seconds": time.perf_counter() - clock[DONE],
        "trials": len(result.history.of_phase("search")),
        "test": test,
        "config": winner["config"],
        "comparisons": result.verdict["comparisons"],
        "ledger": {phase: ledger.to_json() for phase, ledger in result.history.spent.items()},
        "reference_flops": result.reference_flops,
    }


def elapsed(clock: Mapping[str, float], since: str, until: str) -> float | None:
    """Seconds from one moment to the other; None where one of them was not seen."""
    return clock[until] - clock[since] if since in clock and until in clock else None


def seconds(elapsed: float | None) -> str:
    """As the table shows them."""
    return "–" if elapsed is None else f"{elapsed:.0f}"


def seeds(search: int, count: int) -> list[int]:
    """The seeds of the final trainings: those of the study's confirmation, and more of the same kind."""
    return [derive(search, "confirm", repetition) % 2**31 for repetition in range(count)]


def theirs(
    task: at.Classification, splits: at.Splits, arguments: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Search with stock Ray Tune, then train its best configuration with the seeds that ours uses."""
    space = at.SearchSpace({**fashion_mnist.settings(), "schedule": "cosine"})
    with cluster(arguments.workers):
        held = stock.arrays(task, splits.train, splits.validation)
        found = stock.search(
            task, space, held, arguments.max_epochs, arguments.stock_trials, arguments.workers, seed
        )
        started = time.perf_counter()
        tested = ray.put(dataclasses.replace(held, judge=stock.arrays(task, splits.train, splits.test).judge))
        bare, wanted = task.without_data(), seeds(seed, arguments.seeds)
        hits = ray.get(
            [final_stock.remote(bare, found.config, tested, arguments.max_epochs, one) for one in wanted]
        )
        test = [float(unpacked(one, len(splits.test)).mean()) for one in hits]
        own = stock.size(task, space, found.config)
        return {
            "search_epochs": found.epochs,
            "search_seconds": found.seconds,
            "confirm_epochs": 0.0,
            "confirm_seconds": 0.0,
            "final_seconds": time.perf_counter() - started,
            "final_epochs_each": own * arguments.max_epochs,
            "trials": found.trials,
            "test": test,
            "config": found.config,
        }


def kept(file: Path | None) -> list[dict[str, Any]]:
    """The searches that a file holds."""
    return json.loads(file.read_text())["runs"] if file is not None and file.exists() else []


def judged(mine: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The difference in test accuracy over all paired finals of some searches."""
    ours, theirs = ([float(score) for run in runs for score in run["test"]] for runs in (mine, other))
    found = compare("stock", ours, theirs, MARGIN, 0.95)
    return {**dataclasses.asdict(found), "not_inferior": bool(found.low >= -MARGIN)}


def pool(report: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The difference over all searches of each data set, and that of each search."""
    pooled = {}
    for name in dict.fromkeys(one["dataset"] for one in report):
        runs = [one for one in report if one["dataset"] == name]
        of_all = judged([one["autotune"] for one in runs], [one["stock"] for one in runs])
        pooled[name] = {**of_all, "of_each_search": [one["difference"]["mean"] for one in runs]}
    return pooled


def words(difference: Mapping[str, Any]) -> str:
    """A difference in words."""
    said = "not inferior" if difference["not_inferior"] else "not shown to be not inferior"
    interval = f"[{difference['low']:+.4f}, {difference['high']:+.4f}]"
    each = ", ".join(f"{mean:+.4f}" for mean in difference["of_each_search"])
    return f"difference {difference['mean']:+.4f} {interval}: {said} at {MARGIN}; of each search {each}"


def row(name: str, run: dict[str, Any]) -> str:
    """One line of the table."""
    spread = stdev(run["test"]) if len(run["test"]) > 1 else 0.0
    return (
        f"| {name} | {fmean(run['test']):.4f} ± {spread:.4f} | {run['trials']} | {run['search_epochs']:.1f} "
        f"| {seconds(run['search_seconds'])} | {run['confirm_epochs']:.1f} "
        f"| {seconds(run['confirm_seconds'])} | {run['final_seconds']:.0f} |"
    )


def main() -> None:
    """Run both systems, print the table, write the JSON."""
    parser = options(__doc__)
    parser.add_argument("--datasets", nargs="+", default=["fashion-mnist"])
    parser.add_argument("--seeds", type=int, default=20, help="paired final trainings of each winner")
    parser.add_argument(
        "--confirm-seeds", type=int, default=5, help="of our study; the first of these finals"
    )
    parser.add_argument("--searches", type=int, default=1, help="independent searches of each system")
    parser.add_argument("--epochs", type=float, default=50.0, help="our search budget, reference ee")
    parser.add_argument("--max-epochs", type=int, default=3, help="full training, for both")
    parser.add_argument("--stock-trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/against_stock"))
    arguments = parser.parse_args()
    report: list[dict[str, Any]] = kept(arguments.json)
    done = {(one["dataset"], one["search_seed"]) for one in report}
    for name in arguments.datasets:
        data = open_dataset(str(arguments.data_dir / name))
        task = fashion_mnist.task(data)
        splits = at.Splits.make(data, seed=0)
        for seed in range(arguments.searches):
            if (name, seed) in done:
                continue
            mine = ours(task, splits, arguments, arguments.out / f"{name}-{seed}", seed)
            other = theirs(task, splits, arguments, seed)
            print(f"\n{name}, search seed {seed} ({machine()['summary']})\n")
            print(HEADER)
            print(row("autotune", mine))
            print(row("stock Ray Tune", other), flush=True)
            found = {"dataset": name, "search_seed": seed, "autotune": mine, "stock": other}
            report.append(found | {"difference": judged([mine], [other])})
            if arguments.json:  # after every search, since the next one takes a while
                pooled = pool(report)
                write({"machine": machine(), "runs": report, "pooled": pooled}, arguments.json)
    for name, difference in pool(report).items():
        print(f"\n{name}, all searches: {words(difference)}")


if __name__ == "__main__":
    main()
