"""The contract of a workload that trains, as a suite to subclass."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from autotune.checkpoint import CheckpointStore
from autotune.events import Config, Failed, Outcome, Reported
from autotune.ledger import Label, Ledger
from autotune.work import Assignment, Worker, Workload

WorkloadFactory = Callable[[Path], Workload]


class Killed(BaseException):
    """Stands in for a process that dies: nothing catches it."""


class Fuse:
    """A beat that kills at its n-th call; never when n is None."""

    def __init__(self, n: int | None = None) -> None:
        self.calls = 0
        self._n = n

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self._n:
            raise Killed


def declared(outcome: Outcome) -> dict[str, Any]:
    """All of an outcome that is a function of its assignment: everything but measured seconds."""
    fields = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome)}
    ledger = fields.pop("ledger")
    flops = {label: charge.flops for label, charge in ledger.charges.items() if charge.flops}
    return fields | {"flops": flops}


def saved(path: Path, trial: int) -> dict[str, Any]:
    """The newest checkpoint of a trial, but for measured seconds; tensors as bytes."""
    checkpoint = CheckpointStore(path).latest(trial)
    if checkpoint is None:
        return {}
    tensors = {name: tensor.numpy().tobytes() for name, tensor in checkpoint.tensors.items()}
    state = {name: part for name, part in checkpoint.state.items() if name != "meter"}
    return {"fidelity": checkpoint.fidelity, "tensors": tensors, "state": state}


class WorkloadContract:
    """Subclass it, and override `make` and `configs`; each configuration is put to every law.

    `rungs` are the fidelities that trials are advanced to. Trials must be deterministic.
    """

    rungs: tuple[float, ...] = (0.4, 1.2)

    @pytest.fixture
    def make(self) -> WorkloadFactory:
        """Builds the workload, with its checkpoints in the given folder."""
        raise NotImplementedError

    @pytest.fixture
    def config(self) -> Config:
        """A configuration; parametrise it."""
        raise NotImplementedError

    def assignment(self, config: Config, rung: int, trial: int = 0) -> Assignment:
        since = self.rungs[rung - 1] if rung else 0.0
        return Assignment(rung, trial, config, 7 + trial, rung, since, self.rungs[rung])

    def run(self, worker: Worker, config: Config, trial: int = 0) -> list[Outcome]:
        return [
            worker.advance(self.assignment(config, rung, trial), lambda: None)
            for rung in range(len(self.rungs))
        ]

    def fresh(self, make: WorkloadFactory, path: Path) -> Worker:
        workload = make(path)
        return workload.worker(workload.bulk)

    def test_it_reaches_its_rungs(self, make: WorkloadFactory, config: Config, tmp_path: Path) -> None:
        beat, worker = Fuse(), self.fresh(make, tmp_path)
        for rung, until in enumerate(self.rungs):
            outcome = worker.advance(self.assignment(config, rung), beat)
            assert isinstance(outcome, Reported), outcome
            assert (outcome.assignment, outcome.trial, outcome.rung) == (rung, 0, rung)
            assert outcome.fidelity >= until
            assert all(charge.seconds >= 0 for charge in outcome.ledger.charges.values())
        assert beat.calls > 0

    def test_hot_is_cold(self, make: WorkloadFactory, config: Config, tmp_path: Path) -> None:
        hot = self.run(self.fresh(make, tmp_path / "hot"), config)
        cold = []
        for rung in range(len(self.rungs)):
            worker = self.fresh(make, tmp_path / "cold")
            cold.append(worker.advance(self.assignment(config, rung), lambda: None))
            worker.close()
        assert [declared(outcome) for outcome in hot] == [declared(outcome) for outcome in cold]
        assert saved(tmp_path / "hot", 0) == saved(tmp_path / "cold", 0)

    @pytest.mark.parametrize("every", [1, 3, 8])
    def test_killed_and_resumed_is_undisturbed(
        self, make: WorkloadFactory, config: Config, tmp_path: Path, every: int
    ) -> None:
        """Killed after ever more beats until it gets through, by workers that know nothing of each other."""
        undisturbed = self.run(self.fresh(make, tmp_path / "whole"), config)
        for rung, expected in enumerate(undisturbed):
            for patience in range(every, 10_000, every):
                worker = self.fresh(make, tmp_path / "killed")
                try:
                    outcome = worker.advance(self.assignment(config, rung), Fuse(patience))
                except Killed:
                    continue
                assert declared(outcome) == declared(expected)
                break
        assert saved(tmp_path / "killed", 0) == saved(tmp_path / "whole", 0)

    @pytest.mark.parametrize("every", [2, 7])
    def test_every_flop_of_a_killed_start_is_saved_or_told_as_lost_once(
        self,
        make: WorkloadFactory,
        config: Config,
        tmp_path: Path,
        every: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from autotune.training.meter import Meter

        undisturbed = self.run(self.fresh(make, tmp_path / "whole"), config)
        spent, told, charge = 0.0, Ledger(), Meter.charge

        def counting(meter: Meter, label: Label, flops: float) -> None:
            nonlocal spent
            spent += flops if label is not Label.SHARED else 0.0
            charge(meter, label, flops)

        monkeypatch.setattr(Meter, "charge", counting)
        for rung in range(len(self.rungs)):
            given = self.assignment(config, rung)
            for patience in range(every, 10_000, every):
                workload = make(tmp_path / "killed")
                worker = workload.worker(workload.bulk)
                worker.node = "spot"
                try:
                    told += worker.advance(given, Fuse(patience)).ledger
                except Killed:
                    remains = workload.remains(given)
                    told += remains.lost
                    assert not remains.lost.charges or remains.node == "spot"
                    assert not workload.remains(given).lost.charges
                    continue
                break
        assert told.own.total.flops == pytest.approx(spent)
        shared = sum(outcome.ledger[Label.SHARED].flops for outcome in undisturbed)
        assert told[Label.SHARED].flops == shared  # computed once, whoever dies of it

    def test_repeating_an_assignment_repeats_its_answer(
        self, make: WorkloadFactory, config: Config, tmp_path: Path
    ) -> None:
        """An answer can be lost on its way; the work is not done again."""
        worker = self.fresh(make, tmp_path)
        first = worker.advance(self.assignment(config, 0), lambda: None)
        again = self.fresh(make, tmp_path).advance(self.assignment(config, 0), lambda: None)
        once_more = worker.advance(self.assignment(config, 0), lambda: None)
        assert declared(first) == declared(again) == declared(once_more)

    def test_trials_do_not_disturb_each_other(
        self, make: WorkloadFactory, config: Config, tmp_path: Path
    ) -> None:
        worker = self.fresh(make, tmp_path / "both")
        mixed: list[Outcome] = []
        for rung in range(len(self.rungs)):
            mixed.append(worker.advance(self.assignment(config, rung), lambda: None))
            worker.advance(self.assignment(config, rung, trial=1), lambda: None)
        alone = self.run(self.fresh(make, tmp_path / "alone"), config)
        assert [declared(outcome) for outcome in mixed] == [declared(outcome) for outcome in alone]

    def test_it_survives_pickling_without_its_data(
        self, make: WorkloadFactory, config: Config, tmp_path: Path
    ) -> None:
        workload = make(tmp_path / "here")
        here = workload.worker(workload.bulk).advance(self.assignment(config, 0), lambda: None)
        travelled: Workload = pickle.loads(pickle.dumps(make(tmp_path / "there")))  # noqa: S301 -- our own
        there = travelled.worker(workload.bulk).advance(self.assignment(config, 0), lambda: None)
        assert declared(here) == declared(there)

    def test_global_randomness_is_neither_read_nor_written(
        self, make: WorkloadFactory, config: Config, tmp_path: Path
    ) -> None:
        outcomes = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            worker = self.fresh(make, tmp_path / str(seed))
            outcomes.append(declared(worker.advance(self.assignment(config, 0), lambda: None)))
            assert torch.equal(torch.get_rng_state(), before)
        assert outcomes[0] == outcomes[1]

    def test_a_start_that_kills_again_and_again_fails(
        self, make: WorkloadFactory, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from autotune.training.attempts import MAX_STARTS, Attempts

        with monkeypatch.context() as patch:
            patch.setattr(Attempts, "end", lambda self: None)  # a process that is gone takes nothing back
            for _ in range(MAX_STARTS):
                with pytest.raises(Killed):
                    self.fresh(make, tmp_path).advance(self.assignment(config, 0), Fuse(1))
        outcome = self.fresh(make, tmp_path).advance(self.assignment(config, 0), lambda: None)
        assert isinstance(outcome, Failed)
        assert outcome.kind == "crashed"
