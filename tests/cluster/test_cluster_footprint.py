"""What a trial occupies, and how many of it have place."""

import pytest
from driving import drive

from autotune.cluster.engine import RayEngine
from autotune.cluster.footprint import Footprint
from autotune.engines.function import FunctionWorkload
from autotune.errors import ConfigurationError


def node(cpus, alive=True):
    return {"Alive": alive, "Resources": {"CPU": float(cpus)}}


@pytest.mark.parametrize(
    ("cpus", "footprint", "fits"),
    [
        ([4, 4], Footprint(), 8),
        ([4, 4], Footprint({"CPU": 3}), 2),
        ([4, 4], Footprint(processes=3), 2),
        ([4, 4], Footprint({"CPU": 3}, processes=2), 1),
        ([4, 4], Footprint(processes=2, spread="nodes"), 4),
        ([4, 1, 1], Footprint(processes=2, spread="nodes"), 2),
        ([4, 1, 1], Footprint(processes=3, spread="nodes"), 1),
        ([4], Footprint(processes=2, spread="nodes"), 0),
    ],
)
def test_a_trial_has_place_as_a_whole_or_not_at_all(cpus, footprint, fits):
    nodes = [node(n) for n in cpus]
    assert footprint.fits([*nodes, node(9, alive=False)]) == fits


def machine(cpus, gpus, alive=True):
    return {"Alive": alive, "Resources": {"CPU": float(cpus), "GPU": float(gpus)}}


@pytest.mark.parametrize(
    ("nodes", "workers", "each"),
    [
        ([node(4)], None, {"CPU": 1}),
        ([node(4), machine(8, 1, alive=False)], None, {"CPU": 1}),
        ([node(4), machine(8, 4)], None, {"CPU": 1, "GPU": 1.0}),
        ([machine(8, 4)], 2, {"CPU": 1, "GPU": 1.0}),
        ([machine(8, 4)], 5, {"CPU": 1, "GPU": 0.5}),
        ([machine(8, 1)], 4, {"CPU": 1, "GPU": 0.25}),
    ],
)
def test_of_whom_nobody_says_what_it_occupies_has_a_gpu_where_there_are_any(nodes, workers, each):
    assert Footprint.usual(nodes, workers) == Footprint(each)


@pytest.mark.ray
def test_a_trial_sees_the_gpus_that_it_was_given_and_no_others():
    unsaid, without = drive("granted_driver.py")
    assert unsaid == {"score": 0.0, "share": 1.0, "visible": 1.0, "places": 2}
    assert without == {"score": 0.0, "share": 0.0, "visible": 0.0, "places": 4}


def test_it_is_asked_for_as_one_group():
    group = Footprint({"GPU": 1, "CPU": 2}, processes=2, spread="nodes").placement({"seat": "a"})
    assert (group.bundles, group.strategy) == ([{"GPU": 1, "CPU": 2}] * 2, "STRICT_SPREAD")
    assert Footprint({"GPU": 0.25}).placement({"GPU": 0.5}).bundles == [{"GPU": 0.5}]


def test_what_yaml_can_say():
    assert Footprint.of(None) == Footprint({"CPU": 1})
    assert Footprint.of({"GPU": 0.5}) == Footprint({"GPU": 0.5})
    several = {"processes": 2, "each": {"GPU": 1}, "spread": "nodes"}
    assert Footprint.of(several) == Footprint({"GPU": 1}, 2, "nodes")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"CPU": 0}, "resources_per_trial must ask for something"),
        ({"processes": 0}, "processes must be a whole number of at least 1, got 0"),
        ({"processes": 2.5}, "processes must be a whole number of at least 1, got 2.5"),
        ({"processes": 2, "spread": "node"}, "unknown spread 'node'; did you mean 'nodes'?"),
        ({"processes": 2, "CPU": 1}, "unknown entry 'CPU'; known: each, processes, spread"),
    ],
)
def test_what_cannot_be_meant(given, text):
    with pytest.raises(ConfigurationError) as refused:
        RayEngine(resources_per_trial=given)
    assert text in str(refused.value)


def test_work_that_cannot_be_shared_is_refused_before_anything_starts():
    engine = RayEngine(resources_per_trial=Footprint(processes=2))
    with pytest.raises(ConfigurationError, match="remove processes from resources_per_trial"):
        engine.start(FunctionWorkload(lambda config, fidelity, seed: 0.0))


def test_lanes_are_for_trials_of_one_process():
    with pytest.raises(ConfigurationError, match="need lanes=1, got 4"):
        RayEngine(resources_per_trial=Footprint(processes=2), lanes=4)
