import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.coreset.moderate import Moderate, class_distances
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestModerate(SelectorContract):
    @pytest.fixture
    def selector(self) -> Moderate:
        return Moderate()


def made_up(n=60, d=5):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator), torch.randint(3, (n,), generator=generator)


def test_distances_are_those_to_the_class_mean_in_float64():
    features, classes = made_up()
    expected = [
        float((features[i].double() - features[classes == classes[i]].double().mean(0)).norm())
        for i in range(60)
    ]
    assert torch.allclose(class_distances(features, classes), torch.tensor(expected), atol=1e-5)


def test_those_around_the_median_are_kept():
    features, classes = made_up()
    signals = Signals(torch.arange(60), {Signal.FEATURES: features, Signal.TARGETS: classes})
    distances = class_distances(features, classes)
    kept = distances[draw(Moderate(), signals, 20).ids]
    order = distances.sort().values
    assert order[18] <= kept.min() <= kept.max() <= order[41]


def test_a_spoilt_sample_changes_no_other():
    features, classes = made_up()
    spoilt = features.clone()
    spoilt[7] = torch.nan
    others = torch.arange(60) != 7
    found = class_distances(spoilt, classes)
    assert bool(found[7].isnan())
    assert torch.allclose(found[others], class_distances(features[others], classes[others]))


def test_regression_targets_are_refused():
    with pytest.raises(SelectorError, match="'moderate' needs class ids"):
        draw(
            Moderate(),
            Signals(torch.arange(3), {Signal.FEATURES: torch.rand(3, 2), Signal.TARGETS: torch.rand(3)}),
            1,
        )
