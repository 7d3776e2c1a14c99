"""Selection in parts: the budget, the bound of what one call sees, and what it costs in quality."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autotune.cli import main
from autotune.data import Dataset, Limits
from autotune.errors import ConfigurationError, SelectorError
from autotune.selection import make_selector
from autotune.signals import Signal
from autotune.standalone.partitioned import cut_up, select_in_parts
from autotune.standalone.select import select
from autotune.standalone.sources import Sources
from autotune.standalone.training import Training
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


@pytest.fixture
def shards(tmp_path):
    generator = np.random.default_rng(0)
    for shard in range(3):
        targets = generator.integers(0, 3, 400)
        inputs = (generator.normal(size=(400, 16)) + targets[:, None]).astype(np.float32)
        table = {"x": pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), 16), "label": targets}
        pq.write_table(pa.table(table), tmp_path / f"{shard}.parquet", row_group_size=300)
    return tmp_path


def model(config):
    return nn.Linear(16, 3)


class Watched:
    """Does everything here, and notes which signals were asked of it."""

    def __init__(self):
        self.asked = []

    def passed(self, passing):
        for answer in Here().passed(passing):
            self.asked += answer.keys() - {"id", *self.asked}
            yield answer

    def map(self, function, parts):
        return Here().map(function, parts)


@pytest.mark.parametrize(
    ("name", "spread_out"),
    [
        ("el2n", ["probabilities"]),
        ("k_center", ["features"]),
        ("gradient_norm", ["gradients"]),
        ("less", ["updates"]),
        ("tracin", ["gradients"]),
    ],
)
def test_signals_of_a_trained_model_are_those_of_data_in_memory(shards, tmp_path, name, spread_out):
    inside = Dataset.from_parquet(shards, target="label")
    beyond = Dataset.from_shards(shards, target="label", limits=Limits(1, 1, tmp_path / "cache"))
    watched = Watched()
    sources = Sources(training=Training(model, 1.0, device="cpu"), spread=watched)
    expected, found = (select(data, make_selector(name), 0.1, sources) for data in (inside, beyond))
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.facts["parts"] == 1
    assert watched.asked == spread_out


def test_features_of_raw_inputs_and_default_models_are_refused(shards, tmp_path):
    data = Dataset.from_shards(shards, target="label", limits=Limits(1, 1, tmp_path / "cache"))
    with pytest.raises(SelectorError, match=r"stay in their shards; give an encoder"):
        select(data, make_selector("k_center"), 0.1)
    with pytest.raises(ConfigurationError, match=r"stay in their shards; name a function .*--model"):
        select(data, make_selector("el2n"), 0.1)


def test_the_command_reads_shards_within_limits(shards, tmp_path, capsys):
    out = str(tmp_path / "subset.csv")
    asked = [
        str(shards),
        "--selector",
        "random",
        "--fraction",
        "0.1",
        "--out",
        out,
        "--quiet",
        "--json",
    ]
    assert main(["select", *asked, "--memory-gib", "0.5", "--cache-gib", "0.01"]) == 0
    assert '"selected": 120' in capsys.readouterr().out
