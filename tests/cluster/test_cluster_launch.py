"""Up, status and down with stand-ins for the launchers' programs, which write down what they are asked."""

import json
import os
import sys
import time

import pytest

from autotune import cli
from autotune.cluster.description.presets import preset
from autotune.cluster.launch.kubectl import seen
from autotune.cluster.launch.lifecycle import Cluster
from autotune.cluster.launch.processes import Process
from autotune.cluster.launch.program import attempt, find, forwarding, listening
from autotune.errors import ClusterError

STAND_IN = f"""#!{sys.executable} -IS
import json, os, sys
from pathlib import Path
name, words = Path(sys.argv[0]).name, sys.argv[1:]
home = Path(sys.argv[0]).parent
with (home / "calls").open("a") as file:
    print(name, *words, file=file)
if (home / "fail").exists():
    sys.exit("Connection reset by peer")
up, line = home / "up", words[-1]
if "autotune cluster check" in line:
    print("Fetched IP: 10.0.0.1")
    print(json.dumps({{"live": (home / "lacks").read_text().splitlines(), "findings": []}}))
elif "autotune.cluster.live.standing" in line:
    print((home / "standing").read_text())
elif (name, words[0]) in (("ray", "up"), ("kubectl", "apply")) or name == "sbatch":
    up.touch()
elif (name, words[0]) in (("ray", "down"), ("kubectl", "delete")) or name == "scancel":
    up.unlink(missing_ok=True)
elif name == "ray" and not up.exists():
    sys.exit("Head node of cluster (mine) not found!")
elif name == "kubectl" and up.exists():
    status = {{"jobDeploymentStatus": up.read_text() or "Running", "rayClusterName": "mine-x7"}}
    print(json.dumps({{"status": status if words[1] == "rayjob" else {{"state": "ready"}}}}))
elif name == "squeue" and up.exists():
    print("4711 RUNNING")
"""
LOOKS = ("ray get-head-ip", "kubectl get", "squeue")
STANDING = {"up": {"head": 1, "spot": 2}, "booting": {"spot": 1}, "wanted": {}, "jobs": {}}
KNOWN = {
    "<partition>": "gpu", "<STUDY.yaml in the image>": "s.yaml", "<STUDY.yaml>": "s.yaml",
    "<its folder>": "/s", "<shared file system>": "shared", "<bucket>": "mine-bucket",
    "<region>": "eu-central-1", "<your address>": "10.9.8.7",
    "ami-<with Docker, and NVIDIA's driver for GPUs>": "ami-0123456789abcdef0",
    "subnet-<of your VPC>": "subnet-0123456789abcdef0",
    "sg-<output of the rendered foundation.json>": "sg-0123456789abcdef0",
}  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine with all launchers and a private token; below `bin` is what they know and were asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("ray", "kubectl", "sbatch", "squeue", "scancel", "srun"):
        (folder / name).write_text(STAND_IN)
        (folder / name).chmod(0o755)
    (folder / "lacks").touch()
    (folder / "standing").write_text(json.dumps({**STANDING, "held_s": {"head": 3600.0, "spot": 7200.0}}))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("autotune.cluster.launch.lifecycle.LOOK_S", 0.01)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").touch(mode=0o600)
    (tmp_path / ".ray" / "auth_token").write_text("planted-token")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(home, on, change=()):
    text = preset(on, on == "aws", "mine")
    for old, new in [*KNOWN.items(), *change]:
        text = text.replace(old, new)
    (home / "c.yaml").write_text(text)


def asked(home):
    """What the stand-ins were asked, without what only looks; of a line for the head its end."""
    lines = (home / "bin" / "calls").read_text().splitlines()
    return [line for line in lines if line.startswith(("ray", "kubectl", "s")) and not line.startswith(LOOKS)]


def run(*words):
    return cli.main(["cluster", *words])


CLUSTER_FORM = [
    ("form: job", "form: cluster"),
    ("entrypoint: autotune run s.yaml --path /s --engine ray --address auto", "entrypoint: null"),
]


@pytest.mark.parametrize(
    ("on", "change", "started", "on_head", "ended", "following"),
    [
        ("aws", (), "ray up -y launch/mine/cluster.yaml", "ray exec launch/mine/cluster.yaml",
         "ray down -y launch/mine/cluster.yaml", "submit c.yaml STUDY.yaml"),
        ("on_premises", [("# name: /path/to/venv", "name: ~/venv"), ("<address of the head>", "10.0.0.1"),
                         ("<address of another>", "10.0.0.2"), ("<user>", "me")],
         "ray up -y launch/mine/cluster.yaml",
         'ray exec launch/mine/cluster.yaml export RAY_AUTH_MODE=token; . "$HOME"/venv/bin/activate; echo',
         "ray down -y launch/mine/cluster.yaml", "submit c.yaml STUDY.yaml"),
        ("kubernetes", (), "kubectl apply -f launch/mine/rayjob.yaml",
         "kubectl exec --namespace=default service/mine-x7-head-svc --container=ray-head -- bash -c umask",
         "kubectl delete --ignore-not-found -f launch/mine/rayjob.yaml", "status c.yaml"),
        ("kubernetes", CLUSTER_FORM, "kubectl apply -f launch/mine/raycluster.yaml",
         "kubectl exec --namespace=default service/mine-head-svc --container=ray-head -- bash -c umask",
         "kubectl delete --ignore-not-found -f launch/mine/raycluster.yaml", "submit c.yaml STUDY.yaml"),
        ("slurm", (), "sbatch --chdir=", "srun --jobid=4711 --overlap --nodes=1 --ntasks=1 --relative=0",
         "scancel 4711", "status c.yaml"),
    ],
    ids=["aws", "on_premises", "rayjob", "raycluster", "slurm"],
)  # fmt: skip
def test_a_cluster_is_started_checked_asked_and_ended(
    on, change, started, on_head, ended, following, home, capsys
):
    spec(home, on, change)
    assert run("status", "c.yaml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "absent"
    assert run("up", "c.yaml", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["started"], first["next"]) == (True, f"autotune cluster {following}")
    start, check = asked(home)
    assert start.startswith(started)
    assert check.startswith(on_head)
    assert run("up", "c.yaml") == 0
    assert "mine is up already; next: " in capsys.readouterr().out
    assert not any(line.startswith(started) for line in asked(home)[2:])
    assert run("status", "c.yaml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in STANDING} == STANDING
    assert (found["bill"], found["unpriced"]) == (0.0, ["head", "spot"])
    assert run("down", "c.yaml") == 0
    assert asked(home)[-1] == ended
    assert run("down", "c.yaml", "--json") == 0
    assert not json.loads(capsys.readouterr().out.split("has ended\n")[1])["ended"]
    said = (home / "bin" / "calls").read_text()
    assert "planted-token" not in said


def test_the_bill_is_what_nodes_were_up_for_and_says_whose_price_is_not_known(home, capsys):
    spec(home, "aws", [("# price_per_hour: 0.50", "price_per_hour: 0.45")])
    assert run("up", "c.yaml") == 0
    assert run("status", "c.yaml") == 0
    said = capsys.readouterr().out
    assert "up: 1 head, 2 spot\nbooting: 1 spot\nwanted: none\nbill: 0.90; no price for head\n" in said


def test_jobs_that_run_are_ended_only_when_that_is_said(home, capsys):
    spec(home, "aws")
    assert run("up", "c.yaml") == 0
    standing = {**STANDING, "held_s": {}, "jobs": {"a-1": "done", "b-1": "running", "c-1": "pending"}}
    (home / "bin" / "standing").write_text(json.dumps(standing))
    assert run("down", "c.yaml") == 4
    assert "jobs run on mine: b-1, c-1; wait for them, or end them with it: --yes" in capsys.readouterr().err
    (home / "bin" / "standing").write_text("Traceback (most recent call last)")
    assert run("down", "c.yaml") == 4
    assert "nobody can tell whether jobs run" in capsys.readouterr().err
    assert (home / "bin" / "up").exists()
    assert run("down", "c.yaml", "--yes") == 0
    assert not (home / "bin" / "up").exists()


def test_what_a_cluster_that_is_up_lacks_is_told_with_code_4(home, capsys):
    spec(home, "aws")
    (home / "bin" / "lacks").write_text("node 10.0.0.2 (spot) lacks torch\n")
    assert run("up", "c.yaml") == 4
    assert "cannot run a study yet:\nnode 10.0.0.2 (spot) lacks torch" in capsys.readouterr().err


def test_a_launcher_that_fails_is_a_reason_to_try_again(home, capsys):
    spec(home, "kubernetes")
    (home / "bin" / "fail").touch()
    assert run("up", "c.yaml") == 3
    assert "`kubectl get` ended with 1 and said: Connection reset by peer" in capsys.readouterr().err


def test_a_cloud_that_does_not_answer_is_not_taken_for_one_without_machines(home, capsys):
    spec(home, "aws")
    assert run("up", "c.yaml") == 0
    (home / "bin" / "fail").touch()
    for command in ("up", "status", "down"):
        assert run(command, "c.yaml") == 3
        assert "`ray get-head-ip` ended with 1 and said: Connection reset" in capsys.readouterr().err
    (home / "bin" / "fail").unlink()
    (home / "bin" / "up").unlink()  # the head is gone, and perhaps not all workers
    assert run("down", "c.yaml") == 0
    assert asked(home)[-1] == "ray down -y launch/mine/cluster.yaml"


def test_a_launcher_that_is_not_installed_is_named_with_what_to_install(home, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(home))
    for on, what in (("kubernetes", "'kubectl' on this machine; install it"), ("slurm", "a login node")):
        spec(home, on)
        assert run("up", "c.yaml") == 4
        assert what in capsys.readouterr().err
    assert find("python").startswith("/")  # beside this one


def test_what_is_not_filled_in_is_not_started(home, capsys):
    spec(home, "aws", [("10.9.8.7", "<your address>")])
    assert run("up", "c.yaml") == 4
    assert "where.aws.ssh_cidr" in capsys.readouterr().err
    assert not (home / "bin" / "calls").exists()


def test_what_was_made_is_seen_and_ended_whatever_is_wrong_with_its_spec_now(home, capsys):
    spec(home, "aws")
    assert run("up", "c.yaml") == 0
    (home / ".ray" / "auth_token").unlink()
    assert run("up", "c.yaml") == 4
    assert "auth_token" in capsys.readouterr().err
    assert run("status", "c.yaml") == 0
    assert run("down", "c.yaml") == 0
    assert asked(home)[-1] == "ray down -y launch/mine/cluster.yaml"
    (home / "c.yaml").write_text((home / "c.yaml").read_text().replace("name: mine", 'name: ""'))
    assert run("down", "c.yaml", "--yes") == 4  # by its name it is found
    assert "cannot be a name" in capsys.readouterr().err


class Ending:
    """A launcher whose cluster is never up."""

    def __init__(self, *states):
        self.states = list(states)

    def look(self):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def start(self):
        pass


def test_a_cluster_that_ends_again_and_one_that_takes_too_long_are_told_apart(home):
    spec(home, "aws")
    from autotune.cluster.launch.files import ready

    said = []
    cluster = Cluster(ready(home / "c.yaml"), home / "out", said.append)
    absent, starting = seen({"status": {"jobDeploymentStatus": "Failed", "message": "no image"}}), seen({})
    cluster.launcher = Ending(absent, starting, starting, absent)
    with pytest.raises(ClusterError, match="mine has ended again: the job is Failed: no image"):
        cluster.up(60.0)
    assert said.count("waiting: not seen by the operator yet") == 1
    cluster.launcher = Ending(starting)
    with pytest.raises(ClusterError, match=r"mine is not up yet \(not seen .*up` again waits on"):
        cluster.up(0.0)


def test_a_job_that_has_ended_makes_room_for_the_next(home, capsys):
    spec(home, "kubernetes")
    (home / "bin" / "up").write_text("Complete")
    assert run("status", "c.yaml") == 0
    assert "mine: absent (the job is Complete)" in capsys.readouterr().out
    assert run("up", "c.yaml") == 0
    assert [line.split()[1] for line in asked(home)[:2]] == ["delete", "apply"]


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    line = f"sleep 1000 & echo $! > {tmp_path / 'pid'}; wait"
    with pytest.raises(ClusterError, match=r"`bash -c` has not ended within 1 s"):
        attempt(["bash", "-c", line], patience_s=1.0)
    started = int((tmp_path / "pid").read_text())
    for _ in range(200):  # SIGKILL takes a moment
        if Process.of(started) is None:
            return
        time.sleep(0.05)
    raise AssertionError(f"{Process.of(started)} lives on")


def test_a_port_that_is_not_brought_here_is_told(home):
    with (
        pytest.raises(ClusterError, match=r"`ray dashboard` has not brought the dashboard here"),
        forwarding(lambda port: ["ray", "dashboard", "--port", str(port), "c.yaml"]),
    ):
        raise AssertionError("nothing listens there")


def test_what_brings_a_port_here_ends_with_all_that_it_started():
    line = f'"{sys.executable}" -m http.server "$0" --bind 127.0.0.1 & wait'  # as `ray dashboard` and its ssh
    with forwarding(lambda port: ["bash", "-c", line, str(port)]) as address:
        port = int(address.rpartition(":")[2])
        assert listening(port)
    for _ in range(200):  # SIGTERM takes a moment
        if not listening(port):
            return
        time.sleep(0.05)
    raise AssertionError(f"something still listens on {port}")


def test_a_slurm_job_takes_no_other_study(home, capsys):
    spec(home, "slurm")
    (home / "s.yaml").write_text(
        "task: a.b:c\nspace: {lr: {float: [0.1, 1.0]}}\nplan: {budget: {trials: 1}}\n"
    )
    assert run("submit", "c.yaml", "s.yaml") == 4
    assert "change where.slurm.entrypoint" in capsys.readouterr().err


def test_a_path_is_asked_for_where_no_spec_says_one(home, capsys):
    (home / "s.yaml").write_text(
        "task: a.b:c\nspace: {lr: {float: [0.1, 1.0]}}\nplan: {budget: {trials: 1}}\n"
    )
    assert cli.main(["submit", "s.yaml"]) == 4
    assert "the study's folder is missing" in capsys.readouterr().err
