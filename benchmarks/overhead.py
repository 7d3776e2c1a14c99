"""What orchestration costs beside training: trials that do nothing but report ten times.

    python -m benchmarks.overhead --trials 200 --seeds 3 --json FILE

Ours (a whole study with its log on disk) against stock Ray Tune, side by side in one run: every measurement
is a process of its own, on a Ray cluster of its own that is up before the clock starts; the arms take turns.
Then the growth of the driver's memory per trial. Needs no data.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import ray

from autotune.cluster.live.connection import start_local, switches
from autotune.events import Proposed, Reported
from autotune.search_spaces.policies import policies
from autotune.searching.base import Searcher
from autotune.searching.random import RandomSearch
from autotune.searching.tpe import TPE
from autotune.space import SearchSpace
from benchmarks.arms import (
    REPORTS,
    SPACE,
    Clock,
    Reporting,
    reporting,
    run_engine,
    run_everything,
    run_stock,
    run_study,
)
from benchmarks.figures import begin, needs_no_data, write
from benchmarks.recipes import RECIPES

BARS = {"seconds": 0.06, "share_of_stock": 1 / 20, "growth_kb": 60.0, "report_ms": 5.0, "ask_ms": 20.0}
ASKED = (200, 2_000, 10_000)  # trials before a proposal
ARMS = {
    "stock": "stock Ray Tune, function trainable",
    "reuse": "the same with reuse_actors",
    "bare": "bare class trainable, reuse_actors, no loggers",
    "engine": "ours, the engine alone",
    "study": "ours, a whole study, random search",
    "tpe": "ours, a whole study, TPE",
    "all": "ours, everything on, per ten reports, without proposals",
}
SLOW = ("stock", "reuse")


def measure(arm: str, trials: int, seed: int) -> dict[str, float]:
    """One arm in this process: seconds and KB of driver memory per trial."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    start_local(os.cpu_count())
    bare = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Callable[[], Clock]] = {
            "stock": lambda: run_stock(reporting, trials, seed, folder),
            "reuse": lambda: run_stock(reporting, trials, seed, folder, reuse_actors=True),
            "bare": lambda: run_stock(Reporting, trials, seed, folder, reuse_actors=True),
            "engine": lambda: run_engine(trials, seed),
            "study": lambda: run_study(trials, seed, folder, RandomSearch()),
            "tpe": lambda: run_study(trials, seed, folder, TPE()),
            "all": lambda: run_everything(trials, seed, folder),
        }
        with switches(bare if arm == "bare" else {}):
            clock = runs[arm]()
        ray.shutdown()
    if arm != "all" and len(clock.done) != trials:
        raise RuntimeError(f"{arm}: {len(clock.done)} of {trials} trials ended")
    units = len(clock.done) / REPORTS if arm == "all" else trials
    late = np.array(clock.done)[len(clock.done) // 5 :]  # after the first fifth, what grows, grows
    growth = float(np.polyfit(np.arange(len(late)), late[:, 1], 1)[0])
    return {"trials": trials, "seconds": (clock.done[-1][0] - clock.proposing_s) / units, "growth_kb": growth}


def measured(arm: str, trials: int, seed: int) -> dict[str, float]:
    """One arm in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.overhead", "--only", arm, "--trials", str(trials)]
    done = subprocess.run(
        [*command, "--seed", str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{arm} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def proposal_ms(searcher: Searcher[Any], trials: int, space: SearchSpace) -> float:
    """Processor time of one proposal after so many finished trials, the median of 9."""
    state = searcher.initial(space)
    generator = np.random.default_rng(0)
    for trial in range(trials):
        config = space.sample(generator)
        state = searcher.apply(state, Proposed(trial, config, 0, "benchmark"))
        state = searcher.apply(state, Reported(trial, trial, 0, 1.0, float(generator.random())))
    times = []
    for trial in range(trials, trials + 9):
        began = time.process_time()
        searcher.propose(state, trial, 0)
        times.append(time.process_time() - began)
    return 1e3 * median(times)


def verdicts(
    seconds: dict[str, float],
    growth: dict[str, float],
    asks: dict[int, float],
    asks_joint: dict[int, float],
) -> dict[str, bool]:
    """Which bars were reached."""
    report_ms = {arm: 1e3 * (seconds[arm] - seconds["bare"]) / REPORTS for arm in ("study", "all")}
    most, last = BARS["report_ms"], ASKED[-1]
    return {
        **{f"<= {most:g} ms of ours per report, {ARMS[arm]}": ms <= most for arm, ms in report_ms.items()},
        f"<= {BARS['ask_ms']:g} ms for a proposal at {last:,} trials": asks[last] <= BARS["ask_ms"],
        "the same with eight policies and six settings": asks_joint[last] <= BARS["ask_ms"],
        f"<= {BARS['seconds']} s per trial": seconds["study"] <= BARS["seconds"],
        "<= 1/20 of stock": seconds["study"] <= BARS["share_of_stock"] * seconds["stock"],
        f"<= {BARS['growth_kb']:g} KB per trial": growth["study"] <= BARS["growth_kb"],
    }


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description="What orchestration costs beside training.")
    parser.add_argument("--trials", type=int, default=200, help="per measurement")
    parser.add_argument("--slow-trials", type=int, default=20, help="of stock arms with function trainables")
    parser.add_argument("--memory-trials", type=int, default=2000, help="for the growth of ours")
    parser.add_argument("--stock-memory-trials", type=int, default=100, help="for the growth of stock")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--proposals", action="store_true", help="time TPE's proposals alone")
    parser.add_argument("--json", type=Path, help="file for the figures")
    needs_no_data(parser)
    parser.add_argument("--only", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given.trials, given.seed)))
        return
    if given.data_dir or given.datasets:
        print("note: this benchmark trains nothing; --data-dir and --datasets are not needed")
    result = begin(given)
    joint = RECIPES["letter"].space(policy=policies())
    asks, asks_joint = ({n: proposal_ms(TPE(), n, space) for n in ASKED} for space in (SPACE, joint))
    result |= {"tpe_proposal_ms": asks, "in_the_joint_space": asks_joint}
    for name, times in (("two parameters", asks), ("the joint space of Letter", asks_joint)):
        each = ", ".join(f"{ms:.1f} ms at {n:,} trials" for n, ms in times.items())
        print(f"TPE's own time per proposal, {name}: {each}")
    if given.proposals:
        write(result, given.json)
        return
    runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for seed in range(given.seeds):
        for arm in ARMS:
            trials = given.slow_trials if arm in SLOW else given.trials
            trials *= REPORTS if arm == "all" else 1  # most of its trials report once
            runs[arm].append(measured(arm, trials, seed))
            print(f"  seed {seed}, {arm}: {runs[arm][-1]['seconds']:.4f} s per trial", flush=True)
    seconds = {arm: median(run["seconds"] for run in found) for arm, found in runs.items()}
    growth = {
        "study": measured("study", given.memory_trials, 0)["growth_kb"],
        "bare": measured("bare", given.memory_trials, 0)["growth_kb"],
        "reuse": measured("reuse", given.stock_memory_trials, 0)["growth_kb"],
    }
    print(f"\n| arm | s per trial of {REPORTS} reports | of stock | all seeds | KB per trial |")
    print("|---|---|---|---|---|")
    for arm, text in ARMS.items():
        each = ", ".join(f"{run['seconds']:.3f}" for run in runs[arm])
        kb = f"{growth[arm]:.1f}" if arm in growth else ""
        print(f"| {text} | {seconds[arm]:.4f} | {seconds[arm] / seconds['stock']:.4f} | {each} | {kb} |")
    print()
    reached = verdicts(seconds, growth, asks, asks_joint)
    print("\n".join(f"{'reached' if met else 'MISSED'}: {bar}" for bar, met in reached.items()))
    result |= {"growth_kb": growth, "reached": reached, "runs": runs, "seconds": seconds}
    write(result, given.json)


if __name__ == "__main__":
    main()
