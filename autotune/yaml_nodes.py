"""YAML whose every value knows the line it stands in, and dataclasses built from it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

import yaml

from autotune.errors import AutotuneError, ConfigurationError, unknown

NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")  # YAML 1.1 takes 1e-4 for a string
KINDS: Final = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A value with its place.

    Attributes:
        node: As YAML composed it.
        source: What errors call the file.
        name: Dotted name of the value, for errors.
    """

    node: yaml.Node
    source: str
    name: str = ""

    @classmethod
    def read(cls, text: str, source: str, needs: str) -> Node:
        """The root of a document; `needs` says in words what must be in it.

        Raises:
            ConfigurationError: When the text is not YAML, or empty.
        """
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
            raise ConfigurationError(f"{where}: not valid YAML: {error.problem}") from error
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{source}: not valid YAML: {error}") from error
        if root is None:
            raise ConfigurationError(f"{source}:1:1: the file is empty; it needs {needs}")
        return cls(root, source)

    def error(self, text: str) -> ConfigurationError:
        """An error that points here."""
        mark = self.node.start_mark
        about = f"{self.name}: " if self.name else ""
        return ConfigurationError(f"{self.source}:{mark.line + 1}:{mark.column + 1}: {about}{text}")

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Say that what is wrong in the block stands here."""
        try:
            yield
        except AutotuneError as error:
            raise self.error(str(error)) from error

    @property
    def is_mapping(self) -> bool:
        """Whether it has names in it."""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    def items(self, known: Iterable[str] | None = None) -> dict[str, Node]:
        """The values by name; with `known`, every other name is an error that suggests the nearest.

        Raises:
            ConfigurationError: When it is no mapping, or a name is unknown or given twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error("expected a mapping of names, `name: ...`")
        names = None if known is None else list(known)
        found: dict[str, Node] = {}
        for key, value in self.node.value:
            at = Node(key, self.source, self.name)
            name = at.value()
            if not isinstance(name, str):
                raise at.error(f"a name must be a text, got {name!r}; quote it")
            if names is not None and name not in names:
                raise at.error(unknown("key", name, names))
            if name in found:
                raise at.error(f"{name!r} is given twice; remove one")
            found[name] = Node(value, self.source, f"{self.name}.{name}" if self.name else name)
        return found

    def elements(self) -> list[Node]:
        """The values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error("expected a list, `[..., ...]`")
        return [Node(one, self.source, f"{self.name}[{k}]") for k, one in enumerate(self.node.value)]

    def value(self) -> Any:
        """Plain data: a scalar, a list or a mapping."""
        if self.is_mapping:
            return {name: node.value() for name, node in self.items().items()}
        if self.is_list:
            return [node.value() for node in self.elements()]
        plain = isinstance(self.node, yaml.ScalarNode) and self.node.style is None
        if plain and self.node.tag.endswith(":str") and NUMBER.fullmatch(self.node.value):
            return float(self.node.value)
        try:
            return yaml.SafeLoader("").construct_object(self.node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.error(f"cannot read {self.node.value!r}: {error}") from error

    def typed(self, kind: type[T]) -> T:
        """A scalar of one type; a whole number is also a number.

        Raises:
            ConfigurationError: When it is of another type.
        """
        value = self.value()
        if issubclass(kind, Enum):
            known = [str(member.value) for member in kind]
            if str(value) not in known:
                raise self.error(unknown("value", str(value), known))
            return kind(str(value))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind is float and number:
            return float(value)  # type: ignore[return-value]  # T is float here
        if kind is int and number and float(value).is_integer():
            return int(value)  # type: ignore[return-value]  # T is int here
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(f"expected {KINDS.get(kind, kind.__name__)}, got {value!r}")
        return value

    def build(self, cls: type[T], given: Mapping[str, Any] | None = None) -> T:
        """A dataclass from a mapping of its fields; `given` are defaults that replace the class's own.

        A field may itself be a dataclass, a tuple or a mapping by name. Where a field is one of several
        dataclasses, the file names which by its class attribute `tag`: `{aws: {region: ...}}`.

        Raises:
            ConfigurationError: When a field is unknown, missing, of the wrong type or out of range.
        """
        fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]  # callers pass dataclasses
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = dict(given or {})
        for name, node in self.items(fields).items():
            values[name] = _field(node, hints[name])
        for name, one in fields.items():
            missing = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
            if missing and name not in values:
                raise self.error(f"{name} is missing; give it a value")
        with self.here():
            return cls(**values)


def _field(node: Node, hint: Any) -> Any:
    if hint is Any:
        return node.value()
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(None) in kinds and node.value() is None:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    if len(kinds) > 1 and all(dataclasses.is_dataclass(kind) for kind in kinds):
        return _chosen(node, {kind.tag: kind for kind in kinds})
    kind, parts = kinds[0], typing.get_args(kinds[0])
    if typing.get_origin(kind) is tuple:
        return tuple(_field(one, parts[0]) for one in node.elements())
    if typing.get_origin(kind) is Mapping:
        return {name: _field(one, parts[1]) for name, one in node.items().items()}
    if not isinstance(kind, type):
        raise node.error("cannot be written in YAML; use Python for it")
    return node.build(kind) if dataclasses.is_dataclass(kind) else node.typed(kind)


def _chosen(node: Node, kinds: Mapping[str, type[Any]]) -> Any:
    """One of several dataclasses, by name."""
    named = node.items(kinds)
    if len(named) != 1:
        raise node.error(f"name exactly one of {', '.join(kinds)}, got {', '.join(named) or 'none'}")
    ((name, one),) = named.items()
    return one.build(kinds[name])
