"""The paired comparison: its words, and its calibration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from autotune.errors import ConfigurationError
from autotune.evaluation.comparison import Answer, compare

scores = st.lists(st.floats(-1, 1), min_size=5, max_size=5)


def test_agrees_with_scipys_paired_t_interval():
    chance = np.random.default_rng(0)
    ours, theirs = chance.normal(size=(2, 8))
    got = compare("full", list(ours), list(theirs), margin=0.0, confidence=0.9)
    want = stats.ttest_rel(ours, theirs).confidence_interval(0.9)
    assert (got.low, got.high) == pytest.approx((want.low, want.high))


@pytest.mark.parametrize(
    ("ours", "answer"),
    [
        ([0.91, 0.92, 0.93], Answer.BETTER),
        ([0.71, 0.72, 0.73], Answer.WORSE),
        ([0.8101, 0.8199, 0.8301], Answer.EQUIVALENT),
        ([0.70, 0.95, 0.84], Answer.INCONCLUSIVE),
    ],
)
def test_words(ours, answer):
    assert compare("full", ours, [0.81, 0.82, 0.83], margin=0.01, confidence=0.95).answer is answer


@given(scores, scores)
def test_swapping_sides_mirrors_the_answer(ours, theirs):
    one = compare("a", ours, theirs, 0.01, 0.95)
    other = compare("b", theirs, ours, 0.01, 0.95)
    mirror = {Answer.BETTER: Answer.WORSE, Answer.WORSE: Answer.BETTER}
    assert other.answer is mirror.get(one.answer, one.answer)
    assert other.low == pytest.approx(-one.high, abs=1e-12)


def test_a_true_difference_of_the_detectable_size_is_found_about_as_often_as_promised():
    chance = np.random.default_rng(1)
    found = 0
    for _ in range(2000):
        noise = chance.normal(size=10)
        found += compare("full", list(noise + 1.0), [0.0] * 10, 0.0, 0.95).answer is Answer.BETTER
    # sd 1, n 10: the noncentral t test has power 0.80 at a difference of 1.0 (Cohen's tables: n = 10)
    assert 0.75 < found / 2000 < 0.85
    typical = compare("full", list(stats.norm.ppf((np.arange(10) + 0.5) / 10)), [0.0] * 10, 0.0, 0.95)
    assert typical.detectable == pytest.approx(1.0, abs=0.1)


def test_one_pair_is_not_a_comparison():
    with pytest.raises(ConfigurationError, match="two pairs"):
        compare("full", [1.0], [0.5], 0.0, 0.95)
