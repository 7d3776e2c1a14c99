"""A study as a YAML file: task, space, plan; every error names its line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from autotune.engines.base import Engine
from autotune.engines.inprocess import InProcess
from autotune.errors import ConfigurationError, FolderError, unknown
from autotune.importing import import_module
from autotune.log import has_begun, no_study
from autotune.objectives import Constraint, Objective
from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.asha import ASHA
from autotune.scheduling.extrapolating import Extrapolating
from autotune.scheduling.full import FullTraining
from autotune.scheduling.hyperband import Hyperband
from autotune.searching.base import Searcher
from autotune.searching.cmaes import CMAES
from autotune.searching.cost import CostAware
from autotune.searching.fair import FairStart
from autotune.searching.gp import GP
from autotune.searching.grid import GridSearch
from autotune.searching.prior import Belief, Prior
from autotune.searching.random import RandomSearch
from autotune.searching.sobol import Sobol
from autotune.searching.starting import StartingPoints
from autotune.searching.tpe import TPE
from autotune.space import SearchSpace
from autotune.storage.location import Location, Remote, locate
from autotune.storage.opening import read_text
from autotune.study.arguments import ENGINES, check_prices
from autotune.study.plan import Budget, Confirm, Plan
from autotune.study.study import Study
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
PLAN: Final = (
    "budget", "scheduler", "extrapolate", "searcher", "beliefs", "fair_start", "starting_points", "confirm",
    "seed", "ordered_workers", "objectives", "constraints", "cost_aware",
)  # fmt: skip
SCHEDULERS: Final[dict[str, type[Any]]] = {
    "asha": ASHA, "adaptive_asha": AdaptiveASHA, "full": FullTraining, "hyperband": Hyperband,
}  # fmt: skip
SEARCHERS: Final[dict[str, type[Any]]] = {
    "tpe": TPE,
    "gp": GP,
    "cmaes": CMAES,
    "random": RandomSearch,
    "sobol": Sobol,
    "grid": GridSearch,
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
    plan = _plan(parts["plan"], space)
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


def load_study(
    source: str | Path,
    path: str | Path | Remote | None = None,
    engine: str | None = None,
    address: str | None = None,
    lanes: int | str | None = None,
) -> Study:
    """The study of a file; once it has begun, a copy in its folder lets it be resumed from there.

    Args:
        source: The file.
        path: The study's folder; `runs/NAME` for `NAME.yaml` when None.
        engine: Replaces the file's.
        address: Of the Ray cluster to join; replaces the file's.
        lanes: Trials that a worker trains side by side, or `auto`; replaces the file's.

    Raises:
        ConfigurationError: With file, line and column of what cannot be used.
    """
    origin = Path(source).resolve()
    found = read_study(source)
    folder = locate(path) if path is not None else Path("runs") / origin.stem
    importable = list(dict.fromkeys([origin.parent, Path.cwd()]))
    given: dict[str, Any] = {"engine": engine, "address": address, "lanes": lanes}
    study = _study(found, folder, _engine(found, **given), importable, found.prices)
    launch = {"folders": [str(one) for one in importable], **given}
    study.enclose({LAUNCH: json.dumps(launch, indent=2) + "\n", COPY: found.text})
    return study


def resume(
    path: str | Path | Remote,
    engine: str | None = None,
    address: str | None = None,
    lanes: int | str | None = None,
) -> Study:
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
        launch = json.loads(read_text(folder / LAUNCH) or "")
    except (OSError, ValueError):
        launch = {}
    folders = [Path(one) for one in launch.get("folders", ())]
    copy = folder / COPY
    found = read_study(copy, folders) if isinstance(copy, Path) else read_study(str(copy), folders, text)
    given: dict[str, Any] = {"engine": engine, "address": address, "lanes": lanes}
    given = {name: value or launch.get(name) for name, value in given.items()}
    return _study(found, folder, _engine(found, **given), [*folders, Path.cwd()])


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


def _engine(
    found: StudyFile, engine: str | None, address: str | None, lanes: int | str | None
) -> str | Engine:
    """The engine that a command names, else the file's; the file's options are for the engine it names."""
    name = engine or found.engine
    options = dict(found.options) if name == found.engine else {}
    if address is not None:
        if name != "ray":
            raise ConfigurationError(
                f"address is of a Ray cluster, and the engine is {name}; add --engine ray"
            )
        options["address"] = address
    if lanes is not None:
        options["lanes"] = lanes
    if not options:
        return name
    if name == "inprocess":
        return InProcess(**options)
    from autotune.cluster.engine import RayEngine  # Ray is slow to import, and not always wanted

    built: Engine = RayEngine(**options)
    return built


def _plan(node: Node, space: SearchSpace) -> Plan:
    parts = node.items(PLAN)
    if "budget" not in parts:
        limits = ", ".join(one.name for one in dataclasses.fields(Budget))
        raise node.error(f"budget is missing; set at least one of {limits}")
    given: dict[str, Any] = {"budget": parts["budget"].build(Budget), "searcher": _searcher(parts, space)}
    if "scheduler" in parts:
        given["scheduler"] = _plug_in(parts["scheduler"], "scheduler", SCHEDULERS)
    if "confirm" in parts:
        given["confirm"] = parts["confirm"].build(Confirm)
    for name in ("seed", "ordered_workers"):
        if name in parts and parts[name].value() is not None:
            given[name] = parts[name].typed(int)
    if "objectives" in parts:
        given["objectives"] = tuple(_objective(*one) for one in parts["objectives"].items().items())
    if "constraints" in parts:
        given["constraints"] = tuple(_constraint(*one) for one in parts["constraints"].items().items())
    with node.here():
        plan = Plan(**given)
    if "extrapolate" in parts and parts["extrapolate"].typed(bool):
        return replace(plan, scheduler=Extrapolating(plan.scheduler))
    return plan


def _objective(metric: str, node: Node) -> Objective:
    """`metric: min` or `metric: max`."""
    with node.here():
        return Objective(metric, node.typed(str))


def _constraint(metric: str, node: Node) -> Constraint:
    """`metric: {at_most: ...}` or `metric: {at_least: ...}`."""
    return node.build(Constraint, {"metric": metric})


def _searcher(parts: Mapping[str, Node], space: SearchSpace) -> Searcher[Any]:
    searcher: Searcher[Any] = TPE()
    if "searcher" in parts:
        searcher = _plug_in(parts["searcher"], "searcher", SEARCHERS)
        with parts["searcher"].here():
            searcher.initial(space)
    if "cost_aware" in parts:
        with parts["cost_aware"].here():
            searcher = CostAware(searcher) if parts["cost_aware"].typed(bool) else searcher
    if "beliefs" in parts:
        with parts["beliefs"].here():
            beliefs = {name: _belief(one) for name, one in parts["beliefs"].items().items()}
            searcher = Prior(beliefs, searcher)
            searcher.initial(space)
    if "fair_start" in parts:
        rounds = parts["fair_start"].typed(int)
        with parts["fair_start"].here():
            searcher = FairStart(searcher, rounds) if rounds else searcher
    elif not searcher.counts:  # a grid tries everything anyway
        searcher = FairStart(searcher)
    if "starting_points" in parts:
        points = []
        for one in parts["starting_points"].elements():
            points.append({name: value.value() for name, value in one.items().items()})
            with one.here():
                space.validate(points[-1])
        searcher = StartingPoints(searcher, tuple(points))
    return searcher


def _belief(node: Node) -> Belief:
    """`value`, or `{value: ..., spread: ...}`."""
    return node.build(Belief) if node.is_mapping else Belief(node.value())


def _plug_in(node: Node, kind: str, known: Mapping[str, type[Any]]) -> Any:
    """`name`, or `{name: {its parameters}}`."""
    if not node.is_mapping:
        name = node.typed(str)
        if name not in known:
            raise node.error(unknown(kind, name, known))
        try:
            return known[name]()
        except TypeError:  # it has a field without a default
            raise node.error(f"{name} needs its parameters; write `{name}: {{horizon: 3.0}}`") from None
    chosen = node.items(known)
    if len(chosen) != 1:
        raise node.error(
            f"expected exactly one of {', '.join(sorted(known))}; got {', '.join(chosen) or 'none'}"
        )
    ((name, below),) = chosen.items()
    return below.build(known[name])


def _prices(node: Node) -> dict[str, float]:
    prices: dict[str, float] = {}
    for name, one in node.items().items():
        with one.here():
            prices |= check_prices({name: one.value()}) or {}
    return prices
