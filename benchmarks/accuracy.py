"""Test accuracy of every selection policy at equal compute, selection included.

    python -m benchmarks.accuracy --data-dir ../shared/data --datasets fashion-mnist --seeds 5 --json FILE
    python -m benchmarks.accuracy --data-dir ../shared/data --noise 0.4 --rates 0.01 0.05 --json FILE
    python -m benchmarks.accuracy --data-dir ../shared/data --seeds 5 --cards docs/selectors

Every run trains the same network with the same settings to the same compute, whatever it is spent on: a
pass that collects signals leaves fewer steps. `full` is full data on a schedule compressed to that compute.
A policy's own parameters are in the middle of their preset ranges. Paired seeds: weights, order and draws of
a run follow from its seed, whatever the policy. Finished runs are kept in `--rows`, and running it again goes
on with what is missing, seed by seed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

import torch

import autotune as at
from autotune.data.sources import open_dataset
from autotune.evaluation.comparison import compare
from autotune.events import Failed
from autotune.ledger import Ledger
from autotune.search_spaces.policies import policies
from autotune.seeds import derive
from autotune.selection import selector_names
from autotune.space import SearchSpace
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment
from benchmarks.figures import begin, options, write
from benchmarks.runs import measure
from benchmarks.wrong_labels import mislabelled
from examples.fashion_mnist import task as small_cnn

BASELINES: Final = ("full", "fresh_random", "random")
POOL: Final = 0.2  # of the training split, or twice the fraction
INTERVAL: Final = 0.1  # of the horizon
MARGIN: Final = 0.003
QUOTED: Final = "Test accuracy at equal compute"  # how the line of a method card begins


@dataclass(frozen=True)
class Setting:
    """What all runs of one table share.

    Attributes:
        dataset: Folder below the data directory.
        noise: Share of training labels turned from y to y + 1.
        horizon: Compute of a run in epoch-equivalents.
        width: Of the network.
        data_dir: Where the data lies.
        scratch: Where checkpoints go.
    """

    dataset: str
    noise: float
    horizon: float
    width: int
    data_dir: Path
    scratch: Path

    def workload(self) -> TrainingWorkload:
        """The network on the data, with the labels of its training split spoilt."""
        data = open_dataset(str(self.data_dir / self.dataset))
        splits = at.Splits.make(data, seed=0)
        if self.noise:
            data, _ = mislabelled(data, splits.train, self.noise, seed=0, pairs=True)
        reference = {"width": self.width}
        rules = TrialRules(horizon=self.horizon, checkpoint_share=1.0, checkpoint_s=3600.0)
        return TrainingWorkload(small_cnn(data), splits, rules, self.scratch, reference=reference)


@dataclass(frozen=True)
class Run:
    """One training."""

    policy: str
    fraction: float
    rate: float
    seed: int

    def config(self, width: int) -> dict[str, Any]:
        """Its configuration, on a network of that width."""
        settings = {
            "optimizer": "sgd",
            "optimizer.lr": self.rate,
            "optimizer.momentum": 0.9,
            "batch_size": 64,
            "width": width,
            "schedule": "cosine",
        }
        others = [name for name in BASELINES if name != self.policy]
        preset = policies([self.policy], without=others, fraction=self.fraction)
        middle = SearchSpace({"policy": preset}).reference()
        asked = {
            "policy.fraction": self.fraction,
            "policy.pool": max(POOL, min(1.0, 2 * self.fraction)),
            "policy.interval": INTERVAL,
        }
        return settings | middle | {name: value for name, value in asked.items() if name in middle}


_held: dict[str, Any] = {}


def prepare(setting: Setting) -> None:
    """Make a process ready: one thread, one workload."""
    torch.set_num_threads(1)
    workload = setting.workload()
    _held.update(setting=setting, worker=workload.worker(workload.bulk))


def train(run: Run) -> dict[str, Any]:
    """Train and read both scores; what fails says why."""
    setting: Setting = _held["setting"]
    key = int(hashlib.sha256(repr((run, setting)).encode()).hexdigest()[:12], 16)
    config = run.config(setting.width)
    assignment = Assignment(0, key, config, derive(run.seed, "accuracy") % 2**31, 0, 0.0, setting.horizon)
    began = time.perf_counter()
    found = _held["worker"].advance(assignment, lambda: None)
    seconds = time.perf_counter() - began
    row = dataclasses.asdict(run)
    if isinstance(found, Failed):
        return {**row, "failed": f"{found.kind}: {found.message}"}
    tested = _held["worker"].advance(dataclasses.replace(assignment, id=1, test=True), lambda: None)
    ledger: Ledger = found.ledger
    spent = {label.value: charge.seconds for label, charge in ledger.charges.items()}
    return {
        **row,
        "validation": found.score,
        "test": tested.score,
        "selections": found.selections,
        "seconds": seconds,
        "seconds_by_label": spent,
    }


def runs(
    policies: Iterable[str], fractions: Iterable[float], rates: Iterable[float], seeds: int
) -> list[Run]:
    """Seeds outermost, so that an unfinished benchmark has whole seeds."""
    return [
        Run(policy, 1.0 if policy == "full" else fraction, rate, seed)
        for seed in range(seeds)
        for rate in rates
        for index, fraction in enumerate(fractions)
        for policy in policies
        if policy != "full" or index == 0
    ]


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per policy and fraction: of the rates the best by validation, and the paired differences."""
    cells: dict[tuple[str, float, float], dict[int, dict[str, Any]]] = {}
    for row in rows:
        if "test" in row:
            cells.setdefault((row["policy"], row["fraction"], row["rate"]), {})[row["seed"]] = row
    tuned: dict[tuple[str, float], dict[int, dict[str, Any]]] = {}
    for (policy, fraction, _), found in cells.items():
        best = tuned.get((policy, fraction))
        if best is None or _mean(found, "validation") > _mean(best, "validation"):
            tuned[policy, fraction] = found
    full = tuned.get(("full", 1.0), {})
    table = []
    for (policy, fraction), found in sorted(tuned.items(), key=lambda one: (one[0][1], one[0][0])):
        row = {
            "policy": policy,
            "fraction": fraction,
            "rate": next(iter(found.values()))["rate"],
            "test": [found[seed]["test"] for seed in sorted(found)],
            "seconds": median(one["seconds"] for one in found.values()),
            "choosing_seconds": median(
                one["seconds_by_label"].get("score", 0.0) + one["seconds_by_label"].get("select", 0.0)
                for one in found.values()
            ),
        }
        for name, other in (("fresh_random", tuned.get(("fresh_random", fraction), {})), ("full", full)):
            shared = sorted(set(found) & set(other))
            ours, theirs = ([one[seed]["test"] for seed in shared] for one in (found, other))
            if policy != name and len(shared) > 1:
                difference = compare(name, ours, theirs, MARGIN, 0.95)
                row[f"against_{name}"] = [difference.mean, difference.low, difference.high]
        table.append(row)
    return table


def _mean(found: dict[int, dict[str, Any]], key: str) -> float:
    return fmean(row[key] for row in found.values())


def markdown(table: list[dict[str, Any]]) -> str:
    """A line per policy, a column per fraction: the mean, and how far it is from fresh random subsets.

    Accuracies and differences in percent; a difference whose 95 % interval over paired seeds leaves out 0 is
    marked. Last, the largest share of the time that went into choosing.
    """
    cells = {(row["policy"], row["fraction"]): row for row in table}
    fractions = sorted({fraction for _, fraction in cells if fraction < 1.0})
    full = cells.get(("full", 1.0))
    lines = [
        "| policy | " + " | ".join(f"{fraction:.0%}" for fraction in fractions) + " | choosing |",
        "|---|" + "---|" * (len(fractions) + 1),
    ]
    if full is not None:
        lines.append(f"| full, on a compressed schedule | {_percent(full)} |" + " |" * len(fractions))
    best = {policy: max(_mean_of(cells.get((policy, f))) for f in fractions) for policy, _ in cells}
    for policy in sorted(best, key=lambda one: -best[one]):
        if policy != "full":
            rows = [cells.get((policy, fraction)) for fraction in fractions]
            share = max(row["choosing_seconds"] / row["seconds"] for row in rows if row)
            lines.append(f"| {policy} | " + " | ".join(map(_cell, rows)) + f" | {share:.0%} |")
    return "\n".join(lines)


def _mean_of(row: dict[str, Any] | None) -> float:
    return fmean(row["test"]) if row else 0.0


def _percent(row: dict[str, Any]) -> str:
    return f"{100 * fmean(row['test']):.1f}"


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    if "against_fresh_random" not in row:
        return _percent(row)
    mean, low, high = (100 * x for x in row["against_fresh_random"])
    sure = "*" if low > 0 or high < 0 else ""
    return f"{_percent(row)} ({mean:+.1f}{sure})"


def quote(policy: str, table: list[dict[str, Any]], setting: str) -> str:
    """What a method card says of its policy's accuracy; empty where it was not measured."""
    rows = {row["fraction"]: row for row in table if row["policy"] == policy}
    if not rows:
        return ""
    said = ", ".join(f"{fraction:.0%}: {_cell(row)}" for fraction, row in sorted(rows.items()))
    seeds = max(len(row["test"]) for row in rows.values())
    beside = "in points beside fresh random subsets, * where the 95 % interval leaves out 0"
    return f"{QUOTED} ({setting}; {seeds} seeds; {beside}): {said}."


def write_cards(folder: Path, table: list[dict[str, Any]], setting: str) -> None:
    """Put the quotes into the cards, in the place of those of an earlier run."""
    for card in sorted(folder.glob("*.md")):
        if text := quote(card.stem, table, setting):
            before = card.read_text()
            kept = [line for line in before.splitlines() if not line.startswith(QUOTED)]
            kept = [line.removesuffix(" Accuracy against cost: see `benchmarks/README.md`.") for line in kept]
            place = kept.index("## Citation") if "## Citation" in kept else len(kept)
            while kept[place - 1] == "":
                del kept[place - 1]
                place -= 1
            card.write_text("\n".join([*kept[:place], "", text, "", *kept[place:]]) + "\n")


def main() -> None:
    """Train everything that is missing, print the table, write the figures."""
    parser = options(__doc__)
    parser.add_argument("--datasets", nargs="+", default=["fashion-mnist"])
    parser.add_argument("--policies", nargs="+", help="(default: all that are registered)")
    parser.add_argument("--fractions", nargs="+", type=float, default=[0.01, 0.05, 0.1, 0.3])
    parser.add_argument(
        "--rates", nargs="+", type=float, default=[0.05], help="the best by validation counts"
    )
    parser.add_argument("--noise", type=float, default=0.0, help="share of training labels turned to y + 1")
    parser.add_argument("--horizon", type=float, default=1.0, help="compute of a run, epoch-equivalents")
    parser.add_argument("--width", type=int, default=8, help="of the network")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/accuracy"), help="for checkpoints")
    parser.add_argument("--rows", type=Path, default=Path("benchmarks/results/accuracy"))
    parser.add_argument("--cards", type=Path, help="folder of method cards to quote the figures in")
    arguments = parser.parse_args()
    policies = [name for name in arguments.policies or selector_names() if name not in BASELINES]
    wanted = runs([*BASELINES, *policies], arguments.fractions, arguments.rates, arguments.seeds)
    report = begin(arguments, datasets={})
    for name in arguments.datasets:
        scratch = (arguments.out / "checkpoints").resolve()
        kind = (arguments.noise, arguments.horizon, arguments.width)
        setting = Setting(name, *kind, arguments.data_dir.resolve(), scratch)
        file = arguments.rows / "{}-noise{:g}-ee{:g}-width{}.jsonl".format(Path(name).name, *kind)
        rows = measure(wanted, file, train, arguments.workers, initializer=prepare, initargs=(setting,))
        failed = {row["policy"]: row["failed"] for row in rows if "failed" in row}
        table = summary(rows)
        report["datasets"][name] = {"table": table, "failed": failed}
        print(
            f"\n{name}, {arguments.noise:.0%} of labels wrong, {arguments.horizon:g} epoch-equivalents each"
        )
        print(f"\n{markdown(table)}")
        for policy, reason in sorted(failed.items()):
            print(f"{policy}: {reason}")
        if arguments.cards:
            spoilt = f", {arguments.noise:.0%} of labels wrong" if arguments.noise else ""
            what = f"{name}, {arguments.horizon:g} ee, width {arguments.width}{spoilt}"
            write_cards(arguments.cards, table, what)
    write(report, arguments.json)


if __name__ == "__main__":
    main()
