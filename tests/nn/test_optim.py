"""Optimizers: updates beside plain floats, learning differentiated, clipping, schedules."""

import json
import math

import pytest

import nn
from autograd import Value, grad, gradcheck, topological_order
from nn import Module

RULES = [nn.SGD, nn.RMSProp, nn.Adam, nn.AdamW]


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
def test_a_step_advances_time_once_whatever_the_number_of_parameters(rule):
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
    (nn.Adam, adam, {}),
    (nn.Adam, adam, {"lr": 0.1, "betas": (0.7, 0.8), "eps": 0.01, "weight_decay": 0.3}),
    (nn.AdamW, adamw, {}),
    (nn.AdamW, adamw, {"lr": 0.1, "betas": (0.7, 0.8), "eps": 0.01, "weight_decay": 0.3}),
]


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize(("rule", "reference", "settings"), UPDATES)
def test_six_steps_are_those_of_plain_floats(rule, reference, settings, differentiable):
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


@pytest.mark.parametrize("rule", RULES)
def test_a_plain_step_writes_numbers_and_remembers_no_graph(rule):
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


def test_gradients_may_be_given_instead_of_those_of_backward():
    p = Value(1.0)
    p.grad = 100.0
    nn.SGD([p], lr=0.5).step([Value(3.0)])
    assert (p.data, p.grad) == (-0.5, 100.0)


def test_zero_grad_clears_the_parameters_of_the_optimizer():
    p, q = Value(1.0), Value(1.0)
    p.grad = q.grad = 2.0
    nn.SGD([p], lr=0.5).zero_grad()
    assert (p.grad, q.grad) == (0.0, 2.0)


def test_a_learning_rate_set_between_steps_counts_from_the_next():
    p = Value(1.0)
    optimizer = nn.SGD([p], lr=0.5)
    for lr in (0.25, 0.0):
        optimizer.lr = lr
        p.grad = 1.0
        optimizer.step()
    assert p.data == 0.75


# --- learning, differentiated ---------------------------------------------------------------------


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
    (nn.Adam, {"lr": 0.1, "beta1": 0.7, "beta2": 0.8, "eps": 0.1, "weight_decay": 0.1}),
    (nn.AdamW, {"lr": 0.1, "beta1": 0.7, "beta2": 0.8, "eps": 0.1, "weight_decay": 0.1}),
]


@pytest.mark.parametrize("kept", [modules, lists_of_modules, lists_of_values])
@pytest.mark.parametrize(("rule", "settings"), HYPER)
def test_the_loss_after_4_steps_is_differentiable_by_every_setting(rule, settings, kept):
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


def test_nesterov_is_differentiable_by_the_momentum():
    def loss_after_3_steps(lr, momentum):
        values = [Value(0.5), Value(-1.0)]
        optimizer = nn.SGD(values, lr, momentum, nesterov=True, differentiable=True)
        for _ in range(3):
            optimizer.step(grad(valley(values), values, create_graph=True))
        return valley(values)

    assert gradcheck(loss_after_3_steps, [0.05, 0.8], order=2)


@pytest.mark.parametrize("rule", RULES)
def test_a_parameter_that_does_nothing_does_not_stop_the_derivative_by_the_learning_rate(rule):
    def loss_after_3_steps(lr):
        values = [Value(0.5), Value(-1.0), Value(0.0)]
        optimizer = rule(values, lr, differentiable=True)
        for _ in range(3):
            dead = (values[2] - 1.0).relu()
            loss = valley(values[:2]) + dead
            optimizer.step(grad(loss, values, create_graph=True))
        return valley(values[:2]) + values[2]

    assert gradcheck(loss_after_3_steps, [0.05])


def test_a_differentiable_optimizer_puts_its_results_into_the_model():
    model = Point()
    before = model.parameters()
    optimizer = nn.Adam(model, differentiable=True)
    optimizer.step(grad(model(), optimizer.parameters, create_graph=True))
    after = model.parameters()
    assert all(now is given for now, given in zip(after, optimizer.parameters, strict=True))
    assert all(now is not then for now, then in zip(after, before, strict=True))
    assert [name for name, _ in model.named_parameters()] == ["x", "rest.y"]
    assert before[0] in topological_order(model.x)


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
    with pytest.raises(TypeError, match=r"b\.0 is kept in a tuple"):
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
def test_stopped_and_resumed_through_json_is_uninterrupted_to_the_last_bit(rule):
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


GOOD = {"rule": "Adam", "lr": 0.1, "time": 1.0, "moments": {"mean": [0.5], "square": [0.25]}}


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
        (GOOD | {"moments": {"mean": [0.5], "square": [0.25, 1.0]}}, "does not fit 1 parameters"),
        (GOOD | {"moments": {"mean": [0.5], "square": 0.25}}, "does not fit 1 parameters"),
        (GOOD | {"moments": {"mean": [0.5], "square": ["x"]}}, "square should be a number"),
        (GOOD | {"time": None}, "time should be a number"),
        (GOOD | {"lr": "fast"}, "lr should be a number"),
        (GOOD | {"lr": 10**400}, "lr"),
    ],
)
def test_a_state_that_does_not_fit_is_a_value_error_and_changes_nothing(state, message):
    optimizer = nn.Adam([Value(1.0)], lr=0.1)
    optimizer.load_state_dict(GOOD)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.state_dict() == GOOD


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ([], ValueError, "no parameters"),
        (nn.Sequential(), ValueError, "no parameters"),
        ([Value(1.0)] * 2, ValueError, "twice"),
        ([Value(1.0), 2.0], TypeError, r"parameters\[1\]"),
        ("ab", TypeError, r"parameters\[0\]"),
        (Value(1.0), TypeError, None),
        (None, TypeError, None),
    ],
)
def test_what_is_no_list_of_parameters(rule, parameters, error, message):
    with pytest.raises(error, match=message):
        rule(parameters, lr=0.1)


@pytest.mark.parametrize(
    ("rule", "settings", "name"),
    [
        *[(rule, {"lr": lr}, "lr") for rule in RULES for lr in (-0.1, math.nan, math.inf)],
        *[(rule, {"lr": 0.1, "weight_decay": -1.0}, "weight_decay") for rule in RULES],
        (nn.SGD, {"lr": 0.1, "momentum": -0.5}, "momentum"),
        (nn.SGD, {"lr": 0.1, "nesterov": True}, "nesterov"),
        (nn.SGD, {"lr": Value(-0.1)}, "lr"),
        (nn.RMSProp, {"alpha": 1.5}, "alpha"),
        (nn.RMSProp, {"eps": -1e-8}, "eps"),
        (nn.Adam, {"betas": (1.0, 0.9)}, "beta1"),
        (nn.Adam, {"betas": (0.9, -0.1)}, "beta2"),
        (nn.AdamW, {"betas": (0.9, math.nan)}, "beta2"),
        (nn.AdamW, {"eps": math.inf}, "eps"),
    ],
)
def test_a_setting_out_of_range_is_named(rule, settings, name):
    with pytest.raises(ValueError, match=name):
        rule([Value(1.0)], **settings)


@pytest.mark.parametrize("lr", [None, [0.1], 1j])
def test_a_learning_rate_of_a_wrong_kind_is_a_type_error(lr):
    with pytest.raises(TypeError):
        nn.SGD([Value(1.0)], lr)


@pytest.mark.parametrize(
    ("gradients", "error"),
    [([], ValueError), ([Value(1.0)], ValueError), ([Value(1.0), "a"], TypeError)],
)
@pytest.mark.parametrize("rule", [nn.RMSProp, nn.Adam, lambda p: nn.SGD(p, 0.1, momentum=0.9)])
def test_gradients_that_do_not_fit_change_nothing(rule, gradients, error):
    model = Point()
    optimizer = rule(model)
    run(optimizer, model, 1)
    before = model.state_dict(), optimizer.state_dict()
    with pytest.raises(error):
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


# --- clipping -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradients", "limit", "clipped"),
    [
        ([3.0, -4.0], 1.0, [0.6, -0.8]),
        ([3.0, -4.0], 5.0, [3.0, -4.0]),
        ([0.1, 0.7], 1.0, [0.1, 0.7]),
        ([0.0, 0.0], 1.0, [0.0, 0.0]),
        ([3.0, -4.0], 0.0, [0.0, 0.0]),
        ([0.0, 0.0], 0.0, [0.0, 0.0]),
    ],
)
def test_clipping_scales_all_gradients_together_down_to_the_limit(gradients, limit, clipped):
    values = [Value(1.0) for _ in gradients]
    for value, gradient in zip(values, gradients, strict=True):
        value.grad = gradient
    norm = nn.clip_grad_norm(values, limit)
    assert norm.data == pytest.approx(math.hypot(*gradients), rel=1e-15)
    found = [value.grad for value in values]
    assert found == (clipped if norm.data <= limit else pytest.approx(clipped, rel=1e-15))
    assert numbers(values) == [1.0, 1.0]


@pytest.mark.parametrize("limit", [-1.0, math.nan, math.inf])
def test_a_limit_out_of_range_changes_no_gradient(limit):
    value = Value(1.0)
    value.grad = 5.0
    with pytest.raises(ValueError, match="max_norm"):
        nn.clip_grad_norm([value], limit)
    assert value.grad == 5.0


def test_clipping_nothing_is_a_value_error():
    with pytest.raises(ValueError, match="no gradients"):
        nn.clip_grad_norm([], 1.0)


# --- schedules ------------------------------------------------------------------------------------

ROOT = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (nn.linear_decay(1.0, 4), [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        (nn.linear_decay(1.0, 2, final=0.5), [1.0, 0.75, 0.5, 0.5]),
        (nn.cosine_decay(1.0, 4), [1.0, (1 + ROOT) / 2, 0.5, (1 - ROOT) / 2, 0.0, 0.0]),
        (nn.cosine_decay(3.0, 2, final=1.0), [3.0, 2.0, 1.0, 1.0]),
        (nn.step_decay(1.0, 2, 0.5), [1.0, 1.0, 0.5, 0.5, 0.25]),
        (nn.step_decay(2.0, 1), [2.0, 0.2, 0.02]),
        (nn.with_warmup(lambda step: 8.0, 4), [2.0, 4.0, 6.0, 8.0, 8.0]),
        (nn.with_warmup(nn.linear_decay(1.0, 4), 2), [0.5, 0.75, 0.5, 0.25, 0.0]),
    ],
)
def test_schedules_by_hand(schedule, rates):
    found = [schedule(step) for step in range(len(rates))]
    assert found == pytest.approx(rates, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("steps", [0, -1])
def test_a_schedule_of_no_steps_is_a_value_error(steps):
    for make in (nn.linear_decay, nn.cosine_decay, nn.step_decay):
        with pytest.raises(ValueError, match="1 step or more"):
            make(1.0, steps)
    with pytest.raises(ValueError, match="1 step or more"):
        nn.with_warmup(lambda step: 1.0, steps)
