"""Commands of studies that run as jobs of a cluster: submit them, and look after them from anywhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from autotune.cli import launches
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
    from autotune.cluster import jobs
    from autotune.study.yaml_form import read_study

    found = read_study(given.study)  # what cannot work is found here, where nothing is paid for
    path, defaults = given.path or _path(given), {}
    if given.cluster is not None:
        from autotune.cluster.findings import refuse
        from autotune.cluster.validate.offline import budget

        spec = launches.ready(given.cluster)
        refuse(budget(spec, vars(found.plan.budget)))
        defaults = {"trial": spec.nodes.trial.resources, "prices": spec.prices}
    with _jobs(given) as reached:
        return _stand(jobs.submit(given.study, path, reached, **defaults), given)


def job(given: argparse.Namespace) -> int:
    """Say where a job stands."""
    with _found(given) as handle:
        return _stand(handle, given)


def logs(given: argparse.Namespace) -> int:
    """Print a job's output."""
    with _found(given) as handle:
        text = handle.logs()
    return answer(lambda: ({"job": handle.id, "logs": text}, text.rstrip("\n")), given.json)


def stop(given: argparse.Namespace) -> int:
    """Stop a job."""
    with _found(given) as handle:
        handle.cancel()
        return _stand(handle, given)


def _path(given: argparse.Namespace) -> str:
    """A study's folder by its name, where a spec says which storage there is."""
    from autotune.errors import ConfigurationError

    if given.cluster is None:
        raise ConfigurationError(
            "--path is missing; name the study's folder, on storage that all nodes reach"
        )
    return f"{launches.ready(given.cluster).storage.path.rstrip('/')}/{given.study.stem}"


@contextmanager
def _jobs(given: argparse.Namespace) -> Iterator[Jobs]:
    """A cluster's jobs, reached for as long as the context lasts."""
    from autotune.cluster import jobs
    from autotune.cluster.access import Access
    from autotune.cluster.launch.lifecycle import launcher_of

    if given.cluster is None:
        yield jobs.connect(Access(given.address, given.token_file, given.open))
        return
    spec = launches.ready(given.cluster)
    name = spec.authentication.token_file
    token = given.token_file or (Path(name) if name is not None else None)
    with launcher_of(spec, launches.folder_of(spec, given.cluster)).door() as address:
        yield jobs.connect(Access(address, token))


@contextmanager
def _found(given: argparse.Namespace) -> Iterator[Handle]:
    from autotune.cluster import jobs

    with _jobs(given) as reached:
        yield jobs.find(given.job, reached)


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
