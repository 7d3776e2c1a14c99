import pytest
import torch

from autotune.errors import SelectorError
from autotune.numerics.similarity import matrix, similarities
from autotune.selection import make_selector
from autotune.selectors.coreset.log_det import KERNELS, LogDetSelector
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestLogDet(SelectorContract):
    @pytest.fixture(params=KERNELS)
    def selector(self, request) -> LogDetSelector:
        return LogDetSelector(kernel=request.param)


def signals(features):
    return Signals(torch.arange(len(features)), {Signal.FEATURES: features})


def points(n, d):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_pick_makes_the_determinant_largest_in_float64(kernel):
    features, ridge = points(40, 6), 0.01
    picks = draw(LogDetSelector(ridge, kernel), signals(features), 15).ids.tolist()
    covariance = matrix(similarities(features.double(), kernel)) / ridge + torch.eye(40, dtype=torch.float64)
    for place in range(15):
        values = {
            other: float(torch.logdet(covariance[chosen][:, chosen]))
            for other in set(range(40)) - set(picks[:place])
            for chosen in [[*picks[:place], other]]
        }
        assert values[picks[place]] >= max(values.values()) - 1e-3


def test_a_copy_comes_after_everything_else():
    features = points(30, 6)
    picks = draw(LogDetSelector(0.001), signals(torch.cat([features, features])), 30).ids % 30
    assert len(set(picks.tolist())) == 30


def test_what_does_not_fit_is_refused_before_anything_is_kept():
    with pytest.raises(SelectorError, match=r"memory_gib must be at least 0\.00 for 10 of 30 candidates"):
        draw(LogDetSelector(memory_gib=1e-9), signals(points(30, 2)), 10)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("ridge", 0.0, "ridge must be"), ("memory_gib", 0.0, "memory_gib"), ("kernel", "euclidean", "semi-def")],
)
def test_values_out_of_range_are_refused(name, value, text):
    with pytest.raises(SelectorError, match=text):
        make_selector("log_det", **{name: value})


def test_blank_samples_are_copies_of_each_other():
    features = torch.cat([torch.zeros(20, 6), points(40, 6)])
    picks = draw(LogDetSelector(0.01, "cosine"), signals(features), 20).ids
    assert int((picks < 20).sum()) <= 3  # of twenty
