"""Are graphs of any depth pickled and copied completely, and do shared nodes stay shared?"""

from __future__ import annotations

import copy
import importlib
import io
import math
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nn
from autograd import Primitive, Value, ops, topological_order
from autograd.sums import weighted_sum
from autograd.value import constant

DEEP = 700  # steps of three nodes each: deeper than Python's recursion limit

Clone = Callable[[Any], Any]


def dumps_in_python(thing: Any) -> bytes:
    """Pickle with the implementation in Python, which shares no code with the one in C."""
    written = io.BytesIO()
    pickle._Pickler(written).dump(thing)  # type: ignore[attr-defined]
    return written.getvalue()


CLONES: dict[str, Clone] = {
    "deepcopy": copy.deepcopy,
    "pickle in Python": lambda x: pickle._loads(dumps_in_python(x)),  # type: ignore[attr-defined]
    **{
        f"pickle {protocol}": lambda x, p=protocol: pickle.loads(pickle.dumps(x, p))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}
every_clone = pytest.mark.parametrize("clone", CLONES.values(), ids=CLONES.keys())


def recurrence(steps: int, w: Value, x: Value) -> list[Value]:
    """Return all states h of h := tanh(w h + x)."""
    states = [x]
    for _ in range(steps):
        states.append((w * states[-1] + x).tanh())
    return states


def described(*outputs: Value) -> list[Any]:
    """Return everything about a graph except the identity of its nodes, to the last bit."""
    order = topological_order(*outputs)
    place = {node: i for i, node in enumerate(order)}
    return [
        (
            type(node).__name__,
            node.op,
            node.label,
            float(node.data).hex(),
            float(node.grad).hex(),
            [place[parent] for parent in node.parents],
            node.context.path() if node.context else None,
        )
        for node in order
    ]


@every_clone
def test_a_copy_of_a_deep_graph_equals_the_original(clone: Clone) -> None:
    w, x = Value(0.9, "w"), Value(0.1, "x")
    output = recurrence(DEEP, w, x)[-1]
    output.label = "h"
    output.backward()
    before = described(output)
    other = clone(output)
    assert described(other) == before == described(output)
    assert not set(topological_order(other)) & set(topological_order(output))
    gradients = [w.grad, x.grad]
    other.backward()
    leaves = {node.label: node for node in topological_order(other) if not node.op}
    # Leaves accumulate: a second pass doubles the copied gradients, exactly if the order is kept.
    assert [leaves["w"].grad, leaves["x"].grad] == [2 * g for g in gradients]
    assert [w.grad, x.grad] == gradients


@every_clone
def test_nodes_shared_by_several_values_are_shared_by_their_copies(clone: Clone) -> None:
    """L = a a + w with a = 3 w and w = 2: 38; dL/da = 12, dL/dw = 12 * 3 + 1 = 37."""
    w = Value(2.0, "w")
    a = 3.0 * w
    loss = a * a + w
    for order in ([w, a, loss], [loss, a, w], [a, loss, w]):
        copies = dict(zip(order, clone(order), strict=True))
        assert copies[a] in copies[loss].parents[0].parents
        copies[loss].backward()
        assert (copies[loss].data, copies[a].grad, copies[w].grad) == (38.0, 12.0, 37.0)
    assert w.grad == a.grad == 0.0


@every_clone
def test_a_node_used_as_both_operands_is_copied_once(clone: Clone) -> None:
    x = Value(3.0)
    inner = x + 1.0
    square = clone(inner * inner)
    assert square.parents[0] is square.parents[1]
    square.backward()
    assert square.parents[0].grad == 8.0


def test_each_state_of_a_recurrence_is_pickled_once() -> None:
    """Each state has all earlier ones as ancestors: repeating them would take 4 MB."""
    states = recurrence(DEEP, Value(0.9), Value(0.1))
    for given in (states, states[::-1]):
        for pickled in (pickle.dumps(given), dumps_in_python(given)):
            assert len(pickled) < 100 * 3 * DEEP
            others = pickle.loads(pickled)
            assert described(*others) == described(*given)


def test_a_recurrence_of_20_000_steps_is_copied() -> None:
    w, x = Value(0.9), Value(0.1)
    output = recurrence(20_000, w, x)[-1]
    numbers = [node.data for node in topological_order(output)]
    for clone in (CLONES["pickle 4"], copy.deepcopy):
        assert [node.data for node in topological_order(clone(output))] == numbers


def test_a_network_and_the_sum_of_200_losses_are_copied_together() -> None:
    nn.seed(0)
    model = nn.MLP(2, [8, 1], "tanh")
    losses = [(model([0.01 * i, 1.0 - 0.01 * i]) - 1.0) ** 2 for i in range(200)]
    total = sum(losses, Value(0.0))
    total.backward()
    before = [p.grad for p in model.parameters()]
    for clone in (pickle.loads, copy.deepcopy):
        given: Any = (model, total)
        other, loss = clone(pickle.dumps(given) if clone is pickle.loads else given)
        assert [p.grad for p in other.parameters()] == before
        assert loss.data == total.data
        other.zero_grad()
        loss.backward()
        assert [p.grad for p in other.parameters()] == before
        again = other([0.5, 0.5])
        assert again.data == model([0.5, 0.5]).data
    assert [p.grad for p in model.parameters()] == before


def test_nodes_of_a_copied_graph_belong_to_the_copied_modules() -> None:
    model = nn.MLP(2, [2, 1])
    output = model([1.0, 2.0])
    other, result = copy.deepcopy((model, output))
    assert result.context.owner is other.layers[1].neurons[0]
    assert result.context.path() == output.context.path() == "MLP.layers.1.neurons.0"


def test_a_module_that_stores_its_outputs_can_be_copied_from_module_or_output() -> None:
    """Node and module refer to each other, so copying either copies both."""
    model = Keeper()
    for _ in range(300):
        output = model(Value(1.0))
    for clone in (copy.deepcopy, CLONES["pickle 4"], CLONES["pickle in Python"]):
        other = clone(model)
        assert other.kept[-1].context.owner is other
        assert described(*other.kept) == described(*model.kept)
        result = clone(output)
        assert result.context.owner.kept[-1] is result
        assert described(*result.context.owner.kept) == described(*model.kept)


class Keeper(nn.Module):
    """Stores all its outputs, each computed from the one before."""

    def __init__(self) -> None:
        self.w = Value(1.01)
        self._kept: list[Value] = []

    @property
    def kept(self) -> list[Value]:
        return self._kept

    def __call__(self, x: Value) -> Value:
        self._kept.append(self.w * (self._kept[-1] if self._kept else x))
        return self._kept[-1]


@every_clone
def test_copying_does_not_unfold_a_weighted_sum(clone: Clone) -> None:
    weights = [Value(i + 1.0) for i in range(8)]
    inputs = [*recurrence(DEEP, Value(0.9), Value(0.1))[-7:], constant(2.0)]
    out = weighted_sum(weights, inputs, weights[0].tanh())
    other = clone(out)
    assert type(other._right) is type(out._right)
    assert (out._right.parts, other._right.parts) == (None, None)
    out.backward()
    other.backward()
    assert described(other) == described(out)


def test_shallow_copies_of_a_weighted_sum_share_its_unfolded_nodes() -> None:
    """`copy.copy` shares the operands, so unfolding one copy creates the nodes of both."""
    out = weighted_sum([Value(1.0)] * 1500, [Value(2.0)] * 1500)
    twin = copy.copy(out)
    assert out.parents == twin.parents
    twin = copy.copy(out)
    a, b = weighted_sum([Value(1.0)] * 1500, [Value(2.0)] * 1500), None
    b = copy.copy(a)
    assert a.parents
    for clone in (copy.deepcopy, CLONES["pickle in Python"]):
        other_a, other_b = clone([a, b])
        assert other_a.parents == other_b.parents
        assert clone(b).data == 3000.0


class Named(Value):
    """A subclass with a slot; `Noted` has a dictionary."""

    __slots__ = ("unit",)


class Noted(Value):
    pass


@every_clone
def test_copies_of_subclasses_keep_their_attributes(clone: Clone) -> None:
    named, noted = Named(2.0, "n"), Noted(3.0)
    named.unit, noted.note, noted.near = "m", "kept", named
    product = named * noted
    other = clone(product)
    left, right = other.parents
    assert (type(left), left.unit, left.label) == (Named, "m", "n")
    assert (type(right), right.note) == (Noted, "kept")
    assert right.near is left
    assert type(clone(Noted(1.0))) is Noted


def test_a_shallow_copy_has_the_same_parents() -> None:
    states = recurrence(DEEP, Value(0.9), Value(0.1))
    twin = copy.copy(states[-1])
    assert twin is not states[-1]
    assert (twin.parents, twin.data, twin.op) == (states[-1].parents, states[-1].data, "tanh")


# --- nested, alternating and concurrent pickles ---------------------------------------------------


class Inside(nn.Module):
    """Pickles another graph while it is being pickled."""

    def __init__(self, graph: Value) -> None:
        self.w = Value(1.0)
        self._graph = graph

    def __getstate__(self) -> dict[str, object]:
        return {"w": self.w, "_graph": pickle.dumps(self._graph)}

    def __call__(self, x: Value) -> Value:
        return self.w * x


def test_a_graph_can_be_pickled_while_another_is_pickled() -> None:
    deep = recurrence(DEEP, Value(0.9), Value(0.1))
    within = Inside(deep[-1])
    output = recurrence(DEEP, within(deep[DEEP // 2]), deep[-2])[-1]
    for clone in (copy.deepcopy, CLONES["pickle 4"], CLONES["pickle in Python"]):
        other = clone(output)
        assert described(other) == described(output)
    pickled = next(n for n in topological_order(other) if n.context and n.context.owner)
    assert described(pickle.loads(pickled.context.owner._graph)) == described(deep[-1])


def test_two_picklers_can_take_turns() -> None:
    states = recurrence(DEEP, Value(0.9), Value(0.1))
    files = [io.BytesIO(), io.BytesIO()]
    picklers = [pickle.Pickler(file) for file in files]
    for state in (states[1], states[DEEP // 2], states[-1]):
        for pickler in picklers:
            pickler.dump(state)
        assert described(pickle.loads(pickle.dumps(state))) == described(state)
    for file in files:
        file.seek(0)
        read = pickle.Unpickler(file)
        middle = [read.load() for _ in range(3)][1]
        assert described(middle) == described(states[DEEP // 2])


def test_a_failed_pickle_does_not_affect_the_next() -> None:
    deep = recurrence(DEEP, Value(0.9), Value(0.1))[-1]
    here = Primitive("here", lambda x: x, 1.0)
    for _ in range(2):
        with pytest.raises(pickle.PicklingError):
            pickle.dumps(here(deep) * deep)
        assert pickle.loads(pickle.dumps(deep)).data == deep.data


def test_threads_can_pickle_one_graph_at_the_same_time() -> None:
    output = recurrence(5_000, Value(0.9), Value(0.1))[-1]
    expected, found = pickle.dumps(output), []
    threads = [
        threading.Thread(target=lambda: found.append(pickle.dumps(output))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


# --- primitives -----------------------------------------------------------------------------------

cube = Primitive("x cubed", lambda x: x * x * x, lambda out, x: 3 * x * x)
arctan = Primitive("arctan", math.atan, lambda out, x: 1 / (1 + x * x))


@every_clone
@pytest.mark.parametrize("own", [cube, arctan])
def test_a_module_level_primitive_is_copied_by_reference(clone: Clone, own: Primitive) -> None:
    x = Value(2.0, "x")
    other = clone(own(own(x)) * x)
    assert other.parents[0].primitive is own
    assert clone(own) is own
    other.backward()
    assert described(other)[-1][1] == "mul"


def test_a_primitive_is_pickled_by_the_module_that_defines_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a module that imports it, since that may be a script."""
    (tmp_path / "my_operations.py").write_text(
        "from autograd import Primitive\ncube = Primitive('add', lambda x: x ** 3, lambda o, x: 3)"
        "\nimport math\natan = Primitive('atan', math.atan, lambda o, x: 1 / (1 + x * x))"
    )
    monkeypatch.syspath_prepend(tmp_path)
    user = ModuleType("user")
    monkeypatch.setitem(sys.modules, "user", user)  # before the module that it imports
    made = importlib.import_module("my_operations")
    script = sys.modules["__main__"]
    monkeypatch.setitem(sys.modules, "__mp_main__", script)  # as multiprocessing does
    monkeypatch.setattr(script, "a_cube", made.cube, raising=False)
    monkeypatch.setattr(script, "atan", made.atan, raising=False)
    monkeypatch.setattr(script, "own", own := Primitive("own", math.erf, 1.0), raising=False)
    user.a_cube = made.cube
    pickled = pickle.dumps(made.cube(Value(2.0)))
    assert b"my_operations" in pickled
    assert b"my_operations" in pickle.dumps(made.atan)  # though `math` has its forward function
    assert b"__main__" in pickle.dumps(own)
    assert pickle.loads(pickled).primitive is made.cube
    assert pickle.loads(pickle.dumps(Value(1.0) + 1.0)).primitive is ops.add
    del made.cube
    with pytest.raises(AttributeError, match="Primitive 'cube', which 'my_operations' lacks"):
        pickle.loads(pickled)


def test_a_local_primitive_can_be_copied_but_not_pickled() -> None:
    local = Primitive("local", lambda x: x * x, lambda out, x: 2 * x)
    y = local(Value(3.0))
    assert copy.copy(local) is local
    for other in (copy.deepcopy(y), copy.copy(y)):
        assert other.primitive is local
    other = copy.deepcopy(y)
    other.backward()
    assert other.parents[0].grad == 6.0
    message = r"Primitive 'local' cannot be pickled: .* define it at module level"
    for dumps in (pickle.dumps, dumps_in_python):
        with pytest.raises(pickle.PicklingError, match=message):
            dumps(y)
