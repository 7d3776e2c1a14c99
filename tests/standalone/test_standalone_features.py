import numpy as np
import pytest
import torch
from torch import nn

from autotune.data import Dataset
from autotune.errors import ConfigurationError
from autotune.standalone.features import BAG, WIDTH, bag_of_words, encoder_features, raw_features
from autotune.standalone.progress import Silent


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_columns_of_a_table_are_standardised_and_constant_ones_are_nothing():
    table = np.random.default_rng(0).normal(5, [1, 100, 0], (50, 3)).astype(np.float32)
    features, words = raw_features(Dataset.from_arrays(table), seeded())
    assert words == "standardised columns"
    assert torch.allclose(features.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(features[:, :2].std(0, correction=0), torch.ones(2), atol=1e-4)
    assert not features[:, 2].any()


def test_wide_inputs_keep_their_principal_components():
    drawing = np.random.default_rng(1)
    scales = 0.95 ** np.arange(200)
    rows = (drawing.normal(size=(600, 200)) * scales) @ np.linalg.qr(drawing.normal(size=(200, 200)))[0]
    images = rows.astype(np.float32).reshape(600, 2, 10, 10)
    features, words = raw_features(Dataset.from_arrays(images), seeded())
    assert "principal components" in words
    centred = rows - rows.mean(0)
    exact = np.linalg.svd(centred, compute_uv=False)[:WIDTH] ** 2 / centred.var(0).mean()
    assert features.shape == (600, WIDTH)
    assert np.allclose(features.double().square().sum(0), exact, rtol=0.02)
    again, _ = raw_features(Dataset.from_arrays(images), seeded())
    assert torch.equal(features, again)


def test_texts_with_the_same_words_are_alike_whatever_their_order():
    tokens = np.array([[5, 9, 7, 0], [7, 5, 9, 0], [5, 2, 3, 4], [0, 0, 0, 0]])
    features = bag_of_words(tokens, seeded())
    assert features.shape == (4, BAG)
    assert torch.allclose(features[0], features[1])
    assert features[0] @ features[2] < 0.6
    assert not features[3].any()
    found, words = raw_features(Dataset.from_arrays(tokens), seeded())
    assert torch.equal(found, features)
    assert words.startswith("words")


def test_an_encoder_reads_prepared_inputs_and_stays_as_it_was():
    images = np.full((5, 1, 2, 2), 255, np.uint8)
    encoder = nn.Sequential(nn.Dropout(0.9), nn.Identity())
    features = encoder_features(Dataset.from_arrays(images), np.array([1, 3]), encoder, "cpu", Silent())
    assert torch.equal(features, torch.ones(2, 4))
    assert encoder.training


@pytest.mark.parametrize("ids", [[[-1, 2], [3, 4]], [[1, 10**9], [3, 4]]])
def test_whole_numbers_that_are_no_token_ids_are_refused(ids):
    with pytest.raises(ConfigurationError, match="taken for token ids, which must be from 0 to"):
        raw_features(Dataset.from_arrays(np.array(ids), np.array([0, 1])), seeded())
