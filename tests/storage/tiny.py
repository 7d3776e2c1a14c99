"""A tiny study at an address; run as a program it is killed after so many events of its log."""

import os
import signal
import sys

import torch
from torch import nn

from autotune.data.digits import digits
from autotune.scheduling.asha import ASHA
from autotune.searching.random import RandomSearch
from autotune.space import Float, SearchSpace
from autotune.storage import patient
from autotune.study import Budget, Confirm, Plan, Study
from autotune.task import Classification
from autotune.training.rules import TrialRules


def build(config):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def study(place):
    torch.set_num_threads(1)
    space = SearchSpace({"lr": Float(0.01, 0.3, log=True)})
    plan = Plan(
        Budget(trials=4),
        ASHA(horizon=1.0, lowest=0.5, reduction=2),
        RandomSearch(),
        Confirm(leaders=1, seeds=2),
        seed=4,
    )
    rules = TrialRules(1.0, checkpoint_share=0.2)
    return Study(Classification(digits(), build), space, place, plan, rules=rules)


def main(place, events):
    patient.LONGEST_S = 0.2
    left = int(events)

    def observe(history, event):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    study(place).run(observe)


if __name__ == "__main__":
    main(*sys.argv[1:])
