"""How fast is the eager engine, and how much memory does it use, compared with micrograd?

    python -m pytest tests/benchmarks

Peers that are not installed are skipped: pip install -e ".[test,peers]".
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest
from moons_step import ENGINES

MICROGRAD = find_spec("micrograd") is not None
needs_micrograd = pytest.mark.skipif(not MICROGRAD, reason="micrograd is not installed")
engines = ["scalar-autograd", pytest.param("micrograd", marks=needs_micrograd)]
off = pytest.param("collector off", marks=pytest.mark.benchmark(disable_gc=True))
collectors = ["default collector", off]


@pytest.mark.parametrize("engine", engines)
@pytest.mark.parametrize("collector", collectors)
def test_training_step(benchmark, engine, collector):
    """Measure a step in this process, in a group for each setting of the garbage collector."""
    benchmark.group = f"eager training step, {collector}"
    benchmark.pedantic(ENGINES[engine](), rounds=5, warmup_rounds=1)


@needs_micrograd
@pytest.mark.parametrize(("flags", "least"), [([], 12.0), (["--no-gc"], 2.5)])
def test_training_steps_taken_in_turn(report, flags, least):
    """Measure engines in processes of their own, taking turns; the ratio is a median over pairs."""
    with ExitStack() as stack:
        ours, theirs = (
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, Path(__file__).with_name("moons_step.py"), engine, *flags],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for engine in ("scalar-autograd", "micrograd")
        )
        pairs = [(one_step(ours), one_step(theirs)) for _ in range(25)]
    ratio = median(theirs / ours for ours, theirs in pairs)
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    report(
        "eager training step" + (", collector off" if flags else ""),
        f"{theirs * 1e3:.0f} ms / {ours * 1e3:.0f} ms: {ratio:.1f} times",
        f"{least} times micrograd",
    )
    assert ratio >= least


def one_step(process: subprocess.Popen[str]) -> float:
    print(file=process.stdin, flush=True)
    return float(process.stdout.readline())


CHAIN = """
import sys
from {module} import Value

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

n = 1_000_000
x = w = Value(1.0)
before = resident()
for _ in range(n):
    x = x * w
forward = resident()
{after}
print((forward - before) / n, (resident() - before) / n)
"""


def test_memory_per_node(run, report):
    """Resident set of a chain of 1,000,000 products, before and after its backward pass."""
    program = CHAIN.format(module="autograd", after="x.backward()")
    forward, backward = map(float, run("-c", program).split())
    report("memory per node", f"{forward:.0f} bytes", "under 200 bytes")
    report("memory per node, gradient included", f"{backward:.0f} bytes", "under 200 bytes")
    assert forward < 200
    assert backward < 200


@needs_micrograd
def test_memory_per_node_of_micrograd(run, report):
    # Exit without freeing the chain, which micrograd would do recursively.
    program = CHAIN.format(module="micrograd.engine", after="") + "import os; sys.stdout.flush()"
    forward, _ = map(float, run("-c", program + "; os._exit(0)").split())
    report("memory per node of micrograd", f"{forward:.0f} bytes", "-")


def test_a_chain_of_a_million_operations(run, report):
    """A chain of 1,000,000 operations: forward, backward, second derivative, and freeing it."""
    program = """
from autograd import Value, grad
x = y = Value(0.5)
for k in range(1_000_000):
    y = y * 0.999999 if k % 2 else y + x * 1e-6
y.backward()
(slope,) = grad(y, [x], create_graph=True)
(curvature,) = grad(slope, [x])
print(x.grad == slope.data, curvature.data)
del x, y, slope, curvature
"""
    assert run("-c", program).split() == ["True", "0.0"]
    report("chain of 1,000,000 operations", "no error, no crash", "no error, no crash")


def test_training_memory(run, report):
    """2,000 steps of the moons task: resident set after the first 50, and its maximum later."""
    program = """
import nn
from nn.data import moons
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
sizes = []
def metric(predictions, targets):
    sizes.append(resident())
    return 0.0
nn.seed(0)
model = nn.MLP(2, [16, 16, 1])
nn.fit(model, moons(100, noise=0.1), nn.hinge, nn.Adam(model, lr=0.03), epochs=2000,
       penalty=nn.l2(1e-4), metric=metric, progress=False)
print(sizes[49], max(sizes[50:]))
"""
    early, most = map(int, run("-c", program).split())
    growth = f"{early / 1024:.1f} MiB, then at most {most / 1024:.1f} MiB"
    report("resident set after 50 of 2,000 training steps", growth, "flat")
    assert most < early * 1.02
