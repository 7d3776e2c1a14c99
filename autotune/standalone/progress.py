"""What long work tells whoever waits for it."""

from __future__ import annotations

from dataclasses import dataclass
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


@final
@dataclass(frozen=True)
class Stage:
    """One of several equal stages of some work.

    Attributes:
        whole: Told of all of them.
        index: Of this stage, from 0.
        count: Of the stages.
    """

    whole: Progress
    index: int
    count: int

    def note(self, text: str) -> None:
        """Pass it on."""
        self.whole.note(text)

    def at(self, what: str, share: float) -> None:
        """The share of this stage as one of all."""
        self.whole.at(what, (self.index + share) / self.count)
