"""How long does one training step of the small GPT take, here and elsewhere? One engine per run.

    python tests/benchmarks/gpt_step.py ENGINE

Each line of input is a number of steps to take; the program prints their median time in seconds. So
engines can take turns, and the state of the machine affects all alike. float64, one thread.

The step is forward, backward and Adam on one document of 8 positions, with the 4,192 parameters of
karpathy's microgpt: vocabulary 27, block 16, embedding 16, 4 heads, 1 layer.

    jit, eager   this project; eager with the cyclic garbage collector paused, as in nn.fit
    scalar       a scalar engine in the style of microgpt: slots, local derivatives stored in each
                 node, a recursive topological sort
    torch        the same model in tensors, with PyTorch's attention, norm and fused Adam
    eager-collected, scalar-paused   the same, with the collector not paused, or paused
    c            forward, backward and Adam written by hand, compiled with cc -O3 -march=native
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

VOCABULARY, BLOCK, SIZE, HEADS, LR, BETA1, BETA2, EPS = 27, 16, 16, 4, 0.01, 0.85, 0.99, 1e-8
DOCUMENT = [26, 9, 0, 18, 12, 8, 13, 4, 26]  # a mark, 7 letters, a mark: 8 predictions
N = len(DOCUMENT) - 1

Step = Callable[[], float]


# --- this project ---------------------------------------------------------------------------------


def ours(jit: bool) -> Step:
    import nn
    from autograd.jit import jit as jitted

    nn.seed(1)
    model = nn.GPT(VOCABULARY, BLOCK, SIZE, HEADS, 1)
    optimizer = nn.Adam(model, lr=LR, betas=(BETA1, BETA2), eps=EPS)

    def train(document):
        loss = model.nll(document) / N
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = jitted(train) if jit else train
    return lambda: step(DOCUMENT).data


# --- a scalar engine ------------------------------------------------------------------------------


class Scalar:
    """A number with its operands and its local derivatives."""

    __slots__ = ("children", "data", "grad", "local")

    def __init__(self, data, children=(), local=()):
        self.data, self.grad, self.children, self.local = data, 0.0, children, local

    def __add__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        return Scalar(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        return Scalar(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, n):
        return Scalar(self.data**n, (self,), (n * self.data ** (n - 1),))

    def log(self):
        return Scalar(math.log(self.data), (self,), (1.0 / self.data,))

    def exp(self):
        e = math.exp(self.data)
        return Scalar(e, (self,), (e,))

    def relu(self):
        return Scalar(max(0.0, self.data), (self,), (float(self.data > 0.0),))

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (-other)

    def __truediv__(self, other):
        return self * other**-1

    __radd__, __rmul__ = __add__, __mul__

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for child in node.children:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for child, local in zip(node.children, node.local, strict=True):
                child.grad += local * node.grad


def scalar_step() -> Step:
    draw = random.Random(1).gauss

    def matrix(rows, columns):
        return [[Scalar(draw(0.0, 0.08)) for _ in range(columns)] for _ in range(rows)]

    def linear(x, w):
        return [sum(a * b for a, b in zip(row, x, strict=True)) for row in w]

    def softmax(logits):
        peak = max(value.data for value in logits)
        exponentials = [(value - peak).exp() for value in logits]
        whole = sum(exponentials)
        return [e / whole for e in exponentials]

    def rms(x):
        scale = (sum(a * a for a in x) / len(x) + 1e-5) ** -0.5
        return [a * scale for a in x]

    wte, wpe = matrix(VOCABULARY, SIZE), matrix(BLOCK, SIZE)
    wq, wk, wv, wo = (matrix(SIZE, SIZE) for _ in range(4))
    w1, w2, head = matrix(4 * SIZE, SIZE), matrix(SIZE, 4 * SIZE), matrix(VOCABULARY, SIZE)
    parameters = [p for w in (wte, wpe, wq, wk, wv, wo, w1, w2, head) for row in w for p in row]
    m, v, steps = [0.0] * len(parameters), [0.0] * len(parameters), [0]
    width = SIZE // HEADS
    sys.setrecursionlimit(10**6)

    def step() -> float:
        keys, values, losses = [], [], []
        for t in range(N):
            x = rms([a + b for a, b in zip(wte[DOCUMENT[t]], wpe[t], strict=True)])
            normed = rms(x)
            query = linear(normed, wq)
            keys.append(linear(normed, wk))
            values.append(linear(normed, wv))
            joined = []
            for h in range(HEADS):
                share = slice(h * width, (h + 1) * width)
                q, ks, vs = query[share], [k[share] for k in keys], [u[share] for u in values]
                scores = [sum(a * b for a, b in zip(q, k, strict=True)) / width**0.5 for k in ks]
                weights = softmax(scores)
                joined += [sum(weights[s] * vs[s][j] for s in range(t + 1)) for j in range(width)]
            x = [a + b for a, b in zip(x, linear(joined, wo), strict=True)]
            inner = [a.relu() for a in linear(rms(x), w1)]
            x = [a + b for a, b in zip(x, linear(inner, w2), strict=True)]
            losses.append(-softmax(linear(x, head))[DOCUMENT[t + 1]].log())
        loss = sum(losses) * (1.0 / N)
        loss.backward()
        steps[0] += 1
        for i, p in enumerate(parameters):
            m[i] = BETA1 * m[i] + (1 - BETA1) * p.grad
            v[i] = BETA2 * v[i] + (1 - BETA2) * p.grad**2
            moved = m[i] / (1 - BETA1 ** steps[0])
            p.data -= LR * moved / ((v[i] / (1 - BETA2 ** steps[0])) ** 0.5 + EPS)
            p.grad = 0.0
        return loss.data

    return step


# --- tensors --------------------------------------------------------------------------------------


def torch_step() -> Step:
    import torch
    from torch.nn.functional import cross_entropy, rms_norm, scaled_dot_product_attention

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)

    def matrix(rows, columns):
        return torch.nn.Parameter(0.08 * torch.randn(rows, columns))

    def rms(x):
        return rms_norm(x, (SIZE,), eps=1e-5)

    wte, wpe = matrix(VOCABULARY, SIZE), matrix(BLOCK, SIZE)
    wq, wk, wv, wo = (matrix(SIZE, SIZE) for _ in range(4))
    w1, w2, head = matrix(4 * SIZE, SIZE), matrix(SIZE, 4 * SIZE), matrix(VOCABULARY, SIZE)
    parameters = [wte, wpe, wq, wk, wv, wo, w1, w2, head]
    optimizer = torch.optim.Adam(parameters, lr=LR, betas=(BETA1, BETA2), eps=EPS, fused=True)
    document, width = torch.tensor(DOCUMENT), SIZE // HEADS

    def step() -> float:
        x = rms(wte[document[:-1]] + wpe[:N])
        normed = rms(x)
        q, k, v = ((normed @ w.T).view(N, HEADS, width).transpose(0, 1) for w in (wq, wk, wv))
        found = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + found.transpose(0, 1).reshape(N, SIZE) @ wo.T
        x = x + torch.relu(rms(x) @ w1.T) @ w2.T
        loss = cross_entropy(x @ head.T, document[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


# --- C by hand ------------------------------------------------------------------------------------


def compiled(source: str, *flags: str) -> Any:
    """Return the function `step` of a C file beside this one, compiled.

    -ffast-math is not for the linker: gcc would add code that makes the whole process treat
    subnormal numbers as 0, and so Python's floats, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        parts, library = Path(folder) / "step.o", Path(folder) / "step.so"
        path = Path(__file__).with_name(source)
        flags = ("-O3", "-march=native", "-fPIC", *flags)
        subprocess.run(["cc", *flags, "-c", path, "-o", parts], check=True)
        subprocess.run(["cc", "-shared", parts, "-o", library, "-lm"], check=True)
        step = ctypes.CDLL(str(library)).step
    step.restype = ctypes.c_double
    return step


def c_step() -> Step:
    step = compiled("gpt_step.c", "-ffast-math")
    draw = random.Random(1).gauss
    p = (ctypes.c_double * 4192)(*(draw(0.0, 0.08) for _ in range(4192)))
    m, v = (ctypes.c_double * 4192)(), (ctypes.c_double * 4192)()
    document, steps = (ctypes.c_int * len(DOCUMENT))(*DOCUMENT), [0]

    def call() -> float:
        steps[0] += 1
        return step(p, m, v, document, N, steps[0], ctypes.c_double(LR))

    return call


ENGINES: dict[str, Callable[[], Step]] = {
    "jit": lambda: ours(jit=True),
    "eager": lambda: ours(jit=False),
    "scalar": scalar_step,
    "torch": torch_step,
    "c": c_step,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=[*ENGINES, "eager-collected", "scalar-paused"])
    engine = parser.parse_args().engine
    if engine in ("eager", "scalar-paused"):
        gc.disable()
    step = ENGINES[engine.split("-")[0]]()
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
