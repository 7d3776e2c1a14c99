"""Several objectives, and proposals that look at costs, on modelled curves in virtual time.

    python -m benchmarks.objectives --data-dir ../shared/data --seeds 10 --json FILE

Ten tasks of LCBench, in the space of its surrogate.

*Fronts*: validation accuracy, and seconds per epoch of training, which stand for how large a model is; budget
of 20 full trainings, one worker. Every arm is judged by the ten configurations that it would confirm, chosen
among its trials in the same way for all, by the hypervolume of what they reach in the end. A value of 1 is
the hypervolume of 1,000 random configurations trained to the end.

*Costs*: the budget is in seconds, that of 20 full trainings of an average configuration; normalised regret of
the accuracy at the end of training of the configuration that would be chosen, as in `benchmarks.simulated`.

Finished runs are kept in `--rows` and not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from autotune.evaluation.weighing import weighed
from autotune.events import SEARCH, Config
from autotune.objectives import Objective
from autotune.scheduling.asha import ASHA
from autotune.scheduling.base import Scheduler
from autotune.scheduling.full import FullTraining
from autotune.searching import TPE, RandomSearch
from autotune.searching.base import Searcher
from autotune.searching.cost import CostAware
from autotune.simulation.curves import Curves, Regret
from autotune.simulation.fleet import Fleet
from autotune.simulation.lcbench import LCBench
from autotune.simulation.run import simulate
from autotune.study.plan import Budget, Plan
from benchmarks.figures import begin, options, write
from benchmarks.runs import measure
from benchmarks.simulated import LCBENCH, interval

TRAININGS: Final = 20
CONFIRMED: Final = 10
DRAWN: Final = 1000
SECONDS: Final = "seconds"
AIMS: Final = (Objective(SECONDS, "min"),)
Schedulers = Callable[[float], Scheduler[Any]]


@dataclass(frozen=True)
class Arm:
    """How one searches: what it is told of the objectives, who is advanced, what is tried."""

    told: str
    scheduler: Schedulers
    searcher: Searcher[Any]


def asha(end: float) -> ASHA:
    """From one epoch on."""
    return ASHA(end, 1.0)


FRONTS: Final[Mapping[str, Arm]] = {
    "random, full training": Arm("score", FullTraining, RandomSearch()),
    "random, ASHA on the score": Arm("score", asha, RandomSearch()),
    "random, ASHA on a weighted sum": Arm("sum", asha, RandomSearch()),
    "random, MO-ASHA": Arm("both", asha, RandomSearch()),
    "TPE, ASHA on the score": Arm("score", asha, TPE()),
    "TPE, ASHA on a weighted sum": Arm("sum", asha, TPE()),
    "MO-TPE, full training": Arm("both", FullTraining, TPE()),
    "MO-TPE, MO-ASHA": Arm("both", asha, TPE()),
}
COSTS: Final[Mapping[str, Arm]] = {
    "TPE, ASHA": Arm("score", asha, TPE()),
    "cost-aware TPE, ASHA": Arm("score", asha, CostAware(TPE())),
    "random, ASHA": Arm("score", asha, RandomSearch()),
    "cost-aware random, ASHA": Arm("score", asha, CostAware(RandomSearch())),
}
KINDS: Final = {"fronts": FRONTS, "costs": COSTS}
BESIDE: Final[Mapping[str, str]] = {
    **{arm: "random, MO-ASHA" if arm.startswith("random") else "MO-TPE, MO-ASHA" for arm in FRONTS},
    **{arm: f"cost-aware {arm.removeprefix('cost-aware ')}" for arm in COSTS},
}


@dataclass(frozen=True)
class Run:
    """One search."""

    kind: str
    task: str
    arm: str
    seed: int


class Timed(Curves):
    """Curves with their seconds per epoch as a metric, as half of the score, or as the cost."""

    def __init__(self, curves: Curves, drawn: Places, summed: bool = False, charged: bool = False) -> None:
        self._curves, self._drawn, self._summed, self._charged = curves, drawn, summed, charged
        self.space, self.horizon = curves.space, curves.horizon

    def score(self, config: Config, fidelity: float) -> float:
        """The accuracy, or the mean of both places."""
        score = self._curves.score(config, fidelity)
        if not self._summed:
            return score
        return float(np.mean(self._drawn.place(score, self.pace(config))))

    def seconds(self, config: Config, since: float, until: float) -> float:
        """As modelled."""
        return self._curves.seconds(config, since, until)

    def cost(self, config: Config, since: float, until: float) -> float:
        """In epochs, or in seconds over those of an average epoch."""
        if not self._charged:
            return self._curves.cost(config, since, until)
        return self.seconds(config, since, until) / self._drawn.average

    def metrics(self, config: Config, fidelity: float) -> dict[str, float]:
        """Both."""
        return {"accuracy": self._curves.score(config, fidelity), SECONDS: self.pace(config)}

    def finals(self, count: int, seed: int) -> list[float]:
        """Accuracies at the end of training."""
        return self._curves.finals(count, seed)

    def pace(self, config: Config) -> float:
        """Seconds of an epoch."""
        return self._curves.seconds(config, 0.0, self.horizon) / self.horizon


class Places:
    """Where accuracy and pace lie among those of random configurations, and what area they cover."""

    def __init__(self, curves: Curves) -> None:
        drawing = np.random.default_rng(0)
        configs = [curves.space.sample(drawing) for _ in range(DRAWN)]
        scores = [curves.score(config, curves.horizon) for config in configs]
        paces = [curves.seconds(config, 0.0, curves.horizon) / curves.horizon for config in configs]
        self.average = float(np.mean(paces))
        self._low, self._high = float(np.quantile(scores, 0.05)), max(scores)
        self._fast, self._slow = math.log(min(paces)), math.log(max(paces))
        self.whole = 1.0
        self.whole = self.area(list(zip(scores, paces, strict=True)))

    def place(self, score: float, pace: float) -> tuple[float, float]:
        """Of an accuracy between the worst twentieth and the best, and of a pace by ratio; 0 at least."""
        accurate = (score - self._low) / (self._high - self._low)
        fast = (self._slow - math.log(pace)) / (self._slow - self._fast)
        return max(accurate, 0.0), max(fast, 0.0)

    def area(self, found: Sequence[tuple[float, float]]) -> float:
        """Hypervolume over that of the random configurations."""
        places = sorted((self.place(score, pace) for score, pace in found), reverse=True)
        area = highest = 0.0
        for accurate, fast in places:
            if fast > highest:
                area += accurate * (fast - highest)
                highest = fast
        return area / self.whole


def found(run: Run, data: Path) -> dict[str, Any]:
    """Search, and judge what it found."""
    arm, (curves, drawn) = KINDS[run.kind][run.arm], opened(data, run.task)
    timed = Timed(curves, drawn, arm.told == "sum", run.kind == "costs")
    plan = Plan(
        Budget(epochs=TRAININGS * curves.horizon),
        arm.scheduler(curves.horizon),
        arm.searcher,
        seed=run.seed,
        objectives=AIMS if arm.told == "both" else (),
    )
    done = simulate(timed, plan, Fleet(1), run.seed)
    if run.kind == "costs":
        final = curves.score(done.config, curves.horizon) if done.config is not None else -math.inf
        return {**asdict(run), "value": regret(data, run.task)(final), "trials": done.trials}
    tried = [trial for trial in done.history.of_phase(SEARCH) if trial.scores and trial.failure is None]
    for trial in tried:  # whatever it was told, it is judged by accuracy
        trial.scores[trial.rung] = trial.metrics["accuracy"]
    leaders = weighed(tried, plan.aims or Plan(Budget(trials=1), objectives=AIMS).aims)[:CONFIRMED]
    places = [(curves.score(one.config, curves.horizon), timed.pace(one.config)) for one in leaders]
    return {**asdict(run), "value": drawn.area(places), "trials": done.trials}


@cache
def opened(data: Path, task: str) -> tuple[Curves, Places]:
    """The curves of a task, and what random configurations reach there."""
    curves = LCBench(data / "hpo" / "lcbench", task)
    return curves, Places(curves)


@cache
def regret(data: Path, task: str) -> Regret:
    """Of a task."""
    return Regret(opened(data, task)[0])


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per kind and arm, with what ours of the same proposals has more, by task and seed."""
    cells: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for row in rows:
        of_task = cells.setdefault((row["kind"], row["arm"]), {}).setdefault(row["task"], {})
        of_task[row["seed"]] = row["value"]
    matrices = {
        key: np.array([[one[seed] for seed in sorted(one)] for one in of_tasks.values()])
        for key, of_tasks in cells.items()
    }
    table = []
    for (kind, arm), values in matrices.items():
        mean, half = interval(values)
        line = {"kind": kind, "arm": arm, "seeds": values.shape[1], "mean": mean, "half": half}
        ours = matrices.get((kind, BESIDE[arm]))
        if BESIDE[arm] != arm and ours is not None and ours.shape == values.shape:
            line["ours_more"], line["ours_more_half"] = interval(ours - values)
        table.append(line)
    return table


def main() -> None:
    """Search everything that is missing, print the tables, write the figures."""
    parser = options(__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(LCBENCH))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--arms", nargs="+", default=[*FRONTS, *COSTS], metavar="ARM")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--rows", type=Path, default=Path("benchmarks/out/objectives.jsonl"))
    arguments = parser.parse_args()
    wanted = [
        Run(kind, task, arm, seed)
        for kind in arguments.kinds
        for seed in range(arguments.seeds)
        for task in arguments.tasks
        for arm in KINDS[kind]
        if arm in arguments.arms
    ]
    work = partial(found, data=arguments.data_dir)
    table = summary(measure(wanted, arguments.rows, work, arguments.workers))
    write(begin(arguments, table=table), arguments.json)
    for row in table:
        beside = f"{row['ours_more']:+.3f} ± {row['ours_more_half']:.3f}" if "ours_more" in row else ""
        print(f"| {row['arm']} | {row['mean']:.3f} ± {row['half']:.3f} | {beside} |")


if __name__ == "__main__":
    main()
