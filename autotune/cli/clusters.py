"""Commands of clusters that are still on paper: describe one, check the description, render it."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotune.cli import jobs, launches
from autotune.cli.output import answer, print_json
from autotune.cli.parsing import Commands
from autotune.cluster.description.presets import PRESETS
from autotune.errors import CONFIGURATION, DONE

if TYPE_CHECKING:
    from autotune.cluster.description.findings import Finding
    from autotune.cluster.description.spec import ClusterSpec
    from autotune.cluster.description.spec_yaml import SpecFile


def add(commands: Commands) -> None:
    """Add the commands."""
    below = commands.group("cluster", "Describe a cluster, check and render it; start, use and end it.")
    one = below.add("init", "Write a spec to start from, with comments.", init)
    one.add_argument("--on", required=True, choices=tuple(PRESETS), help="who provides the machines")
    one.add_argument(
        "--spot", action="store_true", help="spot machines first, on demand where there are none"
    )
    one.add_argument("--name", default="autotune", help="of the cluster (default: autotune)")
    one.add_argument(
        "--out", type=Path, default=Path("cluster.yaml"), metavar="FILE", help="(default: cluster.yaml)"
    )
    one = below.add("render", "Write the files that the launcher of a spec reads.", render)
    one.add_argument("spec", type=Path, metavar="SPEC.yaml")
    one.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="(default: the current folder)")
    one.add_argument("--overwrite", action="store_true", help="replace files that are there")
    text = "Say what is wrong with a spec, and with the live cluster that was made of it."
    one = below.add("check", text, check)
    one.add_argument("spec", type=Path, metavar="SPEC.yaml")
    one.add_argument("--offline", action="store_true", help="the spec alone, without a cluster")
    one.add_argument(
        "--address",
        default="auto",
        metavar="A",
        help="of the cluster, seen from its head (%(default)s)",
    )
    one.add_argument(
        "--crds", type=Path, metavar="DIR", help="KubeRay's rayclusters.yaml and rayjobs.yaml, to check with"
    )
    one.add_argument("--study", type=Path, metavar="STUDY.yaml", help="whether its budget holds one trial")
    one.add_argument("--prices", type=Path, metavar="FILE", help="per hour, by group or instance type[/spot]")
    launches.add(below)
    jobs.add_below(below)


def init(given: argparse.Namespace) -> int:
    """Write a preset."""
    return answer(lambda: _written(given), given.json)


def _written(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.cluster.description.findings import refuse
    from autotune.cluster.description.presets import preset
    from autotune.cluster.description.spec_yaml import parse_spec
    from autotune.cluster.lint.rules import lint
    from autotune.errors import ConfigurationError

    text = preset(given.on, given.spot, given.name)
    found = lint(parse_spec(text, str(given.out)).spec)
    refuse(found)  # a name that cannot be one
    try:
        with given.out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigurationError(f"--out: {given.out} is there already; give another name") from error
    blanks = sum(one.waits for one in found)
    said = (
        f"{given.out}: fill in {blanks} values in <...>, then: autotune cluster check --offline {given.out}"
    )
    return {"spec": str(given.out), "to_fill_in": [one.path for one in found if one.waits]}, said


def render(given: argparse.Namespace) -> int:
    """Write the launcher's files."""
    return answer(lambda: _rendered(given), given.json)


def _rendered(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.cluster.description.findings import refuse
    from autotune.cluster.description.spec_yaml import read_spec
    from autotune.cluster.render.files import render as files
    from autotune.errors import ConfigurationError

    read = read_spec(given.spec)
    found = _findings(read)
    refuse(found)
    texts = {given.out / name: text for name, text in files(read.spec).items()}
    taken = [path for path in texts if path.exists() and not given.overwrite]
    if taken:
        raise ConfigurationError(f"{taken[0]} is there already; give another --out, or --overwrite")
    given.out.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    waiting = [str(one) for one in found]
    said = "\n".join([*map(str, texts), *(f"before it starts: {text}" for text in waiting)])
    return {"files": [str(path) for path in texts], "before_start": waiting}, said


def check(given: argparse.Namespace) -> int:
    """Say everything that is wrong."""
    from autotune.cluster.description.prices import priced, read_prices
    from autotune.cluster.description.spec_yaml import read_spec
    from autotune.cluster.validate.offline import checks

    read = read_spec(given.spec)
    if given.prices is not None:
        read = dataclasses.replace(read, spec=priced(read.spec, read_prices(given.prices)))
    found = _findings(read, given.crds, given.study)
    wrong = [one for one in found if not one.waits]
    looked_at = checks(read.spec, given.crds)
    lacks: list[str] = []
    if not given.offline and not wrong:
        lacks = _live(read.spec, given.address)
        looked_at = [*looked_at, "every node of the live cluster"]
    if given.json:
        states = {"valid": not wrong, "ready": not found and not lacks, "checked": looked_at, "live": lacks}
        print_json({**states, "findings": [one.to_json() for one in found], "prices": read.spec.prices})
    else:
        for one in found:
            print(f"{'before it starts: ' if one.waits else ''}{one}")
        for text in lacks:
            print(text)
        state = "cannot work" if wrong or lacks else "valid, not ready to start" if found else "valid"
        print(f"{given.spec}: {state}; checked: {', '.join(looked_at)}")
    return CONFIGURATION if wrong or lacks else DONE


def _live(spec: ClusterSpec, address: str) -> list[str]:
    from autotune.cluster.description.places import Slurm
    from autotune.cluster.live.preflight import check as check_nodes
    from autotune.storage.location import locate

    name, resources = spec.authentication.token_file, spec.nodes.trial.resources
    grows = any(group.count.min < group.count.max for group in spec.nodes.groups)
    token = Path(name).expanduser() if name is not None else None
    own = token if token is not None and token.exists() else None  # else where Ray looks for it
    machines = spec.nodes.groups[0].count.max if isinstance(spec.where, Slurm) else 0
    return check_nodes(address, resources, locate(spec.storage.path), own, grows, machines)


def _findings(read: SpecFile, crds: Path | None = None, study: Path | None = None) -> list[Finding]:
    """What is wrong with a spec, with its places in the file; with a study, also with its budget."""
    from autotune.cluster.description.findings import placed
    from autotune.cluster.validate.offline import budget, token_file, validate

    found = [*validate(read.spec, crds), *token_file(read.spec)]
    if study is not None:
        from autotune.study.yaml_form import read_study

        found += budget(read.spec, vars(read_study(study).plan.budget))
    return placed(found, read.place)
