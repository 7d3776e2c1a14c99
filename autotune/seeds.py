"""Independent seeds, derived from one by name: no draw depends on the order in which others are made."""

from __future__ import annotations

import hashlib
from typing import Final

BITS: Final = 63  # what both numpy and torch generators accept


def derive(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for one named purpose.

    >>> derive(0, "trial", 1) == derive(0, "trial", 1) != derive(0, "trial", 2)
    True
    """
    text = "\0".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - BITS)
