"""A selection and a study in a process that has less memory than their data; says how much it took."""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import autotune as at
from autotune.data import Limits, open_dataset
from autotune.scheduling.asha import ASHA
from autotune.searching.random import RandomSearch
from autotune.selection import make_selector
from autotune.space import Choice, Float, SearchSpace
from autotune.standalone.select import select
from autotune.standalone.sources import Sources
from autotune.training.rules import TrialRules

MIB = 1 << 20


def build(config):
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 10))


def choose(data, fraction=0.001):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(768, 8))
    return select(data, make_selector("k_center"), fraction, Sources(encoder=encoder)).ids.tolist()


def search(data, folder):
    options = {"el2n": {"fraction": 0.05, "warmup": 0.2}, "fresh_random": {"fraction": 0.05}, "full": {}}
    sizes = Choice([256, 512])
    space = SearchSpace({"lr": Float(0.01, 0.1, log=True), "batch_size": sizes, "policy": Choice(options)})
    plan = at.Plan(
        at.Budget(trials=3),
        ASHA(horizon=0.2, lowest=0.1, reduction=2),
        RandomSearch(),
        at.Confirm(leaders=1, seeds=2),
        seed=1,
    )
    rules = TrialRules(0.2, device="cpu")
    result = at.Study(at.Classification(data, build), space, folder, plan, rules=rules).run()
    return result.verdict["winner"]


def taken():
    """Bytes of private memory that this process may write, as the limit counts them."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmData:")[1].split()[0]) << 10


def main(place, folder, memory_mib, cache_mib, what):
    torch.set_num_threads(1)
    warm = at.Dataset.from_arrays(np.eye(999, 768, dtype=np.float32), np.arange(999) % 10)
    choose(warm, 0.01)  # what libraries load and set aside for good, at their first use
    if what == "study":
        search(warm, Path(folder) / "warm")
    data = open_dataset(place, limits=Limits(int(cache_mib) / 1024, 0.05, Path(folder) / "cache"))
    size = data.inputs.size * data.inputs.dtype.itemsize
    allowed = taken() + int(memory_mib) * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    try:
        bytearray(size)
        sys.exit("the data fits, so this shows nothing")
    except MemoryError:
        picks = choose(data)
    found = search(data, Path(folder) / "study") if what == "study" else {}
    print(json.dumps({"picks": picks, **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
