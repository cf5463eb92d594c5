"""What a library asks of a recording gives eagerly and in a replay the same numbers and errors."""

import pytest

from autograd import Value, hooks
from autograd.jit import jit
from autograd.ops import greater


def too_small():
    return ValueError("too small")


@pytest.mark.parametrize("condition", [0, 0.0, -0.0, False])
def test_a_condition_of_0_raises_the_error(condition):
    with pytest.raises(ValueError, match="too small"):
        hooks.require(condition, too_small)
    hooks.require(condition)  # whoever gives no error raises one of its own


@pytest.mark.parametrize("condition", [1, 0.5, Value(1.0), Value(0.0)])
def test_other_numbers_and_values_are_taken_as_they_are(condition):
    hooks.require(condition, too_small)


@pytest.mark.parametrize("backend", ["numpy", None])
def test_a_replay_raises_the_error_of_the_eager_call(backend):
    w = Value(2.0)

    def moved(x):
        hooks.require(greater(x, 0.0), too_small)
        hooks.require(greater(hooks.number_of(w), 1.0), lambda: ValueError(f"w is {w.data}"))
        w.assign(w * x)
        return w * x

    replayed = jit(moved, backend=backend)
    assert [replayed(3.0).data for _ in range(2)] == [18.0, 54.0]
    with pytest.raises(ValueError, match="too small"):
        replayed(-1.0)
    assert w.data == 18.0
    assert replayed(0.03125).data == 0.017578125
    with pytest.raises(ValueError, match=r"w is 0\.5625"):
        replayed(3.0)
    assert w.data == 0.5625


def test_no_gradient_flows_through_the_number_of_a_value():
    def slope(x):
        x = Value(x)
        (x * hooks.number_of(x)).backward()
        return x.grad

    assert slope(3.0) == jit(slope)(3.0) == 3.0
    assert [type(hooks.number_of(number)) for number in (Value(3.0), 3, 3.0)] == [float] * 3
