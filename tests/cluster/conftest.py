import logging
import warnings
from contextlib import contextmanager

import pytest
from lab.fixtures import cloud_of, sandbox  # noqa: F401  # fixtures


@contextmanager
def ray_forgiven():
    """Warnings raised inside Ray are no faults of ours; everything else stays an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\..*")
        logging.getLogger("ray").setLevel(logging.ERROR)
        yield


@pytest.fixture(scope="session")
def ray_cluster():
    """One cluster of our own for all tests that need one: 8 logical CPUs, whatever the machine has."""
    import ray

    from autotune.cluster.live.connection import start_local

    with ray_forgiven():
        start_local(8)
        yield ray
        ray.shutdown()


@pytest.fixture(autouse=True)
def _ray_forgiven():
    with ray_forgiven():
        yield
