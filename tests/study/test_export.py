"""The result folder of a real study: what is in it, and that the model in it is the one that was judged."""

import json

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from autotune.data.digits import digits
from autotune.scheduling.asha import ASHA
from autotune.search_spaces.policies import policies
from autotune.space import Choice, Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study
from autotune.task import Classification
from autotune.testing.results import ResultContract


def model(config):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    torch.set_num_threads(1)
    task = Classification(digits(), model)
    space = SearchSpace(
        {"lr": Float(0.01, 0.3, log=True), "batch_size": Choice([16, 32]), "policy": policies(["el2n"])}
    )
    plan = Plan(Budget(trials=6), ASHA(horizon=3.0, lowest=0.4), confirm=Confirm(leaders=1, seeds=2))
    return task, Study(task, space, tmp_path_factory.mktemp("study"), plan).run()


class TestResult(ResultContract):
    @pytest.fixture
    def result(self, finished):
        return finished[1]


def test_the_folder_is_complete(finished):
    folder = finished[1].path / "result"
    names = {path.name for path in folder.iterdir()}
    assert names == {"trials.parquet", "config.yaml", "model.safetensors", "manifest.json", "report.html"}


def test_only_what_was_confirmed_keeps_its_checkpoints(finished):
    result = finished[1]
    kept = {path.name for path in (result.path / "checkpoints").iterdir()}
    assert kept == {f"trial-{trial.number:06d}" for trial in result.history.of_phase("confirm")}


def test_the_saved_model_is_the_one_that_was_judged(finished):
    task, result = finished
    folder = result.path / "result"
    manifest = json.loads((folder / "manifest.json").read_text())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config == dict(result.best_config)
    network = model(config)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    network.eval()
    read = result.history.reads[manifest["model"]["trial"]]
    data = task.data
    from autotune.data import Splits

    test = Splits.make(data, seed=0).test
    with torch.no_grad():
        outputs = network(torch.from_numpy(data.inputs[test].copy()))
    right = (outputs.argmax(1).numpy() == data.targets[test]).mean()
    assert right == pytest.approx(read.score)


def test_the_manifest_says_where_it_comes_from(finished):
    task, result = finished
    manifest = json.loads((result.path / "result" / "manifest.json").read_text())
    assert manifest["study"]["data"] == task.data.fingerprint
    assert {"torch", "ray", "python"} <= set(manifest["versions"])
    assert len(manifest["winner"]["seeds"]) == 2
    assert "git" in manifest


def test_the_table_has_a_row_for_every_trial(finished):
    result = finished[1]
    table = pq.read_table(result.path / "result" / "trials.parquet").to_pylist()
    assert [row["trial"] for row in table] == list(result.history.trials)
    assert {row["status"] for row in table} <= {"done", "stopped", "failed"}  # nobody waits for anything
    total = sum(row["epochs"] for row in table)
    assert total == pytest.approx(result.epochs())


def test_seconds_add_up_to_no_more_than_the_study_took(finished):
    seconds = sum(ledger.total.seconds for ledger in finished[1].history.spent.values())
    assert seconds > 0
