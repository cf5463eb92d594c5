"""Clipping: gradients scaled to a norm, clipped one by one, and what is rejected."""

import math

import numpy as np
import pytest

import nn
from autograd import Value
from nn import Module


def numbers(values):
    return [value.data for value in values]


class Point(Module):
    """Two parameters, one of them in a dict."""

    def __init__(self):
        self.x, self.rest = Value(0.5), {"y": Value(-1.0)}


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


@pytest.mark.parametrize("limit", [-1.0, math.nan, -math.inf])
def test_a_limit_out_of_range_changes_no_gradient(limit):
    value = Value(1.0)
    value.grad = 5.0
    with pytest.raises(ValueError, match="max_norm"):
        nn.clip_grad_norm([value], limit)
    assert value.grad == 5.0


def test_a_limit_of_several_numbers_is_a_type_error():
    with pytest.raises(TypeError, match=r"max_norm must be a number or a Value, not array\("):
        nn.clip_grad_norm([Value(1.0)], np.ones(2))


@pytest.mark.parametrize("limit", [True, np.False_])
def test_a_bool_is_not_a_limit(limit):
    with pytest.raises(TypeError, match=f"max_norm must be a number or a Value, not {limit!r}"):
        nn.clip_grad_norm([Value(1.0)], limit)


def test_clipping_nothing_is_a_value_error():
    with pytest.raises(ValueError, match="no gradients"):
        nn.clip_grad_norm([], 1.0)


def with_gradients(gradients):
    values = [Value(1.0) for _ in gradients]
    for value, gradient in zip(values, gradients, strict=True):
        value.grad = gradient
    return values


@pytest.mark.parametrize("clip", [nn.clip_grad_norm, nn.clip_grad_value])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_error_names_the_first_gradient_that_is_not_finite(clip, bad):
    values = with_gradients([1.0, bad, math.inf])
    values[1].label = "slope"
    model = nn.Sequential(Point(), Point())
    model.parts[1].rest["y"].grad = bad
    for parameters, name in (
        (values, "slope"),
        (with_gradients([0.0, 0.0, bad]), r"parameters\[2\]"),
        (model, r"parts\.1\.rest\.y"),
        (model.parameters(), r"parts\.1\.rest\.y"),
        ([model.parts[1]], r"rest\.y"),
    ):
        with pytest.raises(
            FloatingPointError, match=rf"{clip.__name__}: the gradient of {name} is"
        ):
            clip(parameters, 1.0)
    assert [repr(value.grad) for value in values] == ["1.0", repr(bad), "inf"]


def test_a_norm_that_is_too_large_for_a_float_is_an_error():
    values = with_gradients([1e200, 1.0])
    with pytest.raises(FloatingPointError, match=r"norm of the gradients is inf.*squares"):
        nn.clip_grad_norm(values, 1.0)
    nn.clip_grad_value(values, 2.0)
    assert [value.grad for value in values] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("gradients", "norm", "clipped"),
    [
        ([math.nan, 1.0], math.nan, [math.nan, math.nan]),
        ([math.inf, 1.0], math.inf, [math.nan, 0.0]),
        ([1.0, -math.inf, 2.0], math.inf, [0.0, math.nan, 0.0]),
    ],
)
def test_without_error_if_nonfinite_gradients_become_those_of_pytorch(gradients, norm, clipped):
    values = with_gradients(gradients)
    found = nn.clip_grad_norm(values, 1.0, error_if_nonfinite=False)
    assert repr(found.data) == repr(norm)
    assert repr([value.grad for value in values]) == repr(clipped)


def test_clip_grad_value_clips_each_gradient_to_the_limit():
    values = with_gradients([3.0, -0.5, -4.0, 1.0, 0.0])
    assert nn.clip_grad_value(values, 1.0) is None
    assert [value.grad for value in values] == [1.0, -0.5, -1.0, 1.0, 0.0]
    assert numbers(values) == [1.0] * 5
    values = with_gradients([math.nan, 3.0, -math.inf])
    nn.clip_grad_value(values, 1.0, error_if_nonfinite=False)
    assert repr([value.grad for value in values]) == "[nan, 1.0, -1.0]"


@pytest.mark.parametrize("limit", [-1.0, math.nan, math.inf])
def test_clip_grad_value_with_a_limit_out_of_range_changes_no_gradient(limit):
    values = with_gradients([5.0])
    with pytest.raises(ValueError, match=r"limit must be (0 or more|finite)"):
        nn.clip_grad_value(values, limit)
    assert values[0].grad == 5.0
    with pytest.raises(ValueError, match="no gradients"):
        nn.clip_grad_value([], 1.0)


@pytest.mark.parametrize("clip", [nn.clip_grad_norm, nn.clip_grad_value])
@pytest.mark.parametrize("limit", [np.uint8(2), np.array(2, np.uint8), np.float32(0.1)])
def test_a_limit_of_any_number_type_acts_like_a_float(clip, limit):
    found = []
    for number in (limit, float(limit)):
        point = Point()
        point.x.grad, point.rest["y"].grad = -3.0, 1.5
        clip(point, number)
        found.append([p.grad for p in point.parameters()])
    assert found[0] == found[1]


def test_an_infinite_limit_only_measures_the_norm():
    values = with_gradients([3.0, -4.0])
    for limit in (math.inf, float("inf"), np.float64("inf")):
        assert nn.clip_grad_norm(values, limit).data == 5.0
        assert [value.grad for value in values] == [3.0, -4.0]
    with pytest.raises(FloatingPointError, match="is nan"):
        nn.clip_grad_norm(with_gradients([math.nan]), math.inf)
    with pytest.raises(ValueError, match="limit must be finite, not inf"):
        nn.clip_grad_value(values, math.inf)


@pytest.mark.parametrize("clip", [nn.clip_grad_norm, nn.clip_grad_value])
def test_a_gradient_that_is_none_is_named(clip):
    values = with_gradients([3.0, None, 1.0])
    with pytest.raises(TypeError, match=r"gradient of parameters\[1\] is None.*p.grad = 0.0"):
        clip(values, 1.0)
    assert values[0].grad == 3.0
    values[1].label = "w"
    with pytest.raises(TypeError, match="gradient of w is None"):
        clip(values, 1.0)
    model = Point()
    model.rest["y"].grad = None
    with pytest.raises(TypeError, match=r"gradient of rest\.y is None"):
        clip(model, 1.0)


@pytest.mark.parametrize("clip", [nn.clip_grad_norm, nn.clip_grad_value])
def test_a_third_positional_argument_is_rejected(clip):
    with pytest.raises(TypeError, match="positional"):
        clip(with_gradients([1.0]), 1.0, 2.0)  # the norm_type of other libraries
