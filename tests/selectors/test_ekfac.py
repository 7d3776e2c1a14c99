import pytest
import torch
import torch.nn.functional as F

from autotune.errors import SelectorError
from autotune.numerics.curvature import last_layer_curvature
from autotune.numerics.influence import mean_gradient
from autotune.selectors.influence.ekfac import EKFAC
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract
from autotune.testing.signals import random_readings


class TestEKFAC(SelectorContract):
    @pytest.fixture
    def selector(self) -> EKFAC:
        return EKFAC()


def test_scores_are_products_with_the_solved_target_gradient():
    readings = random_readings(EKFAC.needs, 20)
    h, p, e = (readings[s].values for s in (Signal.EMBEDDINGS, Signal.PROBABILITIES, Signal.ERRORS))
    wanted = mean_gradient(
        readings[Signal.TARGET_SPLIT_EMBEDDINGS].values, readings[Signal.TARGET_SPLIT_ERRORS].values
    )
    solved = last_layer_curvature(h, p, 0.5).solve(wanted)
    expected = torch.einsum("no,od,nd->n", e, solved, F.pad(h, (0, 1), value=1.0))
    scores = EKFAC(damping=0.5).scores(Signals(torch.arange(20), readings), torch.Generator())
    torch.testing.assert_close(scores, expected)


def test_regression_targets_are_refused():
    readings = random_readings(EKFAC.needs, 3) | {Signal.TARGETS: torch.rand(3)}
    with pytest.raises(SelectorError, match="class ids"):
        EKFAC().scores(Signals(torch.arange(3), readings), torch.Generator())


@pytest.mark.parametrize("damping", [0.0, -1.0])
def test_a_damping_out_of_range_is_refused(damping):
    with pytest.raises(SelectorError, match="damping must be finite and above 0, got"):
        EKFAC(damping=damping)
