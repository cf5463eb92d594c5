"""How long does one eager training step take? Run as a program, in a process of its own.

    python tests/benchmarks/moons_step.py {scalar-autograd,micrograd} [--no-gc]

The step is that of micrograd's demo: a 2-16-16-1 ReLU MLP, 100 examples, hinge loss and L2 penalty,
forward, backward and SGD. For each line of input, it takes a step and prints the seconds. So two
engines can take turns step by step, and the state of the machine affects both alike.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable


def examples() -> tuple[list[list[float]], list[int]]:
    """Return 100 points of two interleaved half circles, the same for every engine."""
    from nn.data import moons

    return moons(100, noise=0.1, generator=random.Random(1))


def scalar_autograd_step() -> Callable[[], float]:
    import nn

    inputs, targets = examples()
    nn.seed(1)
    model = nn.MLP(2, [16, 16, 1])
    optimizer = nn.SGD(model, lr=0.1)

    def step() -> float:
        scores = [model(x) for x in inputs]
        penalty = 1e-4 * sum(p * p for p in optimizer.parameters)
        loss = nn.hinge(scores, targets) + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.data

    return step


def micrograd_step() -> Callable[[], float]:
    from micrograd.engine import Value
    from micrograd.nn import MLP

    inputs, targets = examples()
    random.seed(1)
    model = MLP(2, [16, 16, 1])

    def step() -> float:
        scores = [model(list(map(Value, x))) for x in inputs]
        losses = [(1 + -y * score).relu() for y, score in zip(targets, scores, strict=True)]
        penalty = 1e-4 * sum(p * p for p in model.parameters())
        loss = sum(losses) * (1.0 / len(losses)) + penalty
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        return loss.data

    return step


ENGINES = {"scalar-autograd": scalar_autograd_step, "micrograd": micrograd_step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--no-gc", action="store_true")
    options = parser.parse_args()
    step = ENGINES[options.engine]()
    step()  # warm-up
    if options.no_gc:
        gc.collect()
        gc.disable()
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
