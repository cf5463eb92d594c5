"""The parts, losses and optimizers of nn with random settings, and PyTorch's counterparts."""

from __future__ import annotations

import random
from functools import partial

import pytest

import nn
from nn import Matrix

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[torch]'")

ACTIVATIONS = ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu", "silu", "linear"]


# --- every part, with random settings -------------------------------------------------------------


def mlp(draw):
    sizes = [draw.randint(1, 4) for _ in range(draw.randint(1, 3))]
    activation = [draw.choice(ACTIVATIONS) for _ in sizes]
    return nn.MLP(3, sizes, activation, bias=draw.random() < 0.8)


def layer(draw):
    size, bias = draw.randint(1, 4), draw.random() < 0.8
    return nn.Layer(3, size, draw.choice(ACTIVATIONS), bias=bias)


def linear(draw):
    bias, multiplier = draw.random() < 0.5, draw.choice([1.0, draw.uniform(0.2, 3.0)])
    return nn.Linear(3, draw.randint(1, 4), bias, multiplier=multiplier)


def sequential(draw):
    size = draw.randint(3, 5)
    f = partial(nn.leaky_relu, negative_slope=draw.uniform(0.0, 0.5))
    g = partial(nn.elu, alpha=draw.uniform(0.5, 2.0))
    last = draw.choice([nn.softmax, nn.log_softmax, nn.tanh])
    return nn.Sequential(
        nn.Layer(3, size, f), nn.LayerNorm(size), nn.Dropout(0.0), nn.Linear(size, 4), g, last
    )


def attention(draw):
    heads, size = draw.choice([(1, 3), (2, 4), (3, 6)])
    return nn.MultiHeadAttention(size, heads, multiplier=draw.choice([1.0, 0.6]))


def feed_forward(draw):
    return nn.FeedForward(
        3, draw.choice(ACTIVATIONS), draw.randint(1, 4), multiplier=draw.choice([1.0, 1.7])
    )


def block(draw):
    heads, size = draw.choice([(1, 3), (2, 4)])
    norm, activation = draw.choice(["rms", "layer"]), draw.choice(ACTIVATIONS)
    return nn.TransformerBlock(size, heads, norm, activation, multiplier=draw.choice([1.0, 0.6]))


def gpt(draw):
    heads, size = draw.choice([(1, 3), (2, 4)])
    norm, width = draw.choice(["rms", "layer"]), draw.choice([None, 2])
    return nn.GPT(6, 4, size, heads, draw.randint(1, 2), norm, base_width=width)


def norm(make):
    return lambda draw: make(draw.randint(3, 5), eps=draw.uniform(1e-6, 0.1))


PARTS = {
    "MLP": mlp,
    "Layer": layer,
    "Neuron": lambda draw: nn.Neuron(3, draw.choice(ACTIVATIONS), bias=draw.random() < 0.8),
    "Linear": linear,
    "Sequential": sequential,
    "Dropout": lambda draw: nn.Dropout(draw.uniform(0.0, 0.9)).eval(),
    "BatchNorm": lambda draw: nn.BatchNorm(3, draw.random(), draw.uniform(1e-6, 0.1)),
    "LayerNorm": norm(nn.LayerNorm),
    "RMSNorm": lambda draw: nn.RMSNorm(3, draw.uniform(1e-6, 0.1), draw.random() < 0.7),
    "Embedding": lambda draw: nn.Embedding(5, draw.randint(1, 4)),
    "MultiHeadAttention": attention,
    "FeedForward": feed_forward,
    "TransformerBlock": block,
    "GPT": gpt,
}
FUNCTIONS = [*ACTIVATIONS, "softmax", "log_softmax"]
WITH_PARAMETERS = [name for name in PARTS if name != "Dropout"]


def made(name, seed):
    """Return a part with random settings and numbers, and an input for it."""
    draw = random.Random(f"{name} {seed}")
    model = PARTS[name](draw)
    for parameter in model.parameters():
        parameter.data = draw.gauss(0.0, 0.7)
    for buffer_name, buffer in model.named_buffers():
        buffer.data = draw.uniform(0.2, 2.0) if "variance" in buffer_name else draw.gauss(0.0, 1.0)
    if name in ("Embedding", "GPT"):
        return model, [draw.randrange(5) for _ in range(4)]
    width = {"MultiHeadAttention": lambda: len(model.W_q.weights)}.get(name, lambda: 3)()
    if name == "TransformerBlock":
        width = len(model.attention.W_q.weights)
    if name == "LayerNorm":
        width = len(model.gain)
    return model, Matrix([[draw.gauss(0.0, 1.0) for _ in range(width)] for _ in range(4)])


def output(model, x):
    """Return the output of our model as a Matrix: a column, if the model is a Neuron."""
    if isinstance(model, nn.Neuron):
        return Matrix([[model(row)] for row in x])
    return model(x)


def in_torch(x):
    """Return the same input for a torch module."""
    if isinstance(x, Matrix):
        return torch.tensor(x.data, dtype=torch.float64, requires_grad=True)
    return torch.tensor(x)


def losses(model, module, x):
    """Return both outputs, both losses, and the input for torch."""
    theirs = module(there := in_torch(x))
    ours, loss = loss_of(model, x)
    targets = numbers(_targets(*ours.shape))
    return ours, theirs, loss, torch.nn.functional.mse_loss(theirs, targets), there


def loss_of(model, x):
    """Return the output of our model, and its loss."""
    ours = output(model, x)
    return ours, ((ours - Matrix(_targets(*ours.shape))) ** 2).mean()


def _targets(rows, columns):
    """Return targets that are all different, so that no two outputs can be exchanged unnoticed."""
    return [[0.3 + 0.4 * i - 0.7 * j for j in range(columns)] for i in range(rows)]


def numbers(table):
    return torch.tensor(table, dtype=torch.float64)


def assert_close(theirs, ours, what=""):
    theirs, ours = theirs.detach(), ours.detach()
    assert theirs.shape == ours.shape, what
    gap, size = (theirs - ours).abs().max(), ours.abs().max()
    assert gap <= 1e-12 * size, f"{what}: {gap} of {size}"


def assert_same_state(module, model):
    """Assert that all parameters and buffers of a torch module are those of the model."""
    ours = nn.to_torch(model).state_dict()
    for name, tensor in module.state_dict().items():
        if name.rpartition(".")[2] != "num_batches_tracked":
            assert_close(tensor, ours[name], name)


# --- optimizers -----------------------------------------------------------------------------------


# A gradient that cancels to almost 0 has a large relative error; a smaller eps would magnify it to
# the size of a step.
EPS = 1e-3, 1e-1


def sgd(draw):
    momentum = draw.choice([0.0, draw.uniform(0.1, 0.95)])
    options = {"momentum": momentum, "nesterov": momentum > 0.0 and draw.random() < 0.5}
    return nn.SGD, torch.optim.SGD, options, options


def rmsprop(draw):
    options = {"alpha": draw.uniform(0.5, 0.99), "eps": draw.uniform(*EPS)}
    return nn.RMSProp, torch.optim.RMSprop, options, options


def adagrad(draw):
    start, options = draw.choice([0.0, draw.random()]), {"eps": draw.uniform(*EPS)}
    ours, theirs = {"initial_accumulator": start}, {"initial_accumulator_value": start}
    return nn.Adagrad, torch.optim.Adagrad, options | ours, options | theirs


def adam(ours, theirs):
    def make(draw):
        betas = draw.uniform(0.5, 0.95), draw.uniform(0.9, 0.999)
        options = {"betas": betas, "eps": draw.uniform(*EPS)}
        return ours, theirs, options, options

    return make


OPTIMIZERS = {
    "SGD": sgd,
    "RMSProp": rmsprop,
    "Adagrad": adagrad,
    "Adam": adam(nn.Adam, torch.optim.Adam),
    "AdamW": adam(nn.AdamW, torch.optim.AdamW),
}
