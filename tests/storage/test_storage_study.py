"""A whole study at an address: killed on one machine, continued on another, and nothing decided otherwise."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny import study

from autotune.cli import main
from autotune.events import Assigned, Concluded, PhaseStarted, Proposed, Reported
from autotune.log import read_events
from autotune.storage.location import locate
from autotune.study import Result

DECISIONS = Proposed | Assigned | PhaseStarted | Concluded


def history(place, kinds):
    return [event for event in read_events(place / "log") if isinstance(event, kinds)]


def results(place):
    return [(e.trial, e.rung, e.score, e.fidelity, e.ledger.total.flops) for e in history(place, Reported)]


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The same study on a disk, undisturbed."""
    folder = tmp_path_factory.mktemp("calm")
    study(folder).run()
    return folder


def test_killed_and_resumed_elsewhere_it_decides_the_same(
    server, calm, monkeypatch, tmp_path, tmp_path_factory, capsys
):
    monkeypatch.chdir(tmp_path)
    address = server.address("studies/first")
    program = [sys.executable, str(Path(__file__).with_name("tiny.py")), address, "11"]
    another_machine = os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("machine"))}
    assert subprocess.run(program, check=False, env=another_machine).returncode == -signal.SIGKILL
    place = locate(address)
    assert history(place, DECISIONS) == history(calm, DECISIONS)[: len(history(place, DECISIONS))]
    server.break_down("503")  # as if the machines had lost their network, too
    timer = threading.Timer(1.0, server.mend)
    timer.start()
    result = study(address).run()
    timer.join()
    assert result.done
    assert history(place, DECISIONS) == history(calm, DECISIONS)
    assert results(place) == results(calm)
    assert Result.load(address).verdict == Result.load(calm).verdict
    kept = {key.removeprefix("studies/first/") for key in server.objects}
    names = ("trials.parquet", "config.yaml", "model.safetensors", "manifest.json", "report.html")
    assert {f"result/{name}" for name in names} <= kept
    trials = {key.split("/")[1] for key in kept if key.startswith("checkpoints/trial")}
    confirmed = {trial.number for trial in result.history.of_phase("confirm")}
    assert trials == {f"trial-{number:06d}" for number in confirmed}
    assert list(tmp_path.iterdir()) == []  # nothing fell beside the bucket
    capsys.readouterr()
    assert main(["status", address]) == 0
    assert "The winner is" in capsys.readouterr().out


YAML = """\
task: tiny_task:work
space: {lr: {float: [0.1, 1.0]}}
plan: {budget: {trials: 3}, scheduler: {asha: {horizon: 1}}, searcher: random, confirm: {leaders: 1}}
"""
TASK = """\
from autotune.engines.function import FunctionWorkload

def work():
    return FunctionWorkload(lambda config, fidelity, seed: fidelity - config["lr"])
"""


def test_the_command_line_takes_addresses(server, tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny_task.py").write_text(TASK)
    (tmp_path / "study.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    address = server.address("from/yaml")
    assert main(["run", "study.yaml", "--path", address, "--quiet"]) == 0
    said = capsys.readouterr().out
    assert f"report: {locate(address) / 'result' / 'report.html'}" in said
    assert main(["resume", address, "--quiet"]) == 0
    assert capsys.readouterr().out == said
    assert main(["status", server.address("nothing/here")]) == 4
    assert "holds no study" in capsys.readouterr().err
    assert main(["status", "s3://key:secret@bucket/x"]) == 4
    assert "secret" not in capsys.readouterr().err
