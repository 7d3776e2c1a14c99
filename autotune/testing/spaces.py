"""What every search space and every ready dimension must do, as a suite to subclass, and random spaces."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from autotune.space import Choice, Dimension, Fixed, Float, Int, Scalar, SearchSpace

NAMES = st.text("abcdefgh_-é", min_size=1, max_size=5)
TEXTS = st.one_of(
    NAMES, st.sampled_from(["1e-4", "1", "1.5", "true", "null", "nan", "on", "~", "", "a: b", "1_0"])
)
NUMBERS = st.floats(-1e12, 1e12)
SCALARS: st.SearchStrategy[Scalar] = st.one_of(st.booleans(), st.integers(-(2**40), 2**40), NUMBERS, TEXTS)


def _ordered(bounds: tuple[Any, Any]) -> tuple[Any, Any]:
    return min(bounds), max(bounds)


def _ranges() -> st.SearchStrategy[Dimension]:
    positive, natural = st.floats(1e-12, 1e12), st.integers(1, 2**40)
    integer = st.integers(-(2**40), 2**40)
    return st.one_of(
        st.tuples(NUMBERS, NUMBERS).map(lambda b: Float(*_ordered(b))),
        st.tuples(positive, positive).map(lambda b: Float(*_ordered(b), log=True)),
        st.tuples(integer, integer).map(lambda b: Int(*_ordered(b))),
        st.tuples(natural, natural).map(lambda b: Int(*_ordered(b), log=True)),
    )


def dimensions(depth: int = 2) -> st.SearchStrategy[Dimension]:
    """Random dimensions, whose branches nest up to `depth`."""
    flat = st.one_of(
        _ranges(),
        SCALARS.map(Fixed),
        st.lists(SCALARS, min_size=1, max_size=4, unique=True).map(Choice),
    )
    if depth == 0:
        return flat
    children = st.dictionaries(NAMES, dimensions(depth - 1), max_size=2)
    return flat | st.dictionaries(NAMES, children, min_size=1, max_size=3).map(Choice)


def search_spaces() -> st.SearchStrategy[SearchSpace]:
    """Random spaces; `policy`, which has rules of its own, cannot occur."""
    return st.dictionaries(NAMES, dimensions(), min_size=1, max_size=4).map(SearchSpace)


def check_space(space: SearchSpace, seed: int = 0) -> None:
    """Assert the laws of a search space."""
    assert SearchSpace.from_yaml(space.to_yaml()) == space
    assert SearchSpace.from_optuna(space.to_optuna()) == space
    assert pickle.loads(pickle.dumps(space)) == space  # noqa: S301  # our own bytes
    for config in (space.reference(), space.sample(np.random.default_rng(seed))):
        assert set(config) <= set(space.names())
        assert space.validate(config) == config
        keyed = space.optuna_of(config)
        assert set(keyed) <= set(space.to_optuna())
        assert space.config_of(keyed) == config
        for key, value in keyed.items():
            distribution = space.to_optuna()[key]
            assert distribution._contains(distribution.to_internal_repr(value))
        fixed = space.fix(config)
        assert fixed.combinations() == 1
        assert fixed.reference() == fixed.combination(0) == config
    assert space.sample(np.random.default_rng(seed)) == space.sample(np.random.default_rng(seed))


class SpaceContract:
    """Subclass it, and override `space`."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        raise NotImplementedError("override the fixture `space`")

    @pytest.mark.parametrize("seed", range(3))
    def test_keeps_the_laws(self, space: SearchSpace, seed: int) -> None:
        check_space(space, seed)

    def test_another_parameter_changes_no_draw(self, space: SearchSpace) -> None:
        before = space.sample(np.random.default_rng(1))
        after = (space | {"entirely_new": Float(0, 1)}).sample(np.random.default_rng(1))
        assert {name: after[name] for name in before} == before
