"""Optimizers, and a way to count FLOPs, that do not bring torch's compiler into the process.

`torch.optim` and torch's dispatch modes ask `torch._dynamo` to keep out of their functions, and the first
call imports it, with SymPy and torch.distributed, for a training that compiles nothing. Here those functions
are called as they are written (ADR-023). Who compiles a model has imported it already.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode, _FlopCounterMode

COMPILER: Final = "torch._dynamo"
_KEPT_OUT: Final = "__dynamo_disable"  # where torch keeps what the compiler made of a function


class _Eager(Optimizer):
    """What all optimizers share."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class SGD(_Eager, torch.optim.SGD):
    """`torch.optim.SGD`; fused, it also takes a parameter whose first gradient comes after the first step."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))

    def _init_group(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], buffers: list[Tensor | None]
    ) -> bool:
        sparse: bool = super()._init_group(group, params, grads, buffers)  # type: ignore[no-untyped-call]  # torch's
        late = any(buffer is None for buffer in buffers) and any(buffer is not None for buffer in buffers)
        if late and group["fused"] and group["dampening"] == 0:  # torch's kernel wants all buffers or none
            for place, parameter in enumerate(params):
                if buffers[place] is None:
                    buffers[place] = torch.zeros_like(parameter)
        return sparse


class AdamW(_Eager, torch.optim.AdamW):
    """`torch.optim.AdamW`."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


@contextmanager
def flop_counter() -> Iterator[FlopCounterMode]:
    """Counts the FLOPs of what runs inside."""
    dispatch: Any = inspect.unwrap(_FlopCounterMode.__torch_dispatch__)
    absent = COMPILER not in sys.modules
    if absent:
        dispatch.__dict__[_KEPT_OUT] = dispatch
    try:
        with FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        if absent:
            dispatch.__dict__.pop(_KEPT_OUT, None)
