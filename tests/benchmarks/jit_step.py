"""How long does one step take, replayed by the jit and computed by others? One engine per run.

    python tests/benchmarks/jit_step.py ENGINE {moons,digits,recurrence}

Each line of input is a number of steps to take; the program prints their median time in seconds. So
engines can take turns, and the state of the machine affects all alike. float64, one thread.

moons: forward, backward and Adam of a 2-16-16-1 ReLU network, 100 examples, hinge loss and L2.
digits: the same of a 64-32-10 network, 32 examples of 64 inputs, softmax cross-entropy.
recurrence: 1,000 times x := r x (1 - x), and the derivative of the last x with respect to r.

The jit and JAX get the examples as arguments of each call, in NumPy arrays (the jit gets classes as
a list), CasADi only the inputs; the others have them as tensors or lists from the start.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import sys
import time
from collections.abc import Callable
from statistics import median

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
LR, L2 = 0.01, 1e-4
STEPS, RATE, START = 1000, 2.5, 0.3

Step = Callable[[], float]


def points():
    """Return the examples of the moons step."""
    from nn.data import moons

    return moons(100, noise=0.1, generator=random.Random(1))


def pixels():
    """Return 32 random pictures of 64 pixels, and classes. Their content does not matter."""
    generator = random.Random(1)
    inputs = [[generator.random() for _ in range(64)] for _ in range(32)]
    return inputs, [generator.randrange(10) for _ in range(32)]


# --- this project ---------------------------------------------------------------------------------


def ours(workload: str, backend: str | None = "native", eager: bool = False) -> Step:
    import numpy as np

    import nn
    from autograd import Value, grad
    from autograd.jit import jit

    make = (lambda step: step) if eager else (lambda step: jit(step, backend=backend))
    nn.seed(1)
    if workload == "recurrence":

        def last(r):
            x = START
            for _ in range(STEPS):
                x = r * x * (1.0 - x)
            return x, grad(x, [r])[0]

        r = Value(RATE)
        step = make(last)
        return lambda: step(r)[1].data
    if workload == "moons":
        inputs, targets = points()
        model = nn.MLP(2, [16, 16, 1])
    else:
        inputs, targets = pixels()
        model = nn.MLP(64, [32, 10])
    optimizer = nn.Adam(model, lr=LR)

    def train(inputs, targets):
        if workload == "moons":
            penalty = L2 * sum(p * p for p in optimizer.parameters)
            loss = nn.hinge([model(x) for x in inputs], targets) + penalty
        else:
            loss = nn.cross_entropy_with_logits([model(x) for x in inputs], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = make(train)
    if not eager:
        inputs = np.array(inputs)
        if workload == "moons":  # classes stay whole numbers
            targets = np.array(targets, dtype=float)
    return lambda: step(inputs, targets).data


# --- others ---------------------------------------------------------------------------------------


def torch_step(workload: str) -> Step:
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    if workload == "recurrence":
        r = torch.tensor(RATE, requires_grad=True)

        def recurrence() -> float:
            x = START
            for _ in range(STEPS):
                x = r * x * (1.0 - x)
            return torch.autograd.grad(x, r)[0].item()

        return recurrence
    if workload == "moons":
        inputs, targets = (torch.tensor(part) for part in points())
        sizes = [2, 16, 16, 1]
    else:
        inputs, targets = (torch.tensor(part) for part in pixels())
        sizes = [64, 32, 10]
    layers: list[torch.nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    decay = 2.0 * L2 if workload == "moons" else 0.0  # the gradient of the L2 penalty
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, weight_decay=decay)

    def step() -> float:
        scores = model(inputs)
        if workload == "moons":
            loss = torch.relu(1.0 - targets * scores[:, 0]).mean()
        else:
            loss = torch.nn.functional.cross_entropy(scores, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def jax_step(workload: str) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    import numpy as np

    if workload == "recurrence":

        def last(r):
            return jax.lax.fori_loop(0, STEPS, lambda _, x: r * x * (1.0 - x), START)

        slope = jax.jit(jax.grad(last))
        return lambda: float(slope(RATE))
    examples = [np.array(part) for part in (points() if workload == "moons" else pixels())]
    sizes = [2, 16, 16, 1] if workload == "moons" else [64, 32, 10]
    generator = random.Random(1)
    parameters = [
        (
            jnp.array([[generator.gauss(0, 0.3) for _ in range(b)] for _ in range(a)]),
            jnp.zeros(b),
        )
        for a, b in itertools.pairwise(sizes)
    ]

    def cost(parameters, inputs, targets):
        x = inputs
        for i, (w, b) in enumerate(parameters):
            x = x @ w + b
            if i < len(parameters) - 1:
                x = jnp.maximum(x, 0.0)
        if workload == "moons":
            penalty = sum((p * p).sum() for p in jax.tree.leaves(parameters))
            return jnp.maximum(1.0 - targets * x[:, 0], 0.0).mean() + L2 * penalty
        chosen = jnp.take_along_axis(jax.nn.log_softmax(x), targets[:, None], axis=1)
        return -chosen.mean()

    @jax.jit
    def update(parameters, m, v, t, inputs, targets):
        loss, g = jax.value_and_grad(cost)(parameters, inputs, targets)
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        parameters = jax.tree.map(
            lambda p, m, v: p - LR * (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + EPS),
            parameters,
            m,
            v,
        )
        return parameters, m, v, t + 1, loss

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = [parameters, zeros, zeros, 1.0]

    def step() -> float:
        *state[:], loss = update(*state, *examples)
        return float(loss)

    return step


def casadi_step(workload: str) -> Step:
    import casadi
    import numpy as np

    if workload == "recurrence":
        r = casadi.SX.sym("r")
        x = START
        for _ in range(STEPS):
            x = r * x * (1.0 - x)
        slope = casadi.Function("slope", [r], [casadi.gradient(x, r)])
        return lambda: float(slope(RATE))
    inputs, targets = points() if workload == "moons" else pixels()
    sizes = [2, 16, 16, 1] if workload == "moons" else [64, 32, 10]
    count = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    p, m, v = (casadi.SX.sym(name, count) for name in "pmv")
    t = casadi.SX.sym("t")
    taken = 0
    x = casadi.SX.sym("x", sizes[0], len(inputs))
    start = x
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        w = casadi.reshape(p[taken : taken + a * b], b, a)
        x = w @ x + p[taken + a * b : taken + (a + 1) * b]
        taken += (a + 1) * b
        if i < len(sizes) - 2:
            x = casadi.fmax(x, 0.0)
    if workload == "moons":
        cost = casadi.sum(casadi.fmax(1.0 - casadi.DM(targets) * x.T, 0.0)) / len(inputs)
        cost += L2 * casadi.sumsqr(p)
    else:
        shifted = x - casadi.repmat(casadi.mmax(x), 10, 1)
        chosen = sum(shifted[k, i] for i, k in enumerate(targets))
        cost = (casadi.sum(casadi.log(casadi.sum(casadi.exp(shifted), 0))) - chosen) / 32
    g = casadi.gradient(cost, p)
    m1, v1 = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
    moved = p - LR * (m1 / (1 - BETA1**t)) / (casadi.sqrt(v1 / (1 - BETA2**t)) + EPS)
    update = casadi.Function("update", [p, m, v, t, start], [moved, m1, v1, cost])
    rng = np.random.default_rng(1)
    state = [rng.normal(0, 0.3, count), np.zeros(count), np.zeros(count)]
    examples, steps = np.array(inputs).T, [0]

    def step() -> float:
        steps[0] += 1
        *state[:], loss = update(*state, steps[0], examples)
        return float(loss)

    return step


def micrograd_step(workload: str) -> Step:
    """Return the moons step. micrograd lacks softmax and `grad`, so it runs no other workload."""
    from micrograd.engine import Value
    from micrograd.nn import MLP

    inputs, targets = points()
    random.seed(1)
    model = MLP(2, [16, 16, 1])
    m = [0.0] * len(model.parameters())
    v = [0.0] * len(m)
    steps = [0]

    def step() -> float:
        steps[0] += 1
        scores = [model(list(map(Value, x))) for x in inputs]
        losses = [(1 + -y * score).relu() for y, score in zip(targets, scores, strict=True)]
        penalty = L2 * sum(p * p for p in model.parameters())
        loss = sum(losses) * (1.0 / len(losses)) + penalty
        model.zero_grad()
        loss.backward()
        for i, p in enumerate(model.parameters()):
            m[i] = BETA1 * m[i] + (1 - BETA1) * p.grad
            v[i] = BETA2 * v[i] + (1 - BETA2) * p.grad * p.grad
            corrected = v[i] / (1 - BETA2 ** steps[0])
            p.data -= LR * (m[i] / (1 - BETA1 ** steps[0])) / (math.sqrt(corrected) + EPS)
        return loss.data

    return step


ENGINES: dict[str, Callable[[str], Step]] = {
    "jit": ours,
    "jit-numpy": lambda workload: ours(workload, backend="numpy"),
    "eager": lambda workload: ours(workload, eager=True),
    "micrograd": micrograd_step,
    "torch": torch_step,
    "jax": jax_step,
    "casadi": casadi_step,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("workload", choices=("moons", "digits", "recurrence"))
    options = parser.parse_args()
    step = ENGINES[options.engine](options.workload)
    for _ in range(3):  # to compile, or to run eagerly, record and check
        step()
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        print(median(seconds), flush=True)


if __name__ == "__main__":
    main()
