"""Selection in parts: the budget, the bound of what one call sees, and what it costs in quality."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.selection import make_selector
from autotune.signals import Signal
from autotune.standalone.partitioned import cut_up, select_in_parts
from autotune.training.passing import Here


def features(n=600, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)


def radius(values, picks):
    every, chosen = torch.from_numpy(values), torch.from_numpy(values[picks])
    return float(torch.cdist(every, chosen).amin(1).max())


@settings(max_examples=50)
@given(n=st.integers(1, 300), share=st.floats(0.001, 1), fits=st.integers(1, 400), seed=st.integers(0, 5))
def test_the_budget_is_met_whatever_fits(n, share, fits, seed):
    budget = max(1, round(share * n))
    cut = cut_up(n, budget, fits, torch.Generator().manual_seed(seed))
    assert sorted(np.concatenate(cut.parts).tolist()) == list(range(n))
    assert all(0 <= count <= len(part) for part, count in zip(cut.parts, cut.first, strict=True))
    assert sum(cut.first) == min(n, max(budget, fits))
    assert cut.second == (sum(cut.first) > budget)


@pytest.mark.parametrize(("fits", "worse"), [(40, 1.8), (150, 1.3)])
def test_parts_are_nearly_as_good_as_the_whole(fits, worse):
    values, selector = features(), make_selector("k_center")
    seen = []

    class Watched(Here):
        def map(self, function, parts):
            for part in parts:
                seen.append(len(part.ids))
                yield function(part)

    ids = np.arange(600) * 3
    subset, cut = select_in_parts(selector, ids, {Signal.FEATURES: values}, 60, fits, 0, Watched())
    assert len(subset) == len(torch.unique(subset.ids)) == 60
    assert max(seen) < 1.5 * fits  # parts are drawn at random
    assert cut.second == (fits > 60)
    whole, _ = select_in_parts(selector, ids, {Signal.FEATURES: values}, 60, 600, 0, Here())
    assert radius(values, subset.ids.numpy() // 3) < worse * radius(values, whole.ids.numpy() // 3)
    again, _ = select_in_parts(selector, ids, {Signal.FEATURES: values}, 60, fits, 0, Here())
    assert torch.equal(again.ids, subset.ids)


def test_one_part_is_the_selector_itself():
    values, selector = features(), make_selector("facility_location")
    subset, cut = select_in_parts(selector, np.arange(600), {Signal.FEATURES: values}, 20, 600, 3, Here())
    assert len(cut.parts) == 1
    assert len(subset) == 20


def test_rules_that_weigh_all_samples_are_refused():
    with pytest.raises(
        SelectorError, match=r"'craig' has to see all 600 candidates at once, .* raise memory_gib"
    ):
        select_in_parts(
            make_selector("craig"), np.arange(600), {Signal.FEATURES: features()}, 9, 50, 0, Here()
        )
