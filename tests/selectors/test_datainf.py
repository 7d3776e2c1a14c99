import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.influence.datainf import DataInf, datainf_scores
from autotune.testing.selectors import SelectorContract


class TestDataInf(SelectorContract):
    @pytest.fixture
    def selector(self) -> DataInf:
        return DataInf()


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def oracle(gradients, direction, damping):
    """The mean of the inverses, each found by a solver, times the damping: before Sherman-Morrison."""
    k = gradients.shape[1]
    ridge = damping * gradients.square().sum(1).mean() / k
    inverses = [
        torch.linalg.inv(torch.outer(g, g) + ridge * torch.eye(k, dtype=torch.double)) for g in gradients
    ]
    return gradients @ (ridge * torch.stack(inverses).mean(0)) @ direction


@pytest.mark.parametrize("damping", [1e-3, 0.1, 10.0])
def test_the_closed_form_is_the_mean_of_inverses(damping):
    gradients, wanted = some(9, 5), some(5, 3, seed=1)
    expected = oracle(gradients, wanted, damping)
    torch.testing.assert_close(datainf_scores(gradients, wanted, damping), expected)
    torch.testing.assert_close(datainf_scores(gradients, wanted[:, 0], damping), expected[:, 0])


def test_much_damping_leaves_the_inner_product():
    gradients, wanted = some(9, 5), some(5, seed=1)
    torch.testing.assert_close(datainf_scores(gradients, wanted, 1e9), gradients @ wanted)


def test_a_row_that_is_not_finite_changes_no_other_and_zero_is_neutral():
    gradients, wanted = some(9, 5), some(5, seed=1)
    gradients[2] = 0
    spoilt = torch.cat([gradients, torch.full((1, 5), torch.nan, dtype=torch.double)])
    found = datainf_scores(spoilt, wanted, 0.1)
    torch.testing.assert_close(found[:9], datainf_scores(gradients, wanted, 0.1))
    assert bool(found[9].isnan())
    assert float(found[2]) == 0
    assert not bool(datainf_scores(torch.zeros(4, 5), torch.full((5,), 1e9), 0.1).any())


@pytest.mark.parametrize("damping", [0.0, -1.0])
def test_a_damping_out_of_range_is_refused(damping):
    with pytest.raises(SelectorError, match="damping must be finite and above 0, got"):
        DataInf(damping=damping)
