"""Whose steps can be made together: tried with every trial, and measured."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from autotune.events import Config
from autotune.policy import settings_of
from autotune.training.randomness import GlobalGenerators
from autotune.training.settings import TRAINING_NAMES
from autotune.training.step import Step
from autotune.training.vectorised.race import Race
from autotune.training.vectorised.stack import Shape, Stack, flat
from autotune.training.vectorised.update import rule_of

LOSS_TOLERANCE: Final = 1e-4  # of the largest: float32 in another order of sums, and nothing else
GRADIENT_TOLERANCE: Final = 1e-3

HOOKS: Final = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

logger = logging.getLogger(__name__)


class Kind:
    """Trials that may be stacked, and whether their steps are faster alone or together.

    Args:
        device: Where they are.

    Attributes:
        shape: Of their models; None before the first of them, and once computing many at once has failed.
        told: Why steps of theirs were made alone.
    """

    def __init__(self, device: torch.device) -> None:
        self.shape: Shape | None = None
        self._given_up = False
        self._device = device
        self._races: dict[int, Race] = {}  # by the magnitude of the number of rows
        self.told: set[str] = set()

    def give_up(self, reason: str) -> None:
        """Never make steps of this kind together again."""
        self._given_up, self.shape = True, None
        self._tell(reason)

    def rehearse(self, step: Step) -> tuple[Tensor, bool]:
        """Make a trial's first step alone; its losses, and whether computing it as a row gives the same.

        A sample of weight 0 is added to the row: it changes something where samples look at each other.
        """
        if self._given_up:
            return step.make(), False
        if reason := unfit(step):
            self._tell(reason)
            return step.make(), False
        generators = GlobalGenerators(self._device)
        numbers = generators.capture()[0]
        try:
            self.shape = self.shape or Shape(step.task, step.model, step.smoothing)
            (as_row,), (gradients,) = self.shape.gradients(flat(step.model).unsqueeze(0), [step], padding=1)
        except Exception as error:  # whatever the user's code or vmap raises: alone it may work
            self.give_up(brief(error))
            generators.restore(numbers, {})
            return step.make(), False
        generators.restore(numbers, {})
        held = holdings(step.model)
        losses = step.make()
        after = generators.capture()[0]
        if any(not torch.equal(numbers[name], after[name]) for name in numbers):
            reason = "the model draws random numbers"
        elif changed(step.model, held):
            reason = "the model remembers something of a pass"
        else:
            reason = differing(step, losses, as_row, gradients)
        self._tell(reason)
        return losses, not reason

    def race(self, rows: int) -> Race | None:
        """How so many steps are made faster; None where they cannot be made together."""
        if self.shape is None or rows < 2:
            return None
        return self._races.setdefault(rows.bit_length(), Race(self._device))

    def stack(self, steps: Sequence[Step]) -> Stack:
        """The trials of these steps as rows."""
        if self.shape is None:
            raise RuntimeError("a kind that was given up has no stack")
        return Stack(self.shape, steps)

    def _tell(self, reason: str) -> None:
        """Say why steps are made alone, once."""
        if reason and reason not in self.told:
            self.told.add(reason)
            logger.info("steps are made alone: %s", reason)


def brief(error: Exception) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}"


def kind_of(step: Step, config: Config) -> Hashable:
    """What two trials have in common that may be stacked.

    What a model is made of is read from the configuration: beside the training settings and the policy,
    those of both are equal. Batches may differ by as much as 1 : 2 in size.
    """
    rest = {k: v for k, v in settings_of(config).items() if k not in TRAINING_NAMES}
    weights = tuple((name, p.shape, p.dtype) for name, p in step.model.named_parameters())
    size = (len(step.batch) - 1).bit_length()
    return type(step.model), json.dumps(rest, sort_keys=True, default=repr), weights, step.smoothing, size


def unfit(step: Step) -> str:
    """Why a model or its optimizer cannot be stacked, as far as one can see; empty where it can."""
    modules, parameters = list(step.model.modules()), list(step.model.parameters())
    if rule_of(step.optimizer) is None:
        return f"there is no rule for {type(step.optimizer).__name__} with these settings"
    if next(step.model.buffers(), None) is not None:
        return "the model has buffers, such as the statistics of batch normalisation"
    if not parameters or not all(p.requires_grad for p in parameters):
        return "the model has parameters that are not trained"
    if any(p.dtype not in (torch.float32, torch.float64) for p in parameters):
        return "the model has weights that are neither float32 nor float64"  # which cannot count steps either
    if len({(p.dtype, p.device) for p in parameters}) > 1:
        return "the model has parameters of several types or devices"
    if any(getattr(m, h) for m in modules for h in HOOKS) or any(p._backward_hooks for p in parameters):
        return "somebody watches the model's passes, such as a selector that needs margins"
    return ""


def holdings(model: nn.Module) -> list[dict[str, Any]]:
    """What each of the modules holds."""
    return [dict(vars(module)) for module in model.modules()]


def changed(model: nn.Module, before: list[dict[str, Any]]) -> bool:
    """Whether a module holds other things than before."""
    return any(
        was.keys() != now.keys() or any(was[name] is not now[name] for name in was)
        for was, now in zip(before, map(vars, model.modules()), strict=True)
    )


def differing(step: Step, losses: Tensor, as_row: Tensor, gradients: Tensor) -> str:
    """In what a step that was made alone differs from what was computed of it as a row; empty for nothing."""
    if any(p.grad is None or p.grad.is_sparse for p in step.model.parameters()):
        return "a parameter has no gradient, or a sparse one"
    if not _close(as_row, losses.detach(), LOSS_TOLERANCE):
        return "its losses differ from those computed together with others"
    own = torch.cat([p.grad.flatten() for p in step.model.parameters() if p.grad is not None])
    return "" if _close(gradients, own, GRADIENT_TOLERANCE) else "its gradients differ"


def _close(values: Tensor, expected: Tensor, tolerance: float) -> bool:
    if values.shape != expected.shape:
        return False
    return bool((values - expected).abs().max() <= tolerance * expected.abs().max())
