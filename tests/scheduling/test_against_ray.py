"""Ours and Ray 2.60's AsyncHyperBandScheduler on identical result streams; every difference has a name."""

import math
import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from autotune.scheduling.asha import judge
from autotune.scheduling.rung import Rung

pytestmark = pytest.mark.ray

RUNGS, HORIZON, REDUCTION = (1, 3, 9), 27, 3


def ray_decisions(stream):
    """What Ray decides for (trial, rung, score) results in order; True goes on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing ray warns about its own dependencies
        from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

        scheduler = AsyncHyperBandScheduler(
            time_attr="t", metric="score", mode="max", max_t=HORIZON, reduction_factor=REDUCTION
        )
        trials = {}
        decisions = []
        for trial, rung, score in stream:
            if trial not in trials:
                trials[trial] = SimpleNamespace(trial_id=str(trial))
                scheduler.on_trial_add(None, trials[trial])
            action = scheduler.on_trial_result(None, trials[trial], {"t": RUNGS[rung], "score": score})
            decisions.append(action == TrialScheduler.CONTINUE)
    return decisions


def our_decisions(stream):
    rungs = [Rung() for _ in RUNGS]
    decisions = []
    for trial, rung, score in stream:
        rungs[rung].record(score, trial)
        decisions.append(judge(trial, score, rungs[rung], REDUCTION))
    return decisions


def explanation(score, before):
    """Why Ray and we differ on a result, given those recorded before it; None when we should not.

    Ray stops a result below the (1 - 1/reduction) percentile, interpolated, of the results before it, NaN
    left out; and never a NaN, since comparing with one is false. We keep the best 1/reduction, at least
    one, of all results with this one among them, NaN counted as lost.
    """
    if math.isnan(score):
        return "nan is never stopped by Ray"
    if any(math.isnan(value) for value in before):
        return "nan does not count for Ray"
    with_it = sorted([*before, score], reverse=True)
    ours = score >= with_it[max(1, len(with_it) // REDUCTION) - 1]
    cutoff = np.percentile(before, (1 - 1 / REDUCTION) * 100) if before else -math.inf
    recorded_first = np.percentile(with_it, (1 - 1 / REDUCTION) * 100)
    if (score >= recorded_first) == ours != (score >= cutoff):
        return "record-then-compare"
    if ours != (score >= recorded_first):
        return "a rank, not an interpolated percentile"
    return None


def streams(nan_rate):
    for seed in range(40):
        chance = random.Random(seed)
        yield [
            (
                trial,
                chance.randrange(len(RUNGS)),
                math.nan if chance.random() < nan_rate else chance.gauss(0, 1),
            )
            for trial in range(60)
        ]


@pytest.mark.parametrize("nan_rate", [0.0, 0.2])
def test_every_difference_is_explained(nan_rate):
    found = {}
    agreed = 0
    for stream in streams(nan_rate):
        recorded = [[] for _ in RUNGS]
        for (_, rung, score), ray, ours in zip(
            stream, ray_decisions(stream), our_decisions(stream), strict=True
        ):
            if ray == ours:
                agreed += 1
            else:
                reason = explanation(score, recorded[rung])
                assert reason is not None, (score, recorded[rung], ray, ours)
                found[reason] = found.get(reason, 0) + 1
            recorded[rung].append(score)
    assert agreed > (0.9 - nan_rate) * 40 * 60  # Ray lets every NaN go on
    assert "record-then-compare" in found or "a rank, not an interpolated percentile" in found
    assert ("nan is never stopped by Ray" in found) == (nan_rate > 0)


def test_a_nan_goes_on_under_ray_and_never_under_ours():
    stream = [(0, 0, 1.0), (1, 0, math.nan)]
    assert ray_decisions(stream)[1]
    assert not our_decisions(stream)[1]


def test_the_first_result_goes_on_under_both():
    assert ray_decisions([(0, 0, -5.0)]) == our_decisions([(0, 0, -5.0)]) == [True]
