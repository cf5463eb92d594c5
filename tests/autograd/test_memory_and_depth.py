"""Does a graph a million operations deep work without recursion, a crash or much memory?

Most tests run a new process, so that a crash shows as its exit code.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path
from typing import Any

import pytest

from autograd import Value

DEPTH = 1_000_000


def run(program: str) -> Any:
    """Return what a program prints, parsed as JSON; a failure shows its exit code and errors."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stderr[-2000:]}"
    return json.loads(done.stdout)


def test_a_million_operations_are_computed_differentiated_and_freed() -> None:
    """x doubled and halved again, half a million times: exactly x, with slope 1."""
    found = run(f"""
        import gc, json
        from autograd import Value, topological_order
        gc.disable()  # twice as fast
        x = Value(3.0)
        y = x
        for _ in range({DEPTH} // 2):
            y = y * 2.0
            y = y * 0.5
        y.backward()
        count = len(topological_order(y))
        slope = x.grad
        del y
        print(json.dumps([x.data, slope, count]))
    """)
    # The leaf, a million results, and a constant for each.
    assert found == [3.0, 1.0, 1 + 2 * DEPTH]


def test_second_derivative_through_a_hundred_thousand_operations() -> None:
    """y = x after an even number of negations, z = y^3: dz/dx = 3 x^2 and d2z/dx2 = 6 x.

    The graph of the first derivative passes through the negations twice: four times as deep as
    a graph that could be freed recursively on C's stack.
    """
    found = run(f"""
        import gc, json
        from autograd import Value, grad
        gc.disable()  # twice as fast
        x = Value(5.0)
        y = x
        for _ in range({DEPTH // 10}):
            y = -y
        (slope,) = grad(y * y * y, [x], create_graph=True)
        (curvature,) = grad(slope, [x])
        numbers = [slope.data, curvature.data]
        del y, slope, curvature
        print(json.dumps(numbers))
    """)
    assert found == [75.0, 30.0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is in /proc")
def test_a_node_takes_less_than_200_bytes_of_resident_memory() -> None:
    """Before and after backward(), which keeps a gradient in every node."""
    nodes = DEPTH // 5
    found = run(f"""
        import json
        from autograd import Value

        def resident():
            with open("/proc/self/status") as status:
                line = next(line for line in status if line.startswith("VmRSS"))
            return int(line.split()[1]) * 1024

        x = Value(1.0)
        for _ in range(2):  # the interpreter keeps some of the memory of the first graph
            y = x
            x.grad = 0.0
            before = resident()
            for _ in range({nodes}):
                y = y * x
            forward = resident() - before
            y.backward()
            both = resident() - before
            del y
            left = resident() - before
        print(json.dumps([forward, both, left, x.grad]))
    """)
    forward, both, left, slope = found
    assert slope == nodes + 1
    assert 50 * nodes < forward < 200 * nodes
    assert both < 200 * nodes
    assert left < 50 * nodes


def test_a_graph_is_freed_at_once_without_the_garbage_collector() -> None:
    """Nodes point only at their parents, so there are no cycles; also after backward()."""

    class Watched(Value):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        x = Watched(2.0)
        y = (x * x).exp() + x
        y.backward()
        gone = weakref.ref(x)
        del x, y
        assert gone() is None
    finally:
        gc.enable()


def test_a_sum_of_a_hundred_thousand_terms() -> None:
    x = Value(2.0)
    width = 100_000
    sum([x * 1.0 for _ in range(width)]).backward()
    assert x.grad == width
