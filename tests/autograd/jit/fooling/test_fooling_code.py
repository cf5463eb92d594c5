"""Programs that look up, import, execute and replace code while they run."""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import sys
import types
from typing import Any

import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, numbers, programs

import nn
from autograd import Value

SCALE = 2.0
SCALES = {"small": 0.5, "large": 4.0}


def helper(x: Any) -> Any:
    return x * SCALE


def module_of(source: str, name: str) -> types.ModuleType:
    """A new module, added to sys.modules."""
    module = types.ModuleType(name)
    exec(source, vars(module))
    sys.modules[name] = module
    return module


def forget(name: str) -> Any:
    return lambda: sys.modules.pop(name, None)


# --- imports --------------------------------------------------------------------------------------


@fooling("imports", "equal")
def imports_inside() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        from operator import mul

        import nn

        return nn.tanh(mul(w, x))

    return Case(step)


@fooling("imports", "equal")
def reads_a_module_imported_inside() -> Case:
    module = module_of("rate = 0.5", "fooling_settings")
    w = Value(2.0)

    def step(x: float) -> Any:
        import fooling_settings  # type: ignore[import-not-found]

        return w * x * fooling_settings.rate

    def change(call: int) -> None:
        if call == 5:
            module.rate = 3.0  # type: ignore[attr-defined]

    return Case(step, between=change, close=forget("fooling_settings"))


@fooling("imports", "loud")
def counts_in_a_module_imported_inside() -> Case:
    source = "n = 0\ndef tick():\n    global n\n    n += 1\n    return n"
    module = module_of(source, "fooling_clock")
    w = Value(2.0)

    def step(x: float) -> Any:
        import fooling_clock  # type: ignore[import-not-found]

        return w * x / fooling_clock.tick()

    return Case(step, observe=lambda: module.n, close=forget("fooling_clock"))


@fooling("imports", "equal")
def finds_a_module_in_sys_modules() -> Case:
    module_of("rate = 0.5", "fooling_rates")
    w = Value(2.0)

    def change(call: int) -> None:
        if call == 5:
            module_of("rate = 0.25", "fooling_rates")

    return Case(
        lambda x: w * x * sys.modules["fooling_rates"].rate,
        between=change,
        close=forget("fooling_rates"),
    )


@fooling("imports", "loud")
def imports_by_a_computed_name() -> Case:
    module = module_of("rate = 0.5", "fooling_computed")
    w = Value(2.0)

    def change(call: int) -> None:
        if call == 6:
            vars(module)["rate"] = 1.5

    return Case(
        lambda x: w * x * importlib.import_module("_".join(["fooling", "computed"])).rate,
        between=change,
        close=forget("fooling_computed"),
    )


@fooling("imports", "equal")
def a_module_is_executed_again() -> Case:
    module = module_of("def scaled(z):\n    return z * 2.0", "fooling_reloaded")
    w = Value(2.0)

    def change(call: int) -> None:
        if call == 5:
            exec("def scaled(z):\n    return z * 3.0", vars(module))

    return Case(lambda x: module.scaled(w * x), between=change, close=forget("fooling_reloaded"))


# --- computed names -------------------------------------------------------------------------------


@fooling("names", "loud")
def reads_by_getattr_with_a_computed_name() -> Case:
    class Settings:
        rate_train = 0.5
        rate_test = 0.25

    w, settings = Value(2.0), Settings()

    def change(call: int) -> None:
        if call == 5:
            Settings.rate_train = 0.125

    return Case(lambda x: w * x * getattr(settings, "_".join(["rate", "train"])), between=change)


@fooling("names", "loud")
def counts_by_setattr_with_a_computed_name() -> Case:
    state = types.SimpleNamespace(step_0=0)
    w = Value(2.0)

    def step(x: float) -> Any:
        for i in range(1):
            setattr(state, f"step_{i}", getattr(state, f"step_{i}") + 1)
        return w * x

    return Case(step, observe=lambda: state)


@fooling("names", "loud")
def reads_globals_by_name() -> Case:
    global SCALE
    SCALE = 2.0
    w = Value(2.0)

    def change(call: int) -> None:
        global SCALE
        if call == 5:
            SCALE = 0.5

    return Case(lambda x: w * x * globals()["SCA" + "LE"], between=change)


@fooling("names", "equal")
def a_global_of_a_helper_changes() -> Case:
    global SCALE
    SCALE = 2.0
    w = Value(2.0)

    def change(call: int) -> None:
        global SCALE
        if call == 5:
            SCALE = 0.5

    return Case(lambda x: helper(w * x), between=change)


@fooling("names", "loud")
def counts_through_globals() -> Case:
    globals()["TICKS"] = 0
    w = Value(2.0)

    def step(x: float) -> Any:
        globals()["TICKS"] += 1
        return w * x

    return Case(step, observe=lambda: globals()["TICKS"])


@fooling("names", "equal")
def an_attribute_getter_reads_a_setting() -> Case:
    w, config = Value(2.0), types.SimpleNamespace(optim=types.SimpleNamespace(lr=0.5))
    lr = operator.attrgetter("optim.lr")

    def change(call: int) -> None:
        if call == 5:
            config.optim.lr = 2.0

    return Case(lambda x: w * x * lr(config), between=change)


@fooling("names", "equal")
def a_method_caller_reads_a_setting() -> Case:
    class Schedule:
        _rate = 0.5

        def rate(self) -> float:
            return self._rate

    w, schedule = Value(2.0), Schedule()
    rate = operator.methodcaller("rate")

    def change(call: int) -> None:
        if call == 5:
            schedule._rate = 2.0

    return Case(lambda x: w * x * rate(schedule), between=change)


@fooling("names", "equal")
def evaluates_an_expression() -> Case:
    w, settings = Value(2.0), {"text": "w * x + 1.0"}

    def change(call: int) -> None:
        if call == 5:
            settings.update(text="w * x - 1.0")

    return Case(lambda x: eval(settings.get("te" + "xt", "0"), {"w": w, "x": x}), between=change)


@fooling("names", "loud")
def executes_code_that_keeps_a_count() -> Case:
    space: dict[str, Any] = {"n": 0, "w": Value(2.0), "x": 0.0}
    code = compile("n += 1\nscale = 1.0 / n", "<count>", "exec")

    def step(x: float) -> Any:
        exec(code, space)
        return space["w"] * x * space["scale"]

    return Case(step, observe=lambda: space["n"])


@fooling("names", "equal")
def reads_its_own_parameters_by_name() -> Case:
    w = Value(2.0)

    def step(x: float, y: float = 0.5) -> Any:
        names = inspect.signature(step).parameters
        return sum((locals_ * w for locals_ in (x, y)), Value(0.0)) * len(names)

    return Case(step)


# --- functions created or replaced ----------------------------------------------------------------


@fooling("functions", "equal")
def makes_closures_in_each_call() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        layers = [(lambda z, i=i: z * (i + 1.0)) for i in range(3)]
        return functools.reduce(lambda z, f: f(z), layers, w * x)

    return Case(step)


@fooling("functions", "equal")
def a_function_in_a_cell_is_replaced() -> Case:
    w = Value(2.0)

    def activation(z: Any) -> Any:
        return z.tanh()

    def change(call: int) -> None:
        nonlocal activation
        if call == 5:
            activation = lambda z: z.relu()  # noqa: E731

    return Case(lambda x: activation(w * x), between=change)


@fooling("functions", "equal")
def the_code_of_a_function_is_replaced() -> Case:
    w = Value(2.0)

    def activation(z: Any) -> Any:
        return z.tanh()

    def other(z: Any) -> Any:
        return z * 0.1

    def change(call: int) -> None:
        if call == 5:
            activation.__code__ = other.__code__

    return Case(lambda x: activation(w * x), between=change)


@fooling("functions", "equal")
def the_code_of_the_wrapper_of_a_modules_call_is_replaced() -> Case:
    """IPython's %autoreload gives the wrapper that nn makes the code of an edited method."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            self.w = Value(2.0)

        def __call__(self, x: Any) -> Any:
            return self.w * x

    call = current = enter = leave = None  # as many free variables as the wrapper has

    def edited(self: Any, x: Any) -> Any:
        _ = call, current, enter, leave
        return self.w * x * 0.1

    def change(number: int) -> None:
        if number == 5:
            vars(Scale)["__call__"].__code__ = edited.__code__

    model = Scale()
    return Case(lambda x: model(x).tanh(), between=change)


@fooling("functions", "equal")
def the_defaults_of_a_function_are_replaced() -> Case:
    w = Value(2.0)

    def scaled(z: Any, by: float = 2.0) -> Any:
        return z * by

    def change(call: int) -> None:
        if call == 5:
            scaled.__defaults__ = (0.5,)

    return Case(lambda x: scaled(w * x), between=change)


@fooling("functions", "equal")
def the_keyword_defaults_of_a_function_are_replaced() -> Case:
    w = Value(2.0)

    def scaled(z: Any, *, by: float = 2.0) -> Any:
        return z * by

    def change(call: int) -> None:
        if call == 5:
            scaled.__kwdefaults__ = {"by": 0.5}

    return Case(lambda x: scaled(w * x), between=change)


@fooling("functions", "loud")
def a_closure_made_by_a_factory_counts() -> Case:
    def counter() -> Any:
        n = 0

        def tick() -> int:
            nonlocal n
            n += 1
            return n

        return tick

    w, tick = Value(2.0), counter()
    return Case(lambda x: w * x * tick())


@fooling("functions", "equal")
def a_lambda_is_passed() -> Case:
    w = Value(2.0)
    relu = lambda z: z.relu()  # noqa: E731
    tanh = lambda z: z.tanh()  # noqa: E731
    calls = [(x, tanh if i % 5 == 4 else relu) for i, (x,) in enumerate(numbers())]
    return Case(lambda x, f: f(w * x), calls=calls)


@fooling("functions", "loud")
def a_passed_function_counts() -> Case:
    w, calls = Value(2.0), [0]

    def scaled(z: Any) -> Any:
        calls[0] += 1
        return z * calls[0]

    return Case(lambda x, f: f(w * x), calls=[(x, scaled) for (x,) in numbers()])


@fooling("functions", "equal")
def a_partial_is_changed() -> Case:
    w = Value(2.0)
    options = {"by": 2.0}
    scaled = functools.partial(lambda z, options: z * options["by"], options=options)

    def change(call: int) -> None:
        if call == 5:
            options["by"] = 0.25

    return Case(lambda x: scaled(w * x), between=change)


@fooling("functions", "equal")
def a_bound_method_is_jitted() -> Case:
    class Model:
        def __init__(self) -> None:
            self.w, self.lr = Value(2.0), 0.1

        def step(self, x: float) -> Any:
            loss = (self.w * x - 1.0) ** 2
            self.w.grad = 0.0
            loss.backward()
            self.w.assign(self.w - self.lr * self.w.grad)
            return loss

    model = Model()

    def change(call: int) -> None:
        if call == 5:
            model.lr = 0.01

    return Case(model.step, between=change, observe=lambda: model)


@fooling("functions", "equal")
def calls_itself() -> Case:
    w = Value(2.0)

    def horner(x: float, n: int) -> Any:
        return w if n == 0 else horner(x, n - 1) * x + n

    return Case(lambda x: horner(x, 6))


@fooling("functions", "loud")
def follows_the_recursion_limit() -> Case:
    w = Value(2.0)
    old = sys.getrecursionlimit()

    def change(call: int) -> None:
        if call == 5:
            sys.setrecursionlimit(old + 100)

    return Case(
        lambda x: w * x * (sys.getrecursionlimit() - old + 1),
        between=change,
        close=lambda: sys.setrecursionlimit(old),
    )


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
