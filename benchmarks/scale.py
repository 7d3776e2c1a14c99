"""What a decision costs with thousands of workers, and what a trial takes of the driver's memory.

    python -m benchmarks.scale --workers 10000 --trials 100000 --seeds 3 --json FILE

Virtual time, made-up curves, ASHA by promotion, random proposals. Ours is all processor time of the search,
its loop and the queue of virtual time included, but for the proposals, which are shown apart, and for
looking curves up. Each seed is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from autotune.events import Config
from autotune.scheduling.asha import ASHA
from autotune.searching import RandomSearch
from autotune.simulation.curves import Curves
from autotune.simulation.fleet import Fleet
from autotune.simulation.run import simulate
from autotune.space import Float, SearchSpace
from autotune.study.director import Director
from autotune.study.plan import Budget, Plan
from benchmarks.figures import begin, needs_no_data, write


class Bowl(Curves):
    """Scores that rise towards a parabola; some configurations take twice as long as others."""

    space = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
    horizon = 27.0

    def score(self, config: Config, fidelity: float) -> float:
        """Of no meaning."""
        return -((float(config["x"]) - 0.3) ** 2) - float(config["y"]) / fidelity

    def seconds(self, config: Config, since: float, until: float) -> float:
        """Ten to twenty for a unit of fidelity."""
        return 10.0 * (until - since) * (1.0 + float(config["y"]))

    def finals(self, count: int, seed: int) -> list[float]:
        """Nobody asks."""
        return []


class Timed:
    """Adds up the processor time of every call of a method, and counts them."""

    def __init__(self, owner: type, name: str) -> None:
        self.seconds, self.calls = 0.0, 0
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            began = time.thread_time()
            found = method(*arguments)
            self.seconds += time.thread_time() - began
            self.calls += 1
            return found

        setattr(owner, name, timed)


def measure(workers: int, trials: int, seed: int) -> dict[str, float]:
    """One simulation in this process."""
    plan = Plan(Budget(trials=trials), ASHA(27.0, 1.0), RandomSearch(), seed=seed)
    simulate(Bowl(), Plan(Budget(trials=10), ASHA(27.0, 1.0), RandomSearch()), Fleet())  # imports
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    decide, propose = Timed(Director, "decide"), Timed(RandomSearch, "propose")
    look_up = [Timed(Bowl, "score"), Timed(Bowl, "seconds")]
    began = time.process_time()
    found = simulate(Bowl(), plan, Fleet(workers), seed)
    ours = time.process_time() - began - propose.seconds - sum(one.seconds for one in look_up)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "us_per_decision": 1e6 * ours / decide.calls,
        "us_per_proposal": 1e6 * propose.seconds / propose.calls,
        "decisions": decide.calls,
        "kb_per_trial": grown / trials,
        "virtual_hours": found.seconds / 3600,
        "utilisation": found.utilisation,
    }


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=10_000)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the figures")
    needs_no_data(parser)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only is not None:
        print(json.dumps(measure(given.workers, given.trials, given.only)))
        return
    result, runs = begin(given), []
    for seed in range(given.seeds):
        sizes = ["--workers", str(given.workers), "--trials", str(given.trials)]
        command = [sys.executable, "-m", "benchmarks.scale", *sizes, "--only", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    medians = {name: median(run[name] for run in runs) for name in runs[0]}
    print("\n| " + " | ".join(medians) + " |\n|" + "---|" * len(medians))
    print("| " + " | ".join(f"{value:.4g}" for value in medians.values()) + " |")
    write(result | {"runs": runs, "medians": medians}, given.json)


if __name__ == "__main__":
    main()
