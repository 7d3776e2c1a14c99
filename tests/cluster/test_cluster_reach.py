"""A storage path that some node does not see is refused before anything is spent."""

from pathlib import Path

import pytest

from autotune.cluster.connection import live_nodes
from autotune.cluster.engine import RayEngine
from autotune.cluster.reach import Mark, check_nodes
from autotune.engines.function import FunctionWorkload
from autotune.errors import ConfigurationError


def test_a_folder_of_one_machine_is_told_from_one_that_all_see(tmp_path):
    mark = Mark.plant(tmp_path)
    assert mark.problem() is None
    here = Mark(tmp_path / "of another machine", mark.name, mark.content)
    assert "which is a folder of the driver's machine alone" in here.problem()
    mark.remove()
    assert list(tmp_path.iterdir()) == []
    assert mark.problem() is not None


@pytest.mark.ray
def test_a_node_that_does_not_see_the_path_is_named_at_once(tmp_path, ray_cluster):
    check_nodes(Mark.plant(tmp_path), live_nodes())
    unseen = Mark(tmp_path, "never", b"planted")
    with pytest.raises(
        ConfigurationError, match=r"node .* does not see .*; give the study a path in an object"
    ):
        check_nodes(unseen, live_nodes())

    class Kept(FunctionWorkload):
        storage = property(lambda self: Path("/proc/nowhere"))

    engine = RayEngine()
    with pytest.raises(OSError, match="cannot write to /proc/nowhere"):
        engine.start(Kept(lambda config, fidelity, seed: 0.0))
    engine.close()
