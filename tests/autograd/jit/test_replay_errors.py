"""Does a replay that meets log(0), exp(1000) or 1/0 raise the eager error and change nothing?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from side_by_side import BACKENDS, comparable, same, shown, snapshot

import nn
from autograd import Primitive, Value, grad, hessian, no_grad, where
from autograd.jit import TraceError, jit
from nn.matrix import total

inf, nan = math.inf, math.nan


def picky(x: float) -> float:
    if x > 5.0:
        raise ValueError("too large for me")
    if x < -5.0:
        raise OverflowError
    if x == 5.0:
        raise KeyError("five")
    return x * 2.0


FAILING: dict[str, tuple[Callable[[Any], Any], float]] = {
    "log of 0": (lambda v: v.log(), 0.0),
    "log below 0": (lambda v: v.log(), -1.0),
    "log1p": (lambda v: v.log1p(), -1.0),
    "sqrt": (lambda v: v.sqrt(), -4.0),
    "slope of sqrt at 0": (lambda v: v.sqrt(), 0.0),
    "exp": (lambda v: (v * 1000.0).exp(), 1.0),
    "expm1": (lambda v: (v * 1000.0).expm1(), 1.0),
    "1 / 0": (lambda v: 1.0 / v, 0.0),
    "0 / 0": (lambda v: v / (v * 2.0), 0.0),
    "a power of 0": (lambda v: v**-1, 0.0),
    "a root of a negative number": (lambda v: v**0.5, -8.0),
    "a power too large": (lambda v: (v + 10.0) ** 400, 1.0),
    "a base below 0": (lambda v: v ** (v * 0.5), -1.0),
    "sin of infinity": (lambda v: (v * 1e308 * 10.0).sin(), 1.0),
    "ValueError of a user's primitive": (Primitive("picky", picky, 2.0), 7.0),
    "OverflowError of a user's primitive": (Primitive("picky", picky, 2.0), -7.0),
    "KeyError of a user's primitive": (Primitive("picky", picky, 2.0), 5.0),
    "slope of a user's primitive": (Primitive("odd", lambda x: x, lambda o, x: 1.0 / x), 0.0),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_replay_raises_the_eager_error(name: str) -> None:
    """In the middle of a step that has already assigned Values, in each kind of call."""
    operation, bad = FAILING[name]

    def make() -> tuple[Any, Any]:
        leaf, other = Value(0.5, "leaf"), Value(1.0, "other")
        rule = nn.Adam([leaf, other], lr=0.01)

        def step(x: float) -> Any:
            rule.zero_grad()
            (leaf * other).backward()
            rule.step()
            other.assign(other + 0.0, grad=x * 3.0)
            # Labels and module paths belong to the message.
            argument = where(1.0, x, leaf) + 0.0 * other
            argument.label = "argument"
            loss = operation(argument) * leaf
            loss.backward()
            rule.step()
            leaf.assign(leaf + x)
            return loss

        return step, [leaf, other, rule]

    good = 0.25
    same(make, (bad,), (good,), (bad,), (bad,), (good,), (-good,), (bad,), (good,))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_message_names_operation_label_and_module(backend: str) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            self.w = Value(1.0, "w")

        def __call__(self, x: Any) -> Any:
            return (self.w * x).log()

    model = nn.Sequential(nn.relu, Odd())
    run = jit(lambda x: model([x])[0] if x is None else model.parts[1](x), backend=backend)
    labelled = jit(lambda v: v.log(), backend=backend)
    for _ in range(4):
        run(1.0)
        with pytest.raises(ValueError, match=r"log\(0\.0\): it takes numbers above 0, in Odd"):
            run(0.0)
        labelled(Value(2.0))
        with pytest.raises(ValueError, match=r"^log\(rate = -1\.0\): it takes numbers above 0$"):
            labelled(Value(-1.0, "rate"))


def test_a_step_that_fails_leaves_state_moments_and_time_unchanged() -> None:
    """Training drives the operand of a logarithm below 0."""

    def make() -> tuple[Any, Any]:
        w = Value(1.0, "w")
        rule = nn.Adam([w], lr=0.3)

        def step(x: float) -> Any:
            loss = (w * x).log()
            rule.zero_grad()
            loss.backward()
            rule.step()
            return loss

        return step, [w, rule]

    seen = same(make, *[(1.0,)] * 6, (-1.0,), (1.0,))
    failed = [s[0][0] == "ValueError" for s in seen[1:]]
    assert failed[:6] == [False] * 4 + [True] * 2  # w is below 0: only (-1.0,) goes on from there
    assert failed.count(False) > 4


def test_an_error_leaves_values_among_the_arguments_unchanged() -> None:
    def function(v: Value, w: Value, x: float) -> Any:
        (v * w).backward()
        v.assign(v + 1.0)
        w.assign(grad=7.0)
        return (v * x).log()

    fresh = [lambda x=x: (Value(2.0, "v"), Value(3.0, "w"), x) for x in (1.0, 0.0, 1.0, -1.0, 2.0)]
    fresh *= 3
    for backend in BACKENDS:
        run = jit(function, backend=backend)
        for make in fresh:
            args = make()
            before = snapshot(list(args[:2]))
            if args[2] > 0.0:
                run(*args)
                continue
            with pytest.raises(ValueError, match="log"):
                run(*args)
            assert snapshot(list(args[:2])) == before


def test_an_error_before_dropout_uses_up_no_random_numbers() -> None:
    """Dropout comes after the operation that raises: eagerly nothing was drawn."""

    def stream(backend: str | None) -> list[Any]:
        nn.seed(4)
        layer, w = nn.Dropout(0.5), Value(1.0)

        def function(x: float) -> Any:
            return layer([(w * x).log()] * 6)

        run = function if backend is None else jit(function, backend=backend)
        seen = []
        for x in (1.0, 0.0, 2.0, -1.0, 3.0) * 3:
            try:
                seen.append(comparable(run(x)))
            except ValueError as error:
                seen.append(str(error))
        return seen

    assert stream("native") == stream(None)
    assert stream("numpy") == stream(None)


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyboardInterrupt])
@pytest.mark.parametrize("failing", range(5))
def test_an_error_after_a_draw_uses_up_the_numbers_in_every_kind_of_call(
    failing: int, error: type[BaseException]
) -> None:
    """An eager call, a recorded one, and one that a replay has to make eagerly."""
    w, switch = Value(1.0), [False]

    def function(x: float) -> Any:
        noisy = w * nn.gauss() * Value(x).log()
        if switch[0]:
            raise error
        return noisy

    def drawn(run: Any) -> list[Any]:
        nn.seed(4)
        seen = []
        for call in range(7):
            switch[0] = call == failing and error is not ValueError
            try:
                seen.append(
                    comparable(run(0.0 if call == failing and not switch[0] else 1.0 + call))
                )
            except error:
                seen.append(nn.rng.generator.getstate())
        return seen

    assert drawn(jit(function)) == drawn(function)


@pytest.mark.parametrize("order", ["rate first", "draws first", "draws between"])
def test_an_eager_run_in_place_of_a_replay_uses_the_same_dropout_masks(order: str) -> None:
    """An infinity makes the call eager; draws already made must be used in the same places."""

    def make() -> tuple[Any, Any]:
        w = Value(1.0)
        rule, layer = nn.SGD([w], lr=0.25), nn.Dropout(0.5)

        def function(x: float) -> Any:
            out = [layer([w * x] * 5)] if order != "rate first" else []
            w.grad = 1.0
            rule.step()
            if order != "draws first":
                out.append(layer([w * x] * 5))
            return out, w * x * 1e308 * 100.0

        return function, [w, rule]

    same(make, (1e-3,), (50.0,), (1e-3,), (60.0,), (1e-3,))


def test_draws_that_only_an_eager_run_makes() -> None:
    def make() -> tuple[Any, Any]:
        w, layer = Value(1.0), nn.Dropout(0.5)

        def function(x: float) -> Any:
            try:
                inner = (w * x).log()
            except ValueError:
                inner = total(layer([w] * 8))
            return layer([inner] * 4)

        return function, w

    same(make, (1.0,), (-1.0,), (2.0,), (-1.0,), (1.0,))


def test_an_error_that_the_function_catches_itself() -> None:
    def make() -> tuple[Any, Any]:
        w, misses = Value(1.0), Value(0.0)

        def function(x: float) -> Any:
            try:
                out = (w * x).log()
            except ValueError:
                misses.assign(misses + 1.0)
                out = w * 0.0
            w.grad = 0.0
            out.backward()
            return out

        return function, [w, misses]

    def inverse(x: float) -> Any:
        try:
            return Value(1.0) * (1.0 / x)
        except ZeroDivisionError:
            return Value(0.0)

    def cost(y: float) -> Any:
        try:
            return nn.hinge(Value(0.5), y)
        except ValueError:
            return Value(0.0)

    same(make, (1.0,), (-1.0,), (2.0,), (-1.0,), (1.0,))
    same(lambda: (inverse, []), (1.0,), (0.0,), (2.0,))
    same(lambda: (cost, []), (1.0,), (3.0,), (1.0,))
    same(lambda: (cost, []), (3.0,), (1.0,))


def test_an_error_in_an_unused_operation_is_raised() -> None:
    def make() -> tuple[Any, Any]:
        w = Value(2.0, "w")

        def function(x: float) -> Any:
            (w * x).log()
            return w * 2.0

        return function, w

    same(make, (1.0,), (0.0,), (2.0,))


def test_a_step_that_fails_before_the_recording_does_not_prevent_it() -> None:
    class Rule(nn.Optimizer):
        def prepare(self, time: Value) -> Value:
            return time * 2.0

        def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
            return parameter - self.lr * gradient**2 / self._shared

    def make() -> tuple[Any, Any]:
        rule = Rule([Value(1.0)], 0.1)
        return lambda gradient: rule.step([gradient]), rule

    same(make, (Value(1e200),), (Value(1.0),))


def test_an_error_in_a_constant_is_raised_in_each_call() -> None:
    for compute in (lambda w: Value(0.0, "zero").log() * w, lambda w: 1.0 / Value(0.0) * w):

        def make(compute: Any = compute) -> tuple[Any, Any]:
            w = Value(2.0, "w")
            return lambda x: compute(w) * x, w

        same(make, (1.0,), (2.0,))


def test_an_error_inside_a_nested_jitted_function() -> None:
    def make_with(wrap: Any) -> tuple[Any, Any]:
        w, layer = Value(1.0, "w"), nn.Dropout(0.5)
        inner = wrap(lambda x: total(layer([(w * x).log()] * 4)))

        def outer(x: float) -> Any:
            loss = inner(x)
            w.grad = 0.0
            loss.backward()
            w.assign(w - 0.01 * w.grad)
            return loss, w * x * 1e308 * 1e8

        return wrap(outer), w

    results = []
    for wrap in (lambda f: f, jit, lambda f: jit(f, backend="numpy")):
        nn.seed(2)
        run, w = make_with(wrap)
        seen = []
        for x in (1e-8, 1.0, 1e-9, -1.0, 1e-8, 0.0, 2.0) * 2:
            try:
                before = w.data, w.grad
                seen.append((comparable(run(x)), w.data, w.grad))
            except ValueError as error:
                w.data, w.grad = before
                seen.append(str(error))
            nn.seed(3)
        results.append(seen)
    assert results[1] == results[0]
    assert results[2] == results[0]


# --- non-finite numbers without an error ----------------------------------------------------------


def test_infinities_and_nans_that_do_not_raise() -> None:
    def make() -> tuple[Any, Any]:
        w = Value(1.0)

        def function(x: float, y: float) -> Any:
            big = w * x * y
            parts = [big, 1.0 / (1.0 + big * big), (-(big * big)).exp(), big.tanh(), big - big]
            parts += [where(big, w, big), big.sigmoid(), abs(big), big.relu(), big.erf()]
            w.grad = 0.0
            total(parts).backward()
            return parts

        return function, w

    same(make, (1.0, 2.0), (1e200, 1e200), (-1e200, 1e200), (inf, 0.0), (nan, 1.0), (3.0, -inf))


def test_an_infinite_slope_in_an_unselected_branch_is_harmless() -> None:
    def make() -> tuple[Any, Any]:
        w = Value(0.0, "w")

        def function(x: float) -> Any:
            safe = where(w * x, (w * x + where(w * x, 0.0, 1.0)).sqrt() * 0.0, w * x)
            rootless = (w * x * 0.0).sqrt().relu() * 0.0
            w.grad = 0.0
            (safe + rootless).backward()
            return safe, rootless

        return function, w

    same(make, (1.0,), (0.0,), (2.0,))


def powers() -> tuple[Any, Any]:
    """A step that trains x and w; the gradient of the exponent n is nan for x below 0."""
    x, n, w = Value(-2.0, "x"), Value(2.0, "n"), Value(0.5, "w")

    def step(t: float, s: float) -> Any:
        power = s * x**n
        loss = (power * w - t) ** 2 + (w * t).tanh()
        for v in (x, n, w):
            v.grad = 0.0
        loss.backward()
        for v in (x, w):
            v.assign(v - 0.01 * v.grad)
        return loss, power

    return step, [x, n, w]


def test_a_nan_gradient_is_replayed_like_any_other() -> None:
    seen = same(powers, (1.0, 1.0), (1.0, 1.0), (0.5, 2.0), replayed=True)
    assert all("nan" in gradients for _, (_, gradients, _), *_ in seen[1:])


def test_a_nan_gradient_may_be_multiplied_by_a_nan_slope() -> None:
    def make() -> tuple[Any, Any]:
        bases, n = [Value(-2.0), Value(-2.0)], Value(2.0)

        def step(t: float) -> Any:
            n.grad = 0.0
            (t * bases[0] ** (bases[1] ** n)).backward()

        return step, n

    seen = same(make, (1.0,), (2.0,), (3.0,), replayed=True)
    assert "nan" in seen[1][1][1]


def test_a_zero_gradient_is_not_multiplied_by_a_nan_slope() -> None:
    """A replay that multiplied both would give nan where the eager run gives 0."""
    seen = same(powers, (1.0, 1.0), (1.0, 0.0), (1.0, 1.0), replayed=True)
    assert "nan" in seen[1][1][1]
    assert "nan" not in seen[2][1][1]


@pytest.mark.parametrize("count", [1, 2])
def test_a_zero_gradient_ignores_an_infinite_slope(count: int) -> None:
    """A replay multiplies both, notices, and leaves the call to an eager run."""

    def make() -> tuple[Any, Any]:
        leaves = [Value(3.0) for _ in range(count)]

        def step(x: float) -> Any:
            loss = where(x - 1.0, total(leaves) * (x * 1e308 * 10.0), leaves[0] * 2.0)
            for leaf in leaves:
                leaf.grad = 0.0
            loss.backward()
            return loss

        return step, leaves

    seen = same(make, (1e-10,), (1.0,), (1e-10,))
    assert seen[2][1][1] == ["2.0", "0.0"][:count]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_primitive_that_is_wrongly_declared_total_still_raises(backend: str) -> None:
    root, w = Primitive("root", math.sqrt, 1.0, total=True), Value(1.0)
    run = jit(lambda x: setattr(w, "grad", root(x)), backend=backend, check="never")
    for _ in range(3):
        run(4.0)
    with pytest.raises(ValueError, match=r"math domain error|got -4.0"):
        run(-4.0)
    assert w.grad == 2.0


def test_an_error_beside_a_nan_gradient_is_raised() -> None:
    """Even that of a user-defined primitive that claims to be total."""
    own = Primitive("own", lambda x: math.sqrt(x), lambda out, x: 0.5 / out, total=True)
    for root in (Value.sqrt, own):
        x, n = Value(-2.0, "x"), Value(2.0, "n")

        def step(t: float, root: Any = root, x: Value = x, n: Value = n) -> Any:
            x.grad = n.grad = 0.0
            loss = root(x + t) + x**n
            loss.backward()
            return loss

        run = jit(step)
        found = [run(t).data for t in (3.0, 4.0, 5.0, 6.0)]
        assert found == [step(t).data for t in (3.0, 4.0, 5.0, 6.0)]
        assert math.isnan(n.grad)
        (program,) = run.programs
        assert (program.replays, program.unsure) == (2, 0)
        with pytest.raises(ValueError, match=r"own|sqrt"):
            run(1.0)
        assert program.unsure == 1


def test_many_nan_gradients_side_by_side() -> None:
    def make() -> tuple[Any, Any]:
        rows = [[Value(0.25 * i * k - 3.0) for i in range(1, 9)] for k in range(5)]
        exponents = [Value(2.0) for _ in range(8)]

        def step(xs: list[float]) -> Any:
            hidden = [total([x * w for x, w in zip(xs, row, strict=True)]) for row in rows]
            loss = total([h**n for h in hidden for n in exponents])
            for v in [*exponents, *[w for row in rows for w in row]]:
                v.grad = 0.0
            loss.backward()
            return loss, hidden

        return step, [*rows, exponents]

    numbers = [0.5, -1.0, 2.0, 0.25, -0.75, 1.5, -2.0, 1.0]
    seen = same(make, (numbers,), ([1.0] * 8,), (numbers[::-1],), replayed=True)
    assert "nan" in seen[1][1][1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", [inf, nan])
def test_a_non_finite_result_is_computed_eagerly(backend: str, number: float) -> None:
    w = Value(2.0)
    run = jit(lambda x: w * x, backend=backend)
    for x in (1.0, 1.0, 1.0, number):
        assert shown(run(x).data) == shown(x * 2.0)
    assert (run.programs[0].replays, run.programs[0].unsure) == (1, 1)


def test_derivatives_that_do_not_exist_raise_the_eager_error() -> None:
    def make() -> tuple[Any, Any]:
        w = Value(1.0, "w")

        def function(x: float) -> Any:
            y = (w * x).sqrt() * (w * x) ** 1.5
            return grad(y, [w]), hessian(y, [w])

        return function, w

    same(make, (1.0,), (0.0,), (2.0,))


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_warning_is_shown_whatever_the_numbers(backend: str) -> None:
    w = Value(1.0)
    run = jit(lambda x: [w * x * x, (w * x).tanh(), w * x * 1e308], backend=backend)
    for how in ("ignore", "raise"):
        with warnings.catch_warnings(), np.errstate(all=how):
            warnings.simplefilter("error")
            for x in (1.0, 1.0, 1.7, 1e200, inf, nan, -inf, 5e-324, 1e-200):
                run(x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_large_and_finite_numbers_need_no_eager_run(backend: str) -> None:
    """Their sum overflows; they themselves do not."""
    w = Value(1.0)
    run = jit(lambda x: [w * x, w * x * 0.999], backend=backend)
    for _ in range(4):
        assert [v.data for v in run(1.7e308)] == [1.7e308, 1.7e308 * 0.999]
    assert (run.programs[0].replays, run.programs[0].unsure) == (2, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_nan_that_is_not_selected_needs_no_eager_run(backend: str) -> None:
    w = Value(1.0)
    run = jit(lambda x: where(x, w * x, w * x * 1e308 * 10.0 * 0.0), backend=backend)
    assert [run(x).data for x in (2.0, 3.0, 4.0, 5.0)] == [2.0, 3.0, 4.0, 5.0]
    assert (run.programs[0].replays, run.programs[0].unsure) == (2, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_infinity_from_the_users_own_primitive_needs_no_eager_run(backend: str) -> None:
    """It did not raise, and its `forward` is what an eager run would call."""
    w, inverse = Value(1.0), Primitive("inverse", lambda x: 1.0 / x if x else inf, 1.0)
    run = jit(lambda x: 1.0 / (1.0 + inverse(w * x)), backend=backend)
    assert [run(x).data for x in (1.0, 1.0, 1.0, 0.0)] == [0.5, 0.5, 0.5, 0.0]
    assert (run.programs[0].replays, run.programs[0].unsure) == (2, 0)


def test_errors_under_no_grad_and_in_a_function_without_state() -> None:
    def quiet(x: float, v: Value) -> Any:
        with no_grad():
            return (v * x).log() + (v / x)

    calls = [lambda x=x: (x, Value(2.0, "v")) for x in (1.0, 0.0, -1.0, 3.0)]
    same(lambda: (quiet, []), *calls)


@pytest.mark.filterwarnings("ignore:.* were done eagerly:RuntimeWarning")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thousand_errors_in_a_row_leave_the_program_in_use(backend: str) -> None:
    w = Value(1.0)
    run = jit(lambda x: (w * x).log(), backend=backend)
    for x in (2.0, 2.0, 1.0):  # eager, recorded, checked
        run(x)
    for k in range(1000):
        with pytest.raises(ValueError, match="log"):
            run(-float(k))
    assert run(1.0).data == 0.0
    (program,) = run.programs
    assert (program.replays, program.unsure) == (2, 1000)


def test_errors_before_the_recording_do_not_prevent_it() -> None:
    w = Value(1.0)
    run = jit(lambda x: (w * x).log())
    for k in range(100):
        with pytest.raises(ValueError, match="log"):
            run(-float(k))
    for _ in range(4):
        assert run(1.0).data == 0.0
    assert run.programs[0].replays == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_in_an_eager_run_changes_nothing(backend: str) -> None:
    def interrupting(x: float) -> float:
        if x > 10.0:
            raise KeyboardInterrupt
        return x

    primitive = Primitive("interrupting", interrupting, 1.0)
    w = Value(1.0)

    def step(x: float) -> Any:
        w.assign(w + 1.0)
        return primitive(w * x)

    run = jit(step, backend=backend)
    for _ in ("eager", "recorded", "checked", "replayed"):
        before = snapshot([w])
        with pytest.raises(KeyboardInterrupt):
            run(100.0)
        assert snapshot([w]) == before
        assert run(1.0).data == w.data


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_eager_run_that_diagnoses_an_error_is_undone(backend: str) -> None:
    """`int.__add__` fails for a recorded number; an eager run shows that it works for an int."""
    v, w, log = Value(0.0), Value(1.0), list[float]()

    def step(n: int) -> Any:
        log.append(nn.gauss(0.0, 1.0))
        w.assign(w + 1.0)
        v.assign(v + int.__add__(n, 1))
        return w * v

    run = jit(step, backend=backend)
    assert run(2).data == 6.0
    drawn = nn.rng.generator.getstate()
    with pytest.raises(TraceError, match="this works for plain numbers only"):
        run(2)
    assert (v.data, w.data, len(log)) == (3.0, 2.0, 1)
    assert nn.rng.generator.getstate() == drawn


def test_the_advice_for_a_function_of_plain_numbers_fits_an_update_of_data() -> None:
    """`p.data` takes a number, not a Value: NumPy's square root in Adam is replaced by one."""
    w = Value(16.0)

    def step(root: Callable[[float], float]) -> None:
        w.data = root(w.data)

    run = jit(step)
    run(np.sqrt)
    with pytest.raises(TraceError, match=r"as in Value\(x\).exp\(\).data"):
        run(np.sqrt)
    for root in [lambda x: Value(x).sqrt().data] * 3:
        run(root)
    assert w.data == 4.0 ** (1 / 8)


def test_an_error_of_the_function_itself_has_its_effects_once() -> None:
    log: list[str] = []
    hidden = SimpleNamespace(w=Value(1.0))

    def step(x: float, names: dict[str, float]) -> Any:
        log.append("a call")
        w = getattr(hidden, "W".lower())
        w.assign(2.0 * w)
        return x * names["rate"]

    run = jit(step)
    for _ in range(3):
        with pytest.raises(KeyError):
            run(1.0, {})
    assert log == ["a call"] * 3
    assert hidden.w.data == 2.0  # only a recording sees a leaf that the code does not name
