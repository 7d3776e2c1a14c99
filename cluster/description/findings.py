"""What is wrong with a cluster's description: where, what, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, final

from autotune.errors import ConfigurationError

PLACEHOLDER: Final = re.compile(r"<[^<>\s][^<>\n]*>")


@final
@dataclass(frozen=True)
class Finding:
    """One thing to change.

    Attributes:
        rule: Short name of the check.
        path: Where in the spec, such as `nodes.groups[0].count`; empty for all of it.
        problem: What is wrong, with the value.
        remedy: What to write instead.
        place: `file:line:column` of it; empty where there is no file.
        waits: Wrong only once the cluster is started: a value to be filled in, a token to be made.
    """

    rule: str
    path: str
    problem: str
    remedy: str
    place: str = ""
    waits: bool = False

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.place, self.path) if part)
        return f"{where}: {self.problem}; {self.remedy}" if where else f"{self.problem}; {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return dict(vars(self))


def placed(findings: Iterable[Finding], place: Callable[[str], str]) -> list[Finding]:
    """The findings with their places in a file."""
    return [replace(one, place=place(one.path)) for one in findings]


def refuse(findings: Iterable[Finding], ready: bool = False) -> None:
    """Stop where anything is wrong; with `ready`, also where anything waits.

    Raises:
        ConfigurationError: With every finding, one on a line.
    """
    wrong = [one for one in findings if ready or not one.waits]
    if wrong:
        raise ConfigurationError("\n".join(str(one) for one in wrong))


def is_placeholder(value: object) -> bool:
    """Whether a text still has a part in angle brackets, as the presets write what only the user knows.

    >>> is_placeholder("s3://<bucket>/studies"), is_placeholder("s3://mine/studies")
    (True, False)
    """
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Every scalar of plain data with its path; names of mappings are scalars, too.

    >>> list(leaves({"a": [1, {"b": 2}]}))
    [('a', 'a'), ('a[0]', 1), ('a[1].b', 'b'), ('a[1].b', 2)]
    """
    if isinstance(value, dict):
        for name, item in value.items():
            below = f"{path}.{name}" if path else str(name)
            yield below, name
            yield from leaves(item, below)
    elif isinstance(value, list | tuple):
        for k, item in enumerate(value):
            yield from leaves(item, f"{path}[{k}]")
    else:
        yield path, value
