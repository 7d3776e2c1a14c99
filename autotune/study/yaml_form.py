"""A study as a YAML file: task, space, plan; every error names its line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autotune.engines.base import Engine
from autotune.engines.inprocess import InProcess
from autotune.errors import ConfigurationError, FolderError, unknown
from autotune.importing import import_module
from autotune.log import has_begun, no_study
from autotune.space import SearchSpace
from autotune.storage.location import Location, Remote, locate
from autotune.storage.opening import read_text
from autotune.study.arguments import ENGINES, check_prices
from autotune.study.plan import Plan
from autotune.study.study import Study
from autotune.study.yaml_plan import read_plan
from autotune.study.yaml_task import make_task
from autotune.training.rules import TrialRules
from autotune.yaml_nodes import Node

COPY: Final = "study.yaml"
LAUNCH: Final = "launch.json"  # beside the copy: what importing its task needs, and the engine
KEYS: Final = ("task", "task_arguments", "plugins", "space", "plan", "engine", "rules", "prices")
OPTIONS: Final = {
    "inprocess": ("lanes", "watchdog_s"),
    "ray": ("workers", "resources_per_trial", "address", "lookahead", "watchdog_s", "crashes", "lanes"),
}


@dataclass(frozen=True)
class StudyFile:
    """What a YAML file says.

    Attributes:
        task: `package.module:function`, and where it stands.
        arguments: What the function is called with, by name.
        engine: Who runs the trials.
        options: What Ray's engine is built with.
        prices: Price per hour by type of machine; None where the file says nothing.
        text: All of it.
    """

    task: Node
    space: SearchSpace
    plan: Plan
    arguments: Mapping[str, Node] = field(default_factory=dict)
    engine: str = "inprocess"
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: TrialRules | None = None
    prices: Mapping[str, float] | None = None
    text: str = ""


def read_study(source: str | Path, importable: Sequence[Path] = (), text: str | None = None) -> StudyFile:
    """Read a file, without importing its task; its plug-ins are imported.

    Args:
        source: The file.
        importable: Folders to import plug-ins from, before the file's own and the current one.
        text: What it says, where `source` is only the name of a copy elsewhere.

    Raises:
        ConfigurationError: With file, line and column of what cannot be used.
        SpaceError: The same, for the space.
    """
    own = [] if text is not None else [Path(source).resolve().parent]
    text = _text(Path(source)) if text is None else text
    top = Node.read(text, str(source), "task, space and plan")
    parts = top.items(KEYS)
    for name in ("task", "space", "plan"):
        if name not in parts:
            raise top.error(f"{name} is missing; a study needs task, space and plan")
    folders = [*importable, *own, Path.cwd()]
    for module in parts["plugins"].elements() if "plugins" in parts else ():
        name = module.typed(str)
        with module.here():
            import_module(name, folders)  # registers selectors that the space may name
    space = SearchSpace.from_yaml(text, str(source), section="space")
    plan = read_plan(parts["plan"], space)
    engine, options = _engine_named(parts["engine"]) if "engine" in parts else ("inprocess", {})
    horizon = {"horizon": plan.scheduler.rungs[-1]}
    if "rules" in parts and (given := parts["rules"].items().get("horizon")) is not None:
        raise given.error("the horizon is the scheduler's; remove it here, and set it there")
    return StudyFile(
        task=parts["task"],
        space=space,
        plan=plan,
        arguments=parts["task_arguments"].items() if "task_arguments" in parts else {},
        engine=engine,
        options=options,
        rules=parts["rules"].build(TrialRules, horizon) if "rules" in parts else None,
        prices=_prices(parts["prices"]) if "prices" in parts else None,
        text=text,
    )


@dataclass(frozen=True)
class Launch:
    """What a command says of how a study is run.

    Attributes:
        engine: Replaces the file's.
        address: Of the Ray cluster to join, or `local` for one of its own; replaces the file's.
        lanes: Trials that a worker trains side by side, or `auto`; replaces the file's.
        trial: What a trial occupies, in Ray's names, where the file does not say.
        prices: Per hour, by type of machine, where the file has none.
    """

    engine: str | None = None
    address: str | None = None
    lanes: int | str | None = None
    trial: Mapping[str, float] | None = None
    prices: Mapping[str, float] | None = None

    def over(self, earlier: Mapping[str, Any]) -> Launch:
        """The same, with what an earlier command said where this one says nothing.

        What is of a Ray cluster is left out where the study goes on without one.
        """
        left_out = ("address", "trial") if self.engine == "inprocess" else ()
        kept = {name: value for name, value in earlier.items() if name not in left_out}
        return Launch(**{name: value or kept.get(name) for name, value in vars(self).items()})


AS_IT_SAYS: Final = Launch()


def load_study(
    source: str | Path, path: str | Path | Remote | None = None, launch: Launch = AS_IT_SAYS
) -> Study:
    """The study of a file; once it has begun, a copy in its folder lets it be resumed from there.

    Args:
        source: The file.
        path: The study's folder; `runs/NAME` for `NAME.yaml` when None.
        launch: How it is run.

    Raises:
        ConfigurationError: With file, line and column of what cannot be used.
    """
    origin = Path(source).resolve()
    found = read_study(source)
    folder = locate(path) if path is not None else Path("runs") / origin.stem
    importable = list(dict.fromkeys([origin.parent, Path.cwd()]))
    prices = check_prices(launch.prices) if found.prices is None else found.prices
    study = _study(found, folder, _engine(found, launch), importable, prices)
    launched = {"folders": [str(one) for one in importable], **vars(launch)}
    study.enclose({LAUNCH: json.dumps(launched, indent=2) + "\n", COPY: found.text})
    return study


def resume(path: str | Path | Remote, launch: Launch = AS_IT_SAYS) -> Study:
    """The study that was started from YAML in this folder.

    Raises:
        FolderError: When no study was started from YAML there.
        ConfigurationError: When its task can no longer be imported.
    """
    folder = locate(path)
    if not has_begun(folder / "log"):
        raise no_study(folder)
    if (text := read_text(folder / COPY)) is None:
        raise FolderError(f"{folder} was started from Python: run its script again, and it continues")
    try:
        earlier = json.loads(read_text(folder / LAUNCH) or "")
    except (OSError, ValueError):
        earlier = {}
    folders = [Path(one) for one in earlier.get("folders", ())]
    copy = folder / COPY
    found = read_study(copy, folders) if isinstance(copy, Path) else read_study(str(copy), folders, text)
    prices = check_prices(launch.prices) if found.prices is None else None
    return _study(found, folder, _engine(found, launch.over(earlier)), [*folders, Path.cwd()], prices)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"cannot read {path}: {reason}; give the path of a study's YAML file"
        ) from error


def _study(
    found: StudyFile,
    folder: Location,
    engine: str | Engine,
    importable: list[Path],
    prices: Mapping[str, float] | None = None,  # the log of a study that has begun knows them
) -> Study:
    objective = make_task(found.task, found.arguments, importable)
    return Study(objective, found.space, folder, found.plan, engine, found.rules, prices=prices)


def _engine_named(node: Node) -> tuple[str, dict[str, Any]]:
    """`name`, or `{name: {its options}}`."""
    if not node.is_mapping:
        name = node.typed(str)
        if name not in ENGINES:
            raise node.error(unknown("engine", name, ENGINES))
        return name, {}
    chosen = node.items(OPTIONS)
    if len(chosen) != 1:
        raise node.error("expected an engine's name, or `{ray: {workers: 4}}`")
    ((name, below),) = chosen.items()
    return name, {option: one.value() for option, one in below.items(OPTIONS[name]).items()}


def _engine(found: StudyFile, launch: Launch) -> str | Engine:
    """The engine that a command names, else the file's; the file's options are for the engine it names."""
    name = launch.engine or found.engine
    options = dict(found.options) if name == found.engine else {}
    for option, value in (("address", launch.address), ("trial", launch.trial)):
        if value is not None and name != "ray":
            raise ConfigurationError(
                f"--{option} needs the Ray engine, but the engine is {name}; add --engine ray"
            )
    if launch.address is not None:
        options["address"] = launch.address
    if launch.trial is not None:
        options.setdefault("resources_per_trial", dict(launch.trial))
    if launch.lanes is not None:
        options["lanes"] = launch.lanes
    if not options:
        return name
    if name == "inprocess":
        return InProcess(**options)
    from autotune.cluster.engine import RayEngine  # Ray is slow to import, and not always wanted

    built: Engine = RayEngine(**options)
    return built


def _prices(node: Node) -> dict[str, float]:
    prices: dict[str, float] = {}
    for name, one in node.items().items():
        with one.here():
            prices |= check_prices({name: one.value()}) or {}
    return prices
