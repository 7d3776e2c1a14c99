"""What trials see of two GPUs that exist only as numbers of Ray's; prints JSON."""

import json
import os
import sys
import time

import ray

from autotune.cluster.engine import RayEngine
from autotune.engines.function import FunctionWorkload
from autotune.work import Assignment


def seen(config, fidelity, seed):
    """The GPUs that this process may use, as numbers of a metric."""
    share = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
    ids = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    return {"score": 0.0, "share": share, "visible": -1.0 if ids == "all" else float(len(ids))}


def asked(**options):
    """What a trial of such an engine is given, and how many have place."""
    engine = RayEngine(lookahead=0, **options)
    engine.start(FunctionWorkload(seen))
    engine.submit(Assignment(0, 0, {}, 1, 0, 0.0, 1.0))
    answers, end = [], time.monotonic() + 120.0
    while not answers and time.monotonic() < end:
        answers = engine.poll(1.0)
    places = engine.capacity()
    engine.close()
    return {**answers[0].metrics, "places": places}


def main():
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=4, num_gpus=2, **quiet)
    print(json.dumps([asked(), asked(resources_per_trial={"CPU": 1})]))


if __name__ == "__main__":
    main()
