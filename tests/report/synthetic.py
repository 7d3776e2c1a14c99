"""Studies that never ran: events as a study would have written them, in milliseconds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autotune.evaluation.comparison import compare
from autotune.events import (
    CONFIRM,
    SEARCH,
    VERDICT,
    Assigned,
    Concluded,
    DriverStarted,
    Event,
    Failed,
    Interrupted,
    Opened,
    PhaseStarted,
    Proposed,
    Reported,
    TestRead,
)
from autotune.ledger import Charge, Label, Ledger
from autotune.log import TrialLog
from autotune.scheduling.asha import ASHA
from autotune.scheduling.base import Promote

POLICIES = {
    "full": 0.0,
    "fresh_random": 0.012,
    "random": -0.02,
    "infobatch": 0.014,
    "el2n": -0.01,
    "small_loss": -0.015,
    "k_center": -0.005,
    "target_alignment": 0.02,
}
SPACE = """\
optimizer:
  choice:
    sgd: {lr: {float: [0.001, 1.0], log: true}, momentum: {float: [0.0, 0.99]}}
    adamw: {lr: {float: [0.0001, 1.0], log: true}}
batch_size: {choice: [32, 64, 128]}
width: {int: [8, 64], log: true}
policy:
  choice:
    full: {}
    fresh_random: {fraction: {float: [0.1, 0.5]}}
    random: {fraction: {float: [0.1, 0.5]}}
    infobatch: {fraction: {float: [0.1, 0.5]}}
    el2n: {fraction: {float: [0.1, 0.5]}}
    small_loss: {fraction: {float: [0.1, 0.5]}}
    k_center: {fraction: {float: [0.1, 0.5]}}
    target_alignment: {fraction: {float: [0.1, 0.5]}}
"""
REFERENCE_FLOPS = 1e12


def _config(rng: np.random.Generator) -> dict[str, object]:
    config: dict[str, object] = {"optimizer": str(rng.choice(["sgd", "adamw"]))}
    config["optimizer.lr"] = float(10 ** rng.uniform(-3, -0.5))
    if config["optimizer"] == "sgd":
        config["optimizer.momentum"] = float(rng.uniform(0, 0.99))
    config["batch_size"] = int(rng.choice([32, 64, 128]))
    config["width"] = int(2 ** rng.uniform(3, 6) + 0.5)
    config["policy"] = str(rng.choice(list(POLICIES)))
    if config["policy"] != "full":
        config["policy.fraction"] = float(rng.uniform(0.1, 0.5))
    return config


def _score(config: dict[str, object], fidelity: float, rng: np.random.Generator) -> float:
    lr = math.log10(float(config["optimizer.lr"]))  # type: ignore[arg-type]
    best = 0.955 + POLICIES[str(config["policy"])] - 0.05 * (lr + 1.5) ** 2
    return best * (1 - math.exp(-1.5 * (fidelity + 0.6))) + float(rng.normal(0, 0.004))


def _ledger(config: dict[str, object], epochs: float) -> Ledger:
    flops = epochs * REFERENCE_FLOPS * float(config["width"]) / 36  # type: ignore[arg-type]
    picky = config["policy"] not in ("full", "random", "fresh_random", "infobatch")
    scoring = 0.2 if picky else 0.0
    return Ledger(
        {
            Label.TRAIN: Charge(flops * (1 - scoring), 3 * epochs),
            Label.SCORE: Charge(flops * scoring, 0.4 * epochs * scoring),
            Label.SELECT: Charge(flops * scoring * 0.02, 0.05 * epochs * scoring),
            Label.EVALUATE: Charge(0.05 * flops, 0.1 * epochs),
            Label.OVERHEAD: Charge(0.0, 0.02),
        }
    )


def study(
    trials: int = 60,
    seed: int = 0,
    *,
    failing: float = 0.05,
    confirmed: bool = True,
    seeds: int = 5,
    mode: str = "max",
    rename: Callable[[str], str] = str,
    prices: dict[str, float] | None = None,
) -> list[Event]:
    """The events of a study on one worker; `rename` is applied to the study's name and error texts."""
    rng = np.random.default_rng(seed)
    asha = ASHA(horizon=3.0)
    rungs = asha.rungs
    opened = Opened(
        {
            "name": rename("digits"),
            "space": SPACE,
            "plan": {
                "budget": {"kind": "Budget", "epochs": None, "trials": trials, "hours": None},
                "seed": seed,
            },
            "rungs": list(rungs),
            "reference_flops": REFERENCE_FLOPS,
            "task": {"kind": "Classification", "metric": "accuracy", "mode": mode},
            "fingerprint": "0f" * 32,
        }
    )
    events: list[Event] = [
        opened,
        DriverStarted(1, {"python": "3.11", "torch": "2.13.0", "autotune": "0.1.0"}, prices),
    ]
    state = asha.initial()
    configs: list[dict[str, object]] = []
    scores: dict[int, tuple[int, float]] = {}
    failed: set[int] = set()
    assignment = 0

    def note(event: Event) -> None:
        nonlocal state
        events.append(event)
        state = asha.apply(state, event)

    while True:
        decision = asha.decide(state)
        if not isinstance(decision, Promote):
            if len(configs) >= trials:
                break
            trial, rung = len(configs), 0
            configs.append(_config(rng))
            note(Proposed(trial, configs[trial], trial, "TPE"))
        else:
            trial, rung = decision.trial, decision.rung
        since, config = rungs[rung - 1] if rung else 0.0, configs[trial]
        note(Assigned(assignment, trial, rung, since, rungs[rung]))
        ledger = _ledger(config, rungs[rung] - since)
        if rng.random() < failing / 2:
            note(Interrupted(assignment, trial, "node lost", ledger))
        if rng.random() < failing:
            failed.add(trial)
            note(Failed(assignment, trial, rung, "diverged", rename("loss is not finite"), ledger))
        else:
            score = _score(config, rungs[rung], rng)
            scores[trial] = (rung, score)
            note(Reported(assignment, trial, rung, rungs[rung], score, {"accuracy": score}, ledger))
        assignment += 1
    if confirmed:
        kept = {number: place for number, place in scores.items() if number not in failed}
        _confirm(events, configs, kept, rungs, seeds, rng, assignment)
    return events


def _confirm(
    events: list[Event],
    configs: list[dict[str, object]],
    scores: dict[int, tuple[int, float]],
    rungs: tuple[float, ...],
    seeds: int,
    rng: np.random.Generator,
    assignment: int,
) -> None:
    events.append(PhaseStarted(CONFIRM, "all trials of the budget were started"))
    ranked = sorted(scores, key=lambda trial: scores[trial], reverse=True)
    if not ranked:
        events.append(PhaseStarted(VERDICT, "0 candidates were trained"))
        events.append(
            Concluded(None, {"winner": None, "comparisons": [], "reason": "no candidate could be confirmed"})
        )
        return
    chosen = ranked[:2]
    for arm in ("fresh_random", "full"):
        chosen += [t for t in ranked if configs[t]["policy"] == arm and t not in chosen][:1]
    number, runs, last = len(configs), {t: [] for t in chosen}, len(rungs) - 1  # type: ignore[var-annotated]
    for repetition in range(seeds):
        for origin in chosen:
            config = configs[origin]
            events.append(Proposed(number, config, repetition, "confirm", CONFIRM, origin))
            events.append(Assigned(assignment, number, last, 0.0, rungs[-1]))
            score = _score(config, rungs[-1], rng)
            runs[origin].append((number, score))
            events.append(
                Reported(
                    assignment, number, last, rungs[-1], score, {"accuracy": score}, _ledger(config, 3.0)
                )
            )
            number, assignment = number + 1, assignment + 1
    events.append(PhaseStarted(VERDICT, f"{len(chosen)} candidates were trained {seeds} times"))
    winner = max(chosen, key=lambda t: sum(score for _, score in runs[t]))
    arms = {configs[t]["policy"]: t for t in reversed(chosen) if t != winner}
    baselines = {arm: arms[arm] for arm in ("fresh_random", "full") if arm in arms}
    tests: dict[int, list[float]] = {}
    for origin in (winner, *baselines.values()):
        for trial, score in runs[origin]:
            test = score - 0.004 + float(rng.normal(0, 0.002))
            tests.setdefault(origin, []).append(test)
            events.append(Assigned(assignment, trial, last, rungs[-1], rungs[-1]))
            ledger = Ledger({Label.EVALUATE: Charge(0.1 * REFERENCE_FLOPS, 0.2)})
            events.append(TestRead(assignment, trial, test, {"accuracy": test}, ledger))
            assignment += 1

    def summary(origin: int) -> dict[str, object]:
        return {
            "origin": origin,
            "config": configs[origin],
            "arm": configs[origin]["policy"],
            "trials": [trial for trial, _ in runs[origin]],
            "validation": [score for _, score in runs[origin]],
            "test": tests[origin],
            "test_metrics": [{"accuracy": test} for test in tests[origin]],
        }

    comparisons = []
    for arm in ("fresh_random", "full"):
        if configs[winner]["policy"] == arm:
            comparisons.append({"baseline": arm, "answer": None, "reason": "the winner's own policy"})
        elif arm not in baselines:
            comparisons.append(
                {"baseline": arm, "answer": None, "reason": "removed from the space, or failed"}
            )
        else:
            result = compare(arm, tests[winner], tests[baselines[arm]], 0.003, 0.95)
            comparisons.append({**dataclasses.asdict(result), "answer": result.answer.value, "pairs": seeds})
    events.append(
        Concluded(
            winner,
            {
                "winner": summary(winner),
                "baselines": {str(arm): summary(origin) for arm, origin in baselines.items()},
                "comparisons": comparisons,
                "margin": 0.003,
                "confidence": 0.95,
            },
        )
    )


def write(path: Path, events: list[Event]) -> Path:
    """A study's folder with these events as its log."""
    log = TrialLog(path / "log")
    log.append(*events)
    log.close()
    return path


__all__ = ["SEARCH", "study", "write"]
