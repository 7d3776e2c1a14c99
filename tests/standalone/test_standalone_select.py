import json

import numpy as np
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from autotune.data import Dataset, digits
from autotune.errors import AutotuneError, ConfigurationError, SelectorError, StorageError
from autotune.selection import make_selector, selector_class, selector_names
from autotune.signals import Signal
from autotune.standalone.rows import beside, candidates, target_split
from autotune.standalone.select import select
from autotune.standalone.sources import Sources
from autotune.standalone.training import Training

FEW = Training(epochs=1)


class Listener:
    """Remembers what it was told."""

    def __init__(self):
        self.notes, self.places = [], {}

    def note(self, text):
        self.notes.append(text)

    def at(self, what, share):
        assert 0.0 <= share <= 1.0
        self.places.setdefault(what, []).append(share)


@pytest.fixture(scope="module")
def small():
    """200 digits, the last 40 of them set aside for testing, in two groups."""
    data = digits().take(np.arange(200))
    groups = np.arange(200) % 2
    return data.with_columns(official_test=np.arange(200) >= 160, groups=groups)


@pytest.mark.parametrize("name", selector_names())
def test_every_selector_works_alone_on_what_is_not_for_testing(small, name):
    fraction = 1.0 if name == "full" else 0.25
    chosen = select(small, make_selector(name), fraction, Sources(training=FEW, target=0.2))
    assert chosen.facts["selector"] == name
    assert set(chosen.facts["signals"]) == {signal.value for signal in selector_class(name).needs}
    assert chosen.ids.max() < 160
    assert np.isclose(chosen.weights.mean(), 1.0, rtol=1e-4)
    json.dumps(dict(chosen.facts))


def test_given_features_need_no_model_and_decide(small):
    line = np.zeros((200, 1), np.float32)
    line[[7, 40]] = [[-5.0], [9.0]]
    listener = Listener()
    chosen = select(small, make_selector("k_center"), 2 / 160, Sources({Signal.FEATURES: line}), 0, listener)
    assert {7, 40} & set(chosen.ids.tolist())
    assert not listener.notes
    assert chosen.facts["signals"] == {"features": "given"}
    short = select(small, make_selector("k_center"), 2 / 160, Sources({Signal.FEATURES: line[:160]}))
    assert short.ids.tolist() == chosen.ids.tolist()


def test_where_features_come_from_is_said(small):
    listener = Listener()
    rule = make_selector("k_center")
    raw = select(small, rule, 0.1, progress=listener)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    by_encoder = select(small, rule, 0.1, Sources(encoder=encoder), progress=listener)
    model = Training(lambda config: nn.Sequential(nn.Flatten(), nn.Linear(64, config["classes"])), epochs=1)
    by_model = select(small, rule, 0.1, Sources(training=model), progress=listener)
    assert ["pixels" in listener.notes[0], "encoder" in listener.notes[1], "model" in listener.notes[2]] == [
        True
    ] * 3
    assert len({tuple(one.ids.tolist()) for one in (raw, by_encoder, by_model)}) >= 2
    assert listener.places["training"][-1] > 0.5
    assert "encoding" in listener.places


def test_the_seed_alone_decides(small):
    def run(seed):
        torch.manual_seed(torch.seed() % 1000)
        chosen = select(small, make_selector("small_loss"), 0.2, Sources(training=FEW), seed)
        other = select(small, make_selector("random"), 0.2, seed=seed)
        return chosen.ids.tolist(), other.ids.tolist()

    assert run(1) == run(1)
    assert run(1)[1] != run(2)[1]


def test_a_nested_order_is_kept_in_the_file(small, tmp_path):
    rule = make_selector("k_center")
    large = select(small, rule, 0.5)
    table = pq.read_table(large.save(tmp_path / "deep" / "subset.parquet"))
    assert table.column_names == ["id", "weight", "order"]
    assert table["order"].to_pylist() == list(range(80))
    assert json.loads(table.schema.metadata[b"autotune"])["selector"] == "k_center"
    assert select(small, rule, 0.25).ids.tolist() == table["id"].to_pylist()[:40]
    again = pc.read_csv(large.save(tmp_path / "subset.csv"))
    assert again["id"].to_pylist() == table["id"].to_pylist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "subset.csv"]


def test_the_target_split_is_no_candidate(small):
    rule = make_selector("target_alignment")
    chosen = select(small, rule, 0.5, Sources(training=FEW, target=np.arange(10, 30)))
    assert chosen.facts["candidates"] == 140
    assert not set(chosen.ids.tolist()) & set(range(10, 30))
    drawn, words = target_split(small, 0.25, 0)
    assert len(drawn) == 40
    assert set(small.targets[drawn]) == set(range(10))
    assert "drawn at random" in words


def test_arrays_go_with_all_rows_or_with_those_not_for_testing(small):
    rows = np.array([3, 150])
    assert beside(small, np.arange(200), rows, "x").tolist() == [3, 150]
    shuffled = small.with_columns(official_test=np.arange(200) < 40)
    assert candidates(shuffled).tolist() == list(range(40, 200))
    assert beside(shuffled, np.arange(40, 200), np.array([50, 150]), "x").tolist() == [50, 150]
    with pytest.raises(SelectorError, match=r"x must have one row per sample, 200 or 160 .*, got 7"):
        beside(small, np.arange(7), rows, "x")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({Signal.FEATURES: np.ones((7, 2))}, "one row per sample, 200 or 160"),
        ({Signal.FEATURES: np.ones(200)}, "must have 2 dimensions"),
        ({Signal.FEATURES: np.array([["a"]] * 200)}, "must hold numbers"),
    ],
)
def test_arrays_that_cannot_be_features_are_refused(small, given, message):
    with pytest.raises(SelectorError, match=message):
        select(small, make_selector("k_center"), 0.1, Sources(given))


def test_what_cannot_work_is_refused_before_a_model_is_trained(small):
    def chosen(name, sources=Sources(training=FEW), data=small, fraction=0.1):  # noqa: B008  # a frozen value
        return select(data, make_selector(name), fraction, sources)

    with pytest.raises(SelectorError, match="fraction"):
        chosen("random", fraction=0.0)
    with pytest.raises(SelectorError, match="give all signals of the target split or none"):
        chosen("target_alignment", Sources({Signal.TARGET_SPLIT_EMBEDDINGS: np.ones((5, 2))}))
    with pytest.raises(SelectorError, match="share of the target split"):
        chosen("target_alignment", Sources(target=1.5))
    with pytest.raises(SelectorError, match="row numbers"):
        chosen("target_alignment", Sources(target=np.array([500])))
    with pytest.raises(SelectorError, match="no column 'groups'"):
        chosen("temperature_mixture", data=digits())
    with pytest.raises(AutotuneError, match="no targets"):
        chosen("stratified", data=Dataset.from_arrays(small.inputs))
    with pytest.raises(ConfigurationError, match="targets"):
        chosen("el2n", data=Dataset.from_arrays(small.inputs))
    with pytest.raises(SelectorError, match=r"no nn\.Linear"):
        chosen("target_alignment", Sources(training=Training(lambda config: Convolution(), epochs=1)))
    with pytest.raises(ConfigurationError, match="one logit for each"):
        chosen("el2n", Sources(training=Training(lambda config: Convolution(3), epochs=1)))
    with pytest.raises(ConfigurationError, match="ZeroDivisionError"):
        chosen("el2n", Sources(training=Training(lambda config: 1 / 0, epochs=1)))
    with pytest.raises(ConfigurationError, match="epochs"):
        Training(epochs=0)


class Convolution(nn.Module):
    """Logits without a linear layer."""

    def __init__(self, logits=10):
        super().__init__()
        self.layer = nn.Conv2d(1, logits, 8)

    def forward(self, inputs):
        return self.layer(inputs).flatten(1)


def test_files_that_cannot_be_written_are_named(small, tmp_path):
    chosen = select(small, make_selector("random"), 0.1)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another --out"):
        chosen.save(tmp_path / "file" / "subset.parquet")
    with pytest.raises(ConfigurationError, match=r"must end in \.parquet or \.csv"):
        chosen.save(tmp_path / "subset.json")


@pytest.mark.parametrize("targets", [np.linspace(1e3, 2e3, 90), np.ones((90, 2), np.float32)])
def test_regression_and_tables_have_a_default_model(targets):
    table = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    data = Dataset.from_arrays(table, targets.astype(np.float32))
    chosen = select(data, make_selector("small_loss"), 0.5, Sources(training=Training(epochs=2)))
    assert "perceptron" in chosen.facts["signals"]["loss"]
    assert len(chosen) == 45


def test_texts_have_a_default_model():
    tokens = np.random.default_rng(0).integers(0, 50, (80, 6))
    data = Dataset.from_arrays(tokens, tokens[:, 0] % 2)
    chosen = select(data, make_selector("el2n"), 0.5, Sources(training=FEW))
    assert "bag of word" in chosen.facts["signals"]["probabilities"]


def test_other_inputs_need_a_model_of_the_users():
    data = Dataset.from_arrays(np.ones((40, 2, 2, 2, 2), np.float32), np.arange(40) % 2)
    with pytest.raises(ConfigurationError, match="--model"):
        select(data, make_selector("el2n"), 0.5)
