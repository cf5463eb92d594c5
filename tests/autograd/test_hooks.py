"""Do the hooks for libraries give the same numbers and errors eagerly and in a replay?"""

import random
from queue import SimpleQueue

import pytest

from autograd import Value, hooks
from autograd.context import current, entered
from autograd.eager import Eager
from autograd.jit import jit
from autograd.ops import greater


def too_small():
    return ValueError("too small")


@pytest.mark.parametrize("condition", [0, 0.0, -0.0, False])
def test_a_condition_of_0_raises_the_error(condition):
    with pytest.raises(ValueError, match="too small"):
        hooks.require(condition, too_small)
    hooks.require(condition)  # without `otherwise`, the caller raises its own error


@pytest.mark.parametrize("condition", [1, 0.5, Value(1.0), Value(0.0)])
def test_other_numbers_and_all_values_pass(condition):
    hooks.require(condition, too_small)


def test_a_recorded_condition_of_0_raises_the_error():
    class Recorded:
        def __init__(self, number):
            self.number, self.tape = number, Recording.tape

    class Recording(hooks.Hooks):
        tape = object()

        def demand(self, condition):
            return condition.number

    interpreter = Eager()
    interpreter.hooks = Recording()
    with entered(current, current.get().under(interpreter)):
        hooks.require(Recorded(1.0), too_small)
        hooks.require(Recorded(0.0))
        with pytest.raises(ValueError, match="too small"):
            hooks.require(Recorded(0.0), too_small)


@pytest.mark.parametrize("backend", ["numpy", None])
def test_a_replay_raises_the_error_of_the_eager_call(backend):
    w = Value(2.0)

    def moved(x):
        hooks.require(greater(x, 0.0), too_small)
        hooks.require(greater(hooks.number_of(w), 1.0), lambda: ValueError(f"w is {w.data}"))
        w.assign(w * x)
        return w * x

    replayed = jit(moved, backend=backend)
    for _ in range(2):
        for _ in range(4):
            assert replayed(1.0).data == w.data
        w.data = 2.0
        assert [replayed(3.0).data for _ in range(2)] == [18.0, 54.0]
        with pytest.raises(ValueError, match="too small"):
            replayed(-1.0)
        assert w.data == 18.0
        assert replayed(0.03125).data == 0.017578125
        with pytest.raises(ValueError, match=r"w is 0\.5625"):
            replayed(3.0)
        assert w.data == 0.5625
        w.data = 2.0
    (program,) = replayed.programs
    assert program.unsure >= 4


def test_no_gradient_flows_through_the_number_of_a_value():
    def slope(x):
        x = Value(x)
        (x * hooks.number_of(x)).backward()
        return x.grad

    replayed = jit(slope)
    assert [slope(3.0), *[replayed(3.0) for _ in range(4)]] == [3.0] * 5
    assert [type(hooks.number_of(number)) for number in (Value(3.0), 3, 3.0)] == [float] * 3


@pytest.mark.parametrize("number", [1, 1.5, Value(1.0), None, "text", True])
def test_nothing_is_recorded_outside_a_recording(number):
    assert not hooks.is_recorded(number)


def test_arguments_gradients_and_draws_are_recorded_numbers_but_results_are_not():
    w, found = Value(2.0), SimpleQueue()

    def step(x):
        loss = w * x
        loss.backward()
        things = {
            "argument": x,
            "number": x * 2.0,
            "gradient": w.grad,
            "draw": hooks.varying(lambda: 0.5),
            "of a Value": hooks.number_of(w),
            "leaf": w,
            "result": loss,
            "constant": 1.0,
        }
        if hooks.is_recording():
            found.put({name: hooks.is_recorded(thing) for name, thing in things.items()})
        return loss

    replayed = jit(step)
    for _ in range(3):
        replayed(3.0)
    numbers = ("argument", "number", "gradient", "draw", "of a Value")
    recorded = found.get_nowait()
    assert {name for name, is_recorded in recorded.items() if is_recorded} == set(numbers)
    assert len(recorded) == 8


def test_draws_are_listed_with_key_and_stream_on_request():
    stream = random.Random(1)
    expected = random.Random(1)
    noted = []
    with entered(hooks.draws, noted):
        first = hooks.varying(stream.random, stream=lambda: stream)
        rate = hooks.varying(lambda: 0.1, key="lr")
    assert hooks.varying(stream.random) not in (first, rate)
    assert [found[:2] for found in noted] == [(None, expected.random()), ("lr", 0.1)]
    assert first == noted[0][1]
    assert noted[0][2]() is stream
    assert noted[1][2] is None


def test_checking_and_listing_draws_are_off_by_default():
    assert hooks.checking.get() is False
    assert hooks.draws.get() is None
