"""Recorded curves of TaskSet (Metz et al., 2020, https://arxiv.org/abs/2002.11887)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from autotune.errors import ConfigurationError, DataError
from autotune.events import Config
from autotune.simulation.curves import Stepped
from autotune.space import Dimension, Float, Int, SearchSpace

ROW: Final = "row"


@final
class TaskSet(Stepped):
    """One task: 1,000 configurations of Adam with decays, 50 steps each of validation loss.

    What was not recorded is taken from the nearest configuration that was, in the logarithms of the
    hyperparameters, each scaled to [0, 1].

    Args:
        path: A JSON file: a list of `{"hp": {...}, "valid": {"loss": [...]}}`; the first loss is from before
            training.
        rows: Search the recorded configurations by number, each as likely as another, instead of their
            hyperparameters; only random proposals make sense then.
        step_s: Seconds that a recorded step takes, above 0: TaskSet has no times.

    Raises:
        DataError: When the file is not that.
        ConfigurationError: When a step takes no time.
    """

    def __init__(self, path: Path, rows: bool = False, step_s: float = 1.0) -> None:
        if not step_s > 0:
            raise ConfigurationError(f"the seconds of a step must be above 0, got {step_s}")
        try:
            table = json.loads(path.read_text())
            settings = {key: np.array([row["hp"][key] for row in table]) for key in table[0]["hp"]}
            losses = np.array([row["valid"]["loss"] for row in table], dtype=np.float64)[:, 1:]
            searched = {name: values for name, values in settings.items() if values.min() < values.max()}
            logarithms = {name: np.array([math.log(one) for one in searched[name]]) for name in searched}
            scaled = [(values - values.min()) / np.ptp(values) for values in logarithms.values()]
            self._tree = KDTree(np.stack(scaled, 1))
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise DataError(
                f"{path} cannot be read as a task of TaskSet ({type(error).__name__}: {error}); give a JSON "
                'list of {"hp": {...}, "valid": {"loss": [...]}}, hyperparameters above 0 and not all alike'
            ) from error
        self._scores: npt.NDArray[np.float64] = -losses
        self.horizon, self._step_s = float(losses.shape[1]), step_s
        self._low = {name: float(values.min()) for name, values in logarithms.items()}
        self._span = {name: float(np.ptp(values)) for name, values in logarithms.items()}
        dimensions: dict[str, Dimension | Any] = {
            name: Float(float(values.min()), float(values.max()), log=True)
            for name, values in searched.items()
        }
        self.space = SearchSpace({ROW: Int(0, len(table) - 1)} if rows else dimensions)

    def score(self, config: Config, fidelity: float) -> float:
        """Minus the validation loss after that many of the recorded steps, rounded, at least one."""
        return float(self._scores[self._row(config), self.step(fidelity) - 1])

    def seconds(self, config: Config, since: float, until: float) -> float:
        """Those of whole steps, at least a thousandth of a second."""
        return max(self.cost(config, since, until) * self._step_s, 1e-3)

    def finals(self, count: int, seed: int) -> list[float]:
        """Scores at the horizon of all recorded configurations, however many are asked for."""
        return [float(score) for score in self._scores[:, -1]]

    def _row(self, config: Config) -> int:
        if ROW in config:
            return int(config[ROW])
        place = [(math.log(config[name]) - low) / self._span[name] for name, low in self._low.items()]
        return int(self._tree.query(place)[1])
