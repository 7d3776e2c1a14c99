"""What can happen in a study, as plain values; the trial log is a list of these."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from autotune.errors import FolderError
from autotune.ledger import Ledger

Config: TypeAlias = Mapping[str, Any]  # flat: dotted names to bool, int, float or str

SEARCH: Final = "search"
CONFIRM: Final = "confirm"
VERDICT: Final = "verdict"
DONE: Final = "done"
NOT_FINITE: Final = ("nan", "inf", "-inf")  # as a log writes them


@dataclass(frozen=True)
class Opened:
    """A study was created; first event of every log.

    Attributes:
        study: Its name and identity (name, seed, data fingerprint, space, objective, rungs, ...).
    """

    study: Mapping[str, Any]


@dataclass(frozen=True)
class DriverStarted:
    """A driver took over.

    Attributes:
        epoch: Fences off the drivers before it.
        versions: Of what it runs on.
        prices: Price per hour by type of machine, for everything spent so far and from now on; None leaves
            what an earlier driver said. No decision reads them.
    """

    epoch: int
    versions: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, float] | None = None


@dataclass(frozen=True)
class LanesChosen:
    """How many trials each worker advances side by side was measured; later drivers go by it.

    Attributes:
        lanes: So many, at least 1.
        reason: In words.
    """

    lanes: int
    reason: str


@dataclass(frozen=True)
class Proposed:
    """A new trial exists.

    Attributes:
        trial: Its number, counted from 0 over the whole study.
        config: Its settings and policy.
        seed: Seeds its initial weights, data order and draws.
        source: What proposed it: a searcher's name, or `confirm`.
        phase: `search`, or `confirm` for a leader trained again.
        origin: In the confirm phase, the search trial it repeats; else None.
    """

    trial: int
    config: Config
    seed: int
    source: str
    phase: str = SEARCH
    origin: int | None = None


@dataclass(frozen=True)
class Assigned:
    """A decision: advance a trial to a rung.

    Attributes:
        assignment: Counted from 0 over the whole study.
        rung: Index of the rung to reach; in the confirm phase always the last.
        since: The trial's fidelity before, in its own epoch-equivalents.
        until: Its fidelity at the rung.
    """

    assignment: int
    trial: int
    rung: int
    since: float
    until: float


@dataclass(frozen=True)
class Reported:
    """A trial reached its rung.

    Attributes:
        fidelity: Reached, in its own epoch-equivalents; at least the rung's.
        score: Higher is better, whatever the metric; NaN when it diverged.
        metrics: All metrics on the validation split, as the task names them.
        ledger: Spent since the trial's previous event, in this assignment only.
        selections: How often the policy has selected so far.
        node: Type of the machine, for its price.
    """

    assignment: int
    trial: int
    rung: int
    fidelity: float
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    selections: int = 0
    node: str = "local"


@dataclass(frozen=True)
class Failed:
    """A trial ended by its own fault (diverged, out of memory, raised, hung, missing metric).

    Attributes:
        kind: One word: `diverged`, `memory`, `error`, `hung`, `metric`, `crashed`.
        message: The last line of the error, for a person.
    """

    assignment: int
    trial: int
    rung: int
    kind: str
    message: str
    ledger: Ledger = field(default_factory=Ledger)
    node: str = "local"


@dataclass(frozen=True)
class Interrupted:
    """An assignment was lost to the infrastructure; it stays due and the trial is not to blame."""

    assignment: int
    trial: int
    reason: str
    ledger: Ledger = field(default_factory=Ledger)
    node: str = "local"


@dataclass(frozen=True)
class Held:
    """Machines were held since the last such event of this driver, whether trials ran there or not.

    Attributes:
        machines: Seconds of machines, by type; a bill is of these.
        places: Seconds of places for a trial, by type: a machine may have several.
    """

    machines: Mapping[str, float] = field(default_factory=dict)
    places: Mapping[str, float] = field(default_factory=dict)

    def __sub__(self, other: Held) -> Held:
        """What was held since another moment of the same driver."""
        return Held(_since(self.machines, other.machines), _since(self.places, other.places))


@dataclass(frozen=True)
class BudgetSpent:
    """A limit that no log can foresee (wall clock, money, a person) ended the search or its confirmation."""

    reason: str


@dataclass(frozen=True)
class PhaseStarted:
    """A decision: the study moves on (`confirm`, `verdict`), and why."""

    phase: str
    reason: str


@dataclass(frozen=True)
class TestRead:
    """The test split was read by one confirmed trial; each may do so once."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    assignment: int
    trial: int
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    node: str = "local"


@dataclass(frozen=True)
class Concluded:
    """The study is over.

    Attributes:
        winner: The search trial whose configuration won; None when nothing could be confirmed.
        verdict: The comparison of the winner with its baselines, as JSON.
    """

    winner: int | None
    verdict: Mapping[str, Any] = field(default_factory=dict)


Event: TypeAlias = (
    Opened | DriverStarted | LanesChosen | Proposed | Assigned | Reported | Failed | Interrupted
    | Held | BudgetSpent | PhaseStarted | TestRead | Concluded
)  # fmt: skip
Outcome: TypeAlias = Reported | Failed | Interrupted  # what an engine answers to an assignment

_KINDS: Final[dict[str, type[Any]]] = {
    cls.__name__: cls
    for cls in (
        Opened, DriverStarted, LanesChosen, Proposed, Assigned, Reported, Failed, Interrupted,
        Held, BudgetSpent, PhaseStarted, TestRead, Concluded,
    )
}  # fmt: skip


def to_json(event: Event) -> dict[str, Any]:
    """An event as strict JSON: numbers that are not finite become the strings `nan`, `inf` and `-inf`."""
    body: dict[str, Any] = {"event": type(event).__name__}
    for f in dataclasses.fields(event):
        value = getattr(event, f.name)
        body[f.name] = value.to_json() if isinstance(value, Ledger) else strict(value)
    return body


def from_json(body: Mapping[str, Any]) -> Event:
    """Undo `to_json`.

    Raises:
        FolderError: When the kind of event or one of its fields is unknown (a newer format).
    """
    fields = dict(body)
    kind = fields.pop("event", None)
    cls = _KINDS.get(str(kind))
    if cls is None:
        raise FolderError(f"unknown event {kind!r}: the log is of a newer autotune; upgrade to read it")
    try:
        if "ledger" in fields:
            fields["ledger"] = Ledger.from_json(fields["ledger"])
        if "score" in fields:
            fields["score"] = float(fields["score"])
        if "metrics" in fields:
            fields["metrics"] = {name: float(value) for name, value in fields["metrics"].items()}
        if "verdict" in fields:
            fields["verdict"] = _numbers(fields["verdict"])
        event: Event = cls(**fields)
    except (TypeError, ValueError) as error:
        raise FolderError(
            f"event {kind!r} is of another version of autotune ({error}); read it with that one"
        ) from error
    return event


def strict(value: Any) -> Any:
    """A value as a log writes it: strict JSON, with text for numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value


def _numbers(value: Any) -> Any:
    """Undo `strict` where text is no setting."""
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if isinstance(value, Mapping):
        return {key: item if key == "config" else _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return value


def _since(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: seconds - before.get(name, 0.0) for name, seconds in now.items()}
