"""The command line: run, resume, look at and report studies; see docs/cli.md."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from autotune.errors import AutotuneError, ConfigurationError, LockedError, StorageError, unknown

if TYPE_CHECKING:
    from autotune.space.dimensions import Dimension
    from autotune.study import Study

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
RETRY: Final = 3
CONFIGURATION: Final = 4
CODES: Final = """\
exit codes:
  0  done
  1  the study failed: all of its first trials failed alike, nothing could be confirmed, a damaged log
  2  usage: an unknown command or option
  3  try again: another driver owns the study, it was interrupted (SIGINT, SIGTERM), storage refused
  4  configuration: the study file, the task or the data cannot work; nothing was spent
"""
ENGINES: Final = ("inprocess", "ray")


class Stopped(BaseException):
    """SIGTERM arrived; no `except Exception` of a trial may swallow it."""


class Parser(argparse.ArgumentParser):
    """Suggests the nearest command or option."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and what was probably meant, and exit with 2."""
        words = [word for word in message.replace("'", " ").split() if word not in ("argument", "choice:")]
        if message.startswith("unrecognized arguments:"):
            word = next((one.split("=")[0] for one in words[2:] if one.startswith("-")), words[2])
            message = unknown("option", word, self.options())
        elif "invalid choice:" in message:
            given = message.split("invalid choice: '")[1].split("'")[0]
            known = message.split("(choose from ")[1].rstrip(")").replace("'", "").split(", ")
            kind = "command" if "COMMAND" in message.split(":")[0] else message.split(":")[0]
            message = unknown(kind.removeprefix("argument "), given, known)
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")

    def options(self) -> list[str]:
        """The long options of this command and of those below it."""
        found = {name for name in self._option_string_actions if name.startswith("--")}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for below in action.choices.values():
                    found.update(below.options())
        return sorted(found)


def parser() -> Parser:
    """All commands."""
    shape = argparse.RawDescriptionHelpFormatter
    top = Parser(
        prog="autotune",
        description="Search training settings and data-selection policy together, with every cost counted.",
        epilog=CODES,
        formatter_class=shape,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str, act: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name, help=text, description=text, epilog=CODES, formatter_class=shape, allow_abbrev=False
        )
        one.add_argument("--json", action="store_true", help="print one JSON document to standard output")
        one.set_defaults(act=act)
        return one

    def runs(one: argparse.ArgumentParser) -> None:
        one.add_argument("--engine", choices=ENGINES, help="who runs the trials; the file's when absent")
        one.add_argument("--quiet", action="store_true", help="show no progress")

    one = command("run", "Run the study of a YAML file, or continue it.", run)
    one.add_argument("study", metavar="STUDY.yaml", type=Path)
    one.add_argument("--path", type=Path, metavar="DIR", help="the study's folder (default: runs/NAME)")
    runs(one)
    one = command("resume", "Continue a study that `run` started.", resume)
    one.add_argument("path", metavar="PATH", type=Path)
    runs(one)
    one = command("status", "Say where a study stands, while it runs or afterwards.", status)
    one.add_argument("path", metavar="PATH", type=Path)
    one = command("report", "Write a study's report, finished or not.", report)
    one.add_argument("path", metavar="PATH", type=Path)
    one.add_argument("--out", type=Path, metavar="FILE", help="(default: PATH/result/report.html)")
    one = command("show-space", "Show what a study's YAML file searches.", show_space)
    one.add_argument("study", metavar="STUDY.yaml", type=Path)
    command("selectors", "List the selection policies, what they need and what they cost.", selectors)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    top = parser()
    given = top.parse_args(arguments)
    if given.version:
        from importlib.metadata import version

        print(f"autotune {version('autotune')}")
        return DONE
    if given.command is None:
        top.error("a command is missing; see autotune --help")
    try:
        return int(given.act(given))
    except (LockedError, StorageError) as error:
        return _say(error, RETRY)
    except ConfigurationError as error:
        return _say(error, CONFIGURATION)
    except AutotuneError as error:
        return _say(error, FAILED)
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return DONE
    except Exception:
        traceback.print_exc()
        return FAILED


def run(given: argparse.Namespace) -> int:
    """Run the study of a YAML file."""

    def load() -> Study:
        from autotune.study.yaml_form import load_study

        return load_study(given.study, given.path, given.engine)

    return _drive(load, given)


def resume(given: argparse.Namespace) -> int:
    """Continue a study that was started from YAML."""

    def load() -> Study:
        from autotune.study import yaml_form

        return yaml_form.resume(given.path, given.engine)

    return _drive(load, given)


def _drive(load: Callable[[], Study], given: argparse.Namespace) -> int:
    # what tasks and libraries print must not get between a pipeline and its document
    with contextlib.redirect_stdout(sys.stderr) if given.json else contextlib.nullcontext():
        try:
            with _stoppable():
                code, document, said = _driven(load, given.quiet)
        except (KeyboardInterrupt, Stopped, SystemExit):  # Ray turns SIGTERM into SystemExit
            print("autotune: stopped; nothing is lost, run or resume it again to continue", file=sys.stderr)
            return RETRY
    if given.json:
        _print_json(document)
    else:
        print(said)
    return code


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
    return (FAILED if result.best_config is None else DONE), document, f"{said}\nreport: {page}"


def status(given: argparse.Namespace) -> int:
    """Say where a study stands."""
    from autotune.report.console import line
    from autotune.report.progress import progress
    from autotune.report.view import StudyView
    from autotune.report.words import summary

    view = StudyView.load(given.path)
    state = progress(view.history, view.metric, view.sign)
    if given.json:
        _print_json({**state.to_json(), "path": str(given.path), "done": view.done})
        return DONE
    print(line(state))
    print(summary(view))
    return DONE


def report(given: argparse.Namespace) -> int:
    """Write a study's page and say what it says."""
    from autotune.report.page import write_page
    from autotune.report.view import StudyView
    from autotune.report.words import summary
    from autotune.study.result import Result

    page = write_page(given.path, given.out)
    view = StudyView.load(given.path)
    if given.json:
        said = {"summary": summary(view).splitlines(), "report": str(page)}
        _print_json({**Result(given.path, view.history).to_json(), **said})
    else:
        print(f"{summary(view)}\nreport: {page}")
    return DONE


def show_space(given: argparse.Namespace) -> int:
    """Show what a file searches."""
    from autotune.study.yaml_form import read_study

    space = read_study(given.study).space
    places = [(key, _described(dimension)) for _, key, dimension in space.places()]
    if given.json:
        _print_json(
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
        kind = "number" if isinstance(dimension, Float) else "whole number"
        return f"{kind} from {dimension.low:g} to {dimension.high:g}{', by ratio' if dimension.log else ''}"
    if isinstance(dimension, Choice):
        return f"one of {', '.join(str(value) for value in dimension.values)}"
    return f"fixed at {dimension.value}"


def selectors(given: argparse.Namespace) -> int:
    """List the selectors."""
    from autotune.report.catalogue import catalogue

    cards = catalogue()
    if given.json:
        _print_json(cards)
        return DONE
    for card in cards:
        parameters = ", ".join(f"{name}={value}" for name, value in card["parameters"].items())
        print(f"{card['name']} ({card['family']}): {card['summary']}")
        print(f"    parameters: {parameters or 'none'}; size: {card['size']}")
        print(f"    needs: {', '.join(card['needs']) or 'nothing'}; cost: {card['cost']}")
    return DONE


def _say(error: BaseException, code: int) -> int:
    print(f"autotune: {error}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that the log and the engine are closed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_json(document: Any) -> None:
    print(json.dumps(_strict(document), indent=2, allow_nan=False))


def _strict(value: Any) -> Any:
    """Numbers that are not finite are not JSON; they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
