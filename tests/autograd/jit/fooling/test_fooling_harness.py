"""Does the harness tell a correct jit from one that refuses, lies, tears or never replays?"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import fooling_harness
import pytest
from fooling_harness import Case, Fooling, outcome

from autograd import Value
from autograd.jit import TraceError

WEIGHTS: list[Value] = []


def make() -> Case:
    w = Value(2.0)
    WEIGHTS[:] = [w, Value(1.0)]
    lines: list[str] = []

    def step(x: float) -> Any:
        w.data += x
        lines.append("a step")
        return w * x

    return Case(step, observe=lambda: WEIGHTS, effects=lambda: list(lines))


class FakeJit:
    """Calls the function, or in call N the function given as `callN`."""

    def __init__(self, function: Any, replays: int, **special: Callable[..., Any]) -> None:
        self.function, self.special, self.calls = function, special, 0
        self.programs = [SimpleNamespace(replays=replays)]

    def __call__(self, x: float) -> Any:
        self.calls += 1
        return self.special.get(f"call{self.calls}", lambda run, x: run(x))(self.function, x)


def refuse(run: Any, x: float) -> Any:
    raise TraceError("no")


def doubt(run: Any, x: float) -> Any:
    raise TraceError("failed check: calls 5 to 9 are in doubt")


def refuse_after(run: Any, x: float) -> Any:
    run(x)
    raise TraceError("failed check")


def refuse_in_the_middle(run: Any, x: float) -> Any:
    WEIGHTS[0].data += 100.0
    raise TraceError("no")


def lie(run: Any, x: float) -> Any:
    return run(x) + 1.0


def other_type(run: Any, x: float) -> Any:
    return run(x).data


def forget_effect(run: Any, x: float) -> Any:
    WEIGHTS[0].data += x
    return WEIGHTS[0] * x


def crash(run: Any, x: float) -> Any:
    raise KeyError("inside")


@pytest.mark.parametrize(
    ("expected", "call", "replays", "special"),
    [
        ("equal", 10, 8, {}),
        ("eager", 10, 0, {}),
        ("effect", 4, 8, {"call4": forget_effect}),
        ("loud", 1, 8, {"call1": refuse}),
        ("loud", 3, 8, {"call3": refuse_after}),
        ("loud", 10, 8, {"call5": lie, "call10": doubt}),
        ("silent", 4, 8, {"call4": lie, "call10": doubt}),
        ("silent", 5, 8, {"call5": lie, "call10": refuse}),
        ("torn", 2, 8, {"call2": refuse_in_the_middle}),
        ("silent", 5, 8, {"call5": lie}),
        ("silent", 9, 8, {"call9": other_type}),
        ("silent", 3, 8, {"call3": lie, "call4": lie}),
        ("foreign", 6, 8, {"call6": crash}),
    ],
)
def test_each_kind_of_misbehaviour_is_classified(
    monkeypatch: pytest.MonkeyPatch,
    expected: str,
    call: int,
    replays: int,
    special: dict[str, Callable[..., Any]],
) -> None:
    monkeypatch.setattr(
        fooling_harness, "jitted", lambda function, *rest: FakeJit(function, replays, **special)
    )
    found = outcome(Fooling(make, "harness", "equal"))
    assert (found.name, found.call) == (expected, call)


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        (0.0, -0.0, False),
        (float("nan"), float("nan"), True),
        (1.0, 1, False),
        (True, 1, False),
        ([1.0], (1.0,), False),
        ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}, False),
        (Value(1.0), Value(1.0), True),
        (Value(1.0, "a"), Value(1.0), False),
        (Value(1.0), 1.0, False),
        (0.1 + 0.2, 0.3, False),
    ],
)
def test_snapshots_tell_apart_types_signs_order_and_labels(a: Any, b: Any, alike: bool) -> None:
    assert (fooling_harness.look(a) == fooling_harness.look(b)) is alike
