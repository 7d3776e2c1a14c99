import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autotune import cli

YAML = """\
task: cli_task:work
task_arguments: {wait: 0.0}
space:
  lr: {float: [1e-4, 1.0], log: true}
  policy: {choice: [full, fresh_random]}
plan:
  budget: {trials: 12}
  scheduler: {asha: {horizon: 3, lowest: 1}}
  searcher: random
  confirm: {leaders: 1, seeds: 2}
prices: {local: 1.5}
"""
TASK = """\
import time
from autotune.engines.function import FunctionWorkload

def work(wait):
    print("a task may print")
    def score(config, fidelity, seed):
        time.sleep(wait)
        return fidelity - abs(config["lr"] - 0.3)
    return FunctionWorkload(score)

def broken(wait):
    def score(config, fidelity, seed):
        raise RuntimeError("no such layer")
    return FunctionWorkload(score)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "cli_task.py").write_text(TASK)
    (tmp_path / "study.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "cli_task", raising=False)
    return tmp_path


def test_run_status_report_and_resume_agree(folder, capsys):
    assert cli.main(["run", "study.yaml", "--json"]) == 0
    printed = capsys.readouterr()
    done = json.loads(printed.out)
    assert done["best_config"]["lr"] > 0
    assert done["summary"][0].startswith("The winner is")
    assert "a task may print" in printed.err
    assert (folder / "runs" / "study" / "result" / "report.html").is_file()

    assert cli.main(["status", "runs/study", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["done"]
    assert sum(state["trials"].values()) == 12
    assert state["bill"] == done["bill"]
    assert done["bill"]["machines"].keys() == {"local"}

    assert cli.main(["report", "runs/study", "--out", "page.html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == done["verdict"]
    assert (folder / "page.html").is_file()

    assert cli.main(["resume", "runs/study", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == done["verdict"]


def test_people_get_words(folder, capsys):
    assert cli.main(["run", "study.yaml", "--path", "out", "--quiet"]) == 0
    assert "The winner is" in capsys.readouterr().out
    assert cli.main(["status", "out"]) == 0
    assert "out: done" in capsys.readouterr().out
    assert cli.main(["report", "out"]) == 0
    assert "report: out" in capsys.readouterr().out


def test_show_space_says_what_is_searched(folder, capsys):
    (folder / "cli_task.py").unlink()  # it needs no task
    assert cli.main(["show-space", "study.yaml"]) == 0
    assert "lr      number from 0.0001 to 1, by ratio" in capsys.readouterr().out
    assert cli.main(["show-space", "study.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dimensions"] == 2


def test_selectors_are_listed_with_family_needs_and_cost(capsys):
    assert cli.main(["selectors", "--json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert cards["el2n"]["family"] == "loss"
    assert cards["el2n"]["passes"] == 1
    assert cards["infobatch"]["passes"] == cards["full"]["passes"] == 0
    assert all(card["summary"].endswith(".") for card in cards.values())
    assert cli.main(["selectors"]) == 0
    assert "el2n (loss)" in capsys.readouterr().out


def test_the_documented_file_can_be_read(tmp_path):
    from autotune.study.yaml_form import KEYS, read_study

    text = (Path(__file__).parents[1] / "docs" / "cli.md").read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "study.yaml").write_text(text)
    assert read_study(tmp_path / "study.yaml").prices == {"local": 1.8}
    assert all(f"{key}:" in text for key in KEYS)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("autotune ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["stauts", "x"], "did you mean 'status'"),
        (["run", "x.yaml", "--jsno"], "did you mean '--json'"),
        (["run", "x.yaml", "--engine", "rya"], "did you mean 'ray'"),
        ([], "a command is missing"),
        (["run"], "STUDY.yaml"),
    ],
)
def test_usage_errors_suggest_the_nearest_and_exit_with_2(arguments, hint, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert hint in capsys.readouterr().err


def test_exit_codes_tell_failure_retry_and_configuration_apart(folder, capsys):
    assert cli.main(["run", "absent.yaml"]) == 4
    assert "cannot read absent.yaml" in capsys.readouterr().err
    assert cli.main(["status", "nowhere"]) == 1
    assert "holds no study" in capsys.readouterr().err
    (folder / "study.yaml").write_text(YAML.replace("cli_task:work", "cli_task:broken"))
    assert cli.main(["run", "study.yaml", "--path", "failing", "--quiet"]) == 1
    assert "no such layer" in capsys.readouterr().err
    (folder / "a file").write_text("")
    assert cli.main(["run", "study.yaml", "--path", "a file/study"]) == 3
    assert "choose another --path" in capsys.readouterr().err


def test_a_second_driver_is_told_to_try_again(folder, capsys):
    from autotune.log import TrialLog

    log = TrialLog(folder / "busy" / "log")
    try:
        assert cli.main(["run", "study.yaml", "--path", "busy"]) == 3
        assert "another driver" in capsys.readouterr().err
    finally:
        log.close()


def test_sigterm_stops_cleanly_and_resuming_finishes(folder):
    (folder / "study.yaml").write_text(YAML.replace("wait: 0.0", "wait: 0.1"))
    command = [sys.executable, "-m", "autotune.cli"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    driver = subprocess.Popen(
        [*command, "run", "study.yaml", "--path", "out", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )
    log = folder / "out" / "log" / "000001-000000.jsonl"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and '"Reported"' in log.read_text()):
        time.sleep(0.05)
    driver.send_signal(signal.SIGTERM)
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 3
    assert out == ""
    assert "to continue: autotune resume out" in err
    assert cli.main(["resume", "out", "--quiet"]) == 0
