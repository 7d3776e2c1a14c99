"""Which validation samples judge: fair beginnings of one order, and as many as training is worth."""

import pytest
import torch

from autotune.evaluation.judges import judges, nested_order


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("groups", [None, torch.tensor([0] * 80 + [1] * 15 + [2] * 5)])
def test_an_order_has_everyone_once(groups):
    order = nested_order(groups, generator(), 100)
    assert sorted(order.tolist()) == list(range(100))


def test_every_beginning_has_its_share_of_every_group():
    groups = torch.tensor([0] * 800 + [1] * 150 + [2] * 50)
    order = nested_order(groups, generator(), 1000)
    for length in (20, 100, 333, 1000):
        counts = torch.bincount(groups[order[:length]], minlength=3)
        assert ((counts - length * torch.tensor([0.8, 0.15, 0.05])).abs() <= 1.0).all()


def test_orders_differ_by_seed_only():
    groups = torch.arange(100) % 3
    first = nested_order(groups, generator(1), 100)
    assert first.equal(nested_order(groups, generator(1), 100))
    assert not first.equal(nested_order(groups, generator(2), 100))


def test_members_of_a_group_come_in_random_order():
    firsts = {int(nested_order(torch.zeros(50, dtype=torch.long), generator(s), 50)[0]) for s in range(40)}
    assert len(firsts) > 15


def test_nobody_is_no_order():
    assert len(nested_order(torch.empty(0, dtype=torch.long), generator(), 0)) == 0


@pytest.mark.parametrize(
    ("trained", "expected"),
    [(0.0, 500), (1000.0, 500), (5000.0, 1500), (10_000.0, 3000), (1e9, 6000)],
)
def test_evaluation_takes_its_share_of_training(trained, expected):
    assert judges(trained, 6000, share=0.1, least=500) == expected


def test_there_are_no_more_than_there_are():
    assert judges(0.0, 100, share=0.1, least=500) == 100
    assert judges(10.0, 100, share=float("inf"), least=1) == 100
