"""The unit in which a study is billed: one pass of its reference configuration over the training split."""

from __future__ import annotations

from autotune.errors import AutotuneError, ConfigurationError, TrialError
from autotune.events import Config
from autotune.training.failures import message_of
from autotune.training.probe import probe
from autotune.training.room import Room


def reference_flops(room: Room, config: Config) -> float:
    """FLOPs of forward and backward passes over the training split with a configuration's model.

    Raises:
        ConfigurationError: When the configuration gives no model.
    """
    try:
        return probe(room, config).cost.epoch
    except TrialError as error:
        raise ConfigurationError(str(error)) from error
    except AutotuneError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"the reference configuration {dict(config)} gives no model: {message_of(error)}; fix the model "
            "factory, or change the middle of the ranges and the first options, which make the reference"
        ) from error
