"""Does the player work in WebKit, the engine of Safari? See tests/webkit.py for the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograd.steps import Steps, steps
from tests.autograd.steps.player_page import made, neuron, saved
from tests.webkit import Tab, webkit

HOME, RIGHT = "\ue011", "\ue014"
HOST = "const host = [...document.querySelectorAll('div')].find((div) => div.player);"


@pytest.fixture(scope="module")
def shown() -> Steps:
    return made("neuron")


@pytest.fixture(scope="module")
def window() -> Iterator[Tab]:
    with webkit() as opened:
        yield opened


@pytest.fixture
def tab(window: Tab, shown: Steps, tmp_path: Path) -> Tab:
    """A window with a new page of a neuron."""
    page = tmp_path / "page.html"
    page.write_text(saved(shown), encoding="utf-8")
    window.go(page.as_uri())
    return window


def state(tab: Tab) -> dict[str, Any]:
    found: dict[str, Any] = tab.evaluate(f"{HOST} return host.player.state();")
    return found


def test_keys_step_without_a_click_and_the_numbers_match_python(tab: Tab, shown: Steps) -> None:
    place = {node: i for i, node in enumerate(shown.nodes)}
    tab.press(HOME)
    assert state(tab)["position"] == 0
    for number, step in enumerate(shown, 1):
        tab.press(RIGHT)
        found = state(tab)
        assert (found["position"], found["node"]) == (number, place[step.node])
        assert found["data"][place[step.node]] == step.node.data
    assert state(tab)["gradients"] == [shown.gradients.get(node) for node in shown.nodes]


def test_a_leaf_can_be_dragged_and_no_text_is_selected(tab: Tab) -> None:
    """100 pixels move it by half the reach of its slider, which is 2 * 0.8."""
    x, y = tab.evaluate(
        f"""{HOST} const leaf = host.shadowRoot.querySelector('.stage .node');
        const {{ x, y, width, height }} = leaf.getBoundingClientRect();
        return [x + width / 2, y + height / 2];"""
    )
    tab.drag([x, y], [x + 100, y])
    fresh = steps(neuron([1.6, 0.3, 0.1]))
    assert state(tab)["data"] == pytest.approx([node.data for node in fresh.nodes], rel=0.02)
    assert tab.evaluate("return String(getSelection());") == ""
