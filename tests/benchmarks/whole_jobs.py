"""How long do whole jobs take, from the start of a process to its end? At several commits, in turn.

    python tests/benchmarks/whole_jobs.py COMMIT... [--turns N] [--only PART]

Each turn runs every job once at each commit and once with this code. The table has the CPU seconds
of the fastest turn, imports included, and the ratio to each commit:

python -m nn ...: training, evaluation, pictures and files with the defaults of the task.
first recorded call: the second call of the moons step of jit_step.py, in a fresh process.
small GPT: 1,000 steps of nn.fit on the names of the elements, recording included.
trained moons: from the start of the process to a trained 2-16-16-1 network, 100 steps of Adam on
100 examples, here and in PyTorch and JAX. TORCH_PYTHON and JAX_PYTHON are interpreters that have
these, if this one does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from copies import ROOT, unpack

PEERS = {
    peer: os.environ.get(f"{peer.upper()}_PYTHON", sys.executable if find_spec(peer) else "")
    for peer in ("torch", "jax")
}
STEPS, LR = 100, 0.03


# --- jobs in processes of their own ---------------------------------------------------------------


def first_recorded_call() -> None:
    """Print the CPU seconds of the second call of the moons step."""
    import jit_step

    step = jit_step.ours("moons", backend=None)
    step()
    start = time.process_time()
    step()
    print(time.process_time() - start)


def small_gpt() -> None:
    """Train a GPT of 4,128 parameters for 1,000 steps of one name each."""
    import nn
    from nn import text

    nn.seed(1)
    names = text.elements()
    tokenizer = nn.Tokenizer(names)
    model = nn.GPT(tokenizer.vocabulary, 16, 16, 4, 1)
    nn.fit(
        model,
        text.with_mean_counts(text.examples(names, tokenizer, 16)),
        text.nll_per_character,
        nn.Adam(model, lr=0.01, betas=(0.85, 0.99)),
        steps=1000,
        every=1000,
        batch_size=1,
        micro_batch=1,
        schedule=nn.linear_decay(0.01, 1000),
        predict=text.nlls,
        progress=False,
        jit=True,
    )


def trained_moons() -> None:
    """Run nn.fit for 100 epochs on the examples from standard input."""
    import nn

    nn.seed(0)
    examples = json.load(sys.stdin)
    model = nn.MLP(2, [16, 16, 1])
    optimizer = nn.Adam(model, lr=LR)
    history = nn.fit(model, examples, nn.hinge, optimizer, epochs=STEPS, progress=False, jit=True)
    assert history.loss[-1] < 0.05


def trained_moons_torch() -> None:
    """Do the same in PyTorch, one thread, float64."""
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    inputs, targets = (torch.tensor(part) for part in json.load(sys.stdin))
    linear, relu = torch.nn.Linear, torch.nn.ReLU()
    model = torch.nn.Sequential(linear(2, 16), relu, linear(16, 16), relu, linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(STEPS):
        loss = torch.relu(1.0 - targets * model(inputs)[:, 0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def trained_moons_jax() -> None:
    """Do the same in JAX, one thread, float64, with Adam written out."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    inputs, targets = (jnp.array(part) for part in json.load(sys.stdin))
    draws = random.Random(0)
    parameters = [
        (jnp.array([[draws.gauss(0.0, b**-0.5) for _ in range(a)] for _ in range(b)]), jnp.zeros(a))
        for b, a in ((2, 16), (16, 16), (16, 1))
    ]

    def cost(parameters):
        x = inputs
        for i, (w, b) in enumerate(parameters):
            x = x @ w + b
            x = jnp.maximum(x, 0.0) if i < 2 else x
        return jnp.maximum(1.0 - targets * x[:, 0], 0.0).mean()

    @jax.jit
    def update(parameters, m, v, t):
        loss, g = jax.value_and_grad(cost)(parameters)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate = LR / (1.0 - 0.9**t)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v / (1.0 - 0.999**t)) + 1e-8),
            parameters,
            m,
            v,
        )
        return parameters, m, v, t + 1.0, loss

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = [parameters, zeros, zeros, 1.0]
    for _ in range(STEPS):
        *state, loss = update(*state)
    assert float(loss) < 0.05


# --- taking turns ---------------------------------------------------------------------------------


def seconds(code: Path, arguments: list[str], given: str, interpreter: str) -> float:
    """Return the CPU seconds of a process that runs this copy of the code, or those it prints."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.times()
        done = subprocess.run(
            [interpreter, *arguments],
            env={**os.environ, "PYTHONPATH": str(code)},
            cwd=folder,
            input=given,
            capture_output=True,
            text=True,
        )
        after = os.times()
    if done.returncode:
        raise SystemExit(done.stderr)
    if arguments[-1] == "first_recorded_call":
        return float(done.stdout)
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


def jobs() -> dict[str, tuple[list[str], str, str]]:
    """Return the arguments, the standard input and the interpreter of each job, by its name."""
    draws = random.Random(1)
    sys.path.insert(0, str(ROOT))
    from nn.data import moons

    examples = json.dumps(moons(100, noise=0.1, generator=draws))
    found = {
        f"python -m nn {task}": (["-m", "nn", task, "--out", "."], "", sys.executable)
        for task in ("moons", "digits", "gpt")
    }
    own = [("first recorded call", first_recorded_call), ("small GPT", small_gpt)]
    for name, job in [*own, ("trained moons", trained_moons)]:
        found[name] = ([__file__, "--child", job.__name__], examples, sys.executable)
    for name, interpreter in PEERS.items():
        if interpreter:
            arguments = [__file__, "--child", f"trained_moons_{name}"]
            found[f"trained moons, {name}"] = (arguments, examples, interpreter)
    return found


def main() -> None:
    """Measure all jobs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commits", nargs="+")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", default="", help="a part of the names of jobs to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copies = {commit[:12]: Path(folder) / commit for commit in options.commits}
        for commit, (_, copy) in zip(options.commits, copies.items(), strict=True):
            copy.mkdir(parents=True)
            unpack(commit, copy)
        copies["this code"] = ROOT
        ratios = [f"{'ratio to ' + name:>21}" for name in list(copies)[:-1]]
        print(f"{'CPU seconds':24}", *[f"{name:>12}" for name in copies], *ratios)
        for job, (arguments, given, interpreter) in jobs().items():
            if options.only not in job:
                continue
            shared = interpreter != sys.executable  # none of our code: once per turn is enough
            turn = {"this code": ROOT} if shared else copies
            best = dict.fromkeys(turn, float("inf"))
            for _ in range(options.turns):
                for name, code in turn.items():
                    best[name] = min(best[name], seconds(code, arguments, given, interpreter))
            now = best["this code"]
            columns = [f"{best[name]:12.2f}" if name in best else " " * 12 for name in copies]
            compared = [f"{now / best[name]:21.2f}" for name in list(best)[:-1]]
            print(f"{job:24}", *columns, *compared, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        globals()[sys.argv[2]]()
    else:
        main()
