"""A cluster of nodes on this machine, a trial of two of them, and single ones beside it; nodes are killed.

`python crew_driver.py FOLDER` kills the node of the trial's leader, and when it goes on, that of the other
process, and prints JSON.
It runs itself again, as the driver of the other study: Tune is made for one study per process.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import ray
import torch
from ray.cluster_utils import Cluster
from ray.util import placement_group_table
from torch import nn

from autotune.cluster.engine import RayEngine
from autotune.cluster.footprint import Footprint
from autotune.data import Dataset, Splits
from autotune.engines.function import FunctionWorkload
from autotune.events import Reported, to_json
from autotune.task import Classification
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

PATIENCE_S = 240
LINES = 30  # of steps, by either process, between two kills
HORIZON = 14.0  # some 80 steps
CONFIG = {
    "optimizer": "adamw", "lr": 0.01, "batch_size": 27, "policy": "el2n", "policy.fraction": 0.4,
    "policy.warmup": 0.1, "policy.interval": 0.2,
}  # fmt: skip
TODO = Assignment(0, 0, CONFIG, 1, 0, 0.0, HORIZON)


@dataclass(frozen=True)
class Written(Classification):
    """Writes down the loss of every sample at every step."""

    folder: str = ""
    pause_s: float = 0.0

    def losses(self, model, batch, smoothing=0.0):
        losses = super().losses(model, batch, smoothing)
        if model.training:
            time.sleep(self.pause_s)
            with (Path(self.folder) / "curve.jsonl").open("a") as file:
                file.write(json.dumps([time.time(), batch.ids.tolist(), losses.tolist()]) + "\n")
        return losses


def build(config):
    return nn.Sequential(nn.Linear(8, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def workload(folder, pause_s, model=build):
    """Its trial takes some seconds, and is saved about once a second."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 8)).astype(np.float32)
    data = Dataset.from_arrays(inputs, (inputs @ rng.normal(size=(8, 3))).argmax(1))
    splits = Splits.make(data, target=0.1, validation=0.2, test=0.2, seed=0)
    Path(folder).mkdir(parents=True, exist_ok=True)
    task = Written(data, model, folder=str(folder), pause_s=pause_s)
    return TrainingWorkload(
        task, splits, TrialRules(horizon=HORIZON, checkpoint_share=0.1), Path(folder) / "saved"
    )


def nap(config, fidelity, seed):
    time.sleep(0.2)
    return float(seed)


def single(address, folder):
    """Trials of one process, one after another, until there is a file that says `enough`."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    engine, answers = RayEngine(workers=1, address=address), []
    engine.start(FunctionWorkload(nap))
    while not (Path(folder) / "enough").exists():
        number = len(answers)
        engine.submit(Assignment(number, number, {}, number, 0, 0.0, 1.0))
        while len(answers) == number and not (Path(folder) / "enough").exists():
            answers += [one for one in engine.poll(0.2) if isinstance(one, Reported)]
    (Path(folder) / "answered").write_text(str(len(answers)))
    engine.close()


def main(folder):
    torch.set_num_threads(1)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(5)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    many = RayEngine(workers=1, resources_per_trial=Footprint({"CPU": 1}, processes=2, spread="nodes"))
    began = time.monotonic()
    many.start(workload(folder, pause_s=0.1))
    other = [sys.executable, "-W", "ignore", __file__, "single", cluster.address, folder]
    beside = subprocess.Popen(other, stdout=subprocess.DEVNULL)
    fits = many._footprint.fits(ray.nodes())
    many.submit(TODO)
    told, killed = [], []
    while not any(one["event"] == "Reported" for one in told) and time.monotonic() - began < PATIENCE_S:
        told += [to_json(one) | {"s": time.monotonic()} for one in many.poll(0.2)]
        if len(killed) < 2 and _goes_on(folder, since=killed[-1] if killed else 0.0):
            place = _places()[len(killed)]
            killed.append(time.time())
            cluster.remove_node(next(n for n in nodes if n.node_id == place), allow_graceful=False)
    (Path(folder) / "enough").touch()
    beside.wait(timeout=60)
    answered = int((Path(folder) / "answered").read_text())
    many.close()
    ray.shutdown()
    cluster.shutdown()
    made = _made(folder)
    stood = max(after - before for before, after in pairwise(made))
    print(json.dumps({"told": told, "beside": answered, "fits": fits, "killed": killed, "stood_s": stood}))


def _goes_on(folder, since):
    """Whether the trial was saved since then, and has made steps beyond that."""
    saved = (Path(folder) / "saved").glob("trial-*/e*")
    return any(place.stat().st_mtime > since for place in saved) and (
        sum(at > since for at in _made(folder)) > LINES
    )


def _made(folder):
    """When each step was made, by any process of the trial."""
    path = Path(folder) / "curve.jsonl"
    return [json.loads(line)[0] for line in path.read_text().splitlines()] if path.exists() else []


def _places():
    """The nodes of the trial's processes, the leader's first."""
    for group in placement_group_table().values():
        if group["state"] == "CREATED" and len(group["bundles"]) == 2:
            return [group["bundles_to_node_id"][number] for number in range(2)]
    raise LookupError("no trial of two processes is placed")


if __name__ == "__main__":
    if sys.argv[1] == "single":
        single(*sys.argv[2:])
    else:
        main(sys.argv[1])
