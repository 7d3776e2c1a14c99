"""The contract of a data policy, as a suite to subclass."""

from __future__ import annotations

import pytest
import torch

from autotune.policy import PREFIX, Policy
from autotune.selection import selector_name
from autotune.signals import Signals
from autotune.testing.signals import random_readings, some_ids


class PolicyContract:
    """Subclass it, and override `policy`."""

    @pytest.fixture
    def policy(self) -> Policy:
        raise NotImplementedError("override the fixture `policy`")

    @pytest.mark.parametrize("n", [1, 2, 7, 1000])
    def test_a_subset_is_never_empty_and_fits_into_its_candidates(self, policy: Policy, n: int) -> None:
        assert 1 <= policy.budget(n) <= policy.candidates(n) <= n

    @pytest.mark.parametrize("horizon", [0.1, 3.0, 100.0])
    def test_it_can_be_judged_by_the_end(self, policy: Policy, horizon: float) -> None:
        fair = policy.fair_fidelity(horizon)
        assert 0.0 <= fair <= horizon

    def test_a_policy_that_reads_nothing_is_fair_from_the_start(self, policy: Policy) -> None:
        if not policy.selector.needs:
            assert policy.fair_fidelity(10.0) == 0.0

    def test_its_selector_meets_its_budget(self, policy: Policy) -> None:
        n = 60
        signals = Signals(some_ids(n), random_readings(policy.selector.needs, n))
        subset = policy.selector.select(signals, policy.budget(n), torch.Generator().manual_seed(0))
        assert len(subset) == policy.budget(n)

    def test_a_configuration_says_all_of_it(self, policy: Policy) -> None:
        config = {"policy": selector_name(policy.selector)}
        for part in (policy, policy.schedule, policy.selector):
            for name, value in vars(part).items():
                if name not in ("selector", "schedule"):
                    config[PREFIX + name] = value
        assert Policy.from_config(config) == policy
