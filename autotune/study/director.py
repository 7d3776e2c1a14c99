"""Every decision of a study, as a function of its log: what is tried, advanced, confirmed and concluded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from autotune.errors import LogError
from autotune.events import (
    CONFIRM,
    SEARCH,
    VERDICT,
    Assigned,
    Concluded,
    Config,
    Event,
    PhaseStarted,
    Proposed,
    to_json,
)
from autotune.history import History, Trial
from autotune.policy import first_rung
from autotune.scheduling.base import Promote, Start, Wait
from autotune.seeds import derive
from autotune.space import SearchSpace
from autotune.study.confirmation import (
    FIRST,
    Candidate,
    candidates,
    confirmed,
    contest,
    finalists,
    verdict,
)
from autotune.study.plan import Plan
from autotune.study.purse import Purse

logger = logging.getLogger(__name__)

Entry: TypeAlias = Callable[[Config], float]  # fidelity below which a configuration cannot be judged
PROPOSALS: Final = 4  # for a new trial, until one is not too dear
DECISIONS = (Proposed, Assigned, PhaseStarted, Concluded)


@dataclass
class Director:
    """The fold that decides; feed it every event of the log in order.

    Attributes:
        plan: How to search.
        space: Where to search.
        arms: Names of the policies in the space.
        reference_flops: FLOPs of one reference epoch-equivalent.
        entry: Lowest fidelity at which a configuration can be judged fairly.
        test: Whether there is a test split to read.
    """

    plan: Plan
    space: SearchSpace
    arms: tuple[str, ...] = ()
    reference_flops: float = 1.0
    entry: Entry = lambda config: 0.0
    test: bool = True
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        self._rungs = self.plan.scheduler.rungs
        self._scheduling: Any = self.plan.scheduler.initial()
        self._searching: Any = self.plan.searcher.initial(self.space)
        self._chosen: list[Candidate] | None = None
        self._finalists: list[Candidate] | None = None
        limit, policies = self.plan.budget.epochs, len(self.arms) > 1
        self._purse = Purse(self.history, limit, self.reference_flops, self._rungs, policies)

    def apply(self, event: Event) -> None:
        """Take in one more event, decisions included."""
        self.history.apply(event)
        self._purse.apply(event)
        self._scheduling = self.plan.scheduler.apply(self._scheduling, event)
        self._searching = self.plan.searcher.apply(self._searching, event)

    def decide(self) -> list[Event]:
        """What to do with one free worker: events that belong together; none means wait for an answer."""
        phases = {SEARCH: self._search, CONFIRM: self._confirm, VERDICT: self._judge}
        decide = phases.get(self.history.phase)
        return decide() if decide else []

    def chosen(self) -> list[Candidate]:
        """The candidates to confirm; fixed once the search has ended."""
        if self._chosen is None:
            self._chosen = candidates(self.history, self.plan.confirm, self.arms)
        return self._chosen

    def search_epochs(self) -> float:
        """Reference epoch-equivalents that the search's trials have spent, without what all of them share."""
        return self._purse.spent

    def _search(self) -> list[Event]:
        reason = self.history.stopped
        decision = Wait() if reason else self.plan.scheduler.decide(self._scheduling, self._purse.pays_for)
        if isinstance(decision, Promote):
            return [self._advance(self.history.trials[decision.trial], decision.rung)]
        if isinstance(decision, Start):
            if self.history.in_flight and not self._purse.pays_for_any():
                return []
            number = len(self.history.trials)
            if self.plan.budget.trials is None or number < self.plan.budget.trials:
                begun, reason = self._begin(number, decision.rung)
                if begun:
                    return begun
            else:
                reason = f"all {number} trials of the budget were started"
        if self.history.in_flight:
            return []
        return [PhaseStarted(CONFIRM, reason or "the scheduler has nothing left to do")]

    def _begin(self, number: int, wanted: int) -> tuple[list[Event], str]:
        """A new trial that the rest of the budget pays for; nothing, and why, where there is none.

        What is proposed first may be too dear, when another draw, of a cheaper policy or a smaller model, or
        a lower rung is not.
        """
        source = type(self.plan.searcher).__name__
        for attempt in range(PROPOSALS):
            seed = derive(self.plan.seed, "cheaper", attempt) if attempt else self.plan.seed
            config = self.plan.searcher.propose(self._searching, number, seed)
            if config is None:
                return [], "the searcher has nothing left to try"
            for rung in range(wanted, -1, -1):
                trial, assigned = self._propose(config, source, SEARCH, None, number, rung)
                if number == 0 or self._purse.pays_to_begin(config, assigned.rung):
                    return [trial, assigned], ""
        return [], f"the budget of {self.plan.budget.epochs:g} epoch-equivalents is spent"

    def _confirm(self) -> list[Event]:
        if self.history.cut is not None:
            return [] if self.history.in_flight else [PhaseStarted(VERDICT, self.history.cut)]
        chosen, seeds = self.chosen(), self.plan.confirm.seeds
        done = len(self.history.of_phase(CONFIRM))
        if done < FIRST * len(chosen):
            return self._confirmation(chosen, done, 0)
        if self._finalists is None:
            if self.history.in_flight:
                return []
            self._finalists = [one.candidate for one in finalists(confirmed(self.history, chosen))]
        further = done - FIRST * len(chosen)
        if further < (seeds - FIRST) * len(self._finalists):
            return self._confirmation(self._finalists, further, FIRST)
        if self.history.in_flight:
            return []
        again = len(self._finalists) if seeds > FIRST else 0
        best = f", the best {again} of them {seeds} times" if again else ""
        return [PhaseStarted(VERDICT, f"{len(chosen)} candidates were trained {FIRST} times{best}")]

    def _confirmation(self, among: Sequence[Candidate], done: int, repetition: int) -> list[Event]:
        """The next of several candidates' repetitions, seed by seed."""
        candidate, repetition = among[done % len(among)], repetition + done // len(among)
        return [*self._propose(candidate.config, "confirm", CONFIRM, candidate.origin, repetition)]

    def _judge(self) -> list[Event]:
        winner, baselines = contest(confirmed(self.history, self.chosen()))
        if self.test and winner is not None:
            entries = [winner, *baselines.values()]
            for trial in (trial for entry in entries for trial in entry.trials):
                reading = any(a.trial == trial.number for a in self.history.in_flight.values())
                if trial.failure is None and trial.number not in self.history.reads and not reading:
                    return [self._advance(trial, len(self._rungs) - 1)]
        if self.history.in_flight:
            return []
        origin = winner.candidate.origin if winner else None
        return [Concluded(origin, verdict(self.history, self.plan.confirm, self.chosen()))]

    def _propose(
        self, config: Config, source: str, phase: str, origin: int | None, repetition: int, least: int = 0
    ) -> tuple[Proposed, Assigned]:
        seed = derive(self.plan.seed, phase, repetition)
        proposed = Proposed(len(self.history.trials), config, seed, source, phase, origin)
        return proposed, self._assign(proposed.trial, max(least, self._entry_rung(config, phase)), 0.0)

    def _advance(self, trial: Trial, rung: int) -> Assigned:
        return self._assign(trial.number, rung, self._rungs[trial.rung] if trial.scores else 0.0)

    def _assign(self, trial: int, rung: int, since: float) -> Assigned:
        return Assigned(self.history.assignments, trial, rung, since, self._rungs[rung])

    def _entry_rung(self, config: Config, phase: str) -> int:
        return len(self._rungs) - 1 if phase == CONFIRM else first_rung(self.entry(config), self._rungs)


def replay(director: Director, events: Iterable[Event], strict: bool = True) -> int:
    """Fold a log into a director, checking that it would have decided each decision in it.

    Args:
        director: Of the study, from which nothing was asked yet.
        events: The log, without what opened it.
        strict: Whether settings that were proposed must be those that are proposed here, to the last digit.
            Another processor, or another version of numpy or Optuna, may round otherwise: then what is
            recorded holds, and is told of.

    Returns:
        The number of decisions checked.

    Raises:
        LogError: At the first decision that differs.
    """
    checked, others = 0, 0
    expected: list[Event] = []
    entered: Proposed | None = None  # proposed otherwise here, and so maybe entered at another rung
    for position, event in enumerate(events, start=1):
        if isinstance(event, DECISIONS):
            expected = expected or director.decide()
            here = expected[0] if expected else None
            if here is None or to_json(here) != to_json(event):
                if strict or not (_rounded(here, event) or _enters(here, event, entered)):
                    raise LogError(
                        f"event {position} records {event}, but a replay decides {here or 'to wait'}"
                    )
                entered = event if isinstance(event, Proposed) else None
                others += isinstance(event, Proposed)
            expected = expected[1:]
            checked += 1
        director.apply(event)
    if others:
        logger.warning(
            "%d of the settings that are recorded would be proposed otherwise here, by another processor or "
            "other versions of Optuna or numpy; those recorded hold",
            others,
        )
    return checked


def _rounded(here: Event | None, event: Event) -> bool:
    """Whether these are proposals for the same trial that differ in their settings only."""
    if not isinstance(here, Proposed) or not isinstance(event, Proposed):
        return False
    return to_json(replace(here, config={})) == to_json(replace(event, config={}))


def _enters(here: Event | None, event: Event, proposed: Proposed | None) -> bool:
    """Whether a trial that was proposed otherwise begins, at whatever rung its own settings begin at."""
    if proposed is None or not isinstance(here, Assigned) or not isinstance(event, Assigned):
        return False
    alike = (here.assignment, here.trial, here.since) == (event.assignment, event.trial, event.since)
    return alike and event.trial == proposed.trial
