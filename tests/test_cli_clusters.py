import json

import pytest

from autotune import cli
from autotune.cluster.description.presets import PRESETS
from autotune.errors import ClusterError

STUDY = """\
task: mine:task
space:
  lr: {float: [1e-4, 1.0], log: true}
plan:
  budget: {hours: 2}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def token(home, mode):
    path = home / ".ray" / "auth_token"
    path.parent.mkdir(exist_ok=True)
    path.write_text("t")
    path.chmod(mode)


@pytest.mark.parametrize("on", PRESETS)
def test_init_check_and_render_follow_each_other(on, home, capsys):
    assert cli.main(["cluster", "init", "--on", on, "--out", "c.yaml", "--json"]) == 0
    blanks = json.loads(capsys.readouterr().out)["to_fill_in"]
    assert cli.main(["cluster", "check", "--offline", "c.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["valid"]
    assert not found["ready"]  # a value or the token is still to come
    waiting = {one["path"] for one in found["findings"]}
    assert waiting == {*blanks, *(["authentication.token_file"] if on != "kubernetes" else [])}
    assert all(one["place"].startswith("c.yaml:") for one in found["findings"])
    assert cli.main(["cluster", "render", "c.yaml", "--out", "out", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert files
    assert all((home / one).is_file() for one in files)
    assert cli.main(["cluster", "render", "c.yaml", "--out", "out"]) == 4
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["cluster", "render", "c.yaml", "--out", "out", "--overwrite"]) == 0


def test_a_private_token_makes_a_laptop_ready(home, capsys):
    assert cli.main(["cluster", "init", "--on", "local"]) == 0
    token(home, 0o644)
    assert cli.main(["cluster", "check", "--offline", "cluster.yaml"]) == 0
    assert "before it starts: cluster.yaml:" in (said := capsys.readouterr().out)
    assert "chmod 600" in said
    token(home, 0o600)
    assert cli.main(["cluster", "check", "--offline", "cluster.yaml"]) == 0
    assert "cluster.yaml: valid; checked: spec, shell syntax" in capsys.readouterr().out


def test_what_cannot_work_is_said_with_its_line_and_code_4(home, capsys):
    assert cli.main(["cluster", "init", "--on", "aws"]) == 0
    text = (home / "cluster.yaml").read_text()
    (home / "cluster.yaml").write_text(
        text.replace("<your address>/32", "0.0.0.0/0").replace("max: 8", "max: -1")
    )
    capsys.readouterr()
    assert cli.main(["cluster", "check", "--offline", "cluster.yaml"]) == 4
    said = capsys.readouterr().out
    assert "lets in the whole world" in said
    assert "-1 is out of range" in said
    assert "cluster.yaml: cannot work" in said
    assert cli.main(["cluster", "render", "cluster.yaml"]) == 4
    assert "lets in the whole world" in capsys.readouterr().err
    assert [one.name for one in home.iterdir()] == ["cluster.yaml"]


def test_a_budget_that_holds_no_trial_is_refused(home, capsys):
    assert cli.main(["cluster", "init", "--on", "local"]) == 0
    path = home / "cluster.yaml"
    text = path.read_text().replace("trial: {cpus: 1}", "trial: {cpus: 1, hours: 3}")
    path.write_text(text.replace("# price_per_hour: 0.50", "price_per_hour: 0.50"))
    (home / "study.yaml").write_text(STUDY)
    check = ["cluster", "check", "--offline", "cluster.yaml"]
    assert cli.main([*check, "--study", "study.yaml"]) == 4
    assert "one trial takes 3 h, the budget is hours=2" in capsys.readouterr().out
    token(home, 0o600)
    assert cli.main(["cluster", "submit", "cluster.yaml", "study.yaml"]) == 4  # before anything is asked
    assert "one trial takes 3 h" in capsys.readouterr().err
    (home / "study.yaml").write_text(STUDY.replace("hours: 2", "usd: 1.4"))
    assert cli.main([*check, "--study", "study.yaml"]) == 4
    assert "one trial costs at least 1.5, the budget is usd=1.4" in capsys.readouterr().out
    (home / "study.yaml").write_text(STUDY.replace("hours: 2", "usd: 1.6, wall: 3"))
    assert cli.main([*check, "--study", "study.yaml"]) == 0
    path.write_text(text)
    (home / "prices.yaml").write_text("{workers: 0.25, g5.xlarge: 1.0}")
    capsys.readouterr()
    assert cli.main([*check, "--prices", "prices.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prices"] == {"local": 0.25}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["cluster"], 2, "COMMAND"),
        (["cluster", "chekc"], 2, "did you mean 'check'"),
        (["cluster", "init", "--on", "aws", "--spto"], 2, "did you mean '--spot'"),
        (["cluster", "init", "--on", "slurm", "--spot"], 4, "no spot market"),
        (["cluster", "init", "--on", "local", "--name", "My Cluster"], 4, "cannot be a name"),
        (["cluster", "check", "--offline", "none.yaml"], 4, "autotune cluster init"),
    ],
)
def test_mistakes_are_told_apart(arguments, code, said, home, capsys):
    try:
        found = cli.main(arguments)
    except SystemExit as stopped:
        found = stopped.code
    assert found == code
    assert said in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_what_a_live_cluster_lacks_is_told_with_code_4_and_no_cluster_with_3(home, capsys, monkeypatch):
    asked = []

    def look(address, resources, place, token_file, grows, machines):
        asked.append((address, resources, str(place), token_file.name, machines, grows))
        return ["node 10.0.0.2 (gpu) lacks torch"]

    token(home, 0o600)
    cli.main(["cluster", "init", "--on", "local", "--out", "c.yaml"])
    monkeypatch.setattr("autotune.cluster.live.preflight.check", look)
    assert cli.main(["cluster", "check", "c.yaml", "--address", "10.0.0.1:6379"]) == 4
    assert "node 10.0.0.2 (gpu) lacks torch\nc.yaml: cannot work" in capsys.readouterr().out
    trial = {"CPU": 1.0, "GPU": 0.0}
    assert asked == [("10.0.0.1:6379", trial, "/var/tmp/autotune/studies", "auth_token", 0, False)]

    cli.main(["cluster", "init", "--on", "aws", "--out", "a.yaml"])
    cli.main(["cluster", "check", "a.yaml"])
    assert asked[-1][-1]  # an autoscaler starts machines, so that there may be none yet

    def nobody(*given):
        raise ClusterError("cannot join the cluster")

    monkeypatch.setattr("autotune.cluster.live.preflight.check", nobody)
    assert cli.main(["cluster", "check", "c.yaml"]) == 3
