"""How many wrong labels `autotune audit` finds, of labels of which some were replaced by another class.

    python -m benchmarks.mislabels --data-dir ../shared/data --seeds 3 --json FILE

The labels are judged as the command judges them by default. `benchmarks.influence` ranks by the scores of
selectors instead, in dattri's protocol.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any, Final

import numpy as np
import torch

from autotune.data import Dataset, open_dataset
from autotune.standalone.crossed import FOLDS, judge
from autotune.standalone.duplicates import first_of_content
from autotune.standalone.progress import Silent
from autotune.standalone.rows import candidates
from autotune.standalone.training import Training
from benchmarks.attribution import auc, found_in
from benchmarks.figures import begin, options, write
from benchmarks.wrong_labels import mislabelled

AUC: Final = 0.98
TOP_10: Final = 0.80
TOP_20: Final = 0.97


def one_seed(data: Dataset, seed: int, rows: int, share: float, epochs: float, folds: int) -> dict[str, Any]:
    """What one audit finds."""
    ids = candidates(data)
    clean = data.take(np.sort(np.random.default_rng(1000 + seed).permutation(ids)[: rows or len(ids)]))
    noisy, wrong = mislabelled(clean, np.arange(clean.n), share, seed)
    began = time.perf_counter()
    training = Training(epochs=epochs, seed=seed)
    found, _ = judge(noisy, np.arange(noisy.n), first_of_content(noisy.inputs), training, folds, Silent())
    score, truth = torch.from_numpy(found.score), torch.from_numpy(wrong)
    hits = found.suspect & wrong
    right = found.rival[hits] == clean.targets[hits]
    return {
        "samples": noisy.n,
        "auc": auc(score, truth),
        "top_10": found_in(score, truth, 0.1),
        "top_20": found_in(score, truth, 0.2),
        "suspects": int(found.suspect.sum()),
        "precision": float(hits.sum() / max(1, found.suspect.sum())),
        "recall": float(hits.sum() / wrong.sum()),
        "suggestion_right": float(right.mean()),
        "seconds": time.perf_counter() - began,
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds, and whether the bars are met."""
    row = {name: median(run[name] for run in runs) for name in runs[0]}
    met = row["auc"] >= AUC and row["top_10"] >= TOP_10 and row["top_20"] >= TOP_20
    return {**row, "met": met, "runs": runs}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| data | samples | AUC | top 10 % finds | top 20 % finds | suspects | of them wrong "
        "| of the wrong ones | suggestion right | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['samples']:,.0f} | {row['auc']:.4f} | {100 * row['top_10']:.1f} % "
            f"| {100 * row['top_20']:.1f} % | {row['suspects']:,.0f} | {100 * row['precision']:.1f} % "
            f"| {100 * row['recall']:.1f} % | {100 * row['suggestion_right']:.1f} % | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = options(__doc__, threads=2)
    parser.add_argument("--datasets", nargs="+", default=["mnist", "fashion-mnist"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="samples drawn from each; 0 for all")
    parser.add_argument("--share", type=float, default=0.1, help="of the labels that are replaced")
    parser.add_argument("--epochs", type=float, default=Training().epochs)
    parser.add_argument("--folds", type=int, default=FOLDS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = begin(arguments, datasets={})
    settings = arguments.rows, arguments.share, arguments.epochs, arguments.folds
    for name in arguments.datasets:
        data = open_dataset(arguments.data_dir / name)
        runs = []
        for seed in range(arguments.seeds):
            runs.append(one_seed(data, seed, *settings))
            result["datasets"][name] = summary(runs)
            print(table({name: runs[-1]}).splitlines()[-1], flush=True)
            write(result, arguments.json)
    print(f"\n{table(result['datasets'])}")


if __name__ == "__main__":
    main()
