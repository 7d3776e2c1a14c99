"""A GPU that exists only as a number of Ray's, shared by trials of which two need more than their part.

`python sharing_driver.py FOLDER`: the first needs most of the GPU, the second more than all; prints JSON.
"""

import json
import sys
import time

import ray
import torch
from crew_driver import PATIENCE_S, build, workload

from autotune.cluster.engine import RayEngine
from autotune.events import to_json
from autotune.work import Assignment

CONFIG = {"optimizer": "sgd", "lr": 0.01, "batch_size": 27}


def filling(config):
    """A model that has no place in less than it needs, once it has been trained for a while."""
    model = build(config)
    model.register_buffer("steps", torch.zeros(()))

    def grow(module, given):
        module.steps += module.training
        share = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
        if module.steps > 25 and share < config.get("needed", 0.0):
            raise torch.OutOfMemoryError(f"CUDA out of memory in {share}")

    model.register_forward_pre_hook(grow)
    return model


def main(folder):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.cloudpickle.register_pickle_by_value(sys.modules["crew_driver"])
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=8, num_gpus=1, **quiet)
    engine = RayEngine(resources_per_trial={"CPU": 1, "GPU": 0.25}, workers=3)
    engine.start(workload(folder, pause_s=0.0, model=filling))
    for number, needed in enumerate((0.8, 2.0, 0.0, 0.0, 0.0, 0.0)):
        engine.submit(Assignment(number, number, CONFIG | {"needed": needed}, 1, 0, 0.0, 6.0))
    told, end, answered = [], time.monotonic() + PATIENCE_S, 0
    while answered < 6 and time.monotonic() < end:
        told += [to_json(one) for one in engine.poll(1.0)]
        answered = sum(one["event"] != "Interrupted" for one in told)
    engine.close()
    ray.shutdown()
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
