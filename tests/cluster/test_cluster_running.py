"""A cluster to submit to: reached when needed, while the context lasts, and not for what cannot work."""

from contextlib import contextmanager

import pytest
from test_cluster_jobs import FakeJobs

from autotune.cluster.description.versions import ours
from autotune.cluster.live.access import Access
from autotune.errors import ConfigurationError
from autotune.study import running
from autotune.study.running import RunningCluster

SPEC = """\
name: mine
where: {{local: {{port: 20001, dashboard_port: 20005}}}}
nodes:
  groups:
    - {{name: workers, machine: {{cpus: 2, memory_gib: 4}}, count: {{min: 1, max: 1}}, price_per_hour: 3.6}}
  trial: {{cpus: 2, hours: 2}}
image: {{ray: "{ray}", python: "{python}"}}
storage: {{path: {storage}}}
authentication: {{token_file: {token}}}
"""
STUDY = "task: a.b:c\nspace: {lr: {float: [0.1, 1.0]}}\nplan: {budget: {hours: 3}}\n"


class Reached:
    """What stands between us and a cluster: which doors were opened and closed, and with which token."""

    def __init__(self, jobs):
        self.jobs, self.told = jobs, []

    def launcher_of(self, spec, folder):
        self.told.append(f"launcher of {folder.name}")
        return self

    @contextmanager
    def door(self):
        self.told.append("opened")
        yield "http://127.0.0.1:1"
        self.told.append("closed")

    def connect(self, access):
        self.told.append(access)
        return self.jobs


@pytest.fixture
def reached(monkeypatch):
    found = Reached(FakeJobs())
    monkeypatch.setattr(running, "launcher_of", found.launcher_of)
    monkeypatch.setattr(running, "connect", found.connect)
    return found


@pytest.fixture
def home(tmp_path):
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef0123456789abcdef")
    ray, python = ours()
    spec = SPEC.format(ray=ray, python=python, storage=tmp_path / "storage", token=token)
    (tmp_path / "c.yaml").write_text(spec)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def test_the_door_is_open_while_the_context_lasts_and_the_spec_fills_in(home, reached):
    with RunningCluster(home / "c.yaml") as cluster:
        assert reached.told == []
        handle = cluster.submit(home / "study.yaml")
        assert cluster.find(handle.path).id == handle.id
        assert reached.told == ["launcher of mine", "opened", Access("http://127.0.0.1:1", home / "token")]
    assert reached.told[-1] == "closed"
    assert handle.path == f"{home / 'storage'}/study"
    [job] = reached.jobs.known.values()
    assert "--trial CPU=2 --prices local=3.6" in job.entrypoint


def test_what_cannot_work_is_found_before_anything_is_reached(home, reached):
    (home / "study.yaml").write_text(STUDY.replace("hours: 3", "hours: 1"))
    with RunningCluster(home / "c.yaml") as cluster:
        with pytest.raises(ConfigurationError, match="one trial takes 2 h, the budget is hours=1"):
            cluster.submit(home / "study.yaml")
        with pytest.raises(ConfigurationError, match=r"cannot read .*none.yaml"):
            cluster.submit(home / "none.yaml")
    (home / "c.yaml").write_text((home / "c.yaml").read_text().replace("min: 1, max: 1", "min: 2, max: 1"))
    with pytest.raises(ConfigurationError, match="max"):
        RunningCluster(home / "c.yaml")
    assert reached.told == []


def test_what_leads_to_a_cluster_is_not_lost_between_two_calls(home, reached):
    with pytest.raises(RuntimeError, match="reached within `with RunningCluster"):
        RunningCluster(home / "c.yaml").submit(home / "study.yaml")
    assert reached.told == []


def test_a_cluster_of_somebody_else_needs_a_folder_and_takes_another_token(home, reached):
    there = Access("http://10.0.0.7:8265", open_to_all=True)
    cluster = RunningCluster(there, home / "token")
    with pytest.raises(ConfigurationError, match="the study's folder is missing"):
        cluster.submit(home / "study.yaml")
    assert cluster.submit(home / "study.yaml", "/shared/a").path == "/shared/a"
    assert reached.told == [Access(there.address, home / "token", open_to_all=True)]
    assert "--trial" not in next(iter(reached.jobs.known.values())).entrypoint
