"""Ray's own check of a `ray up` file, offline; the only place that touches these private functions of Ray."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from autotune.cluster.description.findings import Finding

RULE: Final = "ray-schema"


def ray_schema(config: dict[str, Any]) -> list[Finding]:
    """What Ray would refuse; nothing inside a `node_config` is looked at by it.

    Paths are those of the rendered file.
    """
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    with _quiet():
        try:
            validate_config(prepare_config(copy.deepcopy(config)))
        except jsonschema.ValidationError as error:
            path = ".".join(str(part) for part in error.absolute_path)
            return [Finding(RULE, path, error.message, "change what it is rendered from")]
        except Exception as error:  # Ray raises whatever: ValueError, KeyError, its own abort
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return [Finding(RULE, "", f"Ray refuses it: {said}", "change what it is rendered from")]
    return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray tells of its defaults on the way, in its log and on the console."""
    log = logging.getLogger("ray.autoscaler._private.util")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        log.setLevel(before)
