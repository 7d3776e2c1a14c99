from types import SimpleNamespace

import pytest

from autotune.cluster.live import draining


@pytest.fixture
def going(monkeypatch):
    """What Ray answers, one after another; an error is raised, and the last one is repeated."""
    answers = [{}]

    def get_draining_nodes():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(draining, "state", SimpleNamespace(get_draining_nodes=get_draining_nodes))
    monkeypatch.setattr(draining, "_LOOK_S", 0.001)
    context = SimpleNamespace(get_node_id=lambda: "here")
    monkeypatch.setattr(draining.ray, "get_runtime_context", lambda: context)
    return answers


def test_work_is_planned_for_nodes_that_stay(going):
    going[:] = [{"b": 0}]
    nodes = [{"NodeID": name} for name in "abc"]
    assert [node["NodeID"] for node in draining.staying(nodes)] == ["a", "c"]


def test_a_notice_is_for_this_machine_and_outlasts_a_head_that_is_away(going):
    going[:] = [{"elsewhere": 0}, ConnectionError("no head"), {"here": 5, "elsewhere": 0}]
    assert draining.notice().wait(30.0)
    assert len(going) == 1  # it was asked until then
