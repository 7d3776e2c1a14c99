"""What a study found, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from autotune.account import Bill, bill
from autotune.errors import FolderError
from autotune.events import DONE, Config
from autotune.history import History
from autotune.ledger import Ledger
from autotune.log import no_study, read_events
from autotune.report.numbers import plain
from autotune.storage.location import Location, Remote, locate
from autotune.storage.opening import read_bytes

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True)
class Result:
    """What a study found so far, and what it cost.

    Attributes:
        path: The study's folder.
        history: Every trial, and what was spent in each phase.
    """

    path: Location
    history: History = field(repr=False)

    @classmethod
    def load(cls, path: str | Path | Remote) -> Result:
        """Read a study's folder, finished or not, without owning it.

        Raises:
            FolderError: When there is no study, or one of a newer format.
            LogError: When its log is damaged.
        """
        history, place = History(), locate(path)
        for event in read_events(place / "log"):
            history.apply(event)
        if not history.study:
            raise no_study(place)
        return cls(place, history)

    @property
    def done(self) -> bool:
        """Whether the study has concluded."""
        return self.history.phase == DONE

    @property
    def verdict(self) -> Mapping[str, Any]:
        """The winner's comparison with its baselines; empty until the study is done."""
        return self.history.concluded.verdict if self.history.concluded else {}

    @property
    def best_config(self) -> Config | None:
        """The configuration that won; None until the study is done, or when nothing could be confirmed."""
        winner = self.verdict.get("winner")
        return winner["config"] if winner else None

    @property
    def cut(self) -> str | None:
        """Why the budget ended the confirmation before all its seeds; None when it did not."""
        return self.history.cut

    @property
    def front(self) -> Sequence[Mapping[str, Any]]:
        """The confirmed configurations that no other one is better than in all that was wanted.

        Each has its `config`, the mean validation `score` and `metrics` over its `trials`, and its `origin`
        in the search; the best score comes first. Empty without objectives and constraints, and until the
        study is done.
        """
        found: Sequence[Mapping[str, Any]] = self.verdict.get("front", ())
        return found

    @property
    def reference_flops(self) -> float:
        """FLOPs of one reference epoch-equivalent."""
        return float(self.history.study["reference_flops"])

    def epochs(self, phase: str | None = None) -> float:
        """Reference epoch-equivalents spent in one phase, or in all; `history.lost` comes on top."""
        ledgers = [ledger for name, ledger in self.history.spent.items() if phase in (None, name)]
        return sum(ledgers, Ledger()).epochs(self.reference_flops)

    def bill(self) -> Bill | None:
        """What the seconds cost at the prices that were given to the study; None without prices."""
        return bill(self.history)

    def summary(self) -> str:
        """The whole story in words: who won, beside what, and what was not better than random."""
        from autotune.report.words import summary

        return summary(self.path)

    def weights(self) -> dict[str, Tensor]:
        """The winner's state dict as it was judged, on the CPU, for `model.load_state_dict`.

        Raises:
            FolderError: When there is none: the study is not done, nobody won, or trials kept no checkpoints.
            StorageError: When it cannot be read.
        """
        from safetensors.torch import load

        folder = self.path / "result"
        content = read_bytes(folder / "model.safetensors")
        if content is None:
            raise FolderError(
                f"{folder} holds no model; a study has one once it is done and a winner was confirmed"
            )
        return load(content)

    def to_json(self) -> dict[str, Any]:
        """The result as plain data, for a pipeline; None stands for numbers that are not finite."""
        found: dict[str, Any] = plain(self._document())
        return found

    def _document(self) -> dict[str, Any]:
        return {
            "study": self.history.study.get("name"),
            "path": str(self.path),
            "phase": self.history.phase,
            "trials": self.history.states(),
            "epochs": {phase: self.epochs(phase) for phase in self.history.spent},
            "ledger": {phase: ledger.to_json() for phase, ledger in self.history.spent.items()},
            "lost": {phase: ledger.to_json() for phase, ledger in self.history.lost.items()},
            "bill": None if (owed := self.bill()) is None else owed.to_json(),
            "best_config": None if self.best_config is None else dict(self.best_config),
            "front": [dict(one) for one in self.front],
            "verdict": dict(self.verdict),
            "cut": self.cut,
        }
