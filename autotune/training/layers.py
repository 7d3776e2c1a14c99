"""Layers whose weight gradients are sums of outer products over positions, and the two factors of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from autotune.errors import SelectorError
from autotune.training.projection import Projection, Side

Conv: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d
_CONVOLVE: Final[dict[int, Callable[..., Tensor]]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@dataclass(frozen=True)
class Layer:
    """A layer with a trained weight.

    Attributes:
        name: Dotted, in its model.
        module: The layer.
        weight: Its weight; layers may share one.
        bias: Its bias, where it has one that is trained.
    """

    name: str
    module: nn.Module
    weight: Tensor
    bias: Tensor | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weight as a matrix; the last column is the bias, or zero."""
        return len(self.weight), self.weight[0].numel() + 1

    @property
    def lookup(self) -> bool:
        """Whether its input is ids and its rows are looked up."""
        return isinstance(self.module, nn.Embedding)

    def factors(self, given: Tensor, gradient: Tensor, projection: Projection) -> tuple[Tensor, Tensor]:
        """Both factors of each sample's gradient by weight and bias, mapped by the projection's two sides.

        Args:
            given: The layer's input, shape (samples, ...).
            gradient: Of the summed loss by the layer's output, shape (samples, ...).
            projection: Of this weight.

        Returns:
            Shapes (samples, positions, left.reduced) and (samples, positions, right.reduced).
        """
        left, right, bias = projection.left, projection.right, float(self.bias is not None)
        if isinstance(self.module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            return _convolved(self.module, given, gradient, left, right, bias)
        rows = gradient.reshape(len(gradient), -1, gradient.shape[-1])
        if isinstance(self.module, nn.Embedding):
            ids = given.reshape(len(given), -1)
            padding = self.module.padding_idx
            shown = rows if padding is None else rows * (ids != padding).unsqueeze(-1)
            return _chosen(ids, left, rows), right.extended(shown, 0.0)
        return left(rows), right.extended(given.reshape(len(given), -1, given.shape[-1]), bias)


def trained_layers(model: nn.Module, names: Sequence[str] = ()) -> list[Layer]:
    """The linear, convolution and embedding layers whose weights are trained, in the model's order.

    Without the projections of `nn.MultiheadAttention`, whose weights it multiplies with itself.

    Args:
        model: Any.
        names: Dotted names of modules; only layers that these are or hold. Empty takes all.

    Raises:
        SelectorError: When a name is unknown, or there is no such layer.
    """
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules:
            known = ", ".join(name for name, module in modules.items() if _weighty(module)) or "none"
            raise SelectorError(
                f"layers: {name!r} names no module of {type(model).__name__}; layers: {known}"
            )
    wanted = [
        (name, module)
        for name, module in modules.items()
        if not names or any(f"{name}.".startswith(f"{chosen}.") for chosen in names)
    ]
    found = [_layer(name, module) for name, module in wanted if _weighty(module)]
    if not found:
        raise SelectorError(
            f"{type(model).__name__} trains no linear, convolution or embedding layer"
            f"{' below ' + ', '.join(names) if names else ''}, so it gives no projected gradients; use "
            "selectors that do not need them"
        )
    return found


def _weighty(module: nn.Module) -> bool:
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)
    inner = isinstance(module, NonDynamicallyQuantizableLinear)  # attention's, which it never calls
    return isinstance(module, kinds) and not inner and module.weight.requires_grad


def _layer(name: str, module: nn.Module) -> Layer:
    bias: Tensor | None = getattr(module, "bias", None)  # an embedding has none
    weight: Tensor = module.weight  # type: ignore[assignment]  # a tensor in every kind of layer
    return Layer(name, module, weight, bias if bias is not None and bias.requires_grad else None)


def _chosen(ids: Tensor, side: Side, like: Tensor) -> Tensor:
    """The side's columns at some ids: the factor of an embedding is one there, and zero elsewhere."""
    if side.matrix is not None:
        return side.matrix.T[ids]
    return side(F.one_hot(ids, side.size).to(like.dtype))


def _convolved(
    module: Conv, given: Tensor, gradient: Tensor, left: Side, right: Side, bias: float
) -> tuple[Tensor, Tensor]:
    given = _padded(module, given)
    outputs = gradient.flatten(2).mT
    if module.groups > 1:
        return _grouped(module, given, outputs, left, right, bias)
    if right.matrix is None:
        inputs = right(_windows(module, given, bias).mT)
    else:  # the reduction is itself a convolution, and no window is ever copied
        kernel = right.matrix[:, :-1].reshape(-1, *module.weight.shape[1:])
        shift = right.matrix[:, -1] * bias
        convolve = _CONVOLVE[given.dim() - 2]
        inputs = convolve(given, kernel, shift, module.stride, 0, module.dilation).flatten(2).mT
    return left(outputs), inputs


def _grouped(
    module: Conv, given: Tensor, outputs: Tensor, left: Side, right: Side, bias: float
) -> tuple[Tensor, Tensor]:
    """The rows of the gradient itself, in place of positions: each group has inputs of its own."""
    samples, groups = len(given), module.groups
    windows = _windows(module, given, 0.0)[:, :-1]
    columns, places = windows.shape[1] // groups, windows.shape[2]
    of_outputs = outputs.mT.reshape(samples * groups, -1, places)
    of_inputs = windows.reshape(samples * groups, columns, places)
    gradients = torch.bmm(of_outputs, of_inputs.mT).view(samples, -1, columns)
    rows = torch.cat([gradients, bias * outputs.sum(1).unsqueeze(-1)], 2)
    unit = left(torch.eye(left.size, dtype=rows.dtype, device=rows.device))
    return unit.expand(samples, -1, -1), right(rows)


def _padded(module: Conv, given: Tensor) -> Tensor:
    """The input as the kernel slides over it."""
    amounts: list[int] = []
    for axis in reversed(range(given.dim() - 2)):
        if isinstance(module.padding, str):
            total = module.dilation[axis] * (module.kernel_size[axis] - 1) if module.padding == "same" else 0
            amounts += [total // 2, total - total // 2]
        else:
            amounts += [module.padding[axis]] * 2
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return F.pad(given, amounts, mode) if any(amounts) else given


def _windows(module: Conv, given: Tensor, last: float) -> Tensor:
    """What the kernel sees at each position, and one more coordinate: (samples, columns + 1, positions)."""
    axes = given.dim() - 2
    view = given
    for axis in range(axes):
        span = module.dilation[axis] * (module.kernel_size[axis] - 1) + 1
        view = view.unfold(2 + axis, span, module.stride[axis])[..., :: module.dilation[axis]]
    view = view.permute(0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))
    columns, places = view.shape[1 : 2 + axes].numel(), view.shape[2 + axes :].numel()
    windows = view.new_full((len(view), columns + 1, places), last)
    windows[:, :-1].view(view.shape).copy_(view)
    return windows
