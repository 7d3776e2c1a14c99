"""A study on hosts of its own that are taken away from it: the short form of `make chaos`."""

import pytest
from lab.cluster import Cluster
from lab.drill import Drill, until
from lab.driver import Setup
from lab.matrix import ANY_ORDER, WHOLE

pytestmark = [pytest.mark.ray, pytest.mark.lab, pytest.mark.timeout(600)]  # of a machine that does much else


def test_what_the_metadata_service_says_is_enough_for_a_trial_to_leave_in_time(sandbox, cloud_of):
    cluster = Cluster(sandbox)
    cloud = cloud_of(cluster, boot_s=2.0, most=2, idle_s=5.0, told=sandbox.serve_metadata())
    cloud.start()
    drill = Drill(cluster, Setup(trials=12, workers=1, quanta=36, ordered=False), sandbox.folder / "run")
    leaving = drill.busiest()
    fault = drill.announce(leaving, cloud.told)
    drill.recover(fault)
    assert len(cloud.machines) == 2
    until(lambda: len(cloud.living()) == 1, "the machine was given back before it was taken")
    figures = drill.finish()
    assert kept(figures, ANY_ORDER), figures
    assert figures["quanta_begun_again"] == 0  # it was saved before it left
    assert "the node is draining" in (sandbox.folder / f"{leaving.name}-spot.log").read_text()


def kept(figures, bars):
    return {name: figures[name] for name in bars} == dict(bars)


def test_a_study_outlives_its_worker_its_driver_its_node_and_its_power(sandbox):
    cluster = Cluster(sandbox)
    cluster.start()
    cluster.add("w1", "w2", "w3")
    drill = Drill(cluster, Setup(trials=12), sandbox.folder / "run")
    (step, *_) = drill.await_steps().values()
    drill.recover(drill.kill_worker(step))
    drill.recover(drill.kill_driver())
    drill.recover(drill.kill_node(drill.busiest()))
    drill.recover(drill.power_off(drill.busiest()))
    figures = drill.finish()
    assert kept(figures, WHOLE), figures
    assert figures["same_winner"]
    assert figures["interruptions"] >= 3


def test_a_cloud_gives_machines_when_they_are_wanted_and_another_one_for_one_that_leaves(sandbox, cloud_of):
    cluster = Cluster(sandbox)
    cloud = cloud_of(cluster, boot_s=2.0, most=3, idle_s=5.0)
    cloud.start()
    assert not cloud.living()
    drill = Drill(cluster, Setup(trials=30, quanta=36, ordered=False), sandbox.folder / "run")
    until(lambda: len(drill.await_steps()) == 2, "both trials stepped")
    assert len(cloud.machines) == 2
    first, second = cloud.machines.values()
    assert second.asked_at < first.asked_at + 2.0  # before the first one had booted
    fault = drill.give_notice(drill.busiest())
    drill.recover(fault)
    until(lambda: len(cloud.machines) == 3, "another machine was asked for")
    figures = drill.finish()
    assert kept(figures, ANY_ORDER), figures
    assert figures["quanta_begun_again"] == 0  # it was saved before it left
    until(lambda: not cloud.living(), "all machines were given back")
