"""Amazon EC2: two minutes' notice of an interruption, and a warning that one is likely."""

from __future__ import annotations

from datetime import datetime
from typing import Final, final

from autotune.cluster.spot.notice import METADATA, Notice, document, fetch, malformed
from autotune.errors import ClusterError

ACTIONS: Final = ("terminate", "stop", "hibernate")
TOKEN_S: Final = 6 * 3600


@final
class AWS:
    """Its metadata service, version 2: a token first, which is shown to nobody."""

    def __init__(self, address: str = METADATA) -> None:
        self._address = address
        self._token: str | None = None

    def ask(self) -> Notice | None:
        """An interruption, else a warning."""
        try:
            if (text := self._get("spot/instance-action")) is not None:
                return interruption(text)
            text = self._get("events/recommendations/rebalance")
            return None if text is None else rebalance(text)
        except ClusterError:
            self._token = None  # it may have run out
            raise

    def _get(self, what: str) -> str | None:
        if self._token is None:
            lasting = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
            self._token = fetch(f"{self._address}/latest/api/token", lasting, "PUT")
        return fetch(
            f"{self._address}/latest/meta-data/{what}", {"X-aws-ec2-metadata-token": self._token or ""}
        )


def interruption(text: str) -> Notice:
    """What `spot/instance-action` holds, which is there only once the machine is to be taken.

    >>> interruption('{"action": "terminate", "time": "2026-01-01T00:02:00Z"}')
    Notice(why='AWS will terminate it', at_s=1767225720.0, certain=True)
    """
    found = document(text, "AWS's instance-action")
    if found.get("action") not in ACTIONS:
        raise malformed("the action in AWS's instance-action", found.get("action"))
    return Notice(f"AWS will {found['action']} it", _time(found.get("time")))


def rebalance(text: str) -> Notice:
    """What `events/recommendations/rebalance` holds, which is there only once there is one.

    >>> rebalance('{"noticeTime": "2026-01-01T00:00:00Z"}')
    Notice(why='AWS holds an interruption likely', at_s=None, certain=False)
    """
    if "noticeTime" not in document(text, "AWS's rebalance recommendation"):
        raise malformed("AWS's rebalance recommendation", text)
    return Notice("AWS holds an interruption likely", certain=False)


def _time(text: object) -> float | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None  # it will be taken all the same
    return at.timestamp() if at.tzinfo is not None else None
