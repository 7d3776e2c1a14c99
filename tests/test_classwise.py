import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.classwise import weighted_by_class
from autotune.signals import Signal, Signals


def first(rows, count):
    """The first ones, with weights 1, 2, ..."""
    return torch.arange(count), torch.arange(1.0, count + 1)


def signals(targets):
    return Signals(10 * torch.arange(len(targets)), {Signal.TARGETS: torch.tensor(targets)})


@given(
    targets=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    data=st.data(),
    together=st.booleans(),
    at_once=st.integers(1, 30),
)
def test_the_budget_is_met_and_what_cannot_be_judged_comes_last(targets, data, together, at_once):
    n = len(targets)
    usable = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    budget = data.draw(st.integers(1, n))
    subset = weighted_by_class(signals(targets), usable, budget, first, together=together, at_once=at_once)
    assert len(set(subset.ids.tolist())) == len(subset) == budget
    assert float(subset.weights.mean()) == pytest.approx(1, rel=1e-5)
    assert int((~usable[subset.ids // 10]).sum()) == max(0, budget - int(usable.sum()))


def test_classes_get_their_share_and_keep_their_weights():
    subset = weighted_by_class(signals([0, 1, 0, 1, 0, 0]), torch.ones(6, dtype=torch.bool), 3, first)
    assert subset.ids.tolist() == [0, 20, 10]
    assert subset.weights.tolist() == pytest.approx([0.75, 1.5, 0.75])


def test_a_class_without_weights_counts_alike_and_as_much_as_it_has_samples():
    def nothing_for_the_first(rows, count):
        return torch.arange(count), torch.full((count,), 2.0 if 1 in rows.tolist() else 0.0)

    subset = weighted_by_class(
        signals([0, 1, 0, 1]), torch.ones(4, dtype=torch.bool), 2, nothing_for_the_first
    )
    assert subset.weights.tolist() == [1.0, 1.0]


def test_everything_is_taken_alike():
    subset = weighted_by_class(signals([0, 1, 1]), torch.ones(3, dtype=torch.bool), 3, first)
    assert subset.ids.tolist() == [0, 10, 20]
    assert subset.weights.tolist() == [1, 1, 1]


def test_targets_that_are_no_classes_are_one_class():
    readings = {Signal.TARGETS: torch.tensor([0.5, 0.1, 0.7])}
    subset = weighted_by_class(Signals(torch.arange(3), readings), torch.ones(3, dtype=torch.bool), 2, first)
    assert subset.ids.tolist() == [0, 1]


def test_a_large_class_chooses_in_parts():
    asked = []

    def noted(rows, count):
        asked.append((rows.tolist(), count))
        return first(rows, count)

    usable = torch.ones(12, dtype=torch.bool)
    subset = weighted_by_class(signals([0] * 10 + [1] * 2), usable, 6, noted, at_once=2)
    assert [count for _, count in asked] == [2, 2, 1, 1]
    assert asked[0][0] == [0, 3, 6, 9]
    assert len(set(subset.ids.tolist())) == 6
