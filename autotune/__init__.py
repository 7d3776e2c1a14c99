"""autotune searches training settings and data-selection policy together, and counts every cost.

What most programs need is below; docs/api.md says where the rest is: selectors, ready spaces, further
searchers and schedulers, the Ray engine, errors. Names are imported when they are first used, so that a
worker which only trains does not load what only searches.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from autotune.data import Dataset, Splits
    from autotune.engines.base import Engine
    from autotune.engines.inprocess import InProcess
    from autotune.engines.simulated import Simulated
    from autotune.errors import AutotuneError
    from autotune.policy import Policy, Schedule
    from autotune.scheduling.adaptive import AdaptiveASHA
    from autotune.scheduling.asha import ASHA
    from autotune.scheduling.base import Scheduler
    from autotune.scheduling.full import FullTraining
    from autotune.searching.base import Searcher
    from autotune.searching.fair import FairStart
    from autotune.searching.grid import GridSearch
    from autotune.searching.random import RandomSearch
    from autotune.searching.starting import StartingPoints
    from autotune.searching.tpe import TPE
    from autotune.selection import Selector, Subset, register, selector_names
    from autotune.signals import Signal, Signals
    from autotune.space import Choice, Float, Int, SearchSpace
    from autotune.study import Budget, Confirm, Plan, Result, Study
    from autotune.task import Batch, Classification, CustomLoop, Regression, Task
    from autotune.training.rules import TrialRules
    from autotune.training.session import Session

_HOMES: Final = {
    "autotune.data": ("Dataset", "Splits"),
    "autotune.engines.base": ("Engine",),
    "autotune.engines.inprocess": ("InProcess",),
    "autotune.engines.simulated": ("Simulated",),
    "autotune.errors": ("AutotuneError",),
    "autotune.policy": ("Policy", "Schedule"),
    "autotune.scheduling.adaptive": ("AdaptiveASHA",),
    "autotune.scheduling.asha": ("ASHA",),
    "autotune.scheduling.base": ("Scheduler",),
    "autotune.scheduling.full": ("FullTraining",),
    "autotune.searching.base": ("Searcher",),
    "autotune.searching.fair": ("FairStart",),
    "autotune.searching.grid": ("GridSearch",),
    "autotune.searching.random": ("RandomSearch",),
    "autotune.searching.starting": ("StartingPoints",),
    "autotune.searching.tpe": ("TPE",),
    "autotune.selection": ("Selector", "Subset", "register", "selector_names"),
    "autotune.signals": ("Signal", "Signals"),
    "autotune.space": ("Choice", "Float", "Int", "SearchSpace"),
    "autotune.study": ("Budget", "Confirm", "Plan", "Result", "Study"),
    "autotune.task": ("Batch", "Classification", "CustomLoop", "Regression", "Task"),
    "autotune.training.rules": ("TrialRules",),
    "autotune.training.session": ("Session",),
}
_HOME: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ASHA",
    "TPE",
    "AdaptiveASHA",
    "AutotuneError",
    "Batch",
    "Budget",
    "Choice",
    "Classification",
    "Confirm",
    "CustomLoop",
    "Dataset",
    "Engine",
    "FairStart",
    "Float",
    "FullTraining",
    "GridSearch",
    "InProcess",
    "Int",
    "Plan",
    "Policy",
    "RandomSearch",
    "Regression",
    "Result",
    "Schedule",
    "Scheduler",
    "SearchSpace",
    "Searcher",
    "Selector",
    "Session",
    "Signal",
    "Signals",
    "Simulated",
    "Splits",
    "StartingPoints",
    "Study",
    "Subset",
    "Task",
    "TrialRules",
    "register",
    "selector_names",
]


if not TYPE_CHECKING:  # which knows the names from above

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'autotune' has no attribute {name!r}; known: {', '.join(__all__)}")
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
