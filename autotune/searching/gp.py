"""Gaussian processes over one rung at a time, on Optuna's sampler."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from autotune.searching.modelled import Modelled

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@final
@dataclass(frozen=True)
class GP(Modelled):
    """Propose where a Gaussian process expects the greatest improvement (Snoek et al., 2012).

    For few, expensive trials of mostly real parameters; a proposal takes a quarter of a second, TPE's some
    milliseconds. Failures are left out of the model; Optuna's would expect of them what it expects of trials
    that run, and propose elsewhere what it thinks they will find.
    """

    copes_with_failures: ClassVar[bool] = False

    history: int = 100

    def sampler(self, seed: int) -> BaseSampler:
        """Its kernel's parameters are fitted anew for each proposal."""
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import GPSampler  # importing Optuna takes a second

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return GPSampler(n_startup_trials=1, seed=seed)
