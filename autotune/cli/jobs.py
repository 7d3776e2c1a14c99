"""Commands of studies that run as jobs of a cluster: submit them, and look after them from anywhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotune.cli.output import answer, print_json
from autotune.cli.parsing import CONFIGURATION, DONE, RETRY, Commands

if TYPE_CHECKING:
    from autotune.cluster.jobs import Handle, Jobs, Standing


def add(commands: Commands) -> None:
    """Add the commands."""

    def reaches(one: argparse.ArgumentParser) -> None:
        one.add_argument("--address", default="http://127.0.0.1:8265", metavar="URL", help="(%(default)s)")
        one.add_argument("--token-file", type=Path, metavar="FILE", help="(default: ~/.ray/auth_token)")
        one.add_argument("--open", action="store_true", help="also a cluster that asks for no token")

    text = "Run the study of a YAML file on a Ray cluster, or find the job that already does."
    one = commands.add("submit", text, submit)
    one.add_argument("study", metavar="STUDY.yaml", type=Path)
    one.add_argument("--path", required=True, help="the study's folder, on storage that all nodes reach")
    one.add_argument(
        "--wait", action="store_true", help="until it has ended; the exit code is then the study's"
    )
    reaches(one)
    for name, text, act in (
        ("job", "Say where a submitted study stands.", job),
        ("logs", "Print what a submitted study has printed.", logs),
        ("stop", "Stop a submitted study; submitting it again continues it.", stop),
    ):
        one = commands.add(name, text, act)
        one.add_argument("job", metavar="PATH|JOB", help="the study's folder, or the job's id")
        if name == "job":
            one.add_argument("--wait", action="store_true", help="until it has ended")
        reaches(one)


def submit(given: argparse.Namespace) -> int:
    """Submit a study once."""
    from autotune.cluster import jobs
    from autotune.study.yaml_form import read_study

    read_study(given.study)  # what cannot work is found here, where nothing is paid for
    return _stand(jobs.submit(given.study, given.path, _jobs(given)), given)


def job(given: argparse.Namespace) -> int:
    """Say where a job stands."""
    return _stand(_found(given), given)


def logs(given: argparse.Namespace) -> int:
    """Print a job's output."""
    handle = _found(given)

    def look() -> tuple[Any, str]:
        text = handle.logs()
        return {"job": handle.id, "logs": text}, text.rstrip("\n")

    return answer(look, given.json)


def stop(given: argparse.Namespace) -> int:
    """Stop a job."""
    handle = _found(given)
    handle.cancel()
    return _stand(handle, given)


def _jobs(given: argparse.Namespace) -> Jobs:
    from autotune.cluster import jobs
    from autotune.cluster.access import Access

    return jobs.connect(Access(given.address, given.token_file, given.open))


def _found(given: argparse.Namespace) -> Handle:
    from autotune.cluster import jobs

    return jobs.find(given.job, _jobs(given))


def _stand(handle: Handle, given: argparse.Namespace) -> int:
    """Print where a job stands, having waited if asked to; its exit code when it has ended."""
    standing = handle.wait() if getattr(given, "wait", False) else handle.poll()
    document = {
        "job": handle.id,
        "path": handle.path,
        "state": standing.state.value,
        "exit_code": standing.exit_code,
        "message": standing.message,
    }
    if given.json:
        print_json(document)
    else:
        code = "" if standing.exit_code is None else f" with exit code {standing.exit_code}"
        print(f"{handle.id}: {standing.state.value}{code}; {standing.message}".rstrip("; "))
    return code_of(standing) if getattr(given, "wait", False) else DONE


def code_of(standing: Standing) -> int:
    """The exit code of a job that was waited for: the study's own, else that of lost infrastructure."""
    if standing.exit_code is not None and 0 <= standing.exit_code <= CONFIGURATION + 1:
        return standing.exit_code
    return RETRY
