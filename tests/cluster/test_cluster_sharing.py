"""A part of a GPU is a part of its memory; a whole one is left alone, and who has none sees none."""

import os
from types import SimpleNamespace

import pytest

from autotune.cluster.trials import sharing


@pytest.mark.parametrize(
    ("given", "there", "bound", "visible"),
    [
        ({"GPU": 0.25}, True, [0.25], "0,1"),
        ({"GPU": 0.25}, False, [], "0,1"),
        ({"GPU": 1.0}, True, [], "0,1"),
        ({"GPU": 2.0}, True, [], "0,1"),
        ({"CPU": 1.0}, True, [], ""),
    ],
)
def test_memory_is_bound_by_the_share(given, there, bound, visible, monkeypatch):
    asked = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    context = SimpleNamespace(get_assigned_resources=lambda: given)
    monkeypatch.setattr(sharing.ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", asked.append)
    sharing.keep_within_share()
    assert asked == bound
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_a_trial_that_outgrows_its_part_gets_twice_as_much_up_to_a_whole_gpu():
    shares = sharing.Shares(0.3)
    assert shares.of(7) is None
    assert shares.grow(7) == "out of memory in 0.3 of a GPU; it goes on with 0.6"
    assert shares.grow(7) == "out of memory in 0.6 of a GPU; it goes on with 1"
    assert shares.grow(7) is None
    assert (shares.of(7), shares.of(8)) == (1.0, None)


@pytest.mark.parametrize("first", [0.0, 1.0, 2.0])
def test_only_a_part_can_be_outgrown(first):
    assert sharing.Shares(first).grow(7) is None
