"""Where learning curves end, from few points of each: a Bayesian mixture of saturating curves.

A curve rises by `rise * (shape(s) - shape(t))`, and some noise, from time s to time t, in shares of training.
A shape falls from 1 at the first time to 0 at the end: a power law (pow3 in Domhan et al., IJCAI 2015,
https://www.ijcai.org/Proceedings/15/Papers/487.pdf) or an exponential (exp3), with one of several rates. The
rise is normal, so that under each shape its posterior is closed, and shapes are averaged by their marginal
likelihood. What is normal for a study is learnt from all of its curves by expectation-maximisation, in which
a curve that ends early is an incomplete observation: that those with good scores were continued biases
nothing. Noise adds up along a curve, a random walk beside its shape, so that a prediction begins at the last
score, whatever the shapes make of those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

POWERS: Final = (-1.0, 0.0, 0.5, 1.0, 2.0, 4.0)  # rates of power laws; -1 is a line, 0 a logarithm
DECAYS: Final = (3.0, 10.0, 30.0)  # rates of exponentials, per training
RISE: Final = 0.5  # what standardised curves are believed to rise by, and its standard deviation
NOISE: Final = 0.3  # its standard deviation, from one time to the next
OBSERVED: Final = 5.0  # curves that these beliefs are worth
STEPS: Final = 5  # of expectation-maximisation, which goes on from where it was
WORST: Final = -4.0  # standardised score below which all are alike: nobody asks how bad
BEST: Final = 100.0


@dataclass(frozen=True)
class Population:
    """What is known about the curves of a study, in standardised scores.

    Attributes:
        shapes: By shape and time, shape (shapes, times).
        frequencies: Of the shapes, shape (shapes,).
        rises: Means by shape, shape (shapes,).
        variances: Of the rises by shape, shape (shapes,).
        noise: Variance from each time to the next, shape (times - 1,).
        centre: Score that is standardised to 0.
        scale: Difference that is standardised to 1.
    """

    shapes: Array
    frequencies: Array
    rises: Array
    variances: Array
    noise: Array
    centre: float = 0.0
    scale: float = 1.0


def believed(times: Sequence[float]) -> Population:
    """The population before any curve was seen.

    Args:
        times: At which scores are taken, ascending, above 0, at least two; the last is the end of training.
    """
    at = np.asarray(times) / times[-1]
    falls = [at**-rate - 1 if rate else -np.log(at) for rate in POWERS]
    falls += [np.exp(-rate * at) - np.exp(-rate) for rate in DECAYS]
    shapes = np.array([one / one[0] for one in falls])
    alike = np.ones(len(shapes))
    noise = np.full(len(at) - 1, NOISE**2)
    return Population(shapes, alike / len(shapes), RISE * alike, RISE**2 * alike, noise)


def learn(population: Population, scores: Array) -> Population:
    """What is known with some curves at hand, whoever was chosen to be continued by these scores.

    Args:
        population: Where to go on from; curves that it was learnt from must be given again.
        scores: By curve and time, NaN after the last that is known and before the first, shape (n, times).
    """
    low, centre, high = np.nanquantile(scores, [0.25, 0.5, 0.75])
    scale = float(high - low) / 1.349 or float(np.nanstd(scores)) or 1.0  # of a normal distribution: 1
    known = replace(population, centre=float(centre), scale=scale)
    for _ in range(STEPS):
        known = _step(known, _standardised(known, scores))
    return known


def ends(population: Population, scores: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of what curves end with.

    Args:
        population: What is known about such curves.
        scores: As for `learn`; at least one of each curve is known.

    Returns:
        Two arrays of shape (n,), in the unit of the scores.
    """
    weights, rises, variances = _posterior(population, _standardised(population, scores))
    last = scores.shape[1] - 1 - np.isfinite(scores)[:, ::-1].argmax(1)
    left = population.shapes.T[last]
    gain = (weights * rises * left).sum(1)
    wandering = np.append(population.noise[::-1].cumsum()[::-1], 0.0)[last]
    variance = (weights * (variances * left**2 + (rises * left - gain[:, None]) ** 2)).sum(1) + wandering
    reached = scores[np.arange(len(scores)), last]
    return reached + population.scale * gain, population.scale * np.sqrt(variance)


def _standardised(population: Population, scores: Array) -> Array:
    return np.clip((scores - population.centre) / population.scale, WORST, BEST)


def _posterior(population: Population, scores: Array) -> tuple[Array, Array, Array]:
    """Weights of the shapes, means and variances of the rise under each, each of shape (n, shapes)."""
    falls, steps, precisions = _increments(population, scores)
    errors = steps[:, None] - falls * population.rises[:, None]
    variances = 1 / (1 / population.variances + np.einsum("nt,kt->nk", precisions, falls**2))
    moves = variances * np.einsum("nt,nkt,kt->nk", precisions, errors, falls)
    evidence = moves**2 / variances - np.einsum("nt,nkt->nk", precisions, errors**2)
    evidence += np.log(variances / population.variances) + 2 * np.log(population.frequencies)
    weights = np.exp((evidence - evidence.max(1, keepdims=True)) / 2)
    return weights / weights.sum(1, keepdims=True), population.rises + moves, variances


def _increments(population: Population, scores: Array) -> tuple[Array, Array, Array]:
    """Falls of the shapes; steps of the curves, and their precisions, which are 0 where they are unknown."""
    steps = np.diff(scores)
    known = np.isfinite(steps)
    return -np.diff(population.shapes), np.where(known, steps, 0.0), known / population.noise


def _step(population: Population, scores: Array) -> Population:
    """One of expectation-maximisation; the beliefs count like further curves."""
    falls, steps, precisions = _increments(population, scores)
    weights, rises, variances = _posterior(population, scores)
    counts = weights.sum(0)
    means = ((weights * rises).sum(0) + OBSERVED * RISE) / (counts + OBSERVED)
    squares = (weights * (variances + (rises - means) ** 2)).sum(0)
    spread = (squares + OBSERVED * (RISE**2 + (means - RISE) ** 2)) / (counts + OBSERVED)
    errors = (steps[:, None] - rises[..., None] * falls) ** 2 + variances[..., None] * falls**2
    known = precisions > 0
    noise = np.einsum("nk,nkt,nt->t", weights, errors, known) + OBSERVED * NOISE**2
    return replace(
        population,
        frequencies=(counts + OBSERVED / len(counts)) / (len(scores) + OBSERVED),
        rises=means,
        variances=spread,
        noise=noise / (known.sum(0) + OBSERVED),
    )
