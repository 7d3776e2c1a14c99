import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# a busy machine is no failure, and the same commit has the same verdict every day; `explore` looks for more
settings.register_profile("autotune", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("autotune")

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser):
    parser.addoption("--data-dir", default=None, help="folder of the public data sets (fashion-mnist/, ...)")


@pytest.fixture(scope="session")
def data_dir(request) -> Path:
    """The folder of the public data sets; where it must exist (CI) its absence is a failure, not a skip."""
    given = request.config.getoption("--data-dir")
    path = Path(given) if given else BESIDE
    if path.is_dir():
        return path
    reason = f"the public data sets are not at {path}; name their folder with --data-dir"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def one_thread():
    """As Ray's workers have, each with one CPU; torch rounds otherwise with several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
