"""How well scores of influence tell what training does: wrong labels, retraining, and what the rules cost.

    python -m benchmarks.influence --data-dir ../shared/data --seeds 3 --json FILE

`mislabel` ranks 5,000 MNIST images, a tenth of them wrongly labelled, by scores of each sample on itself.
`lds` compares scores with 100 retrainings on random halves. Both follow dattri, which is run beside where
`--dattri PYTHON` names the interpreter of an environment that has it (benchmarks/peers/dattri.txt). `rules`
times the rules of the influence family on 12,000 candidates.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.numerics.curvature import conjugate_gradients, last_layer_curvature
from autotune.numerics.influence import alignment_scores
from autotune.selection import make_selector
from autotune.selectors.influence.datainf import datainf_scores
from autotune.selectors.influence.ekfac import EKFAC
from autotune.selectors.influence.ekfac_self import EKFACSelf
from autotune.selectors.influence.gradient_norm import gradient_norms
from autotune.selectors.influence.influence_function import InfluenceFunction
from autotune.selectors.influence.tracin import tracin_scores
from autotune.selectors.influence.trak import trak_scores
from autotune.selectors.loss.el2n import el2n_scores
from autotune.selectors.loss.grand import grand_scores
from autotune.signals import Signal, Signals
from benchmarks.attribution import (
    CLASSES,
    NETWORKS,
    Network,
    Samples,
    auc,
    collector,
    flipped,
    found_in,
    gradients,
    lds,
    mnist,
    train,
)
from benchmarks.machine import machine

WIDTH: Final = 512
CHECKPOINTS: Final = 10
SUBSETS: Final = 100
FLIPPED: Final = 0.1
RIDGE: Final = 0.3
DAMPING: Final = 0.1
PEER: Final = Path(__file__).parent / "peers" / "dattri_scores.py"
RULES: Final = {
    "gradient_norm": {},
    "tracin": {},
    "trak": {},
    "datainf": {},
    "less": {},
    "target_alignment": {},
    "influence_function": {},
    "ekfac": {},
    "ekfac_self": {},
    "glister": {},
    "gradmatch": {},
    "gradmatch, batches of 32": {"batch": 32},
    "craig": {},
}


@dataclass(frozen=True)
class Features:
    """Projected gradients of the samples at one point, and the probability of their labels."""

    train: Tensor
    test: Tensor
    label: Tensor

    @classmethod
    def of(cls, model: nn.Module, data: Samples, test: Samples, seed: int) -> Features:
        """Each point with a projection of its own where it has a seed of its own."""
        probabilities = collector(model).collect(
            data.batches(), frozenset({Signal.PROBABILITIES}), lambda: None
        )[Signal.PROBABILITIES]
        label = probabilities.gather(1, data.targets[:, None]).squeeze(1)
        return cls(gradients(model, data, WIDTH, seed), gradients(model, test, WIDTH, seed), label)

    @property
    def weights(self) -> Tensor:
        """Of TRAK's kernel as published."""
        return 1 / (1 - self.label).clamp_min(1e-4).square()


@dataclass(frozen=True)
class LastLayer:
    """The last layer's factors of the samples at one point."""

    embeddings: Tensor
    errors: Tensor
    probabilities: Tensor
    loss: Tensor

    @classmethod
    def of(cls, model: nn.Module, data: Samples) -> LastLayer:
        """From one forward pass."""
        wanted = (Signal.EMBEDDINGS, Signal.ERRORS, Signal.PROBABILITIES, Signal.LOSS)
        found = collector(model).collect(data.batches(), frozenset(wanted), lambda: None)
        return cls(*(found[signal] for signal in wanted))

    @property
    def whole(self) -> Tensor:
        """Gradients, shape (n, outputs, width + 1): of a few samples only."""
        return torch.einsum("no,nd->nod", self.errors, F.pad(self.embeddings, (0, 1), value=1.0))

    def products(self, directions: Tensor) -> Tensor:
        """Inner products of each gradient with each direction (q, outputs, width + 1), shape (n, q)."""
        return torch.stack([alignment_scores(self.embeddings, self.errors, d) for d in directions], 1)


def mislabel(network: Network, data: Samples, seed: int, peer: Path | None, threads: int) -> dict[str, Any]:
    """AUC and share found of each score, by wrong labels."""
    data, wrong = flipped(data, FLIPPED, seed)
    every = torch.arange(len(data.targets))[None]
    keep = range(network.epochs // CHECKPOINTS, network.epochs + 1, network.epochs // CHECKPOINTS)
    trained = train(network, data, every, seed, seed, keep)
    state = trained.states[0]
    model = network.module(state)
    last = LastLayer.of(model, data)
    nothing = Samples(data.inputs[:1], data.targets[:1])
    points = [Features.of(network.module(each), data, nothing, c) for c, each in enumerate(trained.passes[0])]
    final = points[-1].train
    curvature = last_layer_curvature(last.embeddings, last.probabilities, EKFACSelf().damping)
    traks = [trak_scores(point.train, point.train.T, RIDGE).diagonal() for point in points]
    scores = {
        "gradient_norm": gradient_norms(final),
        "tracin, itself, 10 points": torch.stack([gradient_norms(p.train) for p in points]).square().sum(0),
        "trak, itself, 1 point": traks[-1],
        "trak, itself, 10 points": torch.stack(traks).mean(0),
        "datainf, itself": datainf_scores(final, final.T, DAMPING).diagonal(),
        "ekfac_self": curvature.self_influence(last.embeddings, last.errors),
        "grand": grand_scores(last.embeddings, last.errors),
        "el2n": el2n_scores(last.probabilities, data.targets),
        "loss": last.loss,
        "aum": -trained.margins.nanmean(1),
    }
    if peer:
        theirs = run_peer(peer, ["trak_self"], trained.passes[0], data, nothing, threads)
        scores["dattri's TRAK, itself, 10 points"] = theirs["trak_self"]["scores"]
    return {
        name: {
            "auc": auc(values, wrong),
            "top_10": found_in(values, wrong, 0.1),
            "top_20": found_in(values, wrong, 0.2),
        }
        for name, values in scores.items()
    }


def halves(n: int, count: int, seed: int) -> Tensor:
    """Random halves of n samples, shape (count, n // 2)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(n, generator=generator)[: n // 2] for _ in range(count)])


def retrained(
    network: Network, data: Samples, test: Samples, subsets: int, seed: int, work: Path
) -> tuple[Tensor, Tensor]:
    """Rows of each retraining, and minus the loss of each test sample after it; kept under their settings."""
    n, m = len(data.targets), len(test.targets)
    sizes, settings = "-".join(map(str, network.sizes)), f"{network.epochs}_{network.momentum}_{network.dropout}"
    file = work / f"{sizes}_{settings}_{n}_{m}_{subsets}_{seed}.pt"
    if not file.exists():
        rows = halves(n, subsets, seed)
        states = train(network, data, rows, seed, seed + 100).states
        outcomes = torch.stack([-LastLayer.of(network.module(state), test).loss for state in states])
        work.mkdir(parents=True, exist_ok=True)
        torch.save((rows, outcomes), file)
    rows, outcomes = torch.load(file)
    return rows, outcomes


def retraining(
    network: Network,
    name: str,
    data: Samples,
    test: Samples,
    seed: int,
    work: Path,
    peer: Path | None,
    threads: int,
) -> dict[str, Any]:
    """Linear datamodelling score of each method, and its seconds: gradients included, training not."""
    rows, truth = retrained(network, name, data, test, seed, work)
    n = len(data.targets)
    generator = torch.Generator().manual_seed(seed + 200)
    halves = torch.stack([torch.randperm(n, generator=generator)[: n // 2] for _ in range(CHECKPOINTS)])
    half = train(network, data, halves, seed, seed + 200).states
    every = range(1, network.epochs + 1)
    along = train(network, data, torch.arange(n)[None], seed, seed + 300, every)
    passes, full = along.passes[0], along.states[0]
    path = passes[network.epochs // CHECKPOINTS - 1 :: network.epochs // CHECKPOINTS]
    found: dict[str, dict[str, float]] = {}

    def measure(method: str, scores: Callable[[], Tensor]) -> None:
        start = time.perf_counter()
        values = scores()
        found[method] = {"lds": lds(values, rows, truth), "seconds": time.perf_counter() - start}

    def points(states: Sequence[list[Tensor]], *, own: bool = True) -> list[Features]:
        return [
            Features.of(network.module(state), data, test, c if own else 0) for c, state in enumerate(states)
        ]

    def traced(given: list[Features]) -> Tensor:
        wanted = torch.stack([point.test.T for point in given])
        return tracin_scores(torch.stack([point.train for point in given], 1), wanted)

    def traks(given: list[Features], *, published: bool = False) -> Tensor:
        each = [trak_scores(p.train, p.test.T, RIDGE, p.weights if published else None) for p in given]
        return torch.stack(each).mean(0)

    def inferred(point: Features) -> Tensor:
        return datainf_scores(point.train, point.test.T, DAMPING)

    def inverted(*, exact: bool) -> Tensor:
        last, wanted = (LastLayer.of(network.module(full), samples) for samples in (data, test))
        factors = last.embeddings, last.probabilities
        if exact:
            rule = InfluenceFunction()
            parts = [
                conjugate_gradients(*factors, part, rule.damping, rule.steps)
                for part in torch.split(wanted.whole, 50)
            ]
            return last.products(torch.cat(parts).float())
        curvature = last_layer_curvature(*factors, EKFAC().damping)
        return last.products(curvature.solve(wanted.whole))

    measure("tracin, 10 points of one training", lambda: traced(points(path)))
    measure("trak, 1 point", lambda: traks(points([full])))
    measure("trak, 3 points of one training", lambda: traks(points(path[2::3][-3:])))
    measure("trak, 10 points of one training", lambda: traks(points(path)))
    measure(f"trak, {len(passes)} points of one training", lambda: traks(points(passes)))
    measure("trak, 3 points, one projection for all", lambda: traks(points(path[2::3][-3:], own=False)))
    measure("trak, 10 points, one projection for all", lambda: traks(points(path, own=False)))
    measure("trak, 10 models on halves", lambda: traks(points(half)))
    measure("trak, 10 models on halves, the paper's kernel", lambda: traks(points(half), published=True))
    measure("datainf, 1 point", lambda: inferred(points([full])[0]))
    measure("influence_function, last layer", lambda: inverted(exact=True))
    measure("ekfac, last layer", lambda: inverted(exact=False))
    if peer:
        methods = ["trak", *(["cg"] if name == "logistic" else [])]
        theirs = run_peer(peer, methods, half, data, test, threads)
        theirs |= run_peer(peer, ["tracin"], path, data, test, threads)
        for method, result in theirs.items():
            found[f"dattri's {method}"] = {
                "lds": abs(lds(result["scores"], rows, truth)),
                "seconds": result["seconds"],
            }
    return found


def run_peer(
    python: Path,
    methods: list[str],
    states: Sequence[list[Tensor]],
    data: Samples,
    test: Samples,
    threads: int,
) -> dict[str, Any]:
    """Scores and seconds of dattri, in its own process and environment."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "in.pt", Path(folder) / "out.pt"
        torch.save(
            {
                "methods": methods,
                "states": list(states),
                "train": (data.inputs, data.targets),
                "test": (test.inputs, test.targets),
                "threads": threads,
            },
            given,
        )
        quiet = {**os.environ, "TQDM_DISABLE": "1"}
        subprocess.run([str(python), str(PEER), str(given), str(answer)], check=True, env=quiet)
        result: dict[str, Any] = torch.load(answer)
        return result


def rules(n: int, width: int, share: float, repeats: int = 5) -> dict[str, dict[str, float]]:
    """CPU milliseconds of `select` on made-up signals of a classifier, one thread."""
    generator = torch.Generator().manual_seed(0)

    def draws(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def split(size: int) -> tuple[Tensor, Tensor, Tensor]:
        classes = torch.randint(CLASSES, (size,), generator=generator)
        centres = torch.randn(CLASSES, width, generator=torch.Generator().manual_seed(1))
        embeddings = (draws(size, width) + centres[classes]).relu()
        probabilities = (2 * draws(size, CLASSES) + 3 * F.one_hot(classes, CLASSES)).softmax(1)
        return classes, embeddings, probabilities

    targets, embeddings, probabilities = split(n)
    of_target, target_embeddings, target_probabilities = split(n // 4)
    everything = {
        Signal.TARGETS: targets,
        Signal.EMBEDDINGS: embeddings,
        Signal.PROBABILITIES: probabilities,
        Signal.ERRORS: probabilities - F.one_hot(targets, CLASSES),
        Signal.GRADIENTS: draws(n, width),
        Signal.UPDATES: draws(n, width),
        Signal.CHECKPOINT_GRADIENTS: draws(n, 3, width),
        Signal.TARGET_SPLIT_TARGETS: of_target,
        Signal.TARGET_SPLIT_EMBEDDINGS: target_embeddings,
        Signal.TARGET_SPLIT_ERRORS: target_probabilities - F.one_hot(of_target, CLASSES),
        Signal.TARGET_SPLIT_GRADIENTS: draws(n // 4, width),
        Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS: draws(n // 4, 3, width),
    }
    found = {}
    for label, settings in RULES.items():
        selector = make_selector(label.split(",")[0], **settings)
        signals = Signals(torch.arange(n), {signal: everything[signal] for signal in selector.needs})
        times = []
        for _ in range(repeats):
            start = time.process_time()
            selector.select(signals, round(share * n), torch.Generator().manual_seed(0))
            times.append(time.process_time() - start)
        found[label] = {"ms": 1e3 * median(times)}
    return found


def table(results: list[dict[str, dict[str, float]]]) -> str:
    """Medians over the seeds, one row for each method."""
    columns = list(next(iter(results[0].values())))
    lines = ["| method | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for method in results[0]:
        values = [median(result[method][column] for result in results) for column in columns]
        lines.append(f"| {method} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds mnist/")
    parser.add_argument("--parts", nargs="+", default=["rules", "mislabel", "lds"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lds-seeds", type=int, default=1, help="sets of retrainings: many minutes each")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/out/influence"), help="for retrainings")
    parser.add_argument("--dattri", type=Path, help="interpreter of an environment that has dattri")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "settings": {}, "rules": {}, "mislabel": {}, "lds": {}}
    result["settings"] = {k: str(v) if isinstance(v, Path) else v for k, v in vars(arguments).items()}

    def report(part: str, name: str, results: list[dict[str, dict[str, float]]]) -> None:
        print(f"\n{part}, {name}\n\n{table(results)}", flush=True)
        result[part][name] = results
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=1))

    print(machine()["summary"])
    if "rules" in arguments.parts:
        torch.set_num_threads(1)
        report("rules", "12,000 x 512, a tenth kept", [rules(12_000, WIDTH, 0.1)])
    torch.set_num_threads(arguments.threads)
    data, test = mnist(arguments.data_dir / "mnist", 5000, 500)
    shared = arguments.dattri, arguments.threads
    for name in arguments.networks:
        network = NETWORKS[name]
        if "mislabel" in arguments.parts:
            seeds = range(arguments.seeds)
            report("mislabel", name, [mislabel(network, data, seed, *shared) for seed in seeds])
        if "lds" in arguments.parts:
            each = [
                retraining(network, name, data, test, seed, arguments.work, *shared)
                for seed in range(arguments.lds_seeds)
            ]
            report("lds", name, each)


if __name__ == "__main__":
    main()
