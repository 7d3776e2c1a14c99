import pytest
from fake_s3 import FakeS3

from autotune.checkpoint import opening as checkpoints
from autotune.storage import objects, opening, patient


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path_factory):
    """Credentials that open nothing, a scratch folder of one's own, and requests that are given up early."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("scratch")))
    monkeypatch.setattr(objects, "REQUEST_S", 0.5)
    monkeypatch.setattr(objects, "RETRIES", 0)
    monkeypatch.setattr(patient, "LONGEST_S", 0.2)
    opening._remote.cache_clear()
    checkpoints._stored.cache_clear()
    yield
    opening._remote.cache_clear()
    checkpoints._stored.cache_clear()


@pytest.fixture
def server():
    with FakeS3() as server:
        yield server
