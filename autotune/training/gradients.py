"""A pass that yields a random projection of every sample's gradient, and leaves the model as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from autotune.errors import SelectorError
from autotune.task import Batch, LossFunction
from autotune.training.buffer import RowBuffer
from autotune.training.layers import Layer, trained_layers
from autotune.training.modes import evaluating, frozen
from autotune.training.moments import root_factors
from autotune.training.projection import SEED, SIDE, WIDTH, Projection, projections

HALVES: Final = (torch.bfloat16, torch.float16)  # projections are of single precision
BLOCK: Final = 256  # samples at a time: what each layer is given is held until the backward pass


@dataclass(frozen=True)
class GradientCollector:
    """How gradients are projected.

    They are by the weights and biases of the linear, convolution and embedding layers that are trained. All
    that is needed of a layer is its input and the gradient of the loss by its output; the backward pass
    brings the latter, and forms no gradient of a weight.

    Attributes:
        model: The live model.
        losses: Per-sample losses; None where the task has no such function.
        layers: Dotted names of the modules to look into; empty looks into all.
        width: Of a projected gradient.
        side: What a longer side of a weight matrix is reduced to.
        seed: Of the projection; the same for all trials of a study.
    """

    model: nn.Module
    losses: LossFunction | None
    layers: tuple[str, ...] = ()
    width: int = WIDTH
    side: int = SIDE
    seed: int = SEED

    def collect(
        self,
        batches: Iterable[Batch],
        beat: Callable[[], object],
        optimizer: torch.optim.Optimizer | None = None,
        n: int = 0,
    ) -> tuple[Tensor, float]:
        """The projected gradients of all samples, on the CPU, in the order of the batches.

        Args:
            batches: The samples.
            beat: Called for each batch.
            optimizer: Gradients are divided by the roots of its second moments; None divides by nothing.
            n: Of the samples, where it is known: room for what is found is then made once.

        Returns:
            Gradients, shape (n, width), float32, and the FLOPs of the projection, passes not included.

        Raises:
            SelectorError: When the task cannot give them.
        """
        if self.losses is None:
            raise SelectorError("projected gradients need per-sample losses; give the task a loss=")
        layers = trained_layers(self.model, self.layers)
        projected = _Projected(layers, _preconditioned(layers, self._projections(layers), optimizer))
        kept = RowBuffer(n)
        with evaluating(self.model), frozen(self.model), projected.hooked():
            for batch in batches:
                beat()
                kept.add(projected.of_batch(self.model, self.losses, batch).float())
        return kept.rows, projected.flops

    def _projections(self, layers: list[Layer]) -> dict[Tensor, Projection]:
        """By weight: the gradients of layers that share one add up."""
        shapes = {layer.weight: layer.shape for layer in layers}
        first = layers[0].weight
        dtype = first.dtype if first.dtype == torch.float64 else torch.float32
        like = torch.empty(0, dtype=dtype, device=first.device)
        made = projections(list(shapes.values()), self.width, side=self.side, seed=self.seed, like=like)
        return dict(zip(shapes, made, strict=True))


def _preconditioned(
    layers: list[Layer], plain: Mapping[Tensor, Projection], optimizer: torch.optim.Optimizer | None
) -> dict[Tensor, Projection]:
    """Projections that divide by the roots of the second moments before anything else."""
    found = dict(plain)
    if optimizer is None:
        return found
    for layer in layers:
        factors = root_factors(optimizer, layer.weight, layer.bias)
        if factors is not None:
            projection, (rows, columns) = plain[layer.weight], factors
            found[layer.weight] = replace(
                projection, left=projection.left.after(rows), right=projection.right.after(columns)
            )
    return found


class _Projected:
    """What the hooks share while batches go through the model.

    Attributes:
        flops: Of projecting, so far.
    """

    def __init__(self, layers: list[Layer], projections: Mapping[Tensor, Projection]) -> None:
        self.flops = 0.0
        self._layers = layers
        self._projections = projections
        self._root = torch.zeros(())
        self._samples = 0
        self._rows: list[Tensor] = []

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Watch the layers; attention's fast path would go past them."""
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        handles = [
            layer.module.register_forward_hook(partial(self._forward, layer), with_kwargs=True)
            for layer in self._layers
        ]
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for handle in handles:
                handle.remove()

    def of_batch(self, model: nn.Module, losses: LossFunction, batch: Batch) -> Tensor:
        """The projected gradients of a batch, shape (b, width)."""
        self._samples = len(batch)
        self._rows.clear()
        self._root = torch.zeros((), device=batch.inputs.device, requires_grad=True)
        with torch.enable_grad():
            total = losses(model, batch).sum()
        if total.requires_grad:
            torch.autograd.grad(total, self._root, allow_unused=True)
        if not self._rows:
            names = ", ".join(layer.name for layer in self._layers)
            raise SelectorError(f"the loss does not depend on any of the layers {names}; name others")
        return sum(self._rows[1:], self._rows[0])

    def _forward(
        self,
        layer: Layer,
        module: nn.Module,
        given: tuple[Tensor, ...],
        named: dict[str, Any],
        output: Tensor,
    ) -> Tensor | None:
        """Let the gradient by this output be seen; where no graph has begun yet, it begins here."""
        if not torch.is_grad_enabled():
            return None
        if not output.requires_grad:
            output = output + self._root
        inputs = (given[0] if given else named["input"]).detach()
        output.register_hook(partial(self._backward, layer, inputs))  # type: ignore[no-untyped-call]  # torch's
        return output

    def _backward(self, layer: Layer, given: Tensor, gradient: Tensor) -> None:
        if len(gradient) != self._samples or len(given) != self._samples:
            raise SelectorError(
                f"layer {layer.name!r} works on {len(gradient)} rows where the batch has {self._samples} "
                "samples, so it is not known which are whose; name the other layers by layers=, or keep the "
                "samples in the first dimension"
            )
        projection = self._projections[layer.weight]
        if gradient.dtype in HALVES:
            gradient = gradient.float()
        if given.dtype in HALVES:
            given = given.float()
        with torch.autocast(gradient.device.type, enabled=False):  # the forward pass may be in it
            left, right = layer.factors(given, gradient, projection)
            self._rows.append(projection(left, right))
        self.flops += self._samples * projection.flops(left.shape[1], lookup=layer.lookup)
