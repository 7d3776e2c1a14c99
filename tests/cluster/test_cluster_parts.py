"""Partitioned selection with its first round on Ray."""

import os

import pytest
import torch

from autotune.cluster.parts import OnRay
from autotune.numerics.similarity import similarities
from autotune.numerics.submodular import facility_location, parted, two_rounds

pytestmark = pytest.mark.ray


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def local_greedy(features):
    """Greedy on some candidates by the objective of their own points."""

    def choose(candidates, budget):
        return candidates[facility_location(similarities(features[candidates], "rbf"), budget).picks]

    def value(candidates):
        alike = torch.cdist(features, features[candidates]).square().neg().exp()
        return float(alike.amax(1).sum())

    return choose, value


def test_the_picks_are_those_of_the_plain_map(ray_cluster):
    choose, value = local_greedy(torch.randn(300, 4, generator=seeded()))
    parts = parted(300, 5, seeded())
    plain = two_rounds(parts, 12, choose, value)
    assert torch.equal(two_rounds(parts, 12, choose, value, OnRay()), plain)
    assert ray_cluster.is_initialized()  # it was there before


def test_parts_are_looked_at_elsewhere_and_answered_in_order(ray_cluster):
    def where(part):
        return torch.tensor([os.getpid(), len(part)])

    parts = [torch.arange(size) for size in (3, 1, 2)]
    answers = list(OnRay(cpus=0.5)(where, parts))
    assert [int(answer[1]) for answer in answers] == [3, 1, 2]
    assert os.getpid() not in {int(answer[0]) for answer in answers}


def test_an_error_in_a_part_is_raised_here(ray_cluster):
    def broken(part):
        raise ValueError("no such candidate")

    with pytest.raises(ValueError, match="no such candidate"):
        OnRay()(broken, [torch.arange(3)])
