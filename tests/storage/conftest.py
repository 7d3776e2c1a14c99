import pytest
from fake_s3 import FakeS3

from autotune.checkpoint import opening as checkpoints
from autotune.storage import objects, opening, patient


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path_factory):
    """Credentials that open nothing, a scratch folder of one's own, and waits that are short."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("scratch")))
    monkeypatch.setattr(patient, "LONGEST_S", 0.2)
    opening._remote.cache_clear()
    checkpoints._stored.cache_clear()
    yield
    opening._remote.cache_clear()
    checkpoints._stored.cache_clear()


@pytest.fixture
def given_up_early(monkeypatch):
    """Requests of stores opened from here on; for what is silent on purpose, not for what is merely slow."""
    monkeypatch.setattr(objects, "REQUEST_S", 0.5)
    monkeypatch.setattr(objects, "RETRIES", 0)


@pytest.fixture
def server():
    with FakeS3() as server:
        yield server
