import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.coreset.prototypes import Prototypes
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestPrototypes(SelectorContract):
    @pytest.fixture
    def selector(self) -> Prototypes:
        return Prototypes(clusters=3)


def groups():
    """Three far groups around their centres, and how far each sample is from its own."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.tensor([[0.0, 0.0], [90.0, 0.0], [0.0, 90.0]])
    offsets = torch.randn(3, 20, 2, generator=generator)
    offsets -= offsets.mean(1, keepdim=True)
    features = (centers[:, None] + offsets).flatten(0, 1)
    targets = torch.zeros(60, dtype=torch.long)
    signals = Signals(torch.arange(60), {Signal.FEATURES: features, Signal.TARGETS: targets})
    return signals, offsets.flatten(0, 1).norm(dim=1)


def test_scores_are_distances_to_the_nearest_centre():
    signals, distances = groups()
    found = Prototypes(clusters=3).scores(signals, torch.Generator().manual_seed(0))
    assert torch.allclose(found, distances, atol=1e-4)


def test_the_sampler_says_whether_hard_or_easy_ones_are_kept():
    signals, distances = groups()
    assert draw(Prototypes(clusters=3), signals, 5).ids[0] == distances.argmax()
    assert draw(Prototypes("bottom", clusters=3), signals, 5).ids[0] == distances.argmin()


def test_no_cluster_is_refused():
    with pytest.raises(SelectorError, match="clusters must be at least 1"):
        Prototypes(clusters=0)
