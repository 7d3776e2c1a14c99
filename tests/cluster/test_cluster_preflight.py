"""What a live cluster lacks: each node's fault in one sentence, with what to do."""

from dataclasses import replace

import pytest

from autotune.cluster.live.gathered import gathered
from autotune.cluster.live.preflight import NodeFacts, facts, problems, versions
from autotune.cluster.live.rent import LOCAL

HERE = versions()
GOOD = NodeFacts("10.0.0.2", "gpu", HERE, gpus=4, promised=4.0, free_gib=100.0)


def test_nodes_that_are_as_they_should_be_have_no_problem():
    assert problems(HERE, [GOOD, replace(GOOD, gpus=8)], {"GPU": 1}) == []
    assert {"python", "autotune", "ray", "torch", "numpy"} == set(HERE)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"versions": HERE | {"ray": "2.59.0"}}, "has ray 2.59.0, and the driver has 2"),
        ({"versions": {k: v for k, v in HERE.items() if k != "torch"}}, "lacks torch, and the driver has"),
        ({"gpus": 3}, "promises 4 GPUs and PyTorch finds 3"),
        ({"free_gib": 0.5}, "has 0.5 GiB of disk left, below 2"),
        ({"skew_s": -42.0}, "has a clock -42 s from the driver's"),
        ({"silent": "its worker died"}, "has not answered within 60 s: its worker died"),
    ],
)
def test_each_fault_is_told_with_its_node(change, text):
    [said] = problems(HERE, [GOOD, replace(GOOD, node="10.0.0.3", **change)], {"GPU": 1})
    assert said.startswith("node 10.0.0.3 (gpu)")
    assert text in said


def test_gpus_are_no_matter_where_no_trial_asks_for_them():
    assert problems(HERE, [replace(GOOD, gpus=0)], {"CPU": 1}) == []


def test_an_empty_cluster_is_a_problem():
    assert len(problems(HERE, [], {"CPU": 1})) == 1


@pytest.mark.ray
def test_every_node_of_a_live_cluster_answers(ray_cluster):
    found = facts()
    assert [node.silent for node in found] == [None]
    assert [node.versions for node in found] == [HERE]
    assert found[0].group == LOCAL
    assert abs(found[0].skew_s) < 1.0  # its clock is ours


def test_machines_of_a_job_are_waited_for_and_those_that_never_join_are_counted(monkeypatch):
    monkeypatch.setattr("autotune.cluster.live.gathered.time.sleep", lambda seconds: None)
    looks = iter([1, 1, 3])
    assert gathered(3, lambda: [{"Alive": True}] * next(looks), 60.0) == 3
    assert gathered(3, lambda: [{"Alive": True}, {"Alive": False}], 0.0) == 1
