"""What happens to code that looks at a recorded number? It is told where, and what to write."""

from __future__ import annotations

import copy
import json
import math
import operator
import pickle
import random
import statistics
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from side_by_side import BACKENDS, photographed, same_or_refused

import nn
from autograd import Primitive, Value, detect_anomaly, no_grad, ops
from autograd.jit import TraceError, jit

Look = Callable[[Any], Any]


def branch(v: Any) -> int:
    if v:
        return 1
    return 2


def loop(v: Any) -> int:
    count = 0
    while v < 10.0:
        v, count = v * 2.0, count + 1
    return count


def matched(v: Any) -> int:
    match v:
        case 0.0:
            return 1
        case _:
            return 2


# What Python does to a number or to a Value. Each looks at it on the line it stands on.
LOOKS: dict[str, Look] = {
    "float": lambda v: float(v),
    "int": lambda v: int(v),
    "bool": lambda v: bool(v),
    "not": lambda v: not v,
    "and": lambda v: v and 1.0,
    "ternary": lambda v: 1.0 if v else 2.0,
    "<": lambda v: v < 1.0,
    "<=": lambda v: v <= 1,
    ">": lambda v: v > 1.0,
    "> reflected": lambda v: operator.gt(1.0, v),
    ">=": lambda v: v >= v,
    "max": lambda v: max(v, 0.0),
    "max of a list": lambda v: max([v, v, v]),
    "min with a key": lambda v: min([v, 1.0], key=lambda x: x),
    "sorted": lambda v: sorted([v, v]),
    "sort": lambda v: [v, v].sort(),
    "clipped": lambda v: min(max(v, 0.0), 1.0),
    "any": lambda v: any([v]),
    "all": lambda v: all([v]),
    "filter": lambda v: list(filter(None, [v])),
    "str": lambda v: str(v),
    "print": lambda v: print(v),
    "f-string": lambda v: f"{v}",
    "f-string with a format": lambda v: f"loss {v:.4f}",
    "%s": lambda v: operator.mod("%s", v),
    "%f": lambda v: operator.mod("%.2f", v),
    "%d": lambda v: operator.mod("%d", v),
    "format": lambda v: format(v, ".2f"),
    "str.format": lambda v: str.format("{:.2f}", v),
    "json": lambda v: json.dumps(v),
    "math.exp": lambda v: math.exp(v),
    "math.sqrt": lambda v: math.sqrt(v),
    "math.floor": lambda v: math.floor(v),
    "math.ceil": lambda v: math.ceil(v),
    "math.trunc": lambda v: math.trunc(v),
    "math.isnan": lambda v: math.isnan(v),
    "math.isfinite": lambda v: math.isfinite(v),
    "math.isclose": lambda v: math.isclose(v, 1.0),
    "math.copysign": lambda v: math.copysign(1.0, v),
    "math.fsum": lambda v: math.fsum([v, v]),
    "statistics.mean": lambda v: statistics.mean([v, v]),
    "round": lambda v: round(v),
    "round to digits": lambda v: round(v, 2),
    "complex": lambda v: complex(v),
    "Fraction": lambda v: Fraction(v),
    "an index": lambda v: [1.0, 2.0, 3.0][v],
    "a slice": lambda v: [1.0, 2.0, 3.0][:v],
    "range": lambda v: list(range(v)),
    "times a list": lambda v: [0.0] * v,
    "np.float64": lambda v: np.float64(v),
    "np.array of floats": lambda v: np.array([v, v], dtype=float),
    "np.isnan": lambda v: np.isnan(np.array([v, v])),
    "np.maximum": lambda v: np.maximum(np.array([v, v]), 0.0),
    "np.argmax": lambda v: np.argmax(np.array([v, v])),
    "copy": lambda v: copy.copy(v),
    "deepcopy": lambda v: copy.deepcopy([v]),
    "pickle": lambda v: pickle.dumps(v),
}
# What means something for numbers only: of Values == is identity, and // and % do not exist.
NUMBER_LOOKS: dict[str, Look] = {
    "==": lambda x: x == 1.0,
    "== reflected": lambda x: operator.eq(1.0, x),
    "!=": lambda x: x != 0.0,
    "in a list": lambda x: x in [1.0, 2.0],
    "in a tuple": lambda x: x in (1, -1),
    "in a set": lambda x: x in {1.0, 2.0},
    "a set": lambda x: len({x, 1.0}),
    "a key": lambda x: {1.0: "a", 2.0: "b"}[x],
    "a key that may be missing": lambda x: {1.0: "a"}.get(x, "c"),
    "index": lambda x: [1.0, 2.0].index(x),
    "count": lambda x: [1.0, 2.0].count(x),
    "equal lists": lambda x: [x] == [1.0],
    "//": lambda x: x // 2,
    "%": lambda x: x % 2,
    "divmod": lambda x: divmod(x, 2),
    "is_integer": lambda x: x.is_integer(),
    "np ==": lambda x: np.array([x, x]) == 1.0,
}
w = Value(2.0, label="w")


def refused(look: Look, *args: Any, of: Callable[..., Any]) -> None:
    """Demand a TraceError with line and advice, and that it changed nothing.

    Where the eager run raises too, as of `round(v)`, any error will do.
    """
    before, drawn = photographed([w]), random.getstate()
    try:
        look(of(*args))
        kind: type[Exception] = TraceError
    except Exception:
        kind = Exception
    w.grad = 0.0
    before = photographed([w])
    function = jit(lambda *given: look(of(*given)))
    for _ in range(2):
        with pytest.raises(kind) as caught:
            function(*args)
        assert photographed([w]) == before
        assert random.getstate() == drawn
    # Afterwards everything can be used, eagerly and recorded.
    assert (w * 3.0).data == w.data * 3.0
    assert jit(lambda x: w * x)(5.0).data == w.data * 5.0
    if kind is TraceError:
        place = f"test_trace_errors.py:{look.__code__.co_firstlineno}"
        assert place in str(caught.value)
        words = ("where", "return it", "static", "compute with", "use the Value", "pass")
        assert any(word in str(caught.value) for word in words)


def gradient_of_w(x: Any) -> Any:
    w.grad = 0.0
    (w * x).backward()
    return w.grad


SORTS: dict[str, Callable[..., Any]] = {
    "a number passed": lambda x: x,
    "a result": lambda x: w * x,
    "a captured leaf": lambda x: w,
    "a gradient": gradient_of_w,
    "a detached result": lambda x: (w * x).detach(),
    "a constant's result": lambda x: w * 0.0,
}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", LOOKS)
def test_a_look_at(name: str, sort: str) -> None:
    refused(LOOKS[name], 2.0, of=SORTS[sort])


@pytest.mark.parametrize("sort", ["a number passed", "a gradient"])
@pytest.mark.parametrize("name", NUMBER_LOOKS)
def test_a_look_at_what_is_a_float_eagerly(name: str, sort: str) -> None:
    refused(NUMBER_LOOKS[name], 2.0, of=SORTS[sort])


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_at_a_value_that_is_passed(name: str) -> None:
    refused(LOOKS[name], Value(2.0), of=lambda v: v)


@pytest.mark.parametrize("sort", [*list(SORTS)[1:3], "passed"])
def test_data_of_a_value(sort: str) -> None:
    def look(v: Any) -> Any: return v.data  # fmt: skip

    args = (Value(2.0),) if sort == "passed" else (2.0,)
    refused(look, *args, of=SORTS.get(sort, lambda v: v))


def test_the_text_of_a_recorded_value_in_a_list_says_that_it_is_recorded() -> None:
    """repr() stays possible, for debuggers and messages, but shows no number."""
    text = jit(lambda x: f"{[w, w * x, x]} {x!r}")(3.0)
    assert text.count("recorded") == 4
    assert not any(digit in text for digit in "0123456789")


@pytest.mark.parametrize("look", [branch, loop, matched])
def test_statements_that_branch(look: Look) -> None:
    run = jit(look)
    with pytest.raises(TraceError, match="where"):
        run(2.0)


def test_identity_of_values_stays_what_it_is() -> None:
    """`==`, `in` and hashing of Values go by identity, recorded or not."""

    def function(x: float) -> Any:
        y = w * x
        seen = {y: 1, w: 2}
        return [y == y, y == w, w in [y], y in [w, y], seen[y], len({y, y, w}), w != y]

    assert jit(function)(3.0) == function(3.0)


def test_the_line_is_the_users_also_inside_the_library() -> None:
    model = nn.MLP(2, [2, 1])

    def function(x: float) -> Any:
        return model.state_dict()  # the look happens in nn/module.py

    line = function.__code__.co_firstlineno + 1
    with pytest.raises(TraceError, match=f"test_trace_errors.py:{line}"):
        jit(function)(1.0)


def test_a_function_in_a_string_has_no_line_but_an_error() -> None:
    space: dict[str, Any] = {}
    exec("def function(x):\n    return float(x)", space)
    with pytest.raises(TraceError):
        jit(space["function"])(1.0)


# --- randomness -----------------------------------------------------------------------------------

own = random.Random(0)
numpys = np.random.default_rng(0)
RANDOM: dict[str, Callable[[], float]] = {
    "random.random": lambda: random.random(),
    "random.gauss": lambda: random.gauss(0.0, 1.0),
    "random.choice": lambda: random.choice([1.0, 2.0, 3.0, 4.0, 5.0]),
    "random.shuffle": lambda: (random.shuffle(x := [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), x[0])[1],
    "random.seed and then random": lambda: (random.seed(None), random.random())[1],
    "a random.Random of one's own": lambda: own.random(),
    "nn's stream": lambda: nn.rng.generator.random(),
    "np.random.rand": lambda: float(np.random.rand()),
    "np.random.normal": lambda: float(np.random.normal()),
    "a generator of numpy": lambda: float(numpys.random()),
    "a model made inside": lambda: nn.Neuron(1).w[0] * 1.0,
    "random.SystemRandom": lambda: random.SystemRandom().random(),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_drawn_anew_or_refused(name: str) -> None:
    draw = RANDOM[name]

    function = jit(lambda x: w * x * draw())
    try:
        drawn = [function(1.0).data for _ in range(6)]
    except TraceError:
        return
    assert len(set(drawn)) > 1, "frozen"


def test_what_was_drawn_for_a_refused_recording_is_put_back() -> None:
    before = random.getstate()
    with pytest.raises(TraceError):
        jit(lambda x: w * x * random.random())(1.0)
    assert random.getstate() == before


# --- errors while recording -----------------------------------------------------------------------


class Odd(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError, KeyboardInterrupt, Odd])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exception_of_the_users_own_passes_through_and_changes_nothing(
    kind: type[BaseException], backend: str
) -> None:
    model = nn.MLP(2, [3, 1])
    rule = nn.Adam(model, lr=0.1)
    failing = True

    def step(x: list[float]) -> Any:
        loss = model(x) ** 2
        rule.zero_grad()
        loss.backward()
        rule.step()
        if failing:
            raise kind("told to")
        return loss

    function = jit(step, backend=backend)
    before = photographed([model, rule])
    for _ in range(2):
        with pytest.raises(kind, match="told to"):
            function([1.0, 2.0])
        assert photographed([model, rule]) == before
        assert function.programs == []
    failing = False
    expected = copy.deepcopy(model)([1.0, 2.0]).data ** 2
    assert function([1.0, 2.0]).data == expected


def test_an_error_of_the_rule_of_a_constant_is_the_eager_one() -> None:
    """The slope by v is said to be log(c): the recording meets log(-2) in it."""
    scaled = Primitive("scaled", lambda c, v: c * v, (None, lambda out, c, v: ops.log(c)))
    for compute in (lambda v: scaled(-2.0, v), lambda v: v / 0.0):

        def function(x: float, compute: Any = compute) -> Any:
            result = compute(w * x)
            result.backward()
            return result

        with pytest.raises((ValueError, ZeroDivisionError)) as eager:
            function(1.0)
        with pytest.raises((ValueError, ZeroDivisionError)) as recorded:
            jit(function)(1.0)
        assert str(recorded.value) == str(eager.value)


# --- Values made inside ---------------------------------------------------------------------------


def test_a_value_made_inside_is_made_anew_in_each_call() -> None:
    def function(x: float) -> Any:
        made = Value(0.5, "made")
        loss = made * x * w + made
        loss.backward()
        return made, made.grad, loss

    for backend in BACKENDS:
        run = jit(function, backend=backend)
        for x in (1.0, 2.0, 2.0):
            made, slope, loss = run(x)
            assert (made.data, made.grad, float(slope)) == (0.5, 2.0 * x + 1.0, 2.0 * x + 1.0)
            assert loss.data == x + 0.5
            made.data = made.grad = 7.0  # the next call makes another


def test_an_argument_can_be_made_a_value_as_eagerly() -> None:
    """`[list(map(Value, row)) for row in X]` is how micrograd's demo begins."""

    def make() -> Any:
        leaf = Value(2.0)

        def function(xs: list[float]) -> Any:
            return sum((leaf * x for x in map(Value, xs)), start=Value(0.0))

        return function, leaf

    seen = same_or_refused(make, ([1.0, 2.0],), ([3.0, 4.0],))
    assert "TraceError" not in seen


def test_a_matrix_made_inside_of_numbers_has_the_eager_gradients() -> None:
    def make() -> Any:
        leaf = Value(2.0)

        def function(rows: list[list[float]]) -> Any:
            X = nn.Matrix(rows)
            (X * X * leaf).sum().backward()
            return X.grad, nn.matrix.as_values(rows[0])[0].grad

        return function, leaf

    same_or_refused(make, ([[1.0, 2.0]],), ([[3.0, 4.0]],))


def test_what_is_kept_outside_is_refused_when_looked_at() -> None:
    box = SimpleNamespace()

    def function(x: float) -> Value:
        box.kept = w * x
        return box.kept * 1.0

    run = jit(function)
    assert [run(x).data for x in (1.0, 2.0)] == [2.0, 4.0]
    for look in (float, str, lambda v: v.data, lambda v: v * 2.0, lambda v: v > 0, Value.exp):
        with pytest.raises(TraceError, match="recording that is over"):
            look(box.kept)
    with pytest.raises(TraceError, match="recording that is over"):
        box.kept.sin().backward()
    with pytest.raises(TraceError, match="recording that is over"):
        jit(lambda x: box.kept * x)(1.0)


CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "a set": lambda v: {v},
    "a generator": lambda v: (x for x in [v]),
    "an iterator": lambda v: iter([v]),
    "a function": lambda v: lambda: v,
    "an object": lambda v: type("Thing", (), {"v": v})(),
    "a map": lambda v: map(abs, [v]),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_result_in_what_cannot_be_laid_out_is_refused(name: str) -> None:
    """Otherwise every call returns the same object with a dead number in it."""
    with pytest.raises(TraceError):
        jit(lambda x: CONTAINERS[name](w * x))(1.0)


@pytest.mark.parametrize("thing", [3, "f", w])
def test_only_functions_can_be_jitted(thing: Any) -> None:
    with pytest.raises(TypeError, match="jit takes a function, not"):
        jit(thing)


def test_functions_that_do_not_return_at_once_are_refused() -> None:
    def generating(x: float) -> Any:
        yield w * x

    async def later(x: float) -> Any:
        return w * x

    for function in (generating, later):
        with pytest.raises(TypeError):
            jit(function)(1.0)


# --- modes ----------------------------------------------------------------------------------------


def test_detect_anomaly_outside_checks_every_number() -> None:
    run = jit(lambda x: 1.0 / (w * x))
    assert run(1.0).data == 0.5
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"mul\(w = 2.0, 1e\+308\)"):
        run(1e308)
    assert run(1e308).data == 0.0


def test_detect_anomaly_inside_is_the_eager_one_or_refused() -> None:
    def make() -> Any:
        leaf = Value(2.0, "leaf")

        def function(x: float) -> Any:
            with detect_anomaly():
                return 1.0 / (leaf * x)

        return function, leaf

    function, _ = make()
    with pytest.raises(FloatingPointError):
        function(1e308)
    run = jit(function)
    with pytest.raises((FloatingPointError, TraceError)):
        run(1.0), run(1e308)


def test_no_grad_outside_is_another_program() -> None:
    def function(x: float) -> Any:
        return w * x

    run = jit(function)
    with no_grad():
        inside = run(3.0)
        again = run(inside)  # a leaf, eagerly
        assert (inside.data, inside.parents, again.data) == (6.0, (), 12.0)
    assert run(3.0).data == 6.0
    assert len(run.programs) == 2 + 1


def test_backward_inside_no_grad_outside() -> None:
    def make() -> Any:
        leaf = Value(2.0)

        def function(x: float) -> Any:
            y = leaf * x
            with no_grad():
                cut = y * leaf
            loss = y * cut
            leaf.grad = 0.0
            loss.backward()
            return loss, leaf.grad

        def silenced(x: float) -> Any:
            with no_grad():
                return function(x)

        return lambda x: (function(x), silenced(x), leaf.grad), leaf

    assert "TraceError" not in same_or_refused(make, (1.0,), (3.0,))
