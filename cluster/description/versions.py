"""Which Ray and Python we have, and which an image says that it has."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from typing import Final

MOVING: Final = ("latest", "nightly", "master", "main", "dev")
RAY_TAG: Final = re.compile(r"(?:^|[^\d.])(\d+\.\d+\.\d+)(?:[^\d.]|$)")
PYTHON_TAG: Final = re.compile(r"py(\d)\.?(\d+)")


def ours() -> tuple[str, str]:
    """Versions of Ray and of Python (`major.minor`) here; Ray itself is not imported."""
    return version("ray"), f"{sys.version_info.major}.{sys.version_info.minor}"


def tag(image: str) -> str | None:
    """The tag or digest of an image's name; None without one.

    >>> tag("registry.example:5000/ray:2.60.0-py311"), tag("registry.example:5000/ray")
    ('2.60.0-py311', None)
    """
    if "@" in image:
        return image.rpartition("@")[2]
    name = image.rpartition("/")[2]
    return name.partition(":")[2] or None


def pinned(image: str) -> bool:
    """Whether the name means the same image tomorrow.

    >>> pinned("rayproject/ray:2.60.0-py311"), pinned("rayproject/ray:latest-gpu"), pinned("rayproject/ray")
    (True, False, False)
    """
    found = tag(image)
    return found is not None and found.split("-")[0].split(".")[0] not in MOVING


def said_by(image: str) -> tuple[str | None, str | None]:
    """Versions of Ray and of Python that a tag names; None where it does not say.

    >>> said_by("rayproject/ray:2.60.0-py311-gpu"), said_by("mine:v7")
    (('2.60.0', '3.11'), (None, None))
    """
    found = tag(image) or ""
    if found.startswith("sha"):
        return None, None
    ray, python = RAY_TAG.search(found), PYTHON_TAG.search(found)
    return (ray[1] if ray else None), (f"{python[1]}.{python[2]}" if python else None)
