import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.selectors.uniform.stratified import Stratified, level, strata
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestStratified(SelectorContract):
    @pytest.fixture
    def selector(self) -> Stratified:
        return Stratified()


class TestStratifiedBalanced(SelectorContract):
    @pytest.fixture
    def selector(self) -> Stratified:
        return Stratified("balanced")


def signals_of(targets):
    return Signals(torch.arange(len(targets)), {Signal.TARGETS: torch.as_tensor(targets)})


classes_of = st.lists(st.integers(0, 4), min_size=1, max_size=40)


@given(classes=classes_of, seed=st.integers(0, 9), data=st.data())
def test_each_class_keeps_its_share_rounded_up_or_down(classes, seed, data):
    budget = data.draw(st.integers(1, len(classes)))
    kept = torch.tensor(classes)[draw(Stratified(), signals_of(classes), budget, seed).ids]
    for c in set(classes):
        share = budget * classes.count(c) / len(classes)
        assert math.floor(share - 1e-9) <= int((kept == c).sum()) <= math.ceil(share + 1e-9)


@given(classes=classes_of, seed=st.integers(0, 9), data=st.data())
def test_balanced_classes_are_alike_but_for_those_taken_whole(classes, seed, data):
    budget = data.draw(st.integers(1, len(classes)))
    kept = torch.tensor(classes)[draw(Stratified("balanced"), signals_of(classes), budget, seed).ids]
    numbers = {c: int((kept == c).sum()) for c in set(classes)}
    most = max(numbers.values())
    assert all(number >= most - 1 or number == classes.count(c) for c, number in numbers.items())


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=9), data=st.data())
def test_levelled_parts_sum_to_the_budget_and_differ_only_where_a_stratum_is_small(sizes, data):
    budget = data.draw(st.integers(1, sum(sizes)))
    parts = level(torch.tensor(sizes).double(), budget).tolist()
    assert sum(parts) == pytest.approx(budget)
    assert all(part == size or part == max(parts) for part, size in zip(parts, sizes, strict=True))
    assert all(0 < part <= size for part, size in zip(parts, sizes, strict=True))


@pytest.mark.parametrize("sizes", [(3,), (1, 3), (3, 3, 1), (2, 5)])
def test_proportional_has_no_bias_in_strata_of_any_size(sizes):
    targets = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    n, draws, generator, signals = len(targets), 2000, torch.Generator().manual_seed(0), signals_of(targets)
    for budget in range(1, n):
        counts = torch.zeros(n)
        for _ in range(draws):
            counts[Stratified().select(signals, budget, generator).ids] += 1
        share = budget / n
        assert bool(((counts / draws - share).abs() <= 5 * math.sqrt(share * (1 - share) / draws)).all())


def test_it_is_less_noisy_than_chance():
    targets = torch.arange(100) % 2
    numbers = {
        int(targets[draw(Stratified(), signals_of(targets), 10, seed).ids].sum()) for seed in range(50)
    }
    assert numbers == {5}


def test_real_targets_are_binned_by_quantile():
    targets = torch.tensor([9.0, 1.0, 5.0, float("nan"), 3.0, 3.0])
    assert strata(targets, 3).tolist() == [2, 0, 1, 2, 0, 1]
    assert strata(targets[:, None], 3).tolist() == strata(targets, 3).tolist()
    assert sorted(strata(targets, 99).tolist()) == list(range(6))
    kept = draw(Stratified(), signals_of(torch.arange(100.0)), 10)
    assert sorted((kept.ids // 10).tolist()) == list(range(10))


def test_several_real_targets_are_one_stratum():
    assert strata(torch.rand(5, 2), 3).tolist() == [0] * 5


def test_what_is_out_of_range_is_refused():
    with pytest.raises(SelectorError, match="unknown allocation 'balance'; did you mean 'balanced'"):
        Stratified("balance")
    with pytest.raises(SelectorError, match="bins must be at least 1, got 0"):
        Stratified(bins=0)
