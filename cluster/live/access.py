"""Whether a cluster's door is where it should be, locked, and opened by our token: said within seconds."""

from __future__ import annotations

import ipaddress
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

from autotune.errors import ClusterError, ConfigurationError

PATIENCE_S: Final = 3.0
TOKEN_FILE: Final = Path("~/.ray/auth_token")
_MODE: Final = "/api/authentication_mode"  # answers without a token
_VERSION: Final = "/api/version"  # and this only with one, where the cluster asks for it


@final
@dataclass(frozen=True)
class Access:
    """Where a cluster's dashboard is, and with which token it opens.

    Attributes:
        address: Such as `http://127.0.0.1:8265`.
        token_file: Holds the token and nothing else; Ray's own place when None. It is read for every use and
            kept nowhere else.
        open_to_all: Also use a cluster that asks for no token and can be reached from elsewhere.
        locked: Refuse one that asks for no token on this machine, too.
    """

    address: str
    token_file: Path | None = None
    open_to_all: bool = False
    locked: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ConfigurationError(
                "address must be that of a Ray dashboard, such as http://127.0.0.1:8265, got "
                f"{self.address!r}; a token belongs into a file, see token_file"
            )

    @property
    def headers(self) -> dict[str, str]:
        """What proves who we are; empty where there is no token."""
        token = self._token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def check(self) -> str:
        """Knock, first without the token, which must not open, then with it.

        Returns:
            The version of Ray that the cluster runs.

        Raises:
            ClusterError: When nothing answers, or no Ray dashboard does.
            ConfigurationError: When the cluster is open to everybody, or our token does not open it.
        """
        locked = self._ask(_MODE, {}).get("authentication_mode") not in (None, "disabled")
        locked = locked and not self._opens()
        here = is_loopback(urlsplit(self.address).hostname or "") and not self.locked
        if not locked and not self.open_to_all and not here:
            raise ConfigurationError(
                f"the cluster at {self.address} asks for no token: whoever reaches it can run code there. "
                "Start it with RAY_AUTH_MODE=token, or say that you want an open one (--open)"
            )
        if locked and not self._token():
            raise ConfigurationError(
                f"the cluster at {self.address} asks for a token, and {self._where()} holds none; copy the "
                "cluster's there with mode 0600, or name its file with --token-file"
            )
        return str(self._ask(_VERSION, self.headers if locked else {}).get("ray_version", "unknown"))

    def _opens(self) -> bool:
        """Whether it answers without a token, whatever it says of itself."""
        try:
            self._ask(_VERSION, {})
        except ConfigurationError:
            return False
        return True

    def _token(self) -> str:
        try:
            return self._where().read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the token in {self._where()}: {error}") from error

    def _where(self) -> Path:
        return (self.token_file or TOKEN_FILE).expanduser()

    def _opener(self) -> urllib.request.OpenerDirector:
        """No other host is shown the token: none that is named by the answer, and no proxy in clear."""
        direct = [] if self.address.startswith("https:") else [urllib.request.ProxyHandler({})]
        return urllib.request.build_opener(_Stay, *direct)

    def _ask(self, what: str, headers: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(self.address.rstrip("/") + what, headers=headers)
        try:
            with self._opener().open(request, timeout=PATIENCE_S) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                raise ConfigurationError(
                    f"the token in {self._where()} does not open the cluster at {self.address}; copy its own"
                ) from None
            if error.code == 404 and what == _MODE:  # older than token authentication
                return {}
            raise ClusterError(f"{self.address} answers {error.code}; is it a Ray dashboard?") from None
        except (OSError, ValueError, AttributeError) as error:
            reason = getattr(error, "reason", error)
            raise ClusterError(
                f"no Ray dashboard answers at {self.address} within {PATIENCE_S:g} s ({reason}); is the "
                "cluster up, and its port forwarded to here?"
            ) from error


class _Stay(urllib.request.HTTPRedirectHandler):
    """Takes an answer that names another address for an answer."""

    def redirect_request(self, *given: Any) -> None:
        """There is none."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, seen from itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
