import json
import os
import re
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


def test_a_study_with_a_secret_in_it_is_not_run(folder, capsys):
    """Its folder would keep it, and its report show it."""
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(f"{text}\ntask_arguments: {{password: hunter2hunter2}}\n")
    assert cli.main(["run", "study.yaml", "--path", "out", "--quiet"]) == 4
    said = capsys.readouterr().err
    assert "task_arguments.password: the value looks like a secret" in said
    assert "hunter2" not in said
    assert not (folder / "out").exists()


def test_show_space_says_what_is_searched(folder, capsys):
    (folder / "cli_task.py").unlink()  # it needs no task
    assert cli.main(["show-space", "study.yaml"]) == 0
    assert "lr      float in [0.0001, 1], log scale" in capsys.readouterr().out
    assert cli.main(["show-space", "study.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dimensions"] == 2


def test_selectors_are_listed_with_family_needs_and_cost(capsys):
    assert cli.main(["selectors", "--json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert cards["el2n"]["family"] == "loss"
    assert cards["el2n"]["passes"] == pytest.approx(1 / 3)
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


def test_an_error_is_a_document_where_one_is_wanted(tmp_path, capsys):
    assert cli.main(["status", str(tmp_path / "none"), "--json"]) == 4
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["kind"], document["exit_code"]) == ("FolderError", 4)
    assert document["error"] in printed.err
    assert cli.main(["status", str(tmp_path / "none")]) == 4
    assert capsys.readouterr().out == ""


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
    assert cli.main(["status", "nowhere"]) == 4
    assert "holds no study" in capsys.readouterr().err
    (folder / "study.yaml").write_text(YAML.replace("cli_task:work", "cli_task:broken"))
    assert cli.main(["run", "study.yaml", "--path", "failing", "--quiet"]) == 1
    assert "no such layer" in capsys.readouterr().err
    (folder / "a file").write_text("")
    assert cli.main(["run", "study.yaml", "--path", "a file/study"]) == 3
    assert "choose another path" in capsys.readouterr().err


def test_a_folder_of_another_study_or_of_a_newer_format_is_a_matter_of_configuration(folder, capsys):
    assert cli.main(["run", "study.yaml", "--path", "out", "--quiet"]) == 0
    (folder / "study.yaml").write_text(YAML.replace("trials: 12", "trials: 13"))
    capsys.readouterr()
    assert cli.main(["run", "study.yaml", "--path", "out"]) == 4
    assert "holds another study: plan differ (plan.budget.trials was 12, is 13)" in capsys.readouterr().err
    log = folder / "out" / "log" / "000001-000000.jsonl"
    log.write_text(log.read_text().replace('"format": 1', '"format": 2'))
    for command in (["run", "study.yaml", "--path", "out"], ["resume", "out"], ["status", "out"]):
        assert cli.main(command) == 4
        assert "upgrade autotune" in capsys.readouterr().err


REAL = """\
task: cli_real:work
task_arguments: {metric: accuracy}
space:
  lr: {float: [1e-3, 0.5]}
  width: 8
  policy: {choice: [full, fresh_random]}
plan:
  budget: {trials: 2}
  scheduler: {full: {horizon: 0.1}}
  confirm: {leaders: 1, seeds: 2}
  starting_points:
    - {lr: 0.1, policy: full}
"""
REAL_TASK = """\
from torch import nn
import autotune as at
from autotune.data.digits import digits

def work(metric):
    return at.Classification(digits(), model, metric=metric)

def model(config):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, config["width"]), nn.Linear(config["width"], 10))
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "text"),
    [
        ("1e-3", "-1", "4:3", "'lr' can be -1.0: lr must be a finite number above 0"),
        ("  width: 8", "  width: 8\n  widht: 16", "6:3", "parameter 'widht' is never read"),
        (
            "{metric: accuracy}",
            "{metric: acuracy}",
            "2:26",
            "unknown metric 'acuracy'; did you mean 'accuracy'",
        ),
        (
            "{metric: accuracy}",
            "{metrc: accuracy}",
            "2:25",
            "unknown argument 'metrc'; did you mean 'metric'",
        ),
        ("{lr: 0.1, ", "{lr: 0.9, ", "12:7", "parameter 'lr': value must be in [0.001, 0.5], got 0.9"),
        ("{lr: 0.1, ", "{lrr: 0.1, ", "12:7", "unknown parameter 'lrr'; did you mean 'lr'"),
        ("  budget", "  searcher: {grid: {most: 2}}\n  budget", "8:13", "above most=2"),
    ],
)
def test_a_first_start_that_fails_names_the_line_and_leaves_nothing_behind(
    folder, capsys, monkeypatch, old, new, place, text
):
    monkeypatch.delitem(sys.modules, "cli_real", raising=False)
    (folder / "cli_real.py").write_text(REAL_TASK)
    (folder / "real.yaml").write_text(REAL.replace(old, new))
    assert cli.main(["run", "real.yaml", "--path", "out", "--quiet"]) == 4
    said = capsys.readouterr().err
    assert f"real.yaml:{place}: " in said
    assert text in said
    assert not (folder / "out" / "study.yaml").exists()
    for command in ("status", "resume", "report"):
        assert cli.main([command, "out"]) == 4
        assert "a first start that failed leaves none" in capsys.readouterr().err


def test_a_start_that_was_mended_begins(folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "cli_real", raising=False)
    (folder / "cli_real.py").write_text(REAL_TASK)
    for text, code in ((REAL.replace("width", "widht"), 4), (REAL, 0)):
        (folder / "real.yaml").write_text(text)
        assert cli.main(["run", "real.yaml", "--path", "out", "--quiet"]) == code
    assert (folder / "out" / "study.yaml").read_text() == REAL
    assert cli.main(["resume", "out", "--quiet"]) == 0


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
    assert json.loads(out)["kind"] == "Stopped"
    assert "to continue: autotune resume out" in err
    assert cli.main(["resume", "out", "--quiet"]) == 0


def test_a_study_is_forecast_before_it_begins(capsys):
    file = Path(__file__).parents[1] / "examples/study.yaml"
    line = ["forecast", str(file), "--workers", "1", "4", "--price", "2", "--epoch-seconds", "9"]
    assert cli.main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["workers"] for row in found["rows"]] == [1, 4]
    assert found["rows"][0]["hours"] > found["rows"][1]["hours"]
    assert not found["measured"]
    assert cli.main(line) == 0
    assert re.search(r"confirmation: \d+ full trainings", capsys.readouterr().out)


def test_a_forecast_shows_what_fits_its_budget_and_fails_where_nothing_does(tmp_path, capsys):
    example = Path(__file__).parents[1] / "examples/study.yaml"
    line = ["forecast", "", "--epoch-seconds", "60", "--price", "1"]
    for wall, code in ((0.75, 0), (0.05, 4)):
        line[1] = str(tmp_path / f"{wall}.yaml")
        text = re.sub(r"budget:.*", f"budget: {{wall: {wall}}}", example.read_text())
        (tmp_path / "digits.py").write_text((example.parent / "digits.py").read_text())
        Path(line[1]).write_text(text)
        assert cli.main([*line, "--workers", "1", "8"]) == code
        said = capsys.readouterr()
    assert "covers the confirmation with none of these workers" in said.err


def test_a_search_on_recorded_curves_is_simulated_with_any_number_of_workers(tmp_path, capsys):
    """Losses fall from 3 by the size of the rate; the plan is that of a study's file."""
    rates = [10 ** (-4 + 3 * n / 49) for n in range(50)]
    rows = [
        {"hp": {"rate": r, "beta": 0.9}, "valid": {"loss": [9.0, *(3 - r * step for step in range(9))]}}
        for r in rates
    ]
    (tmp_path / "task.json").write_text(json.dumps(rows))
    plan = "task: a.b:c\nspace: {x: {float: [0, 1]}}\nplan:\n  budget: {epochs: 180}\n"
    (tmp_path / "s.yaml").write_text(plan + "  scheduler: {asha: {horizon: 9, lowest: 1}}\n")
    line = ["simulate", "--taskset", str(tmp_path / "task.json"), "--plan", str(tmp_path / "s.yaml")]
    assert cli.main([*line, "--workers", "1", "4", "2000", "--step-seconds", "30", "--json"]) == 0
    one, four, many = json.loads(capsys.readouterr().out)["rows"]
    assert one["busy"] == pytest.approx(1.0) and one["hours"] > 2 * four["hours"] > 2 * many["hours"]
    assert one["search_hours"] == pytest.approx(one["epochs"] * 30 / 3600)
    assert many["trials"] > four["trials"] >= one["trials"] > 30
    assert one["score"] > -3 + 8 * rates[35]
    assert cli.main([*line, "--workers", "4"]) == 0
    assert "score: at the horizon, of the winner" in capsys.readouterr().out
