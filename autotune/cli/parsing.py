"""What all commands share before they run: options, exit codes, errors that suggest the nearest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from autotune.errors import USAGE, unknown

CODES: Final = """\
exit codes:
  0  done
  1  the study failed: all of its first trials failed alike, nothing could be confirmed, a damaged log; or
     autotune itself broke, and a traceback says where
  2  usage: an unknown command or option
  3  try again: another driver owns the study, it was interrupted (SIGINT, SIGTERM), storage refused,
     a cluster did not answer, Ray broke
  4  configuration: the file of the study or of the cluster, the task or the data cannot work, or the folder
     holds another study, none, or one of a newer format; nothing was spent
  5  the budget was reached before the winner was confirmed with all seeds; the report tells what is known
"""
_SHAPE: Final = argparse.RawDescriptionHelpFormatter


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


class Commands:
    """The commands of a program, to be added one by one.

    Args:
        top: The program's parser, or a command's.
        dest: Under which name the chosen one is parsed.
        required: Whether one must be given.
    """

    def __init__(self, top: argparse.ArgumentParser, dest: str = "command", required: bool = False) -> None:
        self._below = top.add_subparsers(dest=dest, metavar="COMMAND", required=required)

    def add(
        self, name: str, text: str, act: Callable[[argparse.Namespace], int], examples: str = ""
    ) -> argparse.ArgumentParser:
        """A command with the option that all have; `act` is given what was parsed and says the exit code."""
        below = f"{examples}\n\n{CODES}" if examples else CODES
        one = self._below.add_parser(
            name, help=text, description=text, epilog=below, formatter_class=_SHAPE, allow_abbrev=False
        )
        one.add_argument("--json", action="store_true", help="print one JSON document to standard output")
        one.set_defaults(act=act)
        return one

    def group(self, name: str, text: str) -> Commands:
        """A command that has commands of its own."""
        one = self._below.add_parser(
            name, help=text, description=text, epilog=CODES, formatter_class=_SHAPE, allow_abbrev=False
        )
        return Commands(one, dest=f"{name}_command", required=True)


def top_parser() -> Parser:
    """The program, still without its commands."""
    top = Parser(
        prog="autotune",
        description="Search training settings and data-selection policy together, with every cost counted.",
        epilog=CODES,
        formatter_class=_SHAPE,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    return top
