"""Specs for tests, and changes of them."""

import dataclasses

from autotune.cluster.description.presets import preset
from autotune.cluster.description.spec_yaml import parse_spec

SPOT = ("aws", "gcp", "azure", "kubernetes")


def spec_of(on, spot=False):
    """A preset's spec."""
    return parse_spec(preset(on, spot), "c.yaml").spec


def change(spec, path, value):
    """The spec with one value replaced; `groups` means the first group."""
    head, _, rest = path.partition(".")
    now = getattr(spec, head)
    if head == "groups":
        new = (change(now[0], rest, value) if rest else value, *now[1:])
    else:
        new = change(now, rest, value) if rest else value
    return dataclasses.replace(spec, **{head: new})
