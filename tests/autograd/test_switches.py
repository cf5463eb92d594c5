"""Where do no_grad and detect_anomaly hold, and which other code is affected?"""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import ExitStack, nullcontext

import numpy as np
import pytest

from autograd import Primitive, Value, detect_anomaly, grad, no_grad, steps
from autograd.ops import power
from autograd.value import constant
from nn import MLP, Module


def recorded() -> bool:
    return (Value(2.0) * 3).parents != ()


def checked() -> bool:
    try:
        Value(1e308) * 10
    except FloatingPointError:
        return True
    return False


# --- no_grad --------------------------------------------------------------------------------------


def test_no_grad_makes_leaves_with_the_same_numbers() -> None:
    x = Value(3.0)
    with no_grad():
        y = x * x + x.exp()
    assert (y.data, y.op, y.parents) == (9.0 + math.exp(3.0), "", ())
    y.backward()
    assert (x.grad, y.grad) == (0.0, 1.0)


def test_a_result_computed_under_no_grad_belongs_to_no_module() -> None:
    """Like any leaf: it must not keep the module alive."""
    with no_grad():
        output = MLP(1, [1], ["tanh"])([1.0])
    assert (output.context.owner, output.context.path()) == (None, "")


def test_an_existing_graph_can_be_differentiated_inside_no_grad() -> None:
    x = Value(3.0)
    y = x * x
    with no_grad():
        y.backward()
        assert x.grad == 6.0
        assert grad(y, [x])[0].data == 6.0


def test_no_grad_nests_and_ends() -> None:
    with no_grad():
        with no_grad():
            assert not recorded()
        assert not recorded()
    assert recorded()


def test_a_switch_can_be_reused_and_nested_in_itself() -> None:
    switch = no_grad()
    with switch, switch:
        assert not recorded()
    assert recorded()
    with switch:
        assert not recorded()
    assert recorded()


def test_no_grad_ends_when_an_exception_passes() -> None:
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert recorded()


def test_no_grad_decorates_functions() -> None:
    @no_grad()
    def evaluate(x: Value, *, scale: float = 1.0) -> Value:
        """Doc."""
        if scale == 0.0:
            raise ZeroDivisionError
        return x * scale

    assert (evaluate.__name__, evaluate.__doc__) == ("evaluate", "Doc.")
    assert evaluate(Value(2.0), scale=4.0).data == 8.0
    assert evaluate(Value(2.0)).parents == ()
    with pytest.raises(ZeroDivisionError):
        evaluate(Value(2.0), scale=0.0)
    assert recorded()


def test_no_grad_decorates_a_function_that_calls_itself() -> None:
    @no_grad()
    def power(x: Value, n: int) -> Value:
        return x * power(x, n - 1) if n > 1 else x * 1

    y = power(Value(2.0), 5)
    assert (y.data, y.parents) == (32.0, ())
    assert recorded()


def test_no_grad_decorates_coroutines() -> None:
    @no_grad()
    async def evaluate() -> bool:
        await asyncio.sleep(0)
        return recorded()

    async def main() -> tuple[bool, bool, bool]:
        task = asyncio.create_task(evaluate())
        await asyncio.sleep(0)
        during = recorded()  # evaluate() is suspended inside its no_grad
        return await task, during, recorded()

    assert asyncio.run(main()) == (False, True, True)


def test_tasks_do_not_see_each_others_no_grad() -> None:
    async def worker(switched: bool, meet: asyncio.Barrier) -> list[bool]:
        seen = []
        if switched:
            with no_grad():
                for _ in range(3):
                    await meet.wait()
                    seen.append(recorded())
        else:
            for _ in range(3):
                await meet.wait()
                seen.append(recorded())
        return seen

    async def main() -> list[list[bool]]:
        meet = asyncio.Barrier(4)
        return await asyncio.gather(*[worker(i % 2 == 0, meet) for i in range(4)])

    assert asyncio.run(main()) == [[False] * 3, [True] * 3] * 2


def test_a_task_starts_in_the_mode_it_was_created_in() -> None:
    async def ask() -> bool:
        return recorded()

    async def main() -> bool:
        with no_grad():
            task = asyncio.create_task(ask())
        return await task

    assert asyncio.run(main()) is False


def test_threads_do_not_see_each_others_no_grad() -> None:
    meet = threading.Barrier(2, timeout=60)
    seen = {}

    def switched() -> None:
        with no_grad():
            meet.wait()
            seen["inside"] = recorded()
            meet.wait()

    thread = threading.Thread(target=switched)
    thread.start()
    meet.wait()
    seen["outside"] = recorded()
    meet.wait()
    thread.join()
    assert seen == {"inside": False, "outside": True}


def test_a_shared_decorated_function_is_safe_in_many_threads() -> None:
    @no_grad()
    def inside(meet: threading.Barrier) -> bool:
        meet.wait()
        return recorded()

    meet = threading.Barrier(4, timeout=60)
    results = []
    after = []

    def worker() -> None:
        results.append(inside(meet))
        after.append(recorded())

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results, after) == ([False] * 4, [True] * 4)


def test_backward_passes_in_many_threads_do_not_disturb_each_other() -> None:
    """Each thread differentiates its own graph and one that all threads share."""
    shared = Value(1.5)
    product = shared
    for _ in range(200):
        product = product * 1.01 + shared * 0.01
    expected = grad(product, [shared])[0].data
    wrong = []

    def worker(k: int) -> None:
        for _ in range(20):
            x = Value(float(k))
            y = x
            for _ in range(200):
                y = y + x
            y.backward()
            if x.grad != 201.0 or grad(product, [shared])[0].data != expected:
                wrong.append(k)

    threads = [threading.Thread(target=worker, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("switch", [no_grad, detect_anomaly])
def test_the_error_for_a_decorator_without_parentheses_shows_them(switch: type[no_grad]) -> None:
    name = switch.__name__
    with pytest.raises(
        TypeError, match=rf"^{name}\(\) takes no arguments: write @{name}\(\) above"
    ):

        @switch
        def function() -> None:
            pass


@pytest.mark.parametrize("switch", [no_grad, detect_anomaly])
def test_generator_functions_are_rejected(switch: type[no_grad]) -> None:
    def numbers():
        yield 1

    async def async_numbers():
        yield 1

    for function in (numbers, async_numbers):
        with pytest.raises(TypeError) as caught:
            switch()(function)
        name = switch.__name__
        assert str(caught.value) == (
            f"{name}() cannot decorate the generator {function.__name__}: other code runs at each"
            f" yield; write `with {name}():` inside it"
        )


# --- detect_anomaly -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float64, Value])
@pytest.mark.parametrize("checked", [False, True])
def test_rules_run_once_and_may_return_numpy_scalars_and_values(checked: bool, kind) -> None:
    calls = []
    rule = Primitive("sine", math.sin, lambda out, x: calls.append(x) or kind(math.cos(x)))
    x = Value(1.0)
    y = rule(x) * 2.0
    with detect_anomaly() if checked else nullcontext():
        y.backward()
        assert calls == [1.0]
        assert x.grad == 2.0 * math.cos(1.0)
        (slope,) = grad(y, [x])
        assert slope.data == x.grad
        assert slope.parents == ()


def test_anomalies_are_ignored_outside_detect_anomaly() -> None:
    assert (Value(1e308) * 10).data == math.inf


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: Value(1e308, "big") * 10, "mul(big = 1e+308, 10.0) gave inf"),
        (lambda: -1e308 - Value(1e308), "sub(-1e+308, 1e+308) gave -inf"),
        (lambda: Value(math.inf, "p") - Value(math.inf, "q"), "sub(p = inf, q = inf) gave nan"),
        (lambda: Value(math.nan, "n").tanh(), "tanh(n = nan) gave nan"),
        (lambda: 1 / Value(5e-324), "div(1.0, 5e-324) gave inf"),
    ],
)
def test_the_first_anomaly_of_a_forward_pass_is_named(compute, message: str) -> None:
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        compute()
    assert str(caught.value) == message
    assert not checked()


def test_detect_anomaly_does_not_change_domain_errors() -> None:
    with detect_anomaly(), pytest.raises(ZeroDivisionError, match=r"^div\(1.0, 0.0\)"):
        1 / Value(0.0)


def test_an_anomaly_of_a_backward_pass_is_named_and_changes_no_gradient() -> None:
    """The slope of log at the smallest float is 2e323."""
    a, x = Value(3.0), Value(5e-324, label="x")
    log = x.log()
    output = a * a + log
    nodes = (a, x, log, output)
    for i, node in enumerate(nodes, start=1):
        node.grad = float(i)
    message = r"^backward of log\(x = 5e-324\) gave inf for operand 0$"
    with detect_anomaly():
        with pytest.raises(FloatingPointError, match=message):
            output.backward()
        with pytest.raises(FloatingPointError, match=message):
            grad(output, [x])
    assert [node.grad for node in nodes] == [1.0, 2.0, 3.0, 4.0]
    output.backward()  # outside detect_anomaly nothing is checked
    assert (a.grad, x.grad) == (7.0, math.inf)


def test_backward_inside_detect_anomaly_gives_the_same_gradients() -> None:
    def gradients() -> list[float]:
        x, y = Value(0.7), Value(-1.3)
        z = (x * y + x.sin()) / (y * y + 1)
        for _ in range(2):
            (z * z).backward()
        return [x.grad, y.grad, z.grad]

    plain = gradients()
    with detect_anomaly():
        assert gradients() == plain


def test_detect_anomaly_does_not_run_the_rule_of_a_plain_number() -> None:
    """The slope of x ** y by y is nan for a negative x."""
    x = Value(-2.0)
    with detect_anomaly():
        power(x, 3.0).backward()
        constant(2.0).backward()
    assert x.grad == 12.0


def test_steps_are_the_same_inside_detect_anomaly() -> None:
    x = Value(3.0, label="x")
    expected = steps(x * x + x).table()
    with detect_anomaly():
        assert steps(x * x + x).table() == expected


def test_detect_anomaly_may_be_nested_deeply() -> None:
    """As in a decorated function that calls itself."""
    with ExitStack() as stack:
        for _ in range(5_000):
            stack.enter_context(detect_anomaly())
        assert checked()


def test_an_anomaly_in_a_network_names_the_module_and_changes_no_gradient() -> None:
    model = MLP(2, [3, 1])
    model.layers[0].neurons[1].w[0].data = math.nan
    model.layers[0].neurons[1].w[0].label = "w"
    for parameter in model.parameters():
        parameter.grad = 0.5
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        model([1.0, 2.0]).backward()
    assert "mul(w = nan, 1.0) gave nan" in str(caught.value)
    assert str(caught.value).endswith(", in MLP.layers.0.neurons.1")
    assert all(parameter.grad == 0.5 for parameter in model.parameters())


def test_an_anomaly_of_a_backward_pass_names_the_module_of_the_forward_call() -> None:
    model = MLP(1, [1])
    model.layers[0].neurons[0].w[0].data = 1e200
    x = Value(1e-200, label="x")
    output = model([x]) * 1e200  # finite; its slope by x is 1e400
    with (
        detect_anomaly(),
        pytest.raises(FloatingPointError, match=r"backward of mul\(.*\) gave inf.*neurons\.0$"),
    ):
        output.backward()
    assert x.grad == 0.0


@pytest.mark.parametrize("switch", [no_grad, detect_anomaly])
def test_a_switch_inside_a_module_keeps_the_modules_name(switch: type[no_grad]) -> None:
    class Scale(Module):
        def __call__(self, x: Value) -> Value:
            with switch():
                return x * 1e308

    with pytest.raises(FloatingPointError, match=r"gave inf, in Scale$"), detect_anomaly():
        Scale()(Value(10.0))


def test_detect_anomaly_and_no_grad_combine_in_either_order() -> None:
    with detect_anomaly(), no_grad():
        assert checked()
        assert not recorded()
    with no_grad(), detect_anomaly():
        assert checked()
        assert not recorded()
    assert not checked()


def test_detect_anomaly_decorates_functions() -> None:
    @detect_anomaly()
    def overflow(x: Value) -> Value:
        return x * 1e308

    with pytest.raises(FloatingPointError, match=r"^mul\(v = 10.0, 1e\+308\) gave inf$"):
        overflow(Value(10.0, "v"))
    assert not checked()
