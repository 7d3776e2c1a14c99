"""What computing once for a whole study saves: the hold-out model of rho_loss, and features of an encoder.

    python -m benchmarks.sharing --data-dir ../shared/data --datasets fashion-mnist --seeds 3 --json FILE

A study of several trials of one policy beside as many studies of one trial each with the same settings: there
each computes for itself what the trials of one study share. El2n, of which nothing is shared, is the control.
All in one process, one after another, by turns; compute and seconds of the whole search, everything counted.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from torch import nn

import autotune as at
from autotune.events import SEARCH
from autotune.ledger import Label
from autotune.scheduling.full import FullTraining
from autotune.search_spaces.policies import policies
from autotune.searching import RandomSearch, StartingPoints
from autotune.training.rules import TrialRules
from benchmarks.figures import begin, options, write
from benchmarks.recipes import recipe
from benchmarks.runs import searched

POLICIES: Final = ("rho_loss", "k_center", "el2n")
SHARED: Final = ("the hold-out model", "the features of an encoder", "nothing")


def spent(
    task: at.Classification,
    splits: at.Splits,
    points: list[dict[str, Any]],
    space: at.SearchSpace,
    horizon: float,
) -> dict[str, float]:
    """One study that tries these points in full, up to its confirmation."""
    plan = at.Plan(
        at.Budget(trials=len(points)), FullTraining(horizon), StartingPoints(RandomSearch(), tuple(points))
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        task = dataclasses.replace(task, splits=splits)
        study = at.Study(task, space, Path(folder) / "study", plan, rules=TrialRules(horizon))
        history = searched(study)
        ledger, flops = history.spent[SEARCH], float(history.study["reference_flops"])
    shared = ledger[Label.SHARED].flops / flops
    return {"ee": ledger.epochs(flops), "shared_ee": shared, "seconds": time.perf_counter() - began}


def measure(given: Any, dataset: str, policy: str, seed: int) -> dict[str, dict[str, float]]:
    """One policy with one seed: together, and each by itself."""
    one = recipe(dataset)
    task, splits = one.load(given.data_dir)
    space = one.space(policy=policies([policy], without=["full", "fresh_random"], fraction=0.1, pool=0.2))
    body = task.model(space.reference())
    if not isinstance(body, nn.Sequential):
        raise SystemExit(
            f"{dataset}: its model is no Sequential, of which all but the last layer could encode"
        )
    task = dataclasses.replace(task, encoder=body[:-1])
    points = [dict(RandomSearch().propose(space, trial, seed) or {}) for trial in range(given.trials)]
    together = spent(task, splits, points, space, given.horizon)
    alone = [spent(task, splits, [point], space, given.horizon) for point in points]
    return {"together": together, "alone": {key: sum(each[key] for each in alone) for key in together}}


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = options(__doc__)
    parser.add_argument("--datasets", nargs="+", default=["fashion-mnist"], help="as for benchmarks.speedup")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=4, help="of each policy")
    parser.add_argument("--horizon", type=float, default=1.0, help="epoch-equivalents of a trial")
    given = parser.parse_args()
    result, table = begin(given), []
    print(
        "\n| data | policy | shared | ee of all trials | of them shared | each by itself | compute | time |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for dataset in given.datasets:
        for policy, shared in zip(POLICIES, SHARED, strict=True):
            runs = [measure(given, dataset, policy, seed) for seed in range(given.seeds)]
            line: dict[str, Any] = {"data": dataset, "policy": policy, "runs": runs}
            for key in ("ee", "shared_ee"):
                line[key] = median(run["together"][key] for run in runs)
            line["alone_ee"] = median(run["alone"]["ee"] for run in runs)
            for name, key in (("of_compute", "ee"), ("of_time", "seconds")):
                line[name] = median(run["together"][key] / run["alone"][key] for run in runs)
            table.append(line)
            print(
                f"| {dataset} | {policy} | {shared} | {line['ee']:.2f} | {line['shared_ee']:.2f} "
                f"| {line['alone_ee']:.2f} | {line['of_compute']:.2f} | {line['of_time']:.2f} |",
                flush=True,
            )
    write(result | {"table": table}, given.json)


if __name__ == "__main__":
    main()
