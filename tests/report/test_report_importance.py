import dataclasses
import math

from synthetic import study

from autotune.events import Opened, Proposed, Reported
from autotune.report.importance import ENOUGH, FEWEST, importances
from autotune.report.view import StudyView


def test_shares_sum_to_one_and_come_from_the_highest_rung_with_enough_results():
    view = StudyView.of(study(400))
    found = importances(view)
    assert found is not None
    assert not found.shares or abs(sum(found.shares.values()) - 1.0) < 1e-9
    assert not set(found.shares) & set(found.chance)
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)
    assert found.results >= FEWEST
    above = [sum(rung in trial.scores for trial in view.search) for rung in range(found.rung + 1, 4)]
    assert all(count < ENOUGH for count in above)


def test_what_explains_no_more_than_shuffled_results_is_not_called_important():
    configs, events = {}, []
    for event in study(150, failing=0.0, confirmed=False):
        if isinstance(event, Proposed):
            configs[event.trial] = event.config
        if isinstance(event, Reported):
            if event.rung > 0:
                continue
            score = -abs(math.log10(configs[event.trial]["optimizer.lr"]) + 1.5)
            event = dataclasses.replace(event, score=score)
        events.append(event)
    found = importances(StudyView.of(events))
    assert found.rung == 0
    assert {key for key in found.shares if key.endswith(".lr")} == set(list(found.shares)[:2])
    assert sum(share for key, share in found.shares.items() if key.endswith(".lr")) > 0.8
    assert "batch_size" in found.chance


def test_too_few_results_or_an_unreadable_space_give_none():
    assert importances(StudyView.of(study(5))) is None
    opened, *rest = study(60)
    assert (
        importances(StudyView.of([Opened({**opened.study, "space": "policy: {choice: [gone]}"}), *rest]))
        is None
    )
