"""A storage path that some node does not see is refused before anything is spent."""

import os
import re
from pathlib import Path

import pytest

from autotune.cluster.engine import RayEngine
from autotune.cluster.live.reach import Mark, unreached
from autotune.engines.function import FunctionWorkload
from autotune.errors import StorageError


def test_a_folder_of_one_machine_is_told_from_one_that_all_see(tmp_path):
    mark = Mark.plant(tmp_path)
    assert mark.problem() is None
    here = Mark(tmp_path / "of another machine", mark.name, mark.content)
    assert "which is a folder of the driver's machine alone" in here.problem()
    mark.remove()
    assert list(tmp_path.iterdir()) == []
    assert mark.problem() is not None


@pytest.mark.ray
def test_a_node_whose_storage_hangs_is_named_too(tmp_path, ray_cluster, monkeypatch):
    os.mkfifo(tmp_path / "hangs")  # whoever reads it waits for somebody who writes
    monkeypatch.setattr("autotune.cluster.live.reach.PATIENCE_S", 3.0)
    [said] = unreached(Mark(tmp_path, "hangs", b"planted"))
    assert re.match(r"node \S+ did not say within 3 s whether it reaches .* look whether its mount", said)
    os.close(os.open(tmp_path / "hangs", os.O_WRONLY))


@pytest.mark.ray
def test_a_node_that_does_not_see_the_path_is_named_at_once(tmp_path, ray_cluster):
    assert unreached(Mark.plant(tmp_path)) == []
    [said] = unreached(Mark(tmp_path, "never", b"planted"))
    assert re.match(r"node \S+ does not see .*; give the study a path in an object store", said)

    class Kept(FunctionWorkload):
        storage = property(lambda self: Path("/proc/nowhere"))

    engine = RayEngine()
    with pytest.raises(StorageError, match="cannot write to /proc/nowhere"):
        engine.start(Kept(lambda config, fidelity, seed: 0.0))
    engine.close()
