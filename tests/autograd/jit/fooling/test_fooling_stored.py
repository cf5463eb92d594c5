"""Programs that set what they never read; other code sets it back between calls."""

from __future__ import annotations

import types
from typing import Any

import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

from autograd import Value

IS_SEEN = False


@fooling("stored", "equal")
def sets_a_global() -> Case:
    global IS_SEEN
    IS_SEEN = False
    w = Value(2.0)

    def step(x: float) -> Any:
        global IS_SEEN
        IS_SEEN = True
        return w * x

    def between(call: int) -> None:
        global IS_SEEN
        IS_SEEN = call != 5

    return Case(step, observe=lambda: IS_SEEN, between=between)


@fooling("stored", "equal")
def sets_a_variable_of_the_enclosing_function() -> Case:
    w, is_seen = Value(2.0), False

    def step(x: float) -> Any:
        nonlocal is_seen
        is_seen = True
        return w * x

    def between(call: int) -> None:
        nonlocal is_seen
        is_seen = call != 5

    return Case(step, observe=lambda: is_seen, between=between)


def sets_an_attribute(set_it: Any) -> Case:
    w, box = Value(2.0), types.SimpleNamespace(seen=False)
    set_in_box = set_it(box)

    def step(x: float) -> Any:
        set_in_box()
        return w * x

    return Case(step, observe=lambda: box, between=lambda call: vars(box).update(seen=call != 5))


@fooling("stored", "equal")
def sets_an_attribute_of_a_cell() -> Case:
    def setter(box: Any) -> Any:
        def set_it() -> None:
            box.seen = True

        return set_it

    return sets_an_attribute(setter)


@fooling("stored", "equal")
def sets_an_attribute_that_other_objects_have_too() -> Case:
    w, monitor = [Value(2.0)], types.SimpleNamespace(grad=0.0)

    def step(x: float) -> Any:
        for p in w:
            p.grad = 0.0
        loss = w[0] * x
        loss.backward()
        return loss, bool(monitor)

    return Case(step, observe=lambda: w[0].grad, between=lambda c: setattr(monitor, "grad", c))


@fooling("stored", "equal")
def sets_an_attribute_of_self() -> Case:
    class Box:
        seen = False

        def see(self) -> None:
            self.seen = True

    w, box = Value(2.0), Box()

    def step(x: float) -> Any:
        box.see()
        return w * x

    return Case(step, observe=lambda: box.seen, between=lambda c: setattr(box, "seen", c != 5))


@fooling("stored", "equal")
def sets_an_attribute_of_a_class() -> Case:
    class Box:
        seen = False

    w = Value(2.0)

    def step(x: float) -> Any:
        Box.seen = True
        return w * x

    return Case(step, observe=lambda: Box.seen, between=lambda c: setattr(Box, "seen", c != 5))


@fooling("stored", "equal")
def sets_an_entry() -> Case:
    w, table = Value(2.0), {"seen": False}

    def step(x: float) -> Any:
        table["seen"] = True
        return w * x

    return Case(step, observe=lambda: table, between=lambda c: table.update(seen=c != 5))


@fooling("stored", "equal")
def deletes_an_entry() -> Case:
    w, table = Value(2.0), {}

    def step(x: float) -> Any:
        table.pop("seen", None)
        return w * x

    return Case(
        step,
        observe=lambda: table,
        between=lambda call: table.update(seen=True) if call == 5 else None,
    )


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
