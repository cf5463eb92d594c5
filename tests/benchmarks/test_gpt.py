"""How fast does the small GPT learn, beside tensors, C and a scalar engine; and how well?

    python -m pytest tests/benchmarks/test_gpt.py

The step of `gpt_step.py`, engines in processes of their own, in turn. Two environment variables:
TORCH_PYTHON, an interpreter that has torch, where this one has not; NAMES, a file of 32,033 English
first names, one a line (names.txt of karpathy's makemore), for the measurements of what is learned.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest

import nn
from nn import rng, text

ROUNDS = 7
STEPS = dict.fromkeys(["eager", "scalar", "eager-collected", "scalar-paused"], 3)  # others: 300
HELD_OUT = 3000
TORCH = os.environ.get("TORCH_PYTHON", sys.executable if find_spec("torch") else "")
NAMES = os.environ.get("NAMES", "")


def test_a_step_beside_others(report):
    """Medians of rounds in which every engine had its turn."""
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
    assert ratio("scalar", "eager") >= 3
    assert "torch" not in found or ratio("torch", "jit") >= 1.0


def seconds(process: subprocess.Popen[str], engine: str) -> float:
    print(STEPS.get(engine, 300), file=process.stdin, flush=True)
    return float(process.stdout.readline())


def learn(documents, steps, batch_size=1, lr=0.01):
    """The held-out loss after a training with microgpt's hyperparameters, and its seconds."""
    nn.seed(1)
    documents = list(documents)
    rng.generator.shuffle(documents)
    tokenizer = nn.Tokenizer(documents)
    held_out, learned = (
        text.examples(part, tokenizer, 16) for part in (documents[:HELD_OUT], documents[HELD_OUT:])
    )
    model = nn.GPT(tokenizer.vocabulary, 16, 16, 4, 1)
    optimizer = nn.Adam(model, lr=lr, betas=(0.85, 0.99))
    start = time.perf_counter()
    nn.fit(
        model,
        learned,
        text.nats_a_character,
        optimizer,
        steps=steps,
        every=steps,
        batch_size=batch_size,
        together=1,
        schedule=nn.linear_decay(lr, steps),
        predict=text.surprises,
        progress=False,
        jit=True,
    )
    taken = time.perf_counter() - start
    surprises = nn.evaluate(
        model, held_out, lambda s, n: float(text.nats_a_character(s, n)), text.surprises, True, 1
    )
    return surprises, taken


@pytest.mark.skipif(not NAMES, reason="NAMES does not say where the names are")
def test_names(report):
    names = text.read(NAMES)
    loss, taken = learn(names, 1000)
    report("1,000 steps on names, recording included", f"{taken:.1f} s", "5 s, then 1 s")
    report("held-out names after them", f"{loss:.3f} nats a character", "2.33")
    assert loss < 2.4
    loss, taken = learn(names, 4000, batch_size=16)
    report("4,000 steps of 16 names", f"{taken:.0f} s", "-")
    report("held-out names after them", f"{loss:.3f} nats a character", "then 2.0")
    assert loss < 2.2


@pytest.mark.skipif(not NAMES, reason="NAMES does not say where the names are")
def test_documents_of_all_lengths_in_one_program_or_in_several(report, monkeypatch):
    """What `nn.text.rooms` chooses between."""
    names = text.read(NAMES)
    for rooms in ([16], [8, 16], [6, 8, 10, 16]):
        monkeypatch.setattr(text, "rooms", lambda block_size, rooms=rooms: rooms)
        report(f"1,000 steps, padded to {rooms}", f"{learn(names, 1000)[1]:.1f} s", "-")
