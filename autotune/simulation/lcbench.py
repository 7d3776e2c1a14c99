"""Modelled curves of LCBench, from the surrogate of YAHPO Gym.

References: Zimmer, Lindauer and Hutter, "Auto-PyTorch Tabular", TPAMI 2021 (the curves); Pfisterer et al.,
"YAHPO Gym", AutoML 2022 (the surrogate).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from autotune.errors import ConfigurationError, DataError, unknown
from autotune.events import Config
from autotune.simulation.curves import Stepped
from autotune.space import Dimension, Float, Int, SearchSpace

EPOCHS: Final = 52
REMEMBERED: Final = 4096  # curves; a trial asks for its own at every rung
TIME, ACCURACY = 0, 1  # columns of the surrogate's answer
SPACE: Final[Mapping[str, Dimension]] = {
    "batch_size": Int(16, 512, log=True),
    "learning_rate": Float(1e-4, 0.1, log=True),
    "momentum": Float(0.1, 0.99),
    "weight_decay": Float(1e-5, 0.1),
    "num_layers": Int(1, 5),
    "max_units": Int(64, 1024, log=True),
    "max_dropout": Float(0.0, 1.0),
}  # in the order of the surrogate's columns, after the epoch


@final
class LCBench(Stepped):
    """One data set: validation accuracy in per cent, and seconds, by epoch from 1 to 52.

    Args:
        folder: With `model.onnx` and `encoding.json`.
        task: Number of the OpenML task.

    Raises:
        ConfigurationError: When onnxruntime is not installed, or there is no such task.
        DataError: When the folder cannot be read.
    """

    def __init__(self, folder: Path, task: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigurationError(
                "the surrogate of LCBench needs onnxruntime; pip install onnxruntime"
            ) from error
        try:
            tasks = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1  # a batch of 52 rows
            self._model: Any = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise DataError(
                f"{folder} holds no surrogate of LCBench ({error}); it has model.onnx and encoding.json"
            ) from error
        if task not in tasks:
            raise ConfigurationError(unknown("LCBench task", task, tasks))
        self._task = np.full((EPOCHS, 1), tasks[task], dtype=np.int32)
        self._epochs = np.arange(1, EPOCHS + 1, dtype=np.float32)[:, None]
        self._remembered: OrderedDict[tuple[float, ...], npt.NDArray[np.float32]] = OrderedDict()
        self.space, self.horizon = SearchSpace(SPACE), float(EPOCHS)

    def score(self, config: Config, fidelity: float) -> float:
        """Validation accuracy in per cent after that many epochs, rounded, at least one."""
        return float(self._curve(config)[self.step(fidelity) - 1, ACCURACY])

    def seconds(self, config: Config, since: float, until: float) -> float:
        """Modelled training time, at least a thousandth of a second: the surrogate is not quite monotone."""
        times = self._curve(config)[:, TIME]
        before = float(times[self.step(since) - 1]) if since > 0 else 0.0
        return max(float(times[self.step(until) - 1]) - before, 1e-3)

    def finals(self, count: int, seed: int) -> list[float]:
        """Scores at the horizon of random configurations."""
        generator = np.random.default_rng(seed)
        return [self.score(self.space.sample(generator), self.horizon) for _ in range(count)]

    def _curve(self, config: Config) -> npt.NDArray[np.float32]:
        key = tuple(float(config[name]) for name in SPACE)
        if key not in self._remembered:
            settings = np.broadcast_to(np.array(key, dtype=np.float32), (EPOCHS, len(key)))
            rows = np.concatenate([self._epochs, settings], axis=1)
            self._remembered[key] = self._model.run(None, {"x_cat": self._task, "x_cont": rows})[0]
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return self._remembered[key]
