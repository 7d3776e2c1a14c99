"""Commands of clusters that run, or should: up, status, down."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autotune.cli.output import answer
from autotune.cli.parsing import Commands

if TYPE_CHECKING:
    from autotune.cluster.launch.lifecycle import Cluster
    from autotune.cluster.live.standing import Standing

WAIT_S: Final = 1800.0


def add(below: Commands) -> None:
    """Add the commands."""

    def named(name: str, text: str, act: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        one = below.add(name, text, act)
        one.add_argument("spec", type=Path, metavar="SPEC.yaml")
        one.add_argument(
            "--out", type=Path, metavar="DIR", help="of the rendered files (default: launch/NAME beside SPEC)"
        )
        return one

    one = named("up", "Start a cluster unless it is up, and wait until it passes the live check.", up)
    one.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="S", help="seconds until it is up (%(default)s)"
    )
    named("status", "Say which machines there are, which jobs, and the bill so far.", status)
    one = named("down", "End a cluster and everything on it.", down)
    one.add_argument("--yes", action="store_true", help="also while jobs run")


def up(given: argparse.Namespace) -> int:
    """Start a cluster."""
    stopped = "what was started goes on: `up` again waits for it, `down` ends it"
    return answer(lambda: _up(given), given.json, stopped)


def _up(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.cluster.description.places import Form, Kubernetes, Slurm

    cluster = cluster_of(given)
    fresh = cluster.up(given.wait)
    where = cluster.spec.where
    runs_its_own = isinstance(where, Slurm) or (isinstance(where, Kubernetes) and where.form is Form.JOB)
    further = f"status {given.spec}" if runs_its_own else f"submit {given.spec} STUDY.yaml"
    following = f"autotune cluster {further}"
    said = f"{cluster.spec.name} {'is up' if fresh else 'is up already'}; next: {following}"
    return {"name": cluster.spec.name, "started": fresh, "next": following}, said


def status(given: argparse.Namespace) -> int:
    """Say what a cluster holds."""
    return answer(lambda: _status(given), given.json)


def _status(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    cluster = cluster_of(given, made=True)
    seen, standing = cluster.look()
    document: dict[str, Any] = {"name": cluster.spec.name, "state": seen.state.value, "said": seen.said}
    said = f"{cluster.spec.name}: {seen.state.value}" + (f" ({seen.said})" if seen.said else "")
    if standing is None:
        return document, said
    cost, unpriced = standing.bill(cluster.spec.prices)
    document |= {**vars(standing), "bill": cost, "unpriced": unpriced}
    return document, "\n".join([said, *_lines(standing, cost, unpriced)])


def _lines(standing: Standing, cost: float, unpriced: list[str]) -> list[str]:
    def counted(name: str) -> str:
        found = vars(standing)[name]
        return f"{name}: " + (", ".join(f"{count} {kind}" for kind, count in found.items()) or "none")

    jobs = [f"job {job}: {state}" for job, state in standing.jobs.items()]
    without = f"; no price for {', '.join(unpriced)}" if unpriced else ""
    return [counted("up"), counted("booting"), counted("wanted"), *jobs, f"bill: {cost:.2f}{without}"]


def down(given: argparse.Namespace) -> int:
    """End a cluster."""
    return answer(lambda: _down(given), given.json, "some of it may be left: `down` again ends it")


def _down(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    cluster = cluster_of(given, made=True)
    ended = cluster.down(given.yes)
    said = f"{cluster.spec.name} {'has ended' if ended else 'was not up'}"
    return {"name": cluster.spec.name, "ended": ended}, said


def cluster_of(given: argparse.Namespace, made: bool = False) -> Cluster:
    """The cluster of a spec.

    Args:
        given: The spec's file, and the folder of what is rendered from it.
        made: Whether it may have been made already. Then what is wrong with the spec now, be it a token that
            is no longer there, does not keep it from being seen and ended with the files that it was made of.

    Raises:
        ConfigurationError: With every finding, unless it was made.
    """
    from autotune.cluster.description.findings import refuse
    from autotune.cluster.description.spec_yaml import read_spec
    from autotune.cluster.launch.files import folder_of, ready
    from autotune.cluster.launch.lifecycle import Cluster
    from autotune.cluster.lint.nodes import names

    spec = read_spec(given.spec).spec
    refuse(names(spec))  # by its name it is found
    folder = given.out or folder_of(spec, given.spec)
    if not (made and folder.exists()):
        spec = ready(given.spec)
    return Cluster(spec, folder, lambda text: print(f"autotune: {text}", file=sys.stderr))
