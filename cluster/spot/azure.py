"""Azure: scheduled events, at least half a minute's notice of an eviction."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final, final

from autotune.cluster.spot.notice import METADATA, Notice, document, fetch, malformed

HEADER: Final = {"Metadata": "true"}
ENDING: Final = ("Preempt", "Terminate", "Redeploy", "Reboot")  # after each the node's processes are gone
EVENTS: Final = "metadata/scheduledevents?api-version=2020-07-01"
NAME: Final = "metadata/instance/compute/name?api-version=2021-02-01&format=text"


@final
class Azure:
    """Its metadata service, which tells every machine of a group of the events of all."""

    def __init__(self, address: str = METADATA) -> None:
        self._address = address
        self._name: str | None = None

    def ask(self) -> Notice | None:
        """The first event that ends this machine."""
        if self._name is None:
            self._name = fetch(f"{self._address}/{NAME}", HEADER)
        text = fetch(f"{self._address}/{EVENTS}", HEADER)  # nothing for two minutes after the first question
        return None if text is None else event(text, self._name or "")


def event(text: str, name: str) -> Notice | None:
    """What the scheduled events say about one machine.

    >>> event('{"DocumentIncarnation": 1, "Events": [{"EventType": "Preempt", "Resources": ["vm"], '
    ...       '"NotBefore": "Thu, 01 Jan 2026 00:00:30 GMT"}]}', "vm")
    Notice(why='Azure announces Preempt', at_s=1767225630.0, certain=True)
    """
    events = document(text, "Azure's scheduled events").get("Events")
    if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
        raise malformed("the list in Azure's scheduled events", events)
    for one in events:
        if one.get("EventType") in ENDING and name in (one.get("Resources") or ()):
            return Notice(f"Azure announces {one['EventType']}", _time(one.get("NotBefore")))
    return None


def _time(text: object) -> float | None:
    try:
        return parsedate_to_datetime(str(text)).timestamp()
    except ValueError:
        return None  # empty once it has begun
