"""A search space as YAML, read so that every error points at its line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import yaml

from autotune.errors import SpaceError, unknown
from autotune.space.dimensions import Choice, Dimension, Fixed, dimension
from autotune.space.ranges import Float, Int
from autotune.space.values import Scalar, check_name, scalar
from autotune.yaml_nodes import NUMBER

Path: TypeAlias = tuple[str, ...]
Marks: TypeAlias = Mapping[Path, str]  # where each parameter and option stands: `file:line:column`

KINDS: Final = ("float", "int", "choice")
DEEPEST: Final = 16  # nesting beyond this is an alias that contains itself


def parse(text: str, source: str, section: str | None = None) -> tuple[dict[str, Dimension], Marks]:
    """The named dimensions of a text, and where they stand.

    Raises:
        SpaceError: With file, line and column of what cannot be used.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpaceError(f"{_where(source, mark)}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SpaceError(f"{source}: not valid YAML: {error}") from error
    reader = _Reader(source)
    if root is None:
        raise SpaceError(f"{source}:1:1: a search space must name at least one parameter, got an empty text")
    if section is not None:
        top = {key: value for key, _, value in reader.items(root)}
        if section not in top:
            raise SpaceError(f"{_where(source, root.start_mark)}: {unknown('section', section, top)}")
        root = top[section]
    found = reader.parameters(root, ())
    return found, reader.marks


def locate(marks: Marks, path: Path) -> str:
    """Where a path stands, or the nearest of those above it that has a place of its own."""
    while path not in marks:
        path = path[:-1]
    return marks[path]


def dump(parameters: Mapping[str, Dimension]) -> str:
    """Named dimensions as YAML that `parse` reads back equal."""
    tree = {name: _plain(dim) for name, dim in parameters.items()}
    return yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True
    )


class _Reader:
    """Builds dimensions from YAML nodes and remembers where each stood."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.marks: dict[Path, str] = {}
        self._scalars = yaml.SafeLoader("")

    def parameters(self, node: yaml.Node, path: Path) -> dict[str, Dimension]:
        self._mark(path, node)
        found: dict[str, Dimension] = {}
        for name, key, value in self.items(node):
            with self._at(key):
                check_name(name)
                if len(path) > DEEPEST:
                    raise SpaceError(f"parameters nest deeper than {DEEPEST} levels; remove a level")
            self._mark((*path, name), key)
            found[name] = self._dimension(name, value, (*path, name))
        return found

    def items(self, node: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, "expected a mapping of names, `name: ...`")
        seen = set()
        for key, value in node.value:
            if key.tag.endswith(":merge"):
                raise self._error(key, "merge keys (<<) are not supported; write the parameters out")
            name = self._scalar(key)
            if not isinstance(name, str):
                raise self._error(key, f"a name must be a string, got {name!r}; quote it")
            if name in seen:
                raise self._error(key, f"name {name!r} is given twice; remove one")
            seen.add(name)
            yield name, key, value

    def _dimension(self, name: str, node: yaml.Node, path: Path) -> Dimension:
        if isinstance(node, yaml.ScalarNode):
            return Fixed(self._scalar(node))
        if isinstance(node, yaml.SequenceNode):
            raise self._error(node, f"{name!r} is a list; write `{name}: {{choice: [...]}}`")
        fields: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, at, value in self.items(node):
            if key not in (*KINDS, "log"):
                raise self._error(at, f"{name!r}: {unknown('key of a dimension', key, (*KINDS, 'log'))}")
            fields[key] = (at, value)
        kinds = [kind for kind in KINDS if kind in fields]
        if len(kinds) != 1:
            got = ", ".join(kinds) or "none"
            raise self._error(node, f"{name!r} must have exactly one of {', '.join(KINDS)}; got {got}")
        kind = kinds[0]
        if kind == "choice":
            if "log" in fields:
                raise self._error(fields["log"][0], f"{name!r}: a choice has no log; remove it")
            options = self._options(name, fields[kind][1], path)
            with self._at(fields[kind][1], name):
                return dimension(name, Choice(options))
        log = self._scalar(fields["log"][1]) if "log" in fields else False
        if not isinstance(log, bool):
            raise self._error(fields["log"][1], f"{name!r}: log must be true or false, got {log!r}")
        return self._range(name, kind, fields[kind][1], log)

    def _range(self, name: str, kind: str, node: yaml.Node, log: bool) -> Dimension:
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
            raise self._error(node, f"{name!r}: {kind} must be a range [low, high]")
        low, high = (self._scalar(bound) for bound in node.value)
        with self._at(node, name):
            return Float(low, high, log) if kind == "float" else Int(low, high, log)  # type: ignore[arg-type]  # checked there

    def _options(self, name: str, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.SequenceNode):
            options = [self._scalar(option) for option in node.value]
            for option, at in zip(options, node.value, strict=True):
                self._mark((*path, str(option)), at)
            return options
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{name!r}: choice must be a list of values, or options with parameters")
        branches = {}
        for option, key, children in self.items(node):
            below = (*path, option)
            branches[option] = {} if children.tag.endswith(":null") else self.parameters(children, below)
            self._mark(below, key)
        return branches

    def _scalar(self, node: yaml.Node) -> Scalar:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "expected a single value")
        with self._at(node):
            return scalar(self._raw(node))

    def _raw(self, node: yaml.ScalarNode) -> Any:
        if node.style is None and node.tag.endswith(":str") and NUMBER.fullmatch(node.value):
            return float(node.value)
        try:
            return self._scalars.construct_object(node)
        except yaml.MarkedYAMLError as error:
            raise SpaceError(f"cannot read {node.value!r}: {error.problem}") from error
        except ValueError as error:  # such as a date in month 13
            raise SpaceError(f"cannot read {node.value!r}: {error}") from error

    def _mark(self, path: Path, node: yaml.Node) -> None:
        self.marks[path] = _where(self._source, node.start_mark)

    def _error(self, node: yaml.Node, text: str) -> SpaceError:
        return SpaceError(f"{_where(self._source, node.start_mark)}: {text}")

    @contextlib.contextmanager
    def _at(self, node: yaml.Node, name: str | None = None) -> Iterator[None]:
        """Say where an error of the block stands, and of which parameter it is."""
        try:
            yield
        except SpaceError as error:
            raise self._error(node, f"{name!r}: {error}" if name else str(error)) from error


class _Dumper(yaml.SafeDumper):
    """Quotes what `parse` would otherwise read as a number, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def _plain(dim: Dimension) -> Any:
    if isinstance(dim, Fixed):
        return dim.value
    if isinstance(dim, Choice):
        if not isinstance(dim.options, Mapping):
            return {"choice": list(dim.values)}
        branches = {str(option): dim.children(option) for option in dim.values}
        return {
            "choice": {
                option: {name: _plain(child) for name, child in children.items()}
                for option, children in branches.items()
            }
        }
    kind = "float" if isinstance(dim, Float) else "int"
    return {kind: [dim.low, dim.high]} | ({"log": True} if dim.log else {})


def _where(source: str, mark: yaml.Mark | None) -> str:
    return f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
