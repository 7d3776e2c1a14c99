import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.sampling import observed, proportional, rank, top_by_score
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
