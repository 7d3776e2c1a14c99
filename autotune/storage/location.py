"""How a place is written: a path, or the address of a prefix in an object store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from autotune.errors import ConfigurationError, unknown

SCHEMES: Final = ("s3", "gs", "az", "abfs", "abfss")
OPTIONS: Final = {"s3": ("endpoint", "region")}


@dataclass(frozen=True)
class Remote:
    """A prefix in an object store; like a path it only names something.

    >>> place = locate("s3://bucket/studies/first?region=eu-west-1")
    >>> str(place / "log"), place.name, str(place.parent)
    ('s3://bucket/studies/first/log?region=eu-west-1', 'first', 's3://bucket/studies?region=eu-west-1')

    Attributes:
        root: Scheme and bucket, `s3://bucket`.
        key: The prefix, without slashes at its ends.
        options: What is needed to find the store and is no secret, by name.
    """

    root: str
    key: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __truediv__(self, name: str) -> Remote:
        return Remote(self.root, f"{self.key}/{name}".strip("/"), self.options)

    def __str__(self) -> str:
        asked = f"?{urlencode(self.options, safe=':/')}" if self.options else ""
        return f"{self.root}/{self.key}{asked}"

    @property
    def scheme(self) -> str:
        """What kind of store it is."""
        return self.root.partition(":")[0]

    @property
    def parent(self) -> Remote:
        """The prefix that this one is in."""
        return Remote(self.root, self.key.rpartition("/")[0], self.options)

    @property
    def name(self) -> str:
        """The last part of the prefix, or the bucket."""
        return self.key.rpartition("/")[2] or self.root.rpartition("/")[2]

    def absolute(self) -> Remote:
        """Itself, wherever a process starts."""
        return self

    def resolve(self) -> Remote:
        """Itself: there are no links."""
        return self


Location: TypeAlias = Path | Remote


def locate(place: str | Path | Remote) -> Location:
    """What a user wrote: a path, `file://…`, or an object store's address.

    Raises:
        ConfigurationError: When nothing can be kept there, or the address holds a secret.
    """
    if not isinstance(place, str) or "://" not in place:
        return place if isinstance(place, Remote) else Path(place)
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(unknown("kind of storage", parts.scheme, ("file", *SCHEMES)))
    known = OPTIONS.get(parts.scheme, ())
    options = tuple(sorted(parse_qsl(parts.query)))
    odd = [name for name, _ in options if name not in known]
    if odd or parts.password or (parts.username and not parts.scheme.startswith("abfs")):
        raise ConfigurationError(
            f"the address of {parts.scheme}://{parts.hostname or ''} may hold "
            f"{' and '.join(known) or 'no options'} after its path, and no credentials: those come from the "
            "environment or from the machine's role"
        )
    if parts.fragment:
        raise ConfigurationError(f"{place}: an address has no part after `#`; write %23 where a name has one")
    if not parts.netloc:
        raise ConfigurationError(f"{place} names no bucket; write {parts.scheme}://bucket/prefix")
    return Remote(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/"), options)
