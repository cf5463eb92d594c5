"""Module: where parameters are found, what is saved, and what a file restores."""

import collections
import copy
import dataclasses
import functools
import gc
import inspect
import itertools
import json
import math
import os
import pickle
import random
import struct
import threading
import types
import weakref
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

import nn
from autograd import Value, detect_anomaly, jit, no_grad
from autograd.hooks import TraceError
from autograd.value import as_constant
from nn import Matrix, Module


class Box(Module):
    """A module with the given attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def names(module):
    return [name for name, _ in module.named_parameters()]


def bits(state):
    return {name: struct.pack("<d", number) for name, number in state.items()}


# --- parameters -----------------------------------------------------------------------------------


def test_parameters_are_named_by_their_path():
    model = nn.MLP(2, [16, 16, 1])
    parameters = dict(model.named_parameters())
    assert len(parameters) == len(model.parameters()) == 337
    assert parameters["layers.0.neurons.3.w.1"] is model.layers[0].neurons[3].w[1]
    assert list(parameters)[:4] == [
        "layers.0.neurons.0.w.0",
        "layers.0.neurons.0.w.1",
        "layers.0.neurons.0.b",
        "layers.0.neurons.1.w.0",
    ]


def test_modules_are_named_by_their_path():
    model = nn.MLP(2, [1])
    (layer,) = model.layers
    (neuron,) = layer.neurons
    named = [("", model), ("layers.0", layer), ("layers.0.neurons.0", neuron)]
    assert list(model.named_modules()) == named


def test_parameters_are_found_in_lists_tuples_dicts_matrices_and_modules():
    box = Box(
        a=Value(0.0),
        b=[Value(1.0), (Value(2.0), [Value(3.0)])],
        c={"x": Value(4.0), "y": {"z": Value(5.0)}},
        d=Matrix([[6, 7], [8, 9]]),
        e=[Box(f=Value(10.0))],
    )
    assert names(box) == [
        *["a", "b.0", "b.1.0", "b.1.1.0", "c.x", "c.y.z"],
        *["d.0.0", "d.0.1", "d.1.0", "d.1.1", "e.0.f"],
    ]
    assert [p.data for p in box.parameters()] == [float(i) for i in range(11)]


@dataclasses.dataclass
class Pair:
    first: Value
    second: list
    _hidden: object = None
    unset: object = dataclasses.field(init=False)


@dataclasses.dataclass(frozen=True)
class Frozen:
    w: Value


@dataclasses.dataclass(slots=True)
class Slotted:
    w: Value


class WithSlots(Module):
    __slots__ = ("_hidden", "unset", "w")

    def __init__(self, w):
        self.w, self._hidden = w, Value(3.0)


class Named(NamedTuple):
    w: Value
    b: Value


def kept_in(make):
    """A container of the Values 1 and 2, in this order."""
    return make(Value(1.0), Value(2.0))


CONTAINERS = {
    "object array": (lambda a, b: np.array([a, b]), ["w.0", "w.1"]),
    "object array of two axes": (lambda a, b: np.array([[a, b]]), ["w.0.0", "w.0.1"]),
    "object array without axes": (lambda a, b: [np.array(a), np.array(b)], ["w.0", "w.1"]),
    "array of lists": (lambda a, b: array_of([[a], [b]]), ["w.0.0", "w.1.0"]),
    "dict of tuples": (lambda a, b: {"x": (a,), 3: (b,)}, ["w.x.0", "w.3.0"]),
    "dataclass": (lambda a, b: Pair(a, [b], Value(3.0)), ["w.first", "w.second.0"]),
    "frozen dataclass": (lambda a, b: (Frozen(a), Frozen(b)), ["w.0.w", "w.1.w"]),
    "dataclass with slots": (lambda a, b: [Slotted(a), Slotted(b)], ["w.0.w", "w.1.w"]),
    "named tuple": (Named, ["w.0", "w.1"]),
    "deque": (lambda a, b: collections.deque([a, b]), ["w.0", "w.1"]),
    "UserList": (lambda a, b: collections.UserList([a, b]), ["w.0", "w.1"]),
    "OrderedDict": (lambda a, b: collections.OrderedDict(z=a, y=b), ["w.z", "w.y"]),
    "defaultdict": (lambda a, b: collections.defaultdict(list, x=[a, b]), ["w.x.0", "w.x.1"]),
    "UserDict": (lambda a, b: collections.UserDict(x=a, y=b), ["w.x", "w.y"]),
    "mapping proxy": (lambda a, b: types.MappingProxyType({"x": a, "y": b}), ["w.x", "w.y"]),
    "view of values": (lambda a, b: {"x": a, "y": b}.values(), ["w.0", "w.1"]),
    "view of items": (lambda a, b: {"x": a, "y": b}.items(), ["w.0.1", "w.1.1"]),
    "module with slots": (lambda a, b: [WithSlots(a), WithSlots(b)], ["w.0.w", "w.1.w"]),
    "namespace": (lambda a, b: types.SimpleNamespace(x=a, _z=Value(3.0), y=b), ["w.x", "w.y"]),
}
IMMUTABLE = [
    "view of values",
    "view of items",
    "frozen dataclass",
    "named tuple",
    "mapping proxy",
    "dict of tuples",
]


def array_of(parts):
    made = np.empty(len(parts), dtype=object)
    made[:] = parts
    return made


@pytest.mark.parametrize("kind", CONTAINERS)
def test_parameters_are_found_in_every_ordered_container_in_its_order(kind):
    make, expected = CONTAINERS[kind]
    box = Box(before=Value(0.0), w=kept_in(make), after=nn.Sequential(Box(v=Value(3.0))))
    assert names(box) == ["before", *expected, "after.parts.0.v"]
    assert [p.data for p in box.parameters()] == [0.0, 1.0, 2.0, 3.0]
    other = Box(before=Value(9.0), w=kept_in(make), after=nn.Sequential(Box(v=Value(9.0))))
    other.load_state_dict(box.state_dict())
    assert other.state_dict() == box.state_dict()


@pytest.mark.parametrize("kind", CONTAINERS)
def test_parameters_are_replaced_in_mutable_containers_only(kind):
    make, expected = CONTAINERS[kind]
    box = Box(w=kept_in(make))
    slots, new = box.parameters(), Value(7.0)
    if kind in IMMUTABLE:
        with pytest.raises(TypeError, match=rf"{expected[1]} is kept in a \w+ and cannot"):
            slots[1] = new
        assert [p.data for p in box.parameters()] == [1.0, 2.0]
    elif kind == "object array without axes":
        slots[1] = new
        assert box.w[1][()] is new
    else:
        slots[1] = new
        assert box.parameters()[1] is slots[1] is new
        assert names(box) == expected


NOT_OF_MODULES = ("object array without axes", "module with slots")


@pytest.mark.parametrize("kind", [k for k in CONTAINERS if k not in NOT_OF_MODULES])
def test_modules_are_found_in_every_ordered_container(kind):
    make, _ = CONTAINERS[kind]
    parts = nn.Dropout(), nn.Dropout()
    box = Box(w=make(*parts)).eval()
    assert list(box.modules()) == [box, *parts]
    assert not any(part.training for part in parts)


def test_each_of_several_views_of_items_is_searched():
    tables = [{"x": nn.Neuron(1), "y": nn.Neuron(1)} for _ in range(3)]
    box = Box(a=tables[0].items(), b=tables[1].items(), c=tables[2].items())
    assert len(box.parameters()) == 12
    assert list(box.modules()) == [box, *[part for table in tables for part in table.values()]]


def test_arrays_of_numbers_hold_no_parameters():
    assert names(Box(a=np.ones((2, 3)), b=np.array(["x"]), w=Value(1.0))) == ["w"]


@pytest.mark.parametrize("kind", [set, frozenset])
def test_values_in_a_set_are_refused_unless_they_are_found_elsewhere(kind):
    for parts in ([Value(1.0)], [(0.5, Value(1.0))], [nn.Neuron(1)]):
        box = Box(part=Box(tags={"a", "b"}, w=kind(parts)))
        with pytest.raises(TypeError, match=rf"part\.w is a {kind.__name__} of Values.*use a list"):
            box.parameters()
    w = Value(1.0)
    assert names(Box(chosen=kind([w]), w=w, _hidden={Value(2.0)})) == ["w"]


class Part:
    """A user-defined class that is not a Module."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class SlottedPart:
    __slots__ = ("w",)


def slotted():
    part = SlottedPart()
    part.w = Value(1.0)
    return part


class Foreign:
    """A module of another library."""

    def __init__(self):
        self.layers = [Part(w=Value(1.0))]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Part(w=Value(1.0)),
        lambda: Part(w=[Value(1.0)]),
        lambda: Part(w={"x": [(Value(1.0),)]}),
        lambda: Part(log=[0.5, 0.25], w=[0.5, [Value(1.0)]]),
        lambda: Part(inner=Part(inner=Part(w=Value(1.0)))),
        lambda: Part(f=functools.partial(max, Value(1.0)), s={Value(2.0)}),
        lambda: Part(layer=nn.Neuron(1)),
        lambda: [Part(w=Value(1.0))],
        lambda: functools.partial(max, Value(1.0)),
        lambda: functools.partial(nn.Neuron(1), [1.0]),
        lambda: nn.Neuron(1).__call__,
        lambda: Value(1.0).__mul__,
        slotted,
        Foreign,
    ],
)
def test_values_in_an_object_that_is_not_a_module_are_refused(make):
    box = Box(part=make())
    with pytest.raises(TypeError, match=r"part.* is a \w+, not a Module"):
        box.parameters()
    several = Box(parts=[Part(n=1.0), {"x"}, Part(n=2.0), make(), Part(n=3.0)])
    with pytest.raises(TypeError, match=r"parts\.3.*derive its class from nn\.Module"):
        several.parameters()


ITERATORS = [
    lambda parts: map(abs, parts),
    lambda parts: zip(parts, strict=True),
    lambda parts: filter(None, parts),
    enumerate,
    reversed,
    iter,
    itertools.chain,
    lambda parts: iter(dict(enumerate(parts)).values()),
    lambda parts: (part for part in parts),
]


@pytest.mark.parametrize("make", ITERATORS)
def test_an_iterator_is_refused_and_not_consumed(make):
    part = nn.Neuron(1)
    box = Box(parts=[make([part])])
    with pytest.raises(TypeError, match=r"parts\.0 is an iterator .*make it a list, or"):
        box.parameters()
    box = Box(_parts=make([1.0]), w=Value(1.0))
    assert names(box) == ["w"]
    assert len(list(box._parts)) == 1


def test_files_and_counters_are_ignored(tmp_path):
    with open(tmp_path / "log", "w") as file:
        assert names(Box(log=file, ids=itertools.count(), w=Value(1.0))) == ["w"]


@pytest.mark.parametrize("key", [Value(1.0), nn.Neuron(1), (Value(1.0), "x")])
def test_values_among_the_keys_of_a_dict_are_refused(key):
    with pytest.raises(TypeError, match="table is a dict with Values among its keys: use a list"):
        Box(table={"x": 1.0, key: 2.0}).parameters()
    w = Value(1.0)
    assert names(Box(w=w, velocity={w: 0.5})) == ["w"]  # found elsewhere


@pytest.mark.parametrize("part", [Value(2.0), [Value(2.0)], nn.Neuron(1)])
def test_parameters_as_class_attributes_are_refused(part):
    class Shared(Module):
        w = part
        size, f, names = 3, staticmethod(abs), ("x",)

    class Derived(Shared):
        pass

    class Overridden(Shared):
        w = None

    for model, name in ((Shared(), "w"), (Derived(), "w"), (Box(inner=Derived()), r"inner\.w")):
        with pytest.raises(TypeError, match=rf"^{name} belongs to the class \w+.*in __init__"):
            model.parameters()
    model = Shared()
    model.w = Value(1.0)
    assert names(model) == ["w"]
    assert names(Overridden()) == []


def test_an_object_of_a_script_without_a_name_is_searched():
    namespace = {"Value": Value}
    exec("class Part:\n    def __init__(self): self.w = Value(1.0)", namespace)
    with pytest.raises(TypeError, match=r"^part is a Part, not a Module"):
        Box(part=namespace["Part"]()).parameters()
    assert names(Box(part=ExceptionGroup("", [ValueError()]), kind=print)) == []


def test_a_class_attribute_that_becomes_a_parameter_later_is_refused():
    class Growing(Module):
        parts: ClassVar[list[Value]] = []

    model = Growing()
    assert names(model) == []
    Growing.parts.append(Value(1.0))
    with pytest.raises(TypeError, match=r"^parts belongs to the class Growing"):
        model.parameters()
    Growing.parts = []
    assert names(model) == []
    Growing.scale = Value(1.0)
    with pytest.raises(TypeError, match=r"^scale belongs to the class Growing"):
        model.parameters()


def test_a_search_does_not_keep_a_class_or_what_its_methods_refer_to():
    def searched():
        class Plain:
            __slots__ = ("__weakref__", "x")

        class Model(Module):
            def __init__(self):
                self.w, self.plain = Value(1.0), Plain()

            def __call__(self, x):
                return self.w * x

        model = Model()
        assert names(model) == ["w"]
        assert [name for name, _ in model.named_modules()] == [""]
        return weakref.ref(Model), weakref.ref(Plain)

    gone = searched()
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_dataclass_may_have_defaults():
    @dataclasses.dataclass(eq=False)
    class Model(Module):
        w: Value = dataclasses.field(default_factory=lambda: Value(1.0))
        b: Value = Value(2.0)  # noqa: RUF009

    assert names(Model()) == ["w", "b"]


def test_the_constructor_of_a_dataclass_is_wrapped_once():
    @dataclasses.dataclass(eq=False)
    class Model(Module):
        size: int

    class Wider(Model):
        pass

    wrapped = [type(kind(1)).__init__ for kind in (Model, Wider, Model, Wider)]
    assert wrapped[:2] == wrapped[2:]


def test_a_dataclass_is_hashed_by_identity():
    @dataclasses.dataclass
    class Model(Module):
        size: int

    model = Model(1)
    assert hash(model) == object.__hash__(model)


def test_a_class_of_modules_keeps_a_hash_of_its_own():
    class Model(Module):
        def __hash__(self):
            return 7

    assert hash(Model()) == 7


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_module_with_slots_keeps_their_content(clone):
    model = WithSlots(Value(4.0))
    model.b = Value(5.0)
    copied = clone(model)
    assert copied.state_dict() == model.state_dict() == {"w": 4.0, "b": 5.0}
    assert copied._hidden.data == 3.0
    assert copied.w is not model.w


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": Value(0.0), "w": {1: Value(1.0), "1": Value(2.0)}},
        {"w": {"1": Value(1.0), "x": 0.0, 1: Value(2.0)}},
        {"w": {"1": {"x": Value(1.0)}, "1.x": Value(2.0)}, "v": Value(3.0)},
    ],
)
def test_two_parameters_with_the_same_name_are_refused(attributes):
    model = Box(**attributes)
    for call in (model.parameters, model.state_dict):
        with pytest.raises(ValueError, match=r"two Values have the name w\.1"):
            call()


def test_objects_without_new_parameters_are_ignored():
    loop = []
    loop.append(loop)
    chain = Part(w=0.5)
    for _ in range(10_000):
        chain = Part(next=chain)
    model = Box(w=Value(1.0), chain=chain)
    model.trainer = Part(model=model, weights=[model.w], log=[0.5], loop=loop)
    model.optimizer = nn.Adam([model.w], lr=Value(0.1))
    model.f, model.g = functools.partial(max, model.w), model.state_dict
    model.best = Part(loss=nn.mse([model.w], [1.0]), out=model.w * 2, _w=Value(1.0))
    model.stream, model.path, model.kind = random.Random(), Path("x"), Part
    assert names(model) == ["w"]


# --- which Values are parameters ------------------------------------------------------------------


class Keeper(Module):
    """Keeps what it computes in every possible way."""

    buffers = ("count", "mean")

    def __init__(self):
        self.w, self.outputs, self.count = Value(3.0), [], Value(0.0)

    def __call__(self, x):
        out = self.w * x
        self.cached, self.last, self.made = out, out.detach(), Value(1.0, "made")
        self.outputs.append(out.detach())
        with no_grad():
            self.average = out * 0.5
        self.mean = out * 0.1
        return out


def test_results_that_a_call_keeps_are_not_parameters():
    model = Keeper()
    model(2.0)
    assert names(model) == ["w"]
    assert model.state_dict() == {"w": 3.0, "count": 0.0, "mean": pytest.approx(0.6)}
    assert nn.l2(1.0)(model).data == nn.l2(1.0)(model.parameters()).data == 9.0
    with pytest.raises(TypeError, match=r"^model must be a Module, model\.parameters\(\), or"):
        nn.l2(1.0)(nn.MLP)
    model.last.label = "last"  # a label changes nothing
    assert names(model) == ["w"]


def test_results_of_no_grad_or_a_loss_are_not_parameters():
    model = Box(w=Value(3.0))
    with no_grad():
        model.average, model.made = model.w * 0.5, Value(1.0)
    with detect_anomaly(), no_grad():
        model.other = [model.w + 1.0]
    model.loss = nn.mse([model.w], [1.0])
    model.constant = as_constant(1.0)
    assert names(model) == ["w"]


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_the_parameters_of_the_original_even_under_no_grad(clone):
    model = Keeper()
    model(2.0)
    del model.cached, model.mean  # so that the copy has no graph
    copies = [clone(model)]
    with no_grad():
        copies.append(clone(model))
    for copied in copies:
        assert names(copied) == ["w"]
        copied(1.0)
        assert names(copied) == ["w"]


def test_values_made_by_a_constructor_are_parameters_wherever_it_is_called():
    @dataclasses.dataclass
    class Scale(Module):
        w: Value = dataclasses.field(default_factory=lambda: Value(1.0))

    class Mixin:
        def __init__(self):
            self.v = Value(2.0)

    class Mixed(Mixin, Module):
        pass

    class Lazy(Module):
        parts = None

        def __call__(self, x):
            if self.parts is None:
                self.parts = [nn.Linear(1, 1), Scale(), Mixed(), nn.Neuron(1)]
            return x

    model = Lazy()
    with no_grad():
        model.early = nn.Neuron(1)
        model(1.0)
    assert names(model) == [
        *[
            "early.w.0",
            "early.b",
            "parts.0.weights.0.0",
            "parts.0.bias.0",
            "parts.1.w",
            "parts.2.v",
        ],
        *["parts.3.w.0", "parts.3.b"],
    ]


def test_a_mixin_keeps_its_own_constructor():
    class Mixin:
        def __init__(self):
            self.train = "a freight train"

    class Mixed(Mixin, Module):
        pass

    with pytest.raises(TypeError, match="the attribute train hides the method"):
        Mixed()
    assert Mixin().train == "a freight train"


def test_results_of_no_grad_or_a_call_in_a_constructor_are_not_parameters():
    class Calls(Module):
        def __init__(self):
            self.part = Keeper()
            self.part(1.0)
            with no_grad():
                self.average = Value(1.0)
            self.start = self.part(1.0).detach()

    assert names(Calls()) == ["part.w", "start"]


def test_results_in_a_constructor_that_runs_under_no_grad_are_not_parameters():
    class Computes(Module):
        def __init__(self):
            self.w = Value(3.0)
            self.double, self.square = self.w * 2.0, nn.matrix.dot([self.w], [self.w])

    with no_grad():
        model = Computes()
    assert names(model) == ["w"]


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: [w], lambda w: {"x": (w,)}])
def test_the_error_for_a_computed_parameter_says_what_to_write(wrap):
    class Scaled(Module):
        def __init__(self, finish=lambda w: w):
            self.b, self.w = Value(0.0), wrap(finish(Value(3.0) * 0.1))

    model = Scaled()
    message = r"^w(\.0|\.x\.0)? is the result of mul.*\.detach\(\) or Value\("
    for use in (model.parameters, model.zero_grad, model.state_dict, lambda: nn.SGD(model, 0.1)):
        with pytest.raises(ValueError, match=message):
            use()
    for finish in (Value.detach, lambda w: Value(w.data)):
        assert [p.data for p in Scaled(finish).parameters()] == [0.0, 3.0 * 0.1]
    with detect_anomaly(), pytest.raises(ValueError, match=message):
        Scaled().parameters()
    outside = Box(w=wrap(Value(3.0) * 0.1))
    with pytest.raises(ValueError, match=message):
        outside.parameters()


def test_a_computed_value_that_replaces_a_parameter_is_a_parameter():
    model = Box(a=Value(1.0), part=Box(b=[Value(2.0)]))
    slots = model.parameters()
    slots[0] = slots[0] * 3.0
    with no_grad():
        slots[1] = slots[1] + 1.0
    assert [(name, p.data) for name, p in model.named_parameters()] == [
        ("a", 3.0),
        ("part.b.0", 3.0),
    ]
    assert names(model.part) == ["b.0"]
    model.a.label = "a"
    assert names(copy.deepcopy(model)) == ["a", "part.b.0"]


def test_no_grad_in_another_thread_does_not_affect_parameters():
    model, inside, done = Keeper(), threading.Event(), threading.Event()

    def compute():
        with no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=compute)
    thread.start()
    inside.wait(10)
    model.extra = Value(1.0)
    done.set()
    thread.join()
    assert names(model) == ["w", "extra"]


def test_kept_results_do_not_keep_a_module_alive():
    gc.collect()
    gc.disable()
    try:
        model = Keeper()
        model(1.0)
        del model.cached, model.mean  # a graph refers to its modules
        gone = weakref.ref(model)
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_an_attribute_that_hides_a_method_is_refused():
    class Weighted(nn.Module):
        def __init__(self):
            self.parameters = [Value(1.0)]

    class Frozen(nn.Module):
        def __init__(self):
            self.zero_grad = lambda: None  # in place of the method

    Frozen().zero_grad()
    with pytest.raises(TypeError, match=r"^Weighted: the attribute parameters hides the method"):
        Weighted()


def test_underscore_attributes_and_plain_numbers_are_not_parameters():
    assert names(Box(_a=Value(1.0), b=2.0, c="text", d=None, e=Value(3.0))) == ["e"]


def test_a_shared_parameter_counts_once_under_its_first_name():
    shared = Value(1.0)
    part = Box(w=shared)
    assert names(Box(a=shared, b=[shared, shared], c=part, d=part)) == ["a"]
    assert names(Box(c=part, d=part, a=shared)) == ["c.w"]


def test_modules_that_refer_to_each_other_are_visited_once():
    inner, outer = Box(w=Value(1.0)), Box(v=Value(2.0))
    outer.inner, inner.outer = inner, outer
    inner.loop = [inner]
    assert names(outer) == ["v", "inner.w"]
    assert names(inner) == ["w", "outer.v"]
    outer.eval()
    assert (outer.training, inner.training) == (False, False)


def test_the_parameters_of_an_activation_are_found():
    class Slope(Module):
        def __init__(self):
            self.a = Value(0.25)

        def __call__(self, x):
            return self.a * x

    neuron = nn.Neuron(1, Slope())
    assert names(neuron) == ["activation.a", "w.0", "b"]


def test_zero_grad_clears_every_parameter():
    model = nn.MLP(2, [3, 1])
    model([1.0, -2.0]).backward()
    assert any(p.grad != 0.0 for p in model.parameters())
    model.zero_grad()
    assert all(p.grad == 0.0 for p in model.parameters())


def test_buffers_are_saved_and_not_trained():
    norm = nn.Sequential(nn.BatchNorm(1))
    assert names(norm) == ["parts.0.gain.0", "parts.0.bias.0"]
    buffers = ["parts.0.running_mean.0", "parts.0.running_variance.0"]
    assert [name for name, _ in norm.named_buffers()] == buffers
    assert norm.state_dict() == {
        "parts.0.gain.0": 1.0,
        "parts.0.bias.0": 0.0,
        "parts.0.running_mean.0": 0.0,
        "parts.0.running_variance.0": 1.0,
    }


def test_a_module_and_a_value_as_buffers_are_saved_and_not_trained():
    class Teacher(Module):
        buffers = ("teacher", "count")

        def __init__(self):
            self.teacher, self.w, self.count = nn.Neuron(1), Value(1.0), Value(0.0)

    assert names(Teacher()) == ["w"]
    assert list(Teacher().state_dict()) == ["teacher.w.0", "teacher.b", "w", "count"]


@pytest.mark.parametrize(
    "table", [0.5, 3, [0.5, 1.0], [[1, 2], [3, 4]], {"mean": [0.5]}, np.ones(2), True]
)
def test_a_buffer_of_plain_numbers_which_would_not_be_saved_is_refused(table):
    class Fixed(Module):
        buffers = ("table",)

        def __init__(self):
            self.w, self.table = Value(1.0), table

    message = r"^parts\.0\.table is a buffer, but its plain numbers would not be saved: make Values"
    with pytest.raises(TypeError, match=message):
        nn.Sequential(Fixed()).state_dict()


@pytest.mark.parametrize("table", [None, [], {}, Value(0.5), [[Value(0.5)]], Matrix([[1, 2]])])
def test_a_buffer_may_be_empty_until_it_holds_values(table):
    class Late(Module):
        buffers = ("table", "later")

        def __init__(self):
            self.w, self.table = Value(1.0), table

    assert Late().state_dict()["w"] == 1.0


def test_a_buffer_whose_name_begins_with_an_underscore_is_refused():
    kind = type("Averaged", (Module,), {"buffers": property(lambda self: ("_mean",))})
    with pytest.raises(TypeError, match="the buffer _mean would not be saved: drop the underscore"):
        kind().state_dict()


def test_buffers_as_a_string_instead_of_a_tuple_are_refused():
    with pytest.raises(TypeError, match=r"write buffers = \('table',\)"):
        type("Fixed", (Module,), {"buffers": ("table")})  # `"b" in "table"` is true


def test_train_and_eval_reach_every_module_and_return_the_model():
    parts = [nn.Dropout(), nn.BatchNorm(1), nn.Neuron(1)]
    model = Box(a=parts[0], b={"c": (parts[1], [parts[2]])})
    assert all(part.training for part in [model, *parts])
    assert model.eval() is model
    assert not any(part.training for part in [model, *parts])
    assert model.train() is model
    assert all(part.training for part in [model, *parts])
    model.train(False)
    assert not any(part.training for part in [model, *parts])


def test_signatures_are_those_of_the_constructor_and_the_call():
    class Line(Module):
        def __init__(self, slope):
            self.slope = Value(slope)

        def __call__(self, x, scale=1.0):
            return self.slope * x * scale

    assert str(inspect.signature(Line(2.0))) == "(x, scale=1.0)"
    assert str(inspect.signature(Line)) == "(slope)"


def test_the_error_for_a_module_without_a_call_says_to_define_it():
    class Nothing(Module):
        pass

    with pytest.raises(NotImplementedError, match=r"^Nothing does not define __call__$"):
        Nothing()(1.0)
    Nothing.forward = lambda self, x: x
    with pytest.raises(NotImplementedError, match=r"__call__, which is where its forward belongs$"):
        Nothing()(1.0)


def test_the_repr_of_one_parameter_is_singular():
    model = Module()
    model.w = Value(1.0)
    assert repr(model) == "Module(1 parameter)"


def test_the_error_for_an_anomaly_names_the_neuron():
    model = nn.MLP(1, [1, 2])
    model.layers[1].neurons[1].w[0].data = math.inf
    with (
        detect_anomaly(),
        pytest.raises(FloatingPointError, match=r"in MLP\.layers\.1\.neurons\.1$"),
    ):
        model([1.0 if model.layers[0].neurons[0].w[0].data > 0 else -1.0])


# --- state ----------------------------------------------------------------------------------------


def test_loading_a_state_makes_another_model_equal():
    one, other = nn.MLP(2, [3, 1]), nn.MLP(2, [3, 1])
    assert one([0.5, 1.5]).data != other([0.5, 1.5]).data
    other.load_state_dict(one.state_dict())
    assert one([0.5, 1.5]).data == other([0.5, 1.5]).data


def test_loading_a_state_keeps_the_values_and_sets_their_data():
    neuron = nn.Neuron(1)
    before = neuron.parameters()
    neuron.load_state_dict({"w.0": 7, "b": -1.0})
    assert [p.data for p in neuron.parameters()] == [7.0, -1.0]
    assert all(now is then for now, then in zip(neuron.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "lacks 'b'.*2 missing"),
        ({"w.0": 1.0}, "lacks 'b'.*1 missing, 0 unknown"),
        ({"w.0": 1.0, "b": 2.0, "w.1": 3.0}, "has 'w.1'.*0 missing, 1 unknown"),
        ({"w.0": 1.0, "c": 2.0, "d": 3.0}, "lacks 'b' and has 'c'"),
        ({"w.0": 1.0, "b": None}, "b should be a number, not None"),
        ({"w.0": 1.0, "b": "2"}, "b should be a number, not '2'"),
        ({"w.0": 1.0, "b": True}, "b should be a number, not True"),
        ({"w.0": 1.0, "b": [2.0]}, "b should be a number"),
        ({"w.0": 1.0, "b": 10**400}, "b is too large"),
        ({"w.0": 1.0, "b": 2.0, "x": 5.0, 3: 4.0}, "has 3.*2 unknown"),
        ([1.0, 2.0], "dict of numbers by name, not list"),
        (None, "dict of numbers by name, not NoneType"),
    ],
)
def test_a_state_that_does_not_fit_is_a_value_error_and_changes_nothing(state, message):
    neuron = nn.Neuron(1)
    before = neuron.state_dict()
    with pytest.raises(ValueError, match=message):
        neuron.load_state_dict(state)
    assert neuron.state_dict() == before


# --- files ----------------------------------------------------------------------------------------

HARD = [
    *[math.nan, math.inf, -math.inf, -0.0, 5e-324, 2.2250738585072011e-308],
    *[1.7976931348623157e308, 0.1, 1 / 3, 2.0**53 + 2.0, -1e22, 9007199254740993.0],
]


def test_a_file_restores_every_bit(tmp_path):
    path = tmp_path / "model.json"
    Box(w=[Value(x) for x in HARD]).save(path)
    copy = Box(w=[Value(1.0) for _ in HARD])
    copy.load(path)
    assert bits(copy.state_dict()) == bits({f"w.{i}": x for i, x in enumerate(HARD)})


def test_a_file_restores_a_trained_model_with_buffers(tmp_path):
    def network():
        return nn.Sequential(nn.Layer(2, 3), nn.BatchNorm(3), nn.Layer(3, 1, "linear"))

    one, other = network(), network()
    one(Matrix([[1, 2], [3, 5], [-2, 1]]))  # updates the running statistics
    one.save(str(tmp_path / "model.json"))
    other.load(str(tmp_path / "model.json"))
    assert other.state_dict() == one.state_dict()
    assert other.eval()([1.0, 2.0])[0].data == one.eval()([1.0, 2.0])[0].data


def test_a_file_is_standard_json(tmp_path):
    path = tmp_path / "model.json"
    Box(w=Value(math.nan), b=Value(0.5)).save(path)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["kind"] == "model"
    assert content["state"] == {"w": "nan", "b": 0.5}


@pytest.fixture
def saved(tmp_path):
    """A model, and the file to which it was saved."""
    model = nn.Neuron(1)
    path = tmp_path / "model.json"
    model.save(path)
    return model, path


def refuses(model, path):
    """The message of the ValueError that loading raises, which must leave the model unchanged."""
    before = model.state_dict()
    with pytest.raises(ValueError, match=path.name) as error:
        model.load(path)
    assert model.state_dict() == before
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_file_truncated_anywhere_is_refused(saved):
    model, path = saved
    content = path.read_bytes()
    for size in range(len(content.rstrip())):
        path.write_bytes(content[:size])
        refuses(model, path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02\xff\xfe",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"not json",
        b"[" * 100_000,
        b"null",
        b"[]",
        b"3.5",
        b'"model"',
        b"{}",
        b'{"kind": "checkpoint", "state": {"w.0": 1.0, "b": 0.0}}',
        b'{"kind": ["model"], "state": {"w.0": 1.0, "b": 0.0}}',
        b'{"kind": "model"}',
        b'{"kind": "model", "state": null}',
        b'{"kind": "model", "state": [1.0, 0.0]}',
        b'{"kind": "model", "state": {"w.0": 1.0}}',
        b'{"kind": "model", "state": {"w.0": 1.0, "b": 0.0, "c": 0.0}}',
        b'{"kind": "model", "state": {"w.0": 1.0, "b": "zero"}}',
        b'{"kind": "model", "state": {"w.0": 1.0, "b": {"x": 1.0}}}',
        b'{"kind": "model", "state": {"w.0": 1.0, "b": 1' + b"0" * 400 + b"}}",
        b'{"kind": "model", "state": {"w.0": 1.0, "b": 1' + b"0" * 5000 + b"}}",
    ],
    ids=lambda content: repr(content[:60]),
)
def test_a_damaged_or_foreign_file_is_refused(saved, content):
    model, path = saved
    path.write_bytes(content)
    refuses(model, path)


def test_the_error_for_the_file_of_another_model_names_the_first_difference(saved):
    _, path = saved
    assert "'layers.0.neurons.0.b'" in refuses(nn.MLP(1, [2, 1]), path)
    assert "lacks 'w.1'" in refuses(nn.Neuron(2), path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    model = nn.Neuron(1)
    before = model.state_dict()
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        model.load(tmp_path / "absent.json")
    assert model.state_dict() == before


class Trap:
    """Unpickling this makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_a_file_is_executed(saved, tmp_path):
    model, path = saved
    trap = tmp_path / "sprung"
    code = f"__import__('os').mkdir({str(trap)!r})"
    state = {"w.0": 1.0, "b": code}
    for content in (
        pickle.dumps(Trap(trap)),
        code.encode(),
        json.dumps({"kind": "model", "state": code}).encode(),
        json.dumps({"kind": "model", "state": state}).encode(),
    ):
        path.write_bytes(content)
        refuses(model, path)
        assert not trap.exists()


def test_saving_into_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        nn.Neuron(1).save(tmp_path / "absent" / "model.json")
    assert list(tmp_path.iterdir()) == []


# --- the context of a call ------------------------------------------------------------------------


def test_calls_of_a_module_share_a_context_while_their_results_live():
    model = nn.MLP(2, [2, 1])
    outputs = [model([1.0, 2.0]), model([3.0, 4.0])]
    assert outputs[0].context is outputs[1].context
    assert outputs[0].context.path() == "MLP.layers.1.neurons.0"


def test_the_context_of_a_shared_neuron_names_the_module_that_called_it():
    class Twice(Module):
        def __init__(self, part):
            self.part = part

        def __call__(self, x):
            return self.part(x)

    neuron = nn.Neuron(1)
    outputs = [Twice(neuron)([1.0]), neuron([1.0]), Twice(neuron)([1.0])]
    paths = [output.context.path() for output in outputs]
    assert paths == ["Twice.part", "Neuron", "Twice.part"]


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_the_context_of_a_copied_model_names_the_copy(clone):
    model = nn.MLP(2, [2, 1])
    output = model([1.0, 2.0])
    copied = clone(model)
    again = copied([1.0, 2.0])
    assert again.data == output.data
    assert again.context.owner is copied.layers[1].neurons[0]
    assert again.context.path() == "MLP.layers.1.neurons.0"


def test_a_call_of_the_base_class_is_the_same_call_of_the_module():
    class Doubled(nn.Neuron):
        def __call__(self, x):
            return super().__call__(x) * 2.0

    output = Doubled(1)([1.0])
    assert [node.context.path() for node in (output, output.parents[0])] == ["Doubled"] * 2


def test_the_context_of_a_copy_made_by_hand_names_the_copy():
    neuron = nn.Neuron(1)
    output = neuron([1.0])
    copied = nn.Neuron(1)
    vars(copied).update(vars(neuron))
    assert copied([1.0]).context.owner is copied
    assert output.context.owner is neuron


def test_a_called_model_and_its_graph_are_freed_without_the_cyclic_collector():
    gc.collect()
    gc.disable()
    try:
        model = nn.MLP(2, [3, 1])
        loss = nn.hinge([model([1.0, 2.0])], [1.0])
        loss.backward()
        model_gone, context_gone = weakref.ref(model), weakref.ref(loss.context)
        del model, loss
        assert (model_gone(), context_gone()) == (None, None)
    finally:
        gc.enable()


def test_the_context_of_a_loss_names_the_loss():
    model = nn.MLP(2, [2])
    loss = nn.cross_entropy_with_logits(model([1.0, 2.0]), 0)
    penalty = nn.l2(0.1)(model)
    assert (loss.context.path(), penalty.context.path()) == ("cross_entropy_with_logits", "l2")


def test_an_error_names_a_module_inside_hundreds_of_others():
    model = nn.Sequential(lambda x: (x - 2.0).log())
    for _ in range(269):
        model = nn.Sequential(model)
    with pytest.raises(ValueError, match=r"in Sequential(\.parts\.0){269}$"):
        model(Value(1.0))


def test_a_number_in_place_of_a_parameter_warns():
    neuron = nn.Neuron(2)
    text = r"Neuron\.b was a parameter, and is now 0\.5, which is not trained: .* \.b\.data = 0\.5"
    with pytest.warns(UserWarning, match=text) as told:
        neuron.b = 0.5
    assert told[0].filename == __file__


def test_a_recorded_number_in_place_of_a_parameter_is_refused_by_the_name_of_the_attribute():
    box = Box(scale=Value(2.0))

    @jit
    def keep(box, x):
        box.scale = x
        return Value(1.0) * x

    text = r"Box\.scale was a parameter, and is now 3\.0"
    with pytest.warns(UserWarning, match=text):
        keep(box, 3.0)
    box.scale = Value(2.0)
    with pytest.warns(UserWarning, match=text), pytest.raises(TraceError, match="changes scale"):
        keep(box, 3.0)


def test_other_attributes_change_without_a_warning(recwarn):
    class Memory(Module):
        def __init__(self):
            self.state, self.rate, self._start = Value(0.0), 0.5, Value(1.0)

        def __call__(self, x):
            self.state = self.rate * self.state + x
            return self.state

    memory = Memory()
    memory.state = Value(1.0)
    memory(2.0)
    memory.state = 0.0  # was computed, so it was no parameter
    memory.rate, memory._start = 0.25, 0.0
    assert not recwarn.list


def test_the_methods_of_a_used_class_take_the_code_of_its_next_version():
    """IPython's %autoreload does this, then gives the objects the new class."""

    def defined():
        class Scale(nn.Module):
            def __init__(self):
                self.w = Value(2.0)

            def __call__(self, x):
                return self.w * x

        return Scale

    old, new = defined(), defined()
    assert old()(3.0).data == 6.0
    for name in ("__init__", "__call__"):
        getattr(old, name).__code__ = getattr(new, name).__code__
    assert old()(3.0).data == 6.0


def test_a_partial_method_is_a_constructor_or_a_call():
    class Network(nn.MLP):
        __init__ = functools.partialmethod(nn.MLP.__init__, 2, [3, 1])

    class Scale(nn.Module):
        def times(self, factor, x):
            return factor * x

        __call__ = functools.partialmethod(times, 2.0)

    assert len(Network().parameters()) == 13
    assert Scale()(Value(3.0)).data == 6.0
