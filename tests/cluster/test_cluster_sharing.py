"""A part of a GPU is a part of its memory; a whole one, or none, is left alone."""

from types import SimpleNamespace

import pytest

from autotune.cluster import sharing


@pytest.mark.parametrize(
    ("given", "there", "bound"),
    [
        ({"GPU": 0.25}, True, [0.25]),
        ({"GPU": 0.25}, False, []),
        ({"GPU": 1.0}, True, []),
        ({"GPU": 2.0}, True, []),
        ({"CPU": 1.0}, True, []),
    ],
)
def test_memory_is_bound_by_the_share(given, there, bound, monkeypatch):
    asked = []
    context = SimpleNamespace(get_assigned_resources=lambda: given)
    monkeypatch.setattr(sharing.ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", asked.append)
    sharing.keep_within_share()
    assert asked == bound


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
