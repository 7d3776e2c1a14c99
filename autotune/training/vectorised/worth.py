"""How many trials are worth advancing side by side, measured on the reference configuration."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from autotune.task import ModelTask
from autotune.training.device import free_bytes
from autotune.training.probe import first_step
from autotune.training.randomness import scope
from autotune.training.room import Room
from autotune.training.step import Step
from autotune.training.vectorised.kinds import Kind, brief
from autotune.training.vectorised.race import Race

WIDTHS: Final = (2, 4, 8, 16, 32)
WORTH: Final = 1.2  # times as fast: for less, so many more trials in flight at once are not worth it
NEAR: Final = 0.9  # of the best that was measured: fewer lanes do then
SLOW_S: Final = 0.05  # a step that takes longer is that of no small model, and the race would take minutes
SHARE: Final = 0.5  # of the free memory, at most; the other half is for evaluation, signals and surprises
COPIES: Final = 8  # of the weights: gradient, two states, average, two checkpoints, the matrix


def worth(room: Room, most: int, part: float) -> tuple[int, str]:
    """How many lanes a worker should have, and why; 1 where more were not measured to be faster.

    Args:
        room: Of the worker.
        most: Lanes that can be of use.
        part: Share of the machine's free memory that is this worker's, in (0, 1].
    """
    if not isinstance(room.task, ModelTask):
        return 1, "a loop of the user's own makes its steps itself"
    try:
        with scope(room.samples.device):
            return _measured(room, room.task, most, part)
    except Exception as error:  # nothing depends on it
        return 1, f"it could not be measured: {brief(error)}"


def _measured(room: Room, task: ModelTask, most: int, part: float) -> tuple[int, str]:
    device = room.samples.device
    kind, steps = Kind(device), [first_step(room, task, 0)]
    seconds = min(_timed(steps[0], device) for _ in range(3))
    if seconds > SLOW_S:
        return 1, f"a step takes {1e3 * seconds:.0f} ms, so the model is not small"
    fitting = int(SHARE * part * free_bytes(device) / lane_bytes(steps[0]))
    widths = [width for width in WIDTHS if width <= min(most, fitting)]
    if not widths:
        return 1, f"{fitting} fit into half of the free memory, and {most} can be of use at once"
    gains: dict[int, float] = {}
    for width in widths:
        more = [first_step(room, task, seed) for seed in range(len(steps), width)]
        if not all(kind.rehearse(step)[1] for step in more):
            return 1, f"steps cannot be made together: {', '.join(kind.told)}"
        steps += more
        gains[width] = _gain(kind, steps, device)
    lanes, gain = chosen(gains)
    steps_of = f"{lanes} steps" if lanes > 1 else f"at best, up to {widths[-1]} steps"
    return lanes, f"{steps_of} of the reference made together are {gain:.2g} times as fast as each alone"


def chosen(gains: Mapping[int, float]) -> tuple[int, float]:
    """The fewest lanes that gain nearly the most, and how much; 1 where that is too little.

    >>> chosen({2: 0.8, 8: 1.5, 16: 2.4, 32: 2.5})
    (16, 2.4)
    >>> chosen({2: 0.9, 4: 1.1})
    (1, 1.1)
    """
    best = max(gains.values())
    if best < WORTH:
        return 1, best
    return next((width, gain) for width, gain in sorted(gains.items()) if gain >= NEAR * best)


def _gain(kind: Kind, steps: list[Step], device: torch.device) -> float:
    """How many times as fast these steps are together as alone."""
    race, stack = Race(device), kind.stack(steps)
    while not race.over:
        together = race.together
        with race.round(len(steps)):
            if together:
                stack.update(steps, stack.gradients(steps)[1])
            else:
                for step in steps:
                    step.make()
    return race.gain


def _timed(step: Step, device: torch.device) -> float:
    """Seconds of a step."""
    began = time.perf_counter()
    step.make()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def lane_bytes(step: Step) -> int:
    """Bytes that another trial of this kind takes: its weights as often as they are kept, and its passes."""
    kept = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        step.task.losses(step.model, step.batch, step.smoothing)
    weights = sum(p.numel() * p.element_size() for p in step.model.parameters())
    return COPIES * weights + kept
