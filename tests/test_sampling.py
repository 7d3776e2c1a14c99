import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.sampling import STRATA, Sampler, observed, pick, proportional, rank, top_by_score
from autotune.signals import Reading, Signal, Signals

scores_of = st.lists(
    st.one_of(
        st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -float("inf")]), st.floats(-9, 9, width=32)
    ),
    min_size=1,
    max_size=40,
)


@given(scores_of)
def test_rank_is_a_stable_order_with_what_is_not_finite_last(values):
    scores = torch.tensor(values)
    expected = sorted(
        range(len(values)),
        key=lambda i: (-float(scores[i]), i) if scores[i].isfinite() else (float("inf"), i),
    )
    assert rank(scores).tolist() == expected


@given(values=scores_of, skip=st.floats(0, 0.99), data=st.data())
def test_the_budget_is_met_and_what_is_not_finite_is_the_last_resort(values, skip, data):
    scores, n = torch.tensor(values), len(values)
    budget = data.draw(st.integers(1, n))
    groups = data.draw(st.none() | st.lists(st.integers(0, 3), min_size=n, max_size=n).map(torch.tensor))
    picked = top_by_score(scores, budget, skip=skip, groups=groups)
    assert len(set(picked.tolist())) == len(picked) == budget
    spare = int(scores.isfinite().sum())
    assert int((~scores[picked].isfinite()).sum()) == max(0, budget - spare)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_a_proportional_share_is_exact_within_one(sizes, data):
    budget = data.draw(st.integers(0, sum(sizes)))
    shares = proportional(torch.tensor(sizes), budget).tolist()
    assert sum(shares) == budget
    assert all(
        abs(got - budget * size / sum(sizes)) < 1 and got <= size
        for got, size in zip(shares, sizes, strict=True)
    )


def test_a_sample_without_a_value_reads_as_nan_and_the_reading_stays():
    covered = torch.tensor([True, False])
    reading = Reading(torch.ones(2, 3), torch.zeros(2), covered)
    signals = Signals(torch.arange(2), {Signal.EMBEDDINGS: reading})
    values = observed(signals, Signal.EMBEDDINGS)
    assert values.isnan().all(1).tolist() == [False, True]
    assert bool(reading.values.eq(1).all())


@given(values=scores_of, sampler=st.sampled_from(Sampler), skip=st.floats(0, 0.99), data=st.data())
def test_every_sampler_meets_the_budget_and_takes_what_is_not_finite_last(values, sampler, skip, data):
    scores, n = torch.tensor(values), len(values)
    budget = data.draw(st.integers(1, n))
    groups = data.draw(st.none() | st.lists(st.integers(0, 3), min_size=n, max_size=n).map(torch.tensor))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 9)))
    picked = pick(scores, budget, sampler, generator, skip=skip, groups=groups)
    assert len(set(picked.tolist())) == len(picked) == budget
    spare = int(scores.isfinite().sum())
    assert int((~scores[picked].isfinite()).sum()) == max(0, budget - spare)


def drawn(scores, budget, sampler, seed=0, **options):
    return pick(scores, budget, sampler, torch.Generator().manual_seed(seed), **options).tolist()


def test_top_bottom_and_middle_take_what_their_names_say():
    scores = torch.arange(9.0).flip(0)
    assert drawn(scores, 3, Sampler.TOP) == [0, 1, 2]
    assert drawn(scores, 3, Sampler.TOP, skip=0.25) == [2, 3, 4]
    assert drawn(scores, 3, Sampler.BOTTOM) == [8, 7, 6]
    assert sorted(drawn(scores, 3, Sampler.MIDDLE)) == [3, 4, 5]


def test_coverage_takes_alike_from_every_range_and_small_ranges_whole():
    scores = torch.cat([torch.zeros(1000), torch.ones(4), torch.full((1000,), 2.0)])
    taken = torch.tensor(drawn(scores, 204, Sampler.COVERAGE))
    assert torch.bincount(scores[taken].long()).tolist() == [100, 4, 100]
    assert STRATA > 3  # so that the three values are ranges of their own


@pytest.mark.parametrize("sampler", [Sampler.COVERAGE, Sampler.SOFTMAX])
@pytest.mark.parametrize("groups", [None, torch.arange(100) % 3])
def test_what_is_set_aside_is_never_taken_while_others_are_left(sampler, groups):
    scores = torch.arange(100.0)
    assert max(drawn(scores, 50, sampler, skip=0.3, groups=groups)) < 70
    assert len(set(drawn(scores, 90, sampler, skip=0.3, groups=groups))) == 90


def test_softmax_draws_in_proportion_and_cold_is_top():
    scores = torch.tensor([0.0, 1.0])  # standardised: -1 and 1
    first = [drawn(scores, 1, Sampler.SOFTMAX, seed)[0] for seed in range(2000)]
    expected = torch.tensor([-1.0, 1.0]).softmax(0)[1]
    assert abs(sum(first) / 2000 - float(expected)) < 5 * float(expected * (1 - expected) / 2000) ** 0.5
    spread = torch.arange(20.0)
    assert drawn(spread, 5, Sampler.SOFTMAX, temperature=1e-3) == drawn(spread, 5, Sampler.TOP)


def test_coverage_fills_no_share_of_a_group_with_what_was_set_aside():
    scores, groups = torch.arange(100.0), (torch.arange(100) >= 50).long()
    assert max(drawn(scores, 50, Sampler.COVERAGE, skip=0.4, groups=groups)) < 60


def test_chance_decides_between_ranges_where_the_budget_does_not_reach_all():
    scores = torch.cat([torch.zeros(980), torch.arange(1.0, 21.0) * 100])
    dense = sum(sum(one < 980 for one in drawn(scores, 5, Sampler.COVERAGE, seed)) for seed in range(200))
    assert 20 < dense < 80  # one of 21 ranges: 48 of 1,000 on average
