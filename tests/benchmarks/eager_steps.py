"""Are eager training steps as fast as at another commit? Both, and that commit twice, in turn.

    python tests/benchmarks/eager_steps.py COMMIT [TURNS]

Each turn runs a process for each copy of the code. The table has the fastest step of all turns, as
a ratio to that of the commit, with Python's garbage collector on and off. The ratio of the commit
to itself shows how far the machine can be trusted.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from copies import ROOT, measured, unpack

STEPS = 8  # per process


def network_step(widths: list[int], inputs: list[list[float]], loss: Callable) -> Callable:
    """Return a function that takes one step of SGD on an MLP."""
    import nn

    model = nn.MLP(len(inputs[0]), widths)
    optimizer = nn.SGD(model, lr=0.01)

    def step() -> None:
        cost = loss([model(x) for x in inputs])
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()

    return step


def moons() -> Callable:
    """100 examples through 2-16-16-1, hinge loss."""
    import nn

    data = nn.data.moons(100)
    inputs = [list(x) for x in data.inputs]
    return network_step([16, 16, 1], inputs, lambda scores: nn.hinge(scores, data.targets))


def wide() -> Callable:
    """8 examples through 64-32-10, cross-entropy."""
    import nn

    draws = random.Random(1)
    inputs = [[draws.random() for _ in range(64)] for _ in range(8)]
    targets = [i % 10 for i in range(8)]
    return network_step([32, 10], inputs, lambda rows: nn.cross_entropy_with_logits(rows, targets))


def gpt() -> Callable:
    """8 tokens through a GPT of 4,192 parameters, Adam."""
    import nn

    model = nn.GPT(27, 16, 16, 4, 1)
    optimizer = nn.Adam(model, lr=0.01)

    def step() -> None:
        cost = model.nll([0, 5, 3, 7, 9, 1, 2, 4, 6])
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()

    return step


def chain() -> Callable:
    """9,000 operators in a row."""
    from autograd import Value

    x = Value(0.5)

    def step() -> None:
        y = x
        for _ in range(3000):
            y = (y * 1.01 + x).tanh()
        y.backward()

    return step


def pasted() -> Callable:
    """A network as in micrograd's lecture: sum(), one operator at a time, 20 examples."""
    from autograd import Value

    draws = random.Random(1)
    sizes = [2, 16, 16, 1]
    layers = [
        [([Value(draws.uniform(-1, 1)) for _ in range(nin)], Value(0.0)) for _ in range(nout)]
        for nin, nout in pairwise(sizes)
    ]
    parameters = [p for layer in layers for w, b in layer for p in (*w, b)]
    inputs = [[draws.uniform(-1, 1) for _ in range(2)] for _ in range(20)]

    def step() -> None:
        costs = []
        for x in inputs:
            for layer in layers:
                x = [sum((wi * xi for wi, xi in zip(w, x)), b).relu() for w, b in layer]  # noqa: B905
            costs.append((1 + -1.0 * x[0]).relu())
        loss = sum(costs) * (1.0 / len(costs))
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= 0.01 * p.grad

    return step


CASES = {"moons": moons, "64-32-10": wide, "GPT": gpt, "chain": chain, "pasted": pasted}


def quietest(step: Callable) -> float:
    """Return the milliseconds of the fastest of several steps."""
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def main(commit: str, turns: int) -> None:
    """Measure both copies, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder)
        unpack(commit, before)
        print(f"{'quietest step, ratio to ' + commit[:12]:36}", *[f"{c:>9}" for c in CASES])
        for collector in ("on", "off"):
            copies = {"this code": ROOT, "the commit": before, "the commit again": before}
            best = {name: [float("inf")] * len(CASES) for name in copies}
            for _ in range(turns):
                for name, code in copies.items():
                    best[name] = list(map(min, best[name], measured(__file__, code, collector)))
            for name in ("this code", "the commit again"):
                ratios = [a / b for a, b in zip(best[name], best["the commit"], strict=True)]
                line = f"collector {collector}, {name}"
                print(f"{line:36}", *[f"{ratio:9.2f}" for ratio in ratios], flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        (gc.enable if sys.argv[2] == "on" else gc.disable)()
        print(*[quietest(case()) for case in CASES.values()])
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("commit")
        parser.add_argument("turns", type=int, nargs="?", default=10)
        main(**vars(parser.parse_args()))
