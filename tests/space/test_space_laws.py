"""Python, YAML and Optuna say the same; draws are independent; grids cover."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotune.errors import SpaceError
from autotune.space import Choice, Fixed, Float, Int, SearchSpace
from autotune.testing.spaces import SpaceContract, check_space, dimensions, search_spaces

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OPTIMIZER = Choice(
    {
        "sgd": {"lr": Float(1e-3, 1, log=True), "momentum": Float(0.8, 0.99)},
        "adamw": {"lr": Float(1e-5, 1e-2, log=True)},
    }
)


class TestSpace(SpaceContract):
    @pytest.fixture
    def space(self):
        return SearchSpace({"optimizer": OPTIMIZER, "width": Int(8, 64, log=True), "depth": 3})


@SETTINGS
@given(search_spaces(), st.integers(0, 2**32))
def test_any_space_survives_yaml_and_optuna(space, seed):
    check_space(space, seed)


@SETTINGS
@given(dimensions(0), st.floats(0, 1, exclude_max=True))
def test_any_dimension_maps_quantiles_and_grids_inside_itself(dim, u):
    for value in (dim.at(u), dim.middle(), *dim.extremes(), *dim.grid(4)):
        assert dim.accept(value) == value


@SETTINGS
@given(dimensions(0), st.floats(0, 1, exclude_max=True))
def test_a_quantile_undoes_what_it_gives(dim, u):
    value = dim.at(u)
    back = dim.quantile(value)
    assert 0 <= back <= 1
    again = dim.at(back)
    assert again == value or (
        isinstance(dim, Float) and math.isclose(again, value, rel_tol=1e-6, abs_tol=1e-9)
    )


@SETTINGS
@given(search_spaces(), st.integers(0, 2**32))
def test_a_configuration_is_at_its_own_coordinates(space, seed):
    config = space.sample(np.random.default_rng(seed))
    own = space.quantiles(config)
    assert list(own) == list(space.optuna_of(config))
    again = space.at({key: 0.5 for _, key, _ in space.places()} | own)
    assert again.keys() == config.keys()
    for name, value in config.items():
        close = isinstance(value, float) and math.isclose(again[name], value, rel_tol=1e-6, abs_tol=1e-9)
        assert again[name] == value or close


@given(st.integers(-20, 20), st.integers(0, 6))
def test_integers_get_equal_shares(low, span):
    dim = Int(low, low + span)
    count = span + 1
    drawn = [dim.at((k + 0.5) / (7 * count)) for k in range(7 * count)]
    assert all(drawn.count(value) == 7 for value in range(low, low + count))


def test_children_are_named_by_their_parent_and_keyed_by_their_branch():
    space = SearchSpace({"optimizer": OPTIMIZER})
    assert space.names() == ("optimizer", "optimizer.lr", "optimizer.momentum")
    assert list(space.to_optuna()) == [
        "optimizer",
        "optimizer[sgd].lr",
        "optimizer[sgd].momentum",
        "optimizer[adamw].lr",
    ]
    assert space.branches() == {"optimizer": ("sgd", "adamw")}
    assert space.options("optimizer") == ("sgd", "adamw")
    assert space.options("policy") == ()
    assert space.reference() == {
        "optimizer": "sgd",
        "optimizer.lr": pytest.approx(math.sqrt(1e-3)),
        "optimizer.momentum": pytest.approx(0.895),
    }


def test_branches_nest():
    inner = Choice({"deep": {"rate": Float(0, 1)}, "flat": {}})
    space = SearchSpace({"a": Choice({"x": {"b": inner}, "y": {}})})
    assert "a[x].b[deep].rate" in space.to_optuna()
    assert space.reference() == {"a": "x", "a.b": "deep", "a.b.rate": 0.5}
    assert space.dimensions == 3
    assert space.combinations(2) == 4


def test_a_configuration_has_as_many_dimensions_as_its_richest_branch():
    assert SearchSpace({"optimizer": OPTIMIZER, "depth": 3, "one": Float(2, 2)}).dimensions == 3


@SETTINGS
@given(search_spaces(), st.integers(1, 3))
def test_a_grid_has_distinct_valid_combinations(space, points):
    count = space.combinations(points)
    some = [space.combination(index, points) for index in range(min(count, 50))]
    assert all(space.validate(config) == config for config in some)
    assert len({repr(config) for config in some}) == len(some)
    if count <= 50:
        assert list(space.grid(points)) == some


def test_a_grid_reaches_both_ends_and_one_point_is_the_middle():
    space = SearchSpace({"lr": Float(1e-4, 1, log=True), "width": Int(1, 9)})
    assert [c["lr"] for c in space.grid(3)][::3] == pytest.approx([1e-4, 1e-2, 1])
    assert list(space.grid(1)) == [space.reference()]
    with pytest.raises(SpaceError, match="points must be at least 1"):
        space.combinations(0)


def test_fixing_keeps_the_branch_and_its_parameters():
    space = SearchSpace({"optimizer": OPTIMIZER, "width": Int(8, 64)})
    fixed = space.fix(optimizer="sgd", width=16)
    assert fixed.parameters["width"] == Fixed(16)
    assert fixed.names() == space.names()
    assert fixed.options("optimizer") == ("sgd",)
    assert fixed.fix({"optimizer.lr": 0.1}).reference()["optimizer.lr"] == 0.1
    with pytest.raises(SpaceError, match="did you mean 'width'"):
        space.fix(widht=16)
    with pytest.raises(SpaceError, match=r"'optimizer\.lr': value must be in"):
        space.fix({"optimizer.lr": 0.5})  # not in the range of adamw, which is still there


def test_spaces_combine_by_name():
    both = SearchSpace({"a": 1, "b": 2}) | SearchSpace({"b": 3})
    assert both == SearchSpace({"a": 1, "b": 3}) != SearchSpace({"a": 1})


def test_draws_fill_the_range():
    rng = np.random.default_rng(0)
    space = SearchSpace({"x": Float(0, 1), "y": Float(0, 1)})
    drawn = np.array([list(space.sample(rng).values()) for _ in range(500)])
    assert drawn.mean(0) == pytest.approx([0.5, 0.5], abs=0.05)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.15


def test_numpy_scalars_become_plain_ones():
    space = SearchSpace({"a": np.float64(0.5), "b": Choice(list(np.array([1, 2]))), "c": Int(np.int64(1), 3)})
    assert [type(v) for v in space.reference().values()] == [float, int, int]
