"""A cluster of this machine, for real: up, locked, listening where it says, used, gone without a trace."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from autotune import cli
from autotune.cluster.launch.processes import Process, family
from autotune.cluster.launch.program import listening
from autotune.study.running import RunningCluster

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,  # a cluster is started, checked and ended, and a study runs on it
    pytest.mark.timeout(600),
]

DOCS = Path(__file__).parents[2] / "docs" / "cluster.md"
TOKEN = "planted-token-0123456789abcdef01"
SPEC = """\
name: mine
where: {{local: {{port: {port}, dashboard_port: {dashboard}}}}}
nodes:
  groups:
    - {{name: workers, machine: {{cpus: 2, memory_gib: 4}}, count: {{min: 1, max: 1}}, price_per_hour: 3.6}}
image: {{ray: "{ray}", python: "{python}"}}
storage: {{path: {storage}}}
"""
STUDY = """\
task: mine:task
space: {lr: {float: [1.0e-3, 1.0], log: true}}
plan: {budget: {trials: 1}, scheduler: {full: {horizon: 0.1, reports: 1}}, confirm: {leaders: 1, seeds: 2}}
"""
TASK = """\
from torch import nn

import autotune as at
from autotune.data.digits import digits


def model(config):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def task():
    return at.Classification(data=digits(), model=model)
"""


def run(*words):
    """A command's exit code, and its document where it has one."""
    with redirect_stdout(StringIO()) as said:
        code = cli.main(["cluster", *map(str, words), "--json"])
    text = said.getvalue()
    return code, json.loads(text[text.index("{") :]) if "{" in text else None


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cluster that is up, in a home of its own; `family.json` there says which processes are its."""
    from autotune.cluster.description.versions import ours

    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(folder))
        patch.setenv("PLANTED_SECRET", TOKEN)  # as of whoever runs `up`
        (folder / ".ray").mkdir()
        (folder / ".ray" / "auth_token").touch(mode=0o600)
        (folder / ".ray" / "auth_token").write_text(TOKEN)
        (folder / "storage").mkdir()
        ray, python = ours()
        port = free_ports()
        (folder / "c.yaml").write_text(
            SPEC.format(port=port, dashboard=port + 4, storage=folder / "storage", ray=ray, python=python)
        )
        (folder / "study.yaml").write_text(STUDY)
        (folder / "mine.py").write_text(TASK)
        try:
            code, found = run("up", folder / "c.yaml", "--wait", 300)
            assert (code, found["started"]) == (0, True)
            yield folder
        finally:
            run("down", folder / "c.yaml", "--yes")


def free_ports():
    """The first of five that nobody listens at."""
    return next(port for port in range(21000, 30000, 7) if not any(map(listening, range(port, port + 5))))


def ours(home):
    known = json.loads((home / "launch" / "mine" / "local.json").read_text())
    return family(known["pid"], known["began"])


def sockets(processes):
    """The command of each socket that processes listen at, with its address and port."""
    owners = {}
    for one in processes:
        for entry in Path(f"/proc/{one.pid}/fd").iterdir():
            try:
                owners[entry.readlink().name] = one.pid
            except OSError:
                continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            words = line.split()
            pid = owners.get(f"socket:[{words[9]}]")
            if words[3] == "0A" and pid is not None:
                address, port = words[1].rsplit(":", 1)
                command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
                found.append((command, address, int(port, 16)))
    return found


def allowed():
    """The list in the docs: what a process's command line holds, and how many ports it opens."""
    rows = re.findall(r"^\| [^|]+ \| `([^`]+)` \| (\d)", DOCS.read_text(), re.MULTILINE)
    assert len(rows) == 8, rows
    return {command: int(count) for command, count in rows}


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def test_it_listens_where_the_docs_say_and_nowhere_else(home):
    found = sockets(ours(home))
    assert {address for _, address, _ in found} <= LOOPBACK
    counted = Counter()
    for command, _, port in found:
        names = [name for name in allowed() if name in command]
        assert names, f"{command} listens at port {port} and is not in the list"
        counted[names[0]] += 1
    workers = counted.pop("ray::", 0)  # of which there are as many as there is work
    listed = {name: count for name, count in allowed().items() if name != "ray::"}
    assert dict(counted) == listed, (workers, found)


def test_it_is_up_already_and_tells_what_it_holds(home):
    assert run("up", home / "c.yaml", "--wait", 300)[1]["started"] is False
    code, found = run("status", home / "c.yaml")
    assert (code, found["state"], found["up"], found["booting"]) == (0, "up", {"local": 1}, {})
    assert found["bill"] == pytest.approx(found["held_s"]["local"] / 1000.0)  # 3.6 an hour
    assert found["bill"] > 0.0


def joined(home, file):
    """A driver of its own that joins the cluster, with a token's file and nothing else set."""
    port = int(re.search(r"port: (\d+)", (home / "c.yaml").read_text())[1])
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(sys.path),
        "RAY_AUTH_TOKEN_PATH": str(file),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    code = f"from autotune.cluster.live.connection import connect; connect('127.0.0.1:{port}', {{}}, 1)"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_only_the_right_token_opens_the_dashboard_and_the_cluster(home, capsys):
    file = home / "another_token"
    for content, said in (("another", "does not open"), ("", "holds none")):
        file.write_text(content)
        assert run("job", home / "c.yaml", "any", "--token-file", file)[0] == 4
        assert said in capsys.readouterr().err
        assert said in joined(home, file).stderr
    file.write_text(TOKEN)
    done = joined(home, file)
    assert done.returncode == 0, done.stderr


def test_a_study_runs_once_and_another_one_does_not_take_its_place(home, capsys):
    code, job = run("submit", home / "c.yaml", home / "study.yaml")
    assert (code, job["path"]) == (0, f"{home / 'storage'}/study")
    assert run("down", home / "c.yaml")[0] == 4
    assert f"jobs run on mine: {job['job']}" in capsys.readouterr().err
    code, done = run("submit", home / "c.yaml", home / "study.yaml", "--wait")
    logs = run("logs", home / "c.yaml", job["path"])[1]["logs"]
    assert (code, done["job"], done["state"], done["exit_code"]) == (0, job["job"], "done", 0), logs
    with RunningCluster(home / "c.yaml") as cluster:
        handle = cluster.submit(home / "study.yaml")
        assert handle.id == job["job"] == cluster.find(job["path"]).id
        assert handle.result().done
    (home / "study.yaml").write_text(STUDY.replace("trials: 1", "trials: 2"))
    assert run("submit", home / "c.yaml", home / "study.yaml")[0] == 4
    assert "submitted with another study file" in capsys.readouterr().err
    assert run("status", home / "c.yaml")[1]["jobs"][job["job"]] == "done"


def test_a_planted_secret_is_in_no_log_no_job_and_no_report(home):
    from autotune.cluster.live.access import Access
    from autotune.cluster.live.jobs import connect

    port = int(re.search(r"dashboard_port: (\d+)", (home / "c.yaml").read_text())[1])
    jobs = connect(Access(f"http://127.0.0.1:{port}", home / ".ray" / "auth_token")).list_jobs()
    assert jobs
    assert TOKEN not in repr(jobs)
    session = re.search(r"/tmp/ray/session_[^/\s]+", (home / "launch" / "mine" / "local.log").read_text())[0]
    folders = [home / "launch", home / "storage", Path(session) / "logs"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "report.html" for path in files)
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_nothing_is_left_when_it_is_down(home):
    mine = ours(home)
    ports = [port for _, _, port in sockets(mine)]
    assert ports
    assert run("down", home / "c.yaml") == (0, {"name": "mine", "ended": True})
    assert [one for one in mine if Process.of(one.pid) == one] == []
    assert not [port for port in ports if listening(port)]
    noted = Path("/tmp/ray/ray_current_cluster")  # where `ray.init()` looks first
    assert not noted.exists() or int(noted.read_text().rpartition(":")[2]) not in ports
    assert run("down", home / "c.yaml")[1]["ended"] is False
    assert run("status", home / "c.yaml")[1] == {"name": "mine", "state": "absent", "said": ""}
