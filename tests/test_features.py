import torch

from autotune.features import ordered
from autotune.signals import Reading, Signal, Signals


def test_samples_without_finite_features_come_last_by_id_and_are_never_shown():
    features = torch.arange(12.0).view(6, 2)
    features[1, 0], features[4, 1] = torch.nan, torch.inf
    covered = torch.tensor([True, True, False, True, True, True])
    signals = Signals(
        torch.tensor([10, 11, 12, 13, 14, 15]), {Signal.FEATURES: Reading(features, torch.zeros(6), covered)}
    )
    seen = []

    def backwards(shown, budget):
        seen.append((shown.tolist(), budget))
        return torch.arange(len(shown) - 1, -1, -1)[:budget]

    assert ordered(signals, 2, backwards).ids.tolist() == [15, 13]
    assert ordered(signals, 5, backwards).ids.tolist() == [15, 13, 10, 11, 12]
    assert ordered(signals, 6, backwards).ids.tolist() == [10, 11, 12, 13, 14, 15]
    assert seen == [([[0.0, 1.0], [6.0, 7.0], [10.0, 11.0]], k) for k in (2, 3)]
