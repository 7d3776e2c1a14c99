"""What a cloud tells a machine about its end, and how it is asked."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, final

from autotune.errors import ClusterError

METADATA: Final = "http://169.254.169.254"
PATIENCE_S: Final = 2.0  # the service is on the machine's own host; a machine of no cloud has none


@final
@dataclass(frozen=True)
class Notice:
    """A machine is about to go.

    Attributes:
        why: In the cloud's words.
        at_s: When, in seconds since 1970; None where it does not say.
        certain: Whether it will go; else the cloud only holds it likely.
    """

    why: str
    at_s: float | None = None
    certain: bool = True


class Service(Protocol):
    """A cloud's metadata service."""

    def ask(self) -> Notice | None:
        """What it says about this machine; may take a second.

        Raises:
            ClusterError: When it does not answer, or not as documented.
        """


def fetch(url: str, headers: Mapping[str, str], method: str = "GET", wait_s: float = 0.0) -> str | None:
    """The service's answer; None for *there is no such thing*.

    No proxy is asked, which would know nothing of this machine and might keep what it hears.

    Args:
        url: What is asked.
        headers: That show who asks.
        method: Of HTTP.
        wait_s: Seconds that the service was asked to hold the answer back for.

    Raises:
        ClusterError: When there is no answer in time, or a refusal.
    """
    request = urllib.request.Request(url, headers=dict(headers), method=method)
    try:
        with _DIRECT.open(request, timeout=PATIENCE_S + wait_s) as answer:
            text: str = answer.read().decode("utf-8", "replace")
            return text
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise ClusterError(f"{url} answers {error.code}; asking on") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ClusterError(f"{url} does not answer within {PATIENCE_S:g} s ({reason}); asking on") from None


def document(text: str, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ClusterError: When the text is none: from a captive page, say, which must drain no machine.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise malformed(what, text)
    return found


def malformed(what: str, found: object) -> ClusterError:
    """The error for an answer that is not as documented."""
    return ClusterError(f"{what} is not as documented: {str(found)[:80]!r}; asking on")


_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
