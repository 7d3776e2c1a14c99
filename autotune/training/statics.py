"""Signals that do not depend on the trial: what they are made from, and how."""

from __future__ import annotations

import copy
import hashlib
from typing import Final

import torch
from torch import Tensor, nn

from autotune.errors import ConfigurationError, SelectorError
from autotune.policy import Policy, settings_of
from autotune.seeds import derive
from autotune.signals import Signal
from autotune.task import Batch
from autotune.training.buffer import RowBuffer
from autotune.training.flops import forward_flops
from autotune.training.holdout import EPOCHS, PATIENCE, reference_losses
from autotune.training.modes import evaluating
from autotune.training.probe import probe
from autotune.training.randomness import GlobalGenerators
from autotune.training.room import Room
from autotune.training.shared import Key
from autotune.training.trial import Trial
from autotune.work import Beat

FEW: Final = 8  # samples whose losses tell which loss function it is


def key(room: Room, signal: Signal) -> Key:
    """What decides the values of a static signal; code is known by what it builds."""
    if signal not in room.keys:
        room.keys[signal] = _key(room, signal)
    return room.keys[signal]


def _key(room: Room, signal: Signal) -> Key:
    facts: dict[str, object] = {
        "data": room.task.data.fingerprint,
        "task": type(room.task).__qualname__,
        "samples": hashed(room.train),
    }
    if room.task.encoder is not None and signal is Signal.FEATURES:
        return Key(signal.value, facts | {"encoder": fingerprint(room.task.encoder)})
    config = settings_of(room.reference)
    trial = probe(room, config)
    return Key(
        signal.value,
        facts
        | {
            "target": hashed(room.target),
            "config": dict(config),
            "seed": room.seed,
            "epochs": [EPOCHS, PATIENCE],
            "smoothing": [0, 1],
            "model": fingerprint(trial.model),
            "loss": _sample_loss(room, trial),
        },
    )


def _sample_loss(room: Room, trial: Trial) -> str:
    """What tells one loss function from another: the mean over a few samples, to three digits."""
    losses = trial.source.collector.losses
    if losses is None:
        return ""
    batch = room.samples.batch(room.train[:FEW].to(room.samples.device))
    with evaluating(trial.model), torch.no_grad():
        GlobalGenerators(room.samples.device).seed(derive(room.seed, "loss"))  # a loss may draw
        return f"{losses(trial.model, batch).mean().item():.3g}"


def order_key(room: Room, policy: Policy) -> Key:
    """What decides the order in which a nested selector picks, where it reads nothing that changes."""
    parts = {signal.value: key(room, signal).name for signal in policy.selector.needs & room.static}
    facts = {"data": room.task.data.fingerprint, "samples": hashed(room.train), "seed": room.seed}
    return Key("order", facts | {"selector": repr(policy.selector), "signals": parts})


def make(room: Room, signal: Signal, beat: Beat) -> tuple[Tensor, float]:
    """The values of a static signal, in the order of the training split, and the FLOPs that they took."""
    if room.task.encoder is None or signal is not Signal.FEATURES:
        return reference_losses(room, beat)
    encoder = copy.deepcopy(room.task.encoder).to(room.samples.device)
    kept, flops = RowBuffer(len(room.train)), 0.0
    for batch in room.samples.batches(room.train, room.rules.eval_batch, beat):
        beat()
        flops = flops or len(room.train) * forward_flops(encoder, batch.inputs[:2])
        kept.add(encoded(encoder, batch))
    return kept.rows, flops


def encoded(encoder: nn.Module, batch: Batch) -> Tensor:
    """Features of a batch, shape (b, width), float32.

    Args:
        encoder: On the device of the batch.
        batch: Prepared inputs.

    Raises:
        SelectorError: When the encoder gives something else than one row per sample.
    """
    return outputs(encoder, batch, "encoder", SelectorError).reshape(len(batch), -1)


def outputs(module: nn.Module, batch: Batch, called: str, error: type[ConfigurationError]) -> Tensor:
    """What a module gives for a batch in evaluation mode, a row for each sample, float32.

    Args:
        module: On the device of the batch.
        batch: Prepared inputs.
        called: What the module is to whoever gave it.
        error: Raised when it gives something else.
    """
    with evaluating(module), torch.no_grad():
        found: object = module(batch.inputs)
    if not isinstance(found, Tensor) or found.dim() == 0 or len(found) != len(batch):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise error(
            f"the {called} must give one tensor with a row for each of {len(batch)} samples, got {shape}; "
            "wrap it in a module that does"
        )
    return found.float()


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over a module's structure as it prints and over its state, as hex."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in module.state_dict().items():
        digest.update(f"\0{name}\0".encode())
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def hashed(ids: Tensor) -> str:
    """SHA-256 over sample ids, as hex."""
    return hashlib.sha256(ids.numpy().tobytes()).hexdigest()
