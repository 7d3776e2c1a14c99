import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autotune.errors import SelectorError
from autotune.signals import FORWARD as EVERYTHING
from autotune.signals import Signal
from autotune.task import Batch
from autotune.training.collect import Collector, find_head


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 3))


def batches(n=20, size=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 5, generator=generator)
    targets = torch.randint(3, (n,), generator=generator)
    whole = Batch(torch.arange(n), inputs, targets, torch.ones(n))
    return [
        Batch(*parts)
        for parts in zip(
            *(getattr(whole, name).split(size) for name in ("ids", "inputs", "targets", "weights")),
            strict=True,
        )
    ]


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch.inputs), batch.targets, reduction="none")


def odd(model, batch):
    """A loss of which nobody knows the gradient by heart."""
    z = model(batch.inputs)
    return torch.logsumexp(z * z, 1) + z.sin().prod(1) * batch.targets


def collect(model, signals=EVERYTHING, loss=cross_entropy, head=None, **how):
    return Collector(model, loss, head).collect(batches(**how), frozenset(signals), lambda: None)


@given(size=st.integers(1, 20))
def test_batch_size_changes_nothing(size):
    model = net()
    whole, parts = collect(model), collect(model, size=size)
    for signal in EVERYTHING:
        torch.testing.assert_close(whole[signal], parts[signal])


@pytest.mark.parametrize("loss", [cross_entropy, odd])
def test_errors_and_embeddings_make_the_last_layers_gradient(loss):
    """The gradient by the last layer's weights is the outer product of error and embedding."""
    model = net().eval()
    got = collect(model, {Signal.ERRORS, Signal.EMBEDDINGS}, loss)
    (batch,) = batches()
    for i in range(len(batch)):
        one = Batch(
            batch.ids[i : i + 1], batch.inputs[i : i + 1], batch.targets[i : i + 1], batch.weights[:1]
        )
        weight, bias = torch.autograd.grad(loss(model, one).sum(), [model[4].weight, model[4].bias])
        outer = got[Signal.ERRORS][i].outer(got[Signal.EMBEDDINGS][i])
        torch.testing.assert_close(weight, outer, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(bias, got[Signal.ERRORS][i], atol=1e-5, rtol=1e-4)


def test_values_are_those_of_the_model_in_evaluation_mode():
    model = net()
    got = collect(model)
    (batch,) = batches()
    with torch.no_grad():
        logits = model.eval()(batch.inputs)
    torch.testing.assert_close(got[Signal.LOGITS], logits)
    torch.testing.assert_close(got[Signal.PROBABILITIES], logits.softmax(1))
    torch.testing.assert_close(got[Signal.LOSS], F.cross_entropy(logits, batch.targets, reduction="none"))
    torch.testing.assert_close(got[Signal.EMBEDDINGS], model[:4](batch.inputs))
    one_hot = F.one_hot(batch.targets, 3)
    torch.testing.assert_close(got[Signal.ERRORS], logits.softmax(1) - one_hot)


@pytest.mark.parametrize("signals", [{Signal.LOSS}, {Signal.LOGITS}, EVERYTHING])
def test_no_trace_is_left(signals):
    model = net()
    model[1].eval()  # a user may freeze a part
    model[0].bias.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    wanting = [parameter.requires_grad for parameter in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    collect(model, signals)
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wanting
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_failing_pass_leaves_no_trace_either():
    model = net()

    def broken(model, batch):
        model(batch.inputs)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        collect(model, loss=broken)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_graph_begins_at_the_head():
    """Nothing before the head is recorded, whatever is asked for."""
    model = net()
    seen = []
    model[0].register_forward_hook(lambda module, given, output: seen.append(output.requires_grad))
    collect(model)
    assert seen == [False]


def test_the_head_is_the_last_linear_layer_or_the_named_one():
    model = net()
    assert find_head(model, None) is model[4]
    assert find_head(model, "0") is model[0]
    assert find_head(nn.Linear(2, 2), None) is not None
    with pytest.raises(SelectorError, match="names no module"):
        find_head(model, "head")


def test_what_cannot_be_given_is_refused():
    with pytest.raises(SelectorError, match="give the task a loss="):
        collect(net(), {Signal.ERRORS}, loss=None)
    with pytest.raises(SelectorError, match="never runs the model's head"):
        collect(net(), {Signal.ERRORS}, lambda model, batch: model[0](batch.inputs).sum(1))
    with pytest.raises(SelectorError, match="one row per sample"):
        collect(nn.Sequential(nn.Linear(5, 3), nn.Flatten(0)), {Signal.LOGITS}, loss=None)


def test_half_precision_is_for_the_passes_alone():
    model = net()
    whole = collect(model)
    found = Collector(model, cross_entropy, None, halved=True).collect(batches(), EVERYTHING, lambda: None)
    for signal in EVERYTHING:
        assert found[signal].dtype is torch.float32
        torch.testing.assert_close(found[signal], whole[signal], rtol=0.05, atol=0.02)
    assert not torch.equal(found[Signal.LOGITS], whole[Signal.LOGITS])  # it was really in half precision
    torch.testing.assert_close(found[Signal.PROBABILITIES], found[Signal.LOGITS].softmax(1))
    logits = found[Signal.LOGITS]
    (batch,) = batches()
    exact = logits.softmax(1) - F.one_hot(batch.targets, 3)
    torch.testing.assert_close(found[Signal.ERRORS], exact)  # of these very outputs
    torch.testing.assert_close(found[Signal.LOSS], F.cross_entropy(logits, batch.targets, reduction="none"))
