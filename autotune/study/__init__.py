"""The study: plan, decisions, loop, result."""

from autotune.study.plan import Budget, Confirm, Plan
from autotune.study.result import Result
from autotune.study.study import Study

__all__ = ["Budget", "Confirm", "Plan", "Result", "Study"]
