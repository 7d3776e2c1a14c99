"""A cluster's spec as YAML; every error and every finding names its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

import yaml

from autotune.cluster.description.spec import ClusterSpec
from autotune.errors import ConfigurationError
from autotune.yaml_nodes import NUMBER, Node


@final
@dataclass(frozen=True)
class SpecFile:
    """A spec with the text that it was read from."""

    spec: ClusterSpec
    root: Node

    def place(self, path: str) -> str:
        """`file:line:column` of a value by its path, or of the innermost thing around it that is written."""
        node = self.root
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            if name and node.is_mapping and name in (named := node.items()):
                node = named[name]
            elif index and node.is_list and int(index) < len(listed := node.elements()):
                node = listed[int(index)]
            else:
                break
        mark = node.node.start_mark
        return f"{node.source}:{mark.line + 1}:{mark.column + 1}"


def read_spec(path: str | Path) -> SpecFile:
    """Read a file.

    Raises:
        ConfigurationError: With file, line and column of what is unknown, missing or of another type.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"cannot read {path}: {reason}; `autotune cluster init` writes a spec to start from"
        ) from error
    return parse_spec(text, str(path))


def parse_spec(text: str, source: str = "spec") -> SpecFile:
    """Read a text; `source` is what errors call it."""
    root = Node.read(text, source, "name, where, nodes, image and storage")
    return SpecFile(root.build(ClusterSpec), root)


def to_yaml(spec: ClusterSpec) -> str:
    """The text that reads back as this spec."""
    text: str = yaml.dump(spec.to_plain(), Dumper=_Quoting, sort_keys=False)
    return text


class _Quoting(yaml.SafeDumper):
    """Quotes texts that our reader takes for numbers and YAML 1.1 does not, such as `1e4`."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "'" if NUMBER.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Quoting.add_representer(str, _Quoting.represent_str)
