"""Who drives a study that is kept in an object store: the next number, and a sign of life.

`owner-EEEEEE.json` is created only if absent, so every driver has a number of its own, and whoever finds the
number after its own taken has been replaced. That is what keeps drivers apart. The sign of life, renewed
every few seconds, only keeps a second driver from replacing one that is alive.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from autotune.errors import LockedError, StorageError
from autotune.storage.patient import OPENING_S, Patient
from autotune.storage.store import Store

logger = logging.getLogger(__name__)
LEASE_S: Final = 30.0  # without a sign of life, after which a driver may be replaced
RENEWALS: Final = 4  # in that time
LEAVING_S: Final = 5.0  # that the end of a driver waits for its last sign of life
OWNER: Final = re.compile(r"owner-(\d{6})\.json")


@final
class Lease:
    """The right to write to a log.

    Args:
        store: The log's.
        where: What to call the study.
        least: The number is higher than this one.
        lease_s: Seconds without a sign of life after which another driver counts as dead.

    Raises:
        LockedError: When another driver is alive, or was faster.
        StorageError: When the store says no, or has been away for `OPENING_S`.
    """

    def __init__(self, store: Store, where: str, least: int, lease_s: float = LEASE_S) -> None:
        self._store, self._where = store, where
        self._replaced = False
        self._driver = uuid.uuid4().hex
        self._beats = 0
        store = Patient(store, patience_s=OPENING_S)
        newest = max((int(m[1]) for name in store.names() if (m := OWNER.fullmatch(name))), default=0)
        if newest:
            _wait_for_the_end_of(newest, store, where, lease_s)
        self.epoch = max(newest, least) + 1
        if not store.put_new(_name(self.epoch), self._content("runs")):
            raise LockedError(f"another driver took over the study in {where}")
        if store.put_new(_name(self.epoch), self._content("tests")):
            logger.warning(
                "%s overwrites what is to be new: signs of life alone keep two drivers apart", where
            )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, args=(lease_s / RENEWALS,), daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Find out whether a newer driver has taken over; waits while the store is away.

        Raises:
            LockedError: When one has.
        """
        self._replaced = self._replaced or Patient(self._store).get(_name(self.epoch + 1)) is not None
        self.check_seen()

    def check_seen(self) -> None:
        """The same, as far as it was seen when the last sign of life was given.

        Raises:
            LockedError: When one has.
        """
        if self._replaced:
            raise LockedError(f"a newer driver has taken over the study in {self._where}")

    def release(self) -> None:
        """Let the next driver begin at once; safe to call twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join(LEAVING_S)
        if not self._thread.is_alive() and not self._replaced:  # else its sign of life would come after this
            with suppress(StorageError):  # then the next driver waits a little
                self._store.put(_name(self.epoch), self._content("left"))

    def _renew(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            with suppress(StorageError):
                mine = _facts(self._store.get(_name(self.epoch))).get("driver") == self._driver
                if not mine or self._store.get(_name(self.epoch + 1)) is not None:
                    self._replaced = True
                else:
                    self._store.put(_name(self.epoch), self._content("runs"))

    def _content(self, state: str) -> bytes:
        self._beats += 1
        facts = {
            "driver": self._driver,
            "state": state,
            "beats": self._beats,
            "process": process(os.getpid()),
        }
        return json.dumps(facts | {"host": platform.node(), "pid": os.getpid()}).encode()


def _wait_for_the_end_of(epoch: int, store: Store, where: str, lease_s: float) -> None:
    """Return when a driver is not alive any more.

    Raises:
        LockedError: When it is.
    """
    seen = store.get(_name(epoch))
    facts = _facts(seen)
    alive = f"another driver owns the study in {where}; wait for it to end or stop it first"
    if facts.get("state") == "left" or seen is None:
        return
    same = _on_this_machine(facts)
    if same is not None:
        if same:
            raise LockedError(alive)
        return
    logger.warning(
        "%s was driven by %s, which may be alive; waiting %.0f s for a sign",
        where,
        facts.get("host"),
        lease_s,
    )
    end = time.monotonic() + lease_s
    while time.monotonic() < end:
        time.sleep(min(1.0, lease_s / RENEWALS))
        if store.get(_name(epoch)) != seen:
            raise LockedError(alive)


def _on_this_machine(facts: dict[str, Any]) -> bool | None:
    """Whether a driver is alive, by its process; None where that cannot be known."""
    told, mine = facts.get("process"), process(os.getpid())
    if not isinstance(told, list) or mine is None or told[:2] != mine[:2]:
        return None
    return process(int(facts["pid"])) == told


def process(pid: int) -> list[str] | None:
    """What tells a process from all others: boot, namespace and start; None where it has none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if stat[0] == "Z" else [boot, namespace, str(pid), stat[19]]


def _facts(content: bytes | None) -> dict[str, Any]:
    try:
        facts = json.loads(content or b"{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _name(epoch: int) -> str:
    return f"owner-{epoch:06d}.json"
