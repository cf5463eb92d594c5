"""How fast are replays, compared with the eager engine, micrograd, PyTorch, CasADi and JAX?

    python -m pytest tests/benchmarks/test_jit.py

Engines run in processes of their own and take turns; one thread, float64. Peers that are not
installed are left out: pip install -e ".[test,jit,peers]", and torch, jax and casadi if wanted.
"""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from jit_step import L2, LR, points

import nn
from autograd import Value
from autograd.jit import jit

ROUNDS = 9
SLOW = {"eager": 1, "micrograd": 1, "jit-numpy": 20}  # steps per round; 200 for the others
MODULES = {"jit": "llvmlite", "jit-numpy": "numpy", "eager": "numpy"}


def installed(engine: str) -> bool:
    return find_spec(MODULES.get(engine, engine)) is not None


@pytest.mark.parametrize(
    ("workload", "asked"),
    [
        ("moons", {"torch": 2.0, "casadi": 2.0, "micrograd": 3000.0, "jax": 1.0, "eager": 1.0}),
        ("digits", {"torch": 1.0, "jax": 1.0, "casadi": 1.0, "eager": 1.0}),
        ("recurrence", {"eager": 50.0, "jax": 1.0, "torch": 1.0, "casadi": 1.0}),
    ],
)
def test_replays_beside_other_engines(report, workload, asked):
    """Report ratios as medians over rounds in which every engine takes a turn."""
    engines = ["jit", "jit-numpy", *(e for e in asked if installed(e))]
    with ExitStack() as stack:
        running = {
            engine: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, Path(__file__).with_name("jit_step.py"), engine, workload],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for engine in engines
            if installed(engine)
        }
        rounds = [
            {engine: seconds(process, SLOW.get(engine, 200)) for engine, process in running.items()}
            for _ in range(ROUNDS)
        ]
    ours = median(each["jit"] for each in rounds)
    report(f"{workload}: a replay", f"{ours * 1e6:.0f} us", "-")
    ratios = {e: median(each[e] / each["jit"] for each in rounds) for e in running if e != "jit"}
    for engine, ratio in ratios.items():
        theirs = median(each[engine] for each in rounds)
        least = f"{asked[engine]:g} times" if engine in asked else "-"
        report(f"{workload}: {engine}", f"{theirs * 1e6:,.0f} us: {ratio:,.2f} times ours", least)
    floors = {"moons": ("torch", "casadi", "micrograd"), "digits": ("torch",)}
    for engine in floors.get(workload, ("eager",)):
        assert engine not in ratios or ratios[engine] >= asked[engine]


def seconds(process: subprocess.Popen[str], steps: int) -> float:
    print(steps, file=process.stdin, flush=True)
    return float(process.stdout.readline())


RECORD = """
import time
from jit_step import ours
for _ in range(2):
    step = ours("moons")
    start = time.perf_counter()
    step()  # eager
    step()
    print(time.perf_counter() - start)
"""


def test_recording_time(report, run):
    """Measure the first two calls in a new process, and those of a second function like it.

    The calls run eagerly, then record, schedule and compile; imports do not count.
    """
    calls = [tuple(map(float, run("-c", RECORD).split())) for _ in range(5)]
    first, second = (median(column) for column in zip(*calls, strict=True))
    report("moons: recording to first result", f"{first:.2f} s", "under 3 s")
    report("moons: recorded once more", f"{second:.2f} s", "under 1 s")
    assert first < 3.0
    assert second < 1.0


def moons_step():
    """Return the training step of jit_step.py, as a plain function."""
    nn.seed(1)
    model = nn.MLP(2, [16, 16, 1])
    optimizer = nn.Adam(model, lr=LR)

    def step(inputs, targets):
        penalty = L2 * sum(p * p for p in optimizer.parameters)
        loss = nn.hinge([model(x) for x in inputs], targets) + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def test_cost_of_checks(report):
    """Measure what the checks add to 1,000 replays of the moons step.

    Each checked call is compared with an eager step right after it, as the machine may be busy at
    times. The replay in whose place it runs is too short to count. The cost is the median over
    rounds, each with a new function.
    """
    inputs, targets = [np.array(part, dtype=float) for part in points()]
    eager = moons_step()
    eager(inputs, targets)
    costs = []
    for _ in range(5):
        step = jit(moons_step())
        for _ in range(2):
            step(inputs, targets)
        (program,) = step.programs
        ratios = []
        for _ in range(1_000):
            checks = program.checks
            taken = timed(step, inputs, targets)
            if program.checks > checks:
                ratios.append(taken / timed(eager, inputs, targets))
        costs.append(sum(ratios))
    cost = median(costs)
    report(f"moons: {len(ratios)} checks of 1,000 replays", f"{cost:.1f} eager steps", "at most 6")
    assert cost <= 6.0


def timed(step, *arguments) -> float:
    start = time.perf_counter()
    step(*arguments)
    return time.perf_counter() - start


def recorded(steps: int) -> float:
    """Return the seconds that all stages of recording a recurrence and its derivative take."""
    w = Value(0.9)

    @jit
    def last(x):
        for _ in range(steps):
            x = (w * x + 0.1).tanh()
        w.grad = 0.0
        x.backward()
        return x

    for _ in range(2):
        last(0.5)
    return sum(last.programs[0].seconds.values())


def test_recording_time_of_long_programs(report):
    """Each step of a recurrence adds a few groups, so their number grows by a factor of eight."""
    recorded(10)  # compiles kernels
    few, many = [min(recorded(steps) for _ in range(3)) for steps in (1_000, 8_000)]
    report("recurrence of 8,000 steps: recorded", f"{many:.2f} s", "-")
    report("beside one of 1,000 steps", f"{many / few:.1f} times", "under 16 times")
    assert many < 16.0 * few


def wide(width: int):
    """Return a recorded step of about 10 * width operations, all alike, with its gradient."""
    weights = [Value(random.uniform(-1.0, 1.0)) for _ in range(width)]

    @jit(backend="native")
    def step(x):
        loss = sum(((w * x).tanh() - 0.5) * w for w in weights) / width
        for w in weights:
            w.grad = 0.0
        loss.backward()
        return loss

    step(0.5)
    step(0.5)
    return step


def test_replay_time_per_node_of_large_programs(report):
    """Measure the time of a replay per recorded node, for small programs and large ones in turn.

    Each program computes the same number of nodes in its turn, so small ones are replayed often.
    """
    steps = [wide(width) for width in (700, 7_000, 70_000, 700_000)]
    programs = [step.programs[0] for step in steps]
    gc.collect()
    nodes = [program.recorded for program in programs]
    rounds = []
    for _ in range(ROUNDS):
        taken = []
        for program in programs:
            replays = nodes[-1] // program.recorded
            start = time.perf_counter()
            for _ in range(replays):
                program._code.run()
            taken.append((time.perf_counter() - start) / replays / program.recorded * 1e9)
        rounds.append(taken)
    for i, program in enumerate(programs):
        size = program.bytes / program.recorded
        report(f"program of {nodes[i]:,} nodes", f"{size:.0f} bytes a node", "under 100")
        assert size < 100
    level = [median(column) for column in zip(*rounds, strict=True)]
    for count, nanoseconds in zip(nodes, level, strict=True):
        report(f"replay of {count:,} nodes", f"{nanoseconds:.2f} ns a node", "-")
    spread = median(max(taken) / min(taken) for taken in rounds)
    # Small programs fit in the processor's caches; a cost that grows with size would exceed this.
    report("the slowest of these over the fastest", f"{spread:.2f}", "under 2")
    assert spread < 2.0


def test_memory_of_replays(report):
    """Measure how the resident set grows over 20,000 replays of a training step."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    nn.seed(1)
    model = nn.MLP(2, [8, 1])
    optimizer = nn.Adam(model, lr=0.01)
    inputs, targets = np.random.default_rng(1).normal(size=(20, 2)), np.ones(20)

    @jit
    def step(inputs, targets):
        loss = nn.hinge([model(x) for x in inputs], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(5_000):  # these load LLVM and compile
        step(inputs, targets)
    before = resident()
    for _ in range(20_000):
        step(inputs, targets)
    grown = resident() - before
    report("resident set over 20,000 replays", f"{grown:+.2f} MiB", "flat")
    assert grown < 1.0
