"""Is one configuration better than another? Paired over seeds, with the difference that could be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from scipy import stats

from autotune.errors import ConfigurationError

POWER: Final = 0.8  # of the smallest difference that a comparison "could have detected"


class Answer(StrEnum):
    """What a comparison says."""

    BETTER = "better"
    EQUIVALENT = "equivalent within the margin"
    INCONCLUSIVE = "inconclusive"
    WORSE = "worse"


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of the winner with one baseline; differences are winner minus baseline.

    Attributes:
        baseline: The arm that the winner is compared with.
        mean: Mean difference in score; positive favours the winner.
        low: Lower end of the confidence interval of the mean.
        high: Upper end.
        detectable: Smallest true difference that these seeds would have shown with probability 0.8.
        answer: In words.
    """

    baseline: str
    mean: float
    low: float
    high: float
    detectable: float
    answer: Answer


def compare(
    baseline: str, ours: Sequence[float], theirs: Sequence[float], margin: float, confidence: float
) -> Comparison:
    """Compare scores of the same seeds by a paired t interval.

    An interval inside the margin is `equivalent` even if it excludes zero: the difference is real, and does
    not matter. An interval of no width (all differences equal) is taken at its word.

    Args:
        baseline: Name of the other side.
        ours: Scores of the winner, by seed.
        theirs: Scores of the baseline, same seeds.
        margin: Difference that would not matter, at least 0.
        confidence: In (0, 1).

    Raises:
        ConfigurationError: With fewer than two pairs, or sides of different length.
    """
    if len(ours) != len(theirs) or len(ours) < 2:
        raise ConfigurationError(
            f"a paired comparison needs two pairs or more, got {len(ours)} and {len(theirs)}"
        )
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    pairs = len(differences)
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / pairs**0.5
    critical = float(stats.t.ppf(0.5 + confidence / 2, pairs - 1))
    low, high = mean - critical * error, mean + critical * error
    detectable = (critical + float(stats.t.ppf(POWER, pairs - 1))) * error
    return Comparison(baseline, mean, low, high, detectable, _answer(low, high, margin))


def _answer(low: float, high: float, margin: float) -> Answer:
    if -margin <= low and high <= margin:
        return Answer.EQUIVALENT
    if low > 0:
        return Answer.BETTER
    if high < 0:
        return Answer.WORSE
    return Answer.INCONCLUSIVE
