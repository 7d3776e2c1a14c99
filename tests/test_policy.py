"""Policies: their contract for every selector, and what is refused."""

import pytest

from autotune.errors import PolicyError, SelectorError
from autotune.policy import Policy, Schedule, Weighting, fraction_of, policy_parameters
from autotune.selection import make_selector, selector_names
from autotune.testing.policies import PolicyContract


@pytest.mark.parametrize("name", [name for name in selector_names() if name != "full"])
class TestEverySelector(PolicyContract):
    @pytest.fixture
    def policy(self, name):
        return Policy(make_selector(name), 0.2, 0.5, Schedule(0.1, 0.05, 0.1), Weighting.UNIFORM)


class TestFull(PolicyContract):
    @pytest.fixture
    def policy(self):
        return Policy(make_selector("full"))


def test_a_configuration_without_policy_trains_on_all_data():
    assert Policy.from_config({"lr": 0.1}) == Policy(make_selector("full"))


def test_a_pool_is_raised_to_hold_the_subset():
    assert Policy.from_config({"policy": "el2n", "policy.fraction": 0.4, "policy.pool": 0.1}).pool == 0.4


def test_a_share_of_the_pool_stands_for_a_fraction():
    config = {"policy": "el2n", "policy.kept": 0.25, "policy.pool": 0.4}
    assert Policy.from_config(config) == Policy(make_selector("el2n"), fraction=0.1, pool=0.4)
    assert fraction_of(config) == 0.1
    assert Policy.from_config({"policy": "el2n", "policy.kept": 0.25}).fraction == 0.25
    assert fraction_of({"policy": "random", "policy.fraction": 0.2}) == 0.2
    assert fraction_of({"policy": "full"}) is None


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"policy": "el2m"}, "did you mean 'el2n'"),
        ({"policy": "el2n", "policy.skop": 0.1}, "did you mean 'skip'"),
        ({"policy": "el2n", "policy.skip": 1.0}, "policy 'el2n': skip must be in"),
        (
            {"policy": "el2n", "policy.warmup": 1.5},
            r"policy 'el2n': warmup must be in \[0, 1\), got 1.5; it is",
        ),
        ({"policy": "el2n", "policy.pool": -1, "policy.fraction": -2}, "policy 'el2n': fraction must be in"),
        ({"policy": "el2n", "policy.kept": 0.5, "policy.fraction": 0.1}, "stand instead of fraction"),
        ({"policy": "el2n", "policy.kept": 1.5}, "policy 'el2n': kept must be in"),
        ({"policy": "el2n", "policy.lr_factor": 0.0}, "policy 'el2n': lr_factor must be finite and above 0"),
        ({"policy": "el2n", "policy.batch_factor": -2}, "policy 'el2n': batch_factor must be"),
        ({"policy": "el2n", "policy.weighting": "unifrom"}, "did you mean 'uniform'"),
    ],
)
def test_misspelt_names_are_pointed_out(config, text):
    with pytest.raises((SelectorError, PolicyError), match=text):
        Policy.from_config(config)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_fractions_out_of_range_are_refused(fraction):
    with pytest.raises(
        PolicyError, match=r"policy 'random': fraction must be in \(0, 1\], .*; it is a share"
    ):
        Policy(make_selector("random"), fraction)


@pytest.mark.parametrize(
    "schedule", [{"interval": 1.1}, {"warmup": 1.0}, {"anneal": -0.1}, {"warmup": 0.6, "anneal": 0.4}]
)
def test_schedules_out_of_range_are_refused(schedule):
    with pytest.raises(PolicyError):
        Schedule(**schedule)


def test_a_policy_that_selects_is_judged_after_its_second_selection():
    policy = Policy(make_selector("el2n"), 0.1, 0.3, Schedule(interval=0.1, warmup=0.05))
    fair = policy.fair_fidelity(10.0)
    first, gap = 0.5, 1.0
    assert first + gap < fair < first + gap + 0.3


def test_the_second_selection_comes_at_the_end_of_a_pass():
    """A pass takes .4: after the first, .267 after .133 of scoring, an interval of .6 is not over yet."""
    policy = Policy(make_selector("el2n"), 0.4, 0.4, Schedule(interval=0.15))
    assert policy.fair_fidelity(4.0) == pytest.approx(2 * policy.scoring() + 2 * 0.4)
    assert policy.fair_fidelity(2.0) == pytest.approx(2 * policy.scoring() + 0.4)


@pytest.mark.parametrize("name", ["fresh_random", "stratified", "temperature_mixture"])
def test_a_policy_that_reads_only_what_the_data_has_is_fair_from_the_start(name):
    assert Policy(make_selector(name), 0.1).fair_fidelity(10.0) == 0


def test_parameters_of_a_policy_are_its_own_and_its_selectors():
    assert {
        "fraction",
        "kept",
        "pool",
        "interval",
        "warmup",
        "anneal",
        "weighting",
        "lr_factor",
        "batch_factor",
        "sampler",
        "skip",
        "temperature",
        "class_balanced",
    } == policy_parameters("el2n")
