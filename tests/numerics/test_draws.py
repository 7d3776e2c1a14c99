import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.numerics.draws import from_groups, guessed, inclusion, shuffled_within, systematic, uniform

weights_of = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(weights=weights_of, data=st.data())
def test_chances_are_in_proportion_below_one_and_sum_to_the_budget(weights, data):
    given_weights = torch.tensor(weights, dtype=torch.double)
    budget = data.draw(st.integers(1, len(weights)))
    chances = inclusion(given_weights, budget)
    assert float(chances.sum()) == pytest.approx(budget)
    assert bool((chances > 0).all())
    assert bool((chances <= 1).all())
    ratio = (chances / given_weights)[chances < 1 - 1e-9]
    if len(ratio):
        assert float(ratio.max()) == pytest.approx(float(ratio.min()))
        assert bool((given_weights[chances >= 1 - 1e-9] * ratio.max() >= 1 - 1e-6).all())


@given(weights=weights_of, seed=st.integers(0, 99), data=st.data())
def test_a_systematic_draw_is_distinct_of_exact_size_and_rounds_every_run(weights, seed, data):
    n = len(weights)
    budget = data.draw(st.integers(1, n))
    chances = inclusion(torch.tensor(weights), budget)
    drawn = systematic(chances, seeded(seed))
    assert len(drawn) == budget
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert int(drawn[0]) >= 0
    assert int(drawn[-1]) < n
    first, last = sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n))))
    expected = float(chances[first:last].sum())
    inside = int(((drawn >= first) & (drawn < last)).sum())
    assert math.floor(expected - 1e-6) <= inside <= math.ceil(expected + 1e-6)


def test_a_systematic_draw_has_exactly_the_given_chances():
    chances = inclusion(torch.tensor([1.0, 2.0, 3.0, 10.0, 100.0]), 3)
    generator, draws = seeded(), 4000
    counts = torch.zeros(5)
    for _ in range(draws):
        counts[systematic(chances, generator)] += 1
    error = (counts / draws - chances).abs()
    assert bool((error <= 5 * (chances * (1 - chances) / draws).sqrt() + 1e-9).all())


@pytest.mark.parametrize("start", [0.0, 0.5, 1 - 2**-53])
@pytest.mark.parametrize("budget", [1, 2, 6, 7])
def test_no_start_picks_twice_or_beyond(monkeypatch, start, budget):
    monkeypatch.setattr(
        "autotune.numerics.draws.uniform", lambda n, generator, device: torch.full((n,), start).double()
    )
    drawn = systematic(inclusion(torch.tensor([0.1, 0.2, 0.3, 0.7, 1.1, 1.3, 5.0]), budget), seeded())
    assert len(set(drawn.tolist())) == len(drawn) == budget
    assert set(drawn.tolist()) <= set(range(7))


def test_nothing_is_drawn_from_nothing():
    assert systematic(torch.zeros(3), seeded()).tolist() == []


def test_groups_are_sorted_and_shuffled_inside():
    groups = torch.tensor([1, 0, 1, 0, 1, 1])
    orders = {tuple(shuffled_within(groups, seeded(seed)).tolist()) for seed in range(500)}
    assert len(orders) == 2 * 24
    assert all(set(order[:2]) == {1, 3} for order in orders)


@given(
    groups=st.lists(st.integers(0, 3), min_size=1, max_size=20),
    raw=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    budget=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_groups_get_their_shares_and_repeat_only_when_all_were_drawn(groups, raw, budget, seed):
    _, group, sizes = torch.unique(torch.tensor(groups), return_inverse=True, return_counts=True)
    shares = torch.tensor(raw[: len(sizes)], dtype=torch.double) + 1e-3
    shares = shares / shares.sum()
    drawn = from_groups(group, shares, budget, seeded(seed))
    assert len(drawn) == budget
    times = torch.bincount(drawn, minlength=len(group))
    for g, size in enumerate(sizes.tolist()):
        inside = times[group == g]
        assert abs(int(inside.sum()) - budget * float(shares[g])) < 1 + 1e-9
        assert int(inside.max()) - int(inside.min()) <= 1
        assert int(inside.max()) == math.ceil(int(inside.sum()) / size)


def test_shares_of_groups_are_exact_on_average():
    group, shares = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0.17, 0.5, 0.33])
    generator, draws = seeded(), 4000
    counts = torch.stack(
        [torch.bincount(from_groups(group, shares, 4, generator), minlength=6) for _ in range(draws)]
    )
    expected = 4 * shares[group] / torch.bincount(group)[group]
    error = (counts.double().mean(0) - expected).abs()
    assert bool((error <= 5 * counts.double().std(0) / math.sqrt(draws) + 1e-9).all())


def test_a_guess_is_the_score_of_a_random_known_one():
    scores = torch.tensor([3.0, torch.nan, 5.0, torch.inf])
    filled = torch.stack([guessed(scores, seeded(seed)) for seed in range(50)])
    assert bool((filled[:, [0, 2]] == torch.tensor([3.0, 5.0])).all())
    assert set(filled[:, [1, 3]].flatten().tolist()) == {3.0, 5.0}


def test_where_nothing_is_known_chance_decides():
    first = {int(guessed(torch.full((5,), torch.nan), seeded(seed)).argmax()) for seed in range(50)}
    assert first == set(range(5))


def test_numbers_are_inside_the_open_interval():
    drawn = uniform(1000, seeded(), torch.device("cpu"))
    assert float(drawn.min()) > 0
    assert float(drawn.max()) < 1
