"""Two processes of torch.distributed that wait for something to do, as an engine would hold them."""

import multiprocessing
import sys
import traceback
from contextlib import contextmanager

import torch
import torch.distributed as dist

from autotune.training.trial import Trial

PATIENCE_S = 60


class Crew:
    """Processes that each run the same function, at the same time."""

    def __init__(self, size, folder):
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = [], []
        for rank in range(size):
            pipe, other = context.Pipe()
            process = context.Process(
                target=_serve, args=(other, rank, size, f"file://{folder}/met"), daemon=True
            )
            process.start()
            other.close()
            self.pipes.append(pipe)
            self.processes.append(process)

    def run(self, function, *given):
        """What the function, which is at the top of a module, gives in each process, called with its rank."""
        for pipe in self.pipes:
            pipe.send((function, given))
        answers = [self._answer(pipe) for pipe in self.pipes]
        for answer in answers:
            if isinstance(answer, str):
                raise RuntimeError(answer)  # noqa: TRY004  # it is a traceback
        return [found for (found,) in answers]

    def close(self):
        for pipe, process in zip(self.pipes, self.processes, strict=True):
            pipe.close()
            process.join(PATIENCE_S)

    def _answer(self, pipe):
        if not pipe.poll(PATIENCE_S):
            raise AssertionError(f"a rank gave no answer within {PATIENCE_S} s")
        return pipe.recv()


def _serve(pipe, rank, size, place):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=place, rank=rank, world_size=size)
    while True:
        try:
            function, given = pipe.recv()
        except EOFError:
            break
        try:
            pipe.send((function(rank, *given),))
        except BaseException:
            pipe.send(traceback.format_exc())
    dist.destroy_process_group()
    sys.exit()


@contextmanager
def watched(seed):
    """The training losses, batch by batch, and the subsets of all trials within that have this seed."""
    losses, subsets = [], []
    observe, choose = Trial.observe, Trial.choose

    def observing(trial, ids, values):
        if trial._seed == seed:
            losses.append((ids.tolist(), values.detach().clone()))
        observe(trial, ids, values)

    def choosing(trial, index):
        subset = choose(trial, index)
        if trial._seed == seed:
            subsets.append(subset)
        return subset

    Trial.observe, Trial.choose = observing, choosing
    try:
        yield losses, subsets
    finally:
        Trial.observe, Trial.choose = observe, choose
