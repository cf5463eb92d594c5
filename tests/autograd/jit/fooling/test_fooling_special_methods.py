"""Programs that use an object whose special methods count: one program for each method."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
import operator
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

from autograd import Value


class Counting:
    """Counts how often one of its methods ran."""

    def __init__(self) -> None:
        self.n = 0

    def count(self, *others: Any) -> int:
        self.n += 1
        return self.n


def special(method: str, use: Callable[[Any], Any], answer: Any = None) -> Case:
    """A program that multiplies by what a special method gives: how often it ran, or an answer."""

    def run(self: Counting, *others: Any) -> Any:
        n = self.count()
        return n if answer is None else answer(n)

    w, thing = Value(1.5), type("Thing", (Counting,), {method: run})()
    return Case(lambda x: w * x * use(thing), observe=lambda: thing.n)


@fooling("dunders", "loud")
def hash_counts() -> Case:
    return special("__hash__", lambda thing: hash(thing) % 5)


@fooling("dunders", "loud")
def str_counts() -> Case:
    return special("__str__", lambda thing: float(str(thing)), str)


@fooling("dunders", "loud")
def format_counts() -> Case:
    return special("__format__", lambda thing: float(f"{thing:.2f}"), str)


@fooling("dunders", "loud")
def int_counts() -> Case:
    return special("__int__", int)


@fooling("dunders", "loud")
def round_counts() -> Case:
    return special("__round__", round)


@fooling("dunders", "loud")
def trunc_counts() -> Case:
    return special("__trunc__", math.trunc)


@fooling("dunders", "loud")
def ceil_counts() -> Case:
    return special("__ceil__", math.ceil)


@fooling("dunders", "loud")
def abs_counts() -> Case:
    return special("__abs__", abs)


@fooling("dunders", "loud")
def neg_counts() -> Case:
    return special("__neg__", lambda thing: -thing)


@fooling("dunders", "loud")
def invert_counts() -> Case:
    return special("__invert__", lambda thing: ~thing)


@fooling("dunders", "loud")
def pow_counts() -> Case:
    return special("__pow__", lambda thing: thing**2)


@fooling("dunders", "loud")
def sub_counts() -> Case:
    return special("__sub__", lambda thing: thing - 1)


@fooling("dunders", "loud")
def rtruediv_counts() -> Case:
    return special("__rtruediv__", lambda thing: 1 / thing)


@fooling("dunders", "loud")
def floordiv_and_mod_count() -> Case:
    return special("__floordiv__", lambda thing: thing // 2)


@fooling("dunders", "loud")
def matmul_counts() -> Case:
    return special("__matmul__", lambda thing: thing @ 2)


@fooling("dunders", "loud")
def lshift_counts() -> Case:
    return special("__lshift__", lambda thing: thing << 2)


@fooling("dunders", "loud")
def and_counts() -> Case:
    return special("__and__", lambda thing: thing & 2)


@fooling("dunders", "loud")
def iadd_counts() -> Case:
    def use(thing: Any) -> Any:
        thing += 1
        return thing

    return special("__iadd__", use)


@fooling("dunders", "loud")
def ne_counts() -> Case:
    return special("__ne__", lambda thing: 2.0 if thing != 0 else 1.0, lambda n: n % 2 == 0)


@fooling("dunders", "loud")
def ge_counts() -> Case:
    return special("__ge__", lambda thing: 2.0 if thing >= 0 else 1.0, lambda n: n > 2)


@fooling("dunders", "loud")
def delitem_counts() -> Case:
    def use(thing: Any) -> Any:
        del thing["key"]
        return thing.n

    return special("__delitem__", use)


@fooling("dunders", "loud")
def next_counts() -> Case:
    return special("__next__", next)


@fooling("dunders", "loud")
def length_hint_counts() -> Case:
    return special("__length_hint__", operator.length_hint)


@fooling("dunders", "loud")
def dir_counts() -> Case:
    return special("__dir__", lambda thing: len(dir(thing)), lambda n: ["a"] * n)


@fooling("dunders", "loud")
def fspath_counts() -> Case:
    return special("__fspath__", lambda thing: len(os.fspath(thing)), lambda n: "a" * n)


@fooling("dunders", "loud")
def bytes_count() -> Case:
    return special("__bytes__", lambda thing: len(bytes(thing)), bytes)


@fooling("dunders", "loud")
def complex_counts() -> Case:
    return special("__complex__", lambda thing: complex(thing).real, complex)


@fooling("dunders", "loud")
def array_counts() -> Case:
    return special("__array__", lambda thing: np.asarray(thing).item(), lambda n: np.array(n))


@fooling("dunders", "loud")
def sizeof_counts() -> Case:
    return special("__sizeof__", lambda thing: thing.__sizeof__())


@fooling("dunders", "loud")
def copy_counts() -> Case:
    return special("__copy__", copy.copy)


@fooling("dunders", "loud")
def deepcopy_counts() -> Case:
    return special("__deepcopy__", copy.deepcopy)


@fooling("dunders", "loud")
def reduce_counts() -> Case:
    return special(
        "__reduce__", lambda thing: pickle.loads(pickle.dumps(thing)), lambda n: (abs, (n,))
    )


@fooling("dunders", "loud")
def await_counts() -> Case:
    async def wait(thing: Any) -> Any:
        return await thing

    def answer(n: int) -> Any:
        yield from ()
        return n

    return special("__await__", lambda thing: asyncio.run(wait(thing)), answer)


@fooling("dunders", "loud")
def setattr_counts() -> Case:
    class Watching:
        n = 0

        def __setattr__(self, name: str, thing: Any) -> None:
            Watching.n += 1

    w, watching = Value(1.5), Watching()

    def step(x: float) -> Any:
        watching.rate = 1.0  # type: ignore[attr-defined]
        return w * x / Watching.n

    return Case(step, observe=lambda: Watching.n)


@fooling("dunders", "loud")
def delattr_counts() -> Case:
    class Watching:
        n = 0

        def __delattr__(self, name: str) -> None:
            Watching.n += 1

    w, watching = Value(1.5), Watching()

    def step(x: float) -> Any:
        del watching.rate  # type: ignore[attr-defined]
        return w * x / Watching.n

    return Case(step, observe=lambda: Watching.n)


@fooling("dunders", "loud")
def instancecheck_alternates() -> Case:
    class Moody(type):
        n = 0

        def __instancecheck__(cls, thing: object) -> bool:
            Moody.n += 1
            return Moody.n % 2 == 0

    class Kind(metaclass=Moody):
        pass

    w = Value(1.5)
    return Case(lambda x: w * x if isinstance(x, Kind) else w - x, observe=lambda: Moody.n)


@fooling("dunders", "loud")
def class_getitem_counts() -> Case:
    class Generic:
        n = 0

        def __class_getitem__(cls, key: Any) -> int:
            cls.n += 1
            return cls.n

    w = Value(1.5)
    return Case(lambda x: w * x * Generic[1], observe=lambda: Generic.n)


@fooling("dunders", "loud")
def set_name_counts() -> Case:
    class Named:
        n = 0

        def __set_name__(self, owner: type, name: str) -> None:
            Named.n += 1

    w = Value(1.5)

    def step(x: float) -> Any:
        type("Owner", (), {"named": Named()})
        return w * x / Named.n

    return Case(step, observe=lambda: Named.n)


@fooling("dunders", "loud")
def mro_entries_count() -> Case:
    class Base:
        n = 0

        def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
            Base.n += 1
            return (object,)

    w, base = Value(1.5), Base()

    def step(x: float) -> Any:
        class Derived(base):  # type: ignore[valid-type, misc]
            rate = 0.5

        return w * x * Derived.rate / Base.n

    return Case(step, observe=lambda: Base.n)


@fooling("dunders", "loud")
def a_stack_of_contexts_counts() -> Case:
    w, closed = Value(1.5), [0]

    def close() -> None:
        closed[0] += 1

    def step(x: float) -> Any:
        with contextlib.ExitStack() as stack:
            stack.callback(close)
            return w * x + closed[0]

    return Case(step, observe=lambda: closed)


@fooling("dunders", "equal")
def special_methods_that_only_compute() -> Case:
    class Vector:
        def __init__(self, *entries: Any) -> None:
            self.entries = entries

        def __len__(self) -> int:
            return len(self.entries)

        def __getitem__(self, i: int) -> Any:
            return self.entries[i]

        def __iter__(self) -> Any:
            return iter(self.entries)

        def __contains__(self, thing: object) -> bool:
            return any(thing is entry for entry in self.entries)

        def __bool__(self) -> bool:
            return bool(self.entries)

        def __call__(self, x: Any) -> Any:
            return sum((w * x for w in self), Value(0.0))

    a, b = Value(1.5), Value(0.5)
    weights = Vector(a, b)

    def step(x: float) -> Any:
        out = weights(x) + weights[0] * len(weights)
        return out if weights and a in weights else -out

    return Case(step, observe=lambda: (a, b))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
