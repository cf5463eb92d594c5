"""Programs that depend on their surroundings: settings of the process, state hidden in C."""

from __future__ import annotations

import abc
import contextlib
import decimal
import functools
import gc
import hashlib
import io
import itertools
import logging
import mmap
import os
import shelve
import sqlite3
import string
import sys
import tempfile
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

import nn
from autograd import Value


def changed(
    function: Callable[[float], float], change: Callable[[], Any], undo: Callable[[], Any]
) -> Case:
    """A program that multiplies by what a function reads, which changes after the fifth call."""
    w = Value(2.0)
    return Case(
        lambda x: w * x * function(x),
        between=lambda call: change() if call == 5 else None,
        close=undo,
    )


# --- settings of the process ----------------------------------------------------------------------


@fooling("process", "loud")
def the_precision_of_decimals() -> Case:
    context = decimal.getcontext()
    return changed(
        lambda x: float(decimal.Decimal(1) / decimal.Decimal(7)),
        lambda: setattr(context, "prec", 4),
        lambda: setattr(context, "prec", 28),
    )


@fooling("process", "loud")
def the_level_of_a_logger() -> Case:
    log = logging.getLogger("fooling.level")
    log.setLevel(logging.INFO)
    return changed(
        lambda x: 2.0 if log.isEnabledFor(logging.DEBUG) else 1.0,
        lambda: log.setLevel(logging.DEBUG),
        lambda: log.setLevel(logging.NOTSET),
    )


@fooling("process", "loud")
def the_working_folder() -> Case:
    start, other = os.getcwd(), tempfile.gettempdir()
    return changed(
        lambda x: 1.0 if os.getcwd() == start else 3.0,
        lambda: os.chdir(other),
        lambda: os.chdir(start),
    )


@fooling("process", "loud")
def whether_the_garbage_collector_runs() -> Case:
    return changed(lambda x: 1.0 + gc.isenabled(), gc.disable, gc.enable)


@fooling("process", "equal")
def the_arguments_of_the_program() -> Case:
    old = list(sys.argv)
    sys.argv[1:] = ["--scale", "2"]

    def undo() -> None:
        sys.argv[:] = old

    return changed(
        lambda x: float(sys.argv[sys.argv.index("--scale") + 1]),
        lambda: sys.argv.__setitem__(2, "5"),
        undo,
    )


@fooling("process", "loud")
def the_number_of_threads() -> Case:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, daemon=True)
    before = threading.active_count()

    def undo() -> None:
        stop.set()
        thread.join()

    return changed(lambda x: 1.0 + threading.active_count() - before, thread.start, undo)


@fooling("process", "loud")
def the_error_state_of_numpy() -> Case:
    old = np.geterr()
    return changed(
        lambda x: 2.0 if np.geterr()["invalid"] == "ignore" else 1.0,
        lambda: np.seterr(invalid="ignore"),
        lambda: np.seterr(**old),  # type: ignore[arg-type]
    )


@fooling("process", "equal")
def warnings_that_become_errors() -> Case:
    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())

    def read(x: float) -> float:
        try:
            warnings.warn("odd", UserWarning, stacklevel=1)
        except UserWarning:
            return 2.0
        return 1.0

    flags = {"strict": False}

    def read_with_flags(x: float) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("error" if os.environ.get("FOOLING_STRICT") else "ignore")
            return read(x)

    def undo() -> None:
        os.environ.pop("FOOLING_STRICT", None)
        stack.close()
        flags.clear()

    return changed(read_with_flags, lambda: os.environ.update(FOOLING_STRICT="1"), undo)


@fooling("process", "loud")
def a_class_is_registered() -> Case:
    class Scaled(abc.ABC):  # noqa: B024 (classes register themselves)
        pass

    class Plain:
        pass

    plain = Plain()
    return changed(
        lambda x: 2.0 if isinstance(plain, Scaled) else 1.0,
        lambda: Scaled.register(Plain),
        lambda: None,
    )


@fooling("process", "equal")
def a_type_is_registered_for_dispatch() -> Case:
    @functools.singledispatch
    def scale(thing: object) -> float:
        return 1.0

    return changed(
        lambda x: scale("text"), lambda: scale.register(str, lambda text: 4.0), lambda: None
    )


@fooling("process", "loud")
def a_weak_reference_dies() -> Case:
    class Thing:
        pass

    things = [Thing()]
    reference = weakref.ref(things[0])
    del things[0]
    keep: list[Any] = [Thing()]
    reference = weakref.ref(keep[0])
    return changed(lambda x: 1.0 if reference() is not None else 2.0, keep.clear, lambda: None)


@fooling("process", "loud")
def builtins_are_replaced() -> Case:
    import builtins

    old = builtins.abs
    return changed(
        lambda x: abs(-2.0),
        lambda: setattr(builtins, "abs", lambda x: old(x) * 3.0),
        lambda: setattr(builtins, "abs", old),
    )


@fooling("process", "equal")
def a_function_of_a_library_is_replaced() -> Case:
    old = string.capwords
    return changed(
        lambda x: float(len(string.capwords("ab"))),
        lambda: setattr(string, "capwords", lambda text: text * 4),
        lambda: setattr(string, "capwords", old),
    )


@fooling("process", "loud")
def a_method_of_nn_is_replaced() -> Case:
    old = nn.Neuron.__call__
    neuron = nn.Neuron(1, "linear")
    return Case(
        lambda x: neuron([x]),
        between=lambda call: (
            call == 5 and setattr(nn.Neuron, "__call__", lambda self, x: self.w[0] * x[0] * 3.0)
        ),
        close=lambda: setattr(nn.Neuron, "__call__", old),
    )


# --- state hidden in C ----------------------------------------------------------------------------


@fooling("hidden", "loud")
def counts_in_a_database() -> Case:
    w, base = Value(2.0), sqlite3.connect(":memory:")
    base.execute("create table steps (n integer)")

    def step(x: float) -> Any:
        base.execute("insert into steps values (1)")
        (n,) = base.execute("select count(*) from steps").fetchone()
        return w * x / n

    return Case(step, close=base.close)


# Up to Python 3.14, a connection refers to its cursors, and a new one is noticed.
@fooling("hidden", "loud" if sys.version_info < (3, 15) else "silent")
def counts_in_a_database_without_reading() -> Case:
    w, base = Value(2.0), sqlite3.connect(":memory:")
    base.execute("create table steps (n integer)")

    def step(x: float) -> Any:
        base.execute("insert into steps values (1)")
        return w * x

    def rows() -> Any:
        return base.execute("select count(*) from steps").fetchone()

    return Case(step, observe=rows, close=base.close)


@fooling("hidden", "loud")
def counts_on_a_shelf() -> Case:
    w, folder = Value(2.0), tempfile.TemporaryDirectory()
    shelf = shelve.open(os.path.join(folder.name, "shelf"))  # noqa: SIM115 (closed below)
    shelf["n"] = 0

    def step(x: float) -> Any:
        shelf["n"] += 1
        return w * x / shelf["n"]

    def close() -> None:
        shelf.close()
        folder.cleanup()

    return Case(step, close=close)


@fooling("hidden", "loud")
def a_hash_is_updated() -> Case:
    w, digest = Value(2.0), hashlib.sha256()

    def step(x: float) -> Any:
        digest.update(b"step")
        return w * x * (digest.digest()[0] / 256.0)

    return Case(step)


@fooling("hidden", "loud")
def counts_in_mapped_memory() -> Case:
    w, memory = Value(2.0), mmap.mmap(-1, 8)

    def step(x: float) -> Any:
        memory[0] = memory[0] + 1
        return w * x / memory[0]

    return Case(step, observe=lambda: memory[0], close=memory.close)


@fooling("hidden", "loud")
def a_buffer_grows() -> Case:
    w, buffer = Value(2.0), io.BytesIO()

    def step(x: float) -> Any:
        buffer.write(b"x")
        return w * x / buffer.tell()

    return Case(step)


@fooling("hidden", "loud")
def an_accumulate_iterator_advances() -> Case:
    w, rates = Value(2.0), itertools.accumulate(itertools.repeat(0.9), lambda a, b: a * b)
    return Case(lambda x: w * x * next(rates))


@fooling("hidden", "loud")
def weights_in_the_frame_of_a_generator() -> Case:
    def model() -> Iterator[Any]:
        w, x = Value(2.0), 0.0
        while True:
            x = yield (w * x, w)
            w = Value(w.data * 0.5)

    running: Any = model()
    next(running)
    return Case(lambda x: running.send(x)[0])


@fooling("hidden", "equal")
def weights_in_a_partial() -> Case:
    def train(w: Value, x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        w.data -= 0.1 * w.grad
        return loss

    w = Value(2.0)
    step = functools.partial(train, w)
    return Case(lambda x: step(x), observe=lambda: w)


@fooling("hidden", "equal")
def weights_in_the_default_of_a_lambda() -> Case:
    w = Value(2.0)
    f = lambda x, w=w: (w * x).tanh()  # noqa: E731

    def step(x: float) -> Any:
        out = f(x)
        out.backward()
        return out

    return Case(step, observe=lambda: w)


@fooling("hidden", "equal")
def weights_behind_a_weak_reference() -> Case:
    class Holder:
        def __init__(self) -> None:
            self.w = Value(2.0)

    holder = Holder()
    reference = weakref.ref(holder)

    def step(x: float) -> Any:
        found = reference()
        assert found is not None
        found.w.data = found.w.data * 0.9 + 0.1 * x
        return found.w * x

    return Case(step, observe=lambda: holder)


@fooling("hidden", "equal")
def weights_in_a_class_attribute() -> Case:
    class Shared:
        w = Value(2.0)

    def step(x: float) -> Any:
        loss = (Shared.w * x - 1.0) ** 2
        Shared.w.grad = 0.0
        loss.backward()
        Shared.w.data -= 0.1 * Shared.w.grad
        return loss

    def change(call: int) -> None:
        if call == 5:
            Shared.w = Value(5.0)

    return Case(step, between=change, observe=lambda: Shared.w)


@fooling("hidden", "loud")
def keeps_the_last_loss_as_a_value() -> Case:
    w = Value(2.0)
    kept = types.SimpleNamespace(loss=Value(0.0))

    def step(x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        out = loss + 0.1 * kept.loss.detach()
        kept.loss = out.detach()
        return out

    return Case(step, observe=lambda: kept.loss)


@fooling("hidden", "loud")
def replaces_its_weights_in_each_call() -> Case:
    ws = [Value(0.5), Value(-1.5)]

    def step(x: float) -> Any:
        loss = (ws[0] * x + ws[1] - 1.0) ** 2
        loss.backward()
        ws[:] = [Value(w.data - 0.1 * w.grad) for w in ws]
        return loss

    return Case(step, observe=lambda: ws)


@fooling("hidden", "loud")
def rebinds_a_weight_in_each_call() -> Case:
    w = Value(0.5)

    def step(x: float) -> Any:
        nonlocal w
        loss = (w * x - 1.0) ** 2
        loss.backward()
        w = Value(w.data - 0.1 * w.grad)
        return loss

    return Case(step, observe=lambda: w)


@fooling("hidden", "loud")
def appends_a_layer_in_each_call() -> Case:
    layers = [Value(0.5)]

    def step(x: float) -> Any:
        out = Value(x)
        for w in layers:
            out = (w * out).tanh()
        layers.append(Value(0.5))
        return out

    return Case(step, observe=lambda: layers)


@fooling("hidden", "loud")
def keeps_gradients_by_name() -> Case:
    w = Value(0.5, "w")
    last: dict[str, float] = {}

    def step(x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        last[w.label] = w.grad
        return loss

    return Case(step, observe=lambda: last)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
