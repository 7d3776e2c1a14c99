"""Two ranks train as one process does: the same batches and subsets, the same losses up to rounding."""

import pickle

import pytest
import torch
from crew import Crew, watched
from torch import nn

from autotune.errors import RankLostError, StorageError
from autotune.events import Failed, Interrupted, Reported
from autotune.ledger import Label
from autotune.task import Classification, CustomLoop
from autotune.training.parallel.linked import Linked
from autotune.training.parallel.normalisation import normalising_together
from autotune.training.parallel.ranks import ALONE
from autotune.training.parallel.sealed import opened, sealed
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

SIZE = 2
KEY = b"of these two processes, nobody's"
BASE = {"optimizer": "adamw", "lr": 0.01, "batch_size": 27, "schedule": "cosine", "grad_clip": 1.0}
POLICIES = {
    "full": {},
    "fresh_random": {"policy": "fresh_random", "policy.fraction": 0.3, "policy.anneal": 0.3},
    "infobatch": {"policy": "infobatch", "policy.fraction": 0.5, "policy.warmup": 0.2},
    "small_loss": {"policy": "small_loss", "policy.fraction": 0.3, "policy.pool": 0.5},
    "el2n": {"policy": "el2n", "policy.fraction": 0.2, "policy.interval": 0.2, "policy.warmup": 0.1},
    "aum": {"policy": "aum", "policy.fraction": 0.3, "policy.warmup": 0.3},
    "rho_loss": {"policy": "rho_loss", "policy.fraction": 0.2},
    "gradmatch": {"policy": "gradmatch", "policy.fraction": 0.2, "policy.pool": 0.4},
    "trak": {"policy": "trak", "policy.fraction": 0.3, "policy.interval": 0.2},
    "less": {"policy": "less", "policy.fraction": 0.3},
}


def build(config):
    """No bias before the normalisation: its gradient is 0 up to rounding, of which Adam makes whole steps."""
    return nn.Sequential(nn.Linear(8, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def dropping(config):
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))


class Halves(nn.Module):
    """Each half of the samples, by the sign of their first feature, has a layer of its own; one has none."""

    def __init__(self):
        super().__init__()
        self.below, self.above, self.idle = nn.Linear(8, 3), nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, inputs):
        above = inputs[:, :1] > 0
        if bool(above.all()):
            return self.above(inputs)
        if not bool(above.any()):
            return self.below(inputs)
        return torch.where(above, self.above(inputs), self.below(inputs))


def halves(config):
    return Halves()


def choosy(config):
    """Raises in one process alone, at the first step."""
    model = build(config)

    def fail(module, given):
        if module.training and torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model.register_forward_pre_hook(fail)
    return model


@pytest.fixture(scope="module")
def crew(tmp_path_factory):
    crew = Crew(SIZE, tmp_path_factory.mktemp("crew"))
    yield crew
    crew.close()


@pytest.fixture
def make(blobs, splits):
    """A workload by its model factory and its folder."""

    def made(path, model=build, horizon=1.0, **rules):
        rules = TrialRules(horizon=horizon, checkpoint_share=0.2, eval_batch=50, gradient_width=16, **rules)
        return TrainingWorkload(Classification(blobs, model), splits, rules, path)

    return made


def train(rank, workload, bulk, assignments, leaving=()):
    """Outcomes, losses and subsets of a trial on one rank; alone when rank is None.

    Args:
        leaving: Ranks whose machine is about to go, from their third beat on.
    """
    worker = workload.worker(bulk)
    if rank is not None:
        worker.join(KEY)
    beats = 0

    def beat():
        nonlocal beats
        beats += 1
        return rank in leaving and beats >= 3

    with watched(seed=1) as (losses, subsets):
        outcomes = [worker.advance(assignment, beat) for assignment in assignments]
    return outcomes, losses, subsets


def steps(config, *rungs, trial=0):
    since = (0.0, *rungs)
    return [Assignment(i, trial, config, 1, i, since[i], until) for i, until in enumerate(rungs)]


def together(crew, workload, assignments, leaving=()):
    return crew.run(train, workload, workload.bulk, assignments, leaving)


def assert_same(one, other, tolerance=1e-4):
    """The same curve: the ids exactly, losses up to rounding."""
    assert [ids for ids, _ in one] == [ids for ids, _ in other]
    for (_, a), (_, b) in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", POLICIES)
def test_two_ranks_train_as_one_process_does(crew, make, tmp_path, name):
    config = BASE | POLICIES[name]
    horizon = 8.0 if name in ("gradmatch", "trak", "less") else 1.0  # a pass over gradients costs 1 and more
    todo = steps(config, 0.4 * horizon, horizon)
    outcomes, losses, subsets = train(
        None, make(tmp_path / "one", horizon=horizon), make(tmp_path).bulk, todo
    )
    ranks = together(crew, make(tmp_path / "two", horizon=horizon), todo)
    assert any(len(ids) % SIZE for ids, _ in losses)
    assert subsets or name == "full"
    for told, curve, chosen in ranks:
        assert_same(losses, curve)
        assert [s.ids.tolist() for s in chosen] == [s.ids.tolist() for s in subsets]
        for one, two in zip(subsets, chosen, strict=True):
            torch.testing.assert_close(one.weights, two.weights, rtol=1e-3, atol=1e-4)
        for one, two in zip(outcomes, told, strict=True):
            assert isinstance(two, Reported)
            assert two.fidelity == one.fidelity
            assert two.metrics == pytest.approx(one.metrics, rel=1e-3, abs=1e-3)
    first, second = (curve for _, curve, _ in ranks)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))
    for one, two in zip(outcomes, ranks[0][0], strict=True):  # FLOPs are counted once, whoever made them
        assert {label: two.ledger[label].flops for label in Label} == {
            label: one.ledger[label].flops for label in Label
        }


def test_a_trial_goes_on_with_another_number_of_ranks(crew, make, tmp_path):
    config = BASE | POLICIES["el2n"]
    first, then = steps(config, 0.4, 1.0)
    straight = train(None, make(tmp_path / "one"), make(tmp_path).bulk, [first, then])[1]
    halfway = train(None, make(tmp_path / "two"), make(tmp_path).bulk, [first])[1]
    widened = together(crew, make(tmp_path / "two"), [then])
    assert_same(straight, [*halfway, *widened[0][1]])
    halfway = together(crew, make(tmp_path / "three"), [first])[1][1]
    narrowed = train(None, make(tmp_path / "three"), make(tmp_path).bulk, [then])[1]
    assert_same(straight, [*halfway, *narrowed])


@pytest.mark.parametrize("compare", ["ema", "branch"])
@pytest.mark.parametrize("rank", range(SIZE))
def test_a_notice_on_any_node_makes_all_save_and_leave_together(crew, make, tmp_path, rank, compare):
    todo = steps(BASE, 1.0)
    straight = train(None, make(tmp_path / "one", compare=compare), make(tmp_path).bulk, todo)[1]
    workload = make(tmp_path / "two", compare=compare)
    left = together(crew, workload, todo, [rank])
    assert [type(outcome) for told, _, _ in left for outcome in told] == [Interrupted] * SIZE
    assert len(left[0][1]) == len(left[1][1]) < len(straight)
    went_on = together(crew, workload, todo)
    assert_same(straight, [*left[0][1], *went_on[0][1]])


def test_one_that_fails_alone_takes_the_others_along_and_the_next_trial_is_trained(crew, make, tmp_path):
    failed = together(crew, make(tmp_path, choosy), steps(BASE, 1.0))
    for told, _, _ in failed:
        assert isinstance(told[0], Failed)
        assert (told[0].kind, "OutOfMemoryError: CUDA out of memory" in told[0].message) == ("memory", True)
    following = together(crew, make(tmp_path), steps(BASE, 0.3, trial=1))
    assert [type(told[0]) for told, _, _ in following] == [Reported] * SIZE


def diverging(config):
    model = build(config)
    model[0].weight.data.fill_(torch.inf)
    return model


def test_all_fail_alike(crew, make, tmp_path):
    for told, _, _ in together(crew, make(tmp_path, diverging), steps(BASE, 1.0)):
        assert told[0].kind == "diverged"
    few = steps(BASE | {"batch_size": 1}, 1.0, trial=1)
    for told, _, _ in together(crew, make(tmp_path), few):
        assert told[0].message.startswith("TrialError: a batch of 1 cannot be shared by processes=2; raise")


def refused(rank, workload, bulk, assignments):
    """What the storage, which the first rank writes for all, says to each."""
    worker = workload.worker(bulk)
    worker.join(KEY)
    store = worker._room.store
    object.__setattr__(store, "save", _full)
    try:
        return worker.advance(*assignments, lambda: None).kind
    except StorageError as error:
        return str(error)


def _full(*given):
    raise StorageError("the disk is full")


def test_an_error_of_the_storage_ends_all(crew, make, tmp_path):
    workload = make(tmp_path)
    assert crew.run(refused, workload, workload.bulk, steps(BASE, 1.0)) == ["the disk is full", "error"]
    assert together(crew, workload, steps(BASE, 0.3, trial=1))[0][0][0].rung == 0


def test_parameters_that_some_rows_use_are_trained_and_idle_ones_are_left_alone(crew, make, tmp_path):
    decaying = BASE | {"weight_decay": 0.1, "batch_size": 5}
    losses = train(None, make(tmp_path / "one", halves), make(tmp_path).bulk, steps(decaying, 1.0))[1]
    for _, curve, _ in together(crew, make(tmp_path / "two", halves), steps(decaying, 1.0)):
        assert_same(losses, curve)


def test_random_numbers_of_the_model_repeat_and_differ_between_ranks(crew, make, tmp_path):
    todo = steps(BASE, 0.4, 1.0)
    straight = together(crew, make(tmp_path / "one", dropping), todo)[0][1]
    for number in range(2):
        workload = make(tmp_path / f"two{number}", dropping)
        parted = [step for part in todo for step in together(crew, workload, [part])[0][1]]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(straight, parted, strict=True))
    drawn = crew.run(masks, make(tmp_path / "three", dropping), make(tmp_path).bulk, todo[0])
    assert drawn[0] != drawn[1]


def masks(rank, workload, bulk, assignment):
    """What the first step draws on a rank."""
    worker = workload.worker(bulk)
    worker.join(KEY)
    seen = []
    task = worker._room.task
    losses = type(task).losses

    def drawing(*given, **named):
        if not seen:
            seen.append(torch.random.get_rng_state().sum().item())
        return losses(*given, **named)

    type(task).losses = drawing
    try:
        worker.advance(assignment, lambda: None)
    finally:
        type(task).losses = losses
    return seen


def test_an_own_loop_cannot_be_shared(blobs, splits, make, tmp_path):
    workload = TrainingWorkload(CustomLoop(blobs, build), splits, TrialRules(horizon=1.0), tmp_path)
    assert make(tmp_path).divisible
    assert not workload.divisible


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3), (6, 4, 3, 2)])
@pytest.mark.parametrize("momentum", [0.3, None])
def test_normalising_by_hand_is_what_torch_does(shape, momentum):
    torch.manual_seed(0)
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    ours, theirs = kind(4, momentum=momentum).double(), kind(4, momentum=momentum).double()
    for _ in range(3):
        given = torch.randn(shape, dtype=torch.double, requires_grad=True)
        other = given.detach().clone().requires_grad_()
        with normalising_together(ours, ALONE):
            outputs = ours(given)
        wanted = theirs(other)
        torch.testing.assert_close(outputs, wanted)
        weights = torch.randn_like(wanted)
        (outputs * weights).sum().backward()
        (wanted * weights).sum().backward()
        torch.testing.assert_close(given.grad, other.grad)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    assert "forward" not in vars(ours)


class Trap:
    """Says so when somebody unpickles it."""

    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


def test_what_was_not_signed_is_not_unpickled():
    value = {"subset": torch.arange(3), "why": ("x", None)}
    message = sealed(value, KEY)
    assert str(opened(message, KEY)) == str(value)
    for forged in (sealed(Trap(), bytes(32)), message[:-1] + b"x", pickle.dumps(Trap()), b""):
        with pytest.raises(RankLostError, match="not signed"):
            opened(forged, KEY)


def gathered(rank, keys, values):
    """What a rank is told, or why it does not listen."""
    linked = Linked(keys[rank])
    try:
        return linked.gather(values[rank]), linked.first(lambda: values[0])
    except RankLostError as error:
        return str(error)


def test_ranks_hear_those_with_their_key_only(crew):
    values = ["short", list(range(1000))]
    heard = (values, "short")
    assert crew.run(gathered, [KEY, KEY], values) == [heard, heard]
    deaf = crew.run(gathered, [KEY, bytes(32)], values)
    assert all("not signed" in answer for answer in deaf)
