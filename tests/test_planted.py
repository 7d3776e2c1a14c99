"""What somebody has planted where a study is kept is read as data: it does not run."""

import hashlib
import json
import os
import pickle

import pytest

from autotune import cli
from autotune.checkpoint import CheckpointStore
from autotune.errors import LogError, SpaceError
from autotune.events import Opened
from autotune.log import TrialLog, read_events
from autotune.space import SearchSpace
from autotune.testing.checkpoints import TENSORS


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    """What is there once something planted has run; the payload is shown to work."""
    shown = tmp_path / "shown"
    pickle.loads(pickle.dumps(Payload(shown)))  # noqa: S301  # our own
    assert shown.exists()
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_checkpoint_with_the_right_digest(tmp_path, mark, name, form):
    store = CheckpointStore(tmp_path / "checkpoints")
    folder = store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1).path
    if form == "pickle":
        (folder / name).write_bytes(pickle.dumps(Payload(mark)))
    else:
        import torch

        torch.save(Payload(mark), folder / name)
    if name != "manifest.json":
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
    assert store.latest(0) is None  # so that the trial starts from the one before, or from nothing


def test_a_log(tmp_path, mark):
    log = TrialLog(tmp_path / "log")
    log.append(Opened({"name": "s", "rungs": [1.0]}))
    log.close()
    (segment,) = (tmp_path / "log").glob("*.jsonl")
    head = segment.read_bytes().partition(b"\n")[0]
    yaml = b"!!python/object/apply:os.mkdir ['%s']" % str(mark).encode()
    for planted in (pickle.dumps(Payload(mark)), yaml):
        segment.write_bytes(planted + b"\n" + planted + b"\n")
        assert list(read_events(tmp_path / "log")) == []  # as one whose writer died while creating it
        segment.write_bytes(head + b"\n" + planted + b"\n" + planted + b"\n")
        with pytest.raises(LogError):
            list(read_events(tmp_path / "log"))


TAGS = ("!!python/object/apply:os.mkdir [{}]", "!!python/name:os.mkdir", "!!python/object/new:os.mkdir [{}]")


@pytest.mark.parametrize("tag", TAGS)
def test_a_search_space(tmp_path, mark, tag):
    planted = tag.format(mark)
    for text in (f"lr: {planted}\n", f"{planted}: 1\n", f"lr: {{choice: [{planted}]}}\n"):
        with pytest.raises(SpaceError):
            SearchSpace.from_yaml(text)
    (tmp_path / "study.yaml").write_text(f"task: a.b:c\nspace: {planted}\nplan: {{budget: {{trials: 1}}}}\n")
    assert cli.main(["show-space", str(tmp_path / "study.yaml")]) == 4


@pytest.mark.parametrize("tag", TAGS)
def test_a_cluster(tmp_path, mark, tag):
    (tmp_path / "c.yaml").write_text(f"name: {tag.format(mark)}\nwhere: {{local: {{}}}}\n")
    assert cli.main(["cluster", "check", "--offline", str(tmp_path / "c.yaml")]) == 4
