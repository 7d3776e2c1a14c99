"""Letting a policy's selector choose among a few samples, before anything is spent on it."""

from __future__ import annotations

import copy
from typing import Final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.policy import POLICY, Policy
from autotune.signals import HISTORIES, LENGTH, Reading, Signal, Signals
from autotune.training.holdout import LEAST
from autotune.training.memory import logits_of
from autotune.training.randomness import generator
from autotune.training.room import Room
from autotune.training.statics import encoded
from autotune.training.tracks import unseen
from autotune.training.trial import Trial

SAMPLES: Final = 8  # looked at of each split; enough to see shapes


def check_policy(room: Room, trial: Trial, policy: Policy) -> None:
    """Let the policy's selector choose among a few samples.

    What costs more than a look is made up, in the right shape: histories are empty, and the losses of the
    untrained model stand for those of a hold-out model.

    Raises:
        SelectorError: When a signal that it needs cannot be given, or is not what it needs.
    """
    if not policy.selects:
        return
    needs, ids = policy.selector.needs, room.train[:SAMPLES]
    try:
        _check_data(room, needs)
        wanted = {signal for signal in needs if not signal.of_target_split}
        readings = _made_up(room, trial, policy, ids)
        readings |= trial.source.passes(ids, wanted - readings.keys(), lambda: None)
        of_target = {signal.plain for signal in needs if signal.of_target_split}
        for signal, reading in trial.source.passes(room.target[:SAMPLES], of_target, lambda: None).items():
            readings[signal.on_target_split] = reading
        signals = Signals(ids, readings)
        policy.selector.select(signals, policy.budget(signals.n), generator(0, "preflight"))
    except SelectorError as error:
        raise SelectorError(f"policy {policy.name!r}: {error}", (POLICY, policy.name)) from error


def _check_data(room: Room, needs: frozenset[Signal]) -> None:
    """Refuse signals of what the data has not."""
    if Signal.REFERENCE_LOSS in needs and len(room.target) < LEAST:
        raise SelectorError(
            f"its hold-out model is trained on the target split, which must have at least {LEAST} samples, "
            f"got {len(room.target)}; give it a larger share, such as Splits.make(..., target=0.05)"
        )
    if any(signal.of_target_split for signal in needs) and len(room.target) == 0:
        raise SelectorError(
            "the target split, which it looks at, is empty; give it a share, such as "
            "Splits.make(..., target=0.05), or take the policy out of the space"
        )
    if any(signal.plain is Signal.TARGETS for signal in needs) and room.samples.targets.numel() == 0:
        raise SelectorError("it needs targets, and the data has none; take the policy out of the space")


def _made_up(room: Room, trial: Trial, policy: Policy, ids: Tensor) -> dict[Signal, Reading]:
    needs, n = policy.selector.needs, len(ids)
    batch = room.samples.batch(ids.to(room.samples.device))
    found: dict[Signal, Reading] = {signal: unseen(n, LENGTH) for signal in needs & HISTORIES}
    if found and not policy.selector.tolerates_gaps:
        raise SelectorError(
            f"{', '.join(sorted(found))} begins empty; set tolerates_gaps = True on the selector, and let it "
            "cope with samples that are not covered"
        )
    if Signal.MARGIN_HISTORY in needs:
        with torch.no_grad():
            logits_of(trial.model(batch.inputs), batch)
    if policy.selector.tolerates_gaps and Signal.LOSS in needs:
        found[Signal.LOSS] = unseen(n)
    if Signal.REFERENCE_LOSS in needs:
        found[Signal.REFERENCE_LOSS] = trial.source.passes(ids, {Signal.LOSS}, lambda: None)[Signal.LOSS]
    if Signal.FEATURES in needs and room.task.encoder is not None:
        encoder = copy.deepcopy(room.task.encoder).to(room.samples.device)
        found[Signal.FEATURES] = Reading.fresh(encoded(encoder, batch).cpu())
    return found
