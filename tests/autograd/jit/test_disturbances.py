"""Is a call right whatever else the process does: interrupts, threads, signals, profilers, forks?

Each test compares with the same calls made eagerly and undisturbed, to the last bit.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import faulthandler
import gc
import itertools
import math
import os
import pickle
import queue
import random
import signal
import sys
import threading
import time
import tracemalloc
import weakref
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
import pytest
from side_by_side import BACKENDS

import nn
from autograd import Value, no_grad
from autograd.context import OUTSIDE, current
from autograd.jit import jit
from autograd.jit.contents import besides_attributes, read, reader_of
from tests.examples import examples

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX signals only")


# --- a training step, and everything it changes ---------------------------------------------------


class Training:
    """An MLP, Adam, and a Value that is passed: `step` changes data and gradients of all.

    Attributes:
        losses: what each eager call returned. states: `state()` before each of them.
    """

    def __init__(self) -> None:
        nn.seed(0)
        self.model = model = nn.MLP(2, [3, 1], "tanh")
        model([0.0, 0.0])  # adds an attribute now, as it would break a concurrent pickle
        self.optimizer = optimizer = nn.Adam(model, lr=0.05)
        self.scale = Value(1.5, "scale")
        self.losses: list[float] = []
        self.states: list[bytes] = [self.state()]

        def hidden(x: float) -> Any:
            return model.layers[0]([x, 0.5])

        def step(x: float, y: float, scale: Value) -> Value:
            loss = (model([x, 0.5]) * scale - y) ** 2
            optimizer.zero_grad()
            loss.backward()  # the gradient of the scale adds up over all calls
            optimizer.step()
            scale.assign(0.99 * scale + 0.01)
            return loss

        self.hidden, self.step = hidden, step

    def values(self) -> list[Value]:
        """Parameters, moments, the time and the passed Value."""
        moments = [v for values in self.optimizer._state.values() for v in values]
        return [*self.model.parameters(), *moments, self.optimizer.time, self.scale]

    def state(self) -> bytes:
        """Every number and gradient, to the last bit."""
        values = self.values()
        numbers = [v.data for v in values] + [v.grad for v in values]
        assert {type(v).__name__ for v in values} <= {"Value"}
        assert {type(number) for number in numbers} == {float}
        return array("d", numbers).tobytes()

    def args(self, call: int) -> tuple[float, float, Value]:
        return math.sin(call), math.cos(3 * call), self.scale

    def advance(self, calls: int) -> None:
        """Make eager calls until there were that many."""
        while len(self.losses) < calls:
            self.losses.append(self.step(*self.args(len(self.losses))).data)
            self.states.append(self.state())


def replays(run: Any) -> int:
    return sum(program.replays for program in run.programs)


def context_variables() -> dict[Any, Any]:
    """The context variables that do not hold their defaults, with what they hold."""
    found = {}
    for variable, content in contextvars.copy_context().items():
        default = contextvars.Context().run(variable.get, None)
        if content is not default:
            found[variable] = content
    return found


def assert_nothing_left() -> None:
    """Nothing of a recording is left in this thread."""
    assert current.get() is OUTSIDE


@contextlib.contextmanager
def no_unraisable_errors() -> Iterator[None]:
    """Fail on errors that Python cannot raise, as in a finalizer; interrupts may be lost there."""
    lost: list[BaseException | None] = []
    previous, sys.unraisablehook = sys.unraisablehook, lambda u: lost.append(u.exc_value)
    try:
        yield
    finally:
        sys.unraisablehook = previous
    assert [error for error in lost if not isinstance(error, KeyboardInterrupt)] == []


# --- Ctrl-C ---------------------------------------------------------------------------------------


class Interrupted:
    """A jitted training under interrupts, beside an eager one without any.

    Attributes:
        run: the jitted step. calls: how many calls the state has seen. life: how many calls of
            `run` returned. done: how many interrupts there were.
    """

    def __init__(self, backend: str | None) -> None:
        self.backend = backend
        self.eager, self.training = Training(), Training()
        self.calls = self.done = 0
        # Links the leaves of the first layer to an array before the others.
        predict = jit(self.training.hidden, backend=backend)
        for k in range(4):
            predict(float(k))
        self.restart()
        self.before = context_variables()

    def restart(self) -> None:
        self.run, self.life = jit(self.training.step, backend=self.backend), 0

    def call(self) -> None:
        """An uninterrupted call, which must equal the eager one."""
        self.eager.advance(self.calls + 1)
        loss = self.run(*self.training.args(self.calls)).data
        assert (type(loss), loss) == (float, self.eager.losses[self.calls])
        self.calls += 1
        self.life += 1
        assert self.training.state() == self.eager.states[self.calls]

    def interrupted_call(self, disturb: Callable[[], None], calm: Callable[[], None]) -> None:
        """A call that may be interrupted from `disturb()` until `calm()`."""
        self.eager.advance(self.calls + 1)
        args = self.training.args(self.calls)
        caught = loss = None
        collects = gc.isenabled()
        try:
            disturb()
            loss = self.run(*args)
            calm()
        except KeyboardInterrupt as error:
            caught = error  # kept, as an interactive session does, with all of its frames
        calm()
        where = f"in call {self.life + 1} of its function, after {self.done} interrupts"
        self.life += caught is None
        self.done += caught is not None
        assert context_variables() == self.before, where
        assert_nothing_left()
        assert gc.isenabled() == collects, where
        state, (before, after) = self.training.state(), self.eager.states[self.calls :][:2]
        assert state in (before, after), f"a torn state {where}"
        if caught is None:
            assert state == after, where
        if loss is not None:
            assert loss.data == self.eager.losses[self.calls], where
        self.calls += state == after

    def assert_replays(self) -> None:
        """The function works as if nothing had happened, and is replayed."""
        for _ in range(3):
            self.call()
        before = replays(self.run)
        self.call()
        assert replays(self.run) == before + 1


@pytest.mark.parametrize(("backend", "interrupts"), [("numpy", 1000), ("native", 100), (None, 100)])
def test_an_interrupt_at_any_instant_leaves_a_consistent_state(
    backend: str | None, interrupts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograd.jit.program.replays_until_compiled", lambda plan: 2)
    chance = random.Random(0)
    running = Interrupted(backend)
    start = time.perf_counter()
    for _ in range(4):
        running.call()
    longest = time.perf_counter() - start
    running.restart()
    armed = False

    def handle(number: int, frame: Any) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    def disturb() -> None:
        nonlocal armed
        armed = True
        # Log-uniform, since a recording takes a thousand times as long as a replay.
        delay = math.exp(chance.uniform(math.log(1e-5), math.log(longest)))
        signal.setitimer(signal.ITIMER_REAL, delay)

    def calm() -> None:
        nonlocal armed
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    previous = signal.signal(signal.SIGALRM, handle)
    try:
        with no_unraisable_errors():
            until = chance.randrange(12)  # calls; some functions reach their second check
            while running.done < examples(interrupts):
                running.interrupted_call(disturb, calm)
                if running.life >= until:
                    if chance.random() < 0.1:
                        running.assert_replays()
                    running.restart()
                    until = chance.randrange(12)
    finally:
        calm()
        signal.signal(signal.SIGALRM, previous)
    running.assert_replays()


def test_interrupted_recordings_do_not_prevent_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*args: Any, **options: Any) -> NoReturn:
        raise KeyboardInterrupt

    square = jit(lambda x: Value(1.0) * x * x)
    square(1.0)
    with monkeypatch.context() as patched:
        patched.setattr("autograd.jit.jitted.Watch", interrupted)
        for _ in range(40):
            with pytest.raises(KeyboardInterrupt):
                square(2.0)
    square(3.0)
    assert square(4.0).data == 16.0
    assert replays(square) == 1


def test_an_interrupted_recording_restores_a_leaf_whose_gradient_was_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w = Value(2.0)
    other = Value(3.0)

    @jit
    def step(x: float) -> None:
        w.grad = 0.0
        (w * other * x).backward()
        w.data -= 0.1 * w.grad

    step(1.0)
    w.grad = None  # type: ignore[assignment]
    before = w.data, other.data, other.grad
    with monkeypatch.context() as patched:
        patched.setattr("autograd.jit.jitted.as_replayed", lambda *_: interrupt())
        with pytest.raises(KeyboardInterrupt):  # when its leaves are linked already
            step(1.0)
    assert (w.data, other.data, other.grad) == before
    assert w.grad == 0.0


def test_an_interrupt_before_the_end_of_a_block_leaves_no_context() -> None:
    @jit
    def step(x: float) -> None:
        no_grad().__enter__()
        raise KeyboardInterrupt

    for _ in ("eager", "recorded"):
        with pytest.raises(KeyboardInterrupt):
            step(1.0)
        assert_nothing_left()


class Instants:
    """Counts the instants at which Python lets a signal handler run, and acts at one of them.

    To a good approximation these are the starts of Python functions and the ends of C functions,
    of which profilers are told. Unlike a timer, this reaches the few instructions between a change
    and the `try` that undoes it.
    """

    def __init__(self, chosen: int, act: Callable[[], None]) -> None:
        self.chosen, self.act, self.seen = chosen, act, 0

    def __call__(self, frame: Any, event: str, arg: object) -> None:
        if event in ("call", "c_return"):
            self.seen += 1
            if self.seen == self.chosen:
                self.act()

    def start(self) -> None:
        sys.setprofile(self)

    @staticmethod
    def stop() -> None:
        sys.setprofile(None)

    @staticmethod
    def spread(number: int, total: int) -> list[int]:
        """Instants of a call: its first and last, where the jit's code runs, and random ones."""
        chance = random.Random(total)
        edge = min(number // 3, total // 3)
        middle = chance.sample(range(edge, total - edge), number - 2 * edge)
        return [*range(1, edge + 1), *range(total - edge + 1, total + 1), *middle]


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("calls_before", range(4))
def test_an_interrupt_after_any_operation_leaves_a_consistent_state(calls_before: int) -> None:
    """In an eager call, a recording, a check and a replay."""
    running = Interrupted("numpy")
    for _ in range(calls_before + 1):  # fills caches that change the number of instants
        running.call()
    running.restart()
    for _ in range(calls_before):
        running.call()
    undisturbed = Instants(-1, interrupt)
    running.interrupted_call(undisturbed.start, undisturbed.stop)
    with no_unraisable_errors():
        for k, chosen in enumerate(Instants.spread(examples(100), undisturbed.seen)):
            running.restart()
            for _ in range(calls_before):
                running.call()
            instants = Instants(chosen, interrupt)
            running.interrupted_call(instants.start, instants.stop)
            if k % 10 == 0:
                running.assert_replays()
    assert running.done > examples(50)


# --- threads --------------------------------------------------------------------------------------


class Others:
    """Threads that repeat their jobs until the end of the block."""

    def __init__(self, *jobs: Callable[[], None]) -> None:
        self.errors: list[BaseException] = []
        self.rounds = [0] * len(jobs)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(k, job)) for k, job in enumerate(jobs)
        ]

    def _go_on(self, number: int, job: Callable[[], None]) -> None:
        try:
            while not self._over.is_set():
                job()
                self.rounds[number] += 1
                time.sleep(0.0005)  # lets the recordings proceed
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self) -> Others:
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)  # switch threads as often as possible
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        sys.setswitchinterval(self._interval)


def all_are_plain(values: list[Value]) -> bool:
    """Whether Values are of their usual classes, and their numbers are floats."""
    return (
        {type(v).__name__ for v in values} <= {"Value"}
        and {type(v.data) for v in values} == {float}
        and {type(v.grad) for v in values} == {float}
    )


def test_recordings_beside_busy_threads() -> None:
    recordings, calls = examples(100), 4
    eager, training = Training(), Training()
    eager.advance(recordings * calls)
    # All numbers that each Value may ever hold.
    trajectories = [set(row) for row in zip(*[array("d", s) for s in eager.states], strict=True)]

    def is_of_some_call(values: list[Value]) -> bool:
        return all(v.data in found for v, found in zip(values, trajectories, strict=False))

    kept: list[Any] = []
    own_draws: list[float] = []
    draws: list[float] = []
    numpy_draws: list[float] = []
    own = random.Random(5)
    leaf = Value(0.5)
    other_model = nn.MLP(2, [2, 1], "tanh")
    expected = (leaf * leaf + 3.0).tanh()
    expected.backward()
    slope, leaf.grad = leaf.grad, 0.0

    def allocate() -> None:
        values = tuple([(Value(float(k)), Value(k)) for k in range(50)])
        assert all_are_plain([v for pair in values for v in pair])
        kept.append(values)
        del kept[:-20]

    def draw() -> None:
        own_draws.append(own.random())
        draws.append(random.random())
        numpy_draws.append(float(np.random.random()))

    def pickles_and_copies() -> None:
        for clone in (pickle.loads(pickle.dumps(training.model)), copy.deepcopy(training.model)):
            values = list(clone.parameters())
            assert {type(v) for v in values} == {Value}
            assert all_are_plain(values)
            assert is_of_some_call(values)

    def compute() -> None:
        out = (leaf * leaf + 3.0).tanh()
        leaf.grad = 0.0
        out.backward()
        assert (out.data, leaf.grad, type(out)) == (expected.data, slope, Value)
        nn.mse(other_model([0.1, 0.2]), 1.0).backward()
        assert all_are_plain(list(other_model.parameters()))

    def read() -> None:
        values = training.values()
        assert all_are_plain(values)
        assert is_of_some_call(values)
        assert type(training.model([0.1, 0.2]).data) is float

    random.seed(3)
    np.random.seed(4)
    others = Others(allocate, draw, pickles_and_copies, compute, read)
    with no_unraisable_errors(), others:
        for k in range(recordings):
            run = jit(training.step, backend="numpy")
            for call in range(k * calls, (k + 1) * calls):
                assert run(*training.args(call)).data == eager.losses[call]
                assert training.state() == eager.states[call + 1]
            assert replays(run) > 0
    assert others.errors == []
    assert min(others.rounds) > 10, others.rounds
    again = random.Random(5)
    assert own_draws == [again.random() for _ in own_draws]
    again = random.Random(3)
    assert draws == [again.random() for _ in draws]
    stream = np.random.RandomState(4)
    assert numpy_draws == [float(stream.random_sample()) for _ in numpy_draws]
    assert_nothing_left()
    living = [thing for thing in gc.get_objects() if isinstance(thing, Value)]
    assert {type(v).__name__ for v in living} <= {"Value"}


def test_programs_can_be_listed_while_others_are_recorded() -> None:
    run, sizes = jit(lambda xs: Value(1.0) * sum(xs)), itertools.count(1)

    def record(*event: Any) -> Any:
        """As another thread might, at any line of Python."""
        xs = [1.0] * next(sizes)
        for _ in range(2):
            run(xs)
        return record

    record()
    (first,), tracing = run.programs, sys.gettrace()
    sys.settrace(record)
    try:
        found = run.programs
    finally:
        sys.settrace(tracing)
    assert found[0] is first
    assert len(run.programs) == next(sizes) - 1 > 2


def test_a_dict_can_be_read_while_others_fill_it() -> None:
    table, more, tracing = {0: 1.0, 1: 2.0}, itertools.count(2), sys.gettrace()

    def fill(*event: Any) -> Any:
        table[next(more)] = 0.0
        return fill

    sys.settrace(fill)
    try:
        found = read(reader_of(dict), table)
    finally:
        sys.settrace(tracing)
    assert found[:2] == ((0, 1.0), (1, 2.0))


def test_attributes_that_are_set_while_an_object_is_read_are_no_change() -> None:
    thing = nn.Linear(2, 1)
    before, tracing = read(besides_attributes, thing), sys.gettrace()

    def replace(*event: Any) -> Any:
        """As another thread might, at any line of Python, by calling the model."""
        thing._context = weakref.ref(Training())
        return replace

    sys.settrace(replace)
    try:
        found = read(besides_attributes, thing)
    finally:
        sys.settrace(tracing)
    assert found == before


# What another thread does in the middle of a call, and what it must observe.
def _copies(training: Training) -> None:
    model = copy.deepcopy(training.model)
    assert all_are_plain(list(model.parameters()))
    assert {type(v) for v in model.parameters()} == {Value}


def _pickles(training: Training) -> None:
    model = pickle.loads(pickle.dumps(training.model))
    assert all_are_plain(list(model.parameters()))
    assert model.state_dict() == training.model.state_dict()


def _reads(training: Training) -> None:
    assert all_are_plain(training.values())
    assert all(f"{v.data:.3f}" == format(v, ".3f") for v in training.values())


def _computes(training: Training) -> None:
    out = training.model([0.1, 0.2])
    assert (type(out), type(out.data)) == (Value, float)
    assert out > out.data - 1.0


def _collects(training: Training) -> None:
    gc.collect()
    assert all_are_plain([v for v in gc.get_objects() if isinstance(v, Value)])


def _draws(training: Training) -> None:
    stream = random.Random(7)
    random.seed(7)
    assert random.random() == stream.random()
    np.random.seed(7)
    assert np.random.random() == np.random.RandomState(7).random_sample()
    assert np.random.default_rng(7).random() == np.random.default_rng(7).random()


def _records_and_replays(training: Training) -> None:
    leaf = Value(2.0)
    run = jit(lambda x: leaf * x, backend="numpy")
    assert [run(float(k)).data for k in range(5)] == [0.0, 2.0, 4.0, 6.0, 8.0]


def _writes(training: Training) -> None:
    leaf = Value(2.0)
    leaf.data += 1.0
    leaf.grad = leaf.data
    leaf.assign(leaf * leaf)
    assert (leaf.data, leaf.grad, type(leaf.data)) == (9.0, 3.0, float)


MEANWHILE = [_copies, _pickles, _reads, _computes, _collects, _draws, _records_and_replays, _writes]


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda job: job.__name__.strip("_"))
def test_another_thread_may_act_in_the_middle_of_a_call(meanwhile: Any) -> None:
    """In each call that runs the function: the first, the recording and the checks."""
    eager, training = Training(), Training()
    eager.advance(12)
    asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
    answers: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def other() -> None:
        while asked.get():
            try:
                meanwhile(training)
            except BaseException as error:
                answers.put(error)
            else:
                answers.put(None)

    def step(x: float, y: float, scale: Value) -> Any:
        model, optimizer = training.model, training.optimizer
        out = model([x, 0.5]) * scale
        asked.put(True)
        done.put(answers.get(timeout=20))
        loss = (out - y) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scale.assign(0.99 * scale + 0.01)
        return loss

    done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    thread = threading.Thread(target=other)
    thread.start()
    try:
        run = jit(step, backend="numpy")
        for call in range(12):
            assert run(*training.args(call)).data == eager.losses[call]
            assert training.state() == eager.states[call + 1]
    finally:
        asked.put(False)
        thread.join()
    found = [done.get() for _ in range(done.qsize())]
    assert len(found) >= 2
    assert found == [None] * len(found)
    assert replays(run) > 0


# --- a signal handler that calls the function -----------------------------------------------------


@contextlib.contextmanager
def alarms(handler: Callable[[], None], chance: random.Random, longest: float) -> Iterator[None]:
    """Call `handler` from signals at random instants until the end of the block."""
    over = False

    def handle(number: int, frame: Any) -> None:
        handler()
        if not over:
            delay = math.exp(chance.uniform(math.log(2e-5), math.log(longest)))
            signal.setitimer(signal.ITIMER_REAL, delay)

    # In Python 3.11 a collection may begin inside ContextVar.set. If a callback of the collector is
    # Python code (hypothesis has one), a signal handler may run in it; if that sets the variable as
    # well, the interpreter uses freed memory. From 3.12 on, collections wait.
    callbacks, gc.callbacks[:] = gc.callbacks[:], []
    previous = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 1e-4)
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
        gc.callbacks[:] = callbacks


def test_a_signal_handler_may_call_a_jitted_prediction() -> None:
    chance = random.Random(1)
    model = nn.MLP(2, [4, 1], "tanh")

    def predict(x: float) -> Any:
        return model([x, 0.5])

    inputs = [math.sin(k) for k in range(100)]
    expected = [predict(x).data for x in inputs]
    # Results are read at the end, as the handler may run in the middle of anything.
    inner: list[tuple[int, Any]] = []
    errors: list[BaseException] = []
    run = jit(predict, backend="numpy")

    def handler() -> None:
        try:
            for _ in range(5):
                k = chance.randrange(100)
                inner.append((k, run(inputs[k])))
        except BaseException as error:
            errors.append(error)

    outer: list[tuple[int, Any]] = []
    replayed = 0
    with no_unraisable_errors(), alarms(handler, chance, 0.003):
        while len(inner) < 10_000 and not errors:
            run = jit(predict, backend="numpy")
            for _ in range(chance.randrange(1, 12)):
                k = chance.randrange(100)
                outer.append((k, run(inputs[k])))
            replayed += replays(run)
    assert errors == []
    assert [(k, v.data) for k, v in inner] == [(k, expected[k]) for k, _ in inner]
    assert [(k, v.data) for k, v in outer] == [(k, expected[k]) for k, _ in outer]
    assert replayed > 0
    assert_nothing_left()


def is_possible(before: int, inner: list[float], outer: float, after: float) -> bool:
    """Whether an eager call (read the counter, write it + 1, read it) can have these results.

    inner: results of calls in between, which count too, each without being interrupted.
    """
    for i in range(len(inner) + 1):  # i inner calls came before the read
        for j in range(i, len(inner) + 1):  # and j before the write
            written = before + i + 1
            counted = [before + 1 + n for n in range(j)]
            counted += [written + 1 + n for n in range(len(inner) - j)]
            if (
                inner == counted
                and after == written + len(inner) - j
                and outer in range(written, int(after) + 1)
            ):
                return True
    return False


def test_a_signal_handler_may_call_a_jitted_counter() -> None:
    chance = random.Random(2)
    counter = Value(0.0)

    def count(x: float) -> Value:
        counter.assign(counter + 1.0)
        return counter + x

    inner: list[Any] = []
    errors: list[BaseException] = []
    run = jit(count, backend="numpy")

    def handler() -> None:
        if not looking:
            try:
                for _ in range(5):
                    inner.append(run(0.0))
            except BaseException as error:
                errors.append(error)

    looking = True
    total = replayed = disturbed = 0
    with no_unraisable_errors(), alarms(handler, chance, 0.003):
        while total < 10_000 and not errors:
            run = jit(count, backend="numpy")
            for _ in range(chance.randrange(1, 12)):
                inner.clear()
                before = counter.data
                looking = False
                out = run(0.5)
                looking = True
                counted = [v.data for v in inner]
                assert is_possible(int(before), counted, out.data - 0.5, counter.data), (
                    f"{before}, in between {counted}, {out.data - 0.5}, then {counter.data}"
                )
                total += len(inner)
                disturbed += bool(inner)
            replayed += replays(run)
    assert errors == []
    assert disturbed > 100
    assert replayed > 0
    assert_nothing_left()


def test_a_signal_handler_may_use_a_value_and_call_a_jitted_function() -> None:
    w, count, read = Value(2.0), Value(0.0), list[float]()
    loss = w * 3.0
    tick = jit(lambda: count.assign(count + 1.0))

    @jit
    def step(x: float) -> Value:
        signal.raise_signal(signal.SIGALRM)
        return w * x

    def handle(*args: Any, read: list[float] = read) -> None:
        read.append((loss * 0.5).data + loss.data)
        if len(read) == 2:  # in the recording
            tick()

    previous = signal.signal(signal.SIGALRM, handle)
    try:
        assert [step(x).data for x in (1.0, 2.0, 3.0, 4.0)] == [2.0, 4.0, 6.0, 8.0]
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert (read, count.data) == ([9.0] * 3, 1.0)


def test_what_a_signal_handler_changes_by_a_call_is_not_refused() -> None:
    w, told = Value(2.0), list[float]()

    @jit
    def step(x: float, tells: bool = False) -> Value:
        if tells:
            told.append(x)
        else:
            signal.raise_signal(signal.SIGALRM)
        return w * x

    previous = signal.signal(signal.SIGALRM, lambda number, frame: step(7.0, tells=True))
    try:
        assert [step(x).data for x in (1.0, 2.0, 3.0, 4.0)] == [2.0, 4.0, 6.0, 8.0]
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert told == [7.0] * 4


@pytest.mark.parametrize("calls_before", range(4))
def test_a_call_may_be_made_in_the_middle_of_another(calls_before: int) -> None:
    """As from a signal handler: in an eager call, a recording, a check and a replay."""
    model = nn.MLP(2, [3, 1], "tanh")

    def predict(x: float) -> Any:
        return model([x, 0.5])

    inputs = [math.sin(k) for k in range(calls_before + 6)]
    expected = [predict(x).data for x in inputs]

    def calls_with(chosen: int) -> Instants:
        """Make calls, one of them disturbed; all are right, and the last is a replay."""
        inner: list[Any] = []
        run = jit(predict, backend="numpy")
        instants = Instants(chosen, lambda: inner.append(run(inputs[0])))
        outer = [run(x) for x in inputs[:calls_before]]
        instants.start()
        try:
            outer.append(run(inputs[calls_before]))
        finally:
            instants.stop()
        before = 0
        for x in inputs[calls_before + 1 :]:
            before = replays(run)
            outer.append(run(x))
        assert [v.data for v in outer] == expected
        assert [v.data for v in inner] == expected[:1] * len(inner)
        assert replays(run) == before + 1
        assert_nothing_left()
        return instants

    for chosen in Instants.spread(60, calls_with(-1).seen):
        calls_with(chosen)


def test_a_call_in_the_middle_of_a_replay_wastes_no_random_numbers() -> None:
    w = Value(2.0)

    def calls_with(chosen: int) -> int:
        nn.seed(0)
        drawn: list[float] = []
        run = jit(lambda x: w * x + nn.uniform(), backend="numpy")
        instants = Instants(chosen, lambda: drawn.append(run(0.0).data))
        drawn += [run(0.0).data for _ in range(3)]
        instants.start()
        try:
            drawn.append(run(0.0).data)
        finally:
            instants.stop()
        drawn.append(run(0.0).data)
        nn.seed(0)
        assert sorted(drawn) == sorted(nn.uniform() for _ in drawn)
        return instants.seen

    for chosen in Instants.spread(30, calls_with(-1)):
        calls_with(chosen)


def test_a_leaf_may_be_trained_while_another_function_begins_to_use_it() -> None:
    """As in another thread, at the end of a recording."""

    def counted(chosen: int) -> int:
        leaf = Value(0.0)
        run = jit(lambda x: leaf * x, backend="numpy")
        count = jit(lambda: leaf.assign(leaf + 1.0), backend="numpy")
        instants = Instants(chosen, lambda: [count() for _ in range(3)])
        run(1.0)
        instants.start()
        try:
            run(1.0)
        finally:
            instants.stop()
        assert leaf.data == 3.0 * (0 < chosen <= instants.seen)
        assert run(2.0).data == 2.0 * leaf.data
        return instants.seen

    total = counted(-1)
    for chosen in range(total - 80, total + 1):
        counted(chosen)


def test_an_error_undoes_changes_to_a_leaf_that_another_thread_begins_to_use() -> None:
    leaf = Value(1.0)
    predict = jit(lambda x: leaf * x)

    @jit
    def step(x: float) -> None:
        leaf.assign(x, grad=x)
        thread = threading.Thread(target=lambda: [predict(1.0) for _ in range(3)])
        thread.start()
        thread.join()
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        step(5.0)
    assert (leaf.data, leaf.grad, replays(predict)) == (1.0, 0.0, 1)


# --- profilers, tracers, garbage collection -------------------------------------------------------


@contextlib.contextmanager
def a_profiler_that_keeps_frames() -> Iterator[None]:
    frames: list[Any] = []
    sys.setprofile(lambda frame, event, arg: frames.append((frame, arg)))
    try:
        yield
    finally:
        sys.setprofile(None)
        frames.clear()


@contextlib.contextmanager
def a_tracer_that_looks_at_all_variables() -> Iterator[None]:
    kinds: set[type] = set()

    def trace(frame: Any, event: str, arg: object) -> Any:
        kinds.update(map(type, list(frame.f_locals.values())))
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(previous)


@contextlib.contextmanager
def a_frozen_heap() -> Iterator[None]:
    gc.freeze()
    yield


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
        assert not gc.isenabled()
    finally:
        gc.enable()


@contextlib.contextmanager
def a_frequent_collector() -> Iterator[None]:
    """Collects often, and has a callback, like a tool that measures its pauses."""
    pauses: list[float] = []

    def note(phase: str, info: Any) -> None:
        pauses.append(float(Value(1.0) * 2.0))

    threshold = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(50, 2, 2)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(note)
    assert pauses.count(2.0) == len(pauses) > 0


@contextlib.contextmanager
def traced_memory() -> Iterator[None]:
    tracemalloc.start(10)
    try:
        yield
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def a_thread_that_dumps_all_stacks() -> Iterator[None]:
    """As a sampling profiler does. (A dump without the lock of the interpreter may crash it.)"""
    frames: list[Any] = []
    with open(os.devnull, "w") as nowhere:

        def dump() -> None:
            faulthandler.dump_traceback(nowhere)
            frames.append(sys._current_frames())
            del frames[:-100]

        with Others(dump) as others:
            yield
    assert others.errors == []


@contextlib.contextmanager
def weak_references_and_finalizers() -> Iterator[None]:
    """Finalizers that compute run in the middle of whatever drops the last reference."""
    found: list[float] = []

    class Dropped:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            found.append((Value(3.0) * 2.0).data)

    threshold = gc.get_threshold()
    garbage = [Dropped() for _ in range(200)]
    garbage.clear()
    gc.set_threshold(50, 2, 2)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.collect()
    assert [float(number) for number in found] == [6.0] * 200


OBSERVERS = [
    a_profiler_that_keeps_frames,
    a_tracer_that_looks_at_all_variables,
    a_frozen_heap,
    no_collector,
    a_frequent_collector,
    traced_memory,
    a_thread_that_dumps_all_stacks,
    weak_references_and_finalizers,
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda observer: observer.__name__)
def test_recordings_and_replays_under_observation(observer: Any, backend: str) -> None:
    eager, training = Training(), Training()
    eager.advance(12)
    run = jit(training.step, backend=backend)
    with no_unraisable_errors(), observer():
        losses = [run(*training.args(call)) for call in range(12)]
        state = training.state()
    assert [loss.data for loss in losses] == eager.losses
    assert state == eager.states[12]
    assert replays(run) >= 8
    assert len(run.programs) == 1
    assert_nothing_left()


# --- fork -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_process_may_fork_in_the_middle_of_a_call(backend: str) -> None:
    """The child ends at once; meanwhile another thread pickles the model."""
    eager, training = Training(), Training()
    eager.advance(12)

    def pickles() -> None:
        clone = pickle.loads(pickle.dumps(training.model))
        assert all_are_plain(list(clone.parameters()))

    def forked() -> None:
        child = os.fork()
        if not child:
            os._exit(0)
        children.put(os.waitpid(child, 0)[1])

    def step(x: float, y: float, scale: Value) -> Any:
        before = training.hidden(x)
        forked()
        loss = training.step(x, y, scale)
        return loss, before

    children: queue.SimpleQueue[int] = queue.SimpleQueue()
    run = jit(step, backend=backend)
    others = Others(pickles)
    with no_unraisable_errors(), others:
        for call in range(12):
            loss, _ = run(*training.args(call))
            assert loss.data == eager.losses[call]
            assert training.state() == eager.states[call + 1]
    assert others.errors == []
    ends = [children.get() for _ in range(children.qsize())]
    assert ends == [0] * len(ends)
    assert len(ends) >= 2
    assert replays(run) > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_use_its_parents_programs() -> None:
    """As with `multiprocessing` after a fork: replays and new recordings in the child."""
    eager, training = Training(), Training()
    eager.advance(8)
    run = jit(training.step, backend="numpy")
    for call in range(5):
        run(*training.args(call))
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            seen = [run(*training.args(call)).data for call in (5, 6, 7)]
            again = jit(training.hidden, backend="numpy")
            same = again(0.3)[0].data == again(0.3)[0].data == again(0.3)[0].data
            if seen == eager.losses[5:] and training.state() == eager.states[8] and same:
                os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert training.state() == eager.states[5]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_call_a_function_that_another_thread_is_calling() -> None:
    began, may_end, w = threading.Event(), threading.Event(), Value(2.0)

    def step(x: float) -> Value:
        began.set()
        may_end.wait()
        return w * x

    run = jit(step)
    thread = threading.Thread(target=run, args=(1.0,))
    thread.start()
    began.wait()
    child = os.fork()
    if not child:
        signal.alarm(10)  # ends it if the lock is still taken
        may_end.set()
        os._exit(run(2.0).data != 4.0)
    may_end.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert not run._lock.notes
