import math

import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.mixture.doremi import DoReMi, doremi_shares
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw

NAN = math.nan


class TestDoReMi(SelectorContract):
    @pytest.fixture
    def selector(self) -> DoReMi:
        return DoReMi()


def replayed(groups, losses, reference, step, smoothing):
    """The same in plain Python, where every source was seen in every column."""
    names = sorted(set(groups))
    shares = [groups.count(g) / len(groups) for g in names]
    for column in range(len(losses[0])):
        for k, g in enumerate(names):
            members = [i for i, other in enumerate(groups) if other == g]
            excess = [max(losses[i][column] - reference[i], 0.0) for i in members]
            shares[k] *= math.exp(step * sum(excess) / len(excess))
        total = sum(shares)
        shares = [(1 - smoothing) * share / total + smoothing / len(names) for share in shares]
    return shares


@pytest.mark.parametrize("step", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_shares_are_those_of_a_replay_by_hand(step, smoothing):
    generator = torch.Generator().manual_seed(0)
    groups = [0, 1, 2, 0, 1, 0, 0, 2]
    losses = torch.rand(8, 3, generator=generator, dtype=torch.double) * 3
    reference = torch.rand(8, generator=generator, dtype=torch.double) * 2
    found = doremi_shares(torch.tensor(groups), losses, reference, step, smoothing)
    assert found.tolist() == pytest.approx(
        replayed(groups, losses.tolist(), reference.tolist(), step, smoothing)
    )


def test_a_source_above_its_reference_grows_and_one_below_it_does_not():
    groups = torch.tensor([0, 0, 1, 1])
    shares = doremi_shares(groups, torch.tensor([[2.0], [2.0], [1.0], [1.0]]), torch.ones(4), 1.0, 0.0)
    assert shares[0] / shares[1] == pytest.approx(math.e)
    below = doremi_shares(groups, torch.tensor([[1.0], [1.0], [0.1], [0.1]]), torch.ones(4), 1.0, 0.0)
    assert below.tolist() == pytest.approx([0.5, 0.5])


def test_a_source_that_nobody_saw_is_neither_raised_nor_lowered():
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    losses = torch.tensor([[3.0], [3.0], [1.0], [1.0], [NAN], [NAN]])
    shares = doremi_shares(groups, losses, torch.zeros(6), 1.0, 0.0)
    assert shares[1] < shares[2] < shares[0]
    natural = torch.tensor([1 / 3] * 3, dtype=torch.double)
    torch.testing.assert_close(doremi_shares(groups, losses * NAN, torch.zeros(6), 1.0, 1e-3), natural)


def test_huge_losses_overflow_nothing():
    shares = doremi_shares(
        torch.tensor([0, 1]), torch.tensor([[1e4, 1e4], [0.0, 0]]), torch.zeros(2), 100.0, 0.01
    )
    assert shares.tolist() == pytest.approx([0.995, 0.005])


def test_the_subset_follows_the_shares():
    n, groups = 1000, torch.arange(1000) % 2
    losses = torch.where(groups == 0, 2.0, 1.0)[:, None]
    readings = {Signal.GROUPS: groups, Signal.LOSS_HISTORY: losses, Signal.REFERENCE_LOSS: torch.ones(n)}
    drawn = draw(DoReMi(step=math.log(4.0), smoothing=0.0), Signals(torch.arange(n), readings), 100).ids
    assert int((drawn % 2 == 0).sum()) == 80
    assert len(set(drawn.tolist())) == 100


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"step": -1.0}, r"step must be in \[0, 100\], got"),
        ({"smoothing": 1.5}, r"smoothing must be in \[0, 1\]"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, text):
    with pytest.raises(SelectorError, match=text):
        DoReMi(**arguments)
