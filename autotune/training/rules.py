"""What holds for every trial of a study alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from autotune.errors import ConfigurationError
from autotune.training.projection import WIDTH

EMA: Final = "ema"
BRANCH: Final = "branch"
BFLOAT16: Final = "bfloat16"


@dataclass(frozen=True)
class TrialRules:
    """How trials are trained, compared and saved.

    Attributes:
        horizon: Fidelity of the last rung, in the trial's own epoch-equivalents; schedules end there.
        compare: What is evaluated at a rung: `ema`, an average of the weights over the last steps, or
            `branch`, a copy whose learning rate was taken to 0 over the last part of the rung's compute.
        checkpoint_share: A checkpoint at least after every such share of the horizon, in (0, 1].
        checkpoint_s: A checkpoint at least after so many seconds.
        device: `auto`, or a torch device such as `cpu` or `cuda:0`.
        eval_batch: Batch size of passes without gradients.
        eval_share: Of a trial's compute by then that its evaluation may take, above 0: at low rungs fewer
            validation samples judge, the same ones for all trials. At the last rung, and wherever they cost
            less than that, all do.
        eval_least: Validation samples that judge at the least.
        gradient_width: Numbers to which each sample's gradient is projected, where a selector reads it.
        gradient_layers: Dotted names of the modules whose weights that gradient is by; empty takes all
            linear, convolution and embedding layers that are trained.
        signal_precision: `bfloat16` lets the forward passes that collect signals run in it, where torch deems
            an operator safe; losses, their gradients by outputs and probabilities are taken in float32, and
            so are projected gradients throughout. None is float32: picks are the same on every device.
    """

    horizon: float = 1.0
    compare: str = EMA
    checkpoint_share: float = 0.05
    checkpoint_s: float = 60.0
    device: str = "auto"
    eval_batch: int = 1024
    eval_share: float = 0.1
    eval_least: int = 500
    gradient_width: int = WIDTH
    gradient_layers: tuple[str, ...] = ()
    signal_precision: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.horizon) and self.horizon > 0):
            raise ConfigurationError(f"horizon must be a finite number of epochs above 0, got {self.horizon}")
        if self.compare not in (EMA, BRANCH):
            raise ConfigurationError(f"compare must be {EMA!r} or {BRANCH!r}, got {self.compare!r}")
        if not 0.0 < self.checkpoint_share <= 1.0:
            raise ConfigurationError(f"checkpoint_share must be in (0, 1], got {self.checkpoint_share}")
        if not self.checkpoint_s > 0:
            raise ConfigurationError(f"checkpoint_s must be above 0, got {self.checkpoint_s}")
        if not self.eval_share > 0:
            raise ConfigurationError(f"eval_share must be above 0 (inf: always all), got {self.eval_share}")
        if self.signal_precision not in (None, BFLOAT16):
            raise ConfigurationError(
                f"signal_precision must be {BFLOAT16!r}, or left out for float32, "
                f"got {self.signal_precision!r}"
            )
        layers: object = self.gradient_layers
        if isinstance(layers, str):
            raise ConfigurationError(f"gradient_layers must be a tuple of names, got the text {layers!r}")
        for name in ("eval_batch", "eval_least", "gradient_width"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
