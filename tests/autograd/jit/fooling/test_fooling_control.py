"""Programs with threads, coroutines, exceptions and warnings inside."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import queue
import sys
import threading
import warnings
from typing import Any

import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, numbers, programs

from autograd import Value


@fooling("control", "loud" if sys.version_info < (3, 13) else "equal")
def runs_a_coroutine() -> Case:
    w = Value(2.0)

    async def scaled(x: Any) -> Any:
        await asyncio.sleep(0)
        return w * x

    async def both(x: Any) -> Any:
        a, b = await asyncio.gather(scaled(x), scaled(1.0))
        return a + b

    return Case(lambda x: asyncio.run(both(x)))


@fooling("control", "loud")
def computes_in_a_thread() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(w * x + 1.0))
        thread.start()
        thread.join()
        return found[0] * 2.0

    return Case(step)


@fooling("control", "loud")
def maps_over_a_pool_of_threads() -> Case:
    weights = [Value(1.0), Value(2.0)]

    def step(x: float) -> Any:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            parts = list(pool.map(lambda w: (w * x).tanh(), weights))
        return parts[0] + parts[1]

    return Case(step)


@fooling("control", "loud")
def takes_from_a_queue_of_another_thread() -> Case:
    w: Value = Value(2.0)
    batches: queue.Queue[float] = queue.Queue()
    for i in range(20):
        batches.put(0.5 * i)
    return Case(lambda x: w * x + batches.get_nowait(), observe=batches.qsize)


@fooling("control", "equal")
def leaves_a_loop_by_an_exception() -> Case:
    weights = [Value(1.0), Value(2.0), Value(4.0)]

    class Found(Exception):
        pass

    def step(x: float) -> Any:
        out = Value(0.0)
        try:
            for i, w in enumerate(weights):
                out = out + w * x
                if i == 1:
                    raise Found(i)
        except Found as found:
            out = out * (found.args[0] + 1)
        else:
            out = out * 100.0
        return out

    return Case(step)


@fooling("control", "loud")
def leaves_by_an_exception_that_depends_on_a_number() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = w * x
        try:
            if out.data > 3.0:
                raise OverflowError
        except OverflowError:
            return w * 0.0
        return out

    return Case(step)


@fooling("control", "equal")
def raises_what_the_caller_catches() -> Case:
    w = Value(2.0)

    def step(x: float, name: str) -> Any:
        if name == "bad":
            raise ValueError(f"no step of the name {name}")
        return w * x

    calls = [(x, "bad" if i == 8 else "good") for i, (x,) in enumerate(numbers())]
    return Case(step, calls=calls)


@fooling("control", "effect")
def warns_in_each_call() -> Case:
    w, shown = Value(2.0), io.StringIO()

    def step(x: float) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("a step", stacklevel=1)
        print(caught[0].message, file=shown)
        return w * x

    return Case(step, effects=shown.getvalue)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
