"""Which boxes does a graph show, if one part of it is open at a time?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

import nn
from autograd import Value, topological_order
from autograd.draw.bundles import MOST_ALIKE, MOST_BOXES, Bundled
from autograd.draw.fold import Fold
from autograd.draw.names import kinds_of, named_and_trained
from autograd.draw.opened import Opened, opened


@pytest.fixture(autouse=True)
def _seeded() -> None:
    nn.seed(1)


def small_network() -> Value:
    model = nn.MLP(2, [2, 1])
    return nn.mse([model([Value(0.5, label="x1"), Value(-1.0, label="x2")])], [1.0])


def moons_loss(examples: int = 10) -> Value:
    data = nn.data.moons(100, noise=0.1)
    model = nn.MLP(2, [16, 16, 1])
    scores = [model(x) for x in data.inputs[:examples]]
    return nn.hinge(scores, data.targets[:examples]) + nn.l2(1e-4)(model)


def classifier() -> Value:
    model = nn.Sequential(nn.Linear(3, 4), nn.tanh, nn.Linear(4, 3))
    return nn.cross_entropy_with_logits(model([0.1, -0.2, 0.3]), 1)


def language_model() -> Value:
    return nn.GPT(vocabulary=5, block_size=4, embedding=4, heads=2, layers=2).nll([0, 1, 2, 3])


def twice_through_one_neuron() -> Value:
    """A module that leads to itself: its box and the nodes in between form a cycle."""
    neuron = nn.Neuron(1)
    return neuron([neuron([Value(0.5, label="x")]) * 2])


GRAPHS = [small_network, moons_loss, classifier, language_model, twice_through_one_neuron]


def views_of(output: Value) -> tuple[Bundled, list[Opened]]:
    nodes = topological_order(output)
    _, trained = named_and_trained(nodes, None)
    bundled = Bundled(Fold(nodes, kinds_of(nodes, {output}, trained)), [True] * len(nodes))
    return bundled, list(opened(bundled))


def kind_of(view: Opened) -> str:
    owner = view.part.owner
    return getattr(owner, "__name__", type(owner).__name__) if owner else "root"


def titles(view: Opened) -> list[str]:
    """The class, the name, or the label of each closed part that the view shows."""
    found = []
    for box in view.boxes:
        if box.module is not None:
            owner = box.module.owner
            found.append(
                box.module.label or getattr(owner, "__name__", None) or type(owner).__name__
            )
    return found


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_view_shows_each_node_in_one_box_and_every_flow(graph: Callable[[], Value]) -> None:
    output = graph()
    nodes = topological_order(output)
    place = {node: i for i, node in enumerate(nodes)}
    bundled, views = views_of(output)
    for view in views:
        members = [[i for k in box.members for i in bundled.members[k]] for box in view.boxes]
        assert sorted(i for box in members for i in box) == list(range(len(nodes)))
        box_of = {i: b for b, box in enumerate(members) for i in box}
        flows: dict[tuple[int, int], set[int]] = {}
        for i, node in enumerate(nodes):
            for p in (place[parent] for parent in node.parents):
                if box_of[p] != box_of[i]:
                    flows.setdefault((box_of[p], box_of[i]), set()).add(p)
        assert view.flows == flows
        assert len(view.boxes) <= MOST_BOXES
        for box, inside in zip(view.boxes, members, strict=True):
            assert (box.node >= 0) == (len(inside) == 1 and box.module is None)


@pytest.mark.parametrize("graph", GRAPHS[:-1])
def test_a_box_comes_after_those_that_lead_to_it(graph: Callable[[], Value]) -> None:
    for view in views_of(graph())[1]:
        assert all(tail < head for tail, head in view.flows)


def test_boxes_that_form_a_cycle_are_in_some_order() -> None:
    _, views = views_of(twice_through_one_neuron())
    root = views[0]
    assert any(tail > head for tail, head in root.flows)


def test_there_is_one_view_for_each_part_outermost_first() -> None:
    _, views = views_of(small_network())
    found = [kind_of(view) for view in views]
    assert found == ["root", "MLP", "mse", *["Layer"] * 2, *["Neuron"] * 3]
    assert titles(views[0]) == ["MLP", "mse"]
    assert titles(views[1]) == ["Layer", "Layer", "mse"]
    assert titles(views[3]) == ["Neuron", "Neuron", "Layer", "mse"]


def test_an_opened_neuron_shows_its_first_call_and_one_box_for_the_others() -> None:
    output = moons_loss(examples=10)
    _, views = views_of(output)
    neurons = [view for view in views if kind_of(view) == "Neuron"]
    assert len(neurons) == 33
    first, second, last = neurons[0], neurons[16], neurons[-1]
    around = {"9 more like it", "15 more", "Layer", "hinge", "l2"}
    assert set(titles(first)) == around
    assert set(titles(second)) == around
    assert MOST_ALIKE < 15
    assert set(titles(last)) == around - {"15 more"}
    nodes = topological_order(output)
    alone = [nodes[box.node] for box in second.boxes if box.node >= 0 and nodes[box.node].op]
    # 16 products, 15 sums of these, the sum with the bias, the ReLU, and the sum that is the loss.
    counts = {op: [node.op for node in alone].count(op) for op in ("mul", "add", "relu")}
    assert counts == {"mul": 16, "add": 15 + 1 + 1, "relu": 1}


def test_a_part_too_large_for_a_picture_is_never_opened() -> None:
    found = [kind_of(view) for view in views_of(moons_loss(examples=40))[1]]
    assert "hinge" not in found  # all of its 40 terms are in one sum
    assert "Neuron" in found


def test_plain_numbers_are_merged_into_the_only_box_that_uses_them() -> None:
    _, views = views_of(moons_loss())
    kinds = [box.kind for box in views[0].boxes]
    # The inputs are all that the MLP takes, so they keep their box; hinge also takes the scores.
    assert kinds.count("constant") == 1


def test_a_graph_without_modules_has_only_the_root_view() -> None:
    x = Value(2.0, label="x")
    _, views = views_of(x * x + 1)
    assert [kind_of(view) for view in views] == ["root"]
