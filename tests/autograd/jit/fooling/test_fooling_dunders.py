"""Programs whose classes define special methods: each may do more than it seems."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

from autograd import Value


class Counting:
    """Counts how often one of its methods ran."""

    def __init__(self) -> None:
        self.n = 0

    def count(self) -> int:
        self.n += 1
        return self.n


@fooling("dunders", "loud")
def call_counts() -> Case:
    class Scale(Counting):
        def __call__(self, z: Any) -> Any:
            return z * self.count()

    w, scale = Value(1.5), Scale()
    return Case(lambda x: scale(w * x), observe=lambda: scale)


@fooling("dunders", "loud")
def getitem_counts() -> Case:
    class Table(Counting):
        def __getitem__(self, key: str) -> float:
            return 1.0 / self.count()

    w, table = Value(1.5), Table()
    return Case(lambda x: w * x * table["rate"], observe=lambda: table)


@fooling("dunders", "loud")
def length_grows() -> Case:
    class Growing(Counting):
        def __len__(self) -> int:
            return self.count()

    w, growing = Value(1.5), Growing()
    return Case(lambda x: w * x / len(growing), observe=lambda: growing)


@fooling("dunders", "loud")
def iter_gives_another_batch() -> Case:
    class Batches(Counting):
        def __iter__(self) -> Iterator[float]:
            n = self.count()
            return iter([0.5 * n, 1.0 - n])

    w, batches = Value(1.5), Batches()
    return Case(lambda x: sum((w * x * y for y in batches), Value(0.0)), observe=lambda: batches)


@fooling("dunders", "loud")
def contains_remembers() -> Case:
    class Seen:
        def __init__(self) -> None:
            self.names: list[str] = []

        def __contains__(self, name: str) -> bool:
            self.names.append(name)
            return len(self.names) > 3

    w, seen = Value(1.5), Seen()
    return Case(lambda x: w * x if "a" in seen else w - x, observe=lambda: seen)


@fooling("dunders", "loud")
def bool_alternates() -> Case:
    class Alternating(Counting):
        def __bool__(self) -> bool:
            return self.count() % 2 == 0

    w, flag = Value(1.5), Alternating()
    return Case(lambda x: w * x if flag else w - x, observe=lambda: flag)


@fooling("dunders", "loud")
def eq_counts() -> Case:
    class Step(Counting):
        def __eq__(self, other: object) -> bool:
            return self.count() == other

        __hash__ = None  # type: ignore[assignment]

    w, now = Value(1.5), Step()
    return Case(lambda x: w * x * (2.0 if now == 3 else 1.0), observe=lambda: now.n)


@fooling("dunders", "loud")
def lt_counts() -> Case:
    class Step(Counting):
        def __lt__(self, other: int) -> bool:
            return self.count() < other

    w, now = Value(1.5), Step()
    return Case(lambda x: w * x * (0.1 if now < 3 else 1.0), observe=lambda: now)


@fooling("dunders", "loud")
def enter_and_exit_change_a_scale() -> Case:
    class Scaled:
        scale = 1.0

        def __enter__(self) -> float:
            self.scale *= 2.0
            return self.scale

        def __exit__(self, *error: object) -> None:
            self.scale -= 0.5

    w, scaled = Value(1.5), Scaled()

    def step(x: float) -> Any:
        with scaled as factor:
            return w * x * factor

    return Case(step, observe=lambda: scaled)


@fooling("dunders", "loud")
def missing_fills_a_dict() -> Case:
    class Weights(dict[str, Value]):
        def __missing__(self, name: str) -> Value:
            self[name] = Value(0.5 * (len(self) + 1), name)
            return self[name]

    weights = Weights()
    names = iter("abcdefghij")
    return Case(lambda x: weights[next(names)] * x, observe=lambda: weights)


@fooling("dunders", "equal")
def missing_fills_a_dict_in_the_first_call() -> Case:
    class Weights(dict[str, Value]):
        def __missing__(self, name: str) -> Value:
            self[name] = Value(0.5 * (len(self) + 1), name)
            return self[name]

    weights = Weights()

    def step(x: float) -> Any:
        loss = (weights["a"] * x + weights["b"] - 1.0) ** 2
        loss.backward()
        for w in weights.values():
            w.data -= 0.1 * w.grad
            w.grad = 0.0
        return loss

    return Case(step, observe=lambda: weights)


@fooling("dunders", "loud")
def float_decays() -> Case:
    class Rate(Counting):
        def __float__(self) -> float:
            return 0.5 ** self.count()

    w, rate = Value(1.5), Rate()
    return Case(lambda x: w * x * float(rate), observe=lambda: rate)


@fooling("dunders", "loud")
def index_counts() -> Case:
    class Position(Counting):
        def __index__(self) -> int:
            return self.count() % 3

    weights, at_ = [Value(1.0), Value(2.0), Value(4.0)], Position()
    return Case(lambda x: weights[at_] * x, observe=lambda: at_)


@fooling("dunders", "loud")
def add_and_radd_count() -> Case:
    class Noise(Counting):
        def __add__(self, other: Any) -> Any:
            return other + 0.5 * self.count()

        __radd__ = __add__

    w, noise = Value(1.5), Noise()
    return Case(lambda x: noise + w * x + noise, observe=lambda: noise)


@fooling("dunders", "equal")
def arithmetic_of_a_wrapper() -> Case:
    class Pair:
        def __init__(self, a: Any, b: Any) -> None:
            self.a, self.b = a, b

        def __mul__(self, other: Any) -> Pair:
            return Pair(self.a * other, self.b * other)

        def __rsub__(self, other: Any) -> Pair:
            return Pair(other - self.a, other - self.b)

        def __matmul__(self, other: Pair) -> Any:
            return self.a * other.a + self.b * other.b

        def __neg__(self) -> Pair:
            return Pair(-self.a, -self.b)

        def __abs__(self) -> Any:
            return (self @ self) ** 0.5

    pair = Pair(Value(1.5), Value(-0.5))
    return Case(lambda x: abs(-(1.0 - pair * x)) + pair @ pair, observe=lambda: pair)


@fooling("dunders", "loud")
def setitem_normalizes() -> Case:
    class Normalized(dict[str, float]):
        def __setitem__(self, key: str, number: float) -> None:
            super().__setitem__(key, number / (1 + len(self)))

    w, table = Value(1.5), Normalized()

    def step(x: float) -> Any:
        table["rate"] = 1.0
        table[f"old {len(table)}"] = 2.0
        return w * x * table["rate"]

    return Case(step, observe=lambda: table)


@fooling("dunders", "loud")
def del_counts() -> Case:
    freed = [0]

    class Temporary:
        def __del__(self) -> None:
            freed[0] += 1

    w = Value(1.5)

    def step(x: float) -> Any:
        Temporary()
        return w * x + freed[0]

    return Case(step, observe=lambda: freed)


@fooling("dunders", "loud")
def repr_counts() -> Case:
    class Named(Counting):
        def __repr__(self) -> str:
            return f"n{self.count()}"

    w, named = Value(1.5), Named()
    return Case(lambda x: (w * x, repr(named)), observe=lambda: named.n)


@fooling("dunders", "loud")
def new_counts_instances() -> Case:
    class Single:
        made: ClassVar[list[Any]] = []

        def __new__(cls) -> Any:
            made = super().__new__(cls)
            cls.made.append(made)
            return made

    w = Value(1.5)

    def step(x: float) -> Any:
        Single()
        return w * x * len(Single.made)

    return Case(step, observe=lambda: len(Single.made))


@fooling("dunders", "loud")
def init_subclass_registers() -> Case:
    registry: list[str] = []

    class Base:
        def __init_subclass__(cls) -> None:
            registry.append(cls.__name__)

    w = Value(1.5)

    def step(x: float) -> Any:
        type("Part", (Base,), {})
        return w * x * len(registry)

    return Case(step, observe=lambda: registry)


@fooling("dunders", "equal")
def reversed_and_length_of_a_container() -> Case:
    @functools.total_ordering
    class Layers:
        def __init__(self) -> None:
            self.inner = [Value(0.5), Value(-1.0)]

        def __len__(self) -> int:
            return len(self.inner)

        def __reversed__(self) -> Iterator[Value]:
            return reversed(self.inner)

        def __lt__(self, other: object) -> bool:
            return False

    layers = Layers()

    def step(x: float) -> Any:
        out = Value(0.0)
        for w in reversed(layers):
            out = out * x + w
        return out * len(layers)

    def grow(call: int) -> None:
        if call == 5:
            layers.inner.append(Value(2.0))

    return Case(step, between=grow, observe=lambda: layers.inner)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
