"""Scores of dattri for `benchmarks.influence`, in an environment of its own: no autotune here.

    PYTHON dattri_scores.py IN.pt OUT.pt

IN holds the samples, the test samples and the weights of several networks of one shape; OUT gets the scores
of each method with its seconds.
"""

from __future__ import annotations

import sys
import time

import torch
from dattri.algorithm.influence_function import IFAttributorCG
from dattri.algorithm.tracin import TracInAttributor
from dattri.algorithm.trak import TRAKAttributor
from dattri.task import AttributionTask
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

BATCH = 500


def module(state):
    """The network of these weights, as torch numbers its parts."""
    layers = []
    for weight in state:
        layers += [nn.ReLU(), nn.Linear(len(weight) - 1, weight.shape[1])]
    return nn.Sequential(*layers[1:])


def named(state):
    """The weights of one network, by name."""
    found = {}
    for depth, weight in enumerate(state):
        found |= {f"{2 * depth}.weight": weight[:-1].T.contiguous(), f"{2 * depth}.bias": weight[-1].clone()}
    return found


def main():
    """Run every method that the input asks for."""
    given = torch.load(sys.argv[1])
    torch.set_num_threads(given["threads"])
    model = module(given["states"][0]).eval()
    checkpoints = [named(state) for state in given["states"]]
    train, test = (
        DataLoader(TensorDataset(*given[name]), batch_size=BATCH, shuffle=False) for name in ("train", "test")
    )
    entropy = nn.CrossEntropyLoss()

    def loss(params, pair):
        return entropy(functional_call(model, params, pair[0]), pair[1])

    def single(params, pair):
        return entropy(functional_call(model, params, pair[0][None]), pair[1][None])

    def odds(params, pair):
        logp = -single(params, pair)
        return logp - torch.log(1 - torch.exp(logp))

    def right(params, pair):
        return torch.exp(-single(params, pair))

    def trak():
        task = AttributionTask(loss_func=odds, model=model, checkpoints=checkpoints)
        attributor = TRAKAttributor(task=task, correct_probability_func=right)
        attributor.cache(train)
        return attributor.attribute(test)

    def trak_self():
        task = AttributionTask(loss_func=odds, model=model, checkpoints=checkpoints)
        attributor = TRAKAttributor(task=task, correct_probability_func=right)
        attributor.cache(train)
        return attributor.attribute(train).diag()

    def tracin():
        task = AttributionTask(loss_func=single, model=model, checkpoints=checkpoints)
        weights = torch.ones(len(checkpoints))
        attributor = TracInAttributor(task=task, weight_list=weights, normalized_grad=False)
        return attributor.attribute(train, test)

    def cg():
        task = AttributionTask(loss_func=loss, model=model, checkpoints=checkpoints[:1])
        attributor = IFAttributorCG(task=task, regularization=5e-3, max_iter=10)
        whole = [DataLoader(TensorDataset(*given[name]), batch_size=5000) for name in ("train", "test")]
        attributor.cache(whole[0])
        return attributor.attribute(*whole)

    found = {}
    methods = {method.__name__: method for method in (trak, trak_self, tracin, cg)}
    for name in given["methods"]:
        wall, processor = time.perf_counter(), time.process_time()
        with torch.no_grad():
            scores = methods[name]().detach()
        found[name] = {
            "scores": scores,
            "seconds": time.perf_counter() - wall,
            "cpu": time.process_time() - processor,
        }
    torch.save(found, sys.argv[2])


if __name__ == "__main__":
    main()
