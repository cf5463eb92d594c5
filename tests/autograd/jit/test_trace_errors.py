"""What if code inspects a recorded number? The error names the line and says what to write."""

from __future__ import annotations

import array
import cmath
import contextlib
import copy
import datetime
import decimal
import io
import itertools
import json
import math
import operator
import os
import pickle
import queue
import random
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from side_by_side import BACKENDS, same_or_refused, snapshot

import autograd
import nn
from autograd import Primitive, Value, detect_anomaly, no_grad, ops
from autograd.jit import TraceError, jit
from autograd.sums import weighted_sum

Look = Callable[[Any], Any]


def branch(v: Any) -> int:
    if v:
        return 1
    return 2


def loop(v: Any) -> int:
    count = 0
    while count < 9 and v < 10.0:
        v, count = v * 2.0, count + 1
    return count


def matched(v: Any) -> int:
    match v:
        case 0.0:
            return 1
        case _:
            return 2


def branched(v: Any) -> float:
    return 1.0 if v > 2.5 else 2.0


# Ways to inspect a number or a Value in Python. The error must name the line of the entry.
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
    "repr": lambda v: repr(v),
    "str of a list": lambda v: str([v]),
    "f-string": lambda v: f"{v}",
    "f-string with !r": lambda v: f"{v!r}",
    "f-string with a format": lambda v: f"loss {v:.4f}",
    "%s": lambda v: operator.mod("%s", v),
    "%f": lambda v: operator.mod("%.2f", v),
    "%d": lambda v: operator.mod("%d", v),
    "format": lambda v: format(v, ".2f"),
    "str.format": lambda v: str.format("{:.2f}", v),
    "json": lambda v: json.dumps(v),
    "struct.pack": lambda v: struct.pack("d", v),
    "array.array": lambda v: list(array.array("d", [v])),
    "math.exp": lambda v: math.exp(v),
    "math.sqrt": lambda v: math.sqrt(v),
    "math.pow": lambda v: math.pow(v, 2.0),
    "math.hypot": lambda v: math.hypot(v, 1.0),
    "cmath.exp": lambda v: abs(cmath.exp(v)),
    "math.floor": lambda v: math.floor(v),
    "math.ceil": lambda v: math.ceil(v),
    "math.trunc": lambda v: math.trunc(v),
    "math.isnan": lambda v: math.isnan(v),
    "math.isfinite": lambda v: math.isfinite(v),
    "math.isclose": lambda v: math.isclose(v, 1.0),
    "math.copysign": lambda v: math.copysign(1.0, v),
    "math.fsum": lambda v: math.fsum([v, v]),
    "math.prod": lambda v: math.prod([v, v]),
    "sum": lambda v: sum([v, v]),
    "statistics.mean": lambda v: statistics.mean([v, v]),
    "statistics.fmean": lambda v: statistics.fmean([v, v]),
    "round": lambda v: round(v),
    "round to digits": lambda v: round(v, 2),
    "complex": lambda v: abs(complex(v)),
    "a sum with a complex number": lambda v: abs(v + 1j),
    "Fraction": lambda v: Fraction(v),
    "Decimal": lambda v: str(decimal.Decimal(v)),
    "timedelta": lambda v: datetime.timedelta(seconds=v).total_seconds(),
    "random.Random": lambda v: random.Random(v).random(),
    "random.uniform": lambda v: random.Random(0).uniform(0.0, v),
    "an index": lambda v: [1.0, 2.0, 3.0][v],
    "a slice": lambda v: [1.0, 2.0, 3.0][:v],
    "range": lambda v: list(range(v)),
    "times a list": lambda v: [0.0] * v,
    "np.float32": lambda v: np.float32(v),
    "np.float64": lambda v: np.float64(v),
    "np.float64 times": lambda v: np.float64(2.0) * v,
    "np.array times": lambda v: np.array([1.0, 2.0]) * v,
    "np.array of floats": lambda v: np.array([v, v], dtype=float),
    "np.isnan": lambda v: np.isnan(np.array([v, v])),
    "np.maximum": lambda v: np.maximum(np.array([v, v]), 0.0),
    "np.argmax": lambda v: np.argmax(np.array([v, v])),
    "copy": lambda v: copy.copy(v),
    "deepcopy": lambda v: copy.deepcopy([v]),
    "pickle": lambda v: pickle.dumps(v) and None,
}
# For numbers only: for Values, == is identity, and // and % do not exist.
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
    "a complex root": lambda x: abs((x - 9.0) ** 0.5),
    "hex": lambda x: x.hex(),
    "float.hex": lambda x: float.hex(x),
    "float.__add__": lambda x: float.__add__(x, 1.0),
    "isinstance": lambda x: isinstance(x, float),
    "real and imag": lambda x: (x.real, x.imag, x.conjugate()),
    "a Value of it": lambda x: Value(x).data,
    "np ==": lambda x: np.array([x, x]) == 1.0,
}
# C code reads the float without calling a method: only the check finds that it matters.
UNSEEN = (
    *("%f", "json", "struct.pack", "array.array", "math.exp", "math.sqrt", "math.pow"),
    *("math.hypot", "math.isnan", "math.isfinite", "math.isclose", "math.copysign", "math.fsum"),
    *("statistics.fmean", "a sum with a complex number", "Decimal", "timedelta"),
    *("float.hex", "float.__add__"),
)
# These do not inspect the number: it flows on.
FLOWS = (
    *("copy", "deepcopy", "math.prod", "sum", "random.uniform", "np.float64 times"),
    *("np.array times", "isinstance", "real and imag", "a Value of it"),
)
# The eager call raises: for a number, and for a Value.
ERRORS = ("an index", "a slice", "range", "times a list")
ERRORS_OF_VALUES = (
    *ERRORS,
    *("bool", "not", "and", "ternary", "any", "all", "filter", "json", "math.trunc", "round"),
    *("round to digits", "statistics.mean", "Fraction", "Decimal", "timedelta", "random.Random"),
    *("a sum with a complex number", "np.isnan"),
)
# The second number, where 5.0 would give the same result as the first.
OTHERS = {
    "math.isnan": math.nan,
    "math.isfinite": math.inf,
    "math.copysign": -5.0,
    "math.isclose": 1.0,
    "a key": 1.0,
    "index": 1.0,
}
w = Value(2.0, label="w")


@pytest.fixture(autouse=True)
def _w_as_before() -> None:
    w.data, w.grad = 2.0, 0.0


def judged(name: str, look: Look, sort: str, of: Callable[..., Any], kind: Any = float) -> None:
    """Assert that a look gives the eager results, or a TraceError at once or from the check."""
    of_number = sort in ("a number passed", "a gradient")
    expected = "doubted" if of_number and name in UNSEEN else "refused"
    if name in FLOWS:
        expected = "replayed"
    if name in (ERRORS if of_number else ERRORS_OF_VALUES):
        raises(look, of, kind)
        return

    def make() -> Any:
        w.data, w.grad = 2.0, 0.0
        return lambda x: look(of(x)), w

    def change(w: Any) -> None:
        w.data += 1.0

    numbers = 2.0, OTHERS.get(name, 5.0)
    calls = [lambda state, x=x: (kind(x),) for x in numbers]
    same_or_refused(make, *calls, expected=expected, between=change)
    if expected == "refused":
        advised(look, of, kind)


def raises(look: Look, of: Callable[..., Any], kind: Any) -> None:
    """Assert the eager error or a TraceError in each call, and that it changes nothing."""
    try:
        look(of(kind(2.0)))
        raise AssertionError("it does not raise")
    except (TypeError, AttributeError, ValueError) as error:
        expected = type(error)
    function = jit(lambda x: look(of(x)))
    for _ in range(3):
        before = snapshot([w])
        with pytest.raises((expected, TraceError)):
            function(kind(2.0))
        assert snapshot([w]) == before
    assert function.programs == []


def advised(look: Look, of: Callable[..., Any], kind: Any) -> None:
    """Assert a TraceError with line and advice in the second call and those after it."""
    function = jit(lambda x: look(of(x)))
    function(kind(2.0))
    for _ in range(2):
        before, drawn = snapshot([w]), random.getstate()
        with pytest.raises(TraceError) as caught:
            function(kind(2.0))
        assert snapshot([w]) == before
        assert random.getstate() == drawn
    assert function.programs == []
    # Afterwards w still works, eagerly and recorded.
    again = jit(lambda x: w * x)
    assert [again(5.0).data for _ in range(3)] == [(w * 5.0).data] * 3
    text = str(caught.value)
    assert f"test_trace_errors.py:{look.__code__.co_firstlineno}" in text
    words = ("where", "return it", "static", "compute", "use the Value", "pass", "domain")
    assert any(word in text for word in words)


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


@pytest.mark.parametrize("name", LOOKS)
def test_inspecting_a_number_or_value_of_the_call(name: str) -> None:
    for sort, of in SORTS.items():
        judged(name, LOOKS[name], sort, of)


@pytest.mark.parametrize("sort", ["a number passed", "a gradient"])
@pytest.mark.parametrize("name", NUMBER_LOOKS)
def test_inspecting_a_plain_number_of_the_call(name: str, sort: str) -> None:
    judged(name, NUMBER_LOOKS[name], sort, SORTS[sort])


@pytest.mark.parametrize("name", LOOKS)
def test_inspecting_a_value_that_is_passed(name: str) -> None:
    judged(name, LOOKS[name], "passed", lambda v: v, Value)


@pytest.mark.parametrize("sort", ["a result", "a captured leaf", "a detached result", "passed"])
@pytest.mark.parametrize("name", ["<", "float", "math.exp", "json", "f-string with a format"])
def test_inspecting_the_data_of_a_value(name: str, sort: str) -> None:
    """`v.data` is a recorded number, like a number that is passed."""
    of, kind = (lambda v: v, Value) if sort == "passed" else (SORTS[sort], float)
    judged(name, LOOKS[name], "a number passed", lambda x: of(x).data, kind)


@pytest.mark.parametrize("name", ["<", "round"])
def test_a_result_may_be_inspected_outside(name: str) -> None:
    """An accuracy or a rounded loss is not to be passed, but to be made of what is returned."""
    function = jit(lambda x: LOOKS[name]((w * x).data))
    function(2.0)
    with pytest.raises(TraceError, match=r"outside, with what is .*returned|return it"):
        function(2.0)


def test_a_rounding_inside_can_be_a_primitive_as_the_error_says() -> None:
    """Weights are quantised like this, with the straight-through estimator as the derivative."""
    with pytest.raises(TraceError, match=r"cannot be rounded .*: use a Primitive or"):
        list(map(jit(lambda x: w * round(x)), (2.0, 2.0)))

    quantised = Primitive("quantised", lambda x: round(x * 4.0) / 4.0, lambda out, x: 1.0)

    def make() -> tuple[Any, Any]:
        w.data, w.grad = 1.3, 0.0

        def step(x: float) -> Value:
            loss = (quantised(w) * x - 1.0) ** 2
            w.grad = 0.0
            loss.backward()
            w.data -= 0.1 * w.grad
            return loss

        return step, w

    same_or_refused(make, (2.0,), (5.0,), (1.5,), expected="replayed")


@pytest.mark.parametrize("sort", [*list(SORTS)[1:3], *list(SORTS)[4:], "passed"])
def test_data_can_be_returned_and_computed_with(sort: str) -> None:
    """It is a recorded number, and so is what is computed with it."""

    def make() -> tuple[Any, Any]:
        w.data, w.grad = 2.0, 0.0
        return lambda x: (of(x).data, of(x).data * 2.0 - x * of(x).data), w

    of, kind = (lambda v: v, Value) if sort == "passed" else (SORTS[sort], float)
    calls = [lambda state, x=x: (kind(x),) for x in (2.0, 5.0)]
    same_or_refused(make, *calls, expected="replayed", between=lambda w: w.assign(w.data + 1.0))


@pytest.mark.parametrize("look", [branch, loop, matched, branched])
@pytest.mark.parametrize("sort", SORTS)
def test_statements_that_branch_on_a_recorded_number(look: Look, sort: str) -> None:
    of = SORTS[sort]
    if look is branch and sort not in ("a number passed", "a gradient"):
        raises(look, of, float)  # a Value is neither true nor false
        return

    def make() -> tuple[Any, Any]:
        w.data, w.grad = 2.0, 0.0
        return lambda x: look(of(x)), w

    if look is matched and sort not in ("a number passed", "a gradient"):
        same_or_refused(make, (2.0,), (5.0,), expected="replayed")  # no Value is 0.0
        return
    same_or_refused(make, (2.0,), (5.0,), expected="refused")
    run = jit(lambda x: look(of(x)))
    run(2.0)
    with pytest.raises(TraceError, match="where"):
        run(2.0)


# --- trace errors that the function catches -------------------------------------------------------


def catches(look: Look) -> Look:
    def function(v: Any) -> Any:
        try:
            return look(v)
        except Exception:
            return 7.0

    return function


def retries(look: Look) -> Look:
    def function(v: Any) -> Any:
        for attempt in (look, lambda v: 7.0):
            try:
                return attempt(v)
            except RuntimeError:
                continue

    return function


def suppresses(look: Look) -> Look:
    def function(v: Any) -> Any:
        with contextlib.suppress(TraceError):
            return look(v)
        return 7.0

    return function


def exits(look: Look) -> Look:
    class Forgiving:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> bool:
            return True

    def function(v: Any) -> Any:
        with Forgiving():
            return look(v)
        return 7.0

    return function


def returns_at_last(look: Look) -> Look:
    space: dict[str, Any] = {"look": look}
    exec("def function(v):\n try: return look(v)\n finally: return 7.0", space)
    return space["function"]


def raises_another(look: Look) -> Look:
    def function(v: Any) -> Any:
        try:
            return look(v)
        except TraceError:
            raise ValueError("not a number") from None

    return function


def keeps_the_first(look: Look) -> Look:
    def function(v: Any) -> Any:
        for _ in range(3):
            with contextlib.suppress(Exception):
                last = look(v)
        return v * 2.0 if "last" in locals() else v * 3.0

    return function


CATCHING = [catches, retries, suppresses, exits, returns_at_last, raises_another, keeps_the_first]


@pytest.mark.parametrize("name", ["float", "<", "str", "np.float64"])
@pytest.mark.parametrize("catch", CATCHING)
def test_a_trace_error_that_the_function_catches_is_raised_at_the_end(
    catch: Callable[[Look], Look], name: str
) -> None:
    look = catch(LOOKS[name])
    for of in SORTS.values():

        def make(of: Callable[..., Any] = of) -> tuple[Any, Any]:
            w.data, w.grad = 2.0, 0.0
            return lambda x: look(of(x)), w

        same_or_refused(make, (2.0,), (5.0,), expected="refused")
        run = jit(make()[0])
        run(2.0)
        with pytest.raises(
            TraceError, match=f"test_trace_errors.py:{LOOKS[name].__code__.co_firstlineno}"
        ):
            run(2.0)


def test_the_first_of_several_trace_errors_that_the_function_catches_is_raised() -> None:
    def function(x: float) -> Any:
        for look in (float, str):
            with contextlib.suppress(TraceError):
                look(x)
        return w * 2.0

    run = jit(function)
    run(1.0)
    with pytest.raises(TraceError, match=r"passed to float\(\)") as caught:
        run(1.0)
    assert caught.value.__cause__ is None


def test_a_trace_error_that_the_function_catches_still_restores_the_state() -> None:
    def make() -> tuple[Any, Any]:
        model = nn.MLP(2, [2, 1])
        rule = nn.Adam(model, lr=0.1)

        def step(x: list[float]) -> Any:
            loss = model(x) ** 2
            rule.zero_grad()
            loss.backward()
            with contextlib.suppress(Exception):
                print(f"loss {loss.data:.3f}")
            rule.step()
            return loss

        return step, [model, rule]

    same_or_refused(make, ([1.0, 2.0],), ([0.5, -1.0],), expected="refused")


@pytest.mark.parametrize(
    ("own", "raised", "text"),
    [
        (ValueError, TraceError, r"passed to float\(\)"),
        (KeyboardInterrupt, KeyboardInterrupt, "mine"),
    ],
)
def test_a_trace_error_that_the_function_replaces_still_restores_a_list(
    own: type[BaseException], raised: type[BaseException], text: str
) -> None:
    log: list[float] = []

    def step(x: float) -> Any:
        log.append(1.0)
        with contextlib.suppress(TraceError):
            float(x)
        try:
            return w * int(x)
        except Exception as error:
            raise own("mine") from error

    run = jit(step)
    run(1.0)
    with pytest.raises(raised, match=text):
        run(1.0)
    assert log == [1.0]


def test_a_function_that_looks_at_its_caller_is_no_signal_handler() -> None:
    def look(x: float) -> float:
        frame = sys._getframe(1)
        return float(x) * frame.f_lineno

    run = jit(lambda x: w * look(x))
    run(1.0)
    with pytest.raises(TraceError, match=r"passed to float\(\)"):
        run(1.0)


# --- what does not inspect numbers ----------------------------------------------------------------


def test_values_are_compared_and_hashed_by_identity() -> None:
    """`==`, `in` and hashing of Values go by identity, recorded or not."""

    def function(x: float) -> Any:
        y = w * x
        seen = {y: 1, w: 2}
        return [y == y, y == w, w in [y], y in [w, y], seen[y], len({y, y, w}), w != y]

    same_or_refused(lambda: (function, w), (3.0,), (4.0,), expected="replayed")


def test_state_dict_inside_holds_the_numbers_of_each_call() -> None:
    def make() -> tuple[Any, Any]:
        model = nn.MLP(2, [2, 1])
        return lambda x: model.state_dict(), model

    def change(model: Any) -> None:
        model.parameters()[0].data += 1.0

    same_or_refused(make, (1.0,), expected="replayed", between=change)


def test_the_error_names_the_users_line_even_if_the_library_inspects() -> None:
    model = nn.MLP(2, [2, 1])

    def function(x: float) -> Any:
        return nn.accuracy([model([x, x])], [1.0], threshold=0.5)  # which compares scores

    line = function.__code__.co_firstlineno + 1
    run = jit(function)
    run(1.0)
    with pytest.raises(TraceError, match=f"test_trace_errors.py:{line}"):
        run(1.0)


def test_the_error_names_the_users_line_for_a_frozen_module_of_the_standard_library() -> None:
    """As CPython keeps `collections.abc` and `os.path`."""
    space: dict[str, Any] = {}
    code = "def same(a, b):\n    return bool(a == b)"
    exec(compile(code, "<frozen _collections_abc>", "exec"), space)

    def function(x: float) -> Any:
        return space["same"](x, 2.0)

    line = function.__code__.co_firstlineno + 1
    run = jit(function)
    run(1.0)
    with pytest.raises(TraceError, match=f"test_trace_errors.py:{line}"):
        run(1.0)


MEASURED = """
import measuring
from autograd.jit import TraceError, jit

@jit
def measured(x):
    return measuring.length(x)

for x in (1.0, 2.0):
    try:
        measured(x)
    except TraceError as error:
        print(error)
"""


LINK = pytest.param("link", marks=pytest.mark.skipif(os.name != "posix", reason="a link"))


@pytest.mark.parametrize("place", [LINK, "packages of the user", "archive", "a dot in the path"])
def test_the_error_names_the_users_line_wherever_packages_are(place: str, tmp_path: Path) -> None:
    """The script is in another folder than the library and the package that it calls."""
    code, packages = Path(autograd.__file__).parents[1], tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "measuring.py").write_text("def length(x):\n    return float(x)\n")
    if place == "link":
        (tmp_path / "link").symlink_to(code, target_is_directory=True)
        code = tmp_path / "link"
    elif place == "archive":
        with ZipFile(tmp_path / "code.zip", "w") as archive:
            for file in (file for name in ("autograd", "nn") for file in (code / name).rglob("*")):
                if "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(code))
        code = tmp_path / "code.zip"
    dot = os.sep + "." if place == "a dot in the path" else ""
    path = [f"{code}{dot}", str(packages), *filter(None, sys.path)]
    script = tmp_path / "user.py"
    script.write_text(f"import sys; sys.path = {path!a}{MEASURED}")
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("(user.py:7: return measuring.length(x))\n"), done.stdout


def test_a_function_without_source_gets_the_error_without_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    if os.name == "posix":  # Windows keeps the current folder
        gone.rmdir()
    space: dict[str, Any] = {}
    exec("def function(x):\n    return float(x)", space)
    run = jit(space["function"])
    assert run(1.0) == 1.0
    with pytest.raises(TraceError):
        run(1.0)


# --- randomness -----------------------------------------------------------------------------------

own = random.Random(0)
# name: (a draw; True if replays equal eager calls, False if the check doubts them, None: refused)
RANDOM: dict[str, tuple[Callable[[Any], Any], bool | None]] = {
    "random.random": (lambda numpys: random.random(), None),
    "random.gauss": (lambda numpys: random.gauss(0.0, 1.0), None),
    "random.choice": (lambda numpys: random.choice([1.0, 2.0, 3.0, 4.0, 5.0]), None),
    "random.shuffle": (
        lambda numpys: (random.shuffle(x := [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), x[0])[1],
        None,
    ),
    "random.seed and then random": (lambda numpys: (random.seed(3), random.random())[1], True),
    "a random.Random": (lambda numpys: own.random(), None),
    "a random.Random made inside": (lambda numpys: random.Random(3).random(), True),
    "nn.rng.generator": (lambda numpys: nn.rng.generator.random(), None),
    "nn.Dropout": (lambda numpys: sum(nn.Dropout(0.5)([w] * 9)), True),
    "np.random.rand": (lambda numpys: float(np.random.rand()), None),
    "np.random.normal": (lambda numpys: float(np.random.normal()), None),
    "a NumPy generator": (lambda numpys: float(numpys.random()), None),
    "a model made inside": (lambda numpys: nn.Neuron(1).w[0] * 1.0, False),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_draws_are_replayed_refused_or_found_by_the_check(name: str) -> None:
    draw, right = RANDOM[name]

    def make() -> tuple[Any, Any]:
        w.data, w.grad = 2.0, 0.0
        own.seed(0)
        numpys = np.random.default_rng(0)
        return lambda x: w * x * draw(numpys), w

    expected = {True: "replayed", False: "doubted", None: "refused"}[right]
    same_or_refused(make, (1.0,), expected=expected)


def test_the_error_for_a_count_or_an_index_says_what_to_write() -> None:
    """The rows of a batch that varies are passed: a static index is recorded for each batch."""
    rows = [0.5, 1.0, 1.5]
    count, index = lambda n: sum(w for _ in range(n)), lambda i: w * rows[i]
    for run in (jit(count), jit(index)):
        run(2)
        with pytest.raises(TraceError, match=r"as an index .*: name it static, or pass what it se"):
            run(2)
    row_of = jit(lambda i: nn.Matrix([[w], [w]])[i])
    row_of(1)
    with pytest.raises(TraceError, match=r"a row of a Matrix .*: pass what it selects, or the ind"):
        row_of(1)
    static, passed = jit(count, static="n"), jit(lambda row: w * row)
    for i in (0, 1, 2, 1):
        assert static(2).data == count(2).data
        assert passed(rows[i]).data == index(i).data
    assert [program.replays for run in (static, passed) for program in run.programs] == [2, 2]


UNREPEATABLE: dict[str, Callable[[], Any]] = {
    "random.SystemRandom": lambda: random.SystemRandom().random(),
    "a NumPy generator made inside": lambda: np.random.default_rng().random(),
    "random.Random made inside": lambda: random.Random().random(),
    "the clock": lambda: time.perf_counter_ns() % 10**9,
    "a new layer": lambda: nn.Neuron(1).w[0].data,
}


@pytest.mark.parametrize("name", UNREPEATABLE)
def test_unrepeatable_numbers_are_found_by_the_check(name: str) -> None:
    run = jit(lambda x: w * x * float(UNREPEATABLE[name]()))
    drawn = {run(1.0).data for _ in range(2)}
    assert len(drawn) == 2
    with pytest.raises(TraceError, match="a new layer's weights, a random number that nn does not"):
        run(1.0)


def test_a_refused_recording_restores_the_random_stream_of_nn() -> None:
    dropout = nn.Dropout(0.5)
    run = jit(lambda x: float(dropout([w * x])[0]))
    run(1.0)
    before = nn.rng.generator.getstate()
    with pytest.raises(TraceError):
        run(1.0)
    assert nn.rng.generator.getstate() == before


def test_a_failed_check_advances_the_random_stream_once() -> None:
    """As if only the eager call had been made."""
    run = jit(lambda x: w * x * __import__("random").random())  # which no recording sees
    random.seed(5)
    for _ in range(2):
        run(1.0)
    with pytest.raises(TraceError):
        run(1.0)
    after = random.getstate()
    random.seed(5)
    for _ in range(3):
        random.random()
    assert random.getstate() == after


ITERATORS: dict[str, Callable[[], Callable[[], float]]] = {
    "a generator": lambda: partial(next, (float(k) for k in range(99))),
    "an iterator": lambda: partial(next, iter([float(k) for k in range(99)])),
    "zip": lambda: partial(lambda it: next(it)[0], zip(range(99), range(99), strict=True)),
    "count": lambda: partial(next, itertools.count(1.0)),
    "pop": lambda: [float(k) for k in range(99)].pop,
    "a file": lambda: partial(lambda it: float(next(it)), io.StringIO("1\n2\n3\n4\n" * 9)),
}


@pytest.mark.parametrize("name", ITERATORS)
def test_consuming_an_iterator_is_refused_or_found_by_the_check(name: str) -> None:
    def make() -> tuple[Any, Any]:
        w.data, w.grad = 2.0, 0.0
        draw = ITERATORS[name]()
        return lambda x: w * x * draw(), w

    same_or_refused(make, (1.0,), expected="doubted" if name == "a file" else "refused")


# --- errors while recording -----------------------------------------------------------------------


class Odd(BaseException):
    """Not a subclass of Exception."""


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError, KeyboardInterrupt, Odd])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exception_of_the_function_propagates_and_changes_nothing(
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
    before = snapshot([model, rule])
    for _ in range(3):
        with pytest.raises(kind, match="told to"):
            function([1.0, 2.0])
        assert snapshot([model, rule]) == before
        assert function.programs == []
    failing = False
    for _ in range(4):
        expected = copy.deepcopy(model)([1.0, 2.0]).data ** 2
        assert function([1.0, 2.0]).data == expected
    assert [program.replays for program in function.programs] == [3]


def test_an_error_in_the_slope_of_a_constant_is_the_eager_error() -> None:
    """The slope given for v is log(c), so the recording computes log(-2)."""
    scaled = Primitive("scaled", lambda c, v: c * v, (None, lambda out, c, v: ops.log(c)))
    for compute in (lambda v: scaled(-2.0, v), lambda v: v / 0.0):

        def function(x: float, compute: Any = compute) -> Any:
            result = compute(w * x)
            result.backward()
            return result

        with pytest.raises((ValueError, ZeroDivisionError)) as eager:
            function(1.0)
        run = jit(function)
        for _ in range(3):
            with pytest.raises((ValueError, ZeroDivisionError)) as recorded:
                run(1.0)
            assert str(recorded.value) == str(eager.value)


# --- Values made inside ---------------------------------------------------------------------------


def test_a_value_created_inside_is_new_in_each_call() -> None:
    def function(x: float) -> Any:
        made = Value(0.5, "made")
        loss = made * x * w + made
        loss.backward()
        return made, made.grad, loss

    for backend in BACKENDS:
        run = jit(function, backend=backend)
        for x in (1.0, 2.0, 2.0, 3.0):
            made, slope, loss = run(x)
            assert (made.data, made.grad, float(slope)) == (0.5, 2.0 * x + 1.0, 2.0 * x + 1.0)
            assert loss.data == x + 0.5
            made.data = made.grad = 7.0  # the next call makes another
        assert run.programs[0].replays == 2


def test_returned_arrays_match_eager_ones_and_belong_to_the_caller() -> None:
    """They hold floats or ints, and writing into one does not affect later results."""
    run = jit(lambda x, n: (x * np.array([1.0, 2.0]), np.array([1, 2]) * n, np.array([w, w * x])))
    found = [(k, *run(1.5 * k, k)) for k in range(1, 6)]
    assert run.programs[0].replays == 3
    for k, floats, wholes, values in found:
        assert (floats.dtype, wholes.dtype, values.dtype) == (float, int, object)
        assert (floats.tolist(), wholes.tolist()) == ([1.5 * k, 3.0 * k], [k, 2 * k])
        floats += 1.0
        wholes += 1


def test_an_argument_can_be_turned_into_a_value() -> None:
    """`[list(map(Value, row)) for row in X]` is how micrograd's demo begins."""

    def make() -> Any:
        leaf = Value(2.0)

        def function(xs: list[float]) -> Any:
            return sum((leaf * x for x in map(Value, xs)), start=Value(0.0))

        return function, leaf

    same_or_refused(make, ([1.0, 2.0],), ([3.0, 4.0],), expected="replayed")


def test_a_matrix_of_numbers_created_inside_has_its_eager_gradients() -> None:
    def make() -> Any:
        leaf = Value(2.0)

        def function(rows: list[list[float]]) -> Any:
            X = nn.Matrix(rows)
            (X * X * leaf).sum().backward()
            return X.grad, nn.matrix.as_values(rows[0])[0].grad

        return function, leaf

    same_or_refused(make, ([[1.0, 2.0]],), ([[3.0, 4.0]],), expected="replayed")


def test_storing_a_result_outside_is_refused() -> None:
    def make() -> tuple[Any, Any]:
        box = SimpleNamespace(kept=None)

        def function(x: float) -> Value:
            box.kept = w * x
            return box.kept * 1.0

        return function, []

    same_or_refused(make, (1.0,), (2.0,), expected="refused")


def test_values_put_into_a_queue_become_ordinary_after_the_recording() -> None:
    box: Any = queue.SimpleQueue()

    def function(x: float) -> Value:
        box.put((w * x, x))
        return w * x

    run = jit(function, check="never")
    w.data, w.grad = 2.0, 0.0
    for x in (1.0, 2.0, 3.0):
        assert run(x).data == 2.0 * x
    assert box.qsize() == 2
    box.get()
    kept, number = box.get()
    assert kept.context.interpreter is (w * 2.0).context.interpreter
    assert (kept.data, float(kept), kept > 3.0, str(kept.data)) == (4.0, 4.0, True, "4.0")
    assert (number, number > 1.0, f"{number:.1f}", hash(number)) == (2.0, True, "2.0", hash(2.0))
    assert complex(number) == 2.0
    assert [f(number) for f in (ops.exp, ops.sqrt)] == [math.exp(2.0), math.sqrt(2.0)]
    (kept.sin() * number).backward()
    assert w.grad == math.cos(4.0) * 2.0 * 2.0
    another = jit(lambda x: number * x * w if number + 1.0 > 2.5 else x)  # a plain number there
    assert [another(1.0).data for _ in range(3)] == [4.0] * 3
    rule = nn.SGD([w], 0.1)
    step = jit(lambda gradient: rule.step([gradient]), check="never")
    w.data = 0.0
    for rule.lr in (number, number, 0.5):
        step(Value(1.0))
    assert w.data == -4.5


CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "a set": lambda v: {v},
    "a generator": lambda v: (x for x in [v]),
    "an iterator": lambda v: iter([v]),
    "a function": lambda v: lambda: v,
    "an object": lambda v: type("Thing", (), {"v": v})(),
    "a map": lambda v: map(abs, [v]),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_result_inside_an_opaque_container_is_refused(name: str) -> None:
    """Otherwise every replay would return the same object with an old number in it."""
    run = jit(lambda x: CONTAINERS[name](w * x))
    assert type(run(1.0)) is type(CONTAINERS[name](w)) or name == "an object"
    for _ in range(2):
        with pytest.raises(TraceError):
            run(1.0)


@pytest.mark.parametrize("thing", [3, "f", w])
def test_non_callables_are_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="jit takes a function, not"):
        jit(thing)


def test_generator_and_coroutine_functions_are_refused() -> None:
    def generating(x: float) -> Any:
        yield w * x

    async def later(x: float) -> Any:
        return w * x

    for function in (generating, later):
        with pytest.raises(TypeError):
            jit(function)(1.0)


# --- modes ----------------------------------------------------------------------------------------


def test_detect_anomaly_outside_checks_every_number() -> None:
    w.data = 2.0
    run = jit(lambda x: 1.0 / (w * x))
    assert [run(1.0).data for _ in range(3)] == [0.5] * 3
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"mul\(w = 2.0, 1e\+308\)"):
        run(1e308)
    assert run(1e308).data == 0.0


def test_detect_anomaly_inside_is_refused_while_recording() -> None:
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
    with pytest.raises(FloatingPointError):
        run(1e308)
    same_or_refused(make, (1.0,), (2.0,), expected="refused")


def test_calls_under_no_grad_use_a_separate_program() -> None:
    def function(x: float) -> Any:
        return w * x

    run, w.data = jit(function), 2.0
    for _ in range(3):
        with no_grad():
            inside = run(3.0)
            again = run(inside)  # a leaf, eagerly
            assert (inside.data, inside.parents, again.data) == (6.0, (), 12.0)
        assert run(3.0).data == 6.0
    assert [program.replays for program in run.programs] == [1, 1, 1]


def test_a_sum_under_no_grad_inside_a_call_has_no_history() -> None:
    def make() -> Any:
        leaves = [Value(2.0), Value(3.0), Value(4.0)]

        def function(x: float) -> Any:
            with no_grad():
                cut = weighted_sum(leaves, [Value(x), *leaves[:2]])
            (cut * leaves[0]).backward()
            return cut, len(cut.parents)

        return function, leaves

    same_or_refused(make, (1.0,), (3.0,), expected="replayed")


def test_backward_inside_a_call_under_no_grad() -> None:
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

    same_or_refused(make, (1.0,), (3.0,), expected="replayed")
