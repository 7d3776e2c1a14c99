"""How well scores of influence tell what training does: wrong labels, retraining, and what the rules cost.

    python -m benchmarks.influence --data-dir ../shared/data --seeds 3 --json FILE

`mislabel` ranks 5,000 MNIST images, a tenth of them wrongly labelled, by scores of each sample on itself.
`lds` compares scores with 100 retrainings on random halves. Both follow dattri, which is run beside where
`--dattri PYTHON` names the interpreter of an environment that has it (benchmarks/peers/dattri.txt). `rules`
times the rules of the influence family on 12,000 candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from torch import Tensor

from autotune.numerics.curvature import conjugate_gradients, last_layer_curvature
from autotune.selectors.influence.datainf import datainf_scores
from autotune.selectors.influence.ekfac import EKFAC
from autotune.selectors.influence.ekfac_self import EKFACSelf
from autotune.selectors.influence.gradient_norm import gradient_norms
from autotune.selectors.influence.influence_function import InfluenceFunction
from autotune.selectors.influence.tracin import tracin_scores
from autotune.selectors.influence.trak import trak_scores
from autotune.selectors.loss.el2n import el2n_scores
from autotune.selectors.loss.grand import grand_scores
from benchmarks.attribution import (
    AT_ONCE,
    BATCH,
    NETWORKS,
    RATE,
    Network,
    Samples,
    auc,
    flipped,
    found_in,
    lds,
    mnist,
    train,
)
from benchmarks.dattri import run_peer
from benchmarks.figures import begin, options, write
from benchmarks.influence_points import WIDTH, Features, LastLayer
from benchmarks.influence_rules import rules

CHECKPOINTS: Final = 10
WIDE: Final = 2048  # of projected gradients, of networks with 100,000 weights
FLIPPED: Final = 0.1
RIDGE: Final = 0.3
DAMPING: Final = 0.1


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
    """Rows of each retraining, and minus the loss of each test sample after it.

    Those that are trained together are kept in a file that is named by all their settings, so that an
    interrupted run goes on, and more subsets are some and others.
    """
    n, m = len(data.targets), len(test.targets)
    settings = f"{'-'.join(map(str, network.sizes))}_{network.epochs}_{network.momentum}_{network.dropout}"
    rows, outcomes = halves(n, subsets, seed), []
    work.mkdir(parents=True, exist_ok=True)
    for part, chosen in enumerate(torch.split(rows, AT_ONCE)):
        file = work / f"{settings}_{n}_{m}_{seed}_{part}_{len(chosen)}.pt"
        if not file.exists():
            states = train(network, data, chosen, seed, 1000 * seed + 100 + part).states
            torch.save(
                torch.stack([-LastLayer.of(network.module(state), test).loss for state in states]), file
            )
        outcomes.append(torch.load(file))
    return rows, torch.cat(outcomes)


@dataclass(frozen=True)
class Sides:
    """What both sides of a comparison are given.

    Attributes:
        network: Which kind.
        data: Training samples.
        test: Test samples.
        peer: Interpreter that has dattri; None leaves it out.
        threads: Of each side.
    """

    network: Network
    data: Samples
    test: Samples
    peer: Path | None
    threads: int

    def theirs(self, methods: list[str], states: Sequence[list[Tensor]]) -> dict[str, Timed]:
        """Scores of dattri's methods."""
        if self.peer is None:
            return {}
        found = run_peer(self.peer, methods, states, self.data, self.test, self.threads)
        return {name: Timed(each["scores"], each["seconds"], each["cpu"]) for name, each in found.items()}

    def points(self, states: Sequence[list[Tensor]]) -> list[Features]:
        """Projected gradients at some points, each with a projection of its own."""
        return [
            Features.of(self.network.module(state), self.data, self.test, c) for c, state in enumerate(states)
        ]

    def traced(self, states: Sequence[list[Tensor]]) -> Tensor:
        """Scores of TracIn."""
        given = self.points(states)
        wanted = torch.stack([point.test.T for point in given])
        return tracin_scores(torch.stack([point.train for point in given], 1), wanted)

    def traks(self, states: Sequence[list[Tensor]], *, published: bool = False, width: int = WIDTH) -> Tensor:
        """Scores of TRAK.

        Args:
            states: The models.
            published: As the paper combines models: the factor 1 - p is averaged apart from the rest.
                Ours averages scores, in which a model has no say on what it has learnt by heart.
            width: Of projected gradients.
        """
        total = torch.zeros(len(self.data.targets), len(self.test.targets))
        missed = torch.zeros(len(self.data.targets), 1)
        for c, state in enumerate(states):
            point = Features.of(self.network.module(state), self.data, self.test, c, width)
            total += trak_scores(point.odds if published else point.train, point.test.T, RIDGE)
            missed += point.missed[:, None]
        return total * missed / len(states) ** 2 if published else total / len(states)

    def inferred(self, state: list[Tensor]) -> Tensor:
        """Scores of DataInf."""
        (point,) = self.points([state])
        return datainf_scores(point.train, point.test.T, DAMPING)

    def inverted(self, state: list[Tensor], *, exact: bool, fitted: bool = False) -> Tensor:
        """Influence through the last layer: all of a logistic regression.

        Args:
            state: Where.
            exact: By conjugate gradients rather than EK-FAC.
            fitted: Damp by what the retrainings leave untrained, 1 / (rate x steps), not by the default.
        """
        last, wanted = (LastLayer.of(self.network.module(state), part) for part in (self.data, self.test))
        factors = last.embeddings, last.probabilities
        if exact:
            rule = InfluenceFunction()
            steps = self.network.epochs * -(-(len(self.data.targets) // 2) // BATCH)
            damping = 1 / (RATE * steps * last.curvature) if fitted else rule.damping
            parts = [
                conjugate_gradients(*factors, part, damping, rule.steps)
                for part in torch.split(wanted.whole, 50)
            ]
            return last.products(torch.cat(parts).float())
        curvature = last_layer_curvature(*factors, EKFAC().damping)
        return last.products(curvature.solve(wanted.whole))


@dataclass(frozen=True)
class Timed:
    """Scores, shape (n, m), and what they took: gradients included, training not."""

    scores: Tensor
    seconds: float
    cpu: float

    @classmethod
    def of(cls, scores: Callable[[], Tensor]) -> Timed:
        """Run it."""
        wall, processor = time.perf_counter(), time.process_time()
        values = scores()
        return cls(values, time.perf_counter() - wall, time.process_time() - processor)


def retraining(
    sides: Sides, subsets: int, seed: int, work: Path, repeats: int, checkpoints: int
) -> dict[str, Any]:
    """Linear datamodelling score of each method, and its seconds of wall and of processor time.

    Where dattri has the same method for the same networks, both go by turns, `repeats` times; the medians are
    told.
    """
    network, data, n = sides.network, sides.data, len(sides.data.targets)
    rows, truth = retrained(network, data, sides.test, subsets, seed, work)
    half = train(network, data, halves(n, checkpoints, seed + 200), seed, seed + 200).states
    along = train(network, data, torch.arange(n)[None], seed, seed + 300, range(1, network.epochs + 1))
    passes, full = along.passes[0], along.states[0]
    path = passes[network.epochs // CHECKPOINTS - 1 :: network.epochs // CHECKPOINTS]
    few = half[:CHECKPOINTS]
    runs: dict[str, list[dict[str, float]]] = {}

    def note(method: str, timed: Timed) -> None:
        score = abs(lds(timed.scores, rows, truth))  # of dattri's, some have the other sign
        runs.setdefault(method, []).append({"lds": score, "s": timed.seconds, "processor s": timed.cpu})
        print(
            f"{method}: {score:.3f}, {timed.seconds:.1f} s, {timed.cpu:.1f} s of processor time", flush=True
        )

    def measure(method: str, scores: Callable[[], Tensor]) -> None:
        note(method, Timed.of(scores))

    def beside(methods: list[str], states: Sequence[list[Tensor]]) -> None:
        for name, timed in sides.theirs(methods, states).items():
            note(f"dattri's {name}, {len(states)} points", timed)

    measure("trak, 1 point", lambda: sides.traks([full]))
    measure("trak, 3 points of one training", lambda: sides.traks(path[2::3][-3:]))
    measure("trak, 10 points of one training", lambda: sides.traks(path))
    measure(f"trak, {len(passes)} points of one training", lambda: sides.traks(passes))
    for models in (few, half) if len(half) > CHECKPOINTS else (few,):
        name = f"trak, {len(models)} models on halves"
        published = partial(sides.traks, models, published=True)
        measure(f"{name}, combined as published", published)
        measure(f"{name}, combined as published, {WIDE:,} numbers", partial(published, width=WIDE))
    if len(half) > CHECKPOINTS:
        measure(f"trak, {len(half)} models on halves", lambda: sides.traks(half))
    measure("datainf, 1 point", lambda: sides.inferred(full))
    measure("ekfac, last layer", lambda: sides.inverted(full, exact=False))
    if len(network.sizes) == 2:
        name = "influence_function, damped by the length of training"
        measure(name, lambda: sides.inverted(full, exact=True, fitted=True))
    for _ in range(repeats):
        measure("trak, 10 models on halves", lambda: sides.traks(few))
        beside(["trak"], few)
        measure("tracin, 10 points of one training", lambda: sides.traced(path))
        beside(["tracin"], path)
        measure("influence_function, last layer", lambda: sides.inverted(full, exact=True))
        if len(network.sizes) == 2:  # of several layers dattri's takes hours
            beside(["cg"], [full])
    return {
        method: {column: median(one[column] for one in each) for column in each[0]}
        for method, each in runs.items()
    }


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
    parser = options(__doc__, threads=2)
    parser.add_argument("--parts", nargs="+", default=["rules", "mislabel", "lds"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lds-seeds", type=int, default=1, help="sets of retrainings: many minutes each")
    parser.add_argument("--subsets", type=int, default=100, help="retrainings of a set")
    parser.add_argument("--repeats", type=int, default=3, help="turns of what dattri has too")
    parser.add_argument("--checkpoints", type=int, default=50, help="models on halves for trak, at least 10")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/out/influence"), help="for retrainings")
    parser.add_argument("--dattri", type=Path, help="interpreter of an environment that has dattri")
    arguments = parser.parse_args()
    result = begin(arguments, rules={}, mislabel={}, lds={})

    def report(part: str, name: str, results: list[dict[str, dict[str, float]]]) -> None:
        print(f"\n{part}, {name}\n\n{table(results)}", flush=True)
        result[part][name] = results
        write(result, arguments.json)

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
            sides = Sides(network, data, test, *shared)
            each = [
                retraining(
                    sides,
                    arguments.subsets,
                    seed,
                    arguments.work,
                    arguments.repeats,
                    arguments.checkpoints,
                )
                for seed in range(arguments.lds_seeds)
            ]
            report("lds", name, each)


if __name__ == "__main__":
    main()
