"""Gradient matching beside a loop as CORDS has it: how long, how near, how many distinct picks.

    python -m benchmarks.gradmatch --data-dir ../shared/data --repeats 3 --rounds 30 120 --json FILE

A tenth of Fashion-MNIST by the last-layer gradients of a network after one pass: some classes, each by
itself, and all samples in batches. Both sides get the same ridge and the same target. The loop is timed with
the gradients given; ours with the factors that they are made of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.data.sources import open_dataset
from autotune.numerics.pursuit import LastLayer, matching_pursuit
from autotune.selectors.influence.gradmatch import GradMatch, batch_gradients, match_batches
from benchmarks.figures import begin, options, write

SHARE: Final = 0.1
WIDTH: Final = 128
BATCH: Final = 20  # samples in a batch, as CORDS has it
TOLERANCE: Final = 1e-4  # of the target: what the loop stops at
RULE: Final = GradMatch()
ONE_BY_ONE: Final = 10**9  # rounds
Match = tuple[Tensor, Tensor]
Solve = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        repeats: Of each side.
        rounds: In which ours picks.
    """

    repeats: int
    rounds: Sequence[int]


def least_squares(normal: Tensor, right: Tensor) -> Tensor:
    """How CORDS solves its normal equations."""
    weights: Tensor = torch.linalg.lstsq(normal, right[:, None]).solution.squeeze(1)
    return weights


def cords(
    gradients: Tensor, budget: int, ridge: float, *, masked: bool = False, solve: Solve = least_squares
) -> Match:
    """Orthogonal matching pursuit as CORDS runs it, written from its description.

    In each step: the gradient that agrees best with the residual; all weights anew by the regularised normal
    equations, built from the start; while one is negative, the most negative leaves. It ends early when the
    best is one that it already has (CORDS fills up by chance then), unless those it had are masked.
    """
    target = gradients.sum(0)
    picks: list[int] = []
    residual, weights, had = target, target[:0], torch.zeros(len(gradients), dtype=torch.bool)
    for _ in range(budget):
        products = gradients @ residual
        best = int((products.masked_fill_(had, -torch.inf) if masked else products).argmax())
        if best in picks or float(residual.norm()) < TOLERANCE * float(target.norm()):
            break
        picks.append(best)
        had[best] = True
        while True:
            chosen = gradients[picks]
            normal = chosen @ chosen.T + ridge * torch.eye(len(picks))
            weights = solve(normal, chosen @ target)
            if len(picks) == 1 or not bool((weights < 0).any()):
                break
            del picks[int(weights.argmin())]
        residual = target - weights @ chosen
    return torch.tensor(picks), weights.double()


def factors(data_dir: Path, name: str, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of the last layer, errors of its outputs and classes, after one pass over the training split."""
    data = open_dataset(data_dir / name)
    rows = np.setdiff1d(np.arange(data.n), data.official_test if data.official_test is not None else [])
    inputs = torch.from_numpy(np.array(data.inputs[rows])).float().flatten(1) / 255
    targets = torch.from_numpy(np.array(data.targets[rows])).long()
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
    optimizer = torch.optim.Adam(model.parameters())
    for part in torch.split(torch.randperm(len(targets)), 128):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs[part]), targets[part]).backward()
        optimizer.step()
    with torch.no_grad():
        embeddings = model[:2](inputs)
        errors = model[2](embeddings).softmax(1) - F.one_hot(targets, 10)
    return embeddings, errors, targets


def compare(
    gradients: Tensor, runs: dict[str, Callable[[], Match]], budget: int, repeats: int
) -> dict[str, dict[str, Any]]:
    """Medians of the time of each side, by turns, and how well its answer matches."""
    took: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    found: dict[str, dict[str, Any]] = {}
    target = gradients.double().sum(0)
    for _ in range(repeats):
        for name, side in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            picks, weights = side()
            took[name].append({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu})
            missing = target - weights @ gradients[picks].double()
            found[name] = {
                "residual": float(missing.norm() / target.norm()),
                "picks": len(picks),
                "distinct": len(set(picks.tolist())),
                "budget": budget,
            }
    for name, times in took.items():
        found[name] = (
            {key: median(each[key] for each in times) for key in times[0]} | found[name] | {"runs": times}
        )
    return found


def sides(
    ours: Callable[[int, int], Match], gradients: Tensor, budget: int, scale: Scale
) -> dict[str, dict[str, Any]]:
    """Ours, given a budget and rounds, and the loop; and ours with as few picks as the loop ended with.

    Its ridge is ours, which is relative to the mean square of the gradients.
    """
    ridge = RULE.regularisation * float(gradients.double().square().sum(1).mean())
    reached = len(cords(gradients, budget, ridge)[0])
    runs: dict[str, Callable[[], Match]] = {
        f"gradmatch, {rounds} rounds": partial(ours, budget, rounds) for rounds in scale.rounds
    }
    runs |= {
        "gradmatch, one by one": partial(ours, budget, ONE_BY_ONE),
        "gradmatch, picks of the loop": partial(ours, reached, RULE.rounds),
        "loop": partial(cords, gradients, budget, ridge),
        "loop, masked": partial(cords, gradients, budget, ridge, masked=True),
        "loop, masked, by torch.linalg.solve": partial(
            cords, gradients, budget, ridge, masked=True, solve=torch.linalg.solve
        ),
    }
    return compare(gradients, runs, budget, scale.repeats)


def one_class(embeddings: Tensor, errors: Tensor, scale: Scale) -> dict[str, dict[str, Any]]:
    """A tenth of the samples of a class."""
    atoms = LastLayer(embeddings, errors)

    def ours(budget: int, rounds: int) -> Match:
        return matching_pursuit(atoms, budget, RULE.regularisation, rounds)

    return sides(ours, batch_gradients(embeddings, errors, 1), round(SHARE * len(errors)), scale)


def by_batch(embeddings: Tensor, errors: Tensor, scale: Scale) -> dict[str, dict[str, Any]]:
    """A tenth of all samples, in the same random batches."""
    order = torch.randperm(len(errors), generator=torch.Generator().manual_seed(0))
    order = order[: len(order) // BATCH * BATCH]
    embeddings, errors = embeddings[order], errors[order]
    gradients = batch_gradients(embeddings, errors, BATCH)

    def ours(budget: int, rounds: int) -> Match:
        given = embeddings, errors, budget * BATCH, BATCH, RULE.regularisation, rounds
        picks, weights = match_batches(*given)
        return picks[::BATCH] // BATCH, weights[::BATCH]

    return sides(ours, gradients, round(SHARE * len(gradients)), scale)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """One line for each side; the residual is relative to the target."""
    lines = ["| side | s | CPU s | residual | picks | distinct | budget |", "|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['wall_s']:.3f} | {row['cpu_s']:.3f} | {row['residual']:.4f} "
            f"| {row['picks']} | {row['distinct']} | {row['budget']} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = options(__doc__, threads=2)
    parser.add_argument("--dataset", "--datasets", default="fashion-mnist", help="images in ten classes")
    parser.add_argument("--classes", type=int, default=2, help="how many are matched by themselves")
    parser.add_argument("--seeds", "--repeats", dest="repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, nargs="+", default=[RULE.rounds], help="of ours")
    arguments = parser.parse_args()
    scale = Scale(arguments.repeats, arguments.rounds)
    torch.set_num_threads(arguments.threads)
    embeddings, errors, targets = factors(arguments.data_dir, arguments.dataset, 0)
    result = begin(arguments, parts={})
    of_classes = [targets == c for c in range(arguments.classes)]
    parts: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
        f"class {c}": partial(one_class, embeddings[rows], errors[rows], scale)
        for c, rows in enumerate(of_classes)
    }
    parts["batches"] = partial(by_batch, embeddings, errors, scale)
    for name, part in parts.items():
        result["parts"][name] = part()
        print(f"\n{name}\n\n{table(result['parts'][name])}", flush=True)
        write(result, arguments.json)


if __name__ == "__main__":
    main()
