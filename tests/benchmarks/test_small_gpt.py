"""How fast and how well does the small GPT learn, compared with tensors, C and a scalar engine?

    python -m pytest tests/benchmarks/test_small_gpt.py

The step is that of `gpt_step.py`; engines run in processes of their own and take turns. Environment
variables: TORCH_PYTHON, an interpreter that has torch, if this one does not; NAMES, a file of
32,033 English first names, one per line (names.txt of makemore), to measure what is learned.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median

import pytest

import nn
from autograd.jit import jit
from nn import rng, text

ROUNDS = 7
STEPS = dict.fromkeys(["eager", "scalar", "eager-collected", "scalar-paused"], 3)  # others: 300
HELD_OUT = 3000
SEEDS = range(1, 6)
TORCH = os.environ.get("TORCH_PYTHON", sys.executable if find_spec("torch") else "")
NAMES = os.environ.get("NAMES", "")


def test_a_step_beside_other_engines(report):
    """Report medians over rounds in which every engine takes a turn."""
    interpreters = dict.fromkeys(["jit", *STEPS], sys.executable)
    if shutil.which("cc"):
        interpreters["c"] = sys.executable
    if TORCH:
        interpreters["torch"] = TORCH
    with ExitStack() as stack:
        running = {
            engine: stack.enter_context(
                subprocess.Popen(
                    [interpreter, Path(__file__).with_name("gpt_step.py"), engine],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for engine, interpreter in interpreters.items()
        }
        rounds = [
            {engine: seconds(running[engine], engine) for engine in running} for _ in range(ROUNDS)
        ]
    found = {engine: median(each[engine] for each in rounds) for engine in running}
    for engine, taken in found.items():
        report(f"gpt step: {engine}", f"{taken * 1e6:,.0f} us", "-")

    def ratio(slow: str, fast: str) -> float:
        return median(each[slow] / each[fast] for each in rounds)

    report("gpt step: scalar / jit", f"{ratio('scalar', 'jit'):,.0f} times", "500 times")
    report("gpt step: scalar / eager", f"{ratio('scalar', 'eager'):.2f} times", "3 times")
    for title, slow, fast in (
        ("collector running", "scalar", "eager-collected"),
        ("collector paused", "scalar-paused", "eager"),
    ):
        report(f"gpt step: scalar / eager, {title}", f"{ratio(slow, fast):.2f} times", "-")
    if "torch" in found:
        report("gpt step: torch / jit", f"{ratio('torch', 'jit'):.2f} times", "1 time")
    if "c" in found:
        report("gpt step: jit / c", f"{ratio('jit', 'c'):.2f} times", "then within 2 times")
    assert ratio("scalar", "jit") >= 500
    assert ratio("scalar", "eager") >= 3.0
    assert "torch" not in found or ratio("torch", "jit") >= 1.0


def seconds(process: subprocess.Popen[str], engine: str) -> float:
    print(STEPS.get(engine, 300), file=process.stdin, flush=True)
    return float(process.stdout.readline())


def learn(documents, steps, batch_size=1, embedding=16, seed=1):
    """Train with microgpt's hyperparameters; return the held-out loss and the seconds taken."""
    lr = 0.01
    nn.seed(seed)
    documents = list(documents)
    rng.generator.shuffle(documents)
    tokenizer = nn.Tokenizer(documents)
    held_out, learned = (
        text.examples(part, tokenizer, 16) for part in (documents[:HELD_OUT], documents[HELD_OUT:])
    )
    model = nn.GPT(tokenizer.vocabulary, 16, embedding, 4, 1, base_width=16)
    optimizer = nn.Adam(model, lr=lr, betas=(0.85, 0.99))
    start = time.perf_counter()
    nn.fit(
        model,
        text.with_mean_counts(learned),
        text.nll_per_character,
        optimizer,
        steps=steps,
        every=steps,
        batch_size=batch_size,
        micro_batch=1,
        schedule=nn.linear_decay(lr, steps),
        predict=text.nlls,
        progress=False,
        jit=True,
    )
    taken = time.perf_counter() - start
    return cost(model, held_out), taken


def cost(model, examples):
    """Return the nats per character over all examples."""
    return nn.evaluate(model, examples, text.nll_per_character, text.nlls, True, 1)


@pytest.mark.skipif(not NAMES, reason="NAMES does not say where the names are")
def test_learning_names(report):
    names = text.read(NAMES)
    # With microgpt's embedding it does not reach 2.33, which is the cost of 300 particular names:
    # see the run of microgpt itself, below.
    for embedding, asked, most in ((16, "5 s, then 1 s", 2.37), (64, "-", 2.33)):
        found = [learn(names, 1000, embedding=embedding, seed=seed) for seed in SEEDS]
        losses, seconds_taken = zip(*found, strict=True)
        report(
            f"1,000 steps on names, embedding {embedding}, recording included",
            f"{median(seconds_taken):.1f} s",
            asked,
        )
        report(
            f"held-out names after them, {len(SEEDS)} seeds",
            f"{mean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f}) nats per character",
            "2.33",
        )
        assert mean(losses) <= most
    loss, taken = learn(names, 4000, batch_size=16)
    report("4,000 steps of 16 names", f"{taken:.0f} s", "-")
    report("held-out names after them", f"{loss:.3f} nats per character", "then 2.0")
    assert loss < 2.2


@pytest.mark.skipif(not NAMES, reason="NAMES does not say where the names are")
def test_microgpts_own_run_is_reproduced(report):
    """With its order of names and initial weights, reproduce the losses that microgpt prints.

    It prints the cost of each name just before learning from it. The mean over the last 300 depends
    on which names they are: over 64 seeds it is 2.374, with a standard deviation of 0.023. Those of
    seed 42, which microgpt fixes, are easy ones; the names that it has not seen cost more.
    """
    draws = random.Random(42)
    names = text.read(NAMES)
    draws.shuffle(names)
    tokenizer = nn.Tokenizer(names)
    model = nn.GPT(tokenizer.vocabulary, 16, 16, 4, 1)
    attention, mlp = model.blocks[0].attention, model.blocks[0].mlp
    linear = [model.logits, attention.W_q, attention.W_k, attention.W_v, attention.W_o]
    linear += [mlp.W_1, mlp.W_2]
    tables = [model.token.vectors, model.position.vectors, *(part.weights for part in linear)]
    for weight in (weight for table in tables for row in table for weight in row):
        weight.data = draws.gauss(0.0, 0.08)
    optimizer = nn.Adam(model, lr=0.01, betas=(0.85, 0.99))
    schedule = nn.linear_decay(0.01, 1000)

    @jit
    def step(document, count):
        loss = model.nll(document) / count
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = []
    for i, (document, count) in enumerate(
        zip(*text.examples(names[:1000], tokenizer, 16), strict=True)
    ):
        optimizer.lr = schedule(i)
        losses.append(step(document, float(count)).data)
    unseen = cost(model, text.examples(names[1000:], tokenizer, 16))
    report("microgpt's run: its last 300 names", f"{mean(losses[-300:]):.4f}", "2.33")
    report("microgpt's run: its last 100 names", f"{mean(losses[-100:]):.4f}", "2.28")
    report("microgpt's run: all 31,033 that it has not seen", f"{unseen:.4f}", "-")
    # The first and the last loss as microgpt prints them.
    assert [losses[0], losses[-1]] == pytest.approx([3.3660, 2.6497], abs=5e-5)
    assert mean(losses[-300:]) == pytest.approx(2.333, abs=1e-3)
    assert unseen == pytest.approx(2.367, abs=1e-3)


@pytest.mark.skipif(not NAMES, reason="NAMES does not say where the names are")
def test_training_time_by_padded_lengths(report, monkeypatch):
    """Compare the paddings that `nn.text.examples` chooses from."""
    names, padded = text.read(NAMES), text.padded
    for lengths in ([16], [8, 16], [6, 8, 10, 16]):

        def to_the_next(document, block_size, lengths=lengths):
            size = min(len(document) - 1, block_size)
            return padded(document, min(length for length in lengths if length >= size))

        monkeypatch.setattr(text, "padded", to_the_next)
        report(f"1,000 steps, padded to {lengths}", f"{learn(names, 1000)[1]:.1f} s", "-")
