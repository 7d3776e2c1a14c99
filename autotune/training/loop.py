"""The built-in training loop, which gives its steps away to be made; and how it or a user's own is run."""

from __future__ import annotations

import math

from torch import nn

from autotune.errors import DivergedError, MissingMetricError, TrialError
from autotune.events import Config
from autotune.seeds import derive
from autotune.task import CustomLoop, ModelTask, Task
from autotune.training.buffer import RowBuffer
from autotune.training.parallel.passes import joined
from autotune.training.randomness import GlobalGenerators, scope
from autotune.training.session import Session
from autotune.training.settings import Settings
from autotune.training.step import Step, Steps, alone


def run(task: Task, session: Session) -> None:
    """Run a task's loop, with torch's random numbers all the trial's own.

    Raises:
        TypeError: When nobody knows how to train such a task.
    """
    with scope(session.device):
        alone(running(task, session))


def running(task: Task, session: Session) -> Steps[None]:
    """A task's loop, which draws from torch's global generators.

    Only our own loop gives its steps away; that of a user makes them, all before this gives anything.

    Raises:
        TypeError: When nobody knows how to train such a task.
    """
    GlobalGenerators(session.device).seed(derive(session.seed, "model"))
    if isinstance(task, CustomLoop):
        task.train(session)
    elif isinstance(task, ModelTask):
        yield from training(task, session)
    else:
        raise TypeError(f"{type(task).__name__} is neither a ModelTask nor a CustomLoop; derive from one")


def scored(task: Task, session: Session) -> float:
    """Run a task's loop to the end of its assignment, and its score: see `scoring`."""
    with scope(session.device):
        return alone(scoring(task, session))


def scoring(task: Task, session: Session) -> Steps[float]:
    """A task's loop to the end of its assignment, and its score.

    Raises:
        TrialError: When the loop stopped before that.
        MissingMetricError: When it did not report the task's metric, or another one that the study reads.
        DivergedError: When the score is not finite.
        Exception: Whatever the user's code raises.
    """
    yield from running(task, session)
    if not session.reached:
        raise TrialError("the loop stopped early; iterate session.loader to its end, then report")
    if session.metrics is None:
        raise MissingMetricError(f"nothing was reported; call session.report({task.metric}=...)")
    session.measure()
    score = task.score(session.metrics)
    if not math.isfinite(score):
        raise DivergedError(f"the score is {score}; search lower learning rates, or set grad_clip")
    return score


def build(task: ModelTask, config: Config) -> nn.Module:
    """The model of a configuration.

    Raises:
        TypeError: When the factory returns something else.
    """
    model: object = task.model(config)
    if not isinstance(model, nn.Module):
        name = getattr(task.model, "__qualname__", type(task.model).__name__)
        got = f"the class {model.__name__}" if isinstance(model, type) else repr(model)
        raise TypeError(f"the model factory {name} must return an nn.Module, got {got:.80}")
    return model


def training(task: ModelTask, session: Session) -> Steps[None]:
    """Train to the assignment's fidelity, evaluate, report."""
    model = yield from fitting(task, session)
    outputs, targets = RowBuffer(session.evaluation_size), RowBuffer(session.evaluation_size)
    for batch in session.evaluation():
        outputs.add(model(batch.inputs))
        targets.add(batch.targets)
    pairs = session.everybody(list(zip(outputs.parts, targets.parts, strict=True)))
    found, wanted = zip(*pairs, strict=True)
    session.report(**task.metrics(joined(found), joined(wanted)))


def fit(task: ModelTask, session: Session) -> nn.Module:
    """Train to the assignment's fidelity; the model comes back as it is then, in training mode."""
    return alone(fitting(task, session))


def fitting(task: ModelTask, session: Session) -> Steps[nn.Module]:
    """Training to the assignment's fidelity; it ends with the model."""
    settings = Settings.from_config(session.config)
    model = build(task, session.config).to(session.device)
    optimizer = settings.optimizer.build(model)
    session.attach(model, optimizer)
    model.train()
    for batch in session.loader(settings.batch_size):
        step = Step(task, model, optimizer, batch, settings.label_smoothing, settings.grad_clip)
        losses = yield step
        session.observe(batch.ids, losses)
    return model
