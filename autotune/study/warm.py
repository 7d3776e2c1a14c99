"""Beginning where earlier studies ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autotune.data import Dataset
from autotune.errors import ConfigurationError, SpaceError
from autotune.evaluation.weighing import leaders
from autotune.events import SEARCH, Config
from autotune.objectives import Aims
from autotune.space import SearchSpace
from autotune.space.dimensions import Dimension
from autotune.space.values import Scalar
from autotune.study.result import Result


def warm_points(
    studies: Iterable[str | Path], space: SearchSpace, most: int = 5, data: Dataset | None = None
) -> tuple[Config, ...]:
    """Starting points from earlier studies, for `StartingPoints(FairStart(), points)`.

    Of each study the winner, then the leaders of its search; one study after the other by turns, those on the
    same data first, then those on data of the most similar size. The spaces need not be the same: where an
    earlier configuration has no value for a parameter, or one outside its range, the middle is taken. Studies
    that have nothing to do with this one cost `most` trials at the first rung, and no more.

    Args:
        studies: Their folders, finished or not.
        space: Where points must lie.
        most: How many, at least 1.
        data: The new study's; None takes the studies in the order given.

    Raises:
        ConfigurationError: When `most` is below 1.
        FolderError, LogError: When there is no study in a folder, or its log is damaged.
    """
    if most < 1:
        raise ConfigurationError(f"most must be at least 1 starting point, got {most}")
    results = [Result.load(path) for path in studies]
    if data is not None:
        results.sort(key=lambda one: similarity(one.history.study, data), reverse=True)
    leaders = [_leaders(one) for one in results]
    points: list[Config] = []
    for place in range(max(map(len, leaders), default=0)):
        for configs in leaders:
            point = adapted(configs[place], space) if place < len(configs) else None
            if point is not None and point not in points:
                points.append(point)
    return tuple(points[:most])


def similarity(study: Mapping[str, Any], data: Dataset) -> float:
    """How alike an earlier study's data is, in [0, 1]: 1 for the same, else the mean ratio of sizes, below 1.

    Args:
        study: What its log begins with.
        data: The other.
    """
    if study.get("data") == data.fingerprint:
        return 1.0
    theirs: Mapping[str, int] = study.get("sizes", {})
    ours = data.sizes
    ratios = [_ratio(theirs.get(name, 0), ours.get(name, 0)) for name in {*theirs, *ours}]
    return sum(sorted(ratios)) / (len(ratios) + 1)


def adapted(config: Config, space: SearchSpace) -> dict[str, Any]:
    """A configuration in another space: its values where they fit, else the middle."""

    def choose(name: str, dim: Dimension) -> Scalar:
        try:
            return dim.accept(config[name])
        except (KeyError, SpaceError):
            return dim.middle()

    return space.chosen(choose)


def _leaders(result: Result) -> list[Config]:
    ranked = leaders(result.history.of_phase(SEARCH), Aims.of(result.history.study))
    winner = [] if result.best_config is None else [result.best_config]
    return [*winner, *(trial.config for trial in ranked)]


def _ratio(one: int, other: int) -> float:
    return min(one, other) / max(one, other) if one and other else 0.0
