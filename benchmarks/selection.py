"""The time of the selection rules themselves, beside the compute of a trial that uses them.

    python -m benchmarks.selection --data-dir ../shared/data --datasets fashion-mnist --json FILE

For every registered selector, the policy in the middle of its preset ranges decides how many samples it sees,
how many it keeps and how often it chooses. Its rule is timed on real signals of a small network, the training
passes of that network in the same run. Signal passes are shown apart, in epoch-equivalents.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.data import Dataset
from autotune.data.sources import open_dataset
from autotune.errors import SelectorError
from autotune.policy import Policy
from autotune.search_spaces.policies import BASELINES, policies
from autotune.selection import Scope, selector_names, width_of
from autotune.signals import Signal, Signals, passes
from autotune.space import SearchSpace
from autotune.task import Batch
from autotune.training.collect import Collector
from autotune.training.flops import PassCost, forward_flops
from benchmarks.figures import begin, options, write
from examples.fashion_mnist import SmallCNN

BATCH = 64
TARGET_SHARE = 0.05  # of the training samples, stands for the target split
BAR = 0.05


@dataclass(frozen=True)
class Bench:
    """A data set, the network that is trained on it, and how long a trial of it is."""

    inputs: Tensor
    targets: Tensor
    model: nn.Module
    horizon: float

    @property
    def n(self) -> int:
        """Training samples."""
        return len(self.inputs)

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Per-sample losses."""
        outputs = model(batch.inputs)
        if self.targets.is_floating_point():
            squared: Tensor = (outputs - batch.targets.view(len(outputs), -1)).square().sum(1)
            return squared
        losses: Tensor = F.cross_entropy(outputs, batch.targets, reduction="none")
        return losses

    def batches(self, rows: Tensor, size: int) -> list[Batch]:
        """Those rows, in batches."""
        return [
            Batch(part, self.inputs[part], self.targets[part], torch.ones(len(part)))
            for part in torch.split(rows, size)
        ]


def prepare(data: Dataset, width: int, horizon: float, seed: int) -> Bench:
    """The training rows of a data set in memory, and an untrained network: a CNN for images, else an MLP."""
    rows = np.arange(data.n)
    if data.official_test is not None:
        rows = np.setdiff1d(rows, data.official_test)
    inputs = torch.from_numpy(np.array(data.inputs[rows])).float()
    inputs = (inputs - inputs.mean()) / inputs.std().clamp_min(1e-6)
    if data.kind == "classification":
        targets, outputs = torch.from_numpy(np.array(data.targets[rows])).long(), data.classes
    else:
        targets = torch.from_numpy(np.array(data.targets[rows])).float()
        outputs = targets[0].numel()
    torch.manual_seed(seed)
    if inputs.dim() == 4 and min(inputs.shape[2:]) >= 8:
        channels, height, breadth = inputs.shape[1:]
        return Bench(
            inputs, targets, SmallCNN((channels, height, breadth), outputs)({"width": width}), horizon
        )
    hidden = nn.Linear(inputs[0].numel(), 4 * width)
    model = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(4 * width, outputs))
    return Bench(inputs, targets, model, horizon)


def train(bench: Bench, rows: Tensor) -> float:
    """Seconds per sample of forward, backward and step."""
    optimizer = torch.optim.SGD(bench.model.parameters(), lr=0.05, momentum=0.9)
    start = time.perf_counter()
    for batch in bench.batches(rows, BATCH):
        optimizer.zero_grad()
        bench.losses(bench.model, batch).mean().backward()
        optimizer.step()
    return (time.perf_counter() - start) / len(rows)


def signals_of(bench: Bench, rows: Tensor, seed: int) -> dict[Signal, Tensor]:
    """Every signal of some rows and of a target split, from the network as it is."""
    collector = Collector(bench.model, bench.losses)
    wanted = {Signal.LOSS, Signal.EMBEDDINGS, Signal.FEATURES, Signal.ERRORS}
    if not bench.targets.is_floating_point():
        wanted |= {Signal.LOGITS, Signal.PROBABILITIES}
    found = collector.collect(bench.batches(rows, 1024), frozenset(wanted), lambda: None)
    size = max(1, round(TARGET_SHARE * bench.n))
    target = torch.randperm(bench.n, generator=torch.Generator().manual_seed(seed))[:size]
    needs = frozenset({Signal.EMBEDDINGS, Signal.ERRORS})
    of_target = collector.collect(bench.batches(target, 1024), needs, lambda: None)
    found[Signal.TARGETS] = bench.targets[rows]
    return found | {signal.on_target_split: values for signal, values in of_target.items()}


def preset(name: str) -> Policy:
    """The policy in the middle of the preset ranges of a selector."""
    others = [baseline for baseline in BASELINES if baseline != name]
    return Policy.from_config(SearchSpace({"policy": policies([name], without=others)}).reference())


def selections(policy: Policy, horizon: float) -> int:
    """How often a policy selects in a trial: each subset is passed once at least."""
    if policy.selector.scope is Scope.STUDY:
        return 1
    scored = policy.pool * passes(policy.selector.needs)
    gap = max(policy.schedule.interval * horizon, policy.fraction + scored)
    return math.ceil((1 - policy.schedule.warmup - policy.schedule.anneal) * horizon / gap)


def timed(action: Callable[[], Any], repeats: int = 3) -> float:
    """The median time of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def one_seed(bench: Bench, seed: int, rows: int) -> list[dict[str, Any]]:
    """Rule and training times of every selector, measured by turns."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(bench.n, generator=generator)
    train(
        bench, order[: min(bench.n, 2 * rows)]
    )  # warm caches, and signals of a network that knows something
    cost = PassCost(forward_flops(bench.model, bench.inputs[:8]), bench.n)
    signals = signals_of(bench, torch.arange(bench.n), seed)
    found = []
    for name in selector_names():
        policy = preset(name)
        epoch_s = bench.n * train(bench, order[:rows])
        pool = order[: policy.candidates(bench.n)]
        given = {
            signal: values if signal.of_target_split else values[pool]
            for signal, values in signals.items()
            if signal in policy.selector.needs
        }
        if set(given) != set(policy.selector.needs):
            continue  # a regression has no probabilities
        candidates, budget = Signals(pool, given), policy.budget(bench.n)
        try:
            seconds = timed(partial(policy.selector.select, candidates, budget, generator))
        except SelectorError:
            continue  # the task cannot give what the rule needs
        times = selections(policy, bench.horizon)
        width = max(width_of(values) for values in given.values())
        found.append(
            {
                "selector": name,
                "candidates": len(pool),
                "kept": budget,
                "selections": times,
                "rule_s": seconds,
                "trial_s": bench.horizon * epoch_s,
                "share": times * seconds / (bench.horizon * epoch_s),
                "declared_epochs": times * policy.selector.cost(len(pool), budget, width) / cost.epoch,
                "free_losses": policy.selector.tolerates_gaps,
                "signal_epochs": 0.0
                if policy.selector.tolerates_gaps
                else times * policy.pool * passes(policy.selector.needs),
            }
        )
    return found


def summary(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Medians over the seeds, one row for each selector."""
    rows = []
    for same in zip(*runs, strict=True):
        row = dict(same[0])
        for key in ("rule_s", "trial_s", "share"):
            row[key] = median(run[key] for run in same)
        rows.append(row | {"shares": [run["share"] for run in same], "met": row["share"] <= BAR})
    return rows


def table(rows: list[dict[str, Any]], horizon: float) -> str:
    """The rows as Markdown."""
    lines = [
        "| selector | candidates | kept | selections | rule, ms each | rule / trial | as declared "
        f"| signals, ee of {horizon:g} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['selector']} | {row['candidates']:,} | {row['kept']:,} | {row['selections']} "
            f"| {1e3 * row['rule_s']:.2f} | {100 * row['share']:.2f} % "
            f"| {100 * row['declared_epochs'] / horizon:.2f} % | {row['signal_epochs']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = options(__doc__, threads=1)
    parser.add_argument("--datasets", nargs="+", default=["fashion-mnist"], help="folders or files in it")
    parser.add_argument("--target", help="column to predict, where the data do not say")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--horizon", type=float, default=3.0, help="a trial's epoch-equivalents")
    parser.add_argument("--width", type=int, default=16, help="of the network")
    parser.add_argument("--rows", type=int, default=4096, help="samples per measured training pass")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = begin(arguments, datasets={})
    for name in arguments.datasets:
        data = open_dataset(arguments.data_dir / name, target=arguments.target)
        runs = []
        for seed in range(arguments.seeds):
            bench = prepare(data, arguments.width, arguments.horizon, seed)
            runs.append(one_seed(bench, seed, arguments.rows))
        rows = summary(runs)
        result["datasets"][name] = rows
        trial = median(row["trial_s"] for row in rows)
        print(f"\n{name}: {bench.n:,} samples; a trial of {bench.horizon:g} ee computes for {trial:.1f} s\n")
        print(table(rows, bench.horizon))
    write(result, arguments.json)


if __name__ == "__main__":
    main()
