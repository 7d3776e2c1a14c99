"""What collecting signals costs beside the passes of the same network over the same images.

    python -m benchmarks.signals --data-dir ../shared/data --datasets fashion-mnist --json FILE

Each chunk of images goes through all passes by turns, so that they meet the same machine: a bare forward pass
in evaluation mode and the pass that yields losses, embeddings and last-layer errors; a forward and backward
pass and the pass that yields projected gradients. Ratios are medians over chunks and then over seeds. The
memory is that of one whole pass over all images.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from torch import Tensor

from autotune.data.sources import open_dataset
from autotune.signals import Signal
from autotune.task import Batch
from autotune.training.collect import Collector
from autotune.training.flops import forward_flops
from autotune.training.gradients import BLOCK, GradientCollector
from autotune.training.projection import WIDTH
from benchmarks.figures import begin, options, write
from benchmarks.selection import Bench, prepare

EVAL_BATCH: Final = 1024  # the default of a trial's passes without gradients
SIGNALS: Final = frozenset({Signal.LOSS, Signal.EMBEDDINGS, Signal.ERRORS})
FORWARD, SIGNAL_PASS = "forward", "losses, embeddings, errors"
BACKWARD, GRADIENT_PASS = "forward + backward", "projected gradients"
BASES: Final = {SIGNAL_PASS: FORWARD, GRADIENT_PASS: BACKWARD}
BARS: Final = {SIGNAL_PASS: 1.15, GRADIENT_PASS: 4.0}
BAR_GIB: Final = 2.0
_EVERY_S: Final = 0.005  # between two looks at the memory

Pass = Callable[[Bench, Sequence[Batch]], object]


def forward(bench: Bench, batches: Sequence[Batch]) -> None:
    """A bare forward pass in evaluation mode."""
    bench.model.eval()
    with torch.no_grad():
        for batch in batches:
            bench.model(batch.inputs)


def signals(bench: Bench, batches: Sequence[Batch]) -> None:
    """Losses, embeddings and last-layer errors."""
    Collector(bench.model, bench.losses).collect(batches, SIGNALS, lambda: None)


def backward(bench: Bench, batches: Sequence[Batch]) -> None:
    """A forward and backward pass in training mode, no step."""
    bench.model.train()
    for batch in batches:
        bench.model.zero_grad()
        bench.losses(bench.model, batch).mean().backward()


def gradients(bench: Bench, batches: Iterable[Batch]) -> tuple[Tensor, float]:
    """Projected gradients, and the FLOPs of projecting."""
    return GradientCollector(bench.model, bench.losses).collect(batches, lambda: None)


PASSES: Final[dict[str, tuple[Pass, int]]] = {
    FORWARD: (forward, EVAL_BATCH),
    SIGNAL_PASS: (signals, EVAL_BATCH),
    BACKWARD: (backward, BLOCK),
    GRADIENT_PASS: (gradients, BLOCK),
}


def one_seed(bench: Bench, samples: int, chunks: int) -> dict[str, list[dict[str, float]]]:
    """Wall and processor seconds of each pass over each chunk of some samples, the passes by turns."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PASSES}
    for turn, rows in enumerate(torch.arange(samples).tensor_split(chunks)):
        names = list(PASSES)
        for name in names[turn % 4 :] + names[: turn % 4]:
            run, size = PASSES[name]
            batches = bench.batches(rows, size)
            run(bench, batches[:1])  # what was last used is warm for all
            wall, processor = time.perf_counter(), time.process_time()
            run(bench, batches)
            found[name].append(
                {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}
            )
    return found


def ratios(times: dict[str, list[dict[str, float]]], clock: str) -> dict[str, float]:
    """Of each pass to its base, the median over chunks."""
    return {
        name: median(own[clock] / other[clock] for own, other in zip(times[name], times[base], strict=True))
        for name, base in BASES.items()
    }


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth_gib(action: Callable[[], object]) -> float:
    """How much memory an action takes at its peak, beyond what was there before, in GiB."""
    before, peak, done = resident(), 0, threading.Event()

    def look() -> None:
        nonlocal peak
        while not done.wait(_EVERY_S):
            peak = max(peak, resident())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        action()
    finally:
        done.set()
        looking.join()
    return (peak - before) / 2**30


def streamed(bench: Bench, size: int) -> Iterator[Batch]:
    """All rows in batches, each made when it is wanted, as a trial has them."""
    for rows in torch.split(torch.arange(bench.n), size):
        yield from bench.batches(rows, size)


def one_dataset(
    bench_of: Callable[[int], Bench], seeds: int, chunks: int, samples: int | None
) -> dict[str, Any]:
    """All figures of a data set."""
    times = []
    for seed in range(seeds):
        bench = bench_of(seed)
        timed = min(bench.n, samples or bench.n)
        if seed == 0:
            wall, processor = time.perf_counter(), time.process_time()
            memory = growth_gib(partial(gradients, bench, streamed(bench, BLOCK)))
            whole_s, whole_processor_s = time.perf_counter() - wall, time.process_time() - processor
            _, flops = gradients(bench, bench.batches(torch.arange(BLOCK), BLOCK))
        times.append(one_seed(bench, timed, chunks))
    by_seed = {clock: [ratios(own, clock) for own in times] for clock in ("wall_s", "processor_s")}
    return {
        "samples": bench.n,
        "timed": timed,
        "width": WIDTH,
        "gradients_gib": memory,
        "gradients_whole_s": whole_s,
        "gradients_whole_processor_s": whole_processor_s,
        "projection_flops_per_pass": flops / BLOCK / (3 * forward_flops(bench.model, bench.inputs[:8])),
        "seconds": {
            name: median(sum(chunk["wall_s"] for chunk in own[name]) for own in times) for name in PASSES
        },
        "ratios": {
            clock: {name: [own[name] for own in found] for name in BASES} for clock, found in by_seed.items()
        },
        "times": times,
    }


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "| pass | s | beside | s | ratio | all seeds | by processor time | bar |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, base in BASES.items():
        wall, processor = (found["ratios"][clock][name] for clock in ("wall_s", "processor_s"))
        lines.append(
            f"| {name} | {found['seconds'][name]:.1f} | {base} | {found['seconds'][base]:.1f} "
            f"| **{median(wall):.2f}** | {', '.join(f'{one:.2f}' for one in wall)} "
            f"| {median(processor):.2f} | {BARS[name]:g} |"
        )
    lines.append("")
    lines.append(
        f"Memory of a whole pass of projected gradients: {found['gradients_gib']:.2f} GiB (bar {BAR_GIB:g}); "
        f"declared FLOPs of projecting: {found['projection_flops_per_pass']:.2f} x those of the passes."
    )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = options(__doc__, threads=2)
    parser.add_argument("--datasets", nargs="+", default=["fashion-mnist"], help="folders or files in it")
    parser.add_argument("--target", help="column to predict, where the data do not say")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=16, help="of the network")
    parser.add_argument("--chunks", type=int, default=10, help="parts of the data that go by turns")
    parser.add_argument("--samples", type=int, help="the first so many go by turns; all where left out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = begin(arguments, datasets={})
    for name in arguments.datasets:
        data = open_dataset(arguments.data_dir / name, target=arguments.target)
        bench_of = partial(prepare, data, arguments.width, 3.0)
        found = one_dataset(bench_of, arguments.seeds, arguments.chunks, arguments.samples)
        result["datasets"][name] = found
        print(f"\n{name}: {found['samples']:,} samples, {found['timed']:,} of them by turns")
        print(f"gradients of {found['width']} numbers\n")
        print(table(found))
    write(result, arguments.json)


if __name__ == "__main__":
    main()
