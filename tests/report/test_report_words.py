import dataclasses

import pytest
from synthetic import study, write

from autotune.events import Concluded, Opened
from autotune.report.view import StudyView
from autotune.report.words import comparison, summary


def one(answer, **more):
    base = {"baseline": "full", "mean": 0.01, "low": -0.01, "high": 0.03, "detectable": 0.02, "pairs": 5}
    return comparison({**base, "answer": answer, **more}, 0.003, 0.95, {"full"})


@pytest.mark.parametrize(
    ("answer", "start"),
    [
        ("better", "Better than full data"),
        ("worse", "Worse than full data"),
        ("inconclusive", "Not shown to be better than full data"),
        ("equivalent within the margin", "Equivalent to full data"),
    ],
)
def test_each_answer_has_its_sentence_with_interval_and_what_could_be_seen(answer, start):
    sentence = one(answer)
    assert sentence.startswith(start)
    assert "95 % interval −0.01 to +0.03" in sentence
    assert "could detect is 0.02" in sentence


def test_a_finished_study_says_winner_cost_and_waste():
    text = summary(StudyView.of(study(60, prices={"local": 2.0})))
    for phrase in (
        "The winner is trial",
        "5 seeds",
        "search",
        "confirmation",
        "in money",
        "60 configurations",
    ):
        assert phrase in text
    assert "Unfinished" not in text


def test_an_unfinished_study_is_not_quoted():
    text = summary(StudyView.of(study(20, confirmed=False)))
    assert text.startswith("Unfinished")
    assert "do not quote" in text


def test_a_study_without_a_winner_says_why():
    assert "No winner: no candidate could be confirmed" in summary(StudyView.of(study(12, failing=1.0)))


def test_nothing_at_all_is_still_a_summary(tmp_path):
    assert "Unfinished" in summary(StudyView.of([]))
    assert "The search tried 0 configurations" not in summary(write(tmp_path, study(0, confirmed=False)))


def test_a_winner_that_is_a_baseline_claims_nothing_for_selection():
    same = {"baseline": "fresh_random", "answer": None, "reason": "the winner's own policy"}
    said = comparison(same, 0.0, 0.95, {"fresh_random", "el2n"})
    assert said.startswith("The winner's own policy is fresh_random: no other policy that was confirmed had")
    assert comparison(same | {"baseline": "full"}, 0.0, 0.95, set()) == ""  # a space without policies


def test_removed_arms_are_said_to_be_removed():
    opened, *rest = study(30)
    space = "lr: {float: [0.1, 1.0]}\npolicy: {choice: [infobatch]}\n"
    events = [Opened({**opened.study, "space": space}), *rest]
    assert "Removed from the space by the user: full and fresh_random" in summary(StudyView.of(events))


def test_policies_that_had_no_trial_are_said_not_to_be_tried():
    opened, *rest = study(30)
    tried = sorted({trial.arm for trial in StudyView.of([opened, *rest]).search})
    space = f"lr: {{float: [0.1, 1.0]}}\npolicy: {{choice: [{', '.join([*tried, 'herding', 'craig'])}]}}\n"
    events = [Opened({**opened.study, "space": space}), *rest]
    assert "Not tried: craig, herding. Nothing is claimed" in summary(StudyView.of(events))
    assert "Not tried" not in summary(StudyView.of([opened, *rest]))
    begun = [events[0], *study(30, confirmed=False)[1:]]
    assert "Not tried" not in summary(StudyView.of(begun))  # their turn may come


def test_scores_of_a_minimised_metric_are_shown_as_the_metric():
    concluded = study(30)[-1]
    assert isinstance(concluded, Concluded)
    winner = {**concluded.verdict["winner"], "test": [-0.5, -0.7]}
    verdict = {**concluded.verdict, "winner": winner}
    events = [*study(30, mode="min")[:-1], dataclasses.replace(concluded, verdict=verdict)]
    assert "accuracy 0.6 ±" in summary(StudyView.of(events))


def test_a_winner_that_no_trial_proposed_is_called_a_baseline():
    *events, concluded = study(30)
    winner = {**concluded.verdict["winner"], "origin": None}
    done = dataclasses.replace(concluded, winner=None, verdict={**concluded.verdict, "winner": winner})
    assert "a baseline, the leader's settings under policy" in summary(StudyView.of([*events, done]))
