"""When are jitted functions and their programs freed, and how are they pickled and copied?"""

from __future__ import annotations

import contextvars
import copy
import functools
import gc
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from side_by_side import BACKENDS

import nn
from autograd import Value
from autograd.jit import Jitted, jit
from autograd.jit.loads import loads

# --- pickles --------------------------------------------------------------------------------------

LEAF = Value(2.0)


@jit
def decorated(x: float) -> Any:
    return LEAF * x


@jit(backend="numpy", static="n")
def with_settings(x: float, n: int) -> Any:
    return LEAF * x + n


def plain(x: float) -> Any:
    return LEAF * x


renamed = jit(plain, backend="numpy")


class Held:
    @staticmethod
    @jit
    def inner(x: float) -> Any:
        return LEAF * x


@pytest.mark.parametrize("function", [decorated, with_settings, Held.inner])
def test_an_importable_function_is_pickled_by_name(function: Any) -> None:
    """Like a plain function: the pickle holds its name, and no program."""
    function(3.0, *[4] * (function is with_settings))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        written = pickle.dumps(function, protocol)
        assert pickle.loads(written) is function
        assert len(written) < 150
    inside = pickle.loads(pickle.dumps({"step": function, "rest": [1.0]}))
    assert inside["step"] is function
    assert copy.copy(function) is function
    assert copy.deepcopy([function])[0] is function


def test_a_partial_of_a_decorated_function_is_pickled() -> None:
    again = pickle.loads(pickle.dumps(functools.partial(decorated, 3.0)))
    assert again.func is decorated
    assert again().data == 6.0


def test_a_function_bound_to_another_name_is_rebuilt_from_the_plain_one() -> None:
    renamed(3.0)
    again = pickle.loads(pickle.dumps(renamed))
    assert type(again) is Jitted
    assert again is not renamed
    assert (again.function, again.backend) == (plain, "numpy")
    assert again.programs == []
    assert again(3.0).data == 6.0


def test_a_jitted_model_or_partial_is_pickled_and_copied() -> None:
    model = nn.Neuron(1)
    for function in (model, functools.partial(model)):
        for clone in (copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))):
            again = clone(jit(function, backend="numpy"))
            assert (type(again), again.backend, again.programs) == (Jitted, "numpy", [])
            assert again([3.0]).data == model([3.0]).data
            assert again.function is not function


def test_pickling_a_local_function_fails_as_for_a_plain_one() -> None:
    def local(x: float) -> Any:
        return LEAF * x

    for function in (local, jit(local)):
        with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
            pickle.dumps(function)


def test_another_process_can_unpickle_a_decorated_function(tmp_path: Path) -> None:
    """As the workers of multiprocessing do."""
    (tmp_path / "own_steps.py").write_text(
        "from autograd import Value\n"
        "from autograd.jit import jit\n\n"
        "leaf = Value(2.0)\n\n\n"
        "@jit\n"
        "def step(x):\n"
        "    return leaf * x\n"
    )
    root = str(Path(nn.__file__).parents[1])
    begin = f"import pickle, sys; sys.path[:0] = [{root!r}, {str(tmp_path)!r}]; "
    write = "import own_steps; sys.stdout.buffer.write(pickle.dumps(own_steps.step))"
    read = "step = pickle.load(sys.stdin.buffer); print([step(float(k)).data for k in range(4)])"
    written = subprocess.run([sys.executable, "-c", begin + write], capture_output=True, check=True)
    found = subprocess.run(
        [sys.executable, "-c", begin + read], input=written.stdout, capture_output=True, check=True
    )
    assert found.stdout.decode().strip() == "[0.0, 2.0, 4.0, 6.0]"


def test_a_model_that_holds_a_decorated_function_is_pickled() -> None:
    model = nn.MLP(2, [2, 1])
    model.scaled = decorated
    again = pickle.loads(pickle.dumps(model))
    assert again.scaled is decorated
    assert copy.deepcopy(model).scaled is decorated


# --- memory ---------------------------------------------------------------------------------------


def replayed(run: Any, *args: Any) -> Any:
    """Call a jitted function until it has a program that was replayed and checked."""
    for _ in range(5):
        run(*args)
    assert sum(program.replays for program in run.programs) > 0
    return run


def trained(backend: str) -> tuple[Any, nn.MLP, nn.Optimizer]:
    model = nn.MLP(2, [3, 1], "tanh")
    optimizer = nn.Adam(model, lr=0.05)

    def step(x: float) -> Value:
        loss = (model([x, 0.5]) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return replayed(jit(step, backend=backend), 0.3), model, optimizer


def living_values() -> int:
    """How many Values are alive; they do not support weak references."""
    gc.collect()
    return sum(isinstance(thing, Value) for thing in gc.get_objects())


def assert_freed(*references: weakref.ref[Any]) -> None:
    gc.collect()
    assert [reference() for reference in references] == [None] * len(references)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_whose_step_refers_back_to_it_is_freed(backend: str) -> None:
    def references() -> list[weakref.ref[Any]]:
        model = nn.MLP(2, [2, 1])
        model.step = replayed(jit(lambda x: model([x, 0.5]), backend=backend), 1.0)
        return [weakref.ref(thing) for thing in (model, model.step, model.step.programs[0])]

    before = living_values()
    assert_freed(*references())
    assert living_values() == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_that_jits_its_own_method_is_freed(backend: str) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Layer(2, 1, "tanh")
            self.fast = jit(self.slow, backend=backend)

        def slow(self, x: float) -> Any:
            return self.layer([x, 0.5])

    model = Own()
    replayed(model.fast, 1.0)
    gone = weakref.ref(model), weakref.ref(model.fast), weakref.ref(model.fast.programs[0])
    del model
    assert_freed(*gone)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_step_is_freed_with_model_optimizer_and_program(backend: str) -> None:
    before = living_values()
    run, model, optimizer = trained(backend)
    model.step, optimizer.step_of_model = run, run  # references back
    gone = [weakref.ref(thing) for thing in (run, model, optimizer, run.programs[0])]
    del run, model, optimizer
    assert_freed(*gone)
    assert living_values() == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_leaf_does_not_keep_alive_the_function_that_wrote_it(backend: str) -> None:
    run, model, _optimizer = trained(backend)
    gone = weakref.ref(run), weakref.ref(run.programs[0])
    del run
    assert_freed(*gone)
    assert all(type(p.data) is float for p in model.parameters())


class Holder:
    model: Any


HOLDER = Holder()


@pytest.mark.parametrize("refers_back", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_programs_of_replaced_models_are_freed(backend: str, refers_back: bool) -> None:
    """The function stays; the model that it finds through a global is replaced."""
    run = jit(lambda x: HOLDER.model([x, 0.5]), backend=backend)
    gone: list[weakref.ref[Any]] = []
    for k in range(6):
        HOLDER.model = nn.MLP(2, [2, 1])
        if refers_back:
            HOLDER.model.step = run
        expected = HOLDER.model([float(k), 0.5]).data
        for _ in range(4):
            assert run(float(k)).data == expected
        gc.collect()
        assert [reference() for reference in gone] == [None] * len(gone)
        assert len(run.programs) <= 2
        gone += [weakref.ref(HOLDER.model), weakref.ref(run.programs[-1])]
    del HOLDER.model


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_passed_as_an_argument_is_freed_when_dropped(backend: str, bound: bool) -> None:
    run = jit(lambda model, x: model([x, 0.5]), backend=backend)
    gone = []
    for refers_back in (False, True, False):
        model = nn.MLP(2, [2, 1])
        if refers_back:
            model.step = run
        replayed(run, model.__call__ if bound else model, 1.0)
        gone.append(weakref.ref(model))
        del model
        assert_freed(*gone)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_does_not_keep_alive_temporary_objects(backend: str) -> None:
    """Neither what the first call, the recording or the check creates, nor arguments."""
    made: queue.SimpleQueue[weakref.ref[Any]] = queue.SimpleQueue()
    leaf = Value(2.0)

    class Local:
        def __init__(self, product: Value) -> None:
            self.product = product

    def step(x: float, v: Value) -> Any:
        local = Local(leaf * x)
        made.put(weakref.ref(local))
        return local.product * v

    before = living_values()
    passed = Value(3.0)
    run = jit(step, backend=backend)
    for _ in range(5):
        assert run(1.0, passed).data == 6.0
    del passed
    assert living_values() == before
    gone = [made.get() for _ in range(made.qsize())]
    assert_freed(*gone)
    assert len(gone) >= 2


def test_the_code_of_a_dropped_function_is_freed_eventually() -> None:
    def used(number: int) -> weakref.ref[CodeType]:
        code = compile(f"x + {number}", "cell", "eval")
        loads(code)
        return weakref.ref(code)

    codes = [used(number) for number in range(1_100)]
    assert codes[0]() is None


@pytest.mark.parametrize("model", [None, nn.Linear(1, 1)], ids=["no model", "a model"])
def test_a_static_argument_of_a_single_call_is_freed_eventually(model: Any) -> None:
    class Settings:
        rate = 0.5

    run = jit(lambda x, model, settings: LEAF * x * settings.rate, static="settings")
    first = Settings()
    reference = weakref.ref(first)
    run(1.0, model, first)
    del first
    run._has_warned = True  # do not warn that no call is replayed
    for _ in range(1000):
        run(1.0, model, Settings())
    assert reference() is None


def test_static_arguments_are_freed_even_if_their_hashes_have_changed() -> None:
    class Settings:
        rate = 0.5

        def __hash__(self) -> int:
            return hash(self.rate)

    run, used = jit(lambda x, settings: LEAF * x * settings.rate, static="settings"), []
    run._has_warned = True  # do not warn that no call is replayed
    for _ in range(1001):
        used.append(Settings())
        run(1.0, used[-1])
        used[-1].rate = 0.25
    references = list(map(weakref.ref, used))
    used.clear()
    assert [reference() for reference in references[:-1]] == [None] * 1000


@pytest.mark.parametrize("writes", [False, True])
def test_a_program_ends_with_a_leaf_that_it_reads_or_writes(writes: bool) -> None:
    """No guard sees what thread-local data refers to."""
    local = threading.local()

    def step(x: float) -> Value:
        if writes:
            local.leaf.assign(local.leaf + x)
        return local.leaf * x

    run = jit(step, check="never")
    for k in range(4):
        local.leaf = Value(float(k))
        for i in range(1, 5):
            assert run(2.0).data == 2.0 * (k + 2 * i * writes)
    assert len(run.programs) == 1


@pytest.mark.parametrize(
    "make", [lambda m: weakref.ref(m), lambda m: weakref.WeakValueDictionary(m=m)]
)
def test_a_program_does_not_keep_alive_weakly_referenced_objects(make: Any) -> None:
    model = nn.Neuron(1)
    weak, alive = make(model), weakref.ref(model)
    run = jit(lambda x: LEAF * x if weak else LEAF)
    for _ in range(4):
        run(1.0)
    del model
    assert alive() is None


def test_a_callback_from_a_recorded_call_may_run_after_it() -> None:
    """A callback runs in a copy of the context in which it was scheduled."""
    # A list that grows would be refused, and what the recording added removed.
    later: queue.SimpleQueue[contextvars.Context] = queue.SimpleQueue()

    @jit
    def run(x: float) -> Value:
        later.put(contextvars.copy_context())
        return LEAF * x

    run(1.0)
    run(2.0)
    later.get()  # of the eager call
    before = LEAF.data
    later.get().run(lambda: setattr(LEAF, "data", 2.0 if LEAF.data > 0 else 1.0))
    assert (type(LEAF.data), LEAF.data) == (float, 2.0)
    LEAF.data = before


@pytest.mark.parametrize("slot", ["data", "grad"])
def test_a_number_of_a_recording_that_another_thread_writes_becomes_plain(slot: str) -> None:
    kept = Value(0.0)

    @jit
    def run(x: float) -> Value:
        thread = threading.Thread(target=setattr, args=(kept, slot, x))
        thread.start()
        thread.join()
        return LEAF * x

    run(1.0)
    run(2.0)
    assert type(getattr(kept, slot)) is float
