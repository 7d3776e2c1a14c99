"""The examples run as they are written."""

import re
import sys
from pathlib import Path

import pytest
import torch

from autotune.cli import main as autotune_main
from autotune.study import Result
from autotune.study.yaml_form import read_study

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_own_loop_searches_policies_like_any_other(tmp_path, monkeypatch, capsys):
    from examples import own_loop

    monkeypatch.setattr(sys, "argv", ["own_loop", "--path", str(tmp_path / "study"), "--trials", "6"])
    own_loop.main()
    assert "The winner is" in capsys.readouterr().out
    result = Result.load(tmp_path / "study")
    assert {trial.arm for trial in result.history.of_phase("search")} >= {"full", "fresh_random", "infobatch"}
    assert not any(trial.failure for trial in result.history.trials.values())


def test_the_study_file_can_be_read_and_shown(capsys):
    found = read_study("examples/study.yaml")
    assert found.space.options("policy") == ("full", "fresh_random", "infobatch", "el2n")
    assert autotune_main(["show-space", "examples/study.yaml"]) == 0
    assert "optimizer" in capsys.readouterr().out


def test_the_page_on_plugins_shows_the_example_as_it_is():
    files = "\n".join(path.read_text() for path in (ROOT / "examples" / "plugin").iterdir() if path.is_file())
    blocks = re.findall(
        r"```(?:python|toml)\n(.*?)```", (ROOT / "docs" / "plugins.md").read_text(), re.DOTALL
    )
    assert len(blocks) == 3
    assert all(block in files for block in blocks)


@pytest.mark.data
def test_fashion_mnist_is_all_there(data_dir):
    import autotune as at
    from examples import fashion_mnist

    data = at.Dataset.from_idx(data_dir / "fashion-mnist")
    assert (data.n, data.classes, len(data.official_test)) == (70_000, 10, 10_000)
    task = fashion_mnist.task(data)
    config = fashion_mnist.space().reference()
    outputs = task.model(config)(task.prepare(torch.tensor(data.inputs[:2])))
    assert outputs.shape == (2, 10)
