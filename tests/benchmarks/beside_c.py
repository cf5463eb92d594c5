"""How long does a replay take, compared with the same step in C? Prints the ratios.

    python tests/benchmarks/beside_c.py

Replay and C take turns in loops of LOOP steps, called from Python, one thread, float64; the figures
are from the fastest loop of each. The C of both steps is compiled with -O3 -march=native and

    fast    -ffast-math: sums in any order, fused multiply-adds
    exact   -ffp-contract=off: the moons step then equals the scalar engine to the last bit
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable

import gpt_step
import jit_step

ROUNDS, LOOP = 300, 30
FLAGS = {"fast": "-ffast-math", "exact": "-ffp-contract=off"}

Step = Callable[[], float]


def moons_in_c(build: str) -> Step:
    """Return the moons step of jit_step.py, starting from the same weights."""
    import nn

    nn.seed(1)
    p = [v.data for v in nn.MLP(2, [16, 16, 1]).parameters()]
    inputs, targets = jit_step.points()
    zeros, flat = [0.0] * len(p), [x for point in inputs for x in point]
    arrays = [(ctypes.c_double * len(x))(*x) for x in (p, zeros, zeros, flat, targets)]
    rates = ctypes.c_double(jit_step.LR), ctypes.c_double(jit_step.L2)
    step, steps = gpt_step.compiled("moons_step.c", FLAGS[build]), [0]

    def call() -> float:
        steps[0] += 1
        return step(*arrays, steps[0], *rates)

    return call


def quietest(steps: dict[str, Step]) -> dict[str, float]:
    """Return the seconds per step of each, measured in turn."""
    found = dict.fromkeys(steps, float("inf"))
    for step in steps.values():
        for _ in range(600):  # to record, check and compile
            step()
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(LOOP):
                step()
            found[name] = min(found[name], (time.perf_counter() - start) / LOOP)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    workloads = {
        "moons": {"replay": jit_step.ours("moons"), **{b: moons_in_c(b) for b in FLAGS}},
        "gpt": {"replay": gpt_step.ours(jit=True), "fast": gpt_step.c_step()},
    }
    for workload, steps in workloads.items():
        replay, *others = quietest(steps).items()
        print(f"{workload}: a replay takes {replay[1] * 1e6:.1f} us")
        for build, seconds in others:
            ratio = replay[1] / seconds
            print(f"    C, {build}: {seconds * 1e6:.1f} us; a replay takes {ratio:.2f} times that")


if __name__ == "__main__":
    main()
