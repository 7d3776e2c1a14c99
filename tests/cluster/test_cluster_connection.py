import subprocess
import sys
import textwrap

import pytest

from autotune.cluster.live.connection import slots, switches

OWN_CLUSTER = """
    import os, sys
    from pathlib import Path
    from autotune.cluster.engine import RayEngine
    from autotune.engines.function import FunctionWorkload
    from autotune.testing.engines import assignment, drain

    def listening():
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A":
                    found.add((fields[1].rsplit(":", 1)[0], fields[9]))
        return found

    os.environ["RAY_ADDRESS"] = "127.0.0.1:1"  # somebody else's: must not be joined
    before = listening()
    engine = RayEngine(workers=1)
    engine.start(FunctionWorkload(lambda config, fidelity, seed: 1.0))
    engine.submit(assignment(0))
    drain(engine, 1)
    opened = {address for address, inode in listening() - before}
    import ray
    mode = os.environ.get("RAY_AUTH_MODE")
    token = Path.home() / ".ray" / "auth_token"
    engine.close()
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert opened, "no socket was seen"
    print(sorted(opened - loopback), mode, oct(token.stat().st_mode & 0o777), ray.is_initialized())
"""


@pytest.mark.ray
def test_our_own_cluster_listens_on_loopback_with_a_token_and_ends_with_us(tmp_path):
    script = tmp_path / "own.py"
    script.write_text(textwrap.dedent(OWN_CLUSTER))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[] token 0o600 False", done.stdout + done.stderr


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


def test_a_trial_needs_one_node_that_holds_it():
    nodes = [node(CPU=3.0), node(CPU=3.0), node(alive=False, CPU=100.0)]
    assert slots(nodes, {"CPU": 2}) == 2
    assert slots(nodes, {"CPU": 1, "GPU": 0}) == 6
    assert slots(nodes, {"GPU": 1}) == 0
    assert slots([node(CPU=1.0)], {"CPU": 0.1}) == 10


def test_switches_are_put_back(monkeypatch):
    monkeypatch.setenv("AUTOTUNE_KEPT", "before")
    monkeypatch.delenv("AUTOTUNE_NEW", raising=False)
    import os

    with switches({"AUTOTUNE_KEPT": "during", "AUTOTUNE_NEW": "during"}):
        assert (os.environ["AUTOTUNE_KEPT"], os.environ["AUTOTUNE_NEW"]) == ("during", "during")
    assert os.environ["AUTOTUNE_KEPT"] == "before"
    assert "AUTOTUNE_NEW" not in os.environ


PATIENT = """
    from ray._raylet import Config
    from autotune.cluster.live import connection
    connection.RECONNECT, connection.RECONNECT_S = "health_check_period_ms", 4321  # one that can be asked for
    with connection.outlasting_the_head():
        during = Config.health_check_period_ms()
    print(during)
"""


@pytest.mark.parametrize(("told", "waits"), [(None, 4321), ("90", 90)])
def test_ray_hears_how_long_to_wait_for_its_head_after_it_was_imported(tmp_path, monkeypatch, told, waits):
    script = tmp_path / "patient.py"
    script.write_text(textwrap.dedent(PATIENT))
    if told is not None:
        monkeypatch.setenv("RAY_health_check_period_ms", told)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == str(waits), done.stdout + done.stderr
