"""What kind of failure an exception is, and where in the user's code it came from."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from typing import Final

import torch

from autotune.errors import DivergedError, HungError, MissingMetricError, PeerError

_OURS: Final = str(Path(__file__).resolve().parents[1])
_INSTALLED: Final = tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib"))
_NO_MEMORY: Final = ("can't allocate memory", "not enough memory", "out of memory")


def kind_of(error: Exception) -> str:
    """One word for the log."""
    if isinstance(error, PeerError):
        return error.kind
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, MissingMetricError):
        return "metric"
    if isinstance(error, HungError):
        return "hung"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "memory"
    if isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _NO_MEMORY):
        return "memory"  # torch's allocator on the CPU has no type of its own
    return "error"


def device_lost(device: torch.device) -> bool:
    """Whether nothing works any more on a GPU, for this process: CUDA keeps an error that its kernels made.

    An illegal access, an assertion in a kernel (a class that there is not) and a memory error of the hardware
    are such errors; too little memory is none.
    """
    if device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


def message_of(error: Exception) -> str:
    """Type, text and the last line of the user's own code on the way to it."""
    if isinstance(error, PeerError):
        return error.text
    text = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((_OURS, "<frozen", *_INSTALLED))]
    if not own:
        return text
    return f"{text} ({own[-1].filename}:{own[-1].lineno} in {own[-1].name})"
