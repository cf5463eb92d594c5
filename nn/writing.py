"""How does `python -m nn gpt` learn from the lines of a text, and write new ones?"""

from __future__ import annotations

import argparse
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autograd.text import counted, fixed, print_to_nowhere, shown
from nn import plot, rng, text
from nn.checkpoint import History
from nn.data import Examples
from nn.gpt import GPT, Tokenizer
from nn.rules import Adam
from nn.runs import ended, finish, kept_settings, only_run_in, require_exportable, write_history
from nn.schedules import linear_decay
from nn.tasks import GPT_SETTINGS
from nn.train import fit

BETAS = (0.85, 0.99)  # those of microgpt
HELD_OUT = 10, 1000  # one line in ten, and at most 1,000 lines
REPORT = 100  # steps


def learn_text(out: Path, options: argparse.Namespace, given: dict[str, Any]) -> int:
    """Train a GPT on the lines of a text and write the results to the folder `out`.

    Args:
        given: the settings given on the command line.
    """
    kept = kept_settings(out, "gpt", given) if options.resume else {}
    settings = {**GPT_SETTINGS, **kept, **given}
    documents = text.read(settings["text"]) if settings["text"] else text.elements()
    require_exportable(options.export)
    with only_run_in(out):
        return _train(documents, out, options, settings)


def _train(
    documents: list[str], out: Path, options: argparse.Namespace, settings: dict[str, Any]
) -> int:
    rng.seed(settings["seed"])
    tokenizer, learned, held_out = _split(documents, settings["block_size"])
    names = ("block_size", "embedding", "heads", "layers", "base_width")
    model = GPT(tokenizer.vocabulary, **{name: settings[name] for name in names})
    optimizer = Adam(model, lr=settings["lr"], betas=BETAS)
    source = shown(settings["text"] or "the chemical elements")
    print(
        f"gpt: {counted(len(learned[0]), 'line')} of {source},"
        f" {len(held_out[0]):,} held out; {counted(tokenizer.vocabulary, 'token')},"
        f" {counted(len(model.parameters()), 'parameter')}"
    )
    if cut := sum(len(document) >= model.block_size for document in documents):
        print(f"lines cut to a block of {counted(model.block_size, 'token')}: {cut}")
    free = ("steps", "text") if options.resume else ("steps",)  # what a resumed run may change
    start = time.perf_counter()
    history = fit(
        model,
        text.with_mean_counts(learned),
        text.nll_per_character,
        optimizer,
        steps=settings["steps"],
        every=REPORT,
        batch_size=settings["batch_size"] or None,
        micro_batch=1,
        held_out=held_out if held_out[0] else None,
        schedule=linear_decay(settings["lr"], max(settings["steps"], 1)),
        predict=text.nlls,
        after_epoch=None if options.quiet else _shows_samples(model, tokenizer),
        checkpoint=out / "checkpoint.json",
        resume=options.resume,
        settings={"task": "gpt", **{k: v for k, v in settings.items() if k not in free}},
        progress=not options.quiet,
        jit=options.jit,
    )
    seconds, taken = time.perf_counter() - start, int(optimizer.time.data)

    text.save(out / "model.json", model, tokenizer)
    losses = {"every": REPORT, "loss": history.loss, "held_out_loss": history.held_out_loss}
    plots = {"loss.png": lambda: plot.loss_curve(history, REPORT, taken)}
    write_history(out, "gpt", settings, losses, plots)

    print(f"{ended(history)} {counted(taken, 'step')} in {seconds:.1f} s", end="")
    for what, scores in (("loss", history.loss), ("held out", history.held_out_loss)):
        print(f", {what} {fixed(scores[-1])}" if scores else "", end="")
    print(" nats per character" if history.loss else "")
    return finish(out, "gpt", model, history, options.export)


def _split(documents: list[str], block_size: int) -> tuple[Tokenizer, Examples, Examples]:
    """Return the tokenizer of all documents, and the examples to learn from and to hold out."""
    rng.generator.shuffle(documents)
    tokenizer = Tokenizer(documents)
    part, most = HELD_OUT
    held = min(len(documents) // part, most)
    learned, held_out = (
        text.examples(lines, tokenizer, block_size)
        for lines in (documents[held:], documents[:held])
    )
    return tokenizer, learned, held_out


def _shows_samples(model: GPT, tokenizer: Tokenizer) -> Callable[[History], None]:
    """Return an `after_epoch` for `fit` that prints the loss and three lines of the model."""
    from tqdm import tqdm  # slow to import

    def show(history: History) -> None:
        draws = random.Random(len(history.loss))  # not nn's stream, so that results do not change
        lines = [text.sample(model, tokenizer, temperature=0.5, generator=draws) for _ in range(3)]
        try:
            tqdm.write(f"loss {fixed(history.loss[-1])}: {', '.join(map(shown, lines))}")
        except OSError:  # a closed pipe, a full disk
            print_to_nowhere()
            signal.raise_signal(signal.SIGINT)  # save what was learned, as after Ctrl-C

    return show


def write_text(out: Path, options: argparse.Namespace) -> int:
    """Print new lines, written by the model in the folder `out`."""
    try:
        model, tokenizer = text.load(out / "model.json")
    except FileNotFoundError:
        raise ValueError(f"there is no {out / 'model.json'}: train one first") from None
    if options.seed is not None:
        rng.seed(options.seed)
    temperature = 0.5 if options.temperature is None else options.temperature
    for _ in range(options.generate):
        prompt, top_k, top_p = options.prompt or "", options.top_k, options.top_p
        print(shown(text.sample(model, tokenizer, prompt, temperature, top_k, top_p)))
    return 0
