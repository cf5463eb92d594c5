"""Do replayed networks learn as eager ones do? Every layer, activation, loss and optimizer."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from side_by_side import BACKENDS, close, comparable, same, snapshot

import nn
from autograd import Value, grad
from autograd.jit import jit
from nn import Matrix, data
from nn.activations import ACTIVATIONS
from nn.matrix import total

Make = Callable[[], tuple[Callable[..., Any], Any]]


def noise(*shape: int, seed: int = 0) -> Any:
    """Nested lists of numbers."""
    draw = random.Random(repr((shape, seed))).gauss
    if len(shape) == 1:
        return [draw(0.0, 1.0) for _ in range(shape[0])]
    return [noise(*shape[1:], seed=100 * seed + i) for i in range(shape[0])]


def weighed(out: Any) -> Value:
    """A weighted sum, in which swapping two entries of an output would show."""
    if isinstance(out, Value):
        return out * 1.5
    entries = [x for row in out for x in row] if isinstance(out, Matrix) else list(out)
    return total((0.3 + 0.4 * i) * x for i, x in enumerate(entries))


def trained(
    model: nn.Module,
    compute: Callable[[Any, Any], Any],
    optimizer: Callable[[Any], nn.Optimizer] = lambda ps: nn.SGD(ps, 0.05, momentum=0.9),
) -> tuple[Callable[..., Any], Any]:
    """(one step of training, its state)"""
    rule = optimizer(model.parameters())

    def step(xs: Any) -> Any:
        out = compute(model, xs)
        loss = weighed(out)
        rule.zero_grad()
        loss.backward()
        rule.step()
        return out, loss

    return step, [model, rule]


# --- layers ---------------------------------------------------------------------------------------


def vector(model: Any, xs: Any) -> Any:
    return model(xs[0])


def batch(model: Any, xs: Any) -> Any:
    return model(Matrix(xs))


LAYERS: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], Any]]] = {
    "Neuron": (lambda: nn.Neuron(3, "gelu"), vector),
    "Neuron without bias": (lambda: nn.Neuron(3, "elu", bias=False), vector),
    "Linear": (lambda: nn.Linear(3, 2), vector),
    "Linear, rows": (lambda: nn.Linear(3, 2, multiplier=0.5), lambda model, xs: model(xs)),
    "Layer": (lambda: nn.Layer(3, 4, "silu"), vector),
    "Layer, batch": (lambda: nn.Layer(3, 4), batch),
    "MLP": (lambda: nn.MLP(3, [5, 4, 1], "tanh"), vector),
    "MLP, batch": (lambda: nn.MLP(3, [5, 2]), batch),
    "Sequential": (lambda: nn.Sequential(nn.Layer(3, 4), nn.relu, nn.LayerNorm(4)), vector),
    "Dropout": (lambda: nn.Sequential(nn.Layer(3, 20, "tanh"), nn.Dropout(0.3)), batch),
    "BatchNorm": (lambda: nn.Sequential(nn.Layer(3, 4, "linear"), nn.BatchNorm(4)), batch),
    "LayerNorm": (lambda: nn.Sequential(nn.Layer(3, 4, "linear"), nn.LayerNorm(4)), batch),
    "RMSNorm": (lambda: nn.Sequential(nn.Layer(3, 4, "linear"), nn.RMSNorm(4)), batch),
    "RMSNorm without gain": (
        lambda: nn.Sequential(nn.Layer(3, 4, "linear"), nn.RMSNorm(4, gain=False)),
        vector,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_trains_as_eagerly(name: str) -> None:
    model, compute = LAYERS[name]
    batches = [(noise(5, 3, seed=k),) for k in range(6)]
    same(lambda: trained(model(), compute), *batches, replayed=True, rounds=1)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_evaluates_as_eagerly(name: str) -> None:
    """With statistics from an earlier training step, and two shapes in turn."""
    model, compute = LAYERS[name]

    def make() -> tuple[Callable[..., Any], Any]:
        layer = model()
        compute(layer, noise(4, 3))
        layer.eval()
        return lambda xs: compute(layer, xs), layer

    same(make, (noise(5, 3),), (noise(2, 3),), (noise(5, 3, seed=1),), replayed=True)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_a_value_a_vector_and_a_matrix(name: str) -> None:
    activation = getattr(nn, name)

    def make() -> tuple[Callable[..., Any], Any]:
        w = Value(1.5, "w")

        def step(xs: list[float]) -> Any:
            out = [activation(w * x) for x in xs]
            rows = activation(Matrix([[w * x, w + x] for x in xs]))
            loss = weighed(out) + weighed(activation(out)) * weighed(rows)
            w.grad = 0.0
            loss.backward()
            w.assign(w - 1e-4 * w.grad)
            return out, rows, loss

        return step, w

    same(make, ([-3.0, -0.0, 0.0, 0.5, 40.0],), ([1e-9, -50.0, 2.0, 0.1, -1.0],), replayed=True)


@pytest.mark.parametrize("function", [nn.softmax, nn.log_softmax, nn.logsumexp, nn.norm])
def test_softmax_of_far_apart_and_tied_logits(function: Callable[..., Any]) -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        ws = [Value(x) for x in (0.1, -0.2, 0.3)]

        def step(xs: list[float]) -> Any:
            out = function([w * x for w, x in zip(ws, xs, strict=True)])
            for w in ws:
                w.grad = 0.0
            weighed(out).backward()
            return out, function(Matrix([ws, ws]))

        return step, ws

    calls = [([1.0, 2.0, 3.0],), ([0.0, 0.0, 0.0],), ([-5e3, 4e3, 1e3],), ([1e4, 1e4, -1e4],)]
    same(make, *calls)


@pytest.mark.parametrize("function", [nn.softmax, nn.log_softmax, nn.logsumexp])
@pytest.mark.parametrize(
    ("row", "error"),
    [([-math.inf, -math.inf], ValueError), ([math.inf, 0.0], FloatingPointError)],
)
def test_a_masked_row_raises_in_a_replay_as_eagerly(
    function: Callable[..., Any], row: list[float], error: type[Exception]
) -> None:
    recorded = jit(lambda xs: weighed(function(xs)))
    numbers = [recorded(xs).data for xs in ([1.0, 2.0], [3.0, -1.0], [0.5, 0.25])]
    with pytest.raises(error, match=function.__name__):
        recorded(row)
    assert [recorded(xs).data for xs in ([1.0, 2.0], [3.0, -1.0], [0.5, 0.25])] == numbers
    assert len(recorded.programs) == 1


def test_an_embedding_with_static_indices() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.Embedding(6, 3)
        rule = nn.Adam(model, lr=0.1)

        def step(indices: tuple[int, ...], x: float) -> Any:
            out = model(indices)
            rule.zero_grad()
            (weighed(out) * x).backward()
            rule.step()
            return out, model(indices[0])

        return step, [model, rule]

    calls = [((0, 2, 2), 1.0), ((5, 1, 0), 2.0), ((0, 2, 2), -1.0)]
    same(make, *calls, static=("indices",), replayed=True)


# --- losses ---------------------------------------------------------------------------------------

SIGNS, SHARES, CLASSES = [1, -1, 1, 1], [1, 0.0, 0.3, 1.0], [0, 2, 1, 2]
ONE_HOT = [[1.0 if i == k else 0.0 for i in range(3)] for k in CLASSES]
LOSSES: dict[str, tuple[Callable[[Any, Any], Value], Any, int]] = {
    "mse": (nn.mse, SHARES, 1),
    "huber": (lambda z, y: nn.huber(z, y, delta=0.5), SHARES, 1),
    "hinge": (nn.hinge, SIGNS, 1),
    "binary_cross_entropy": (
        lambda z, y: nn.binary_cross_entropy([x.sigmoid() for x in z], y),
        SHARES,
        1,
    ),
    "binary_cross_entropy_with_logits": (nn.binary_cross_entropy_with_logits, SHARES, 1),
    "pos_weight": (
        lambda z, y: nn.binary_cross_entropy_with_logits(z, y, pos_weight=2.5),
        SHARES,
        1,
    ),
    "cross_entropy": (lambda z, y: nn.cross_entropy(nn.softmax(z), y), ONE_HOT, 3),
    "cross_entropy_with_logits": (nn.cross_entropy_with_logits, ONE_HOT, 3),
    "one-hot rows of ints": (
        nn.cross_entropy_with_logits,
        [[int(y) for y in row] for row in ONE_HOT],
        3,
    ),
    "class weights": (
        lambda z, y: nn.cross_entropy_with_logits(
            z, y, weight=[0.5, 2.0, 1.0], label_smoothing=0.1
        ),
        ONE_HOT,
        3,
    ),
    "l2": (lambda z, y: nn.mse(z, y) + nn.mean(v * v for v in z), SHARES, 1),
}


def loss_step(loss: Callable[[Any, Any], Value], outputs: int, targets: Any = None) -> Make:
    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.MLP(2, [4, outputs], "tanh")
        rule = nn.SGD(model, lr=0.1)

        def step(xs: Any, ys: Any = targets) -> Value:
            out = model(Matrix(xs))
            cost = loss([row[0] for row in out] if outputs == 1 else out, ys)
            rule.zero_grad()
            cost.backward()
            rule.step()
            return cost

        return step, [model, rule]

    return make


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_with_captured_targets(name: str) -> None:
    loss, targets, outputs = LOSSES[name]
    batches = [(noise(4, 2, seed=k),) for k in range(4)]
    same(loss_step(loss, outputs, targets), *batches, replayed=True)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_with_targets_as_arguments_bit_for_bit(name: str) -> None:
    loss, targets, outputs = LOSSES[name]
    batches = [(noise(4, 2, seed=k), targets[::step]) for k, step in enumerate([1, -1, 1])]
    # An eager call leaves out classes whose target is 0. That changes the order in which gradients
    # add up for probabilities, but not for logits.
    how = close if name == "cross_entropy" else same
    how(loss_step(loss, outputs), *batches, replayed=True)


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_with_logits"])
def test_a_loss_with_captured_classes(name: str) -> None:
    loss, _, outputs = LOSSES[name]
    same(loss_step(loss, outputs, CLASSES), *[(noise(4, 2, seed=k),) for k in range(4)])


BAD_TARGETS = [
    ("hinge", [1.0, -1.0, 0.5, 1.0]),
    ("binary_cross_entropy", [0.5, 2.0, 0.0, 1.0]),
    ("binary_cross_entropy_with_logits", [0.5, -1.0, 0.0, 1.0]),
    ("mse", [0.5, float("nan"), 0.0, 1.0]),
    ("mse", [0.5, float("inf"), 0.0, 1.0]),
    ("cross_entropy", [[1.0, 1.0, 0.0]] * 4),
    ("cross_entropy_with_logits", [[1.0, -0.5, 0.5]] * 4),
]


@pytest.mark.parametrize(("name", "bad"), BAD_TARGETS)
def test_targets_that_a_loss_refuses_are_refused_as_arguments(name: str, bad: Any) -> None:
    loss, good, outputs = LOSSES[name]
    how = close if name == "cross_entropy" else same
    how(loss_step(loss, outputs), (noise(4, 2), good), (noise(4, 2), bad), (noise(4, 2), good))


# --- optimizers -----------------------------------------------------------------------------------


class Signs(nn.Optimizer):
    """A user-defined optimizer."""

    moments = ("mean",)

    def __init__(self, parameters: Any, lr: float, beta: float = 0.9) -> None:
        super().__init__(parameters, lr)
        self.beta = beta

    def prepare(self, time: Value) -> Value:
        return time.sqrt()

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        mean = state["mean"] = self.beta * state["mean"] + (1.0 - self.beta) * gradient
        return parameter - self.lr / self._shared * mean / (abs(mean) + 1e-9) ** 0.5


OPTIMIZERS: dict[str, Callable[[Any], nn.Optimizer]] = {
    "SGD": lambda ps: nn.SGD(ps, 0.1),
    "SGD, momentum": lambda ps: nn.SGD(ps, 0.1, momentum=0.9),
    "SGD, nesterov": lambda ps: nn.SGD(ps, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD, a momentum that is a Value": lambda ps: nn.SGD(ps, 0.1, momentum=Value(0.8)),
    "RMSProp": lambda ps: nn.RMSProp(ps, 0.01, weight_decay=0.1),
    "Adagrad": lambda ps: nn.Adagrad(ps, 0.1),
    "Adagrad, started": lambda ps: nn.Adagrad(
        ps, 0.1, eps=1e-3, weight_decay=0.1, initial_accumulator=0.5
    ),
    "user-defined": lambda ps: Signs(ps, 0.01),
    "Adam": lambda ps: nn.Adam(ps, 0.05),
    "Adam, decayed": lambda ps: nn.Adam(ps, 0.05, betas=(0.5, 0.9), weight_decay=0.1),
    "Adam, a rate that is a Value": lambda ps: nn.Adam(ps, Value(0.05, "lr")),
    "AdamW": lambda ps: nn.AdamW(ps, 0.05, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_the_eager_steps(name: str) -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        return trained(nn.MLP(2, [3, 1]), vector, OPTIMIZERS[name])

    same(make, *[(noise(1, 2, seed=k),) for k in range(12)], replayed=True, rounds=1)


@pytest.mark.parametrize("limit", [1e-3, 0.5, 1e6])
def test_gradients_are_clipped_as_eagerly(limit: float) -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.MLP(2, [3, 1])
        rule = nn.Adam(model, lr=0.1)

        def step(xs: Any) -> Any:
            rule.zero_grad()
            model(xs).backward()
            norm = nn.clip_grad_norm(model, limit)
            rule.step()
            return norm

        return step, [model, rule]

    same(make, *[(noise(2, seed=k),) for k in range(5)], replayed=True)


def test_a_limit_that_is_an_argument_may_be_infinite() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        ws = [Value(1.0), Value(2.0)]

        def step(limit: float) -> Value:
            (ws[0] * ws[1]).backward()
            return nn.clip_grad_norm(ws, limit)

        return step, ws

    same(make, (math.inf,), (0.5,))
    same(make, (0.5,), (math.inf,))


def test_clipping_gradients_that_are_all_zero() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        ws = [Value(1.0), Value(2.0)]

        def step(x: float) -> Any:
            for w in ws:
                w.grad = 0.0
            (ws[0] * x * ws[1]).backward()
            return nn.clip_grad_norm(ws, 0.0), nn.clip_grad_norm(ws, 1.0)

        return step, ws

    same(make, (0.0,), (1.0,), (0.0,))


def test_two_steps_of_two_optimizers_in_one_function() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.MLP(2, [3, 1], "tanh")
        hidden, last = model.layers[0].parameters(), model.layers[1].parameters()
        rules = [nn.Adam(hidden, lr=0.1), nn.SGD(last, lr=0.01, momentum=0.5)]

        def step(xs: Any) -> list[Value]:
            losses = []
            for x in xs:
                loss = model(x) ** 2
                for rule in rules:
                    rule.zero_grad()
                loss.backward()
                for rule in rules:
                    rule.step()
                    rule.step()
                losses.append(loss)
            return losses

        return step, [model, rules]

    same(make, *[(noise(3, 2, seed=k),) for k in range(5)], replayed=True)


def test_gradients_accumulate_over_calls_without_zero_grad() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.MLP(2, [3, 1], "tanh")

        def step(xs: Any) -> Value:
            loss = model(xs) ** 2
            loss.backward()
            loss.backward()
            return loss

        return step, model

    same(make, *[(noise(2, seed=k),) for k in range(5)], replayed=True)


def test_two_optimizers_train_different_parts_of_a_model() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.Sequential(nn.Layer(2, 3, "tanh"), nn.RMSNorm(3), nn.Layer(3, 1, "linear"))
        body, head = nn.AdamW(model.parts[:2], 0.05), nn.SGD(model.parts[2], 0.1, momentum=0.9)

        def step(xs: Any) -> Value:
            loss = nn.mse(model(xs), [1.0])
            model.zero_grad()
            loss.backward()
            body.step()
            head.step()
            return loss

        return step, [model, body, head]

    same(make, *[(noise(2, seed=k),) for k in range(6)], replayed=True)


CLIPS: dict[str, Callable[[Any], Any]] = {
    "norm": lambda model: nn.clip_grad_norm(model, 0.1),
    "value": lambda model: nn.clip_grad_value(model, 0.05),
    "norm without an error": lambda m: nn.clip_grad_norm(m, 0.1, error_if_nonfinite=False),
    "value without an error": lambda m: nn.clip_grad_value(m, 0.05, error_if_nonfinite=False),
}


@pytest.mark.parametrize("name", CLIPS)
def test_clipping_raises_only_where_it_does_eagerly(name: str) -> None:
    """The third call has a gradient that overflows, the fourth one that is nan."""

    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.Neuron(2, "linear")

        def step(xs: Any, scale: float) -> Any:
            loss = model(xs)
            model.zero_grad()
            loss.backward()
            for p in model.parameters():
                p.grad = p.grad * scale * scale
            return CLIPS[name](model)

        return step, model

    calls = [([1.0, 2.0], 1.0), ([0.5, 1.0], 0.1), ([1.0, 1.0], 1e200), ([1.0, 1.0], math.nan)]
    same(make, *calls, ([2.0, 1.0], 1.0))


@pytest.mark.parametrize("clip", [nn.clip_grad_norm, nn.clip_grad_value])
def test_clipping_a_non_finite_gradient_raises_in_a_replay_as_eagerly(clip: Any) -> None:
    for backend in BACKENDS:
        w = Value(1.0, "w")

        def step(x: float, w: Value = w) -> Value:
            w.grad = 0.0
            (w * x * x).backward()
            clip([w], 1.0)
            w.assign(w - 0.1 * w.grad)
            return w.detach()

        run = jit(step, backend=backend)
        run(1.0)
        run(0.5)
        before = w.data, w.grad
        with pytest.raises(FloatingPointError, match="the gradient of w is inf"):
            run(1e200)
        assert (w.data, w.grad) == before
        assert run(1.0).data == before[0] - 0.1


RULES = [nn.SGD, nn.RMSProp, nn.Adagrad, nn.Adam, nn.AdamW]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rate_is", ["a number", "a Value", "an argument"])
def test_a_differentiable_optimizer_inside_one_call(
    rule: Callable[..., nn.Optimizer], rate_is: str
) -> None:
    """A loss two steps later, differentiated with respect to learning rate and start."""

    def make() -> tuple[Callable[..., Any], Any]:
        rate, start = Value(0.1, "rate"), [Value(0.5, "a"), Value(-1.0, "b")]

        def function(x: float) -> Any:
            ps = [p * 1.0 for p in start]
            lr = {"a number": 0.1, "a Value": rate, "an argument": 0.1 * x}[rate_is]
            optimizer = rule(ps, lr=lr, differentiable=True)
            for _ in range(2):
                a, b = optimizer.parameters
                loss = (a * x - b) ** 2 + a
                optimizer.step(grad(loss, optimizer.parameters, create_graph=True))
            a, b = optimizer.parameters
            end = (a * x - b) ** 2
            for leaf in [rate, *start]:
                leaf.grad = 0.0
            end.backward()
            return end, a, b

        return function, [rate, start]

    same(make, (1.0,), (2.0,), (0.25,))


def test_a_setting_that_is_an_argument_is_checked_in_each_call() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        w = Value(1.0)
        return lambda m: nn.SGD([w], 0.1, momentum=m, nesterov=True).step([w]), w

    same(make, (0.9,), (0.0,), (0.5,))
    same(make, (0.0,), (0.9,))


@pytest.mark.parametrize(
    "schedule",
    [
        nn.linear_decay(0.5, 8),
        nn.cosine_decay(0.5, 8, 0.1),
        nn.step_decay(0.5, 3),
        nn.exponential_decay(0.5, 0.9),
        nn.with_warmup(nn.linear_decay(0.5, 8), 4),
    ],
)
def test_a_schedule_through_the_learning_rate(schedule: Callable[[int], float]) -> None:
    """The rate is set between the calls, which needs no new recording."""

    def make() -> tuple[Callable[..., Any], Any]:
        step, (model, rule) = trained(nn.MLP(2, [3, 1]), vector, lambda ps: nn.Adam(ps, lr=0.0))
        return step, [model, rule]

    def stepped(backend: str | None) -> Any:
        nn.seed(0)
        step, state = make()
        run = step if backend is None else jit(step, backend=backend)
        seen = []
        for k in range(10):
            state[1].lr = schedule(k)
            seen.append((comparable(run(noise(1, 2, seed=k))), snapshot(state)))
        assert backend is None or len(run.programs) == 1
        return seen

    assert stepped(None) == stepped("native") == stepped("numpy")


# --- small tasks, many steps ----------------------------------------------------------------------


def test_100_steps_of_moons() -> None:
    """2-6-6-1, hinge and L2, full batch, Adam: the step of the benchmarks, smaller."""

    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.MLP(2, [6, 6, 1])
        rule = nn.Adam(model, lr=0.05)

        def step(xs: Any, ys: Any) -> Any:
            scores = [model(x) for x in xs]
            losses = [(1.0 - y * s).relu() for s, y in zip(scores, ys, strict=True)]
            cost = nn.mean(losses) + 1e-4 * total(p * p for p in model.parameters())
            rule.zero_grad()
            cost.backward()
            rule.step()
            return cost, scores

        return step, [model, rule]

    points = data.moons(12, 0.1, random.Random(0))
    ends = same(make, *[(points.inputs, points.targets)] * 100, replayed=True, rounds=1)
    first, last = float(ends[1][0][0][1]), float(ends[-1][0][0][1])
    assert last < 0.2 * first


def test_48_steps_of_circles() -> None:
    """2-6-1, logits and binary cross-entropy, mini-batches, SGD with momentum, clipping."""

    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.MLP(2, [6, 1], "tanh")
        rule = nn.SGD(model, lr=0.1, momentum=0.9)

        def step(xs: Any, ys: Any) -> Any:
            cost = nn.binary_cross_entropy_with_logits(model(Matrix(xs)), ys)
            model.zero_grad()
            cost.backward()
            norm = nn.clip_grad_norm(model, 1.0)
            rule.step()
            return cost, norm

        return step, [model, rule]

    points = data.circles(24, 0.05, generator=random.Random(0))
    targets = [(y + 1) // 2 for y in points.targets]
    batches = [(points.inputs[k::4], targets[k::4]) for k in range(4)]
    same(make, *batches * 12, replayed=True, rounds=1)


def test_48_steps_of_iris_style_classes() -> None:
    """4-5-3, dropout, softmax cross-entropy, AdamW. No target is 0: eager calls skip those."""

    def make() -> tuple[Callable[..., Any], Any]:
        model = nn.Sequential(nn.Layer(4, 5, "tanh"), nn.Dropout(0.2), nn.Layer(5, 3, "linear"))
        rule = nn.AdamW(model, lr=0.01)

        def step(xs: Any, ys: Any) -> Any:
            cost = nn.cross_entropy_with_logits(model(Matrix(xs)), ys)
            rule.zero_grad()
            cost.backward()
            rule.step()
            return cost

        return step, [model, rule]

    smooth = [[0.8 if weight else 0.1 for weight in row] for row in ONE_HOT]
    batches = [(noise(4, 4, seed=k), smooth) for k in range(4)]
    same(make, *batches * 12, replayed=True, rounds=1)


# --- fit ------------------------------------------------------------------------------------------


def fitted(jit: bool, classes: int, **settings: Any) -> tuple[Any, ...]:
    """Everything a run of `fit` leaves behind."""
    nn.seed(1)
    draw = random.Random(0)
    points = data.moons(26, 0.1, draw) if classes == 2 else data.spiral(27, arms=3, generator=draw)
    middle: list[Any] = [nn.Dropout(0.2), nn.BatchNorm(4)] if settings.pop("drop", False) else []
    outputs = 1 if classes == 2 else classes
    model = nn.Sequential(nn.Layer(2, 4, "tanh"), *middle, nn.Layer(4, outputs, "linear"))
    rule = settings.pop("rule", nn.Adam)(model, lr=settings.pop("lr", 0.02))
    loss = nn.hinge if classes == 2 else nn.cross_entropy_with_logits
    train, held_out = data.split(points, 6, random.Random(2))
    options = {"epochs": 6, "batch_size": 8, "metric": nn.accuracy, "progress": False, **settings}
    try:
        history = nn.fit(model, train, loss, rule, held_out=held_out, jit=jit, **options)
        reported = (history.loss, history.accuracy, history.held_out_accuracy)
    except nn.DivergedError as error:
        reported = (type(error), str(error))
    state = rule.state_dict(), model.state_dict(), [p.grad for p in model.parameters()]
    return reported, state, nn.rng.generator.random()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": None},
        {"penalty": nn.l2(1e-3), "clip": 0.5},
        {"schedule": nn.with_warmup(nn.cosine_decay(0.1, 18), 4)},
        {"drop": True},
        {"rule": nn.SGD, "lr": 1e200, "penalty": nn.l2(1.0)},
    ],
    ids=["plain", "one batch", "penalty and clip", "schedule", "dropout", "overflow"],
)
def test_fit_with_the_jit_equals_fit_without(settings: dict[str, Any]) -> None:
    assert fitted(True, 2, **settings) == fitted(False, 2, **settings)


def test_fit_with_the_jit_equals_fit_without_for_classes() -> None:
    assert fitted(True, 3) == fitted(False, 3)


def test_a_run_begun_with_the_jit_can_be_resumed_without_and_vice_versa(tmp_path: Any) -> None:
    expected = fitted(False, 2)
    for number, order in enumerate([(True, False), (False, True)]):
        path = tmp_path / f"run{number}.json"
        fitted(order[0], 2, epochs=3, checkpoint=path)
        assert fitted(order[1], 2, checkpoint=path, resume=True)[:2] == expected[:2]


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_with_logits"])
def test_a_loss_with_classes_as_arguments_bit_for_bit(name: str) -> None:
    loss, _, outputs = LOSSES[name]
    batches = [(noise(4, 2, seed=k), CLASSES[::step]) for k, step in enumerate([1, -1, 1])]
    how = close if name == "cross_entropy" else same
    how(loss_step(loss, outputs), *batches, replayed=True)


@pytest.mark.parametrize("bad", [3, -1, 0.5])
def test_an_invalid_class_is_refused_as_an_argument(bad: float) -> None:
    loss, _, outputs = LOSSES["cross_entropy_with_logits"]
    same(loss_step(loss, outputs), (noise(4, 2), CLASSES), (noise(4, 2), [0, bad, 1, 2]))
