"""The commands that size a cluster: a study in virtual time, on curves or before there are any."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final

from autotune.cli.output import answer
from autotune.cli.parsing import Commands
from autotune.report.numbers import duration

if TYPE_CHECKING:
    from autotune.simulation.curves import Curves
    from autotune.simulation.fleet import Fleet
    from autotune.simulation.run import Simulation
    from autotune.study.plan import Plan


SIMULATE: Final = """\
examples:
  what the bill of an earlier study would have been with other numbers of machines:
    autotune simulate --study runs/small --workers 1 4 16 64 --price 2.50
  on spot machines that boot for 90 s and are lost twice in an hour, medians of 20:
    autotune simulate --study runs/small --workers 8 --price 0.80 --boot 90 --losses 2 --seeds 20
  the plan of a file on the curves of others, before anything of one's own was trained:
    autotune simulate --lcbench lcbench/ 3945 --plan study.yaml --workers 8 64
before there is any curve: autotune forecast STUDY.yaml; how to read the table: docs/simulation.md"""
FORECAST: Final = """\
examples:
  on machines that take 40 s for a pass over the data, at 2.50 an hour each:
    autotune forecast study.yaml --epoch-seconds 40 --workers 1 2 8 --price 2.50
  how much to set aside, whoever wins (highest_paid in the document):
    autotune forecast study.yaml --epoch-seconds 40 --workers 8 --price 2.50 --seeds 20 --json
once a study was run: autotune simulate; how to read the table: docs/simulation.md"""


def add(commands: Commands) -> None:
    """Add the commands."""
    _add_forecast(commands)
    text = "Run a study in virtual time: how long, how busy, how much, with how many workers."
    one = commands.add("simulate", text, simulate, SIMULATE)
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--study", metavar="PATH", help="an earlier study: its trials, its plan")
    source.add_argument("--lcbench", nargs=2, metavar=("FOLDER", "TASK"), help="the surrogate of LCBench")
    source.add_argument("--taskset", type=Path, metavar="FILE", help="a task of TaskSet")
    one.add_argument(
        "--plan", type=Path, metavar="STUDY.yaml", help="whose plan to follow (with curves that have none)"
    )
    one.add_argument("--epochs", type=float, metavar="B", help="another budget, in epoch-equivalents")
    one.add_argument("--trials", type=int, metavar="T", help="another budget, in trials")
    one.add_argument(
        "--step-seconds",
        type=float,
        default=1.0,
        metavar="S",
        help="of a step of TaskSet, which records no times (default: 1)",
    )
    _add_fleet(one)


def _add_forecast(commands: Commands) -> None:
    text = "Before a study is begun: how long its search and its confirmation will take, and what they cost."
    one = commands.add("forecast", text, forecast, FORECAST)
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
    one.add_argument(
        "--workers",
        nargs="+",
        type=int,
        default=[1, 2, 4, 8, 16],
        metavar="N",
        help="trials that run at once, at most; a row for each (default: 1 2 4 8 16)",
    )
    numbers = (
        ("price", 0.0, "price of a worker for an hour (default: 0)"),
        ("stragglers", 0.0, "share of assignments that are slow (default: 0)"),
        ("slowdown", 3.0, "how many times as long those take (default: 3)"),
        ("losses", 0.0, "machines lost per worker and hour of work, as spot machines are (default: 0)"),
        ("startup", 0.0, "seconds before each assignment trains (default: 0)"),
        ("boot", 0.0, "seconds until a new machine is there (default: 0)"),
        ("idle", 120.0, "seconds after which an idle worker is given back (default: 120; inf: never)"),
        ("checkpoint", 60.0, "seconds of training between two checkpoints (default: 60, as studies do)"),
    )
    for name, value, text in numbers:
        one.add_argument(f"--{name}", type=float, default=value, metavar="X", help=text)
    one.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="repetitions; medians are shown (default: 1)"
    )


def simulate(given: argparse.Namespace) -> int:
    """Simulate a study with each number of workers."""
    return answer(lambda: _simulated(given), given.json)


def forecast(given: argparse.Namespace) -> int:
    """Forecast a study with each number of workers."""
    return answer(lambda: _forecast(given), given.json)


def _fleets(given: argparse.Namespace) -> list[Fleet]:
    from autotune.errors import ConfigurationError
    from autotune.simulation.fleet import Fleet

    if given.seeds < 1:
        raise ConfigurationError(f"--seeds must be at least 1, got {given.seeds}")
    names = ("price", "stragglers", "slowdown", "losses", "startup", "boot", "idle", "checkpoint")
    return [Fleet(workers, **{name: getattr(given, name) for name in names}) for workers in given.workers]


def _forecast(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.errors import ConfigurationError
    from autotune.simulation.forecast import forecast, pace_of
    from autotune.study.yaml_form import load_study

    study, fleets = load_study(given.study), _fleets(given)
    pace = pace_of(study, given.epoch_seconds)
    rows = [_row([forecast(study, pace, fleet, seed) for seed in range(given.seeds)]) for fleet in fleets]
    for row in rows:  # drawn: they say nothing
        del row["score"]
    if all(row["cut"] for row in rows):
        raise ConfigurationError(
            f"the budget covers the confirmation with none of these workers ({rows[-1]['cut']}); raise it, "
            "or lower confirm.leaders, confirm.seeds or the horizon"
        )
    measured = given.epoch_seconds is None
    said = f"an epoch-equivalent takes {pace.epoch_s:.3g} s" + (
        ", measured here on one thread" if measured else ""
    )
    source = {"study": str(given.study), "epoch_s": pace.epoch_s, "measured": measured}
    end = "which policies win is not known, and so neither what their signals and selections cost"
    return _document(source, fleets, given.seeds, rows), f"{said}\n{_table(rows, fleets[0])}\n{end}"


def _simulated(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.simulation.run import simulate

    curves, plan = _asked(given)
    fleets, rows = _fleets(given), []
    for fleet in fleets:
        found = [
            simulate(curves, dataclasses.replace(plan, seed=plan.seed + seed), fleet, seed, confirm=True)
            for seed in range(given.seeds)
        ]
        rows.append(_row(found))
    source = {name: getattr(given, name) for name in ("study", "lcbench", "taskset")}
    source = {name: value if name == "lcbench" else str(value) for name, value in source.items() if value}
    document = _document({**source, "plan": plan.to_json()}, fleets, given.seeds, rows)
    return document, _table(rows, fleets[0])


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
        recorded = Recorded(given.study)
        curves: Curves = recorded
        plan = recorded.plan()
    else:
        if given.plan is None:
            raise ConfigurationError("--plan is missing; give a study's YAML file, whose plan is followed")
        if given.lcbench:
            curves = LCBench(Path(given.lcbench[0]), given.lcbench[1])
        else:
            curves = TaskSet(given.taskset, step_s=given.step_seconds)
        plan = read_study(given.plan).plan
    if given.epochs is not None or given.trials is not None:
        plan = dataclasses.replace(plan, budget=Budget(epochs=given.epochs, trials=given.trials))
    return curves, plan


def _document(
    source: dict[str, Any], fleets: list[Fleet], seeds: int, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    fleet = {name: value for name, value in dataclasses.asdict(fleets[0]).items() if name != "workers"}
    fleet["idle"] = fleet["idle"] if math.isfinite(fleet["idle"]) else None
    return {**source, "fleet": fleet, "seeds": seeds, "rows": rows}


def _row(found: list[Simulation]) -> dict[str, Any]:
    return {
        "workers": found[0].fleet.workers,
        "hours": median(one.seconds / 3600 for one in found),
        "longest_hours": max(one.seconds / 3600 for one in found),
        "search_hours": median(one.searched / 3600 for one in found),
        "confirm_hours": median((one.seconds - one.searched) / 3600 for one in found),
        "busy": fmean(one.utilisation for one in found),
        "lost_hours": fmean(one.lost / 3600 for one in found),
        "paid": median(one.paid for one in found),
        "highest_paid": max(one.paid for one in found),
        "epochs": median(one.spent for one in found),
        "trials": median(one.trials for one in found),
        "finished": median(one.finished for one in found),
        "trainings": median(one.trainings for one in found),
        "interrupted": fmean(one.interrupted for one in found),
        "ended": found[0].ended,
        "cut": next((one.cut for one in found if one.cut), None),
        "score": median(one.final for one in found),
    }


def _table(rows: list[dict[str, Any]], fleet: Fleet) -> str:
    scored, priced = "score" in rows[0], fleet.price > 0
    head = "workers       all    search  confirmation    busy"
    head += ("       paid" if priced else "") + "     spent  trials  to the end  lost"
    lines = [head + ("     score" if scored else "")]
    for row in rows:
        spans = (duration(3600 * row[name]) for name in ("hours", "search_hours", "confirm_hours"))
        paid = f"  {row['paid']:9.2f}" if priced else ""
        lines.append(
            "{:7d}  {:>8s}  {:>8s}  {:>12s}".format(row["workers"], *spans)
            + f"  {row['busy']:6.0%}{paid}  {row['epochs']:8.1f}  {row['trials']:6g}  {row['finished']:10g}"
            + f"  {row['interrupted']:4.3g}"
            + (f"  {row['score']:8.5g}" if scored else "")
        )
    until = f"it has been idle for {fleet.idle:g} s" if math.isfinite(fleet.idle) else "the end"
    lines += [
        f"busy: share of the paid time that was work; a worker is paid from when it is needed until {until}",
        "spent: epoch-equivalents of the search; lost: machines, on average",
        *_each("search ended", {row["workers"]: row["ended"] for row in rows}),
        *_each("confirmation", {row["workers"]: f"{row['trainings']:g} full trainings" for row in rows}),
        *_each("not confirmed", {row["workers"]: row["cut"] for row in rows if row["cut"]}),
    ]
    return "\n".join([*lines, "score: at the horizon, of the winner"] if scored else lines)


def _each(what: str, said: Mapping[int, str]) -> list[str]:
    """A line for each thing that is said of some numbers of workers, which are named where they differ.

    >>> _each("search ended", {1: "spent", 2: "spent", 8: "tried"})
    ['search ended, with 1, 2 workers: spent', 'search ended, with 8 workers: tried']
    """
    found: dict[str, list[str]] = {}
    for workers, text in said.items():
        found.setdefault(text, []).append(str(workers))
    alike = len(found) == 1
    return [
        f"{what}: {text}" if alike else f"{what}, with {', '.join(numbers)} workers: {text}"
        for text, numbers in found.items()
    ]
