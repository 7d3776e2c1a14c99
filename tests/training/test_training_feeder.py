from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.policy import Policy, Schedule
from autotune.selection import Scope, Selector, Subset
from autotune.training.feeder import ALL, SUBSET, Feeder, phase

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Once(Selector):
    scope: ClassVar[Scope] = Scope.STUDY

    def select(self, signals, budget, generator):
        raise NotImplementedError

    def cost(self, n, budget, width):
        return 0.0


@dataclass(frozen=True)
class Often(Once):
    scope: ClassVar[Scope] = Scope.EPOCH


def feed(policy, n=100, batch_size=16, steps=40, per_step=0.01, chosen=None):
    """Step through a trial in which only steps cost anything; returns (progress, ids) of each."""
    calls = [] if chosen is None else chosen

    def choose(index):
        calls.append(index)
        start = index * policy.budget(n) % n
        return Subset.uniform(torch.arange(start, start + policy.budget(n)) % n)

    feeder = Feeder(policy, torch.arange(n), 0, choose, CPU)
    feeder.batch_size = batch_size
    taken = []
    for step in range(steps):
        feeder.ready(step * per_step)
        ids, _ = feeder.take()
        taken.append((step * per_step, ids))
    return feeder, taken, calls


def test_phases():
    schedule = Schedule(warmup=0.25, anneal=0.25)
    assert [phase(schedule, p) for p in (0.0, 0.24, 0.25, 0.74, 0.75, 1.3)] == [
        ALL,
        ALL,
        SUBSET,
        SUBSET,
        ALL,
        ALL,
    ]


@given(n=st.integers(1, 90), batch_size=st.integers(1, 100), steps=st.integers(1, 30))
def test_a_pass_is_every_sample_once_in_batches_of_one_size(n, batch_size, steps):
    feeder, taken, _ = feed(Policy(Often(), fraction=1.0), n=n, batch_size=batch_size, steps=steps)
    per_pass = -(-n // batch_size)
    assert all(len(ids) <= batch_size for _, ids in taken)
    assert max(len(ids) for _, ids in taken) - min(len(ids) for _, ids in taken) <= 1
    for start in range(0, steps - per_pass + 1, per_pass):
        whole = torch.cat([ids for _, ids in taken[start : start + per_pass]])
        assert sorted(whole.tolist()) == list(range(n))
    assert feeder.selections == 0


def test_passes_differ_in_order():
    _, taken, _ = feed(Policy(Often(), fraction=1.0), batch_size=100, steps=3)
    assert len({tuple(ids.tolist()) for _, ids in taken}) == 3


def test_interval_zero_selects_after_each_pass():
    feeder, _, calls = feed(Policy(Often(), fraction=0.32), steps=40)  # two batches a pass
    assert calls == list(range(20))
    assert feeder.selections == 20


def test_an_interval_is_waited_for_and_passes_are_finished():
    policy = Policy(Often(), fraction=0.32, schedule=Schedule(interval=0.05))
    _, taken, calls = feed(policy, steps=12)
    assert calls == [0, 1]  # due after step 5, in the middle of the third pass, so selected at step 6
    seen = [set(ids.tolist()) for _, ids in taken]
    assert seen[0] | seen[1] == seen[2] | seen[3] == seen[4] | seen[5] == set(range(32))
    assert seen[6] | seen[7] == set(range(32, 64))


def test_what_holds_for_the_study_is_selected_once():
    feeder, _, calls = feed(Policy(Once(), fraction=0.2), steps=40)
    assert calls == [0]
    assert feeder.selections == 1


def test_warmup_and_anneal_end_in_the_middle_of_a_pass():
    policy = Policy(Often(), fraction=0.1, schedule=Schedule(warmup=0.1, anneal=0.2))
    _, taken, calls = feed(policy, steps=10, per_step=0.1, batch_size=10)
    assert len(calls) == 7
    assert set(taken[0][1].tolist()) - set(range(10))
    assert all(set(ids.tolist()) == set(range(10 * i, 10 * i + 10)) for i, (_, ids) in enumerate(taken[1:8]))
    assert (
        len(set(torch.cat([ids for _, ids in taken[8:]]).tolist())) == 20
    )  # one pass over all, begun afresh


@settings(max_examples=40)
@given(
    cut=st.integers(0, 39),
    fraction=st.sampled_from([0.05, 0.3, 1.0]),
    interval=st.sampled_from([0.0, 0.07]),
    scope=st.sampled_from([Once, Often]),
)
def test_restored_anywhere_it_goes_on_the_same(cut, fraction, interval, scope):
    policy = Policy(scope(), fraction=fraction, schedule=Schedule(interval, warmup=0.1, anneal=0.1))
    _, whole, _ = feed(policy, per_step=0.025)
    first, taken, _ = feed(policy, steps=cut, per_step=0.025)
    second, _, _ = feed(policy, steps=0)
    second.restore(*first.capture())
    for step in range(cut, 40):
        second.ready(step * 0.025)
        taken.append((step * 0.025, second.take()[0]))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(taken, whole, strict=True))


def test_an_empty_subset_is_refused():
    feeder = Feeder(
        Policy(Often(), fraction=0.1),
        torch.arange(9),
        0,
        lambda index: Subset(torch.empty(0), torch.empty(0)),
        CPU,
    )
    with pytest.raises(SelectorError):
        feeder.ready(0.0)
