"""What do the boxes of a page say, are their numbers right, and how large is such a page?"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nn
from autograd import Value
from autograd.steps import folds, steps
from autograd.steps import page as pages
from autograd.steps.excerpt import Excerpt
from autograd.steps.folds import FOLDED_NODES, PLAYER_NODES, Folds, TooManyNodes
from autograd.steps.passed import Passed
from autograd.steps.summary import Summaries
from autograd.text import number


@pytest.fixture(autouse=True)
def _seeded() -> None:
    nn.seed(1)


def small_network() -> Value:
    model = nn.MLP(2, [2, 1])
    loss = nn.mse([model([Value(0.5, label="x1"), Value(-1.0, label="x2")])], [1.0])
    loss.label = "loss"
    return loss


def moons_loss(examples: int) -> Value:
    data = nn.data.moons(100, noise=0.1)
    model = nn.MLP(2, [16, 16, 1])
    scores = [model(x) for x in data.inputs[:examples]]
    loss = nn.hinge(scores, data.targets[:examples]) + nn.l2(1e-4)(model)
    loss.label = "loss"
    return loss


def language_model() -> Value:
    model = nn.GPT(vocabulary=5, block_size=4, embedding=4, heads=2, layers=2)
    loss = model.nll([0, 1, 2, 3])
    loss.label = "loss"
    return loss


def content(output: Value) -> dict[str, Any]:
    """The JSON that the script of a page reads."""
    return content_of(Passed(output))


@cache
def passed_of(graph: Callable[..., Value], *arguments: int) -> Passed:
    nn.seed(1)
    return Passed(graph(*arguments))


@cache
def folds_of(passed: Passed) -> Folds:
    return Folds(passed)


@cache
def page_of(passed: Passed) -> str:
    return pages.page(passed)


@cache
def content_of(passed: Passed) -> dict[str, Any]:
    html = page_of(passed)
    found = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    given: dict[str, Any] = json.loads(found[1])
    return given


def members(group: dict[str, Any]) -> list[int]:
    runs = group["members"]
    return [i for k in range(0, len(runs), 2) for i in range(runs[k], runs[k + 1] + 1)]


def lines(given: dict[str, Any], k: int) -> list[str]:
    """The first line of each box of several nodes in a view."""
    boxes = given["folds"]["views"][k]["boxes"]
    return [given["folds"]["groups"][b["group"]]["lines"][0] for b in boxes if "group" in b]


# --- what is shown first --------------------------------------------------------------------------


def test_a_small_graph_starts_with_everything_open_and_can_be_folded() -> None:
    given = content_of(passed_of(small_network))
    assert given["folds"]["start"] == -1
    assert len(given["pictures"]) == 2
    assert [view["name"] for view in given["folds"]["views"]] == [
        *["loss", "MLP", "mse", "layers.0", "layers.1"],
        *["neurons.0", "neurons.1", "neurons.0"],
    ]


def test_a_larger_graph_starts_with_the_layers_of_its_model() -> None:
    given = content_of(passed_of(moons_loss, 1))
    start = given["folds"]["views"][given["folds"]["start"]]
    assert start["name"] == "MLP"
    assert given["pictures"] == []
    found = lines(given, given["folds"]["start"])
    assert {"layers.0", "layers.1", "layers.2", "hinge", "l2"} < set(found)


def test_a_gpt_starts_with_its_blocks() -> None:
    given = content_of(passed_of(language_model))
    found = lines(given, given["folds"]["start"])
    assert {"token", "position", "norm", "blocks.0", "blocks.1", "logits"} <= set(found)


def test_a_graph_without_modules_has_no_boxes() -> None:
    x = Value(2.0, label="x")
    given = content(x * x)
    assert given["folds"]["views"] == []
    assert given["folds"]["start"] == -1


def test_a_module_that_only_makes_the_output_is_not_opened() -> None:
    class Square(nn.Module):
        def __call__(self, x: Value) -> Value:
            return x * x

    given = content(Square()(nn.Neuron(1)([Value(2.0, label="x")])))
    assert [view["name"] for view in given["folds"]["views"]] == ["v4", "Neuron"]


def test_a_parameter_that_two_modules_share_is_drawn_beside_a_closed_one() -> None:
    one, other = nn.Neuron(1), nn.Neuron(1)
    other.w = one.w
    given = content(other([one([Value(2.0, label="x")])]) * 2)
    inside = [
        {given["steps"]["nodes"][box["node"]]["name"] for box in view["boxes"] if "inside" in box}
        for view in given["folds"]["views"][1:]
    ]
    assert inside == [{"w", "Neuron1.b", "v1", "v2", "v3"}, {"Neuron2.b", "v4", "v5", "v6"}]


def test_a_module_with_an_empty_repr_is_called_by_its_class() -> None:
    class Silent(nn.Module):
        def __call__(self, x: Value) -> Value:
            return x * x + 1.0

        def __repr__(self) -> str:
            return ""

    given = content(Silent()(Value(2.0, label="x")) * 2.0)
    assert [view["frames"] for view in given["folds"]["views"]] == [[], ["Silent"]]


def test_a_box_says_what_it_is_and_what_it_holds() -> None:
    given = content_of(passed_of(small_network))
    groups = {tuple(group["lines"]): group for group in given["folds"]["groups"]}
    layer = groups["layers.0", "Layer(2 → 2, relu)", "6 parameters"]
    assert layer["size"] == len(members(layer)) == 6 + 2 * (2 + 2 + 1)
    assert given["folds"]["views"][layer["opens"]]["name"] == "layers.0"
    assert groups["2 leaves",]["kind"] == "leaf"


def test_a_box_counts_the_parameters_in_use_beside_those_of_its_module() -> None:
    said = [group["lines"] for group in content_of(passed_of(language_model))["folds"]["groups"]]
    assert ["token", "Embedding(5 → 4)", "12 parameters used"] in said  # 3 of 5 tokens occur
    (model,) = (lines for lines in said if lines[0].startswith("GPT("))
    held = int(model[0].removeprefix("GPT(").split()[0])
    assert model[1] == f"{held - 2 * 4 - 4} parameters used"  # and 3 of 4 positions


def test_hostile_labels_stay_text_in_boxes() -> None:
    neuron = nn.Neuron(1)
    neuron.w[0].label = hostile = '"><img src=x onerror=alert(1)></script>'
    loss = nn.mse([neuron([Value(1.0, label=hostile + "2")])], [0.0])
    html = pages.page(Passed(loss))
    assert "<img src=x" not in html
    assert html.count("</script>") == 2
    assert any(hostile[:10] in node["name"] for node in content(loss)["steps"]["nodes"])


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "graph", [(moons_loss, 5), (language_model,)], ids=lambda graph: graph[0].__name__
)
def test_a_box_of_a_large_graph_sums_up_what_flows_through_it(graph: Any) -> None:
    passed = passed_of(*graph)
    assert len(passed.nodes) > PLAYER_NODES
    boxes = folds_of(passed)
    given = boxes.recorded(lambda graph, direction: "")
    excerpt = boxes.held
    assert isinstance(excerpt, Excerpt)
    # Recompute the summaries by definition, from the contributions of the whole pass.
    uses: dict[int, list[tuple[int, float]]] = {}
    for i in range(passed.leaves, len(passed.nodes)):
        for edge, local, _ in passed.contributions(i):
            uses.setdefault(edge.parent, []).append((i, passed.gradient_at(i) * local))
    places = [{passed.place[parent] for parent in node.parents} for node in passed.nodes]
    users: dict[int, set[int]] = {}
    for i, parents in enumerate(places):
        for p in parents:
            users.setdefault(p, set()).add(i)
    bundles = boxes._bundled.members
    for box, group in zip(boxes._boxes, given["groups"], strict=True):
        inside = {i for k in box.members for i in bundles[k]}
        parents = set().union(*(places[i] for i in inside)) - inside
        gone = {i for i in inside if users.get(i, set()) - inside}
        gone = {i for i in gone if passed.nodes[i].parents} or gone
        for flow, values in ((group["taken"], parents), (group["given"], gone)):
            if not values:
                assert flow is None
                continue
            data = [passed.data[i] for i in values]
            assert (flow["values"], flow["data"]) == (len(values), [min(data), max(data)])
        gradients = [passed.gradient_at(i) for i in gone if boxes.passed.kinds[i] != "constant"]
        if gradients:
            assert group["given"]["gradients"] == [min(gradients), max(gradients)]
        handed = [
            math.fsum(product for i, product in uses.get(p, ()) if i in inside)
            for p in parents
            if boxes.passed.kinds[p] != "constant"
        ]
        if handed:
            assert group["taken"]["gradients"] == pytest.approx([min(handed), max(handed)])
        trained = [passed.gradient_at(i) for i in inside if boxes.passed.kinds[i] == "parameter"]
        assert group["parameters"] == len(trained)
        assert group["norm"] == pytest.approx(math.sqrt(math.fsum(g * g for g in trained)))
        assert group["size"] == len(inside)
        assert {excerpt.places[k] for k in members(group)} == inside & set(excerpt.places)


@pytest.mark.parametrize(("factors", "total"), [((1e308, 1e308), "inf"), ((1e999, -1e999), "nan")])
def test_the_sum_of_what_a_box_passes_to_a_node_may_overflow(
    factors: tuple[float, float], total: str
) -> None:
    x = Value(1.0)
    passed = Passed(x * factors[0] + x * factors[1])
    size = len(passed.nodes)
    summaries = Summaries(passed, [range(size)], [0] * size)
    assert str(summaries.handed({0}, passed.place[x])) == f"(2, {total})"


def test_the_excerpt_has_the_numbers_and_the_names_of_the_whole_pass() -> None:
    passed = passed_of(moons_loss, 5)
    boxes = folds_of(passed)
    excerpt = boxes.held
    given = content_of(passed)
    nodes = given["steps"]["nodes"]
    assert isinstance(excerpt, Excerpt)
    for k, i in enumerate(excerpt.places):
        node = passed.nodes[i]
        assert (nodes[k]["name"], float(nodes[k]["data"])) == (passed.name(node), passed.data[i])
        if boxes.passed.kinds[i] != "constant":
            assert given["steps"]["gradients"][k] == passed.gradient_at(i)
    assert given["steps"]["forward"] == []


# --- size and time --------------------------------------------------------------------------------


def test_the_page_of_65_000_nodes_is_small_and_made_in_seconds(tmp_path: Path) -> None:
    loss = moons_loss(examples=100)
    start = time.process_time()
    shown = steps(loss)
    assert len(shown.nodes) > 65_000
    shown.save(tmp_path / "moons.html")
    assert time.process_time() - start < 10  # about 4 on an idle machine
    assert (tmp_path / "moons.html").stat().st_size < 1_100_000


def test_a_large_graph_without_modules_is_rejected_with_advice() -> None:
    x = Value(1.0, label="x")
    y = x
    for _ in range(PLAYER_NODES):
        y = y * 1.001
    with pytest.raises(TooManyNodes, match="unless they were made in modules"):
        Folds(Passed(y))


def test_a_graph_too_large_to_fold_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FOLDED_NODES == 200_000
    monkeypatch.setattr(folds, "FOLDED_NODES", 2_000)
    with pytest.raises(TooManyNodes, match="takes 2,000 if they were made in modules"):
        Folds(passed_of(moons_loss, 5))


def test_the_fallback_picture_shows_the_boxes() -> None:
    passed = passed_of(moons_loss, 5)
    html = page_of(passed)
    width = re.search(r'<img alt="([^"]*)" width="(\d+)"', html)
    assert width is not None
    assert int(width[2]) < 1_200  # drawn one by one, 3,000 nodes would reach the limit
    assert f"loss = {number(passed.data[-1])}"[:6] in width[1]
