"""The trial log: append-only, hash-chained, durable, with one writer at a time."""

from autotune.log.driven import Driven
from autotune.log.form import Commit, Tail
from autotune.log.local import TrialLog
from autotune.log.opening import has_begun, no_study, open_log, read_commits, read_events
from autotune.log.stored import StoredLog

__all__ = [
    "Commit",
    "Driven",
    "StoredLog",
    "Tail",
    "TrialLog",
    "has_begun",
    "no_study",
    "open_log",
    "read_commits",
    "read_events",
]
