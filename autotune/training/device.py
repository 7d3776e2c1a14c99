"""Where trials compute, and how much memory is left there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import torch

from autotune.errors import ConfigurationError

SHARE: Final = 1 / 3  # of a GPU's free memory for data: models and other trials need the rest


def find_device(name: str) -> torch.device:
    """The device that `auto` means here, or the named one.

    Raises:
        ConfigurationError: When there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter from a torch that was built without CUDA
        raise ConfigurationError(
            f"device {name!r} cannot be used here: {error!s:.80}; write auto, cpu or cuda"
        ) from error
    if found.type not in ("cpu", "cuda", "meta"):  # random numbers of others are not a trial's own
        raise ConfigurationError(f"device {name!r} is not supported; write auto, cpu or cuda")
    return found


def free_bytes(device: torch.device) -> int:
    """Free memory of a device; of the machine, or of the container around this process, where it is a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = 1024 * int(fields["MemAvailable"].split()[0])
    with suppress(OSError, ValueError):  # no container, or one without a limit
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text())
        free = min(free, most - int((group / "memory.current").read_text()))
    return max(0, free)


def fits(data_bytes: int, device: torch.device) -> bool:
    """Whether data of this size is kept on a device; what a CPU has in memory is there already."""
    return device.type != "cuda" or data_bytes <= SHARE * free_bytes(device)
