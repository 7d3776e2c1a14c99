"""One copy of the data per node, however many trials read it."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autotune.cluster.engine import RayEngine
from autotune.events import Interrupted, Reported
from autotune.testing.engines import assignment
from autotune.work import Worker, Workload

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

TRIALS = 8
COPY_MIB = 200


class Reading(Workload):
    """Workers that wait for each other, measure, read all data, wait again, measure, and wait again."""

    def __init__(self, folder, arrays):
        self.folder, self.arrays = folder, arrays

    @property
    def bulk(self):
        return self.arrays

    def worker(self, bulk):
        return Reader(self.folder, bulk)

    def __getstate__(self):
        return {"folder": self.folder, "arrays": {}}


class Reader(Worker):
    def __init__(self, folder, bulk):
        self.folder, self.bulk = folder, bulk

    def advance(self, assignment, beat):
        self.meet("ready", assignment.id)
        before = pss_mib()
        self.meet("measured", assignment.id)
        total = float(sum(int(array.sum(dtype=np.int64)) for array in self.bulk.values()))
        self.meet("read", assignment.id)
        grown = pss_mib() - before
        self.meet("done", assignment.id)
        metrics = {"grown_mib": grown, "total": total}
        return Reported(assignment.id, assignment.trial, 0, assignment.until, grown, metrics)

    def meet(self, stage, number):
        Path(self.folder, f"{stage}-{number}").touch()
        end = time.monotonic() + 60
        while len(list(Path(self.folder).glob(f"{stage}-*"))) < TRIALS and time.monotonic() < end:
            time.sleep(0.02)


def pss_mib():
    """This process's memory, shared pages divided among those that map them."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def store_mib(ray):
    """Resident bytes of the node's object store, which the workers map."""
    here = ray.get_runtime_context().gcs_address  # this machine may run other clusters
    used = ray._private.internal_api.memory_summary(here, stats_only=True)
    [line] = [line for line in used.splitlines() if line.startswith("Plasma memory usage")]
    return float(line.split()[3])


def test_eight_trials_share_one_copy(ray_cluster, tmp_path, capsys):
    arrays = {
        "inputs": np.random.default_rng(0).integers(0, 255, (COPY_MIB - 10) * 2**20, dtype=np.uint8),
        "targets": np.arange(10 * 2**20 // 8, dtype=np.int64),
    }
    expected = float(sum(int(array.sum(dtype=np.int64)) for array in arrays.values()))
    ray_cluster.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    engine = RayEngine(workers=TRIALS)
    before = store_mib(ray_cluster)
    engine.start(Reading(str(tmp_path), arrays))
    stored = store_mib(ray_cluster) - before
    for number in range(TRIALS):
        engine.submit(assignment(number))
    answers = []
    end = time.monotonic() + 120
    while len(answers) < TRIALS and time.monotonic() < end:
        answers += [each for each in engine.poll(1.0) if not isinstance(each, Interrupted)]
    engine.close()
    while store_mib(ray_cluster) > before + 1 and time.monotonic() < end:
        time.sleep(0.1)  # Ray frees it in the background
    kept = store_mib(ray_cluster) - before
    assert all(isinstance(answer, Reported) for answer in answers), answers
    assert {answer.metrics["total"] for answer in answers} == {expected}
    # Shared pages count once: each process's share of them adds up to one copy.
    workers = sum(answer.metrics["grown_mib"] for answer in answers)
    with capsys.disabled():
        print(
            f"\n{TRIALS} trials over {COPY_MIB} MiB: object store {stored:.0f} MiB, "
            f"workers grew by {workers:.0f} MiB together"
        )
    assert len(answers) == TRIALS
    assert kept < 1, f"{kept} MiB were left in the object store"
    assert max(stored, workers) < 1.3 * COPY_MIB
