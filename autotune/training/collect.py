"""One pass over some samples that yields every signal asked for, and leaves the model as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from autotune.errors import SelectorError
from autotune.signals import Signal
from autotune.task import Batch, LossFunction
from autotune.training.buffer import RowBuffer
from autotune.training.modes import evaluating, frozen

_OF_HEAD: Final = frozenset({Signal.EMBEDDINGS, Signal.FEATURES, Signal.ERRORS})
_OF_LOSS: Final = frozenset({Signal.LOSS, Signal.ERRORS})
_OF_OUTPUT: Final = frozenset({Signal.LOGITS, Signal.PROBABILITIES})


def find_head(model: nn.Module, name: str | None) -> nn.Module:
    """The last linear layer: the named one, or the last `nn.Linear` that the model registers.

    Raises:
        SelectorError: When there is none.
    """
    if name is not None:
        found: nn.Module | None = dict(model.named_modules()).get(name)
        if found is None:
            known = [own for own, module in model.named_modules() if isinstance(module, nn.Linear)]
            raise SelectorError(
                f"head={name!r} names no module of {type(model).__name__}; its linear layers: "
                f"{', '.join(known) or 'none'}"
            )
        return found
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise SelectorError(
            f"{type(model).__name__} has no nn.Linear, so it gives no embeddings and no last-layer errors; "
            "name its last linear layer by the task's head=, or use selectors that do not need them"
        )
    return linear[-1]


@dataclass
class _Probe:
    """What the hooks have seen in the present batch."""

    embeddings: Tensor | None = None
    errors_at: Tensor | None = None  # the head's output, cut from what made it
    outputs: Tensor | None = None


@dataclass(frozen=True)
class Collector:
    """What signals are made of.

    Attributes:
        model: The live model.
        losses: Per-sample losses; None where the task has no such function.
        head: Dotted name of the last linear layer; None finds it.
        halved: Whether forward passes may run in bfloat16; what is computed from the head's output on is
            float32 nevertheless.
    """

    model: nn.Module
    losses: LossFunction | None
    head: str | None = None
    halved: bool = False

    def collect(
        self, batches: Iterable[Batch], signals: frozenset[Signal], beat: Callable[[], object], n: int = 0
    ) -> dict[Signal, Tensor]:
        """The signals of all samples, on the CPU, in the order of the batches.

        The last-layer error, the gradient of the loss by the head's output, comes in closed form for any
        loss: the graph begins at the head, so nothing of size n x classes x width is ever made.

        Args:
            batches: The samples.
            signals: What to collect; none of those named `TARGET_SPLIT_*`.
            beat: Called for each batch.
            n: Of the samples, where it is known: room for what is found is then made once.

        Raises:
            SelectorError: When the task cannot give one of the signals.
        """
        if signals & _OF_LOSS and self.losses is None:
            raise SelectorError(
                f"{', '.join(sorted(signals & _OF_LOSS))} need per-sample losses; give the task a loss="
            )
        kept = {signal: RowBuffer(n) for signal in signals}
        with evaluating(self.model), frozen(self.model), self._hooked(signals) as probe:
            for batch in batches:
                beat()
                for signal, values in self._of_batch(batch, signals, probe).items():
                    kept[signal].add(values)
        return {signal: found.rows for signal, found in kept.items()}

    def _of_batch(self, batch: Batch, signals: frozenset[Signal], probe: _Probe) -> dict[Signal, Tensor]:
        values: dict[Signal, Tensor] = {}
        probe.embeddings = probe.errors_at = probe.outputs = None
        halved = torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=self.halved)
        with torch.set_grad_enabled(Signal.ERRORS in signals), halved:
            if self.losses is not None and signals & _OF_LOSS:
                losses = self.losses(self.model, batch)
                values[Signal.LOSS] = _single(losses)
                if Signal.ERRORS in signals:
                    values[Signal.ERRORS] = _errors(losses, probe.errors_at)
            else:
                self.model(batch.inputs)
        if signals & {Signal.EMBEDDINGS, Signal.FEATURES}:
            rows = _rows(probe.embeddings, batch, "head's input").float()
            values[Signal.EMBEDDINGS] = values[Signal.FEATURES] = rows
        if signals & _OF_OUTPUT:
            values[Signal.LOGITS] = _rows(probe.outputs, batch, "model's output").float()
        if Signal.PROBABILITIES in signals:
            values[Signal.PROBABILITIES] = values[Signal.LOGITS].softmax(1)
        return {signal: values[signal] for signal in signals}

    @contextmanager
    def _hooked(self, signals: frozenset[Signal]) -> Iterator[_Probe]:
        probe = _Probe()
        handles = []

        def at_head(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
            probe.embeddings = given[0].detach()
            if Signal.ERRORS not in signals:
                return _single(output)
            probe.errors_at = _single(output).detach().requires_grad_()
            return probe.errors_at

        def at_root(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            probe.outputs = output.detach() if isinstance(output, Tensor) else None

        if signals & _OF_HEAD:
            handles.append(find_head(self.model, self.head).register_forward_hook(at_head))
        if signals & _OF_OUTPUT:
            handles.append(self.model.register_forward_hook(at_root))
        try:
            yield probe
        finally:
            for handle in handles:
                handle.remove()


def _single(values: Tensor) -> Tensor:
    return values.float() if values.dtype is torch.bfloat16 else values


def _errors(losses: Tensor, at: Tensor | None) -> Tensor:
    if at is None:
        raise SelectorError("the loss never runs the model's head; name the last linear layer by head=")
    (gradient,) = torch.autograd.grad(losses.sum(), at)
    if gradient.dim() != 2:
        raise SelectorError(f"the head's output must be (samples, outputs), got {tuple(gradient.shape)}")
    return gradient.float()


def _rows(values: Tensor | None, batch: Batch, what: str) -> Tensor:
    """The values, if they are one row per sample."""
    if values is None or values.dim() != 2 or len(values) != len(batch):
        shape = "nothing" if values is None else tuple(values.shape)
        raise SelectorError(
            f"the {what} must be one row per sample, ({len(batch)}, ...); got {shape}; "
            "name the last linear layer by head=, or use selectors that do not need this signal"
        )
    return values
