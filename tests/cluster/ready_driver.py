"""A study of one trial on a cluster that has a process ready: `python ready_driver.py FOLDER` prints JSON.

Which processes were ready, and in which one the trial ran with how many of torch's threads.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import ray

from autotune.cluster.engine import RayEngine
from autotune.cluster.live.connection import start_local, switches
from autotune.cluster.render.common import WARM
from autotune.engines.function import FunctionWorkload
from autotune.scheduling.full import FullTraining
from autotune.searching import RandomSearch
from autotune.space import Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study

PATIENCE_S = 60.0


def threads(config, fidelity, seed):
    import torch

    return {"score": float(torch.get_num_threads()), "process": float(os.getpid())}


def facts(process):
    """What the system says of it, from its state on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def ours(process):
    """Whether a process is this one or descends from it."""
    while process > 1 and process != os.getpid():
        process = int(facts(process)[1])
    return process == os.getpid()


def ticks(process):
    """Of a processor that it has used: as long as they grow, it still imports."""
    return sum(map(int, facts(process)[11:13]))


def ready():
    """Workers of our cluster that are nobody's and have imported torch."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            waits = (folder / "cmdline").read_bytes().startswith(b"ray::IDLE")
            if waits and "libtorch_cpu" in (folder / "maps").read_text() and ours(int(folder.name)):
                found.append(int(folder.name))
    return found


def main(folder):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with switches(WARM):
        start_local(1)
    ends = time.monotonic() + PATIENCE_S
    waiting, worked = [], -1
    while time.monotonic() < ends and not (waiting and worked == sum(map(ticks, waiting))):
        waiting = ready()
        worked = sum(map(ticks, waiting))
        time.sleep(1.0)
    plan = Plan(Budget(trials=1), FullTraining(1.0), RandomSearch(), Confirm(leaders=1, seeds=2))
    space = SearchSpace({"x": Float(0.0, 1.0)})
    result = Study(FunctionWorkload(threads), space, folder, plan, RayEngine(workers=1)).run()
    first = result.history.trials[0]
    print(json.dumps({"ready": waiting, "process": first.metrics["process"], "threads": first.score}))
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
