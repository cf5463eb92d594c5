"""Training steps of networks that must be replayed: what the jit is for."""

from __future__ import annotations

import random
from typing import Any

import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, programs

import nn
from autograd import Value, no_grad

ROWS = [([[x, 1.0 - x], [0.5 * x, -1.0], [1.0, x]],) for x in XS]


def trained(model: Any, optimizer: Any, loss_of: Any, calls: Any = ROWS, clip: Any = None) -> Case:
    """A training step of a model by an optimizer."""

    def step(*batch: Any) -> Any:
        loss = loss_of(model, *batch)
        optimizer.zero_grad()
        loss.backward()
        norm = None if clip is None else nn.clip_grad_norm(model, clip)
        optimizer.step()
        return loss, norm

    return Case(step, calls=calls, observe=lambda: (model, optimizer, nn.rng.generator))


@fooling("networks", "equal")
def a_perceptron_with_hinge_and_momentum() -> Case:
    model = nn.MLP(2, [4, 1], generator=random.Random(1))

    def loss_of(model: Any, xs: Any) -> Any:
        return nn.hinge(model(xs), [[1], [-1], [1]]) + nn.l2(1e-3)(model)

    return trained(model, nn.SGD(model, lr=0.1, momentum=0.9), loss_of)


@fooling("networks", "equal")
def a_classifier_with_adam_and_clipping() -> Case:
    model = nn.MLP(2, [4, 3], "tanh", generator=random.Random(2))

    def loss_of(model: Any, xs: Any) -> Any:
        return nn.cross_entropy_with_logits(model(xs), [0, 2, 1])

    return trained(model, nn.Adam(model, lr=0.05), loss_of, clip=0.5)


@fooling("networks", "equal")
def dropout_and_normalization() -> Case:
    generator = random.Random(3)
    model = nn.Sequential(
        nn.Linear(2, 4, generator=generator),
        nn.LayerNorm(4),
        nn.Dropout(0.3),
        nn.Layer(4, 2, "gelu", generator),
        nn.BatchNorm(2),
    )

    def loss_of(model: Any, xs: Any) -> Any:
        return nn.mse(model(xs), [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])

    return trained(model, nn.AdamW(model, lr=0.05), loss_of)


@fooling("networks", "equal")
def attention_over_three_tokens() -> Case:
    model = nn.TransformerBlock(4, 2, generator=random.Random(4))
    start = nn.Linear(2, 4, generator=random.Random(5))
    optimizer = nn.RMSProp([*model.parameters(), *start.parameters()], lr=0.01)

    def loss_of(model: Any, xs: Any) -> Any:
        return nn.mean(row[0] * row[1] - row[2] for row in model(start(xs)))

    return trained(model, optimizer, loss_of)


@fooling("networks", "equal")
def two_optimizers_for_two_parts() -> Case:
    a, b = nn.Linear(2, 3, generator=random.Random(6)), nn.Linear(3, 1, generator=random.Random(7))
    first, second = nn.SGD(a, lr=0.1), nn.Adagrad(b, lr=0.1)

    def step(xs: Any) -> Any:
        loss = nn.mse(b(nn.tanh(a(xs))), [[1.0], [0.0], [-1.0]])
        first.zero_grad()
        second.zero_grad()
        loss.backward()
        first.step()
        second.step()
        return loss.data

    return Case(step, calls=ROWS, observe=lambda: (a, b, first, second))


@fooling("networks", "equal")
def evaluates_after_it_trains() -> Case:
    model = nn.MLP(2, [3, 1], "tanh", generator=random.Random(8))
    optimizer = nn.SGD(model, lr=0.1)

    def step(xs: Any) -> Any:
        loss = nn.mse(model(xs), [[1.0], [0.0], [-1.0]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with no_grad():
            after = nn.mse(model(xs), [[1.0], [0.0], [-1.0]])
        return {"before": loss, "after": after, "gain": loss.data - after.data}

    return Case(step, calls=ROWS, observe=lambda: (model, optimizer))


@fooling("networks", "equal")
def a_recurrent_network_by_hand() -> Case:
    u, v, w = Value(0.5), Value(-0.3), Value(0.8)

    def step(xs: list[float]) -> Any:
        hidden = Value(0.0)
        for x in xs:
            hidden = (u * x + v * hidden).tanh()
        loss = (w * hidden - 1.0) ** 2
        for p in (u, v, w):
            p.grad = 0.0
        loss.backward()
        for p in (u, v, w):
            p.data -= 0.1 * p.grad
        return loss

    return Case(step, calls=[([x, 1.0, -x, 0.5, x * x],) for x in XS], observe=lambda: (u, v, w))


@fooling("networks", "equal")
def a_model_in_plain_dicts() -> Case:
    params: dict[str, Any] = {
        "hidden": {
            "w": [[Value(0.1), Value(-0.2)], [Value(0.3), Value(0.4)]],
            "b": [Value(0.0)] * 2,
        },
        "out": [Value(0.5), Value(-0.6)],
    }

    def leaves(tree: Any) -> Any:
        if isinstance(tree, Value):
            yield tree
        else:
            for part in tree.values() if isinstance(tree, dict) else tree:
                yield from leaves(part)

    def step(xs: list[float]) -> Any:
        layer = params["hidden"]
        hidden = [
            sum((w * x for w, x in zip(row, xs, strict=True)), b).tanh()
            for row, b in zip(layer["w"], layer["b"], strict=True)
        ]
        loss = (
            sum((w * h for w, h in zip(params["out"], hidden, strict=True)), Value(0.0)) - 1
        ) ** 2
        unique = list(dict.fromkeys(leaves(params)))
        for p in unique:
            p.grad = 0.0
        loss.backward()
        for p in unique:
            p.data -= 0.1 * p.grad
        return loss

    return Case(step, calls=[([x, 1.0 - x],) for x in XS], observe=lambda: params)


@fooling("networks", "equal")
def targets_that_lag_behind() -> Case:
    online = nn.MLP(1, [3, 1], "tanh", generator=random.Random(9))
    target = nn.MLP(1, [3, 1], "tanh", generator=random.Random(9))

    def step(x: float) -> Any:
        aim = 0.9 * target([x]).detach() + 0.1
        loss = (online([x]) - aim) ** 2
        online.zero_grad()
        loss.backward()
        for p, q in zip(online.parameters(), target.parameters(), strict=True):
            p.data -= 0.1 * p.grad
            q.data = 0.95 * q.data + 0.05 * p.data
        return loss

    return Case(step, observe=lambda: (online, target))


@fooling("networks", "equal")
def accumulates_over_micro_batches_inside() -> Case:
    model = nn.Neuron(2, "tanh", random.Random(10))

    def step(xs: Any) -> Any:
        model.zero_grad()
        total = 0.0
        for row in xs:
            loss = (model(row) - 0.5) ** 2 / len(xs)
            loss.backward()
            total = total + loss.data
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        return total

    return Case(step, calls=ROWS, observe=lambda: model)


@fooling("networks", "equal")
def noise_from_the_stream_of_nn() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        loss = (w * (x + nn.gauss(0.0, 0.1)) - nn.uniform(0.0, 1.0)) ** 2
        w.grad = 0.0
        loss.backward()
        w.data -= 0.05 * w.grad
        return loss

    return Case(step, observe=lambda: (w, nn.rng.generator))


@fooling("networks", "equal")
def a_user_defined_noise_module() -> Case:

    class Noisy(nn.Module):
        def __init__(self) -> None:
            self.mean, self.scale = Value(0.5), Value(0.3)

        def __call__(self, x: Any) -> Any:
            return x + nn.gauss(self.mean, self.scale)

    model = Noisy()

    def step(x: float) -> Any:
        loss = model(x) ** 2
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.01 * p.grad
        return loss

    return Case(step, observe=lambda: (model, nn.rng.generator))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
