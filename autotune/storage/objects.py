"""A prefix of S3, Google Cloud Storage or Azure as a store, through obstore."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, final

from autotune.errors import ConfigurationError, RefusedError, StorageError
from autotune.storage.location import Remote
from autotune.storage.store import Store, Stored

logger = logging.getLogger(__name__)
REQUEST_S: Final = 30.0  # of one request; a file goes in parts, one request each
CONNECT_S: Final = 5.0
RETRIES: Final = 2  # of obstore's own, so that a large upload survives a lost part
AT_ONCE: Final = 16  # requests of `get_all`
WEAK: Final = "two drivers are kept apart by signs of life alone"
CODES: Final = ("NoSuchBucket", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_UNKNOWN: Final = "501 Not Implemented"
_REFUSED: Final = (*CODES, "401 Unauthorized", "403 Forbidden")


@final
class ObjectStore(Store):
    """A prefix of an object store; pickled it is the address alone.

    Credentials are found as obstore finds them: in the environment, or from the machine's role.

    Args:
        place: The prefix.
        opened: An object store of obstore's, rooted at the prefix; opened by the address when None.

    Raises:
        ConfigurationError: When obstore is missing, or cannot make sense of the address.
    """

    def __init__(self, place: Remote, opened: Any = None) -> None:
        self.place = place
        self._opened = _open(place) if opened is None else opened

    def __str__(self) -> str:
        return str(self.place)

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectStore, (self.place,)

    def put_new(self, name: str, content: bytes) -> bool:
        """Create a name by a conditional request (`If-None-Match: *`, or what the store has for it).

        Where the store has none, write if there is nothing, and look who has won.
        """
        import obstore

        with self._asked("write to"):
            try:
                obstore.put(self._opened, name, content, mode="create")
            except obstore.exceptions.AlreadyExistsError:
                return self.get(name) == content
            except obstore.exceptions.BaseError as error:
                if not isinstance(error, obstore.exceptions.NotSupportedError) and _UNKNOWN not in str(error):
                    raise
                if self.get(name) is None:
                    logger.warning("%s creates nothing only if it is absent: %s", self.place, WEAK)
                    obstore.put(self._opened, name, content)
                return self.get(name) == content
        return True

    def put(self, name: str, content: bytes | Path) -> None:
        """Write a name; what is large goes in several parts, which become an object by the last request."""
        import obstore

        if isinstance(content, Path) and not content.is_file():
            raise FileNotFoundError(content)
        with self._asked("write to"):
            obstore.put(self._opened, name, content)

    def get(self, name: str) -> bytes | None:
        """The content."""
        import obstore

        with self._asked("read"):
            try:
                return bytes(obstore.get(self._opened, name).bytes())
            except FileNotFoundError:
                return None

    def part(self, name: str, start: int, length: int, tag: str = "") -> bytes | None:
        """Some bytes of the content, by a request that the store refuses where the content is another."""
        import obstore

        meant: dict[str, Any] = {"range": (start, start + length)}
        with self._asked("read"):
            try:
                options = meant | ({"if_match": tag} if tag else {})
                return bytes(obstore.get(self._opened, name, options=options).bytes())  # type: ignore[arg-type]
            except (FileNotFoundError, obstore.exceptions.PreconditionError):
                return None

    def look(self, under: str = "") -> list[Stored]:
        """What is in a folder."""
        import obstore

        with self._asked("list"):
            pages = obstore.list(self._opened, under.strip("/") or None)
            found = [Stored(one["path"], one["size"], one["e_tag"] or "") for page in pages for one in page]
        return sorted(found, key=lambda one: one.name)

    def delete(self, *names: str) -> None:
        """Remove names, many in one request where the store can."""
        import obstore

        with self._asked("delete in"):
            if names:
                obstore.delete(self._opened, list(names))

    def get_all(self, names: Iterable[str]) -> list[bytes | None]:
        """The contents of several names, asked for side by side."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self.get, names))

    @contextmanager
    def _asked(self, action: str) -> Iterator[None]:
        """Say in one line what could not be done, and whether the store said no or nothing."""
        import obstore

        try:
            yield
        except StorageError:
            raise
        except (obstore.exceptions.BaseError, OSError) as error:
            said = obstore.exceptions
            no = (
                FileNotFoundError,
                PermissionError,
                said.PermissionDeniedError,
                said.UnauthenticatedError,
                said.InvalidPathError,
            )
            refused = isinstance(error, no) or any(code in str(error) for code in _REFUSED)
            kind = RefusedError if refused else StorageError
            raise kind(f"cannot {action} {self.place}: {_reason(error)}") from error


def _open(place: Remote) -> Any:
    try:
        from obstore.store import from_url
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{place} needs obstore, which speaks to object stores: pip install obstore"
        ) from error
    options = dict(place.options)
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=REQUEST_S),
        "connect_timeout": timedelta(seconds=CONNECT_S),
    }
    if options.get("endpoint", "").startswith("http://"):
        client["allow_http"] = True
    retries: Any = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=REQUEST_S)}
    try:
        return from_url(
            f"{place.root}/{place.key}",
            config=options or None,  # type: ignore[call-overload]  # its overloads differ by scheme
            client_options=client,
            retry_config=retries,
        )
    except Exception as error:  # its own errors have no common base when an address is read
        raise ConfigurationError(f"cannot use {place}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What went wrong, without the request and the debugging that follow."""
    text = str(error).partition("\n\nDebug source")[0]
    if (code := next((code for code in CODES if code in text), None)) is not None:
        return code
    return " ".join(text.rpartition(" - ")[2].split())[:200]
