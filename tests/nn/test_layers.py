"""Layers: numbers by hand and compared with NumPy, shapes, initial weights, bad input."""

import math
import random
from functools import partial

import numpy as np
import pytest

import nn
from autograd import Value, detect_anomaly, no_grad, topological_order
from autograd.jit import jit
from nn import Matrix
from tests.cases import case

BATCH = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 3.0, 0.0], [0.1, 0.2, -4.0]])


def as_array(out):
    return np.array(out.data if isinstance(out, Matrix) else [value.data for value in out])


def put(values, numbers):
    for value, number in zip(values, numbers, strict=True):
        value.data = number


# --- neurons and layers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("linear", -3.0), ("relu", 0.0), ("sigmoid", 1 / (1 + math.e**3)), (lambda z: z * z, 9.0)],
)
def test_a_neuron_by_hand(activation, expected):
    neuron = nn.Neuron(2, activation)
    put(neuron.w, [2.0, -3.0])
    neuron.b.data = 1.0
    assert neuron([1.0, 2.0]).data == pytest.approx(expected, rel=1e-15)  # 1 + 2 - 6
    assert neuron((Value(1.0), 2)).data == neuron(np.array([1.0, 2.0])).data == neuron([1, 2]).data


def test_every_product_and_sum_of_a_neuron_is_a_node():
    out = nn.Neuron(2, "tanh")([1.0, 2.0])
    total = out.parents[0]
    assert (out.op, total.op, total.parents[1].op) == ("tanh", "add", "mul")
    assert (total.parents[0].op, total.parents[0].parents[1].op) == ("add", "mul")


def test_a_layer_matches_x_w_plus_b_in_numpy():
    layer = nn.Layer(3, 2, "tanh")
    w = np.array([[v.data for v in neuron.w] for neuron in layer.neurons])
    put((neuron.b for neuron in layer.neurons), [0.5, -0.25])
    expected = np.tanh(BATCH @ w.T + [0.5, -0.25])
    out = layer(Matrix(BATCH))
    assert out.shape == (4, 2)
    assert as_array(out) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("nin", "nouts", "count"),
    [(2, [16, 16, 1], 337), (1, [1], 2), (4, [8, 3], 67), (3, [2, 2], 14)],
)
def test_the_number_of_parameters(nin, nouts, count):
    assert len(nn.MLP(nin, nouts).parameters()) == count
    assert len(nn.Layer(nin, nouts[0]).parameters()) == nouts[0] * (nin + 1)


def test_an_mlp_by_hand():
    model = nn.MLP(1, [2, 1])
    put(model.parameters(), [1.0, 1.0, -2.0, 0.5, 3.0, 4.0, -5.0])
    # x = 1: relu(1 + 1) = 2, relu(0.5 - 2) = 0, so 3 * 2 + 4 * 0 - 5
    assert model([1.0]).data == 1.0
    # x = -3: relu(1 - 3) = 0, relu(0.5 + 6) = 6.5, so 3 * 0 + 4 * 6.5 - 5
    assert model([-3.0]).data == 21.0
    model.layers[1].neurons[0].w[0].data = -3.0
    assert model([1.0]).data == -11.0  # the last layer is linear


def test_a_single_output_is_a_value_and_several_are_a_list():
    assert isinstance(nn.MLP(3, [2, 1])(BATCH[0]), Value)
    out = nn.MLP(3, [2, 2])(BATCH[0])
    assert isinstance(out, list)
    assert len(out) == 2
    assert nn.MLP(3, [2, 1])(Matrix(BATCH)).shape == (4, 1)


class Activated(nn.Linear):
    """A user-defined call, which must run only once for a whole batch, too."""

    def __call__(self, x):
        return nn.tanh(super().__call__(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Layer(3, 2, "gelu"),
        lambda: nn.Linear(3, 2),
        lambda: nn.MLP(3, [4, 2], "tanh"),
        lambda: nn.LayerNorm(3),
        lambda: nn.RMSNorm(3),
        lambda: nn.BatchNorm(3).eval(),
        lambda: nn.Dropout().eval(),
        lambda: nn.Sequential(nn.Layer(3, 3), nn.LayerNorm(3), nn.softmax),
        lambda: Activated(3, 2),
    ],
)
def test_a_vector_and_a_row_of_a_batch_give_equal_numbers(make):
    model = make()
    batch = model(Matrix(BATCH)).data
    # 0-d arrays are iterable, as are those that a row of a tensor of PyTorch consists of.
    for vector in (list, lambda row: list(map(np.array, row))):
        assert [[value.data for value in model(vector(row))] for row in BATCH] == batch


BATCHES = {
    "rows": lambda: BATCH.tolist(),
    "tuples": lambda: tuple(map(tuple, BATCH.tolist())),
    "array": lambda: BATCH,
    "rows of arrays": lambda: list(BATCH),
    "Values": lambda: [[Value(x) for x in row] for row in BATCH.tolist()],
    "generator": lambda: (row for row in BATCH.tolist()),
    "generators": lambda: map(iter, BATCH.tolist()),
}


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Layer(3, 2, "gelu"),
        lambda: nn.Linear(3, 2),
        lambda: nn.MLP(3, [4, 2], "tanh"),
        lambda: nn.MLP(3, [4, 1], "tanh"),
        lambda: nn.LayerNorm(3),
        lambda: nn.RMSNorm(3),
        lambda: nn.BatchNorm(3),
        lambda: nn.Dropout().eval(),
        lambda: nn.Sequential(nn.Layer(3, 3), nn.LayerNorm(3), nn.softmax),
        lambda: nn.tanh,
        lambda: nn.softmax,
        lambda: nn.log_softmax,
        lambda: nn.logsumexp,
        lambda: nn.norm,
    ],
)
def test_rows_of_numbers_are_a_batch_like_a_matrix(make):
    nn.seed(2)
    expected = make()(Matrix(BATCH))
    for kind, batch in BATCHES.items():
        nn.seed(2)
        out = make()(batch())
        assert isinstance(out, Matrix), kind
        assert out.data == expected.data, kind


@pytest.mark.parametrize("kind", ["rows", "array"])
def test_a_batch_can_be_an_argument_of_a_recorded_function(kind):
    model = nn.MLP(3, [4, 1], "tanh")
    recorded = jit(lambda rows: model(rows))
    for scale in (1.0, 2.0, 3.0):
        batch = BATCH * scale if kind == "array" else (BATCH * scale).tolist()
        assert recorded(batch).data == model(Matrix(BATCH * scale)).data
    assert len(recorded.programs) == 1


@pytest.mark.parametrize("make", [nn.Neuron, nn.Layer, nn.MLP])
def test_whether_there_is_a_bias_has_to_be_named(make):
    sizes = {nn.Neuron: (2,), nn.Layer: (2, 1), nn.MLP: (2, [1])}[make]
    with pytest.raises(TypeError, match="positional"):
        make(*sizes, "relu", None, False)


def test_an_image_is_a_vector_of_784_numbers():
    for model in (nn.Neuron(784, "linear"), nn.Linear(784, 1), nn.MLP(784, [1])):
        (*weights, _) = (p.data for p in model.parameters())
        out = model([0.5] * 784)
        out = out[0] if isinstance(out, list) else out
        assert out.data == pytest.approx(0.5 * math.fsum(weights), abs=1e-13)


def test_a_value_in_a_batch_gets_a_gradient():
    layer = nn.Linear(2, 1)
    put(layer.parameters(), [3.0, -5.0, 0.0])
    x = Value(1.0)
    loss = layer([[x, 2.0], [0.5, x]]).sum()
    loss.backward()
    assert x.grad == 3.0 - 5.0
    numbers = [node for node in topological_order(loss) if node.data in (0.5, 2.0)]
    assert [node.grad for node in numbers] == [0.0, 0.0]  # plain numbers get none


@pytest.mark.parametrize(
    "x",
    [
        *([[1, 2], [3, 4]], np.ones((2, 2)), [np.ones(2), np.ones(2)], "ab", [None, 1.0]),
        *([1.0, "2"], {"a": 1, "b": 2}, {1: 2, 3: 4}, {1, 2}),
    ],
)
def test_a_neuron_rejects_anything_but_a_vector_of_numbers(x):
    with pytest.raises(TypeError, match="a Neuron takes a vector of numbers, not"):
        nn.Neuron(2)(x)


@pytest.mark.parametrize("x", [3.0, 3, None, Value(1.0)])
def test_neurons_and_layers_reject_a_single_number(x):
    with pytest.raises(TypeError, match="a Neuron takes a vector of numbers, not"):
        nn.Neuron(2)(x)
    for model in (nn.Layer(2, 1), nn.Linear(2, 1), nn.MLP(2, [1]), nn.RMSNorm(2)):
        with pytest.raises(TypeError, match="takes a vector of numbers or a batch"):
            model(x)


@pytest.mark.parametrize(
    "x",
    [
        nn.data.moons(10),
        ([[1.0, 2.0]], [1]),
        [[[1.0, 2.0]]],
        np.ones((1, 1, 2)),
        [nn.Matrix([[1.0, 2.0]])],
    ],
)
def test_inputs_with_their_targets_and_batches_of_batches_are_rejected(x):
    advice = ": pass its inputs" if isinstance(x, nn.data.Dataset) else ""
    for model in (nn.MLP(2, [1]), nn.Linear(2, 1), nn.Dropout(0.5), nn.RMSNorm(2), nn.softmax):
        with pytest.raises(TypeError, match=f"takes a vector of numbers or a batch.*{advice}$"):
            model(x)


@pytest.mark.parametrize(
    ("nouts", "activation", "names", "shown"),
    [
        ([4, 4, 1], ["tanh", "sigmoid"], ["tanh", "sigmoid", "linear"], "tanh, sigmoid"),
        ([4, 1], ["tanh", "sigmoid"], ["tanh", "sigmoid"], "tanh, sigmoid"),
        ([4, 1], ["tanh", "elu"], ["tanh", "elu"], "tanh, elu"),
        ([4, 4, 1], ("relu", "relu", "relu"), ["relu"] * 3, "relu, relu, relu"),
        ([4, 4, 1], "elu", ["elu", "elu", "linear"], "elu"),
        ([4, 4, 1], ["elu", "elu"], ["elu", "elu", "linear"], "elu"),
        ([1], [], ["linear"], "linear"),
        ([1], [nn.sigmoid], ["sigmoid"], "sigmoid"),
    ],
)
def test_an_mlp_takes_an_activation_for_each_layer(nouts, activation, names, shown):
    model = nn.MLP(2, nouts, activation)
    nn.seed(1)
    x = [0.5, -1.0]
    out = x
    for layer, name in zip(model.layers, names, strict=True):
        w = np.array([[v.data for v in neuron.w] for neuron in layer.neurons])
        out = [getattr(nn, name)(z).data for z in w @ out]
    assert model(x).data == pytest.approx(out[0], rel=1e-13)
    assert repr(model) == f"MLP({' → '.join(map(str, [2, *nouts]))}, {shown})"


@pytest.mark.parametrize("activation", [[], ["tanh"], ["tanh"] * 4])
def test_an_mlp_says_how_many_activations_it_takes(activation):
    with pytest.raises(
        ValueError, match=f"3 layers takes 2 activations .* or 3, not {len(activation)}"
    ):
        nn.MLP(2, [4, 4, 1], activation)


def test_an_mlp_of_one_layer_rejects_an_unknown_activation():
    with pytest.raises(ValueError, match="there is no activation 'softmax'"):
        nn.MLP(2, [2], "softmax")


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: nn.Neuron(2), "Neuron(2 → 1, relu)"),
        (lambda: nn.Layer(2, 3, "tanh", bias=False), "Layer(2 → 3, tanh, bias=False)"),
        (lambda: nn.Layer(2, 1), "Layer(2 → 1, relu)"),
        (lambda: nn.Layer(2, 1, partial(nn.elu, alpha=2.0)), "Layer(2 → 1, elu(alpha=2.0))"),
        (lambda: nn.Linear(2, 3), "Linear(2 → 3)"),
        (lambda: nn.Linear(2, 1, multiplier=2.0), "Linear(2 → 1, × 2)"),
        (lambda: nn.Embedding(1, 2), "Embedding(1 → 2)"),
        (lambda: nn.MLP(2, [3, 1], bias=False), "MLP(2 → 3 → 1, relu, bias=False)"),
        (lambda: nn.Dropout(0.25), "Dropout(0.25)"),
        (lambda: nn.MultiHeadAttention(4, 1), "MultiHeadAttention(4 → 4, 1 head)"),
        (lambda: nn.MultiHeadAttention(4, 2), "MultiHeadAttention(4 → 4, 2 heads)"),
        (lambda: nn.Sequential(), "Sequential()"),
        (
            lambda: nn.Sequential(nn.Linear(2, 3), nn.tanh, nn.Dropout(0.5), nn.softmax),
            "Sequential(Linear(2 → 3), tanh, Dropout(0.5), softmax)",
        ),
        (lambda: nn.Sequential(partial(nn.elu, alpha=2.0)), "Sequential(elu(alpha=2.0))"),
    ],
)
def test_the_repr_shows_the_sizes_of_a_layer_and_the_parts_of_a_sequential(make, shown):
    assert repr(make()) == shown


@pytest.mark.parametrize(
    ("activation", "gain"),
    [("relu", 6.0), ("leaky_relu", 6.0), ("elu", 6.0), ("tanh", 3.0), (nn.tanh, 3.0)],
)
def test_weights_start_uniform_in_their_bounds_and_biases_at_0(activation, gain):
    layer = nn.Layer(20, 100, activation)
    weights = np.array([[v.data for v in neuron.w] for neuron in layer.neurons])
    bound = math.sqrt(gain / 20)
    assert 0.99 * bound < np.abs(weights).max() <= bound
    assert abs(weights.mean()) < 0.05 * bound
    assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert all(neuron.b.data == 0.0 for neuron in layer.neurons)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "tanh", "linear"])
def test_an_activation_gives_the_same_weights_by_name_and_as_a_function(name):
    models = []
    for activation in (name, getattr(nn.activations, name), nn.activations.ACTIVATIONS[name]):
        model = nn.MLP(2, [3, 1], activation, random.Random(7))
        models.append((model.state_dict(), repr(model), model([0.3, -0.2]).data))
    assert models[0] == models[1] == models[2]


@pytest.mark.parametrize(
    "call",
    [
        lambda f: nn.Neuron(1, f)([1.0]),
        lambda f: nn.MLP(1, [2, 1], f)([[1.0], [2.0]]),
        lambda f: nn.FeedForward(1, f)(Matrix([[1.0]])),
    ],
)
@pytest.mark.parametrize(
    ("f", "name"),
    [
        (math.tanh, "tanh"),
        (lambda z: 0.0, "<lambda>"),
        (lambda z: np.tanh(float(z)), "<lambda>"),
        (partial(math.pow, 2.0), r"pow\(2.0\)"),
    ],
)
def test_an_activation_that_returns_a_number_is_refused(call, f, name):
    told = f"returns a Value, but {name} returned .* such as nn.tanh instead of math"
    with pytest.raises(TypeError, match=told):
        call(f)


SIZES = [
    (lambda n: nn.Neuron(n(2)), 3),
    (lambda n: nn.Layer(n(2), n(3)), 9),
    (lambda n: nn.Linear(n(2), n(3)), 9),
    (lambda n: nn.MLP(n(2), [16, n(3)]), 99),
    (lambda n: nn.MLP(2, np.array([n(4), n(1)])), 17),
    (lambda n: nn.MLP(2, (n(4), n(1))), 17),
    (lambda n: nn.Embedding(n(3), n(2)), 6),
    (lambda n: nn.BatchNorm(n(3)), 6),
    (lambda n: nn.LayerNorm(n(3)), 6),
    (lambda n: nn.RMSNorm(n(3)), 3),
    (lambda n: nn.MultiHeadAttention(n(4), n(2)), 64),
    (lambda n: nn.FeedForward(n(2), expansion=n(3)), 24),
    (lambda n: nn.TransformerBlock(n(2), n(2)), 48),
]


@pytest.mark.parametrize(("make", "count"), SIZES)
def test_a_size_may_be_a_whole_number_of_any_type(make, count):
    for kind in (int, np.int64, np.uint8, np.array):
        with case(kind):
            model = make(kind)
            assert len(model.parameters()) == count
            assert repr(model) == repr(make(int))


@pytest.mark.parametrize(
    "wrong", [True, 2.0, np.float64(2.0), np.bool_(True), np.array(2.0), np.array([2]), int, None]
)
def test_a_size_must_be_a_whole_number(wrong):
    with pytest.raises(TypeError, match="must be a whole number, not"):
        nn.Linear(wrong, 1)


def test_linear_is_w_x_plus_b():
    linear = nn.Linear(3, 2)
    assert [name for name, _ in linear.named_parameters()][-2:] == ["bias.0", "bias.1"]
    assert [b.data for b in linear.bias] == [0.0, 0.0]
    put(linear.bias, [0.5, -0.25])
    w = np.array([[p.data for p in row] for row in linear.weights])
    expected = BATCH @ w.T + [0.5, -0.25]
    assert as_array(linear(Matrix(BATCH))) == pytest.approx(expected, rel=1e-14)
    for m in (0.25, 2.0):
        scaled = nn.Linear(3, 2, multiplier=m)
        put(scaled.bias, [0.5, -0.25])
        w = np.array([[p.data for p in row] for row in scaled.weights])
        expected = m * BATCH @ w.T + [0.5, -0.25]  # the multiplier applies to W only
        assert as_array(scaled(Matrix(BATCH))) == pytest.approx(expected, rel=1e-14)


def test_linear_is_a_layer_of_linear_neurons_to_the_last_bit():
    linear, layer = nn.Linear(3, 2), nn.Layer(3, 2, "linear")
    put(linear.bias, [0.1, -0.7])
    for neuron, row, b in zip(layer.neurons, linear.weights, linear.bias, strict=True):
        put([*neuron.w, neuron.b], [p.data for p in (*row, b)])
    assert linear(BATCH).data == layer(BATCH).data


def test_linear_without_a_bias_is_only_w_x():
    linear = nn.Linear(3, 2, bias=False)
    assert len(linear.parameters()) == 6
    w = np.array([p.data for p in linear.parameters()]).reshape(2, 3)
    assert as_array(linear(Matrix(BATCH))) == pytest.approx(BATCH @ w.T, rel=1e-14)
    (out,) = nn.Linear(1, 1, bias=False)([2.0])
    assert out.op == "mul"  # no sum with a bias of 0
    for size in (2, 4):
        for model in (linear, nn.Linear(3, 1)):
            with pytest.raises(ValueError, match=f"a Linear of 3 inputs got {size}"):
                model([1.0] * size)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda **k: nn.Neuron(3, "tanh", **k), 3),
        (lambda **k: nn.Layer(3, 2, "tanh", **k), 6),
        (lambda **k: nn.MLP(3, [4, 2], "tanh", **k), 20),
        (lambda **k: nn.Linear(3, 2, **k), 6),
    ],
)
def test_a_layer_without_biases_equals_one_whose_biases_are_0(make, count):
    def made(**settings):
        nn.seed(5)
        return make(**settings)

    model, other = made(bias=False), made()
    assert len(model.parameters()) == count < len(other.parameters())
    first, second = (net(list(BATCH[0])) for net in (model, other))
    assert as_array(first if isinstance(first, list) else [first]) == pytest.approx(
        as_array(second if isinstance(second, list) else [second]), rel=1e-14
    )
    assert "bias=False" in repr(model)
    assert "bias" not in repr(other)
    with pytest.raises(TypeError, match=r"bias must be True or False, not 0\.5"):
        make(bias=0.5)


def test_a_multiplier_scales_steps_but_not_initial_outputs():
    linear, plain = (
        nn.Linear(3, 2, bias=False, std=0.5, generator=random.Random(4), multiplier=m)
        for m in (0.25, 1.0)
    )
    start = as_array(plain(Matrix(BATCH)))
    assert as_array(linear(Matrix(BATCH))) == pytest.approx(start, rel=1e-14)
    for layer in (linear, plain):
        layer(Matrix(BATCH)).sum().backward()
        nn.Adam(layer, lr=0.01).step()
    moved, further = (as_array(layer(Matrix(BATCH))) - start for layer in (linear, plain))
    assert moved == pytest.approx(0.25 * further, rel=1e-6, abs=1e-12)
    for nin, m in ((16, 1.0), (64, 0.25)):  # four times as wide, but moved as far by a step
        wide, ones = nn.Linear(nin, 1, False, multiplier=m), [1.0] * nin
        (before,) = wide(ones)
        before.backward()
        nn.Adam(wide, lr=0.01).step()
        assert wide(ones)[0].data - before.data == pytest.approx(-0.16, rel=1e-6)
    assert repr(linear) == "Linear(3 → 2, bias=False, × 0.25)"
    for m in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"multiplier must be (above 0|finite), not"):
            nn.Linear(3, 2, multiplier=m)
    with pytest.raises(TypeError, match="multiplier must be a number, not '2': write it without"):
        nn.Linear(3, 2, multiplier="2")


def test_linear_weights_start_normally_distributed():
    for std, expected in ((0.08, 0.08), (None, math.sqrt(1 / 50))):
        weights = np.array([p.data for p in nn.Linear(50, 40, False, std=std).parameters()])
        assert weights.std() == pytest.approx(expected, rel=0.05)
        assert np.abs(weights).max() > 2.5 * expected  # beyond the bound of a uniform distribution


def test_the_same_seed_makes_the_same_weights():
    def numbers():
        return [p.data for p in (*nn.MLP(2, [3, 1]).parameters(), *nn.Embedding(2, 2).parameters())]

    nn.seed(7)
    first = numbers()
    assert numbers() != first
    nn.seed(7)
    assert numbers() == first
    nn.seed(8)
    assert numbers() != first


@pytest.mark.parametrize("wrong", ["1", 1.0, None, [1]])
def test_a_seed_must_be_a_whole_number(wrong):
    with pytest.raises(TypeError, match="whole number"):
        nn.seed(wrong)


@pytest.mark.parametrize(
    "make", [lambda g: nn.MLP(2, [3], "relu", g), lambda g: nn.Embedding(2, 2, 1.0, g)]
)
def test_drawing_from_a_given_generator_leaves_that_of_nn_alone(make):
    one, other = (make(random.Random(3)).state_dict() for _ in range(2))
    assert one == other
    drawn = nn.Neuron(1).w[0].data
    nn.seed(0)
    assert nn.Neuron(1).w[0].data == drawn


# --- normalisation --------------------------------------------------------------------------------


def normalised(x, axis, eps=1e-5):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def test_batch_norm_in_training_matches_numpy():
    norm = nn.BatchNorm(3)
    put(norm.gain, [2.0, -1.0, 0.5])
    put(norm.bias, [0.1, 0.2, 0.3])
    expected = normalised(BATCH, 0) * [2.0, -1.0, 0.5] + [0.1, 0.2, 0.3]
    assert as_array(norm(Matrix(BATCH))) == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_running_statistics_average_the_mean_and_the_unbiased_variance():
    norm = nn.BatchNorm(3, momentum=0.25, eps=1e-3)
    mean, variance = np.zeros(3), np.ones(3)
    for batch in (BATCH, 2.0 * BATCH + 1.0):
        norm(Matrix(batch))
        mean = 0.75 * mean + 0.25 * batch.mean(0)
        variance = 0.75 * variance + 0.25 * batch.var(0, ddof=1)
    assert as_array(norm.running_mean) == pytest.approx(mean, rel=1e-13)
    assert as_array(norm.running_variance) == pytest.approx(variance, rel=1e-13)
    norm.eval()
    state = norm.state_dict()
    expected = (BATCH - mean) / np.sqrt(variance + 1e-3)
    assert as_array(norm(Matrix(BATCH))) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert as_array(norm(list(BATCH[0]))) == pytest.approx(expected[0], rel=1e-12, abs=1e-14)
    assert norm.state_dict() == state  # evaluation changes nothing


def test_running_statistics_keep_no_graph():
    norm = nn.BatchNorm(3)
    norm(Matrix(BATCH))
    norm(Matrix(BATCH))
    assert all(value.parents == () for value in norm.running_mean + norm.running_variance)


def test_layer_norm_matches_numpy():
    norm = nn.LayerNorm(3, eps=1e-3)
    put(norm.gain, [2.0, -1.0, 0.5])
    put(norm.bias, [0.1, 0.2, 0.3])
    expected = normalised(BATCH, 1, 1e-3) * [2.0, -1.0, 0.5] + [0.1, 0.2, 0.3]
    assert as_array(norm(Matrix(BATCH))) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("gain", [[2.0, -1.0, 0.5], None])
def test_rms_norm_matches_numpy(gain):
    norm = nn.RMSNorm(3, eps=1e-3, gain=gain is not None)
    put(norm.gain, gain or [])
    assert len(norm.parameters()) == len(gain or [])
    expected = BATCH / np.sqrt((BATCH**2).mean(1, keepdims=True) + 1e-3) * (gain or 1.0)
    assert as_array(norm(Matrix(BATCH))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("make", [nn.LayerNorm, nn.RMSNorm, lambda n: nn.BatchNorm(n).eval()])
def test_a_new_norm_divides_by_a_spread_of_1_with_1e_minus_5_under_the_root(make):
    out = make(300)([1.0, -1.0] * 150)
    one = 1.0 / math.sqrt(1.0 + 1e-5)
    assert as_array(out) == pytest.approx([one, -one] * 150, rel=1e-14)


@pytest.mark.parametrize("make", [nn.LayerNorm, nn.RMSNorm])
def test_a_vector_of_zeros_is_normalised_to_zeros(make):
    out = make(3)([0.0, 0.0, 0.0])
    nn.mean(out).backward()
    assert [value.data for value in out] == [0.0, 0.0, 0.0]


# --- dropout --------------------------------------------------------------------------------------


def test_dropout_in_evaluation_is_the_identity():
    values = [Value(1.0), Value(2.0)]
    assert nn.Dropout(0.9).eval()(values) == values
    assert nn.Dropout(0.0)(values) == values


def test_dropout_in_training_drops_a_fraction_p_and_keeps_the_expectation():
    out = [value.data for value in nn.Dropout(0.25)([3.0] * 4000)]
    assert set(out) == {0.0, 4.0}
    # 1000 expected, with a standard deviation of 27
    assert 900 < out.count(0.0) < 1100
    assert sum(out) / len(out) == pytest.approx(3.0, rel=0.05)


def test_float32_settings_are_computed_with_in_float64():
    tenth = np.float32(0.1)
    one = float(tenth)
    norms = [nn.BatchNorm(3, momentum=number) for number in (tenth, one)]
    for norm in norms:
        norm(Matrix(BATCH))
    assert norms[0].state_dict() == norms[1].state_dict()
    assert {v.data for v in nn.Dropout(tenth)([1.0] * 50)} == {0.0, 1.0 / (1.0 - one)}
    assert nn.Linear(3, 2, multiplier=tenth).multiplier == one


def test_gradients_pass_dropout_where_values_did():
    x = [Value(1.0) for _ in range(20)]
    out = nn.Dropout(0.5)(x)
    (nn.mean(out) * 20.0).backward()
    assert [value.grad for value in x] == [value.data for value in out]
    assert {value.grad for value in x} == {0.0, 2.0}


def test_dropout_is_reproducible_by_seed_or_by_its_own_generator():
    def mask(layer):
        return [value.data for value in layer([1.0] * 50)]

    layer = nn.Dropout()
    nn.seed(4)
    first, second = mask(layer), mask(layer)
    nn.seed(4)
    assert (mask(layer), mask(layer)) == (first, second)
    assert first != second
    own = mask(nn.Dropout(generator=random.Random(2)))
    nn.seed(5)
    assert mask(nn.Dropout(generator=random.Random(2))) == own


def test_dropout_draws_for_each_entry_of_a_matrix():
    rows = nn.Dropout()(Matrix(np.ones((2, 30)))).data
    assert rows[0] != rows[1]


# --- embedding and Sequential ---------------------------------------------------------------------


def test_an_embedding_looks_up_its_vectors():
    table = nn.Embedding(4, 3)
    vectors = Matrix(table.vectors).data
    rows = table([1, 3, 1])
    assert rows.shape == (3, 3)
    assert rows.data == [vectors[1], vectors[3], vectors[1]]
    assert [v.data for v in table(2)] == vectors[2]
    assert [v.data for v in table(np.int64(3))] == vectors[3]


def test_an_embedding_takes_an_array_of_indices():
    table = nn.Embedding(4, 3)
    assert table(np.array([1, 3])).data == Matrix([table.vectors[1], table.vectors[3]]).data


def test_only_vectors_that_were_looked_up_receive_a_gradient():
    table = nn.Embedding(3, 2)
    table([2, 0, 2]).sum().backward()
    assert [[value.grad for value in row] for row in table.vectors] == [[1, 1], [0, 0], [2, 2]]


def test_a_replay_trains_vectors_that_are_looked_up_twice_correctly():
    table, layer = nn.Embedding(3, 2), nn.Linear(2, 4)
    rule = nn.SGD([table, layer], 0.1)

    @jit(check="always")
    def step(indices):
        loss = layer(table(indices)).map(Value.tanh).sum()
        rule.zero_grad()
        loss.backward()
        rule.step()

    for i in range(6):
        step([i % 3, 2, i % 3, 2])
    assert len(step.programs) == 1


def test_embedding_vectors_start_normal_with_the_given_std():
    for settings, std in (({"std": 0.02}, 0.02), ({}, 1.0)):
        numbers = np.array([p.data for p in nn.Embedding(500, 8, **settings).parameters()])
        assert numbers.std() == pytest.approx(std, rel=0.05)
        assert abs(numbers.mean()) < 0.1 * std


def test_an_embedding_selects_by_an_index_that_is_a_value():
    embedding = nn.Embedding(3, 2)
    selected = jit(lambda i: embedding(i))
    for i in range(3):
        expected = [v.data for v in embedding(i)]
        assert [v.data for v in embedding(Value(i))] == expected
        assert [v.data for v in selected(i)] == expected
    assert len(selected.programs) == 1
    for index, error, message in (
        (3, IndexError, "Embedding of 3 vectors has no index 3"),
        (0.5, TypeError, r"Embedding takes whole numbers, not 0\.5"),
    ):
        for _ in range(2):  # the second call is recorded
            with pytest.raises(error, match=f"^{message}$"):
                selected(index)
    out = embedding([Value(2.0), 1])
    (out[0][1] * 3.0).backward()
    assert [[v.grad for v in vector] for vector in embedding.vectors] == [[0, 0], [0, 0], [0, 3]]
    for outside in (-1.0, 3.0, 0.5):  # no vector at all: padding
        assert [v.data for v in embedding(Value(outside))] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("index", "error"),
    [
        *[(3, IndexError), (4, IndexError), (-1, IndexError), ([0, 3], IndexError)],
        *[([0, -1], IndexError), (1.0, TypeError), ("1", TypeError), (None, TypeError)],
        *[([0, 1.0], TypeError), ([[0, 1]], TypeError), ([], ValueError), (b"0", TypeError)],
        *[(np.array(3), IndexError), (np.array(0.5), TypeError)],
        *[(True, IndexError), ([False, 1], IndexError), (np.array([True, False]), IndexError)],
    ],
)
def test_an_embedding_rejects_invalid_indices(index, error):
    with pytest.raises(error, match=r"Embedding|a Matrix needs"):
        nn.Embedding(3, 2)(index)


@pytest.mark.parametrize("rows", [[[0, 1, 0], [1, 0, 0]], np.eye(3, dtype=int), Matrix(np.eye(3))])
def test_the_error_for_one_hot_rows_says_what_to_write_instead(rows):
    embedding = nn.Embedding(3, 2)
    with pytest.raises(TypeError, match="one-hot rows give the index of each 1"):
        embedding(rows)
    by_product = Matrix([[0, 1, 0]]) @ Matrix(embedding.vectors)  # as the message says
    assert by_product.data == embedding([1]).data


def test_the_error_for_rows_of_indices_says_what_to_write_instead():
    embedding, rows = nn.Embedding(3, 2), [[0, 1], [1, 2]]
    with pytest.raises(
        TypeError, match=r"rows of indices write \[embedding\(row\) for row in rows\];"
    ):
        embedding(rows)
    matrices = [embedding(row) for row in rows]  # as the message says
    assert matrices[1].data == embedding([1, 2]).data


def test_a_sequential_calls_its_parts_in_order():
    layer = nn.Layer(1, 2, "linear")
    model = nn.Sequential(lambda x: [x[0] + 1.0], layer, nn.softmax)
    put(layer.parameters(), [1.0, 0.0, 0.0, 0.0])
    # softmax([2 + 1, 0])
    first = 1 / (1 + math.exp(-3.0))
    assert [p.data for p in model([2.0])] == pytest.approx([first, 1 - first], rel=1e-14)
    assert next(model.named_parameters())[0] == "parts.1.neurons.0.w.0"


def test_an_empty_sequential_is_the_identity():
    x = [Value(1.0)]
    assert nn.Sequential()(x) is x


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Neuron(0), ValueError, "nin"),
        (lambda: nn.Neuron(-1), ValueError, "nin"),
        (lambda: nn.Neuron(1.0), TypeError, "nin"),
        (lambda: nn.Neuron(True), TypeError, "nin"),
        (lambda: nn.Neuron("1"), TypeError, "nin"),
        (lambda: nn.Neuron(1, "rely"), ValueError, "'rely'"),
        (lambda: nn.Neuron(1, None), ValueError, "None"),
        (lambda: nn.Layer(1, 0), ValueError, "nout"),
        (lambda: nn.Layer(1, None), TypeError, "nout"),
        (lambda: nn.Layer(0, 1), ValueError, "nin"),
        (lambda: nn.MLP(0, [1]), ValueError, "nin"),
        (lambda: nn.MLP(1, []), ValueError, "at least one layer"),
        (lambda: nn.MLP(1, [2, 0]), ValueError, "nout"),
        (lambda: nn.MLP(1, [2.0]), TypeError, "nout"),
        (lambda: nn.MLP(1, 2), TypeError, r"\[4\] for a single layer, not 2"),
        (lambda: nn.MLP(1, {4, 1}), TypeError, "as a list"),
        (lambda: nn.MLP(1, "41"), TypeError, "as a list"),
        (lambda: nn.MLP(1, [2, 1], "rely"), ValueError, "'rely'"),
        (lambda: nn.Sequential(nn.softmax, 3), TypeError, "part 1"),
        (lambda: nn.Sequential([nn.softmax]), TypeError, r"write Sequential\(\*parts\) for a list"),
        (lambda: nn.Dropout(1.0), ValueError, "p must be"),
        (lambda: nn.Dropout(-0.1), ValueError, "p must be"),
        (lambda: nn.Dropout(math.nan), ValueError, "p must be"),
        (lambda: nn.Dropout("0.5"), TypeError, "p must be a number, not '0.5'"),
        (lambda: nn.BatchNorm(0), ValueError, "size"),
        (lambda: nn.BatchNorm(1, momentum=-0.1), ValueError, "momentum must be .* not -0.1"),
        (lambda: nn.BatchNorm(1, momentum=1.1), ValueError, "momentum must be .* not 1.1"),
        (lambda: nn.BatchNorm(1, momentum=math.nan), ValueError, "momentum must be .* not nan"),
        (lambda: nn.BatchNorm(1, eps=-1e-9), ValueError, "eps must be .* not -1e-09"),
        (lambda: nn.BatchNorm(1, eps=math.nan), ValueError, "eps must be .* not nan"),
        (lambda: nn.LayerNorm(0), ValueError, "size"),
        (lambda: nn.RMSNorm(1.5), TypeError, "size"),
        (lambda: nn.Embedding(0, 1), ValueError, "count"),
        (lambda: nn.Embedding(1, 0), ValueError, "size"),
        (lambda: nn.Embedding("1", 1), TypeError, "count"),
        *[
            (
                lambda make=make, wrong=wrong: make(1, 1, std=wrong),
                error,
                f"std must be .* '?{wrong}",
            )
            for make in (nn.Linear, nn.Embedding)
            for wrong, error in ((-1.0, ValueError), (math.nan, ValueError), ("a", TypeError))
        ],
        *[
            (
                lambda make=make: make(Value(0.5)),
                TypeError,
                r"must be a number, not Value\(data=0\.5",
            )
            for make in (
                lambda x: nn.Linear(1, 1, std=x),
                lambda x: nn.Embedding(1, 1, std=x),
                lambda x: nn.GPT(3, 2, 2, 1, 1, std=x),
                nn.Dropout,
                lambda x: nn.BatchNorm(1, momentum=x),
                lambda x: nn.data.moons(4, noise=x),
                lambda x: nn.data.circles(4, factor=x),
            )
        ],
        *[
            (lambda make=make, wrong=wrong: make(1, eps=wrong), error, f"eps must be .* {wrong}")
            for make in (nn.LayerNorm, nn.RMSNorm)
            for wrong, error in ((-1.0, ValueError), (math.nan, ValueError), (None, TypeError))
        ],
        (lambda: nn.RMSNorm(1, gain=2.0), TypeError, "gain must be True or False, not 2.0"),
        *[
            (lambda make=make: make(1), TypeError, r"generator must .*Random\(1\), not 1")
            for make in (
                lambda one: nn.MLP(2, [1], generator=one),
                lambda one: nn.Linear(2, 1, generator=one),
                lambda one: nn.Embedding(2, 1, generator=one),
                lambda one: nn.Dropout(generator=one),
                lambda one: nn.data.moons(4, generator=one),
                lambda one: nn.data.split(nn.data.xor(4), 2, generator=one),
            )
        ],
    ],
)
def test_invalid_arguments_of_constructors_are_rejected(make, error, message):
    with pytest.raises(error, match=message):
        make()


MISFITS = [
    ([1.0], ValueError),
    ([1.0, 2.0, 3.0], ValueError),
    ([], ValueError),
    (Matrix([[1.0], [2.0]]), ValueError),
    (Matrix([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), ValueError),
    (["1", "2"], TypeError),
    ("12", TypeError),
    ([None, 1.0], TypeError),
    ([[1.0, 2.0], 3.0], TypeError),
    ([[1.0, 2.0], {1.0: 2.0, 3.0: 4.0}], TypeError),
    ([1.0, [2.0]], TypeError),
    ([[1.0], [2.0]], ValueError),
    ([[1.0, 2.0], [3.0]], ValueError),
    ([[[1.0, 2.0]], [[3.0, 4.0]]], TypeError),
    (np.zeros((2, 2, 2)), TypeError),
    (["12", "34"], TypeError),
    ([[1.0, 2.0], "12"], TypeError),
    (None, TypeError),
    ({1.0, 2.0}, TypeError),
    ({1.0: 2.0, 3.0: 4.0}, TypeError),
    (3.0, TypeError),
    (np.array(3.0), TypeError),
    (Value(1.0), TypeError),
]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Layer(2, 2),
        lambda: nn.MLP(2, [2, 1]),
        lambda: nn.BatchNorm(2),
        lambda: nn.BatchNorm(2).eval(),
        lambda: nn.LayerNorm(2),
        lambda: nn.RMSNorm(2),
    ],
)
def test_input_that_does_not_fit_leaves_the_layer_unchanged(make):
    for x, error in MISFITS:
        model = make()
        before = model.state_dict()
        with case(x), pytest.raises(error):
            model(x)
        assert model.state_dict() == before, x


@pytest.mark.parametrize("x", [3.0, "34", np.array(3.0)])
def test_a_row_that_is_none_is_named_in_a_batch(x):
    with pytest.raises(TypeError, match=r"takes rows of numbers; row 1 is (array.|')?3"):
        nn.Linear(2, 1)([[1.0, 2.0], x])


@pytest.mark.parametrize("x", [[1.0], [1.0, 2.0, 3.0], []])
def test_a_neuron_says_how_many_inputs_it_takes(x):
    with pytest.raises(ValueError, match=f"a Neuron of 2 inputs got {len(x)}"):
        nn.Neuron(2)(x)


@pytest.mark.parametrize("x", [[1.0], [1.0, 2.0, 3.0], []])
def test_a_norm_says_how_many_entries_it_takes(x):
    for make, what in (
        (nn.LayerNorm, "LayerNorm of 2 entries"),
        (nn.RMSNorm, "RMSNorm of 2 entries"),
        (nn.BatchNorm, "BatchNorm of 2 columns"),
    ):
        with pytest.raises(ValueError, match=f"{what} got {len(x)}"):
            make(2)(x)


@pytest.mark.parametrize("x", [[1.0, 2.0], Matrix([[1.0, 2.0]])])
def test_batch_norm_in_training_needs_two_rows_or_more(x):
    with pytest.raises(
        ValueError, match=r"at least 2 rows; to predict, write model\.eval\(\) first"
    ):
        nn.BatchNorm(2)(x)


def test_a_constant_column_without_eps_leaves_batch_norm_unchanged():
    norm = nn.BatchNorm(1, eps=0.0)
    before = norm.state_dict()
    with pytest.raises(ZeroDivisionError, match="in BatchNorm"):
        norm([[2.0], [2.0]])
    assert norm.state_dict() == before


def test_a_batch_that_overflows_leaves_batch_norm_unchanged():
    norm = nn.BatchNorm(2)
    before = norm.state_dict()
    with pytest.raises(OverflowError):
        norm(Matrix([[0.0, 1e200], [1.0, -1e200]]))
    assert norm.state_dict() == before


@pytest.mark.parametrize("index", [math.nan, 0.5, -1.0, 3.0, math.inf, -3e-308])
def test_a_value_that_is_not_an_index_selects_nothing(index):
    assert [v.data for v in nn.Embedding(3, 2)(Value(index))] == [0.0, 0.0]
    assert nn.cross_entropy_with_logits([1.0, 2.0, 3.0], Value(index)).data == 0.0


def test_a_subnormal_number_selects_like_0():
    """Some libraries make the whole process take one for the other."""
    vectors = nn.Embedding(3, 2)
    assert [v.data for v in vectors(Value(-5e-324))] == [v.data for v in vectors(0)]


def test_a_nan_in_one_example_stays_in_its_row():
    out = nn.Layer(2, 1, "linear")(Matrix([[math.nan, 1.0], [2.0, 1.0]])).data
    assert math.isnan(out[0][0])
    assert math.isfinite(out[1][0])


@pytest.mark.parametrize("inputs", [[0.5, -2.0, 3.0], [Value(0.5), Value(-2.0), 3.0]])
def test_a_neuron_makes_the_same_graph_as_the_operators(inputs):
    neuron = nn.Neuron(3, "linear")
    by_operators = neuron.b
    for w, x in zip(neuron.w, inputs, strict=True):
        by_operators = by_operators + w * x

    def nodes(output):
        order = topological_order(output)
        return [(n.op, n.data, [order.index(p) for p in n.parents]) for n in order]

    assert nodes(neuron(inputs)) == nodes(by_operators)
    with no_grad():
        assert neuron(inputs).parents == ()
    neuron.w[1].assign(1e308)
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"mul\(1e\+308, 3e\+300\)"):
        neuron([0.0, 3e300, 0.0])
