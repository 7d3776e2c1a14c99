"""The contract of a study's result, as a suite to subclass."""

from __future__ import annotations

import json
import math

import pytest

from autotune.events import SEARCH
from autotune.history import Status
from autotune.study.result import Result


class ResultContract:
    """Subclass it, and override `result` to return that of a finished study."""

    @pytest.fixture
    def result(self) -> Result:
        raise NotImplementedError("override the fixture `result`")

    def test_its_folder_says_the_same(self, result: Result) -> None:
        assert Result.load(result.path).to_json() == result.to_json()

    def test_a_pipeline_can_read_it(self, result: Result) -> None:
        said = json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert said["phase"] == "done"
        assert sum(said["trials"].values()) == len(result.history.of_phase(SEARCH))

    def test_what_was_spent_is_the_sum_over_trials(self, result: Result) -> None:
        trials = sum(trial.ledger.epochs(result.reference_flops) for trial in result.history.trials.values())
        assert result.epochs() == pytest.approx(trials)

    def test_nothing_is_in_flight(self, result: Result) -> None:
        assert not result.history.in_flight
        assert all(trial.status is not Status.RUNNING for trial in result.history.trials.values())

    def test_only_confirmed_trials_have_read_the_test_split_once(self, result: Result) -> None:
        for number in result.history.reads:
            assert result.history.trials[number].phase == "confirm"

    def test_the_winner_was_tried(self, result: Result) -> None:
        if result.best_config is not None:
            winner = result.verdict["winner"]
            assert all(
                result.history.trials[number].config == result.best_config for number in winner["trials"]
            )
            assert all(math.isfinite(score) for score in winner["validation"])
