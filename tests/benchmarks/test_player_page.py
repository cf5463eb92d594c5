"""How large is the player's file, and how long does it take to open, to step and to recompute?

    python -m pytest tests/benchmarks/test_player_page.py

Times are those of headless Chromium, from the event until the page is laid out again.
"""

from __future__ import annotations

import random
from statistics import median
from time import perf_counter

import pytest

from autograd import Value
from autograd.steps import steps
from autograd.steps.page import page
from tests.chromium import chromium

HOST = "[...document.querySelectorAll('div')].find((d) => d.player)"


@pytest.fixture(scope="module")
def tab():
    with chromium() as browser:
        yield browser.new_page(viewport={"width": 1280, "height": 900})


def loss_of_about_300_nodes():
    """Return the squared error of a 3-8-6-1 network, in Values alone so that nothing is folded."""
    generator = random.Random(0)
    numbers = [0.5, -0.3, 1.2]
    for outputs in (8, 6, 1):
        rows = [[Value(generator.gauss(0.0, 0.5)) for _ in numbers] for _ in range(outputs)]
        terms = [[w * x for w, x in zip(row, numbers, strict=True)] for row in rows]
        numbers = [sum(products, Value(0.0)).relu() for products in terms]
    return (numbers[0] - 1.0) ** 2


def measured(tab, setup, action, times):
    """Return the milliseconds that each of several actions and its layout take."""
    return tab.evaluate(
        f"""async () => {{
            const {{ shadowRoot }} = {HOST};
            const times = [];
            {setup}
            await new Promise((done) => setTimeout(done, 800)); // the picture has come closer
            for (let k = 0; k < {times}; k++) {{
                const start = performance.now();
                {action}
                shadowRoot.querySelector('.player').getBoundingClientRect();
                times.push(performance.now() - start);
                await new Promise(setTimeout);
            }}
            return times;
        }}"""
    )


KEY = """shadowRoot.querySelector('.player').dispatchEvent(
    new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));"""
SLIDER = """const slider = shadowRoot.querySelectorAll('.leaves input[type=range]')[5];
    shadowRoot.querySelector('button.last').click();"""
DRAG = """slider.value = (k * 37) % 200 - 100;
    slider.dispatchEvent(new Event('input', { bubbles: true }));"""
CHAIN = """shadowRoot.querySelectorAll('.stage .node.leaf')[5]
    .dispatchEvent(new Event('click'));"""


def test_player_of_300_nodes(tab, report, tmp_path):
    shown = steps(loss_of_about_300_nodes())
    nodes, last = len(shown.nodes), len(shown)
    assert 290 <= nodes <= 310
    start = perf_counter()
    html = page(shown.passed)
    making = perf_counter() - start
    file = tmp_path / "player.html"
    size = file.write_text(html, encoding="utf-8")
    tab.goto(file.as_uri())
    opening = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    stepping = measured(tab, "", KEY, last)
    assert tab.evaluate(f"{HOST}.player.state().position") == last
    dragging = measured(tab, SLIDER, DRAG, 100)
    with_chain = measured(tab, SLIDER + CHAIN, DRAG, 100)
    for what, number, asked in [
        ("saved file", f"{size / 1e6:.2f} MB", "under 1.5 MB"),
        ("made in Python", f"{making * 1e3:.0f} ms", "-"),
        ("opened", f"{opening:.0f} ms", "no visible delay"),
        ("a step", spread(stepping), "no visible delay"),
        ("a leaf dragged", spread(dragging), "under 16 ms"),
        ("a leaf dragged, chain rule open", spread(with_chain), "under 16 ms"),
    ]:
        report(f"player of {nodes} nodes: {what}", number, asked)
    assert size < 1_500_000
    assert opening < 1_000
    assert median(stepping) < 50
    assert median(dragging) < 16
    assert median(with_chain) < 16


def spread(times):
    return f"{median(times):.1f} ms, at most {max(times):.1f} ms"
