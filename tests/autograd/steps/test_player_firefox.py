"""Does the player work in Firefox? See tests/firefox.py for the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autograd.steps import Steps, steps
from tests import firefox
from tests.autograd.steps.player_page import made, neuron, saved


@pytest.fixture(scope="module")
def shown() -> Steps:
    return made("neuron")


@pytest.fixture(scope="module")
def seen(shown: Steps, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What firefox.mjs returns for the page of a neuron."""
    page = tmp_path_factory.mktemp("firefox") / "page.html"
    page.write_text(saved(shown), encoding="utf-8")
    return firefox.seen(Path(__file__).with_name("firefox.mjs"), page.as_uri())


def test_the_page_opens_on_the_finished_pass(seen: dict[str, Any], shown: Steps) -> None:
    opened = seen["opened"]
    assert opened["position"] == opened["last"] == len(shown)
    assert opened["gradients"] == [shown.gradients.get(node) for node in shown.nodes]


def test_keys_step_without_a_click_and_the_numbers_match_python(
    seen: dict[str, Any], shown: Steps
) -> None:
    assert [state["position"] for state in seen["steps"]] == list(range(len(shown) + 1))
    place = {node: i for i, node in enumerate(shown.nodes)}
    for step, state in zip(shown, seen["steps"][1:], strict=True):
        assert state["node"] == place[step.node]
        assert state["data"][place[step.node]] == step.node.data
    assert seen["steps"][-1] == seen["opened"]


def test_a_click_opens_the_chain_rule_and_escape_closes_it(seen: dict[str, Any]) -> None:
    assert seen["chain"].startswith("Chain rule for w1")
    assert "-0.8621" in seen["chain"]
    assert seen["closed"]


def test_a_leaf_can_be_dragged(seen: dict[str, Any]) -> None:
    """100 pixels move it by half the reach of its slider, which is 2 * 0.8."""
    fresh = steps(neuron([1.6, 0.3, 0.1]))
    dragged = seen["dragged"]
    assert dragged["data"] == pytest.approx([node.data for node in fresh.nodes], rel=1e-12)
    found = dict(zip(fresh.nodes, dragged["gradients"], strict=True))
    assert [found[node] for node in fresh.gradients] == pytest.approx(
        list(fresh.gradients.values()), rel=1e-12
    )


def test_present_mode_fills_the_screen_with_legible_text(seen: dict[str, Any]) -> None:
    present = seen["present"]
    assert present["on"]
    assert present["text"] >= 16
    width, height = present["window"]
    for box in present["boxes"]:
        assert box["left"] >= 0
        assert box["top"] >= 0
        assert box["right"] <= width
        assert box["bottom"] <= height
    assert seen["left"]


def test_the_page_prints_nothing_and_makes_no_network_requests(seen: dict[str, Any]) -> None:
    assert seen["printed"] == []
    assert {url.split(":")[0] for url in seen["requests"]} <= {"file", "data"}
