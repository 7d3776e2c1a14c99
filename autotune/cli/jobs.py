"""Commands of studies that run as jobs of a cluster: submit them, and look after them from anywhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotune.cli.output import answer, conclude
from autotune.cli.parsing import Commands
from autotune.errors import BUDGET, DONE, RETRY

if TYPE_CHECKING:
    from autotune.cluster.live.jobs import Standing
    from autotune.study.running import RunningCluster
    from autotune.study.submission import Handle


def add(commands: Commands) -> None:
    """Add the commands."""

    def reaches(one: argparse.ArgumentParser) -> None:
        one.add_argument("--address", default="http://127.0.0.1:8265", metavar="URL", help="(%(default)s)")
        one.add_argument("--token-file", type=Path, metavar="FILE", help="(default: ~/.ray/auth_token)")
        one.add_argument("--open", action="store_true", help="also a cluster that asks for no token")
        one.add_argument(
            "--cluster", type=Path, metavar="SPEC.yaml", help="reach the cluster of a spec instead"
        )

    text = "Run the study of a YAML file on a Ray cluster, or find the job that already does."
    reaches(_submits(commands, text))
    for one in _looks(commands):
        reaches(one)


def add_below(commands: Commands) -> None:
    """Add those that take the cluster's spec first, below `autotune cluster`."""

    def of_spec(one: argparse.ArgumentParser) -> None:
        one.set_defaults(address=None, open=False)
        one.add_argument("--token-file", type=Path, metavar="FILE", help="(default: the spec's)")

    of_spec(_submits(commands, "Run the study of a YAML file on the cluster of a spec.", below=True))
    for one in _looks(commands, below=True):
        of_spec(one)


def _submits(commands: Commands, text: str, below: bool = False) -> argparse.ArgumentParser:
    one = commands.add("submit", text, submit)
    if below:
        one.add_argument("cluster", metavar="SPEC.yaml", type=Path)
    one.add_argument("study", metavar="STUDY.yaml", type=Path)
    one.add_argument(
        "--path",
        metavar="DIR",
        help="the study's folder, on storage that all nodes reach (default with a spec: below its storage)",
    )
    one.add_argument(
        "--wait", action="store_true", help="until it has ended; the exit code is then the study's"
    )
    return one


def _looks(commands: Commands, below: bool = False) -> Iterator[argparse.ArgumentParser]:
    for name, text, act in (
        ("job", "Say where a submitted study stands.", job),
        ("logs", "Print what a submitted study has printed.", logs),
        ("stop", "Stop a submitted study; submitting it again continues it.", stop),
    ):
        one = commands.add(name, text, act)
        if below:
            one.add_argument("cluster", metavar="SPEC.yaml", type=Path)
        one.add_argument("job", metavar="PATH|JOB", help="the study's folder, or the job's id")
        if name == "job":
            one.add_argument("--wait", action="store_true", help="until it has ended")
        yield one


def submit(given: argparse.Namespace) -> int:
    """Submit a study once."""
    with _cluster(given) as cluster:
        return _stand(cluster.submit(given.study, given.path), given)


def job(given: argparse.Namespace) -> int:
    """Say where a job stands."""
    with _cluster(given) as cluster:
        return _stand(cluster.find(given.job), given)


def logs(given: argparse.Namespace) -> int:
    """Print a job's output."""
    with _cluster(given) as cluster:
        handle = cluster.find(given.job)
        text = handle.logs()
    return answer(lambda: ({"job": handle.id, "logs": text}, text.rstrip("\n")), given.json)


def stop(given: argparse.Namespace) -> int:
    """Stop a job."""
    with _cluster(given) as cluster:
        handle = cluster.find(given.job)
        handle.cancel()
        return _stand(handle, given)


def _cluster(given: argparse.Namespace) -> RunningCluster:
    from autotune.cluster.live.access import Access
    from autotune.study.running import RunningCluster

    if given.cluster is not None:
        return RunningCluster(given.cluster, given.token_file)
    return RunningCluster(Access(given.address, given.token_file, given.open))


def _stand(handle: Handle, given: argparse.Namespace) -> int:
    """Print where a job stands, having waited if asked to; its exit code when it has ended."""
    waits = getattr(given, "wait", False)

    def standing() -> tuple[int, dict[str, Any], str]:
        found = handle.wait() if waits else handle.poll()
        document = {
            "job": handle.id,
            "path": handle.path,
            "state": found.state.value,
            "exit_code": found.exit_code,
            "message": found.message,
        }
        code = "" if found.exit_code is None else f" with exit code {found.exit_code}"
        said = f"{handle.id}: {found.state.value}{code}; {found.message}".rstrip("; ")
        return code_of(found) if waits else DONE, document, said

    return conclude(standing, given.json, "the job goes on, ask for it again")


def code_of(standing: Standing) -> int:
    """The exit code of a job that was waited for: the study's own, else that of lost infrastructure."""
    if standing.exit_code is not None and 0 <= standing.exit_code <= BUDGET:
        return standing.exit_code
    return RETRY
