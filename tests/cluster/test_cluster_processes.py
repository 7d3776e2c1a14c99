"""What we have started, told from what others have."""

import os
import signal
import subprocess
import sys

import pytest

from autotune.cluster.launch.processes import Process, boot, end, family

LEADER = """
import subprocess, sys
own = subprocess.Popen(["sleep", "1000"])
apart = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print(own.pid, apart.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def leader():
    """A process with a session of its own, one child in it and one in another session."""
    with subprocess.Popen(
        [sys.executable, "-c", LEADER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        children = [int(word) for word in process.stdout.readline().split()]
        yield process, children
        for pid in (process.pid, *children):
            if (one := Process.of(pid)) is not None:
                one.signal(signal.SIGKILL)


def test_a_family_is_a_session_with_all_that_it_has_started_and_nobody_else(leader):
    process, children = leader
    began = Process.of(process.pid).began
    assert {one.pid for one in family(process.pid, began)} == {process.pid, *children}
    assert family(process.pid, began + 1) == []  # its number is another's now
    assert os.getpid() not in {one.pid for one in family(process.pid, began)}


def test_what_is_left_in_a_session_is_ours_when_its_leader_is_gone(leader):
    process, (own, apart) = leader
    began = Process.of(process.pid).began
    known = family(process.pid, began)
    process.kill()
    process.wait()
    assert {one.pid for one in family(process.pid, began)} == {own}
    end(known, 0.0)
    end(known, 10.0)  # SIGKILL takes a moment
    assert Process.of(own) is Process.of(apart) is None
    assert family(process.pid, began) == []


def test_a_signal_goes_to_the_process_that_was_meant():
    here = Process.of(os.getpid())
    assert here.alive()
    another = Process(here.pid, here.began + 1, here.parent, here.session)
    another.signal(signal.SIGKILL)  # and we are still here
    assert not another.alive()
    assert Process.of(2**22 + 1) is None
    assert len(boot()) == 36
