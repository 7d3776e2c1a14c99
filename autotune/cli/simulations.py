"""The commands that size a cluster: a search in virtual time, on curves or before there are any."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from autotune.cli.output import answer
from autotune.cli.parsing import Commands
from autotune.report.numbers import duration
from autotune.storage.location import locate

if TYPE_CHECKING:
    from autotune.simulation.curves import Curves
    from autotune.simulation.fleet import Fleet
    from autotune.simulation.forecast import Forecast
    from autotune.simulation.run import Simulation
    from autotune.study.plan import Plan


def add(commands: Commands) -> None:
    """Add the commands."""
    _add_forecast(commands)
    text = "Run a search in virtual time: how long, how busy, how much, with how many workers."
    one = commands.add("simulate", text, simulate)
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--study", metavar="PATH", help="an earlier study: its trials, its plan")
    source.add_argument("--lcbench", nargs=2, metavar=("FOLDER", "TASK"), help="the surrogate of LCBench")
    source.add_argument("--taskset", type=Path, metavar="FILE", help="a task of TaskSet")
    one.add_argument(
        "--plan", type=Path, metavar="STUDY.yaml", help="whose plan to follow (with curves that have none)"
    )
    one.add_argument("--epochs", type=float, metavar="B", help="another budget, in epoch-equivalents")
    one.add_argument("--trials", type=int, metavar="T", help="another budget, in trials")
    _add_fleet(one)


def _add_forecast(commands: Commands) -> None:
    text = "Before a study is begun: how long its search and its confirmation will take, and what they cost."
    one = commands.add("forecast", text, forecast)
    one.add_argument("study", type=Path, metavar="STUDY.yaml")
    one.add_argument(
        "--epoch-seconds",
        type=float,
        metavar="S",
        help="of one pass over the training split with the reference configuration, on the machines that "
        "the study will have (default: measured here, for a few seconds)",
    )
    _add_fleet(one)


def _add_fleet(one: argparse.ArgumentParser) -> None:
    one.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8, 16], metavar="N")
    one.add_argument("--price", type=float, default=0.0, help="of one worker for an hour (0)")
    one.add_argument("--stragglers", type=float, default=0.0, help="share of slow assignments (0)")
    one.add_argument("--slowdown", type=float, default=3.0, help="how many times as long those take (3)")
    one.add_argument("--losses", type=float, default=0.0, help="machines lost per worker and hour (0)")
    one.add_argument("--startup", type=float, default=0.0, help="seconds before an assignment trains (0)")
    one.add_argument("--seeds", type=int, default=1, help="repetitions; medians are shown (1)")


def simulate(given: argparse.Namespace) -> int:
    """Simulate a search with each number of workers."""
    return answer(lambda: _simulated(given), given.json)


def forecast(given: argparse.Namespace) -> int:
    """Forecast a study with each number of workers."""
    return answer(lambda: _forecast(given), given.json)


def _fleets(given: argparse.Namespace) -> list[Fleet]:
    from autotune.simulation.fleet import Fleet

    others = given.price, given.stragglers, given.slowdown, given.losses, given.startup
    return [Fleet(workers, *others) for workers in given.workers]


def _forecast(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.simulation.forecast import forecast, pace_of
    from autotune.study.yaml_form import load_study

    study, fleets = load_study(given.study), _fleets(given)
    pace = pace_of(study, given.epoch_seconds)
    rows = [
        _expected(fleet.workers, [forecast(study, pace, fleet, seed) for seed in range(given.seeds)])
        for fleet in fleets
    ]
    measured = given.epoch_seconds is None
    said = f"an epoch-equivalent takes {pace.epoch_s:.3g} s" + (
        ", measured here on one thread" if measured else ""
    )
    document = {"epoch_s": pace.epoch_s, "measured": measured, "seeds": given.seeds, "rows": rows}
    return document, f"{said}\n{_forecast_table(rows, given.price > 0)}"


def _expected(workers: int, found: list[Forecast]) -> dict[str, Any]:
    return {
        "workers": workers,
        "hours": median(one.seconds / 3600 for one in found),
        "search_hours": median(one.search.seconds / 3600 for one in found),
        "confirm_hours": found[0].confirm_s / 3600,
        "busy": fmean(one.search.utilisation for one in found),
        "paid": median(one.paid for one in found),
        "epochs": median(one.search.spent for one in found),
        "trials": median(one.search.trials for one in found),
        "trainings": found[0].trainings,
    }


def _forecast_table(rows: list[dict[str, Any]], priced: bool) -> str:
    lines = ["workers       all     search  confirmation    busy" + ("       paid" if priced else "")]
    for row in rows:
        spans = (duration(3600 * row[name]) for name in ("hours", "search_hours", "confirm_hours"))
        paid = f"  {row['paid']:9.2f}" if priced else ""
        lines.append(
            "{:7d}  {:>8s}  {:>9s}  {:>12s}".format(row["workers"], *spans) + f"  {row['busy']:6.0%}{paid}"
        )
    last = rows[-1]
    lines.append(
        f"search: {last['trials']:g} trials, {last['epochs']:.1f} epoch-equivalents; confirmation: at most "
        f"{last['trainings']} full trainings; signals and selection come on top"
    )
    return "\n".join(lines)


def _simulated(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.simulation.run import simulate

    curves, plan = _asked(given)
    rows = []
    for fleet in _fleets(given):
        found = [
            simulate(curves, dataclasses.replace(plan, seed=plan.seed + seed), fleet, seed)
            for seed in range(given.seeds)
        ]
        rows.append(_row(fleet.workers, found))
    return {"plan": plan.to_json(), "seeds": given.seeds, "rows": rows}, _table(rows, given.price > 0)


def _asked(given: argparse.Namespace) -> tuple[Curves, Plan]:
    from autotune.errors import ConfigurationError
    from autotune.simulation.lcbench import LCBench
    from autotune.simulation.recorded import Recorded
    from autotune.simulation.taskset import TaskSet
    from autotune.study.plan import Budget
    from autotune.study.yaml_form import read_study

    if given.study is not None:
        if given.plan is not None:
            raise ConfigurationError("--plan and --study exclude each other: a study has its own plan")
        recorded = Recorded(locate(given.study))
        curves: Curves = recorded
        plan = recorded.plan()
    else:
        if given.plan is None:
            raise ConfigurationError("--plan is missing; give a study's YAML file, whose plan is followed")
        curves = (
            LCBench(Path(given.lcbench[0]), given.lcbench[1]) if given.lcbench else TaskSet(given.taskset)
        )
        plan = read_study(given.plan).plan
        if plan.scheduler.rungs[-1] > curves.horizon:
            raise ConfigurationError(
                f"the plan trains to {plan.scheduler.rungs[-1]:g}, but the curves end at {curves.horizon:g}; "
                "lower the horizon of its scheduler"
            )
    if given.epochs is not None or given.trials is not None:
        plan = dataclasses.replace(plan, budget=Budget(epochs=given.epochs, trials=given.trials))
    return curves, plan


def _row(workers: int, found: list[Simulation]) -> dict[str, Any]:
    return {
        "workers": workers,
        "hours": median(one.seconds / 3600 for one in found),
        "busy": fmean(one.utilisation for one in found),
        "paid": median(one.paid for one in found),
        "epochs": median(one.spent for one in found),
        "trials": median(one.trials for one in found),
        "finished": median(one.finished for one in found),
        "interrupted": fmean(one.interrupted for one in found),
        "score": median(one.final for one in found),
    }


def _table(rows: list[dict[str, Any]], priced: bool) -> str:
    lines = [
        "workers  wall-clock    busy"
        + ("       paid" if priced else "")
        + "     spent  trials  to the end  lost     score"
    ]
    for row in rows:
        paid = f"  {row['paid']:9.2f}" if priced else ""
        lines.append(
            f"{row['workers']:7d}  {duration(3600 * row['hours']):>10s}  {row['busy']:6.0%}{paid}"
            f"  {row['epochs']:8.1f}  {row['trials']:6g}  {row['finished']:10g}"
            f"  {row['interrupted']:4.3g}  {row['score']:8.5g}"
        )
    lines.append(
        "busy: share of all workers' time that was work; score: at the horizon, of who was ahead at the end"
    )
    return "\n".join(lines)
