"""The laboratory keeps its word; no Ray is needed for that."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from operator import attrgetter
from pathlib import Path

import pytest
from lab.billing import idle_s, paid_s, wasted_s
from lab.cloud import Machine
from lab.metadata import ACTION, notify
from lab.reading import (
    Fault,
    Note,
    begun_again,
    busy_s,
    differing,
    excess,
    quantile,
    recoveries,
    saved_twice,
    stepping,
)
from lab.sandbox import METADATA, OWN

ASK = f"""
import urllib.error, urllib.request as web
def ask(path, method="GET", **headers):
    try:
        asked = web.Request("http://{METADATA}/" + path, method=method, headers=headers)
        return web.urlopen(asked, timeout=5).read()
    except urllib.error.HTTPError as error:
        return str(error.code).encode()
token = ask("latest/api/token", "PUT").decode()
print(ask("{ACTION}").decode(), ask("{ACTION}", **{{"X-aws-ec2-metadata-token": token}}).decode())
"""


@pytest.mark.lab
def test_hosts_see_each_other_and_die_alone_and_only_one_is_told_to_go(sandbox):
    one, other = sandbox.host("one"), sandbox.host("other")
    told = sandbox.serve_metadata()
    notify(told, one.address, "2026-01-01T00:02:00Z")
    until_it_listens(one)
    assert one.run([sys.executable, "-c", ASK]).startswith('401 {"action": "terminate"')
    assert other.run([sys.executable, "-c", ASK]).split() == ["401", "404"]
    assert OWN in one.run(["cat", "/proc/net/arp"])  # whoever comes or goes
    assert one.run(["ls", "/tmp/ray"]) == ""
    sleeping = [host.start(["sleep", "1000"]) for host in (one, other)]
    one.kill()
    assert [process.running for process in sleeping] == [False, True]
    assert other.run(["hostname"]) == "other\n"
    sandbox.end()
    assert not sleeping[1].running
    assert not Path(f"/proc/{sleeping[1].pid}/root").exists()


HOLD = """
import sys, time
from operator import attrgetter
from pathlib import Path
from lab.sandbox import Sandbox
with Sandbox(Path(sys.argv[1])) as sandbox:
    print(sandbox.host("one").start(["sleep", "1000"]).pid, flush=True)
    time.sleep(1000)
"""


@pytest.mark.lab
def test_a_sandbox_ends_with_whoever_made_it_however_that_one_dies(sandbox, tmp_path):
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], env=path, stdout=subprocess.PIPE, text=True
    ) as holder:
        sleeping = Path("/proc") / holder.stdout.readline().strip()
        assert (sleeping / "root").exists()
        holder.kill()
    for _ in range(100):
        if not sleeping.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{sleeping} lives on")


def until_it_listens(host):
    code = f"import socket; socket.create_connection(('{METADATA}', 80), 5)"
    for _ in range(100):
        with suppress(RuntimeError):
            return host.run([sys.executable, "-c", code])
    raise AssertionError("the metadata service never listened")


def note(t, what, trial=0, quantum=0, host="a", pid=1):
    return Note(t, what, trial, 0, quantum, host, pid)


def test_figures_are_read_from_notes():
    found = [
        note(0.0, "begun"),
        note(1.0, "saved"),
        note(1.0, "begun", quantum=1),
        note(1.2, "begun", trial=1),
        note(4.0, "begun", quantum=1, host="b"),
        note(5.0, "saved", quantum=1, host="b"),
        note(5.0, "begun", quantum=0, host="b"),
        note(6.0, "saved", quantum=0, host="b"),
    ]
    fault = Fault("node", 1.5, {0: ("a", 1), 1: ("a", 1)})
    assert recoveries(found, fault) == {0: 2.5}
    assert (saved_twice(found), begun_again(found)) == (1, 2)
    assert sorted(stepping(found)) == [1]
    assert busy_s(found) == 3.0
    assert differing([1, 2], [1, 3, 4]) == 2
    assert [quantile([3.0, 1.0, 2.0], share) for share in (0.5, 0.95)] == [2.0, 3.0]


@pytest.mark.parametrize(
    ("faults", "beyond"),
    [
        ([], 2),  # nothing was taken
        ([Fault("driver", 1.0, {})], 1),  # whose workers outlived it: one quantum of each trial is allowed
        ([Fault("driver", 1.0, {}), Fault("driver", 2.5, {})], 0),
        ([Fault("node", 1.0, {}, "a")], 1),
        ([Fault("node", 1.0, {}, "a"), Fault("node", 2.5, {}, "a")], 1),  # the second was lost on another
        ([Fault("node", 1.0, {}, "a"), Fault("node", 2.5, {}, "b")], 0),
        ([Fault("worker", 1.0, {0: ("a", 1)}, "a"), Fault("worker", 2.5, {5: ("b", 9)}, "b")], 1),
        ([Fault("driver", 9.0, {})], 2),  # later than both
    ],
)
def test_a_fault_is_an_excuse_for_one_quantum_of_each_trial_that_it_took(faults, beyond):
    found = [note(1.1, "begun"), note(2.0, "begun", host="b", pid=2), note(3.0, "begun", host="a", pid=3)]
    assert excess(found, faults) == beyond


def test_what_machines_were_paid_for_adds_up():
    machines = [
        Machine("a", "worker", {}, asked_at=0.0, listed_at=0.5, ended_at=30.0),
        Machine("b", "worker", {}, asked_at=2.0, listed_at=3.0, ended_at=12.0),
    ]
    found = [
        note(8.0, "begun"),
        note(9.0, "saved"),
        note(10.0, "begun", quantum=1),
        note(11.0, "begun", quantum=1, host="c"),
        note(13.0, "saved", quantum=1, host="c"),
        note(20.0, "begun", quantum=2),
        note(21.0, "saved", quantum=2),
    ]
    assert idle_s(machines, found, boot_s=5.0) == {"start": 3.0, "gaps": 11.0, "end": 9.0, "unused": 5.0}
    assert wasted_s(found, quantum_s=0.5) == 0.5
    assert paid_s(machines, since=1.0, until=10.0) == 9.0 + 7.0
    assert paid_s(machines, since=1.0, until=15.0, begun=attrgetter("asked_at")) == 14.0 + 10.0
