"""Trials of several processes, on a cluster of this machine."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from crew_driver import TODO, workload
from driving import drive

from autotune.cluster.trials import crew
from autotune.cluster.trials.leader import Leader
from autotune.events import Reported

pytestmark = pytest.mark.ray


def curve(folder):
    """Losses by sample, step by step as they were written."""
    lines = [json.loads(line) for line in (Path(folder) / "curve.jsonl").read_text().splitlines()]
    return [dict(zip(ids, losses, strict=True)) for _, ids, losses in lines]


@pytest.mark.slow  # a cluster of six nodes, and a trial long enough to be killed in twice
def test_a_trial_of_two_nodes_that_loses_either_goes_on_as_if_nothing_had_happened(tmp_path):
    told = drive("crew_driver.py", tmp_path / "disturbed")
    assert len(told["killed"]) == 2
    assert told["fits"] == 2
    assert told["beside"] > 3  # trials of one process were answered on the same cluster
    *lost, answer = told["told"]
    assert answer["event"] == "Reported"
    assert [one["event"] for one in lost] == ["Interrupted"] * 2

    calm = workload(tmp_path / "calm", pause_s=0.0)
    undisturbed = calm.worker(calm.bulk).advance(TODO, lambda: None)
    assert answer["metrics"] == pytest.approx(undisturbed.metrics, rel=1e-3, abs=1e-3)
    assert answer["fidelity"] == undisturbed.fidelity
    steps, written = curve(tmp_path / "calm"), curve(tmp_path / "disturbed")
    made = [set() for _ in steps]
    for part in written:  # each rank writes its rows of the same batches, some steps twice: after the death
        number = next(n for n, step in enumerate(steps) if part.keys() <= step.keys() and made_by(step, part))
        made[number] |= part.keys()
    assert [set(step) for step in steps] == made


def made_by(step, part):
    """Whether these are the losses of that step."""
    return all(step[sample] == pytest.approx(loss, rel=1e-3, abs=1e-3) for sample, loss in part.items())


def test_a_trial_that_outgrows_its_part_is_moved_to_a_larger_one(tmp_path):
    told = drive("sharing_driver.py", tmp_path)
    moved = ["out of memory in 0.25 of a GPU", "out of memory in 0.5 of a GPU"]
    for trial, end in ((0, "Reported"), (1, "Failed")):
        *interrupted, answer = [one for one in told if one["trial"] == trial]
        assert [one["reason"].split(";")[0] for one in interrupted] == moved
        assert (answer["event"], answer.get("kind", "memory")) == (end, "memory")
    assert {one["event"] for one in told if one["trial"] > 1} == {"Reported"}


def test_processes_meet_on_rays_own_address_only():
    assert crew._interface("127.0.0.1") == {"GLOO_SOCKET_IFNAME": "lo"}
    assert crew._interface("192.0.2.77") == {}  # of nobody


def test_resources_are_named_as_ray_wants_them():
    bundle = {"CPU": 2.0, "GPU": 0.5, "memory": 2**30, "fast": 1.0}
    named = {"num_cpus": 2.0, "num_gpus": 0.5, "memory": 2**30, "resources": {"fast": 1.0}}
    assert crew._options(bundle) == named
    assert crew._options({"GPU": 1.0}) == {"num_cpus": 0, "num_gpus": 1.0, "resources": {}}


class Hands:
    """A crew of which the first cannot begin."""

    made: ClassVar[list] = []

    def __init__(self, size):
        self.made.append(self)
        self.ended = False

    def join(self, workload, bulk, beat):
        if len(self.made) == 1:
            raise ValueError("no such module on that machine")
        return b"key"

    def begin(self, assignment):
        self.begun = assignment

    def dismiss(self):
        self.ended = True

    def lost(self):
        return None


def test_where_another_process_cannot_begin_nobody_trains_and_the_next_time_all_are_new(monkeypatch):
    monkeypatch.setattr("autotune.cluster.trials.leader.Crew", Hands)
    Hands.made.clear()
    done = Reported(1, 0, 0, 1.0, 0.5)
    worker = SimpleNamespace(node="", join=lambda key: None, advance=lambda assignment, beat: done)
    leader = Leader(worker, 2, SimpleNamespace(workload=b""), None)
    leader.node = "local"
    with pytest.raises(ValueError, match="no such module"):
        leader.advance(TODO, lambda: None)
    assert Hands.made[0].ended
    assert leader.advance(TODO, lambda: None) == done
    assert [hands.ended for hands in Hands.made] == [True, False]
    assert leader.advance(TODO, lambda: None) == done
    assert len(Hands.made) == 2
