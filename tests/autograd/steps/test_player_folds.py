"""Does the player of a folded graph work in a browser? Opening, stepping, numbers, moved leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import nn
from autograd import Value
from autograd.steps import Steps, folds, steps
from autograd.steps import page as pages
from autograd.text import number
from tests.autograd.steps.player_page import Page, fill, named, saved
from tests.examples import sample

OpenPage = Callable[..., Page]


@cache
def small_network() -> Steps:
    """31 nodes: the page starts with everything open."""
    nn.seed(7)
    model = nn.MLP(2, [2, 1])
    score = model([Value(0.5, label="a"), Value(-1.0, label="b")])
    return steps(named("loss", nn.mse([score], [1.0])))


@cache
def classifier() -> Steps:
    """A few hundred nodes: the page starts with layers, all of which can be opened."""
    nn.seed(6)
    model = nn.MLP(3, [4, 3])
    inputs = [Value(x, label=f"in{i}") for i, x in enumerate([0.5, -0.25, 0.75])]
    return steps(named("loss", nn.cross_entropy_with_logits(model(inputs), 1)))


@cache
def batch() -> Steps:
    """More than 1,000 nodes: the page holds an excerpt."""
    nn.seed(1)
    data = nn.data.moons(100, noise=0.1)
    model = nn.MLP(2, [5, 4, 1])
    scores = [model(x) for x in data.inputs[:12]]
    return steps(named("loss", nn.hinge(scores, data.targets[:12])))


def crumbs(page: Page) -> list[str]:
    return [crumb.strip() for crumb in page.find(".crumb").all_inner_texts()]


def opened(page: Page) -> str:
    """The name of the view that is shown."""
    return str(page.find(".crumb[aria-current]").inner_text())


BOXES = """
    const heads = () => [...root.querySelectorAll('.stage > svg .node .head')];
    const boxes = () => Object.fromEntries(
        [...root.querySelectorAll('.stage > svg .node:not(.constant)')].map((box) => [
            box.querySelector('.head').textContent,
            [...box.querySelectorAll('.number')].map((text) => text.textContent)]));
"""


def boxes(page: Page) -> dict[str, list[str]]:
    """{first line of each box: its data and gradient, as shown}, without plain numbers."""
    found: dict[str, list[str]] = page.run(BOXES + "return boxes();")
    return found


def click(page: Page, box: str) -> None:
    """Click the box with this first line, even if it is not in view."""
    page.run(
        f"""{BOXES}
        const head = heads().find((head) => head.textContent === argument);
        head.closest('.node').dispatchEvent(new MouseEvent('click', {{ bubbles: true }}));""",
        box,
    )


class Root(nn.Module):
    """sqrt(k * x), whose derivative does not exist at 0."""

    def __init__(self) -> None:
        self.k = Value(2.0, label="k")

    def __call__(self, x: Value) -> Value:
        return (x * self.k) ** 0.5


def to_end(page: Page) -> None:
    page.run("root.querySelector('.button.last').click();")


def values_of(shown: Steps) -> dict[str, list[float]]:
    """{name: data and gradient} of each node, as Python has them."""
    return {shown.names[n]: [n.data, g] for n, g in shown.gradients.items()}


# --- opening and closing --------------------------------------------------------------------------


def test_a_click_opens_a_layer_then_a_neuron_and_the_path_leads_back(open_page: OpenPage) -> None:
    page = open_page(classifier(), at_start=False)
    assert opened(page) == "MLP"
    assert {"layers.0", "layers.1"} <= set(boxes(page))
    assert "closed module" in page.find(".legend").inner_text()
    click(page, "layers.0")
    assert crumbs(page)[:3] == ["loss", "MLP", "layers.0"]
    assert {f"neurons.{i}" for i in range(4)} <= set(boxes(page))
    click(page, "neurons.1")
    assert opened(page) == "neurons.1"
    assert page.find(".caption .hint").inner_text().startswith("Click a module to open it.")
    page.focus()
    page.press("Backspace")
    assert opened(page) == "layers.0"
    page.click(page.find(".crumb", has_text="loss"))
    assert opened(page) == "loss"
    assert "cross_entropy_with_logits" in boxes(page)
    page.click(page.find(".crumb.all"))
    assert opened(page) == "all nodes"
    assert page.state()["last"] == len(classifier())


def test_a_small_graph_is_open_until_it_is_folded(open_page: OpenPage) -> None:
    page = open_page(small_network(), at_start=False)
    assert opened(page) == "all nodes"
    page.click(page.find(".crumb", has_text="loss"))
    assert set(boxes(page)) == {"2 leaves", "MLP(2 → 2 → 1, relu)", "mse", "/  loss"}


def test_the_keyboard_opens_a_module_and_tooltips_offer_to_open_one(open_page: OpenPage) -> None:
    page = open_page(batch(), at_start=False)
    page.find(".stage > svg .node.module").first.focus()
    page.press("Enter")
    assert crumbs(page) == ["loss", "MLP", "layers.0"]
    page.click(page.find(".crumb", has_text="MLP"))
    titles = page.find(".stage > svg .node.module > title").all_text_contents()
    assert "Open layers.0" in titles


def test_a_part_may_be_opened_or_closed_while_the_pointer_is_on_a_name(open_page: OpenPage) -> None:
    page = open_page(small_network(), at_start=False)
    page.find(".stage > svg .node").nth(25).dispatch_event("click")
    use = page.find(".chain .use").first
    use.hover()
    assert page.find(".node.pointed").count() == 1
    page.find(".crumb", has_text="loss").focus()
    page.press("Enter")
    assert opened(page) == "loss"
    page.tab.mouse.move(2, 2)  # from what lies under the pointer now
    page.soon(lambda: page.find(".node.pointed").count() == 0)
    page.find(".crumb.all").focus()
    page.press("Enter")
    use.hover()
    assert page.find(".node.pointed").count() == 1


# --- steps ----------------------------------------------------------------------------------------


def test_the_pass_goes_from_box_to_box_and_ends_with_pythons_numbers(open_page: OpenPage) -> None:
    page = open_page(classifier())
    expected = values_of(classifier())
    state = page.state()
    assert state["position"] == 0
    forward = []
    for _ in range(state["last"]):
        page.click(page.find(".button.next"))
        title = page.find(".step h3").inner_text()
        forward.append(title)
    assert forward[0] == "Forward: layers.0"
    assert forward[-1] == "Backward through layers.0"
    half = state["last"] // 2
    assert [t.removeprefix("Forward: ") for t in forward[:half]] == [
        t.removeprefix("Backward through ") for t in reversed(forward[half:])
    ]
    assert boxes(page)["/  loss"] == [number(x) for x in expected["loss"]]


def test_boxes_show_no_numbers_before_their_step(open_page: OpenPage) -> None:
    page = open_page(classifier())
    assert boxes(page)["layers.0"] == ["…", "–"]
    page.click(page.find(".button.next"))
    assert boxes(page)["layers.0"][0] != "…"
    assert boxes(page)["layers.1"] == ["…", "–"]
    to_end(page)
    assert all("–" not in numbers for numbers in boxes(page).values())


@pytest.mark.parametrize("graph", [classifier, batch])
def test_a_box_shows_the_range_of_its_outputs_and_of_their_gradients(
    open_page: OpenPage, graph: Callable[[], Steps]
) -> None:
    shown = graph()
    page = open_page(shown, at_start=False)
    layer = next(
        n.context.owner for n in shown.nodes if n.op and type(n.context.owner) is nn.Neuron
    )
    outer = next(
        n.context.outer.owner
        for n in shown.nodes
        if n.op and n.context.owner is layer and n.context.outer is not None
    )
    users: dict[Value, set[Any]] = {}
    for node in shown.nodes:
        for parent in node.parents:
            users.setdefault(parent, set()).add(
                node.context.outer.owner if node.context.outer else None
            )
    outputs = [
        n
        for n in shown.nodes
        if n.op
        and n.context.outer
        and n.context.outer.owner is outer
        and users.get(n, set()) - {outer}
    ]
    data = [n.data for n in outputs]
    gradients = [shown.gradients[n] for n in outputs]
    assert boxes(page)["layers.0"] == [
        f"{number(min(data), 3)} … {number(max(data), 3)}",
        f"{number(min(gradients), 3)} … {number(max(gradients), 3)}",
    ]


@pytest.mark.parametrize("graph", [small_network, classifier, batch])
def test_every_view_ends_with_pythons_numbers(
    open_page: OpenPage, graph: Callable[[], Steps]
) -> None:
    """At the last step of each view, each node shown has its data and its gradient."""
    shown = graph()
    expected = values_of(shown)
    page = open_page(shown, at_start=False)
    views = page.run(
        """return JSON.parse(host.querySelector('script[type="application/json"]').textContent)
        .folds.views.map(({ name, outer }) => ({ name, outer }));"""
    )
    seen = 0
    tried = sample(range(len(views)), 3)
    for k in tried:
        path = [k]
        while views[path[0]]["outer"] >= 0:
            path.insert(0, views[path[0]]["outer"])
        title, shown_in_view = page.run(
            f"""{BOXES}
            root.querySelector('.crumb').click();
            for (const name of argument) {{
                const exact = heads().find((head) => head.textContent === name);
                const head = exact ?? heads().find((head) => head.textContent.startsWith(name));
                head.closest('.node').dispatchEvent(new MouseEvent('click', {{ bubbles: true }}));
            }}
            root.querySelector('.button.last').click();
            return [root.querySelector('.crumb[aria-current]').innerText, boxes()];""",
            [views[j]["name"] for j in path[1:]],
        )
        assert title == views[k]["name"]
        for head, numbers in shown_in_view.items():
            name = head.split("  ")[-1]
            if name in expected and len(numbers) == 2:
                assert numbers == [number(x) for x in expected[name]], (views[k], head)
                seen += 1
    assert seen > len(tried)


def test_the_step_of_a_node_adds_up_what_the_boxes_contribute(open_page: OpenPage) -> None:
    """For a weight of a neuron called 12 times, 11 calls are one box; the total is Python's."""
    shown = batch()
    page = open_page(shown, at_start=False)
    click(page, "layers.1")
    click(page, "neurons.0")
    weights = page.find(".leaves li:not([hidden])")
    assert weights.count() == 5 + 1
    expected = values_of(shown)
    while page.state()["node"] < 0 and page.state()["position"] > 0:
        page.click(page.find(".button.back"))
    state = page.state()
    for contribution in state["contributions"]:
        before, product = contribution["before"], contribution["product"]
        assert contribution["after"] == pytest.approx(before + product, rel=1e-12, abs=1e-15)
    to_end(page)
    for row in weights.all():
        name = row.locator(".name").inner_text()
        assert row.locator(".grad .number").inner_text() == number(expected[name][1])


@cache
def cross_entropy() -> Steps:
    logits = [Value(z, label=f"z{i}") for i, z in enumerate((1.5, -0.5, 0.25))]
    return steps(named("loss", nn.cross_entropy_with_logits(logits, 0)))


@pytest.mark.parametrize(
    ("graph", "loss", "receivers", "values"),
    [
        (cross_entropy, "cross_entropy_with_logits", "3 leaves", 3),
        (batch, "hinge", "MLP(2 → 5 → 4 → 1, relu)", 12),
    ],
)
def test_the_step_of_a_box_names_and_counts_what_receives_its_gradients(
    open_page: OpenPage, graph: Callable[[], Steps], loss: str, receivers: str, values: int
) -> None:
    """A plain number receives none, so it is neither named nor counted."""
    page = open_page(graph(), at_start=False)
    page.click(page.find(".crumb").first)
    to_end(page)
    while page.find(".step h3").inner_text() != f"Backward through {loss}":
        page.click(page.find(".button.back"))
    assert page.find(".stage > svg .node.constant").count()
    keys = [text.strip() for text in page.find(".step .rows .key").all_inner_texts()]
    assert keys == ["upstream", f"passed to {receivers}"]
    assert page.find(".step .rows .value").nth(1).inner_text().endswith(f" {values} values")


# --- leaves ---------------------------------------------------------------------------------------


def test_a_leaf_moved_in_a_folded_view_changes_all_boxes(open_page: OpenPage) -> None:
    page = open_page(classifier(), at_start=False)
    click(page, "layers.0")
    click(page, "neurons.0")
    row = page.find(".leaves li:not([hidden])").first
    name = row.locator(".name").inner_text()
    row.locator('input[type="number"]').fill("2.5")
    nn.seed(6)
    model = nn.MLP(3, [4, 3])
    inputs = [Value(x, label=f"in{i}") for i, x in enumerate([0.5, -0.25, 0.75])]
    model.layers[0].neurons[0].w[0].data = 2.5
    again = steps(named("loss", nn.cross_entropy_with_logits(model(inputs), 1)))
    expected = values_of(again)
    assert expected[name][0] == 2.5
    to_end(page)
    assert boxes(page)[_loss(page)][0] == number(again.output.data)
    assert boxes(page)[name] == [number(x) for x in expected[name]]
    page.click(page.find(".crumb", has_text="MLP"))
    to_end(page)
    before = boxes(page)["layers.0"]
    page.click(page.find(".leaves .button"))
    assert boxes(page)["layers.0"] != before


def _loss(page: Page) -> str:
    return next(head for head in boxes(page) if head.endswith("loss"))


def test_a_leaf_can_be_dragged_in_the_picture_of_an_open_neuron(open_page: OpenPage) -> None:
    page = open_page(small_network(), at_start=False)
    page.click(page.find(".crumb", has_text="loss"))
    page.run("return root.querySelector('.node.module').focus();")
    click(page, next(head for head in boxes(page) if head.startswith("MLP")))
    click(page, "layers.1")
    click(page, "neurons.0")
    leaf = page.find(".stage > svg .node.parameter.movable").first
    before = boxes(page)
    head = leaf.locator(".head").first.text_content()
    box = leaf.bounding_box()
    mouse = page.tab.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2, steps=4)
    mouse.up()
    after = boxes(page)
    assert after[head][0] != before[head][0]
    assert after[_loss(page)][0] != before[_loss(page)][0]
    assert opened(page) == "neurons.0"


def test_leaves_of_closed_modules_are_not_listed(open_page: OpenPage) -> None:
    page = open_page(classifier(), at_start=False)
    listed = page.find(".leaves li:not([hidden]) .name")
    assert listed.all_inner_texts() == ["in0", "in1", "in2"]
    click(page, "layers.1")
    click(page, "neurons.2")
    assert len(listed.all_inner_texts()) == 3 + 4 + 1


def test_the_page_of_a_large_graph_says_that_leaves_are_fixed(open_page: OpenPage) -> None:
    page = open_page(batch(), at_start=False)
    hint = page.find(".caption .hint").inner_text()
    assert f"The graph has {len(batch().nodes):,} nodes." in hint
    assert hint.endswith("the values of leaves cannot be changed.")
    assert page.find(".leaves input").count() == 0
    assert page.find(".button:visible", has_text="Predict").count() == 0


# --- with the other modes -------------------------------------------------------------------------


def test_an_exercise_shows_every_node(open_page: OpenPage) -> None:
    page = open_page(classifier(), at_start=False)
    page.click(page.find(".controls .button", has_text="Predict"))
    assert page.state()["view"] == -1
    assert page.find(".crumbs").is_hidden()
    page.click(page.find(".controls .button", has_text="Predict"))
    assert opened(page) == "all nodes"


def test_a_pass_with_an_error_has_nothing_to_predict_in_boxes_either(open_page: OpenPage) -> None:
    x = Value(4.0, label="x")
    page = open_page(steps(named("L", x**0.5 + nn.MLP(1, [3, 1])([x]))), at_start=False)
    page.click(page.find(".crumb").first)
    fill(page, [-1.0])
    page.click(page.find(".controls .button", has_text="Predict"))
    assert page.state()["view"] == -1
    text = page.find(".predict").inner_text()
    assert "There is nothing to predict: pow(x = -1, 0.5): a base below 0" in text


def test_a_page_saved_as_an_exercise_has_no_boxes(open_page: OpenPage) -> None:
    page = open_page(saved(small_network(), predict=True), at_start=False)
    assert page.state()["view"] == -1
    assert page.find(".crumb").count() == 0


def test_a_large_graph_cannot_be_an_exercise() -> None:
    with pytest.raises(folds.TooManyNodes, match="nodes are too many to predict one by one"):
        pages.page(batch().passed, predict=True)


def test_the_chain_rule_of_a_node_lights_the_edges_between_boxes(open_page: OpenPage) -> None:
    page = open_page(classifier(), at_start=False)
    click(page, "layers.0")
    click(page, "neurons.3")
    page.run("root.querySelector('.node.parameter').dispatchEvent(new MouseEvent('click'));")
    lit = page.find(".stage > svg .edge.lit").count()
    assert 0 < lit < page.find(".stage > svg .edge").count()
    page.focus()
    page.press("Escape")
    assert page.find(".stage > svg .edge.lit").count() == 0


def test_nothing_is_cut_off_at_any_window_size(open_page: OpenPage) -> None:
    phone, *others = [{"width": w, "height": h} for w, h in [(390, 844), (1024, 768), (1440, 900)]]
    page = open_page(batch(), viewport=phone, at_start=False)
    for size in (phone, *others):
        page.tab.set_viewport_size(size)
        fits, places = page.run(
            """const parts = root.querySelectorAll('.crumb, .step .rows .value, .step .button');
            return [document.documentElement.scrollWidth <= innerWidth,
                [...parts].map((part) => part.getBoundingClientRect().toJSON())];"""
        )
        assert fits
        assert len(places) > 4
        for place in places:
            assert place["left"] >= 0
            assert place["right"] <= size["width"]


def test_the_step_of_a_long_name_fits_on_a_small_phone(open_page: OpenPage) -> None:
    page = open_page(classifier(), viewport={"width": 320, "height": 568}, at_start=False)
    titles = []
    for _ in range(page.state()["last"]):
        titles.append(page.find(".step h3").inner_text())
        assert page.run("return document.documentElement.scrollWidth") == 320, titles[-1]
        page.press("ArrowLeft")
    assert "Backward through cross_entropy_with_logits" in titles


def test_the_button_of_an_open_part_is_large_enough_to_touch(open_page: OpenPage) -> None:
    nn.seed(1)
    page = open_page(steps(named("l", nn.MLP(2, [3, 1])([0.5, -1.0]))), at_start=False)
    for crumb in page.find(".crumb").all():
        assert min(crumb.bounding_box()[side] for side in ("width", "height")) >= 24


def test_what_python_would_not_reach_after_an_error_is_unknown_in_any_order_of_boxes(
    open_page: OpenPage,
) -> None:
    """Python goes back through root(c), b * b and root(a); the boxes through b * b and root."""
    root = Root()
    a, b, c = (Value(x, label=name) for x, name in [(4.0, "a"), (3.0, "b"), (9.0, "c")])
    first = root(a)
    page = open_page(steps(named("L", first + b * b + root(c))), at_start=False)
    for view in (page.find(".crumb").first, page.find(".crumb.all")):
        page.click(view)
        page.run(
            """const field = [...root.querySelectorAll('.leaves li')]
                .find((row) => row.textContent.startsWith('c')).querySelector('[type=number]');
            field.value = '0';
            field.dispatchEvent(new Event('input', { bubbles: true }));"""
        )
        to_end(page)
        assert "division by zero" in page.find(".problem").inner_text()
        assert boxes(page)["b"] == ["3", "?"]
