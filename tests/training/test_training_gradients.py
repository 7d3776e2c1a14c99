"""Projected gradients against exact ones, sample by sample."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autotune.errors import SelectorError
from autotune.task import Batch
from autotune.training.gradients import GradientCollector
from autotune.training.layers import trained_layers
from autotune.training.moments import FLOOR, root_factors
from autotune.training.projection import projections

N, CLASSES = 6, 3


class Language(nn.Module):
    """Embedding and head share a weight, and the head is called at every position."""

    def __init__(self, padding=None, tied=True):
        super().__init__()
        self.embed = nn.Embedding(7, 4, padding_idx=padding)
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(torch.relu(self.mix(self.embed(ids)))).mean(1)


class Twice(nn.Module):
    """A layer that is used twice, by name and by position, and one that is never used."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.inner = nn.Linear(5, 5)
        self.outer = nn.Linear(5, CLASSES)

    def forward(self, inputs):
        return self.outer(self.inner(input=torch.tanh(self.inner(inputs))))


def flat(*layers):
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(CLASSES))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, CLASSES)), (5,)),
    "no bias": (lambda: nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, CLASSES)), (5,)),
    "sequence": (lambda: flat(nn.Linear(3, 4), nn.ReLU()), (2, 3)),
    "norm, dropout": (lambda: flat(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)), (5,)),
    "twice": (Twice, (5,)),
    "conv": (lambda: flat(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 2)), (2, 4, 5)),
    "stride": (lambda: flat(nn.Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(1, 0))), (2, 4, 5)),
    "dilation": (lambda: flat(nn.Conv2d(1, 3, 2, dilation=2, padding="same")), (1, 4, 4)),
    "circular": (lambda: flat(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")), (1, 4, 4)),
    "groups": (lambda: flat(nn.Conv2d(4, 6, 2, groups=2)), (4, 3, 3)),
    "depthwise": (lambda: flat(nn.Conv2d(3, 3, 2, groups=3, bias=False)), (3, 3, 3)),
    "conv1d": (lambda: flat(nn.Conv1d(2, 3, 3, padding="valid"), nn.ReLU(inplace=True)), (2, 6)),
    "conv3d": (lambda: flat(nn.Conv3d(1, 2, 2)), (1, 3, 3, 2)),
    "language": (lambda: Language(tied=False), None),
    "padding": (lambda: Language(padding=0, tied=False), None),
    "tied": (Language, None),
}


def prepared(name, dtype=torch.float64):
    """A model, and a batch of it."""
    build, shape = MODELS[name]
    torch.manual_seed(0)
    model = build()
    inputs = torch.randint(7, (N, 5)) if shape is None else torch.randn(N, *shape, dtype=dtype)
    if shape is not None:
        model.to(dtype)(inputs)  # lazy layers learn their shapes
    model = model.to(dtype)
    targets = torch.randint(CLASSES, (N,))
    return model, Batch(torch.arange(N), inputs, targets, torch.ones(N))


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch.inputs), batch.targets, reduction="none")


def split(batch, size):
    parts = (getattr(batch, name).split(size) for name in ("ids", "inputs", "targets", "weights"))
    return [Batch(*part) for part in zip(*parts, strict=True)]


def exact(model, batch):
    """Every gradient by each trained weight and bias, as matrices of shape (n, rows, columns + 1)."""
    layers = {layer.weight: layer for layer in trained_layers(model)}.values()
    model.eval()
    found = []
    for one in split(batch, 1):
        loss = cross_entropy(model, one).sum()
        matrices = []
        for layer in layers:
            (weight,) = torch.autograd.grad(loss, layer.weight, retain_graph=True, allow_unused=True)
            weight = torch.zeros_like(layer.weight) if weight is None else weight
            bias = weight.new_zeros(len(weight))
            biases = [own.bias for own in trained_layers(model) if own.weight is layer.weight]
            for own in biases:
                if own is not None:
                    (grad,) = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)
                    bias = bias if grad is None else bias + grad
            matrices.append(torch.cat([weight.flatten(1), bias[:, None]], 1))
        found.append(matrices)
    return [torch.stack(matrices) for matrices in zip(*found, strict=True)]


def flattened(matrices):
    return torch.cat([matrix.flatten(1) for matrix in matrices], 1)


def collect(model, batch, size=N, optimizer=None, **how):
    collector = GradientCollector(model, cross_entropy, **how)
    return collector.collect(split(batch, size), lambda: None, optimizer)[0]


def gram(rows):
    return rows.double() @ rows.double().T


@pytest.mark.parametrize("name", MODELS)
def test_without_reduction_inner_products_are_exact(name):
    """Where there is room for every entry, projecting is a signed permutation."""
    model, batch = prepared(name)
    rows = flattened(exact(model, batch))
    got = collect(model, batch, width=2 * rows.shape[1])
    torch.testing.assert_close(gram(got), gram(rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_reduced_is_the_exact_gradient(name):
    """The factors, mapped one by one, make what the same maps make of the whole gradient."""
    model, batch = prepared(name)
    matrices = exact(model, batch)
    shapes = [tuple(matrix.shape[1:]) for matrix in matrices]
    made = projections(shapes, 8, side=3, seed=5, like=matrices[0])
    expected = sum(
        projection(
            projection.left(torch.eye(len(matrix[0])).double()).expand(N, -1, -1), projection.right(matrix)
        )
        for projection, matrix in zip(made, matrices, strict=True)
    )
    got = collect(model, batch, width=8, side=3, seed=5)
    torch.testing.assert_close(got, expected.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("side", "width"), [(2, 6), (100, 6), (2, 100), (3, 13)])
def test_inner_products_are_right_on_average(side, width):
    """Over the seeds, the mean of <Pg, Ph> is <g, h>, within four standard errors."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 5), (1, 7), (6, 2)]
    matrices = [torch.randn(3, *shape, generator=generator).double() for shape in shapes]
    rows = flattened(matrices)
    draws = []
    for seed in range(1500):
        made = projections(shapes, width, side=side, seed=seed, like=rows)
        eyes = [torch.eye(shape[0]).double().expand(3, -1, -1) for shape in shapes]
        parts = [p(p.left(e), p.right(m)) for p, e, m in zip(made, eyes, matrices, strict=True)]
        draws.append(gram(sum(parts)))
    draws = torch.stack(draws)
    error = draws.std(0) / len(draws) ** 0.5
    assert bool(((draws.mean(0) - gram(rows)).abs() <= 4 * error + 1e-9).all())


@settings(max_examples=10)
@given(size=st.integers(1, N))
def test_batch_size_changes_nothing(size):
    model, batch = prepared("norm, dropout", torch.float32)
    torch.testing.assert_close(collect(model, batch, size), collect(model, batch))


def test_equal_shapes_share_a_projection():
    model, batch = prepared("conv")
    other, _ = prepared("conv")
    assert torch.equal(collect(model, batch), collect(other, batch))
    assert not torch.equal(collect(model, batch, seed=1), collect(model, batch))


def test_no_trace_is_left():
    model, batch = prepared("norm, dropout")
    model.train()
    model[0].bias.requires_grad_(False)
    wanting = [parameter.requires_grad for parameter in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    got = collect(model, batch)
    assert not got.requires_grad
    assert model.training and model[1].training
    assert [parameter.requires_grad for parameter in model.parameters()] == wanting
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in model.modules())


def test_only_what_is_trained_counts():
    """Frozen weights and biases, and layers that were not chosen, have no gradient."""
    model, batch = prepared("mlp")
    rows = exact(model, batch)
    chosen = collect(model, batch, layers=("2",), width=50)
    torch.testing.assert_close(gram(chosen), gram(flattened(rows[1:])), rtol=1e-5, atol=1e-6)
    model[0].weight.requires_grad_(False)
    assert torch.equal(collect(model, batch, width=50), chosen)
    model[2].bias.requires_grad_(False)
    without_bias = rows[1].clone()
    without_bias[:, :, -1] = 0
    got = collect(model, batch, width=50)
    torch.testing.assert_close(gram(got), gram(flattened([without_bias])), rtol=1e-5, atol=1e-6)


def test_lower_precision_is_computed_in_single():
    model, batch = prepared("mlp", torch.float32)
    whole = collect(model, batch)
    half = Batch(batch.ids, batch.inputs.bfloat16(), batch.targets, batch.weights)
    got = collect(model.bfloat16(), half)
    assert got.dtype == torch.float32
    assert F.cosine_similarity(got, whole).min() > 0.98


def test_what_is_declared_is_what_is_computed():
    model, batch = prepared("mlp")
    collector = GradientCollector(model, cross_entropy, width=16, side=3)
    _, flops = collector.collect(split(batch, 2), lambda: None)
    first = 2 * (3 * 4 + 3 * 6 + 3 * 3) + 2 * 16  # 4 x 6 becomes 3 x 3, which fits into 16
    second = 2 * (3 * 5 + 3 * 3) + 2 * 16  # 3 rows are kept
    assert flops == N * (first + second)


class Folding(nn.Module):
    """Puts positions and samples into one dimension."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, CLASSES)

    def forward(self, inputs):
        return self.inner(inputs.flatten(0, 1)).view(*inputs.shape[:2], -1).mean(1)


def test_what_cannot_be_given_is_refused():
    model, batch = prepared("mlp")
    with pytest.raises(SelectorError, match="give the task a loss="):
        GradientCollector(model, None).collect([batch], lambda: None)
    with pytest.raises(SelectorError, match="'first' names no module of Sequential; layers: 0, 2"):
        collect(model, batch, layers=("first",))
    with pytest.raises(SelectorError, match="ReLU trains no linear, convolution or embedding layer, so"):
        collect(nn.ReLU(), batch)
    with pytest.raises(SelectorError, match=r"trains no .* layer below 1, so"):
        collect(model, batch, layers=("1",))
    blind = GradientCollector(model, lambda model, batch: batch.inputs.sum(1))
    with pytest.raises(SelectorError, match="does not depend on any of the layers 0, 2"):
        blind.collect([batch], lambda: None)
    folded = Batch(batch.ids, torch.randn(N, 2, 3), batch.targets, batch.weights)
    with pytest.raises(SelectorError, match="'inner' works on 12 rows where the batch has 6 samples"):
        collect(Folding(), folded)


# moments


def trained(make, steps=5):
    model, batch = prepared("mlp")
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model, batch).mean().backward()
        optimizer.step()
    optimizer.zero_grad()
    return model, batch, optimizer


def test_without_second_moments_updates_are_gradients():
    model, batch, optimizer = trained(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))
    assert torch.equal(collect(model, batch, optimizer=optimizer), collect(model, batch))
    model, batch, optimizer = trained(lambda p: torch.optim.AdamW(p), steps=0)
    assert torch.equal(collect(model, batch, optimizer=optimizer), collect(model, batch))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda p: torch.optim.AdamW(p, lr=0.01), "exp_avg_sq"),
        (lambda p: torch.optim.RMSprop(p, lr=0.01), "square_avg"),
        (lambda p: torch.optim.Adagrad(p, lr=0.01), "sum"),
    ],
)
@pytest.mark.parametrize("side", [3, 100])
def test_updates_are_gradients_over_the_root_of_the_rank_one_moment(make, name, side):
    model, batch, optimizer = trained(make)
    matrices = exact(model, batch)
    divided = []
    for layer, matrix in zip(trained_layers(model), matrices, strict=True):
        moments = [optimizer.state[parameter][name] for parameter in (layer.weight, layer.bias)]
        moment = torch.cat([moments[0], moments[1][:, None]], 1)
        rows, columns = (moment.mean(axis).clamp_min(FLOOR * moment.mean()) for axis in (1, 0))
        divided.append(matrix / (rows.outer(columns) / moment.mean()).sqrt())
    shapes = [tuple(matrix.shape[1:]) for matrix in matrices]
    made = projections(shapes, 64, side=side, seed=0, like=matrices[0])
    expected = sum(
        p(p.left(torch.eye(len(m[0])).double()).expand(N, -1, -1), p.right(m))
        for p, m in zip(made, divided, strict=True)
    )
    got = collect(model, batch, optimizer=optimizer, width=64, side=side)
    torch.testing.assert_close(got, expected.float(), rtol=1e-4, atol=1e-5)


def test_the_rank_one_moment_is_exact_where_the_moment_has_rank_one():
    model = nn.Linear(4, 3, bias=False)
    rows, columns = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 0.5, 2.0])
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.state[model.weight] = {"exp_avg_sq": rows.outer(columns)}
    left, right = root_factors(optimizer, model.weight, None)
    torch.testing.assert_close(left.outer(right[:-1]), 1 / rows.outer(columns).sqrt())
    assert right[-1] == 1.0


def test_rows_that_never_moved_are_not_blown_up():
    model = nn.Linear(4, 3, bias=False)
    optimizer = torch.optim.Adam(model.parameters())
    moment = torch.ones(3, 4)
    moment[1] = 0
    optimizer.state[model.weight] = {"exp_avg_sq": moment}
    left, _ = root_factors(optimizer, model.weight, None)
    assert left[1] / left[0] == pytest.approx((FLOOR * 2 / 3) ** -0.5)
    optimizer.state[model.weight] = {"exp_avg_sq": torch.zeros(3, 4)}
    assert root_factors(optimizer, model.weight, None) is None


class Looked(nn.Module):
    """One id for each sample, as a column of a table has."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, CLASSES)

    def forward(self, ids):
        return self.head(self.embed(ids[:, 0]))


class Attentive(nn.Module):
    """Attention over three positions, some of them padding."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(8, CLASSES)

    def forward(self, inputs):
        hidden = torch.arange(3).expand(len(inputs), 3) >= 1 + torch.arange(len(inputs))[:, None] % 3
        return self.head(self.body(inputs, src_key_padding_mask=hidden)[:, 0])


def batch_of(inputs):
    return Batch(torch.arange(N), inputs, torch.arange(N) % CLASSES, torch.ones(N))


def test_one_id_per_sample_is_a_sequence_of_one():
    torch.manual_seed(0)
    model, batch = Looked().double(), batch_of(torch.randint(0, 7, (N, 2)))
    rows = [gradient.flatten(1) for gradient in exact(model, batch)]
    assert torch.allclose(gram(collect(model, batch, width=10**6, side=10**6)), gram(torch.cat(rows, 1)))


def test_attention_keeps_its_own_projections_to_itself_and_takes_no_short_cut():
    torch.manual_seed(0)
    model = Attentive()
    assert [layer.name.split(".")[-1] for layer in trained_layers(model)] == ["linear1", "linear2", "head"]
    before = torch.backends.mha.get_fastpath_enabled()
    rows = collect(model, batch_of(torch.randn(N, 3, 8)))
    assert torch.isfinite(rows).all() and rows.abs().sum() > 0
    assert torch.backends.mha.get_fastpath_enabled() == before


class Casting(nn.Module):
    """Computes in lower precision by itself."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(200, 16), nn.ReLU(), nn.Linear(16, CLASSES))

    def forward(self, inputs):
        with torch.autocast("cpu", torch.bfloat16):
            return self.inner(inputs).float()


@pytest.mark.parametrize("casts", [True, False])
def test_projections_of_half_precision_are_in_single(casts):
    torch.manual_seed(0)
    model, batch = Casting(), batch_of(torch.randn(N, 200))
    whole = collect(model.inner, batch)
    half = (
        collect(model, batch) if casts else collect(model.inner.bfloat16(), batch_of(batch.inputs.bfloat16()))
    )
    assert half.dtype == torch.float32
    assert F.cosine_similarity(half, whole).min() > 0.98
