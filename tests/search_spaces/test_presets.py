"""Ready dimensions fit together, and every combination of them is a policy that can be built."""

import doctest
import importlib

import numpy as np
import pytest

from autotune.errors import SelectorError, SpaceError
from autotune.policy import Policy
from autotune.search_spaces.optimizers import sgd_or_adamw
from autotune.search_spaces.policies import BASELINES, LR_FACTOR, SELECTORS, policies
from autotune.search_spaces.training import batch_size, grad_clip, label_smoothing, training, weight_decay
from autotune.selection import selector_names
from autotune.space import Choice, Fixed, Float, SearchSpace
from autotune.testing.spaces import SpaceContract
from autotune.training.settings import TRAINING_NAMES


class TestEverything(SpaceContract):
    @pytest.fixture
    def space(self):
        return SearchSpace({**training(), "policy": policies(), "label_smoothing": label_smoothing()})


class TestPoliciesOfAllRegisteredSelectors(SpaceContract):
    @pytest.fixture
    def space(self):
        return SearchSpace({"policy": policies(selector_names(), warmup=0.1)})


@pytest.mark.parametrize("name", ["optimizers", "schedules", "policies", "training"])
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(f"autotune.search_spaces.{name}")).failed == 0


def test_every_draw_and_every_corner_is_a_policy():
    space = SearchSpace({"policy": policies()})
    rng = np.random.default_rng(0)
    configs = [*space.grid(2), *(space.sample(rng) for _ in range(200))]
    assert {Policy.from_config(config).name for config in configs} == set(SELECTORS)


def test_baselines_are_arms_unless_removed():
    assert policies(["el2n"]).values == (*BASELINES, "el2n")
    assert policies(["el2n"], without=["full"]).values == ("fresh_random", "el2n")
    with pytest.raises(SpaceError, match="at least one selector, got none"):
        policies([], without=BASELINES)


def test_no_preset_policy_keeps_all_of_its_pool():
    """It would pay for signals and train on random samples."""
    space = SearchSpace({"policy": policies(selector_names())})
    for seed in range(300):
        policy = Policy.from_config(space.sample(np.random.default_rng(seed)))
        assert policy.pool == 1.0 or policy.fraction < policy.pool


def test_ranges_replace_where_they_belong():
    chosen = policies(fraction=0.1, pool=Float(0.5, 1), anneal=0.1)
    assert chosen.children("full") == {}
    assert chosen.children("fresh_random") == {"fraction": Fixed(0.1), "anneal": Fixed(0.1)}
    assert chosen.children("el2n")["pool"] == Float(0.5, 1)
    assert "pool" not in chosen.children("random")


def test_a_learning_rate_can_be_shifted_under_each_policy_that_selects():
    space = SearchSpace({"lr": 0.1, "policy": policies(lr_factor=LR_FACTOR)})
    for name in space.options("policy"):
        children = space.parameters["policy"].children(name)
        assert ("lr_factor" in children) == (name != "full")
    assert space.reference() == {"lr": 0.1, "policy": "full"}


def test_misspelt_names_are_refused():
    with pytest.raises(SelectorError, match="did you mean 'el2n'"):
        policies(["el2m"])
    with pytest.raises(SpaceError, match="did you mean 'fraction'"):
        policies(fracton=0.1)


def test_each_optimizer_has_its_own_rates():
    optimizer = sgd_or_adamw()
    assert isinstance(optimizer, Choice)
    assert optimizer.children("sgd")["lr"] != optimizer.children("adamw")["lr"]
    assert "momentum" not in optimizer.children("adamw")


def test_the_ready_loop_reads_every_ready_setting():
    extras = {"label_smoothing": label_smoothing(), "grad_clip": grad_clip(), "weight_decay": weight_decay()}
    assert set(SearchSpace({**training(), **extras}).names()) <= TRAINING_NAMES


def test_sizes():
    assert batch_size().values == (32, 64, 128, 256)
    assert weight_decay().log
    with pytest.raises(SpaceError, match="no power of two"):
        batch_size(33, 60)


@pytest.mark.parametrize("horizon", [3.0, 9.0, 27.0])
def test_every_preset_policy_can_be_judged_by_a_third_of_the_horizon(horizon):
    """So that with the usual reduction of 3 none has to be trained to the end untested."""
    space = SearchSpace({"policy": policies()})
    for seed in range(300):
        policy = Policy.from_config(space.sample(np.random.default_rng(seed)))
        assert policy.fair_fidelity(horizon) <= horizon / 3
