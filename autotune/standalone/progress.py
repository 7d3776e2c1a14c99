"""What long work tells whoever waits for it."""

from __future__ import annotations

from typing import Protocol, final


class Progress(Protocol):
    """Takes notes and places; the work goes on whatever becomes of them."""

    def note(self, text: str) -> None:
        """A sentence that a reader of the result needs, such as where features came from."""

    def at(self, what: str, share: float) -> None:
        """How much of a piece of work is done, from 0 to 1."""


@final
class Silent:
    """Tells nobody."""

    def note(self, text: str) -> None:
        """Forget it."""

    def at(self, what: str, share: float) -> None:
        """Forget it."""
