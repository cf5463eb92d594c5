"""Does nn compute with Values alone, so that gradients flow through everything?

Every layer, loss, activation and optimizer is differentiated twice in every input, parameter and
setting that may be a Value, and compared with finite differences. A float in its arithmetic would
break the graph, and the derivatives would differ. New public names must be added to a table below.
"""

import math
import random

import pytest

import nn
from autograd import Value, grad, gradcheck
from nn import Matrix
from nn.clipping import clipped
from nn.matrix import total
from nn.optim import Optimizer

NUMBERS = [0.5, -0.3, 0.8, -1.1, 0.2, 1.4, -0.7, 0.9]


def weighed(out):
    """Sum the entries of an output with different weights, so that no two can be confused."""
    if isinstance(out, Value):
        return out
    entries = [x for row in out for x in row] if isinstance(out, Matrix) else out
    return total((0.3 + 0.4 * i) * x for i, x in enumerate(entries))


def table(values, columns):
    return Matrix([values[i : i + columns] for i in range(0, len(values), columns)])


def public(kind):
    return {name for name in nn.__all__ if kind(getattr(nn, name))}


# --- layers ---------------------------------------------------------------------------------------


def vector(model, x):
    return model(x)


def pairs(model, x):
    return model(table(x, 2))


def next_tokens(model, x):
    return model.nll([1, 0, *x])


def evaluated(model, x):
    """The output in evaluation mode, with the statistics of a first batch."""
    model(table([0.1, 0.9, -0.5, 0.7], 2))
    return model.eval()(table(x, 2))


LAYERS = {
    "Neuron": [
        (lambda: nn.Neuron(2, "gelu"), vector, 2),
        (lambda: nn.Neuron(2, "elu", bias=False), vector, 2),
    ],
    "Layer": [(lambda: nn.Layer(2, 2, "tanh"), pairs, 4), (lambda: nn.Layer(2, 1), vector, 2)],
    "MLP": [
        (lambda: nn.MLP(2, [2, 1], "sigmoid"), vector, 2),
        (lambda: nn.MLP(1, [2, 2]), vector, 1),
        (lambda: nn.MLP(2, [1, 1], "silu"), pairs, 4),
    ],
    "Sequential": [(lambda: nn.Sequential(nn.Layer(2, 2, "tanh"), nn.softmax), vector, 2)],
    "Dropout": [
        (lambda: nn.Sequential(nn.Dropout(0.5, random.Random(1)), nn.RMSNorm(4)), vector, 4),
        (lambda: nn.Sequential(nn.Dropout(0.5).eval(), nn.tanh), vector, 3),
    ],
    "BatchNorm": [(lambda: nn.BatchNorm(2), pairs, 6), (lambda: nn.BatchNorm(2), evaluated, 4)],
    "LayerNorm": [(lambda: nn.LayerNorm(3), vector, 3), (lambda: nn.LayerNorm(2, 0.5), pairs, 4)],
    "RMSNorm": [
        (lambda: nn.RMSNorm(3), vector, 3),
        (lambda: nn.RMSNorm(2, 0.5, gain=False), pairs, 4),
    ],
    "Embedding": [
        (lambda: nn.Sequential(nn.Embedding(3, 2), nn.tanh), lambda model, _: model([2, 0, 2]), 0),
        (lambda: nn.Sequential(nn.Embedding(2, 2), nn.softmax), lambda model, _: model(1), 0),
        (lambda: nn.Embedding(2, 2), lambda model, _: model([Value(1), Value(0)]), 0),
    ],
    "Linear": [
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.tanh), pairs, 4),
        (lambda: nn.Sequential(nn.Linear(2, 2, multiplier=0.5), nn.tanh), pairs, 4),
        (lambda: nn.Sequential(nn.Linear(2, 2, bias=False), nn.tanh), pairs, 4),
    ],
    "FeedForward": [(lambda: nn.FeedForward(2, "gelu", expansion=1), pairs, 4)],
    "MultiHeadAttention": [
        (lambda: nn.MultiHeadAttention(2, 2), pairs, 4),
        (lambda: nn.MultiHeadAttention(1, 1), lambda model, x: model(table(x, 1)), 2),
    ],
    "TransformerBlock": [
        (lambda: nn.TransformerBlock(2, 1, activation="tanh"), pairs, 4),
    ],
    "GPT": [(lambda: nn.GPT(2, 2, 2, 1, 1, "layer", std=0.5), next_tokens, 0)],
}


def test_every_layer_is_in_the_table():
    layers = public(lambda thing: isinstance(thing, type) and issubclass(thing, nn.Module))
    assert layers - {"Module"} == set(LAYERS)


@pytest.mark.parametrize(
    ("make", "call", "inputs"),
    [pytest.param(*case, id=name) for name, cases in LAYERS.items() for case in cases],
)
def test_a_layer_is_differentiable_twice_in_inputs_and_parameters(make, call, inputs):
    def output(*values):
        nn.seed(3)
        model = make()
        parameters = model.parameters()
        for i in range(len(parameters)):
            parameters[i] = values[i]
        return weighed(call(model, list(values[len(parameters) :])))

    nn.seed(3)
    start = [p.data for p in make().parameters()]
    order = 1 if len(start) > 15 else 2  # larger layers are made of the others
    assert gradcheck(output, start + NUMBERS[:inputs], order=order, atol=1e-7)


# --- activations ----------------------------------------------------------------------------------

ACTIVATIONS = [
    *["elu", "gelu", "leaky_relu", "linear", "relu", "sigmoid", "silu", "softplus", "tanh"]
]
SOFTMAXES = ["log_softmax", "softmax"]


def test_every_activation_is_in_the_table():
    activations = public(lambda thing: getattr(thing, "__module__", "") == "nn.activations")
    assert activations == {*ACTIVATIONS, *SOFTMAXES, "logsumexp"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_differentiable_three_times(name):
    for x in (-1.3, 0.4, 2.0):
        assert gradcheck(lambda x: weighed(getattr(nn, name)([x, x * x])), [x], order=3, atol=1e-6)


@pytest.mark.parametrize("name", SOFTMAXES)
def test_softmax_is_differentiable_twice(name):
    f = getattr(nn, name)
    assert gradcheck(lambda *z: weighed(f(z)), NUMBERS[:3], order=2)
    assert gradcheck(lambda *z: weighed(f(table(z, 2))), NUMBERS[:4], order=2)
    # At a tie, and for large logits with small differences.
    assert gradcheck(lambda *z: weighed(f(z)), [1.0, 1.0, 1.0], order=2)
    assert gradcheck(lambda x, y: weighed(f([x + 1e3, y + 1e3])), [0.2, -0.4], rtol=1e-5)


@pytest.mark.parametrize(("f", "setting"), [(nn.leaky_relu, "negative_slope"), (nn.elu, "alpha")])
def test_an_activation_is_differentiable_twice_in_its_setting(f, setting):
    for x in (-1.3, 2.0):
        assert gradcheck(lambda x, c: f(x * c, **{setting: c}), [x, 0.3], order=2)


@pytest.mark.parametrize("f", [nn.logsumexp, nn.norm])
def test_logsumexp_and_norm_are_differentiable_twice(f):
    assert gradcheck(lambda *x: f(x), NUMBERS[:3], order=2)
    assert gradcheck(lambda *x: weighed(f(table(x, 2))), NUMBERS[:4], order=2)
    assert gradcheck(lambda *x: f(x), [1.0, 1.0, 1.0], order=2)
    assert gradcheck(lambda x, y: f([x + 1e3, y + 1e3]), [0.2, -0.4], rtol=1e-5)


# --- losses ---------------------------------------------------------------------------------------


def soft(values):
    """Weights that sum to 1 for any values."""
    return nn.softmax(values)


def classes(loss, logits):
    def call(p):
        predictions, targets = [p[0:2], p[2:4]], [soft(p[4:6]), soft(p[6:8])]
        return loss(predictions if logits else [soft(row) for row in predictions], targets)

    return call


def weighted(p):
    """Logits, targets, class weights and label smoothing that are all Values."""
    ys = [soft(p[4:6]), soft(p[6:8])]
    rows = [p[0:2], p[2:4]]
    return nn.cross_entropy_with_logits(rows, ys, weight=p[8:10], label_smoothing=p[10])


def weighted_probabilities(p):
    rows = [soft(p[0:2]), soft(p[2:4])]
    return nn.cross_entropy(rows, [1, 0], weight=p[4:6], label_smoothing=p[6])


LOSSES = {
    "huber": [
        (lambda p: nn.huber(p[:4], p[4:]), NUMBERS),
        (lambda p: nn.huber(p[:2], p[2:4], delta=p[4]), [0.5, -3.0, 0.75, 1.0, 0.4]),
    ],
    "mse": [(lambda p: nn.mse(p[:4], p[4:]), NUMBERS)],
    "binary_cross_entropy": [
        (lambda p: nn.binary_cross_entropy(p[:3], p[3:]), [0.2, 0.5, 0.9, 0.3, 0.5, 0.9]),
        (
            lambda p: nn.binary_cross_entropy(p[:2], p[2:4], pos_weight=p[4]),
            [0.2, 0.5, 0.3, 0.9, 2.5],
        ),
    ],
    "binary_cross_entropy_with_logits": [
        (
            lambda p: nn.binary_cross_entropy_with_logits(p[:3], p[3:]),
            [*NUMBERS[:3], 0.3, 0.5, 0.9],
        ),
        (
            lambda p: nn.binary_cross_entropy_with_logits(p[:2], p[2:4], pos_weight=p[4]),
            [0.2, -0.5, 0.3, 0.9, 2.5],
        ),
    ],
    "hinge": [
        (lambda p: nn.hinge(p, [1, -1, 1, 1]), NUMBERS[:4]),
        (lambda p: nn.hinge(p[:2], p[2:]), [0.4, 0.7, 1.0, -1.0]),
    ],
    "cross_entropy": [
        (classes(nn.cross_entropy, logits=False), NUMBERS),
        (lambda p: nn.cross_entropy([soft(p[:2]), soft(p[2:])], [1, 0]), NUMBERS[:4]),
        (weighted_probabilities, [*NUMBERS[:4], 0.5, 2.0, 0.1]),
    ],
    "cross_entropy_with_logits": [
        (classes(nn.cross_entropy_with_logits, logits=True), NUMBERS),
        (lambda p: nn.cross_entropy_with_logits(table(p, 2), [[0, 1], [1, 0]]), NUMBERS[:4]),
        (lambda p: nn.cross_entropy_with_logits(p, 2), NUMBERS[:4]),
        (weighted, [*NUMBERS, 0.5, 2.0, 0.1]),
    ],
}


def test_every_loss_is_in_the_table():
    assert public(lambda thing: getattr(thing, "__module__", "") == "nn.losses") == set(LOSSES)


@pytest.mark.parametrize(
    ("loss", "point"),
    [pytest.param(*case, id=name) for name, cases in LOSSES.items() for case in cases],
)
def test_a_loss_is_differentiable_twice_in_predictions_and_targets(loss, point):
    assert gradcheck(lambda *values: loss(list(values)), point, order=2, atol=1e-7)


# --- matrices, penalties, clipping ----------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: a @ b,
        lambda a, b: a @ b.T + [b[0, 0], a[0, 0]],
        lambda a, b: a * b - b / a,
        lambda a, b: nn.attention(a, b, a + b),
        lambda a, b: nn.attention(a, b, b, [[1, 0], [Value(1.0), Value(1.0)]]),
        lambda a, b: -a * b[0] / b.sum(axis=1) + a.sum(axis=0) * b.sum(),
        lambda a, b: 2.0 - b[0, 1] * a.map(Value.sin) * b[1],
        lambda a, b: a**2 + (a * a + 1.0) ** b + 2.0**b,
        lambda a, b: a.mean(axis=0) * b.max(axis=1) + b.mean() * a.max(),
        lambda a, b: a[:, 1:] * b[0, :] + a[1:, :] * b[:, 0],
        lambda a, b: nn.mean(
            x * y for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
        ),
    ],
)
def test_matrix_arithmetic_is_differentiable_twice_in_both_operands(f):
    def output(*values):
        return weighed(f(table(values[:4], 2), table(values[4:], 2)))

    assert gradcheck(output, NUMBERS, order=2, atol=1e-6)


def test_the_l2_penalty_is_differentiable_twice_in_its_strength_and_the_parameters():
    def output(strength, *values):
        neuron = nn.Neuron(2)
        neuron.w, neuron.b = list(values[:2]), values[2]
        return nn.l2(strength)(neuron)

    assert gradcheck(output, [0.1, 0.5, -0.3, 0.8], order=2)


@pytest.mark.parametrize("limit", [0.5, 5.0])
def test_clipped_gradients_are_differentiable_twice_in_gradients_and_limit(limit):
    def output(limit, *gradients):
        scaled, norm = clipped(gradients, limit)
        return weighed([*scaled, norm])

    assert gradcheck(output, [limit, 0.5, -0.3, 0.8], order=2, atol=1e-7)


# --- optimizers -----------------------------------------------------------------------------------


def sgd(values, lr, momentum, decay):
    return nn.SGD(values, lr, momentum, weight_decay=decay, differentiable=True)


def nesterov(values, lr, momentum, decay):
    return nn.SGD(values, lr, momentum, nesterov=True, weight_decay=decay, differentiable=True)


def rmsprop(values, lr, alpha, eps, decay):
    return nn.RMSProp(values, lr, alpha, eps, decay, differentiable=True)


def adagrad(values, lr, eps, decay):
    return nn.Adagrad(values, lr, eps=eps, weight_decay=decay, differentiable=True)


def adam(values, lr, beta1, beta2, eps, decay):
    return nn.Adam(values, lr, (beta1, beta2), eps, decay, differentiable=True)


def adamw(values, lr, beta1, beta2, eps, decay):
    return nn.AdamW(values, lr, (beta1, beta2), eps, decay, differentiable=True)


OPTIMIZERS = {
    "SGD": [(sgd, [0.1, 0.8, 0.2]), (nesterov, [0.1, 0.8, 0.2])],
    "RMSProp": [(rmsprop, [0.1, 0.7, 0.2, 0.2])],
    "Adagrad": [(adagrad, [0.1, 0.2, 0.2])],
    "Adam": [(adam, [0.1, 0.7, 0.8, 0.2, 0.2])],
    "AdamW": [(adamw, [0.1, 0.7, 0.8, 0.2, 0.2])],
}


def test_every_optimizer_is_in_the_table():
    rules = public(lambda thing: isinstance(thing, type) and issubclass(thing, Optimizer))
    assert rules - {"Optimizer"} == set(OPTIMIZERS) == set(WHOLE)


@pytest.mark.parametrize(
    ("make", "settings"),
    [pytest.param(*case, id=name) for name, cases in OPTIMIZERS.items() for case in cases],
)
def test_training_is_differentiable_twice_in_the_start_and_every_setting(make, settings):
    def loss(x, y):
        return (x - 1.0) ** 2 + (x * y - 2.0) ** 2 / 2.0

    def loss_after_2_steps(x, y, *settings):
        values = [x, y]
        optimizer = make(values, *settings)
        for _ in range(2):
            optimizer.step(grad(loss(*values), values, create_graph=True))
        return loss(*values)

    assert gradcheck(loss_after_2_steps, [0.5, -1.0, *settings], order=2, rtol=1e-5, atol=1e-6)


# Settings for which finite differences are accurate: RMSProp's first step is lr / sqrt(0.5).
WHOLE = {"SGD": {}, "RMSProp": {"alpha": 0.5}, "Adagrad": {}, "Adam": {}, "AdamW": {}}


@pytest.mark.parametrize("rule", WHOLE)
def test_training_with_a_dead_unit_is_differentiable_twice_in_the_learning_rate(rule):
    def loss_after_2_steps(lr):
        values = [Value(0.5), Value(-1.0)]

        def loss():
            return (values[0] ** 3 - 2.0) ** 2 + values[1].relu()

        optimizer = getattr(nn, rule)(values, lr, **WHOLE[rule], differentiable=True)
        for _ in range(2):
            optimizer.step(grad(loss(), values, create_graph=True))
        return loss() + values[1]

    assert gradcheck(loss_after_2_steps, [0.02], order=2, rtol=1e-5)


@pytest.mark.parametrize("rule", WHOLE)
def test_the_training_of_a_network_is_differentiable_in_the_learning_rate(rule):
    def loss_after_3_steps(lr):
        nn.seed(2)
        model = nn.MLP(2, [2, 2], "tanh")
        optimizer = getattr(nn, rule)(model, lr, **WHOLE[rule], differentiable=True)
        batch, targets = table(NUMBERS, 2), [0, 1, 1, 0]
        for _ in range(3):
            loss = nn.cross_entropy_with_logits(model(batch), targets)
            optimizer.step(grad(loss, optimizer.parameters, create_graph=True))
        return nn.cross_entropy_with_logits(model(batch), targets)

    assert gradcheck(loss_after_3_steps, [0.05], rtol=1e-5)


def test_a_number_taken_out_of_the_graph_is_detected():
    def cut(x, y):
        return nn.mse([x], [y.data])

    with pytest.raises(AssertionError, match="input 1"):
        gradcheck(cut, [0.5, math.pi])
