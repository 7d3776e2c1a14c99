import pytest
import torch
import torch.nn.functional as F

from autotune.errors import SelectorError
from autotune.numerics.influence import alignment_scores, mean_gradient
from autotune.selectors.influence.glister import Glister, TargetSplit
from autotune.signals import Reading, Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestGlister(SelectorContract):
    @pytest.fixture
    def selector(self) -> Glister:
        return Glister(rounds=4)


class TestGlisterStochastic(SelectorContract):
    @pytest.fixture
    def selector(self) -> Glister:
        return Glister(rounds=4, epsilon=0.1)


def task(n, m, seed=0, classes=3, width=4):
    """A linear softmax model in float64, and the readings of it."""
    generator = torch.Generator().manual_seed(seed)
    layer = torch.randn(classes, width + 1, generator=generator, dtype=torch.double)
    h = torch.randn(n + m, width, generator=generator, dtype=torch.double)
    y = torch.randint(classes, (n + m,), generator=generator)
    e = (F.pad(h, (0, 1), value=1.0) @ layer.T).softmax(1) - F.one_hot(y, classes)
    readings = {
        Signal.EMBEDDINGS: h[:n],
        Signal.ERRORS: e[:n],
        Signal.TARGET_SPLIT_EMBEDDINGS: h[n:],
        Signal.TARGET_SPLIT_ERRORS: e[n:],
        Signal.TARGET_SPLIT_TARGETS: y[n:],
    }
    return layer, F.pad(h, (0, 1), value=1.0), y, e, Signals(torch.arange(n), readings)


def oracle(layer, rows, y, e, n, budget, step):
    """One pick at a time: the best inner product with the target gradient of a layer that really moves."""
    unit = step / budget / rows[n:].square().sum(1).mean()
    moved, picks = layer.clone().requires_grad_(), []
    for _ in range(budget):
        loss = F.cross_entropy(rows[n:] @ moved.T, y[n:])
        (wanted,) = torch.autograd.grad(loss, moved)
        gains = torch.einsum("no,od,nd->n", e[:n], wanted, rows[:n])
        gains[picks] = -torch.inf
        picks.append(int(gains.argmax()))
        best = torch.outer(e[picks[-1]], rows[picks[-1]])
        moved = (moved.detach() - unit * best).requires_grad_()
    return picks


@pytest.mark.parametrize("step", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_one_by_one_it_is_the_greedy_with_a_layer_that_moves(step, seed):
    layer, rows, y, e, signals = task(25, 9, seed)
    expected = oracle(layer, rows, y, e, 25, 8, step)
    assert draw(Glister(step=step, rounds=10**6), signals, 8).ids.tolist() == expected


def test_the_steps_change_what_is_picked():
    *_, signals = task(200, 30)
    one, many = draw(Glister(step=100.0, rounds=1), signals, 40), draw(Glister(step=100.0), signals, 40)
    assert set(one.ids.tolist()) != set(many.ids.tolist())


def test_in_one_round_it_is_the_best_aligned():
    *_, signals = task(30, 9)
    h, e = signals[Signal.EMBEDDINGS], signals[Signal.ERRORS]
    wanted = mean_gradient(signals[Signal.TARGET_SPLIT_EMBEDDINGS], signals[Signal.TARGET_SPLIT_ERRORS])
    best = alignment_scores(h, e, wanted).argsort(descending=True)[:10]
    assert draw(Glister(rounds=1), signals, 10).ids.tolist() == best.tolist()


def test_a_random_share_of_the_candidates_is_looked_at():
    *_, signals = task(400, 30)
    every, some = draw(Glister(), signals, 40), draw(Glister(epsilon=0.5), signals, 40)
    shared = len(set(every.ids.tolist()) & set(some.ids.tolist()))
    assert 0 < shared < 40
    other = Glister(epsilon=0.5).select(signals, 40, torch.Generator().manual_seed(1))
    assert other.ids.tolist() != some.ids.tolist()


def test_target_rows_that_are_not_finite_are_left_out():
    readings = random_readings(Glister.needs, 20)
    h, e, y = (
        readings[s].values
        for s in (
            Signal.TARGET_SPLIT_EMBEDDINGS,
            Signal.TARGET_SPLIT_ERRORS,
            Signal.TARGET_SPLIT_TARGETS,
        )
    )
    spoilt, keep = h.clone(), torch.arange(len(h)) != 3
    spoilt[3] = torch.nan
    moved = torch.ones(e.shape[1], h.shape[1] + 1)
    expected = TargetSplit.of(h[keep], e[keep], y[keep]).gradient(moved)
    torch.testing.assert_close(TargetSplit.of(spoilt, e, y).gradient(moved), expected)
    assert not bool(TargetSplit.of(h * torch.nan, e, y).gradient(moved).any())


def test_regression_targets_are_refused():
    readings = random_readings(Glister.needs, 3) | {
        Signal.TARGET_SPLIT_TARGETS: Reading.fresh(torch.rand(11))
    }
    with pytest.raises(SelectorError, match="class ids"):
        draw(Glister(), Signals(torch.arange(3), readings), 1)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("step", 0.0, "step must be finite and above 0, got 0.0"),
        ("rounds", 0, "rounds must be at least 1, got 0"),
        ("epsilon", 1.0, r"epsilon must be in \[0, 1\), got 1.0"),
        ("epsilon", -0.1, r"epsilon must be in \[0, 1\), got -0.1"),
    ],
)
def test_values_out_of_range_are_refused(field, value, text):
    with pytest.raises(SelectorError, match=text):
        Glister(**{field: value})
