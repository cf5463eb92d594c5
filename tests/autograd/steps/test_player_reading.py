"""Does the page tell the truth? Its words agree with what is known and what can be done."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import pytest

import nn
from autograd import Value
from autograd.steps import Steps, steps
from autograd.text import number
from tests.autograd.draw.test_draw import contrast
from tests.autograd.steps.player_page import Page, fill

OpenPage = Callable[..., Page]


def lines(browsed: Page, selector: str) -> list[str]:
    """The visible text of each of these parts, in one line."""
    return [" ".join(text.split()) for text in browsed.find(selector).all_inner_texts()]


@cache
def network(examples: int) -> Steps:
    """One example: all nodes are shown. Two: layers are shown. 60: leaves cannot be moved."""
    nn.seed(1)
    model = nn.MLP(2, [4, 1])
    inputs = [[0.1 * i, 1.0 - 0.2 * i] for i in range(examples)]
    return steps(nn.mse([model(x) for x in inputs], [1.0] * examples), model)


# --- the line below the picture -------------------------------------------------------------------

OPEN, DRAG = (
    "Click a module to open it.",
    "Drag a leaf sideways to change its value (Shift: finer).",
)
CHAIN, STEP = "Click a node for its chain rule.", "Click a node to go to its step."


def test_the_caption_lists_the_kinds_in_view_and_the_possible_actions(open_page: OpenPage) -> None:
    browsed = open_page(network(2), at_start=False)
    kinds, hint = browsed.find(".legend .kind"), browsed.find(".hint").first
    assert kinds.all_inner_texts() == ["constant", "output", "closed module"]
    assert hint.inner_text() == f"{OPEN} {CHAIN}"
    browsed.click(browsed.find(".crumb.all"))
    assert kinds.all_inner_texts() == ["parameter", "constant", "operation", "output"]
    assert hint.inner_text() == f"{DRAG} {CHAIN}"
    browsed.click(browsed.find(".controls .button", has_text="Predict"))
    assert hint.inner_text() == DRAG  # no chain rule before everything is predicted


def test_the_caption_of_an_excerpt_offers_only_possible_actions(open_page: OpenPage) -> None:
    shown = network(60)
    browsed = open_page(shown, at_start=False)
    hint = browsed.find(".hint").first.inner_text()
    held = f"The graph has {len(shown.nodes):,} nodes. This page holds only what it shows, so"
    assert hint == f"{OPEN} {STEP} {held} the values of leaves cannot be changed."


def test_clicking_a_leaf_of_an_excerpt_goes_to_the_step_that_completes_its_gradient(
    open_page: OpenPage,
) -> None:
    shown = network(60)
    browsed = open_page(shown, at_start=False)
    for box in ("layers.1", "neurons.0"):
        browsed.find(f".stage .node[aria-label^='{box},']").dispatch_event("click")
    weight = browsed.find(".stage .node.parameter").first
    name = weight.locator(".head").text_content()
    browsed.press("Home")
    weight.dispatch_event("click")
    gradient = number({shown.names[n]: g for n, g in shown.gradients.items()}[name])
    assert any(line.endswith(f" = {gradient}") for line in lines(browsed, ".step .parent .value"))
    assert weight.get_attribute("aria-label").endswith(f"grad {gradient}")


# --- plain numbers, and folded views --------------------------------------------------------------


def test_a_plain_number_has_no_gradient_rather_than_0(open_page: OpenPage) -> None:
    browsed = open_page(steps(Value(3.0, "x") * 2))
    browsed.find(".stage .node.constant").dispatch_event("click")
    assert lines(browsed, ".chain") == ["Chain rule for 2 A constant receives no gradient."]
    browsed.find(".stage .node.leaf").dispatch_event("click")
    assert lines(browsed, ".sum .equation")[0].endswith("= 2")


def test_a_group_of_plain_numbers_is_no_button(open_page: OpenPage) -> None:
    browsed = open_page(network(2), at_start=False)
    group, loss = browsed.find(".node.constant").first, browsed.find(".node.output")
    roles = [[box.get_attribute(name) for name in ("role", "tabindex")] for box in (group, loss)]
    assert roles == [["img", None], ["button", "0"]]
    browsed.click(browsed.find(".crumb.all"))
    assert browsed.find(".node.constant").first.get_attribute("role") == "button"


def test_a_line_does_not_end_with_an_equals_sign(open_page: OpenPage) -> None:
    x = Value(0.5, "x")
    y = x.log() * x.sqrt() / (x - 2)
    y.label = "y"
    browsed = open_page(steps(y), {"width": 390, "height": 844}, at_start=False)
    signs, numbers = browsed.run(
        """const bottoms = (text) => [...root.querySelectorAll('.step .parent .value')].map(
            (value) => {
                const texts = document.createTreeWalker(value, NodeFilter.SHOW_TEXT);
                const found = [];
                while (texts.nextNode()) found.push(texts.currentNode);
                const range = document.createRange();
                const at = found.findLastIndex(({ data }) => text.test(data));
                range.selectNodeContents(found[at]);
                return range.getClientRects()[0].bottom;
            });
        return [bottoms(/=/), bottoms(/\\d/)];"""
    )
    assert numbers[-1] - browsed.find(".step .parent .slope").last.bounding_box()["y"] > 50
    assert signs == numbers


def test_long_names_leave_a_formula_half_of_its_panel(open_page: OpenPage) -> None:
    y = Value(2.0, "the_temperature_of_the_water") * Value(-3.0, "the_second_learning_rate")
    y.label = "the_product_of_two_long_names"
    for viewport in ({"width": 320, "height": 568}, {"width": 1024, "height": 768}):
        browsed = open_page(steps(y), viewport, at_start=False)
        whole, left, right = browsed.run(
            """return ['', ' .left', ' .right'].map((part) =>
                root.querySelector(`.step .equation${part}`).getBoundingClientRect().width);"""
        )
        assert right > 0.45 * whole
        assert left + right < whole


def test_a_long_name_takes_the_room_that_a_short_formula_leaves(open_page: OpenPage) -> None:
    x = Value(2.0, "x")
    y = x * x
    y.label = "a_long_name_of_y"
    browsed = open_page(steps(y), {"width": 320, "height": 568}, at_start=False)
    assert browsed.run(
        """const left = root.querySelector('.step .equation .left');
        return left.scrollWidth <= left.clientWidth;"""
    )


@pytest.mark.parametrize("safari", [False, True])
def test_copied_equations_are_on_one_line_each(open_page: OpenPage, safari: bool) -> None:
    browsed = open_page(steps(Value(0.5, "x").relu()), at_start=False, reload=True)
    browsed.click(browsed.node(0))
    for panel, first, last in (
        (".step .body", "v1 = ReLU(x)", "∂v1/∂x = [x > 0] = 1"),
        (".sum", "Chain rule for x", "∂v1/∂x = 1"),
        (".use", "∂v1/∂v1 × [x > 0] = 1 × 1 = 1", "∂v1/∂v1 × [x > 0] = 1 × 1 = 1"),
    ):
        copied = browsed.run(
            """const [panel, safari] = argument;
            const selection = Object.getPrototypeOf(root).getSelection.call(root);
            selection.selectAllChildren(root.querySelector(panel));
            // In Safari, as in Firefox, the document has the selection, and a shadow root has none.
            if (safari) root.getSelection = undefined;
            if (safari) document.getSelection = () => selection;
            const clipboardData = new DataTransfer();
            const event = new ClipboardEvent('copy', { clipboardData, bubbles: true });
            root.querySelector(panel).dispatchEvent(event);
            return clipboardData.getData('text/plain').trim().split('\\n');""",
            [panel, safari],
        )
        assert copied[0] == first
        assert last in copied


def test_a_local_derivative_has_one_colour(open_page: OpenPage) -> None:
    browsed = open_page(steps(Value(0.5, "x") * 3), at_start=False)
    local, product, _ = browsed.find(".step .parent .value").all()
    assert local.text_content().strip() == "∂v1/∂x = 3"
    shown = [line.locator(".data.number").text_content() for line in (local, product)]
    assert shown == ["3", "3"]


def test_gradient_steps_can_be_reset_where_no_leaf_is_listed(open_page: OpenPage) -> None:
    browsed = open_page(network(2), at_start=False)
    before = browsed.state()["data"]
    assert browsed.find(".leaves").is_hidden()
    browsed.click(browsed.find(".controls .button", has_text="Experiment"))
    reset = browsed.find(".experiment .button", has_text="Reset")
    assert reset.get_attribute("aria-disabled") == "true"
    browsed.click(browsed.find(".experiment .button", has_text="Take a step"))
    assert browsed.state()["data"] != before
    browsed.click(reset)
    assert browsed.state()["data"] == before


@cache
def gpt() -> Steps:
    nn.seed(1)
    model = nn.GPT(vocabulary=27, block_size=8, embedding=4, heads=2, layers=1)
    return steps(nn.cross_entropy_with_logits(model([0, 5, 3]), [5, 3, 13]), model)


SIDES = """return [...root.querySelectorAll('.stage .node.module')].map((box) => {
    const { left, right } = box.querySelector('polyline').getBoundingClientRect();
    const texts = [...box.querySelectorAll('.number, .key')];
    const ends = texts.map((text) => text.getBoundingClientRect()).filter((end) => end.width);
    return [Math.min(...ends.map((end) => end.left)) - left,
        right - Math.max(...ends.map((end) => end.right))];
});"""


@pytest.mark.parametrize("large", [False, True])
def test_numbers_stay_within_the_front_of_a_closed_module(open_page: OpenPage, large: bool) -> None:
    browsed = open_page(gpt() if large else network(2), at_start=False)
    sides = browsed.run(SIDES)  # some of them off screen, where nothing is drawn
    assert len(sides) == (9 if large else 3)
    assert all(margin > 1 for pair in sides for margin in pair), sides


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_of_the_picture_are_legible_before_the_first_step(
    open_page: OpenPage, scheme: str
) -> None:
    browsed = open_page(network(1), media={"color_scheme": scheme})
    texts = browsed.run(
        """const paper = getComputedStyle(root.querySelector('.stage')).backgroundColor;
        const seen = [...root.querySelectorAll('.node.coming')].flatMap((node) =>
            [...node.querySelectorAll('text')].map((text) =>
                [getComputedStyle(node).opacity, getComputedStyle(text).fill, paper].join(' ')));
        return [...new Set(seen)];"""
    )
    assert texts
    for text in texts:
        opacity, *numbers = re.findall(r"\d+", text)
        assert opacity == "1"
        hexes = "".join(f"{int(number):02x}" for number in numbers)
        assert contrast(f"#{hexes[:6]}", f"#{hexes[6:]}") >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_edges_frames_and_fields_stand_out_before_the_first_step(
    open_page: OpenPage, scheme: str
) -> None:
    """At 3:1 (WCAG 1.4.11), so that the graph is also visible on a pale projector."""
    browsed = open_page(network(1), media={"color_scheme": scheme})
    drawn = []
    for view in (".crumb.all", ".crumb"):
        browsed.click(browsed.find(view).last if view == ".crumb.all" else browsed.find(view).first)
        browsed.press("Home")
        drawn += browsed.run(
            """const style = (part) => getComputedStyle(part);
            const paper = style(root.querySelector('.stage')).backgroundColor;
            const drawn = [...root.querySelectorAll('.edge path, .cluster path')].map((part) =>
                [style(part.closest('g')).opacity, style(part).stroke, paper].join(' '));
            const fields = [...root.querySelectorAll('.leaves input[type=number]')].map((field) =>
                ['1', style(field).borderTopColor, style(field).backgroundColor].join(' '));
            return [...new Set([...drawn, ...fields])];"""
        )
    assert drawn
    for text in drawn:
        opacity, *numbers = re.findall(r"[\d.]+", text)
        assert opacity == "1"
        hexes = "".join(f"{int(number):02x}" for number in numbers)
        assert contrast(f"#{hexes[:6]}", f"#{hexes[6:]}") >= 3, text


def test_the_title_of_an_open_module_is_above_the_edges_into_it(open_page: OpenPage) -> None:
    browsed = open_page(network(2))
    order = browsed.run(
        """return [...root.querySelector('.stage .graph').children].map((part) =>
            part.localName === 'text' ? 'title' : part.classList[0]);"""
    )
    assert len(order) - 1 - order[::-1].index("edge") < order.index("title")


def test_a_small_gradient_does_not_touch_the_outline_of_its_box(open_page: OpenPage) -> None:
    browsed = open_page(steps(Value(0.5, "x") * -0.006232), at_start=False)
    assert browsed.node(0).get_attribute("aria-label").endswith("grad -0.006232")
    left, right = browsed.run("""const box = root.querySelector('.stage .node.leaf');
        const outline = box.querySelector('polygon').getBoundingClientRect();
        const word = box.querySelectorAll('.key')[1].getBoundingClientRect();
        const number = box.querySelector('.gradient').getBoundingClientRect();
        return [word.left - outline.left, outline.right - number.right];""")
    assert right > left / 4 > 0


def test_a_single_number_in_a_box_is_further_to_the_right_than_a_range(open_page: OpenPage) -> None:
    browsed = open_page(network(2), at_start=False)
    first, second, loss = (left for left, _ in browsed.run(SIDES))
    assert first == second < loss - 20


@pytest.mark.parametrize("predict", [False, True])
def test_play_is_enabled_only_if_there_is_a_step(open_page: OpenPage, predict: bool) -> None:
    x = Value(3.0, "x")
    browsed = open_page(steps(x * x if predict else x), at_start=False)
    play = browsed.find(".button.play, .button.pause")
    if predict:
        assert play.get_attribute("aria-disabled") == "false"
        browsed.click(browsed.find(".controls .button", has_text="Predict"))
    assert play.get_attribute("aria-disabled") == "true"
    browsed.focus()
    browsed.press(" ")
    assert not browsed.state()["playing"]


def test_the_legend_says_that_edges_of_several_numbers_stay_thin(open_page: OpenPage) -> None:
    browsed = open_page(network(2), at_start=False)
    browsed.click(browsed.find(".controls .button", has_text="Experiment"))
    browsed.click(browsed.find(".experiment .button", has_text="Scale edges by contribution"))
    (legend,) = lines(browsed, ".experiment > .note:visible:has(.swatch)")
    assert legend.startswith("positive negative widest edge: magnitude ")
    assert legend.endswith(" An edge that carries several numbers stays thin.")
    browsed.click(browsed.find(".crumb.all"))
    (legend,) = lines(browsed, ".experiment > .note:visible:has(.swatch)")
    assert not legend.endswith("stays thin.")


# --- after an error -------------------------------------------------------------------------------


def test_after_an_error_the_chain_rule_shows_what_is_still_known(open_page: OpenPage) -> None:
    x = Value(0.5, "x")
    browsed = open_page(steps(x.log() * 2 + x))
    browsed.click(browsed.node(0))
    fill(browsed, [-1.0])
    direct, through_log = lines(browsed, ".chain .use .numbers")
    assert direct == "= 1 × 1 = 1"
    assert through_log == "= ? × ? = ?"  # log has no slope at -1, whatever 1 / x is
    assert lines(browsed, ".chain .path .numbers") == ["= 1", "= 2 × ? = ?"]
    assert lines(browsed, ".sum .equation")[0].endswith("= 1 + ? = ?")
    assert browsed.state()["problem"] == "log(x = -1): it takes numbers above 0"
