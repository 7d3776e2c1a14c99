"""The command line; see docs/cli.md. Each module here has the commands of one noun."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from autotune.cli import audits, clusters, jobs, simulations, studies, subsets
from autotune.cli.output import say
from autotune.cli.parsing import Commands, Parser, top_parser
from autotune.errors import (
    CONFIGURATION,
    DONE,
    FAILED,
    RETRY,
    AutotuneError,
    ClusterError,
    ConfigurationError,
    DeviceLostError,
    LockedError,
    StorageError,
)


def parser() -> Parser:
    """All commands."""
    top = top_parser()
    commands = Commands(top)
    studies.add(commands)
    jobs.add(commands)
    subsets.add(commands)
    audits.add(commands)
    simulations.add(commands)
    clusters.add(commands)
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
    as_json = getattr(given, "json", False)
    try:
        return int(given.act(given))
    except (LockedError, StorageError, ClusterError, DeviceLostError) as error:
        return say(error, RETRY, as_json)
    except ConfigurationError as error:
        return say(error, CONFIGURATION, as_json)
    except AutotuneError as error:
        return say(error, FAILED, as_json)
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return DONE
    except Exception as error:
        traceback.print_exc()
        return say(error, FAILED, as_json)
