"""Programs that keep numbers in containers of many kinds, or subclass them."""

from __future__ import annotations

import collections
import dataclasses
import enum
import heapq
import itertools
import types
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, numbers, programs

import nn
from autograd import Value


@fooling("containers", "loud")
def a_list_that_counts_its_appends() -> Case:
    class History(list[Any]):
        appended = 0

        def append(self, thing: Any) -> None:
            self.appended += 1
            super().append(thing)

    w, history = Value(2.0), History()

    def step(x: float) -> Any:
        out = w * x
        history.append(out.data)
        return out * history.appended

    return Case(step, observe=lambda: history)


@fooling("containers", "equal")
def a_list_with_its_own_getitem() -> Case:
    class Circular(list[Any]):
        def __getitem__(self, i: Any) -> Any:
            return super().__getitem__(i % len(self))

    weights = Circular([Value(1.0), Value(2.0), Value(4.0)])

    def change(call: int) -> None:
        if call == 5:
            weights.append(Value(8.0))

    return Case(lambda x: weights[3] * x + weights[-7], between=change, observe=lambda: weights)


@fooling("containers", "loud")
def a_default_dict_fills() -> Case:
    made = itertools.count(1)
    weights: defaultdict[int, Value] = defaultdict(lambda: Value(0.5 * next(made)))

    def step(x: float) -> Any:
        return weights[len(weights)] * x

    return Case(step, observe=lambda: dict(weights))


@fooling("containers", "equal")
def a_default_dict_fills_in_the_first_call() -> Case:
    weights: defaultdict[str, Value] = defaultdict(lambda: Value(0.5))

    def step(x: float) -> Any:
        loss = (weights["a"] * x - weights["b"]) ** 2
        loss.backward()
        for w in weights.values():
            w.data -= 0.1 * w.grad
            w.grad = 0.0
        return loss

    return Case(step, observe=lambda: dict(weights))


@fooling("containers", "loud")
def an_ordered_dict_is_reordered() -> Case:
    weights = OrderedDict(a=Value(1.0), b=Value(2.0), c=Value(4.0))

    def step(x: float) -> Any:
        weights.move_to_end(next(iter(weights)))
        return sum((w * x * i for i, w in enumerate(weights.values())), Value(0.0))

    return Case(step, observe=lambda: weights)


@fooling("containers", "equal")
def an_ordered_dict_is_reordered_between_calls() -> Case:
    weights = OrderedDict(a=Value(1.0), b=Value(2.0), c=Value(4.0))

    def change(call: int) -> None:
        if call == 5:
            weights.move_to_end("a")

    return Case(
        lambda x: sum((w * x * i for i, w in enumerate(weights.values())), Value(0.0)),
        between=change,
        observe=lambda: weights,
    )


@fooling("containers", "loud")
def a_counter_counts_classes() -> Case:
    w, counts = Value(2.0), Counter[str]()

    def step(x: float, label: str) -> Any:
        counts[label] += 1
        return w * x / counts[label]

    return Case(step, calls=[(x, "ab"[i % 2]) for i, (x,) in enumerate(numbers())])


@fooling("containers", "loud")
def a_queue_keeps_the_last_losses() -> Case:
    w, recent = Value(2.0), deque[Any](maxlen=3)

    def step(x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        recent.append(loss.data)
        return loss, sum(recent) / len(recent)

    return Case(step, observe=lambda: recent)


@fooling("containers", "loud")
def a_user_list_counts() -> Case:
    class Log(UserList[Any]):
        pass

    w, log = Value(2.0), Log([0])

    def step(x: float) -> Any:
        log[0] = log[0] + 1
        return w * x

    return Case(step, observe=lambda: log)


@fooling("containers", "equal")
def a_user_dict_with_lower_case_keys() -> Case:
    class Settings(UserDict[str, float]):
        def __getitem__(self, key: str) -> float:
            return super().__getitem__(key.lower())

    w, settings = Value(2.0), Settings(rate=0.5)

    def change(call: int) -> None:
        if call == 5:
            settings["rate"] = 0.25

    return Case(lambda x: w * x * settings["RATE"], between=change)


@fooling("containers", "equal")
def a_chain_of_maps_is_overridden() -> Case:
    defaults, given = {"rate": 0.5, "decay": 0.9}, dict[str, float]()
    w, settings = Value(2.0), ChainMap(given, defaults)

    def change(call: int) -> None:
        if call == 4:
            given["rate"] = 2.0

    return Case(lambda x: w * x * settings["rate"] + settings["decay"], between=change)


@fooling("containers", "equal")
def a_view_of_a_dict_shows_its_changes() -> Case:
    table = {"rate": 0.5}
    w, view = Value(2.0), types.MappingProxyType(table)

    def change(call: int) -> None:
        if call == 5:
            table["rate"] = 4.0

    return Case(lambda x: w * x * view["rate"], between=change)


@fooling("containers", "equal")
def a_method_of_a_list_and_one_of_a_dict() -> Case:
    rates, table = [0.5], {"rate": 0.25}
    w, of_index, of_name = Value(2.0), rates.__getitem__, table.get

    def change(call: int) -> None:
        if call == 4:
            rates[0] = 4.0
        if call == 6:
            table["rate"] = 8.0

    return Case(lambda x: w * x * of_index(0) + of_name("rate", 0.0), between=change)


@fooling("containers", "equal")
def a_special_method_of_a_deque_and_one_of_an_array() -> Case:
    rates, table = deque([0.5]), np.array([0.25])
    w, of_rates, of_table = Value(2.0), rates.__getitem__, table.__getitem__

    def change(call: int) -> None:
        if call == 4:
            rates[0] = 4.0
        if call == 6:
            table[0] = 8.0

    return Case(lambda x: w * x * of_rates(0) + float(of_table(0)), between=change)


@fooling("containers", "equal")
def a_user_defined_mapping() -> Case:
    class Scaled(Mapping[str, float]):
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __getitem__(self, key: str) -> float:
            return self.factor * len(key)

        def __iter__(self) -> Any:
            return iter(("a", "bb"))

        def __len__(self) -> int:
            return 2

    w, table = Value(2.0), Scaled(0.5)

    def change(call: int) -> None:
        if call == 5:
            table.factor = 3.0

    return Case(lambda x: w * x * table["a"] + sum(table.values()), between=change)


@fooling("containers", "equal")
def a_user_defined_sequence() -> Case:
    class Window(Sequence[Any]):
        def __init__(self, items: list[Any], start: int) -> None:
            self.items, self.start = items, start

        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: Any) -> Any:
            if not 0 <= i < 2:
                raise IndexError
            return self.items[self.start + i]

    window = Window([Value(1.0), Value(2.0), Value(4.0), Value(8.0)], 0)

    def change(call: int) -> None:
        if call == 6:
            window.start = 2

    return Case(
        lambda x: sum((w * x for w in window), Value(0.0)) - window.index(window[1]),
        between=change,
        observe=lambda: window,
    )


@fooling("containers", "equal")
def returns_named_tuples() -> Case:
    class Result(NamedTuple):
        loss: Any
        rate: float
        name: str = "train"

    w = Value(2.0)

    def step(x: float) -> Result:
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        return Result(loss, 0.5)

    return Case(step, observe=lambda: w)


@fooling("containers", "equal")
def is_passed_named_tuples() -> Case:
    Point = collections.namedtuple("Point", "x y")
    w = Value(2.0)
    return Case(lambda p: w * p.x - p.y, calls=[(Point(x, 1.0 - x),) for (x,) in numbers()])


@fooling("containers", "loud")
def returns_a_dataclass() -> Case:
    @dataclasses.dataclass
    class Result:
        loss: Any
        weights: list[Any]

    w = Value(2.0)

    def step(x: float) -> Result:
        return Result((w * x) ** 2, [w * 1.0])

    return Case(step)


@fooling("containers", "equal")
def a_frozen_dataclass_is_replaced() -> Case:
    @dataclasses.dataclass(frozen=True)
    class Config:
        rate: float = 0.5
        sizes: tuple[int, ...] = (1, 2)

    w, holder = Value(2.0), types.SimpleNamespace(config=Config())

    def change(call: int) -> None:
        if call == 5:
            holder.config = dataclasses.replace(holder.config, rate=1.5)

    return Case(lambda x: w * x * holder.config.rate, between=change)


@fooling("containers", "loud")
def a_dataclass_counts() -> Case:
    @dataclasses.dataclass(slots=True)
    class State:
        step: int = 0
        best: float = 1e9

        def __post_init__(self) -> None:
            self.step = 1

    w, state = Value(2.0), State()

    def step(x: float) -> Any:
        state.step += 1
        return w * x / state.step

    return Case(step, observe=lambda: state)


@fooling("containers", "equal")
def reads_an_enumeration() -> Case:
    class Mode(enum.Enum):
        TRAIN = 1.0
        TEST = 0.5

        def next(self) -> Mode:
            return Mode.TEST if self is Mode.TRAIN else Mode.TRAIN

    w = Value(2.0)
    return Case(lambda x: w * x * Mode.TRAIN.next().value + len(Mode))


@fooling("containers", "loud")
def a_heap_of_losses() -> Case:
    w = Value(2.0)
    heap: list[float] = []

    def step(x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        heapq.heappush(heap, loss.data)
        return loss, heap[0]

    return Case(step, observe=lambda: heap)


@fooling("containers", "equal")
def weights_in_a_set() -> Case:
    weights = frozenset([Value(1.0), Value(1.0)])

    def step(x: float) -> Any:
        loss = sum((w * x for w in weights), Value(0.0)) ** 2
        loss.backward()
        return loss

    return Case(step, observe=lambda: sorted(w.grad for w in weights))


@fooling("containers", "equal")
def weights_in_an_array_of_objects() -> Case:
    weights = np.array([[Value(0.5), Value(1.5)], [Value(-1.0), Value(2.0)]], dtype=object)

    def step(xs: Any) -> Any:
        loss = ((weights @ xs - 1.0) ** 2).sum()
        loss.backward()
        return loss

    calls = [(np.array([x, 1.0 - x]),) for (x,) in numbers()]
    return Case(step, calls=calls, observe=lambda: weights)


@fooling("containers", "equal")
def an_entry_of_an_array_of_objects_is_replaced() -> Case:
    weights = np.array([Value(0.5), Value(1.5)], dtype=object)

    def change(call: int) -> None:
        if call == 5:
            weights[1] = Value(-4.0)

    return Case(lambda x: (weights * x).sum(), between=change, observe=lambda: weights)


@fooling("containers", "equal")
def a_matrix_of_weights() -> Case:
    weights = nn.Matrix([[Value(0.5), Value(1.5)], [Value(-1.0), Value(2.0)]])

    def step(x: float) -> Any:
        out = weights @ nn.Matrix([[x], [1.0]])
        loss = nn.mean(out * out)
        loss.backward()
        return loss, out

    return Case(step, observe=lambda: weights)


@fooling("containers", "equal")
def an_entry_and_the_rows_of_a_matrix_are_replaced_and_kept_elsewhere() -> Case:
    weights = nn.Matrix([[Value(0.5), Value(1.5)], [Value(-1.0), Value(2.0)]])
    models = [weights, nn.Matrix([[3.0, 4.0]])]
    kept = [weights.rows, weights.rows[0][1]]  # as an optimizer keeps them

    def change(call: int) -> None:
        if call == 4:
            weights.rows[0][1] = Value(-4.0)
        if call == 7:
            weights.rows = [[Value(1.0), Value(-2.0)]]

    def step(x: float) -> Any:
        return sum(((model * x).sum() for model in models), Value(0.0))

    return Case(step, between=change, observe=lambda: (models, kept))


@fooling("containers", "equal")
def a_weight_in_a_nested_list_is_replaced() -> Case:
    layers: list[Any] = [[Value(0.5)], {"w": [Value(1.5), Value(2.5)]}]

    def change(call: int) -> None:
        if call == 4:
            layers[1]["w"][1] = Value(-1.0)
        if call == 8:
            layers[0].append(Value(0.25))

    def step(x: float) -> Any:
        return sum((w * x for w in [*layers[0], *layers[1]["w"]]), Value(0.0))

    return Case(step, between=change, observe=lambda: layers)


@fooling("containers", "equal")
def settings_in_an_array_of_floats() -> Case:
    w, rates = Value(2.0), np.array([0.5, 0.25])

    def change(call: int) -> None:
        if call == 4:
            rates[0] = 8.0

    return Case(lambda x: w * x * float(rates[0]), between=change)


@fooling("containers", "equal")
def the_shape_of_an_array_of_floats() -> Case:
    w, table = Value(2.0), np.arange(12.0).reshape(3, 4)

    def change(call: int) -> None:
        if call == 4:
            table.resize(4, 3)

    return Case(lambda x: w * x * float(table[1, 1]), between=change)


@fooling("containers", "equal")
def the_shape_of_an_array_of_values() -> Case:
    w, table = Value(2.0), np.array([[Value(0.5), Value(1.5)], [Value(-1.0), Value(2.0)]])

    def change(call: int) -> None:
        if call == 4:
            table.resize(1, 4)

    return Case(lambda x: w * x * table[0].sum(), between=change)


@fooling("containers", "equal")
def a_long_table_changes_near_its_end() -> Case:
    w, table = Value(2.0), [0.001 * i for i in range(5000)]

    def change(call: int) -> None:
        if call == 5:
            table[4321] = 7.0

    return Case(lambda x: w * x + table[4321], between=change)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
