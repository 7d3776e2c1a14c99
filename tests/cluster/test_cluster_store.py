"""Trials on Ray that save to an object store go on from there in another process, with the same decisions."""

import pytest
from driving import drive

from tests.storage.fake_s3 import FakeS3

pytestmark = pytest.mark.ray


def test_killed_workers_cost_what_they_had_not_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    with FakeS3() as server:
        told = drive("store_driver.py", server.address("study"), tmp_path)
    assert told["not_killed"] == 0
    assert told["interrupted"]
    assert not told["failed"]
    assert told["found"] == told["calm"]
