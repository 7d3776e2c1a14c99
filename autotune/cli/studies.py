"""Commands of studies: run, resume, look at and report them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autotune.cli.output import Stopped, conclude, print_json
from autotune.cli.parsing import Commands
from autotune.errors import BUDGET, DONE, FAILED
from autotune.report.numbers import duration
from autotune.storage.location import locate

if TYPE_CHECKING:
    from autotune.space.dimensions import Dimension
    from autotune.study import Study
    from autotune.study.yaml_form import Launch

ENGINES: Final = ("inprocess", "ray")


def add(commands: Commands) -> None:
    """Add the commands."""

    def runs(one: argparse.ArgumentParser) -> None:
        one.add_argument("--engine", choices=ENGINES, help="who runs the trials; the file's when absent")
        one.add_argument("--address", metavar="A", help="the Ray cluster to join: auto, HOST:PORT, or local")
        lanes = "trials that a worker trains side by side, or auto; the file's when absent"
        one.add_argument("--lanes", metavar="N", type=lanes_of, help=lanes)
        trial = "resources per trial where the file does not say, such as CPU=4,GPU=0.5"
        one.add_argument("--trial", metavar="NAME=N,...", type=amounts_of, help=trial)
        prices = "per hour by type of machine where the file has none, such as head=0.1,spot=0.4"
        one.add_argument("--prices", metavar="NAME=N,...", type=amounts_of, help=prices)
        one.add_argument("--quiet", action="store_true", help="show no progress")

    one = commands.add("run", "Run the study of a YAML file, or continue it.", run)
    one.add_argument("study", metavar="STUDY.yaml", type=Path)
    one.add_argument("--path", metavar="DIR", help="the study's folder or address (default: runs/NAME)")
    runs(one)
    one = commands.add("resume", "Continue a study that `run` started.", resume)
    one.add_argument("path", metavar="PATH")
    runs(one)
    one = commands.add("status", "Say where a study stands, while it runs or afterwards.", status)
    one.add_argument("path", metavar="PATH")
    one = commands.add("report", "Write a study's report, finished or not.", report)
    one.add_argument("path", metavar="PATH")
    one.add_argument("--out", metavar="FILE", help="(default: PATH/result/report.html)")
    one = commands.add("show-space", "Show what a study's YAML file searches.", show_space)
    one.add_argument("study", metavar="STUDY.yaml", type=Path)


def lanes_of(text: str) -> int | str:
    """A number, or a word, which the engine knows or refuses."""
    return int(text) if text.isdigit() else text


def amounts_of(text: str) -> dict[str, float]:
    """Numbers by name.

    >>> amounts_of("CPU=4,GPU=0.5")
    {'CPU': 4.0, 'GPU': 0.5}
    """
    return {name: float(amount) for name, _, amount in (one.rpartition("=") for one in text.split(","))}


def run(given: argparse.Namespace) -> int:
    """Run the study of a YAML file."""

    def load() -> Study:
        from autotune.cluster.description.secret_scan import refuse_secrets
        from autotune.study.yaml_form import load_study

        with suppress(OSError, UnicodeDecodeError):  # which is told below
            refuse_secrets(given.study.read_text(encoding="utf-8"))
        return load_study(given.study, given.path, _launch(given))

    return _drive(load, given)


def resume(given: argparse.Namespace) -> int:
    """Continue a study that was started from YAML."""

    def load() -> Study:
        from autotune.study import yaml_form

        return yaml_form.resume(given.path, _launch(given))

    return _drive(load, given)


def _launch(given: argparse.Namespace) -> Launch:
    from autotune.study.yaml_form import Launch

    return Launch(given.engine, given.address, given.lanes, given.trial, given.prices)


def _drive(load: Callable[[], Study], given: argparse.Namespace) -> int:
    interrupts = (KeyboardInterrupt, Stopped, SystemExit)  # Ray turns SIGTERM into the last
    stopped = "nothing is lost, run or resume it again to continue"
    return conclude(lambda: _driven(load, given.quiet), given.json, stopped, interrupts)


def _driven(load: Callable[[], Study], quiet: bool) -> tuple[int, dict[str, Any], str]:
    from autotune.report.console import Console
    from autotune.report.words import summary

    study = load()
    with Console(quiet=quiet) as console:
        try:
            result = study.run(observe=console)
        except (KeyboardInterrupt, Stopped, SystemExit):
            print(f"to continue: autotune resume {study.path}", file=sys.stderr)
            raise
    page = study.path / "result" / "report.html"
    said = summary(study.path)
    document = {**result.to_json(), "summary": said.splitlines(), "report": str(page)}
    code = BUDGET if result.cut else FAILED if result.best_config is None else DONE
    return code, document, f"{said}\nreport: {page}"


def status(given: argparse.Namespace) -> int:
    """Say where a study stands."""
    from autotune.report.console import line
    from autotune.report.progress import progress
    from autotune.report.view import StudyView
    from autotune.report.words import summary

    view = StudyView.load(given.path)
    state = progress(view.history, view.metric, view.sign, view.wall_s / 3600)
    if given.json:
        more = {"path": str(locate(given.path)), "done": view.done, "written_s": view.written_s}
        print_json({**state.to_json(), **more})
        return DONE
    age = "" if view.done or view.written_s is None else f"; log written {ago(view.written_s)}"
    print(f"{line(state)}{age}")
    print(summary(view))
    return DONE


def report(given: argparse.Namespace) -> int:
    """Write a study's page and say what it says."""
    from autotune.report.page import write_page
    from autotune.report.view import StudyView
    from autotune.report.words import summary
    from autotune.study.result import Result

    view, place = StudyView.load(given.path), locate(given.path)
    page = write_page(view, given.out)
    if given.json:
        said = {"summary": summary(view).splitlines(), "report": str(page)}
        print_json({**Result(place, view.history).to_json(), **said})
    else:
        print(f"{summary(view)}\nreport: {page}")
    return DONE


def show_space(given: argparse.Namespace) -> int:
    """Show what a file searches."""
    from autotune.study.yaml_form import read_study

    space = read_study(given.study).space
    places = [(key, _described(dimension)) for _, key, dimension in space.places()]
    if given.json:
        print_json(
            {
                "parameters": dict(places),
                "dimensions": space.dimensions,
                "branches": {name: list(options) for name, options in space.branches().items()},
                "reference": space.reference(),
                "yaml": space.to_yaml(),
            }
        )
        return DONE
    width = max(len(key) for key, _ in places)
    for key, text in places:
        print(f"{key:<{width}}  {text}")
    print(f"\nat most {space.dimensions} free parameters in one configuration")
    print(f"reference: {', '.join(f'{name}={value}' for name, value in space.reference().items())}")
    return DONE


def _described(dimension: Dimension) -> str:
    from autotune.space import Choice, Float, Int

    if isinstance(dimension, Float | Int):
        kind = "float" if isinstance(dimension, Float) else "integer"
        return f"{kind} in [{dimension.low:g}, {dimension.high:g}]{', log scale' if dimension.log else ''}"
    if isinstance(dimension, Choice):
        return f"one of {', '.join(str(value) for value in dimension.values)}"
    return f"fixed at {dimension.value}"


def ago(at_s: float) -> str:
    """How long ago something was, by this machine's clock; a driver that lives on Ray writes every 15 s."""
    return f"{duration(max(0.0, time.time() - at_s))} ago"
