"""What does the player look like? Screenshots to look at, in several sizes, light and dark.

    python tests/autograd/steps/screenshots.py OUT [NAME ...]

writes the page of each example (or of those named) to the folder OUT, and a PNG for each window
size and each of these views: the page as it opens, the chain rule of its first leaf, present mode
and, as "lab", a notebook cell. Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from autograd import Value
from autograd.steps import Steps, steps
from autograd.steps.page import fragment
from nn import GPT, MLP, cross_entropy_with_logits, mse, seed
from tests.chromium import chromium

SIZES = [(390, 844), (1024, 768), (1440, 900), (1920, 1080)]
# A JupyterLab cell: margins for its toolbars and prompt, and the attribute that sets its theme.
LAB = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>A notebook</title>
<body data-jp-theme-light="{light}" style="margin: 0; background: {paper}">
<main style="margin-top: 110px; height: calc(100vh - 110px); overflow: auto">
<div style="margin: 60px 24px 400px 88px; max-width: 1008px">{cell}</div></main></body></html>"""


def product_and_sine() -> Steps:
    x = Value(2.0, label="x")
    y = x * x + x.sin()
    y.label = "y"
    return steps(y)


def softmax() -> Steps:
    logits = [Value(z, label=f"z{i}") for i, z in enumerate((1.5, -0.5, 0.25), 1)]
    loss = cross_entropy_with_logits(logits, 0)
    loss.label = "loss"
    return steps(loss)


def network() -> Steps:
    seed(1)
    model = MLP(2, [2, 1], "tanh")
    loss = mse([model([0.5, -1.0])], [1.0])
    loss.label = "loss"
    return steps(loss, model)


def gpt() -> Steps:
    seed(1)
    model = GPT(vocabulary=27, block_size=8, embedding=4, heads=2, layers=1)
    loss = cross_entropy_with_logits(model([0, 5, 3]), [5, 3, 13])
    loss.label = "loss"
    return steps(loss, model)


EXAMPLES: dict[str, Callable[[], Steps]] = {
    "sine": product_and_sine,
    "softmax": softmax,
    "network": network,
    "gpt": gpt,
}


def shoot(browser: Any, out: Path, name: str, shown: Steps) -> None:
    page = out / f"{name}.html"
    shown.save(page)
    for theme in ("light", "dark"):
        light, paper = ("true", "#ffffff") if theme == "light" else ("false", "#111111")
        cell = LAB.format(light=light, paper=paper, cell=fragment(shown.passed))
        lab = out / f"{name}-lab-{theme}.html"
        lab.write_text(cell, encoding="utf-8")
        for width, height in SIZES:
            settings = {"color_scheme": theme, "reduced_motion": "reduce"}
            context = browser.new_context(viewport={"width": width, "height": height}, **settings)
            tab = context.new_page()

            def take(view: str, tab: Any = tab, end: str = f"{width}-{theme}") -> None:
                tab.wait_for_timeout(200)
                tab.screenshot(path=out / f"{name}-{view}-{end}.png")

            tab.goto(page.as_uri())
            take("opened")
            tab.locator(".stage .node").first.dispatch_event("click")
            take("chain")
            tab.keyboard.press("Escape")
            tab.keyboard.press("f")
            take("present")
            if width >= 1024:
                tab.goto(lab.as_uri())
                take("lab")
            context.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the output folder")
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(EXAMPLES)}; default: all")
    options = parser.parse_args()
    if unknown := set(options.names) - set(EXAMPLES):
        parser.error(f"no such example: {', '.join(unknown)}")
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    with chromium() as launched:
        for name in options.names or EXAMPLES:
            try:
                shoot(launched, out, name, EXAMPLES[name]())
            except ValueError as error:  # too large for the player
                print(f"{name}: {error}")
