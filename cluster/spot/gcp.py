"""Google Compute Engine: half a minute's notice of a preemption, a minute's of an end for maintenance."""

from __future__ import annotations

import time
from typing import Final, final

from autotune.cluster.spot.notice import METADATA, Notice, fetch, malformed

FLAVOR: Final = {"Metadata-Flavor": "Google"}
HOLD_S: Final = 1  # that the answer is held back for, unless there is news
PREEMPTED_S: Final = 30.0
ENDING: Final = "TERMINATE_ON_HOST_MAINTENANCE"
STAYING: Final = ("NONE", "MIGRATE_ON_HOST_MAINTENANCE")  # a machine that is moved alive notices nothing


@final
class GCP:
    """Its metadata service, which answers the moment something changes."""

    def __init__(self, address: str = METADATA) -> None:
        self._instance = f"{address}/computeMetadata/v1/instance"

    def ask(self) -> Notice | None:
        """A preemption, else an end for maintenance."""
        held = f"preempted?wait_for_change=true&timeout_sec={HOLD_S}"
        taken = preempted(fetch(f"{self._instance}/{held}", FLAVOR, wait_s=HOLD_S), time.time())
        return taken or maintenance(fetch(f"{self._instance}/maintenance-event", FLAVOR))


def preempted(text: str | None, now_s: float) -> Notice | None:
    """What `instance/preempted` holds.

    >>> preempted("TRUE", 100.0)
    Notice(why='Google takes it back', at_s=130.0, certain=True)
    """
    if text is None or text.strip() == "FALSE":  # not there: no spot machine
        return None
    if text.strip() != "TRUE":
        raise malformed("Google's instance/preempted", text)
    return Notice("Google takes it back", now_s + PREEMPTED_S)


def maintenance(text: str | None) -> Notice | None:
    """What `instance/maintenance-event` holds.

    >>> maintenance("TERMINATE_ON_HOST_MAINTENANCE")
    Notice(why='Google ends it for maintenance of its host', at_s=None, certain=True)
    """
    if text is None or text.strip() in STAYING:
        return None
    if text.strip() != ENDING:
        raise malformed("Google's instance/maintenance-event", text)
    return Notice("Google ends it for maintenance of its host")
