"""At which size do tensors become faster? A training step by batch size and width, per engine.

    python tests/benchmarks/sizes.py          # measures, then writes sizes.json and sizes.png
    python tests/benchmarks/sizes.py --draw   # only redraws sizes.json

A step is forward, backward and Adam of a 2-w-w-1 ReLU network on a batch of moons, hinge loss,
float64, one thread. Engines that are not installed are left out. Each runs in a process of its own.
Figures are medians of the CPU time of a step, as other programs may run on the machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WIDTH, BATCH = 16, 32  # each is fixed while the other varies
BATCHES, WIDTHS = (1, 8, 64, 512, 2048, 8192), (4, 16, 64, 192, 384)
SIZES = [*((batch, WIDTH) for batch in BATCHES), *((BATCH, width) for width in WIDTHS)]
COMPILED = [(BATCH, WIDTH), (2048, WIDTH), (BATCH, 192)]  # torch.compile takes a minute per size
LR, SECONDS = 0.01, 0.5

Step = Callable[[], float]


def examples(batch: int) -> Any:
    from nn.data import moons

    return moons(batch, noise=0.1, generator=random.Random(1))


def jit_step(batch: int, width: int) -> Step:
    import numpy as np

    import nn
    from autograd import jit

    nn.seed(1)
    model = nn.MLP(2, [width, width, 1])
    optimizer = nn.Adam(model, lr=LR)
    data = examples(batch)
    inputs, targets = np.array(data.inputs), np.array(data.targets, dtype=float)

    def train(inputs: Any, targets: Any) -> Any:
        loss = nn.hinge([model(x) for x in inputs], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = jit(train, backend="native")
    return lambda: step(inputs, targets).data


def torch_step(batch: int, width: int, is_compiled: bool = False) -> Step:
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    data = examples(batch)
    inputs, targets = torch.tensor(data.inputs), torch.tensor(data.targets)
    layers: list[torch.nn.Module] = []
    for before, after in itertools.pairwise((2, width, width, 1)):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)

    def loss_of(inputs: Any, targets: Any) -> Any:
        return torch.relu(1.0 - targets * model(inputs)[:, 0]).mean()

    cost, move = loss_of, optimizer.step
    if is_compiled:
        torch._dynamo.reset()  # or it would compile for all sizes at once
        cost, move = torch.compile(loss_of), torch.compile(optimizer.step)

    def step() -> float:
        loss = cost(inputs, targets)
        optimizer.zero_grad()
        loss.backward()
        move()
        return loss.item()

    return step


def jax_step(batch: int, width: int) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    data = examples(batch)
    inputs, targets = jnp.array(data.inputs), jnp.array(data.targets)
    keys = jax.random.split(jax.random.key(1), 3)
    parameters = [
        (0.3 * jax.random.normal(key, (a, b)), jnp.zeros(b))
        for key, (a, b) in zip(keys, itertools.pairwise((2, width, width, 1)), strict=True)
    ]

    def cost(parameters: Any) -> Any:
        x = inputs
        for w, b in parameters[:-1]:
            x = jnp.maximum(x @ w + b, 0.0)
        w, b = parameters[-1]
        return jnp.maximum(1.0 - targets * (x @ w + b)[:, 0], 0.0).mean()

    def adam(p: Any, m: Any, v: Any, t: Any) -> Any:
        return p - LR * (m / (1.0 - 0.9**t)) / (jnp.sqrt(v / (1.0 - 0.999**t)) + 1e-8)

    @jax.jit
    def update(p: Any, m: Any, v: Any, t: Any) -> Any:
        loss, g = jax.value_and_grad(cost)(p)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        return jax.tree.map(lambda p, m, v: adam(p, m, v, t), p, m, v), m, v, t + 1.0, loss

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = [parameters, zeros, zeros, 1.0]

    def step() -> float:
        *state[:], loss = update(*state)
        return float(loss)

    return step


ENGINES: dict[str, Callable[[int, int], Step]] = {
    "jit, of this project": jit_step,
    "PyTorch": torch_step,
    "JAX, jax.jit": jax_step,
    "PyTorch, torch.compile": lambda *size: torch_step(*size, is_compiled=True),
}


def measure(engine: str, batch: int, width: int) -> float:
    """Return the seconds of CPU time that a step takes."""
    step = ENGINES[engine](batch, width)
    for _ in range(5):  # to compile, or to run eagerly, record and check
        step()
    found: list[float] = []
    end = time.process_time() + SECONDS
    while len(found) < 5 or time.process_time() < end:
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return median(found)


def measured() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    found: dict[str, Any] = {
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "seconds": [],
    }
    for engine in ENGINES:
        command = [sys.executable, __file__, engine]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{engine} is left out")
            continue
        for batch, width, seconds in map(json.loads, done.stdout.splitlines()):
            row = {"engine": engine, "batch": batch, "width": width, "seconds": seconds}
            found["seconds"].append(row)
            print(row, flush=True)
    return found


def draw(found: dict[str, Any]) -> Any:
    """Draw the time of a step against the batch size, and against the width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, varies, fixed in zip(panels, ("batch", "width"), ("width", "batch"), strict=True):
        at = {"batch": BATCH, "width": WIDTH}[fixed]
        for engine in ENGINES:
            rows = [r for r in found["seconds"] if r["engine"] == engine and r[fixed] == at]
            points = sorted((r[varies], 1e3 * r["seconds"]) for r in rows)
            if points:
                axes.loglog(*zip(*points, strict=True), "o-", label=engine, markersize=4)
        axes.set(xlabel=f"{varies} ({fixed} {at})")
    panels[0].set_ylabel("ms of CPU time a step")
    panels[0].legend(fontsize="small")
    return figure


def overtaken(found: dict[str, Any], engine: str, varies: str) -> int | None:
    """Return the size from which an engine is faster than the jit, interpolated on log scales.

    None if it is not faster up to the largest size; 0 if it is at the smallest.
    """
    fixed, at = {"batch": ("width", WIDTH), "width": ("batch", BATCH)}[varies]
    lines = [
        {
            r[varies]: math.log(r["seconds"])
            for r in found["seconds"]
            if r["engine"] == name and r[fixed] == at
        }
        for name in (next(iter(ENGINES)), engine)
    ]
    gaps = [
        (math.log(size), lines[0][size] - lines[1][size])
        for size in sorted({*lines[0]} & {*lines[1]})
    ]
    if gaps and gaps[0][1] >= 0.0:
        return 0
    for (low, before), (high, after) in itertools.pairwise(gaps):
        if before < 0.0 <= after:
            return round(math.exp(low + (high - low) * before / (before - after)))
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="only redraw sizes.json")
    is_drawn = parser.parse_args().draw
    path = HERE / "sizes.json"
    found = json.loads(path.read_text(encoding="utf-8")) if is_drawn else measured()
    engines = [
        name for name in [*ENGINES][1:] if any(r["engine"] == name for r in found["seconds"])
    ]
    found["overtaken"] = [
        {"engine": engine, "varies": varies, "at": overtaken(found, engine, varies)}
        for engine, varies in itertools.product(engines, ("batch", "width"))
    ]
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(found).savefig(HERE / "sizes.png", dpi=110)
    print(*found["overtaken"], sep="\n")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:] and sys.argv[1] in ENGINES:
        for size in COMPILED if "compile" in sys.argv[1] else SIZES:
            print(json.dumps([*size, measure(sys.argv[1], *size)]), flush=True)
    else:
        main()
