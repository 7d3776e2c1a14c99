"""Every error autotune raises on purpose, as one tree.

```
AutotuneError
├── ConfigurationError (ValueError)      what the user wrote cannot work; CLI exit code 4
│   ├── DataError                        the data set or its splits
│   ├── SpaceError                       the search space
│   ├── SelectorError                    a selector, its parameters or the signals it needs
│   ├── PolicyError                      a data policy
│   └── FolderError                      a folder of another study, of none, or of a newer format
├── StudyError (RuntimeError)            a study that cannot go on; CLI exit code 1
│   ├── LogError                         a trial log that is damaged
│   └── StudyFailedError                 every one of the first trials failed alike
├── LockedError (RuntimeError)           another driver owns the study; CLI exit code 3
├── ClusterError (ConnectionError)       a cluster that cannot be reached; CLI exit code 3
├── StorageError (OSError)               a path that cannot be read or written; CLI exit code 3
│   └── RefusedError                     a store that answers, and says no
├── CheckpointError (RuntimeError)       a checkpoint that is incomplete or does not fit the model
├── PreemptedError (RuntimeError)        the machine is about to go; the trial is saved and goes on elsewhere
├── RankLostError (RuntimeError)         a process is gone with which others train the same trial
├── DeviceLostError (RuntimeError)       a process cannot use its GPU any more; CLI exit code 3
└── TrialError (RuntimeError)            ends one trial, never the study
    ├── DivergedError                    a loss that is no longer finite
    ├── MissingMetricError               a report without its score
    ├── PeerError                        another process of the same trial has failed
    └── HungError                        no progress for longer than the watchdog allows
```
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

DONE: Final = 0  # exit codes of the command line, by which a job on a cluster tells how it ended
FAILED: Final = 1
USAGE: Final = 2
RETRY: Final = 3
CONFIGURATION: Final = 4
BUDGET: Final = 5


class AutotuneError(Exception):
    """Base of every error that autotune raises on purpose."""


class ConfigurationError(AutotuneError, ValueError):
    """What the user wrote cannot work; nothing was spent.

    Attributes:
        path: Names and options that lead to what is wrong in the search space, from its top, such as
            `("policy", "el2n", "fraction")`; None where it is not in the space.
    """

    def __init__(self, text: str = "", path: tuple[str, ...] | None = None) -> None:
        super().__init__(text)
        self.path = path


class DataError(ConfigurationError):
    """A data set or its splits cannot be used."""


class SpaceError(ConfigurationError):
    """A search space cannot be searched."""


class SelectorError(ConfigurationError):
    """A selector is unknown, badly parametrised or lacks a signal."""


class PolicyError(ConfigurationError):
    """A data policy cannot be followed."""


class FolderError(ConfigurationError):
    """A folder holds another study, none, or one of a newer format."""


class StudyError(AutotuneError, RuntimeError):
    """A study cannot go on."""


class LogError(StudyError):
    """A trial log is damaged, or decides otherwise when it is replayed."""


class StudyFailedError(StudyError):
    """Every one of the first trials failed in the same way."""


class LockedError(AutotuneError, RuntimeError):
    """Another driver owns the study; once that has ended, the same call continues it."""


class ClusterError(AutotuneError, ConnectionError):
    """A cluster cannot be reached, or does not answer as one should."""


class StorageError(AutotuneError, OSError):
    """A path cannot be read or written."""


class RefusedError(StorageError):
    """A store answers, and says no: it knows no such bucket, or grants no permission."""


class PreemptedError(AutotuneError, RuntimeError):
    """The machine is about to go; the trial is saved, and goes on elsewhere. Training loops let it pass."""


class RankLostError(AutotuneError, RuntimeError):
    """A process is gone with which others train the same trial; the trial is not to blame."""


class DeviceLostError(AutotuneError, RuntimeError):
    """A process cannot use its GPU any more, whatever it tries; another process may."""


class CheckpointError(AutotuneError, RuntimeError):
    """A checkpoint is incomplete or does not fit."""


class TrialError(AutotuneError, RuntimeError):
    """One trial ends; the study goes on."""


class DivergedError(TrialError):
    """The training loss is no longer finite."""


class MissingMetricError(TrialError):
    """A trial reached a rung without reporting its score."""


class PeerError(TrialError):
    """Another process of the same trial has failed, and so does this one.

    Attributes:
        kind: Of its failure, in one word.
        text: Its message.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class HungError(TrialError):
    """A trial made no progress for longer than the watchdog allows."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The text for a name that does not exist: what was asked, the nearest known one, and all of them.

    >>> unknown("selector", "el2m", ["el2n", "full"])
    "unknown selector 'el2m'; did you mean 'el2n'? known: el2n, full"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names) or 'none'}"
