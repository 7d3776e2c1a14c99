"""The contract that every selector passes, and what is special about this one."""

from importlib.metadata import entry_points

import pytest
import torch
from typical_selector import Typical, distance_to_class_mean

from autotune.testing.selectors import SelectorContract


class TestTypical(SelectorContract):
    """Sizes, weights, determinism, ties, and signals that are degenerate."""

    @pytest.fixture
    def selector(self) -> Typical:
        """The one to check."""
        return Typical(skip=0.1)


def test_autotune_finds_it_once_it_is_installed() -> None:
    """The entry point leads to the class."""
    (entry,) = entry_points(group="autotune.selectors", name="typical")
    assert entry.load().Typical is Typical


def test_distances_are_to_the_own_class() -> None:
    """Two classes on a line."""
    features = torch.tensor([[0.0], [2.0], [10.0], [10.0], [13.0]])
    targets = torch.tensor([0, 0, 1, 1, 1])
    assert distance_to_class_mean(features, targets).tolist() == [1.0, 1.0, 1.0, 1.0, 2.0]
