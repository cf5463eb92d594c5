"""Optimizers: updates compared with plain floats, differentiable training, state, bad input."""

import copy
import json
import math
import pickle
import re
import warnings
from fractions import Fraction

import numpy as np
import pytest

import nn
from autograd import Value, grad, gradcheck, topological_order
from autograd.jit import jit
from nn import Module
from tests.cases import case

RULES = [nn.SGD, nn.RMSProp, nn.Adagrad, nn.Adam, nn.AdamW]


def numbers(values):
    return [value.data for value in values]


class Point(Module):
    """Two numbers, and a smooth loss of them that is 0 at (1, 2)."""

    def __init__(self, x=0.5, y=-1.0):
        self.x, self.rest = Value(x), {"y": Value(y)}

    def __call__(self):
        return valley([self.x, self.rest["y"]])


def valley(point):
    x, y = point
    return (x - 1.0) ** 2 + 0.5 * (x * y - 2.0) ** 2


def slopes(x, y):
    """The gradient of `valley`, in floats."""
    return [2.0 * (x - 1.0) + y * (x * y - 2.0), x * (x * y - 2.0)]


# --- updates --------------------------------------------------------------------------------------


def test_adam_by_hand_for_three_steps():
    p = Value(1.0)
    adam = nn.Adam([p], lr=0.1)
    path = []
    for gradient in (0.5, -1.0, 2.0):
        p.grad = gradient
        adam.step()
        path.append(p.data)
    # m = 0.1 * 0.5, v = 0.001 * 0.25, divided by 0.1 and 0.001
    first = 1.0 - 0.1 * 0.5 / (math.sqrt(0.25) + 1e-8)
    # m = 0.9 * 0.05 - 0.1, v = 0.999 * 0.00025 + 0.001, divided by 1 - 0.81 and 1 - 0.998001
    second = first - 0.1 * (-0.055 / 0.19) / (math.sqrt(0.00124975 / 0.001999) + 1e-8)
    # m = 0.9 * -0.055 + 0.2, v = 0.999 * 0.00124975 + 0.004, divided by 1 - 0.729 and 1 - 0.999^3
    third = second - 0.1 * (0.1505 / 0.271) / (math.sqrt(0.00524850025 / 0.002997001) + 1e-8)
    assert path == pytest.approx([first, second, third], rel=1e-13)
    assert path == pytest.approx([0.900000002, 0.9366103542405656, 0.8946447927181048])


@pytest.mark.parametrize("rule", [nn.Adam, nn.AdamW])
def test_a_step_advances_time_once_for_any_number_of_parameters(rule):
    alone, together = [Value(1.0)], [Value(1.0) for _ in range(5)]
    few, many = rule(alone, lr=0.1), rule(together, lr=0.1)
    for gradient in (0.5, -1.0, 2.0):
        for p in alone + together:
            p.grad = gradient
        few.step()
        many.step()
    assert numbers(together) == numbers(alone) * 5
    assert many.state_dict()["time"] == 3.0


def sgd(point, moments, t, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    for i, slope in enumerate(slopes(*point)):
        g = slope + weight_decay * point[i]
        v = moments.setdefault(i, 0.0) * momentum + g
        moments[i] = v
        point[i] -= lr * (g + momentum * v if nesterov else v)


def rmsprop(point, moments, t, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.0):
    for i, slope in enumerate(slopes(*point)):
        g = slope + weight_decay * point[i]
        s = moments.setdefault(i, 0.0) * alpha + (1.0 - alpha) * g**2
        moments[i] = s
        point[i] -= lr * g / (math.sqrt(s) + eps)


def adagrad(point, moments, t, lr=0.01, eps=1e-10, weight_decay=0.0, initial_accumulator=0.0):
    for i, slope in enumerate(slopes(*point)):
        g = slope + weight_decay * point[i]
        s = moments.setdefault(i, initial_accumulator) + g**2
        moments[i] = s
        point[i] -= lr * g / (math.sqrt(s) + eps)


def adam(point, moments, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=0.0):
    for i, slope in enumerate(slopes(*point)):
        g = slope + weight_decay * point[i]
        m, v = moments.get(i, (0.0, 0.0))
        m, v = betas[0] * m + (1.0 - betas[0]) * g, betas[1] * v + (1.0 - betas[1]) * g**2
        moments[i] = m, v
        point[i] -= lr * decoupled * point[i]
        corrected = m / (1.0 - betas[0] ** t), v / (1.0 - betas[1] ** t)
        point[i] -= lr * corrected[0] / (math.sqrt(corrected[1]) + eps)


def adamw(point, moments, t, weight_decay=0.01, **settings):
    adam(point, moments, t, decoupled=weight_decay, **settings)


UPDATES = [
    (nn.SGD, sgd, {"lr": 0.05}),
    (nn.SGD, sgd, {"lr": 0.05, "momentum": 0.9}),
    (nn.SGD, sgd, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    (nn.SGD, sgd, {"lr": 0.05, "weight_decay": 0.3}),
    (nn.SGD, sgd, {"lr": 0.05, "momentum": 0.5, "nesterov": True, "weight_decay": 0.3}),
    (nn.RMSProp, rmsprop, {}),
    (nn.RMSProp, rmsprop, {"lr": 0.1, "alpha": 0.7, "eps": 0.01, "weight_decay": 0.3}),
    (nn.Adagrad, adagrad, {}),
    (nn.Adagrad, adagrad, {"lr": 0.3, "eps": 0.01, "weight_decay": 0.2}),
    (nn.Adagrad, adagrad, {"lr": 0.3, "initial_accumulator": 0.5}),
    (nn.Adam, adam, {}),
    (nn.Adam, adam, {"lr": 0.1, "betas": (0.7, 0.8), "eps": 0.01, "weight_decay": 0.3}),
    (nn.AdamW, adamw, {}),
    (nn.AdamW, adamw, {"lr": 0.1, "betas": (0.7, 0.8), "eps": 0.01, "weight_decay": 0.3}),
]


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize(("rule", "reference", "settings"), UPDATES)
def test_six_steps_match_plain_floats(rule, reference, settings, differentiable):
    model, point, moments = Point(), [0.5, -1.0], {}
    optimizer = rule(model, **settings, differentiable=differentiable)
    for t in range(1, 7):
        loss = model()
        if differentiable:
            optimizer.step(grad(loss, optimizer.parameters, create_graph=True))
        else:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        reference(point, moments, t, **settings)
        assert numbers(model.parameters()) == pytest.approx(point, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"lr": 0.1},
            [
                *[0.40000000002, -0.900000000005, 0.30513167022094867, -0.9124034734633055],
                *[0.34798881307564256, -0.9954092091249378],
            ],
        ),
        (
            {"lr": 0.3, "weight_decay": 0.2, "initial_accumulator": 0.5, "eps": 0.01},
            [
                *[0.3079717026178362, -0.7156206968118397, 0.051439726648582595],
                *[-0.7294211369778396, 0.16402573352988628, -0.9618485158277882],
            ],
        ),
    ],
)
def test_adagrad_matches_pytorch(settings, expected):
    values, path = [Value(0.5), Value(-1.0)], []
    optimizer = nn.Adagrad(values, **settings)
    for gradients in ((0.5, -2.0), (1.5, 0.25), (-0.75, 3.0)):
        for value, gradient in zip(values, gradients, strict=True):
            value.grad = gradient
        optimizer.step()
        path += numbers(values)
    assert path == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("rule", RULES)
def test_a_plain_step_changes_values_in_place_and_keeps_no_graph(rule):
    model = Point()
    before = model.parameters()
    optimizer = rule(model.parameters(), lr=0.1)
    sizes = []
    for _ in range(3):
        loss = model()
        sizes.append(len(topological_order(loss)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(now is then for now, then in zip(model.parameters(), before, strict=True))
    assert all(p.parents == () for p in model.parameters())
    assert len(set(sizes)) == 1


def test_gradients_may_be_passed_to_step():
    p = Value(1.0)
    p.grad = 100.0
    nn.SGD([p], lr=0.5).step([Value(3.0)])
    assert (p.data, p.grad) == (-0.5, 100.0)


def test_zero_grad_clears_the_parameters_of_the_optimizer():
    p, q = Value(1.0), Value(1.0)
    p.grad = q.grad = 2.0
    nn.SGD([p], lr=0.5).zero_grad()
    assert (p.grad, q.grad) == (0.0, 2.0)


def test_a_learning_rate_set_between_steps_applies_to_the_next():
    p = Value(1.0)
    optimizer = nn.SGD([p], lr=0.5)
    for lr in (0.25, 0.0):
        optimizer.lr = lr
        p.grad = 1.0
        optimizer.step()
    assert p.data == 0.75


# --- differentiable training ----------------------------------------------------------------------


def modules(x, y):
    model = Point()
    slots = model.parameters()
    slots[0], slots[1] = x, y
    return model, model


def lists_of_modules(x, y):
    model, _ = modules(x, y)
    return model, model.parameters()


def lists_of_values(x, y):
    values = [x, y]
    return (lambda: valley(values)), values


@pytest.mark.parametrize("kept", [modules, lists_of_modules, lists_of_values])
def test_the_loss_after_k_steps_of_sgd_has_its_closed_form_derivative(kept):
    class Slope(Module):
        def __init__(self):
            self.w = [Value(3.0)]

    model, lr, k = Slope(), Value(0.1), 4
    start = model.w[0]
    parameters = {modules: model, lists_of_modules: model.parameters(), lists_of_values: model.w}
    optimizer = nn.SGD(parameters[kept], lr, differentiable=True)
    for _ in range(k):
        optimizer.step(grad(model.w[0] ** 2 / 2, optimizer.parameters, create_graph=True))
    # w_k = (1 - lr)^k w_0, and the loss is w_k^2 / 2
    loss = model.w[0] ** 2 / 2
    loss.backward()
    assert loss.data == pytest.approx(0.9**8 * 9 / 2, rel=1e-14)
    assert lr.grad == pytest.approx(-k * 0.9**7 * 9, rel=1e-13)
    assert start.grad == pytest.approx(0.9**8 * 3, rel=1e-13)


HYPER = [
    (nn.SGD, {"lr": 0.05}),
    (nn.SGD, {"lr": 0.05, "momentum": 0.8}),
    (nn.SGD, {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1}),
    (nn.RMSProp, {"lr": 0.1, "alpha": 0.7, "eps": 0.1, "weight_decay": 0.1}),
    (nn.Adagrad, {"lr": 0.1, "eps": 0.1, "weight_decay": 0.1}),
    (nn.Adam, {"lr": 0.1, "beta1": 0.7, "beta2": 0.8, "eps": 0.1, "weight_decay": 0.1}),
    (nn.AdamW, {"lr": 0.1, "beta1": 0.7, "beta2": 0.8, "eps": 0.1, "weight_decay": 0.1}),
]


@pytest.mark.parametrize("kept", [modules, lists_of_modules, lists_of_values])
@pytest.mark.parametrize(("rule", "settings"), HYPER)
def test_the_loss_after_4_steps_is_differentiable_in_every_setting(rule, settings, kept):
    def loss_after_4_steps(x, y, *values):
        given = dict(zip(settings, values, strict=True))
        if "beta1" in given:
            given["betas"] = given.pop("beta1"), given.pop("beta2")
        loss, parameters = kept(x, y)
        optimizer = rule(parameters, **given, differentiable=True)
        for _ in range(4):
            optimizer.step(grad(loss(), optimizer.parameters, create_graph=True))
        return loss()

    assert gradcheck(loss_after_4_steps, [0.5, -1.0, *settings.values()], rtol=1e-5)


def test_nesterov_is_differentiable_in_the_momentum():
    def loss_after_3_steps(lr, momentum):
        values = [Value(0.5), Value(-1.0)]
        optimizer = nn.SGD(values, lr, momentum, nesterov=True, differentiable=True)
        for _ in range(3):
            optimizer.step(grad(valley(values), values, create_graph=True))
        return valley(values)

    assert gradcheck(loss_after_3_steps, [0.05, 0.8], order=2)


@pytest.mark.parametrize("rule", RULES)
def test_a_dead_parameter_does_not_break_the_derivative_in_the_learning_rate(rule):
    def loss_after_3_steps(lr):
        values = [Value(0.5), Value(-1.0), Value(0.0)]
        optimizer = rule(values, lr, differentiable=True)
        for _ in range(3):
            dead = (values[2] - 1.0).relu()
            loss = valley(values[:2]) + dead
            optimizer.step(grad(loss, values, create_graph=True))
        return valley(values[:2]) + values[2]

    assert gradcheck(loss_after_3_steps, [0.05])


@pytest.mark.parametrize("rule", [nn.RMSProp, nn.Adagrad])
def test_derivatives_at_a_gradient_of_0_are_exact(rule):
    """p - lr g / (sqrt(g^2) + eps) at g = 0: its derivative in g is -lr / eps, the second 0."""
    p, g = Value(0.5), Value(0.0)
    settings = {"alpha": 0.0} if rule is nn.RMSProp else {}
    optimizer = rule([p], lr=0.25, eps=0.5, differentiable=True, **settings)
    with pytest.warns(UserWarning, match="every gradient"):
        optimizer.step([g])
    (slope,) = grad(optimizer.parameters[0], [g], create_graph=True)
    (curvature,) = grad(slope, [g])
    assert (optimizer.parameters[0].data, slope.data, curvature.data) == (0.5, -0.5, 0.0)


def test_an_undeclared_moment_of_a_differentiable_rule_is_an_error():
    class Undeclared(nn.Optimizer):
        def update(self, parameter, gradient, state):
            state["mean"] = gradient
            return parameter - self.lr * gradient

    p = Value(0.5)
    with pytest.raises(ValueError, match="mean"):
        Undeclared([p], 0.1, differentiable=True).step([Value(1.0)])


@pytest.mark.parametrize("wrong", [None, "0.5", [Value(1.0)]])
@pytest.mark.parametrize("place", ["parameter", "mean"])
def test_an_update_that_returns_a_non_number_is_an_error_and_changes_nothing(wrong, place):
    class Wrong(nn.Optimizer):
        moments = ("mean",)

        def update(self, parameter, gradient, state):
            if parameter.data < 0.0:  # only the second one
                if place == "parameter":
                    return wrong
                state["mean"] = wrong
            return parameter - self.lr * gradient

    model = Point()
    optimizer = Wrong(model, 0.1)
    model().backward()
    before = model.state_dict(), optimizer.state_dict()
    with pytest.raises(TypeError, match=rf"Wrong.update gave .* for .*{place}"):
        optimizer.step()
    assert (model.state_dict(), optimizer.state_dict()) == before


def test_a_rule_without_an_update_is_named():
    with pytest.raises(NotImplementedError, match="Optimizer does not define update"):
        nn.Optimizer([Value(1.0)], 0.1).step([Value(1.0)])


def test_hundreds_of_parameters_take_gradients_and_a_state():
    count = 300  # above the integers that CPython caches, for which `is` acts like `==`
    values = [Value(1.0) for _ in range(count)]
    optimizer = nn.SGD(values, 0.5, momentum=0.5)
    optimizer.step([Value(1.0)] * count)
    optimizer.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    optimizer.step([Value(1.0)] * count)
    assert numbers(values) == [1.0 - 0.5 - 0.5 * 1.5] * count


@pytest.mark.parametrize("differentiable", [False, True])
def test_a_loaded_state_is_assigned_in_place_unless_a_graph_may_hold_the_values(differentiable):
    optimizer = nn.SGD([Value(1.0)], 0.1, momentum=0.9, differentiable=differentiable)
    time, (velocity,) = optimizer.time, optimizer._state["velocity"]
    state = optimizer.state_dict()
    optimizer.load_state_dict(state | {"time": 2.0, "moments": {"velocity": [0.5]}})
    assert (time.data, velocity.data) == ((0.0, 0.0) if differentiable else (2.0, 0.5))
    assert optimizer.time.data == 2.0
    assert numbers(optimizer._state["velocity"]) == [0.5]


def test_a_differentiable_optimizer_puts_its_new_parameters_into_the_model():
    model = Point()
    before = model.parameters()
    optimizer = nn.Adam(model, differentiable=True)
    optimizer.step(grad(model(), optimizer.parameters, create_graph=True))
    after = model.parameters()
    assert all(now is given for now, given in zip(after, optimizer.parameters, strict=True))
    assert all(now is not then for now, then in zip(after, before, strict=True))
    assert [name for name, _ in model.named_parameters()] == ["x", "rest.y"]
    assert before[0] in topological_order(model.x)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_of_a_differentiable_optimizer_trains_the_copy_of_its_model(clone):
    def step(model, optimizer):
        loss = nn.mse([model([1.0, 2.0])], [3.0])
        optimizer.step(grad(loss, optimizer.parameters, create_graph=True))
        return numbers(model.parameters())

    model = nn.Neuron(2)
    optimizer = nn.SGD(model, 0.1, momentum=0.9, differentiable=True)
    before = step(model, optimizer)
    copied = step(*clone((model, optimizer)))
    assert numbers(model.parameters()) == before
    assert copied == step(model, optimizer) != before


def test_a_parameter_kept_in_two_places_is_replaced_in_both():
    class Tied(Module):
        def __init__(self):
            self.a = Value(2.0)
            self.b = [self.a]

    model = Tied()
    optimizer = nn.SGD(model, 0.1, differentiable=True)
    optimizer.step(grad(model.a * model.b[0], optimizer.parameters, create_graph=True))
    assert (model.a.data, model.b[0].data) == (1.6, 1.6)  # 2 - 0.1 * 2 * 2


def test_a_parameter_kept_in_a_tuple_cannot_be_replaced_and_nothing_changes():
    class Pair(Module):
        def __init__(self):
            self.a, self.b = Value(2.0), (Value(3.0),)

    def learn(model):
        optimizer = nn.SGD(model, 0.1, differentiable=True)
        optimizer.step(grad(model.a * model.b[0], optimizer.parameters, create_graph=True))

    model = Pair()
    with pytest.raises(TypeError, match=r"b\.0 is kept in a tuple .*: keep it in a list"):
        learn(model)
    assert model.state_dict() == {"a": 2.0, "b.0": 3.0}


def test_parameters_of_a_model_are_replaced_one_by_one_by_values():
    slots = Point().parameters()
    with pytest.raises(TypeError, match="one by one, by Values"):
        slots[0] = 1.0
    with pytest.raises(TypeError, match="one by one, by Values"):
        slots[0:1] = [Value(1.0)]


# --- state ----------------------------------------------------------------------------------------


def run(optimizer, model, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model().backward()
        optimizer.step()


@pytest.mark.parametrize("rule", [*RULES, lambda p, lr: nn.SGD(p, lr, momentum=0.9)])
def test_a_run_resumed_from_json_equals_an_uninterrupted_one_to_the_last_bit(rule):
    whole = Point()
    run(rule(whole, lr=0.07), whole, 6)
    first = Point()
    optimizer = rule(first, lr=0.07)
    run(optimizer, first, 3)
    kept = json.loads(json.dumps([first.state_dict(), optimizer.state_dict()]))
    second = Point(9.0, 9.0)
    resumed = rule(second, lr=0.5)
    second.load_state_dict(kept[0])
    resumed.load_state_dict(kept[1])
    run(resumed, second, 3)
    assert second.state_dict() == whole.state_dict()


SETTINGS = {"betas": [0.8, 0.9], "eps": 0.01, "weight_decay": 0.1}
GOOD = {
    "rule": "Adam",
    "lr": 0.1,
    "time": 1.0,
    "settings": SETTINGS,
    "moments": {"mean": [0.5], "square": [0.25]},
}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "not the state of Adam"),
        ([], "not the state of Adam"),
        ({}, "not the state of Adam"),
        (GOOD | {"rule": "AdamW"}, "not the state of Adam"),
        (GOOD | {"moments": None}, "needs the moments"),
        (GOOD | {"moments": {"mean": [0.5]}}, "needs the moments"),
        (GOOD | {"moments": {"mean": [0.5], "square": [0.25], "more": [1.0]}}, "needs the moments"),
        (GOOD | {"moments": {"mean": [0.5], "square": [0.25, 1.0]}}, "does not fit 1 parameter"),
        (GOOD | {"moments": {"mean": [0.5], "square": []}}, "does not fit 1 parameter"),
        (GOOD | {"moments": {"mean": [0.5], "square": 0.25}}, "does not fit 1 parameter"),
        (GOOD | {"moments": {"mean": [0.5], "square": ["x"]}}, "square should be a number"),
        (GOOD | {"time": None}, "time should be a number"),
        (GOOD | {"lr": "fast"}, "lr should be a number"),
        (GOOD | {"lr": 10**400}, "lr"),
        (GOOD | {"lr": -0.5}, "lr must be 0 or more"),
        (GOOD | {"time": -0.5}, "time must be 0 or more"),
        (GOOD | {"settings": []}, "settings of Adam should be a dict"),
        (GOOD | {"settings": {"betas": 0.9}}, "betas should be 2 settings, not 0.9"),
        (GOOD | {"settings": {"betas": [0.9]}}, "betas should be 2 settings"),
        (GOOD | {"settings": {"betas": [0.9, "x"]}}, "betas should be a number, not 'x'"),
        (
            GOOD | {"settings": {"betas": [0.9, 1.0]}},
            "beta2 must be 0 or more and below 1, not 1.0",
        ),
        (GOOD | {"settings": {"eps": True}}, "eps should be a number, not True"),
        (GOOD | {"settings": {"eps": 0.5, "weight_decay": -1}}, "weight_decay must be 0 or more"),
        (GOOD | {"settings": {"eps": "nan"}}, "eps must be finite, not nan"),
        (GOOD | {"settings": {"amsgrad": True}}, "'amsgrad', which this Adam does not have"),
        (GOOD | {"settings": {"parameters": []}}, "a setting 'parameters'"),
        (GOOD | {"settings": {"differentiable": True}}, "a setting 'differentiable'"),
    ],
)
def test_a_state_that_does_not_fit_is_a_value_error_and_changes_nothing(state, message):
    optimizer = nn.Adam([Value(1.0)], lr=0.1)
    optimizer.load_state_dict(GOOD)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.state_dict() == GOOD


@pytest.mark.parametrize(("rule", "reference", "settings"), UPDATES)
def test_a_state_restores_every_setting(rule, reference, settings):
    whole, first, second = Point(), Point(), Point(9.0, 9.0)
    run(rule(whole, **settings), whole, 6)
    optimizer = rule(first, **settings)
    run(optimizer, first, 3)
    kept = json.loads(json.dumps([first.state_dict(), optimizer.state_dict()]))
    others = {"lr": 0.5, "eps": 0.2, "alpha": 0.3, "betas": (0.2, 0.3), "weight_decay": 0.7}
    resumed = rule(second, **{name: others.get(name, x) for name, x in settings.items()})
    second.load_state_dict(kept[0])
    resumed.load_state_dict(kept[1])
    assert resumed.settings() == optimizer.settings()
    assert repr(resumed) == repr(optimizer)
    run(resumed, second, 3)
    assert second.state_dict() == whole.state_dict()


def test_a_state_without_settings_keeps_those_of_the_constructor():
    optimizer = nn.Adam([Value(1.0)], betas=(0.5, 0.6), eps=0.2)
    optimizer.load_state_dict({name: kept for name, kept in GOOD.items() if name != "settings"})
    assert optimizer.settings() == {"betas": (0.5, 0.6), "eps": 0.2, "weight_decay": 0.0}
    assert (optimizer.lr, optimizer.time.data) == (0.1, 1.0)
    optimizer.load_state_dict(GOOD | {"settings": {"eps": 0.3}})
    assert optimizer.settings() == {"betas": (0.5, 0.6), "eps": 0.3, "weight_decay": 0.0}


def test_settings_that_are_values_are_saved_and_loaded_as_numbers():
    lr, beta = Value(0.1), Value(0.8)
    optimizer = nn.Adam([Value(1.0)], lr, (beta, 0.9), np.float64(0.01), weight_decay=np.int64(1))
    assert optimizer.settings() == {"betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 1.0}
    state = json.loads(json.dumps(optimizer.state_dict()))
    optimizer.load_state_dict(state)
    assert optimizer.lr is lr
    assert optimizer.betas == (beta, 0.9)
    state["lr"], state["settings"]["betas"] = 0.2, [0.7, 0.9]
    optimizer.load_state_dict(state)
    assert (optimizer.lr, optimizer.betas) == (0.2, (0.7, 0.9))


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("kind", [np.float32, np.float64, Fraction])
def test_settings_of_any_number_type_act_like_floats(kind, jitted):
    def trained(number):
        parameters = [Value(1.0), Value(-2.0)]
        optimizer = nn.AdamW(
            parameters, number(0.25), (number(0.3), number(0.4)), weight_decay=number(0.013)
        )

        def step():
            optimizer.zero_grad()
            sum((p - 1.5) ** 2 for p in parameters).backward()
            optimizer.step()

        step = jit(step, check="always") if jitted else step
        for _ in range(4):
            step()
        return numbers(parameters)

    assert trained(kind) == trained(lambda x: float(kind(x)))


class Signs(nn.Optimizer):
    """A user-defined rule, with settings of every kind."""

    moments = ("mean",)

    def __init__(self, parameters, lr=0.1, beta=0.9, every=3, warm=True, powers=(1, (2.0, False))):
        super().__init__(parameters, lr)
        self.beta, self.every, self.warm, self.powers = beta, every, warm, powers
        self.name, self.log, self._hidden = "signs", [], 3.0
        self.names = ("up", "down")

    def update(self, parameter, gradient, state):
        mean = state["mean"] = self.beta * state["mean"] + (1.0 - self.beta) * gradient
        return parameter - self.lr * mean / (abs(mean) + 1e-30)


def test_the_settings_of_a_user_defined_rule_are_saved_loaded_and_shown():
    optimizer = Signs([Value(1.0)], beta=0.5, every=7, warm=False, powers=(3, (0.5, True)))
    expected = {"beta": 0.5, "every": 7, "warm": False, "powers": (3, (0.5, True))}
    assert optimizer.settings() == expected
    other = Signs([Value(1.0)])
    other.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    assert other.settings() == expected
    assert [type(other.every), type(other.warm), type(other.powers[0])] == [int, bool, int]
    shown = "Signs(1 parameter, lr=0.1, beta=0.5, every=7, warm=False, powers=(3, (0.5, True)))"
    assert repr(other) == shown
    with pytest.raises(ValueError, match="warm should be True or False, not 1"):
        other.load_state_dict(optimizer.state_dict() | {"settings": {"beta": 0.1, "warm": 1}})
    assert other.settings() == expected


def test_a_user_defined_rule_can_be_differentiated():
    values, lr = [Value(1.0), Value(2.0)], Value(0.1)
    optimizer = Signs(values, lr)
    optimizer.differentiable = True
    optimizer.parameters = values
    optimizer.step(grad(values[0] * 3.0 - values[1], values, create_graph=True))
    (values[0] + 2.0 * values[1]).backward()
    assert lr.grad == pytest.approx(-1.0 + 2.0)


def test_an_optimizer_made_differentiable_later_keeps_its_new_parameters():
    w, lr = Value(1.0), Value(0.1)
    optimizer = nn.SGD([w], lr)
    optimizer.differentiable = True
    optimizer.step(grad(w * w, [w], create_graph=True))
    optimizer.parameters[0].backward()
    assert (optimizer.parameters[0].data, lr.grad, w.data) == (0.8, -2.0, 1.0)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (
            lambda: nn.Adam(nn.MLP(2, [16, 16, 1]), lr=0.03),
            "Adam(337 parameters, lr=0.03, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)",
        ),
        (
            lambda: nn.SGD([Value(1.0)], Value(0.5), 0.9, nesterov=True),
            "SGD(1 parameter, lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.0)",
        ),
        (
            lambda: nn.AdamW([Value(1.0), Value(2.0)], differentiable=True),
            "AdamW(2 parameters, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01,"
            " differentiable=True)",
        ),
        (
            lambda: nn.Adagrad([Value(1.0)]),
            "Adagrad(1 parameter, lr=0.01, eps=1e-10, weight_decay=0.0, initial_accumulator=0.0)",
        ),
        (
            lambda: nn.RMSProp([Value(1.0)]),
            "RMSProp(1 parameter, lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0)",
        ),
    ],
)
def test_an_optimizer_is_shown_with_its_settings_in_ascii(make, shown):
    assert repr(make()) == shown
    assert shown.isascii()


# --- parts of a model -----------------------------------------------------------------------------


def test_several_optimizers_can_each_train_a_part_of_a_model():
    def learn(step):
        nn.seed(4)
        model = nn.Sequential(nn.Layer(1, 2, "tanh"), nn.RMSNorm(2), nn.Layer(2, 1, "linear"))
        body, head = model.parts[:2], model.parts[2]
        optimizers = step(body, head)
        for _ in range(3):
            model.zero_grad()
            nn.mse(model([2.0]), [1.0]).backward()
            for optimizer in optimizers:
                optimizer.step()
        return model.state_dict()

    together = learn(lambda body, head: [nn.AdamW([*body], 0.1), nn.SGD(head, 0.05)])
    by_values = learn(
        lambda body, head: [
            nn.AdamW([*body[0].parameters(), *body[1].parameters()], 0.1),
            nn.SGD(head.parameters(), 0.05),
        ]
    )
    assert together == by_values
    body_only = learn(lambda body, head: [nn.AdamW(body, 0.1), nn.SGD([*head.parameters()], 0.0)])
    assert body_only["parts.2.neurons.0.b"] == 0.0 != together["parts.2.neurons.0.b"]


def test_parts_of_a_model_are_replaced_by_a_differentiable_optimizer():
    model, lone = nn.Sequential(Point(), Point(2.0, 3.0)), Value(1.0, "lone")
    optimizer = nn.SGD([model.parts[1], lone], 0.1, differentiable=True)
    loss = model.parts[1]() + lone * lone
    optimizer.step(grad(loss, optimizer.parameters, create_graph=True))
    assert model.parts[1].x.parents
    assert model.parts[1].x is model.parameters()[2] is optimizer.parameters[0]
    assert not model.parts[0].x.parents
    assert optimizer.parameters[2].data == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ([nn.Neuron(1), "a"], TypeError, r"parameters\[1\] must be a Value or a Module, not 'a'"),
        ({Value(1.0)}, TypeError, r"parameters must be a .* or a list .*, not \{Value"),
        (
            [{"params": [Value(1.0)], "lr": 0.1}],
            TypeError,
            r"parameters\[0\] must be a Value or a M",
        ),
        ([[Value(1.0)]], TypeError, r"parameters\[0\] .*: list its Values, as in \[v for row in M"),
        ([nn.Matrix([[1.0]])], TypeError, r"not Matrix\(\[\[1.0\]\]\): list its Values"),
        ([nn.Sequential(), nn.Dropout()], ValueError, "no parameters: they are Values, which a M"),
    ],
)
def test_parts_that_cannot_be_trained_are_rejected(parts, error, message):
    with pytest.raises(error, match=message):
        nn.SGD(parts, 0.1)
    one = nn.Neuron(1)
    with pytest.raises(ValueError, match="twice"):
        nn.SGD([one, nn.Sequential(one)], 0.1)


# --- steps without gradients ----------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_a_step_whose_gradients_are_all_0_warns_once(rule):
    values = [Value(1.0), Value(2.0)]
    optimizer = rule(values, lr=0.1)
    with pytest.warns(
        UserWarning, match=f"every gradient of this step of {rule.__name__} is 0"
    ) as w:
        optimizer.step()
    assert w[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        values[1].grad = 1e-300
        other = rule(values, lr=0.1)
        other.step()
        other.step([Value(0.0), Value(math.nan)])
    with pytest.warns(UserWarning, match="is 0"):
        other.step([Value(0.0), Value(-0.0)])


@pytest.mark.filterwarnings("error")
def test_a_gradient_of_0_with_a_history_does_not_warn():
    """The weight of an example starts at 0: p - lr 2 w p has the derivative -lr 2 p in w."""
    p, weight = Value(3.0), Value(0.0)
    optimizer = nn.SGD([p], lr=0.5, differentiable=True)
    optimizer.step(grad(weight * p**2, [p], create_graph=True))
    assert grad(optimizer.parameters[0], [weight])[0].data == -3.0


@pytest.mark.parametrize("rule", RULES)
def test_a_gradient_may_be_a_value_returned_by_grad(rule):
    p, q = Value(2.0), Value(2.0)
    p.grad, q.grad = grad(p * p, [p])[0], 4.0
    rule([p], lr=0.1).step()
    rule([q], lr=0.1).step()
    assert p.data == q.data != 2.0


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ([], ValueError, "no parameters"),
        (nn.Sequential(), ValueError, "no parameters"),
        ([Value(1.0)] * 2, ValueError, "twice"),
        (
            [Value(1.0), Value(1.0) * 0.1],
            ValueError,
            r"parameters\[1\] .* result of mul, not a leaf: .* Pass the leaves .* \.detach\(\)",
        ),
        ([Value(1.0), 2.0], TypeError, r"parameters\[1\]"),
        ("", TypeError, r"a list of Values and Modules, not ''"),
        (Value(1.0), TypeError, r"a list of Values and Modules, not Value\(data=1"),
        (None, TypeError, "a Module, .* not None"),
        (nn.Neuron(1).parameters, TypeError, r"model\.parameters\(\), .* not <bound method"),
    ],
)
def test_invalid_lists_of_parameters_are_rejected(parameters, error, message):
    for rule in RULES:
        with case(rule), pytest.raises(error, match=message):
            rule(parameters, lr=0.1)


def test_computed_parameters_need_a_differentiable_optimizer():
    w = Value(2.0)
    optimizer = nn.SGD([w * 3.0], 0.5, differentiable=True)
    optimizer.step([w])
    (moved,) = optimizer.parameters
    assert numbers([moved, *grad(moved, [w])]) == [5.0, 2.5]  # 3 w - w / 2


def test_an_ordinary_optimizer_asks_for_leaves_after_a_differentiable_one():
    """In a result, the gradients of two backward passes would not add up."""
    model = Point()
    optimizer = nn.SGD(model, 0.1, differentiable=True)
    optimizer.step(grad(model(), optimizer.parameters, create_graph=True))
    with pytest.raises(ValueError, match="result of sub, not a leaf: its update is lost") as caught:
        nn.SGD(model, 0.1)
    parameters = model.parameters()
    exec(str(caught.value).partition(" model.parameters(): ")[2])  # the advice, as written
    slopes = [2.0 * g.data for g in grad(model(), parameters)]
    model().backward()
    model().backward()
    assert [p.grad for p in nn.SGD(model, 0.1).parameters] == slopes != [0.0, 0.0]


@pytest.mark.parametrize(
    ("rule", "settings", "name"),
    [
        *[(rule, {"lr": lr}, "lr") for rule in RULES for lr in (-0.1, math.nan, math.inf)],
        *[(rule, {"lr": 0.1, "weight_decay": -1.0}, "weight_decay") for rule in RULES],
        (nn.SGD, {"lr": 0.1, "momentum": -0.5}, "momentum"),
        (nn.SGD, {"lr": 0.1, "nesterov": True}, "nesterov"),
        (nn.SGD, {"lr": Value(-0.1)}, "lr"),
        (nn.RMSProp, {"alpha": 1.5}, "alpha"),
        (nn.RMSProp, {"alpha": -0.5}, "alpha"),
        (nn.RMSProp, {"eps": -1e-8}, "eps"),
        (nn.Adam, {"betas": (1.0, 0.9)}, "beta1"),
        (nn.Adam, {"betas": (0.9, -0.1)}, "beta2"),
        (nn.AdamW, {"betas": (0.9, math.nan)}, "beta2"),
        (nn.Adam, {"eps": -0.5}, "eps"),
        (nn.AdamW, {"eps": math.inf}, "eps"),
        (nn.Adagrad, {"eps": -1.0}, "eps"),
        (nn.Adagrad, {"initial_accumulator": -1.0}, "initial_accumulator"),
        (nn.Adam, {"betas": (0.9,)}, "betas must be two numbers"),
        (nn.Adam, {"betas": (0.9, 0.99, 0.999)}, "betas must be two numbers"),
    ],
)
def test_a_setting_out_of_range_is_named(rule, settings, name):
    with pytest.raises(ValueError, match=name):
        rule([Value(1.0)], **settings)


@pytest.mark.parametrize("rule", RULES)
def test_without_weight_decay_an_infinite_parameter_stays_infinite(rule):
    p = Value(math.inf)
    rule([p], lr=0.1, weight_decay=0.0).step([Value(1.0)])
    assert p.data == math.inf


@pytest.mark.parametrize("betas", [0.9, None, "ab", Value(0.9)])
@pytest.mark.parametrize("rule", [nn.Adam, nn.AdamW])
def test_the_error_for_betas_of_the_wrong_type_shows_valid_ones(rule, betas):
    with pytest.raises(TypeError, match=r"two numbers, such as \(0.9, 0.999\), not"):
        rule([Value(1.0)], betas=betas)
    assert rule([Value(1.0)], betas=[0.5, 0.6]).settings()["betas"] == (0.5, 0.6)


def test_an_initial_accumulator_must_be_a_number():
    with pytest.raises(TypeError, match="initial_accumulator must be a number, not Value"):
        nn.Adagrad([Value(1.0)], initial_accumulator=Value(0.1))


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        *[(rule, name) for rule in RULES for name in ("lr", "weight_decay")],
        (nn.SGD, "momentum"),
        (nn.RMSProp, "alpha"),
        *[(rule, "eps") for rule in RULES if rule is not nn.SGD],
    ],
)
def test_the_error_for_a_setting_of_the_wrong_type_says_what_to_write(rule, name):
    for wrong in (None, [0.1], np.array([0.1, 0.2]), 1j, "0.1", b"0.1", True):
        with case(wrong):
            check_refused(rule, name, wrong)


def check_refused(rule, name, wrong):
    advice = ": write it without quotes" if isinstance(wrong, str) else ""
    message = re.escape(f"{name} must be a number or a Value, not {wrong!r}{advice}") + "$"
    with pytest.raises(TypeError, match=message):
        rule([Value(1.0)], **{"lr": 0.1, name: wrong})
    optimizer = rule([Value(1.0)], lr=0.1)

    def step():
        setattr(optimizer, name, wrong)  # a rate is refused here, another setting by the step
        optimizer.step()

    with pytest.raises(TypeError, match=message):
        step()
    assert optimizer.parameters[0].data == 1.0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("wrong", ["no", 1, None])
def test_a_flag_must_be_true_or_false(rule, wrong):
    for name in ("differentiable", *(["nesterov"] if rule is nn.SGD else [])):
        with pytest.raises(TypeError, match=f"{name} must be True or False, not {wrong!r}"):
            rule([Value(1.0)], lr=0.1, **{name: wrong})


@pytest.mark.parametrize(
    ("gradients", "error"),
    [
        ([], ValueError),
        ([Value(1.0)], ValueError),
        ([Value(1.0)] * 3, ValueError),
        ([Value(1.0), "a"], TypeError),
        *((wrong, TypeError) for wrong in (Value(1.0), 0.1, "ab", abs)),
    ],
)
@pytest.mark.parametrize("rule", [nn.RMSProp, nn.Adam, lambda p: nn.SGD(p, 0.1, momentum=0.9)])
def test_gradients_that_do_not_fit_change_nothing(rule, gradients, error):
    model = Point()
    optimizer = rule(model)
    run(optimizer, model, 1)
    before = model.state_dict(), optimizer.state_dict()
    with pytest.raises(error, match=r"parameters, but|step\(\) takes a list"):
        optimizer.step(gradients)
    assert (model.state_dict(), optimizer.state_dict()) == before


@pytest.mark.parametrize("rule", RULES)
def test_a_differentiable_optimizer_asks_for_gradients_with_a_history(rule):
    model = Point()
    optimizer = rule(model, lr=0.1, differentiable=True)
    model().backward()
    with pytest.raises(ValueError, match=r"step\(grad\(loss, optimizer.parameters"):
        optimizer.step()
    assert model.state_dict() == {"x": 0.5, "rest.y": -1.0}
    assert optimizer.state_dict()["time"] == 0.0


def test_a_number_out_of_range_is_shown_as_it_was_given():
    for lr, given in ((-1, "-1"), (-1.0, r"-1\.0"), (np.int64(-2), "-2"), (Value(-1), r"-1\.0")):
        with case(lr), pytest.raises(ValueError, match=f"lr must be 0 or more, not {given}$"):
            nn.SGD([Value(1.0)], lr=lr)


@pytest.mark.parametrize("rule", RULES)
def test_a_learning_rate_out_of_range_cannot_be_assigned(rule):
    optimizer = rule([Value(1.0)], lr=0.1)
    for lr in (-1, math.nan, math.inf, Value(-0.5), "a", None):
        error = TypeError if lr in ("a", None) else ValueError
        with case(lr), pytest.raises(error, match="lr must be"):
            optimizer.lr = lr
        assert optimizer.lr == 0.1


@pytest.mark.parametrize("rule", RULES)
def test_settings_assigned_later_are_checked_by_the_next_step(rule):
    p = Value(1.0)
    rate = Value(0.1)
    optimizer = rule([p], rate)
    for change, number in (
        (lambda x: setattr(optimizer, "weight_decay", x), -5.0),
        (rate.assign, -1.0),
    ):
        change(number)
        with pytest.raises(ValueError, match=r"(weight_decay|lr) must be 0 or more"):
            optimizer.step([Value(1.0)])
        assert (p.data, optimizer.time.data) == (1.0, 0.0)
        change(0.1)
    optimizer.step([Value(1.0)])
    assert p.data < 1.0


@pytest.mark.parametrize("name", ["weight_decay", "momentum"])
def test_a_setting_out_of_range_is_an_error_in_a_jitted_step_too(name):
    p = Value(1.0)
    optimizer = nn.SGD([p], 0.1, momentum=0.5)

    @jit
    def step():
        optimizer.zero_grad()
        (p * p).backward()
        optimizer.step()

    for _ in range(3):
        step()
    setattr(optimizer, name, -5.0)
    before = p.data
    with pytest.raises(ValueError, match=f"{name} must be 0 or more"):
        step()
    assert p.data == before


def test_a_setting_that_is_a_value_is_checked_in_each_replay():
    p, rate = Value(1.0), Value(0.25)
    optimizer = nn.SGD([p], rate)

    @jit
    def step():
        optimizer.zero_grad()
        (p * p).backward()
        optimizer.step()

    for _ in range(2):
        step()
    for number, message in ((-1.0, "lr must be 0 or more, not -1.0"), (math.inf, "inf")):
        rate.data = number
        with pytest.raises(ValueError, match=message):
            step()
        assert (p.data, optimizer.time.data) == (0.25, 2.0)
    rate.data = 0.5
    step()
    assert p.data == 0.0


def test_a_momentum_or_nesterov_set_later_is_refused():
    p = Value(1.0)
    optimizer = nn.SGD([p], 0.1)
    optimizer.momentum = 0.9
    with pytest.raises(ValueError, match="has no velocity"):
        optimizer.step([Value(1.0)])
    optimizer.momentum, optimizer.nesterov = 0.0, True
    with pytest.raises(ValueError, match="nesterov needs a momentum"):
        optimizer.step([Value(1.0)])
    assert p.data == 1.0
    made = nn.SGD([p], 0.1, 0.0625)
    made.momentum = 0.9
    for _ in range(3):
        made.step([Value(1.0)])
    assert p.data == pytest.approx(1.0 - 0.1 * (1.0 + 1.9 + 2.71))  # 0.439


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(("momentum", "moved"), [(0.9, 1.9 + 2.71), (0.0, 2.0)])
def test_an_sgd_loads_the_state_of_one_with_or_without_a_momentum(momentum, moved, jitted):
    """As in PyTorch: with three gradients of 1 the velocities are 1, 1.9 and 2.71."""
    saved, other = nn.SGD([Value(1.0)], 0.1, momentum), nn.SGD([Value(1.0)], 0.3, 0.9 - momentum)
    saved.step([Value(1.0)])

    def step():
        other.parameters[0].grad = 1.0
        other.step()

    step = jit(step) if jitted else step
    for _ in range(3):
        step()
    other.load_state_dict(json.loads(json.dumps(saved.state_dict())))
    assert repr(other) == repr(saved)
    assert other.moments == tuple(other.state_dict()["moments"])
    other.parameters[0].data = 1.0
    step()
    step()
    assert other.parameters[0].data == pytest.approx(1.0 - 0.1 * moved)


def test_a_state_of_another_momentum_that_does_not_fit_changes_nothing():
    sgd, other = nn.SGD([Value(1.0)], 0.1), nn.SGD([Value(1.0), Value(2.0)], 0.1, 0.9)
    with pytest.raises(ValueError, match="does not fit 1 parameter"):
        sgd.load_state_dict(other.state_dict())
    assert sgd.state_dict()["moments"] == {}
    sgd.step([Value(1.0)])
    assert sgd.parameters[0].data == 0.9
    with pytest.raises(ValueError, match="velocity"):  # a momentum whose velocity is missing
        other.load_state_dict(other.state_dict() | {"moments": {}})
    other.load_state_dict(nn.SGD(other.parameters, 0.1).state_dict() | {"settings": {}})
    assert (other.momentum, other.state_dict()["moments"]) == (0.9, {"velocity": [0.0, 0.0]})


def test_settings_that_are_lists_act_like_tuples():
    adam = nn.Adam([Value(1.0)], 0.1)
    adam.betas = [0.5, 0.6]
    assert "betas=(0.5, 0.6)" in repr(adam)
    assert adam.settings()["betas"] == (0.5, 0.6)
    state = json.loads(json.dumps(adam.state_dict()))
    other = nn.Adam([Value(1.0)], 0.1)
    other.load_state_dict(state)
    assert other.betas == (0.5, 0.6)
    adam.betas = [0.5, 1.5]
    with pytest.raises(ValueError, match="beta2 must be 0 or more and below 1, not 1"):
        adam.step([Value(1.0)])
    adam.betas = 0.9
    with pytest.raises(TypeError, match="betas must be two numbers"):
        adam.step([Value(1.0)])
    mine = Signs([Value(1.0)], powers=[1.0, 2.0])
    other = Signs([Value(1.0)], powers=[3.0, 4.0])
    other.load_state_dict(mine.state_dict())
    assert other.powers == [1.0, 2.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: nn.SGD(p, 0.1, 0.9, 0),  # dampening
        lambda p: nn.SGD(p, 0.1, 0.9, 0.0, 1e-4, True),
        lambda p: nn.SGD(p, 0.1, 0.9, True, 1e-4, True),
        lambda p: nn.Adagrad(p, 0.1, 0.0),  # lr_decay
        lambda p: nn.RMSProp(p, 0.1, 0.9, 1e-8, 0.0, 0.9),  # momentum
        lambda p: nn.Adam(p, 0.1, (0.9, 0.99), 1e-8, 0.0, True),  # amsgrad
        lambda p: nn.AdamW(p, 0.1, (0.9, 0.99), 1e-8, 0.0, True),
        lambda p: nn.Adam(p, 0.1, differentiable=1),
    ],
)
def test_a_positional_argument_of_another_library_is_a_type_error(make):
    with pytest.raises(TypeError, match=r"positional|must be True or False"):
        make([Value(1.0)])


@pytest.mark.parametrize("rule", RULES)
def test_a_step_with_a_gradient_that_is_none_names_it_and_changes_nothing(rule):
    values = [Value(1.0), Value(2.0, "w")]
    optimizer = rule(values, lr=0.1)
    for i, name in ((0, r"parameters\[0\]"), (1, "w")):
        values[0].grad = values[1].grad = 0.0
        values[i].grad = None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(TypeError, match=f"the gradient of {name} is None"):
                optimizer.step()
    assert numbers(values) == [1.0, 2.0]


def test_the_error_for_an_init_that_does_not_call_that_of_optimizer_says_so():
    class Forgetful(nn.Optimizer):
        def __init__(self, parameters, lr):
            self.decay = 0.5

        def update(self, parameter, gradient, state):
            return parameter - self.decay * gradient

    optimizer = Forgetful([Value(1.0)], 0.1)
    message = r"must call super\(\).__init__\(parameters, lr\)$"
    for call in (optimizer.step, optimizer.zero_grad):
        with pytest.raises(AttributeError, match=message):
            call()


def test_the_error_for_an_unknown_attribute_says_where_the_rate_of_a_group_is():
    optimizer = nn.SGD([Value(1.0)], lr=0.1)
    with pytest.raises(AttributeError, match=r"no attribute 'param_groups': write optimizer\.lr;"):
        optimizer.param_groups[0]["lr"] = 0.2
    with pytest.raises(AttributeError, match=r"^'SGD' object has no attribute 'rate'$"):
        optimizer.rate  # noqa: B018


def test_a_property_of_an_optimizer_that_fails_raises_its_own_error():
    class Grouped(nn.Optimizer):
        group = None

        @property
        def rate(self):
            return self.group.lr

    with pytest.raises(AttributeError, match=r"^'NoneType' object has no attribute 'lr'$"):
        Grouped([Value(1.0)], 0.1).rate  # noqa: B018
