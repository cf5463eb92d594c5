"""Is the player's picture legible? Zoom, pan, the overview, present mode, and every window width.

Needs Chromium and the Python package playwright; without them the tests skip, in CI they fail.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from autograd import Value
from autograd.steps import Steps, steps
from autograd.steps.player import style
from tests.autograd.steps.player_page import (
    Page,
    fill,
    fragment,
    made,
    touch,
    view,
)
from tests.examples import sample

VIEWPORTS = [
    {"width": width, "height": height}
    for width, height in ((390, 844), (1024, 768), (1440, 900), (1920, 1080))
]


# --- zoom and pan ---------------------------------------------------------------------------------


def middle(browsed: Page) -> list[float]:
    """The point of the drawing in the middle of the stage."""
    x, y, scale = view(browsed)
    box = browsed.find(".stage > svg").bounding_box()
    return [(box["width"] / 2 - x) / scale, (box["height"] / 2 - y) / scale]


def test_the_buttons_zoom_and_fit(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    whole, point = view(browsed), middle(browsed)
    browsed.find("button.zoomIn").click()
    browsed.find("button.zoomIn").click()
    assert view(browsed)[2] == pytest.approx(whole[2] * 1.4**2)
    assert middle(browsed) == pytest.approx(point)
    browsed.find("button.zoomOut").click()
    assert view(browsed)[2] == pytest.approx(whole[2] * 1.4)
    browsed.find("button.fit").click()
    assert view(browsed) == whole
    browsed.find("button.zoomOut").click()
    assert view(browsed) == whole  # there is nothing more to see


def test_animated_zooming_reaches_its_target(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), media={"reduced_motion": "no-preference"})
    whole = view(browsed)
    browsed.click(browsed.find("button.zoomIn"))
    browsed.soon(lambda: view(browsed)[2] == pytest.approx(whole[2] * 1.4))


def test_the_wheel_scrolls_the_page_and_zooms_with_ctrl(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("transcendental"), viewport={"width": 1000, "height": 300})
    whole = view(browsed)
    box = browsed.find(".stage").bounding_box()
    browsed.tab.mouse.move(box["x"] + 200, box["y"] + 100)
    browsed.tab.mouse.wheel(0, 60)
    browsed.soon(lambda: browsed.tab.evaluate("window.scrollY > 50"))
    assert view(browsed) == whole
    scrolled = browsed.tab.evaluate("window.scrollY")
    browsed.tab.keyboard.down("Control")
    browsed.tab.mouse.wheel(0, -120)
    browsed.tab.keyboard.up("Control")
    browsed.soon(lambda: view(browsed)[2] == pytest.approx(whole[2] * math.exp(0.48)))
    x, y, scale = view(browsed)
    assert browsed.tab.evaluate("window.scrollY") == scrolled
    # The point under the pointer stays where it is.
    point = [200, 100 + scrolled]
    for place, before, after in zip(point, whole[:2], (x, y), strict=True):
        assert (place - before) / whole[2] == pytest.approx((place - after) / scale, abs=1.5)


def test_two_fingers_on_a_trackpad_zoom_in_safari_too(open_page: Callable[..., Page]) -> None:
    """It sends gestures, whose scale is that since their start, instead of a wheel with ctrl."""
    browsed = open_page(made("neuron"))
    whole = view(browsed)
    gesture = """return argument.map(([type, scale]) => {
        const event = new Event(type, { bubbles: true, cancelable: true });
        Object.assign(event, { scale, clientX: 300, clientY: 300 });
        root.querySelector('.stage .node').dispatchEvent(event);
        return event.defaultPrevented;
    });"""
    pinch = [["gesturestart", 1], ["gesturechange", 1.2], ["gesturechange", 1.5]]
    for times in (1.5, 1.5**2):
        assert browsed.run(gesture, [*pinch, ["gestureend", 1.5]])[:3] == [True] * 3
        assert view(browsed)[2] == pytest.approx(whole[2] * times)


def test_zooming_slowly_zooms_as_far(open_page: Callable[..., Page]) -> None:
    """A trackpad sends a slow pinch in steps of less than 1 %."""
    browsed = open_page(made("neuron"))
    whole = view(browsed)
    turn = """const at = { ctrlKey: true, clientX: 300, clientY: 300 };
        for (let k = 0; k < 60; k++) root.querySelector('.stage').dispatchEvent(
            new WheelEvent('wheel', { deltaY: argument, ...at }));"""
    browsed.run(turn, -2)
    assert view(browsed)[2] == pytest.approx(whole[2] * math.exp(0.48))
    browsed.run(turn, 2)
    assert view(browsed) == whole


def drag_the_background(browsed: Page) -> None:
    """Drag the picture by 70 and -30 pixels, which it must follow."""
    before = view(browsed)
    box = browsed.find(".stage").bounding_box()
    mouse = browsed.tab.mouse
    mouse.move(box["x"] + 20, box["y"] + box["height"] - 12)
    mouse.down()
    mouse.move(box["x"] + 90, box["y"] + box["height"] - 42, steps=4)
    mouse.up()
    assert view(browsed) == pytest.approx((before[0] + 70, before[1] - 30, before[2]))


def test_dragging_the_background_pans(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), reload=True)
    drag_the_background(browsed)
    assert browsed.state()["data"][0] == 0.8


def test_on_scaled_slides_the_picture_stays_under_the_pointer(
    open_page: Callable[..., Page],
) -> None:
    """As in reveal.js, which scales each slide as a whole; other pages use `zoom`."""
    under = """const [graph, [x, y]] = [root.querySelector('.graph'), argument];
        const found = new DOMPoint(x, y).matrixTransform(graph.getScreenCTM().inverse());
        return [found.x, found.y];"""
    for scaled in ("transform: scale(1.5); transform-origin: 0 0", "zoom: 0.6"):
        html = fragment(made("neuron"))
        page = f"<!DOCTYPE html><div style='width: 700px; {scaled}'>{html}</div>"
        browsed = open_page(page, reload=True)
        box = browsed.find(".stage").bounding_box()
        x, y = round(box["x"] + 0.7 * box["width"]), round(box["y"] + 0.9 * box["height"])
        held = browsed.run(under, [x, y])
        mouse = browsed.tab.mouse
        mouse.move(x, y)
        mouse.down()
        x, y = x - 80, y - 30
        mouse.move(x, y, steps=4)
        mouse.up()
        assert browsed.run(under, [x, y]) == pytest.approx(held, abs=0.1)
        browsed.run(
            """root.querySelector('.stage').dispatchEvent(new WheelEvent('wheel',
                { deltaY: -120, ctrlKey: true, clientX: argument[0], clientY: argument[1] }));""",
            [x, y],
        )
        assert browsed.run(under, [x, y]) == pytest.approx(held, abs=0.1)


def test_a_drag_that_leaves_the_picture_at_once_is_over(open_page: Callable[..., Page]) -> None:
    """The browser sends such a pointer's next events, also that it was lifted, elsewhere."""
    browsed = open_page(made("neuron"), reload=True)
    before = view(browsed)
    box = browsed.find(".stage").bounding_box()
    mouse = browsed.tab.mouse
    mouse.move(box["x"] + 20, box["y"] + 2)
    mouse.down()
    mouse.move(box["x"] + 20, box["y"] - 30)
    mouse.up()
    mouse.move(box["x"] + 20, box["y"] + 100, steps=2)
    assert view(browsed) == before


def test_a_drag_begins_no_selection(open_page: Callable[..., Page]) -> None:
    """Safari begins one in what cannot be selected, and it grows to the texts around it."""
    browsed = open_page(made("neuron"))
    allowed = """return ['.stage > svg', '.node text', '.overview'].filter((part) =>
        root.querySelector(part).dispatchEvent(
            new Event('selectstart', { bubbles: true, cancelable: true })));"""
    assert browsed.run(allowed) == []
    assert "-webkit-user-select: none" in style()  # Safari does not know it without the prefix


def test_the_type_size_of_the_page_changes_none_in_the_player(
    open_page: Callable[..., Page],
) -> None:
    """As in a theme with `html { font-size: 10px }`, where 1rem is 10 pixels."""
    html = fragment(steps(Value(2.0, "a name so long that the list shows it as a whole below") * 3))
    sizes = []
    for size in (10, 40):
        style = f"<style>html {{ font-size: {size}px }}</style>"
        browsed = open_page(f"<!DOCTYPE html><title>x</title>{style}{html}")
        sizes.append(
            browsed.run(
                """return [...root.querySelectorAll('.player *')]
                    .map((part) => getComputedStyle(part).fontSize);"""
            )
        )
    assert sizes[0] == sizes[1]


def test_a_long_edge_to_come_has_few_dashes(open_page: Callable[..., Page]) -> None:
    """A million dashes, as 300 uses of one leaf had, take a second to draw in each step."""
    x = Value(0.5, "x")
    total = x * 2
    for _ in range(60):
        total = total * 2 + x
    browsed = open_page(steps(total))
    dashes = browsed.run(
        """return [...root.querySelectorAll('.stage .edge.coming path')].map((path) => {
            const [dash, gap] = getComputedStyle(path).strokeDasharray.match(/[\\d.]+/g);
            return path.getTotalLength() / (Number(dash) + Number(gap));
        });"""
    )
    assert len(dashes) > 180
    assert max(dashes) < 400


def test_texts_are_shown_as_long_as_a_part_of_them_is_in_the_picture(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("neuron"), reload=True)
    for _ in range(8):
        browsed.click(browsed.find("button.zoomIn"))
    box = browsed.find(".stage").bounding_box()
    mouse = browsed.tab.mouse
    cut_off = """const seen = root.querySelector('.stage').getBoundingClientRect();
        const away = [...root.querySelectorAll('.node[data-away]')];
        away.forEach((node) => node.removeAttribute('data-away'));
        const found = away.flatMap((node) => [...node.querySelectorAll('text')])
            .filter((text) => {
                const { left, right, top, bottom } = text.getBoundingClientRect();
                return Math.min(right, seen.right) > Math.max(left, seen.left) + 5
                    && Math.min(bottom, seen.bottom) > Math.max(top, seen.top) + 5;
            }).map((text) => text.textContent);
        away.forEach((node) => node.setAttribute('data-away', ''));
        return found;"""
    for dx, dy in itertools.product([-250, 250], [-150, 150, 150]):
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + dx, y + dy, steps=2)
        mouse.up()
        assert browsed.run(cut_off) == []


def test_a_page_from_right_to_left_does_not_turn_numbers_and_formulas(
    open_page: Callable[..., Page],
) -> None:
    html = fragment(made("neuron"))
    shown = []
    for direction in ("ltr", "rtl"):
        browsed = open_page(f"<!DOCTYPE html><html dir={direction}><title>x</title>{html}")
        shown.append(
            browsed.run(
                """const left = root.host.getBoundingClientRect().left;
                return [...root.querySelectorAll('.number, .key, .name, .button')]
                    .map((part) => Math.round(part.getBoundingClientRect().left - left));"""
            )
        )
    assert shown[0] == shown[1]


def test_a_finger_that_scrolls_the_page_drags_nothing(open_page: Callable[..., Page]) -> None:
    html = f"<!DOCTYPE html><title>x</title>{fragment(steps(Value(2.0, 'x') * 3))}"
    browsed = open_page(f"{html}<p style='height: 2000px'>", has_touch=True)
    before = view(browsed), browsed.state()["data"]
    stage, leaf = (part.bounding_box() for part in (browsed.find(".stage"), browsed.node(0)))
    starts = [
        (stage["x"] + 20, stage["y"] + stage["height"] - 12),
        (leaf["x"] + leaf["width"] / 2, leaf["y"] + leaf["height"] / 2),
    ]
    for x, y in starts:
        touch(browsed, *[[(x + dy / 4, y - dy)] for dy in (0, 5, 20, 40, 80)])
        browsed.soon(lambda: browsed.tab.evaluate("window.scrollY > 20"))
        assert (view(browsed), browsed.state()["data"]) == before
        browsed.tab.evaluate("window.scrollTo(0, 0)")
    assert browsed.find(".stage.zoomed").count() == 0  # so that a finger can still scroll


def test_two_quick_taps_on_a_button_zoom_no_page(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    allowed = """return [...root.querySelectorAll('.controls button')].map((button) =>
        getComputedStyle(button).touchAction);"""
    assert set(browsed.run(allowed)) == {"manipulation"}


def test_a_cancelled_finger_is_gone_in_safari_too(open_page: Callable[..., Page]) -> None:
    """It sends pointerleave, which does not bubble, only to the part that the finger touched."""
    browsed = open_page(made("neuron"), reload=True)
    before = view(browsed)
    browsed.run(
        """const touched = root.querySelector('.node polygon');
        for (const type of ['pointerdown', 'pointercancel', 'pointerleave']) {
            touched.dispatchEvent(new PointerEvent(type,
                { pointerId: 77, pointerType: 'touch', bubbles: type !== 'pointerleave' }));
        }"""
    )
    assert view(browsed) == before
    drag_the_background(browsed)


def test_a_finger_that_drags_a_leaf_turns_no_slide(open_page: Callable[..., Page]) -> None:
    """reveal.js turns slides on swipes, unless its target is in an element with this attribute."""
    browsed = open_page(
        f"<!DOCTYPE html><title>x</title><section>{fragment(made('neuron'))}</section>",
        reload=True,
        has_touch=True,
    )
    browsed.tab.evaluate(
        """() => {
            window.swipes = 0;
            document.addEventListener('pointerdown', ({ target }) => {
                swipes += !target.closest('[data-prevent-swipe]');
            });
        }"""
    )
    box = browsed.node(0).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch(browsed, [(x, y)], [(x + 60, y)])
    assert browsed.state()["data"][0] > 0.8
    assert browsed.tab.evaluate("swipes") == 0


def test_pinching_zooms(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), has_touch=True)
    before = view(browsed)
    box = browsed.find(".stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] - 15
    apart = [[(x - d, y), (x + d, y)] for d in (40, 60, 80)]
    touch(browsed, *apart)
    assert view(browsed)[2] == pytest.approx(before[2] * 2, rel=0.05)


def test_a_third_finger_neither_moves_nor_zooms(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), has_touch=True)
    box = browsed.find(".stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] - 15
    two = [(x - 60, y), (x - 20, y)]
    pinched = [(x - 70, y), (x - 10, y)]
    touch(browsed, two, pinched)
    expected = view(browsed)
    browsed.click(browsed.find("button.fit"))
    touch(browsed, two, pinched, [*pinched, (x + 200, y)], [*pinched, (x + 190, y)])
    assert view(browsed) == pytest.approx(expected)


def test_a_pointer_that_only_hovered_may_leave_while_a_finger_drags(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("neuron"), has_touch=True)
    before = view(browsed)
    leaf = browsed.node(0).bounding_box()
    x, y = leaf["x"] + leaf["width"] / 2, leaf["y"] + leaf["height"] / 2
    client = browsed.tab.context.new_cdp_session(browsed.tab)

    def send(kind: str, *fingers: dict[str, float]) -> None:
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    send("touchStart", {"x": x, "y": y})
    send("touchMove", {"x": x + 20, "y": y})
    browsed.run(
        """root.querySelector('.stage > svg')
            .dispatchEvent(new PointerEvent('pointerleave', { pointerId: 99 }));"""
    )
    first = browsed.state()["data"][0]
    send("touchMove", {"x": x + 60, "y": y})
    browsed.soon(lambda: browsed.state()["data"][0] > first)
    send("touchEnd")
    assert view(browsed) == before


def in_stage(browsed: Page, part: Any) -> bool:
    """Whether a part is wholly visible, to a pixel: its shapes, without strokes."""
    inside: bool = part.evaluate(
        f"(part) => {{ {LOOK} return isInside(part, part.getRootNode().querySelector('.stage')); }}"
    )
    return inside


LOOK = """
    const box = (part) => part.getBoundingClientRect();
    const isInside = (part, whole) => {
        const [inner, outer] = [box(part), box(whole)];
        return outer.left - 1 <= inner.left && inner.right <= outer.right + 1
            && outer.top - 1 <= inner.top && inner.bottom <= outer.bottom + 1;
    };
    // The font size of the current node, in pixels on the screen.
    const textSize = () => {
        const text = root.querySelector('.node.current text');
        return text.getCTM().a * parseFloat(getComputedStyle(text).fontSize);
    };
    // What covers the node of the current step: buttons, or the overview.
    const covered = () => {
        const node = box(root.querySelector('.node.current'));
        const shown = [...root.querySelectorAll('button, select, .overview:not([hidden])')];
        return shown.filter((part) => {
            const { left, right, top, bottom } = box(part);
            return left < node.right && right > node.left && top < node.bottom && bottom > node.top;
        }).map((part) => part.getAttribute('class'));
    };
    // The parts of the player that are not wholly in the window.
    const outside = (parts) => parts.filter((part) => {
        const { left, right, top, bottom } = box(root.querySelector(part));
        return left < 0 || top < 0 || right > innerWidth + 1 || bottom > innerHeight + 1;
    });
"""


def seen_at_each_step(browsed: Page, button: str, times: int, *parts: str) -> list[dict[str, Any]]:
    """What a reader sees after each click on a button: in one call, as each call is slow."""
    seen: list[dict[str, Any]] = browsed.run(
        LOOK
        + """const [button, times, parts] = argument;
        return Array.from({ length: times }, () => {
            root.querySelector(`button.${button}`).click();
            const node = root.querySelector('.node.current');
            const moved = root.querySelector('.stage .graph').getAttribute('transform');
            const scale = Number(moved.match(/scale\\((.+?)\\)/)[1]);
            if (!node) return { scale, node: false };
            const [part, current] = ['.seen', '.current'].map((part) =>
                root.querySelector(`.overview ${part}`));
            return {
                scale, node: true, text: textSize(), covered: covered(), outside: outside(parts),
                inStage: isInside(node, root.querySelector('.stage')),
                overview: part && current && [part, current].map((part) => box(part).toJSON()),
            };
        });""",
        [button, times, parts],
    )
    return seen


def chain(length: int) -> Steps:
    total = Value(0.5, "x")
    for _ in range(length):
        total = total * 0.9 + 0.1
    return steps(total)


def test_a_large_picture_is_shown_in_part_and_follows_the_step(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(chain(20))
    browsed.focus()
    for key in ("ArrowRight", "End"):
        browsed.press(key)
        assert view(browsed)[2] >= 1  # text of at least 11 pixels
        assert in_stage(browsed, browsed.find(".node.current"))
    for seen in seen_at_each_step(browsed, "back", 40):
        assert seen["scale"] >= 1
        assert seen["inStage"]
    near = view(browsed)
    fill(browsed, [0.7])
    assert view(browsed) == near
    browsed.click(browsed.find("button.fit"))
    whole = view(browsed)
    browsed.press("End")
    assert view(browsed) == whole  # the reader's choice stays
    for node in (0, len(browsed.names) - 1):
        assert in_stage(browsed, browsed.node(node))


# --- the overview ---------------------------------------------------------------------------------


def test_the_overview_shows_the_visible_part_and_never_covers_the_current_node(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("a network"), VIEWPORTS[0])
    overview = browsed.find(".overview")
    assert overview.is_visible()
    for seen in seen_at_each_step(browsed, "next", browsed.state()["last"]):
        assert seen["covered"] == []
        assert seen["inStage"]
        part, current = seen["overview"]
        for begin, end in (("left", "right"), ("top", "bottom")):
            assert part[begin] - 4 <= current[begin]
            assert current[end] <= part[end] + 4
    browsed.click(browsed.find("button.fit"))
    assert overview.is_hidden()


def test_clicks_and_drags_on_the_overview_move_the_picture(open_page: Callable[..., Page]) -> None:
    shown = chain(20)
    browsed = open_page(shown, VIEWPORTS[1])
    box = browsed.find(".overview .boxes").bounding_box()
    mouse = browsed.tab.mouse
    end = (box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
    mouse.click(*end)
    assert in_stage(browsed, browsed.node(len(shown.nodes) - 1))
    assert not in_stage(browsed, browsed.node(0))
    mouse.move(*end)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    middle_of_all = middle(browsed)
    mouse.move(box["x"] + 3, box["y"] + 3, steps=3)
    mouse.up()
    assert in_stage(browsed, browsed.node(0))
    mouse.move(*end)  # after release, the picture no longer moves
    assert in_stage(browsed, browsed.node(0))
    browsed.click(browsed.find("button.fit"))
    assert middle(browsed) == pytest.approx(middle_of_all, abs=40)
    browsed.click(browsed.find("button.zoomIn"))
    browsed.focus()
    browsed.press("End", "Home", "ArrowRight")
    assert in_stage(browsed, browsed.find(".node.current"))  # it still follows the step


def test_the_graph_runs_down_a_tall_stage_and_across_a_wide_one(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("fan-out"), {"width": 390, "height": 844}, at_start=False)

    def runs() -> str:
        first, last = browsed.node(0).bounding_box(), browsed.find(".node.output").bounding_box()
        if first is None or last is None:  # the picture is being redrawn
            return "nowhere"
        across, down = abs(last["x"] - first["x"]), abs(last["y"] - first["y"])
        return "down" if down > across else "across"

    before = browsed.state()
    browsed.click(browsed.node(0))
    lit = browsed.find(".edge.lit").count()
    browsed.soon(lambda: runs() == "down")
    browsed.tab.set_viewport_size({"width": 1300, "height": 480})
    browsed.soon(lambda: runs() == "across")
    assert browsed.state() == before
    assert browsed.find(".edge.lit").count() == lit > 0
    assert browsed.find(".node.current").count() == 1


WIDE = {"width": 1300, "height": 480}


@pytest.mark.parametrize(
    ("name", "viewport"),
    [
        *itertools.product(["custom primitive", "tiny gradients", "fan-out"], [VIEWPORTS[0], WIDE]),
        *itertools.product(["transcendental", "powers"], [VIEWPORTS[0]]),
    ],
)
def test_a_contribution_is_written_clear_of_boxes_and_of_the_edges_of_its_step(
    open_page: Callable[..., Page], name: str, viewport: dict[str, int]
) -> None:
    """On an edge, the minus of a number looks like one of the edge's dashes."""
    browsed = open_page(made(name), viewport, at_start=False)
    seen, crossed = browsed.run(
        """const inside = ({ x, y, width }, line, at) =>
            Math.abs(at.x - x - width / 2) < width / 2 && at.y > line - 8 && at.y < line;
        const meets = ({ x, width }, line, node) => x < node.x + node.width
            && x + width > node.x && line - 8 < node.y + node.height && line > node.y;
        const nodes = [...root.querySelectorAll('.node')].map((node) => node.getBBox());
        const [seen, crossed] = [[], []];
        while (!root.querySelector('.step.forward')) {
            const points = [...root.querySelectorAll('.edge.current path')].flatMap((path) =>
                Array.from({ length: 50 }, (_, k) =>
                    path.getPointAtLength((k * path.getTotalLength()) / 49)));
            for (const note of root.querySelectorAll('.notes text')) {
                seen.push(note.textContent);
                const [box, line] = [note.getBBox(), Number(note.getAttribute('y'))];
                const hit = points.some((at) => inside(box, line, at))
                    || nodes.some((node) => meets(box, line, node));
                if (hit) crossed.push(note.textContent);
            }
            root.querySelector('button.back').click();
        }
        return [seen, crossed];"""
    )
    assert seen
    assert crossed == []


# --- present mode ---------------------------------------------------------------------------------


def outside(browsed: Page, *parts: str) -> list[str]:
    """The parts of the player that are not wholly in the window."""
    found: list[str] = browsed.run(LOOK + "return outside(argument);", parts)
    return found


@pytest.mark.parametrize("refused", [False, True])
def test_present_mode_is_legible_from_afar_at_every_step(
    open_page: Callable[..., Page], refused: bool
) -> None:
    browsed = open_page(made("a network"), {"width": 1024, "height": 768}, reload=True)
    if refused:
        browsed.run("host.requestFullscreen = () => Promise.reject(new TypeError('refused'));")
    full = "return [document.fullscreenElement === host, host.hasAttribute('data-present')];"
    browsed.press("f")
    browsed.soon(lambda: browsed.run(full) == [not refused, True])
    parts = [".view", ".controls", ".step"]
    for seen in seen_at_each_step(browsed, "next", browsed.state()["last"], *parts):
        assert seen["text"] >= 16
        assert seen["inStage"]
        assert seen["covered"] == []
        assert seen["outside"] == []
    browsed.node(0).click()
    assert outside(browsed, ".view", ".controls", ".chain", ".step") == []
    browsed.press("Escape")  # closes the chain rule first
    assert browsed.find(".chain").is_hidden()
    browsed.press("f")
    browsed.soon(lambda: browsed.run(full) == [False, False])
    assert view(browsed)[2] < 16 / 11


def test_a_button_starts_present_mode_and_escape_leaves_it(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    # As in Safari before 16.4, which rejects the selector, too.
    browsed.run(
        """host.requestFullscreen = undefined;
        host.matches = () => { throw new SyntaxError(); };"""
    )
    button = browsed.find("button.present")
    browsed.click(button)
    assert button.get_attribute("aria-label") == "Exit the presentation (f)"
    browsed.press("ArrowRight")
    assert browsed.state()["position"] == 1
    browsed.press("Escape")
    assert button.get_attribute("aria-label") == "Present in full screen (f)"
    browsed.find(".leaves input[type=number]").first.focus()
    browsed.press("f")
    assert not browsed.run("return host.hasAttribute('data-present');")


def test_a_presentation_left_at_once_does_not_fill_the_screen(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("neuron"))
    browsed.run(
        """const changed = () => new Promise((is) =>
            document.addEventListener('fullscreenchange', is, { once: true }));
        const [filled, button] = [changed(), root.querySelector('button.present')];
        button.click();
        button.click();
        await filled;"""
    )
    full = "return [document.fullscreenElement === host, host.hasAttribute('data-present')];"
    browsed.soon(lambda: browsed.run(full) == [False, False])


def test_a_presentation_is_as_large_on_a_screen_of_twice_the_pixels(
    open_page: Callable[..., Page],
) -> None:
    """A projector may have 3840 pixels across, at a scale of 1."""
    parts = [".step", ".step .equation .name", "button.next .icon"]
    heights = []
    for width, height in ((1920, 1080), (3840, 2160)):
        browsed = open_page(made("neuron"), {"width": width, "height": height}, reload=True)
        browsed.run("host.requestFullscreen = () => Promise.reject(new TypeError('refused'));")
        browsed.press("ArrowRight", "f")
        browsed.soon(lambda page=browsed: page.run("return host.hasAttribute('data-present');"))
        heights.append([browsed.find(part).first.bounding_box()["height"] for part in parts])
        cut = """return [...root.querySelectorAll('.controls button, .controls select')].filter(
            (part) => part.scrollHeight > part.clientHeight).length;"""
        assert browsed.run(cut) == 0
    assert all(1.6 < large / small < 2.2 for small, large in zip(*heights, strict=True)), heights


def test_a_key_held_down_presents_and_plays_once(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), clock=True)
    for key in ("f", "Space"):
        for _ in range(4):  # the first press, and three that the keyboard repeats
            browsed.tab.keyboard.down(key)
        browsed.tab.keyboard.up(key)
    assert browsed.run("return host.hasAttribute('data-present');")
    assert browsed.state()["playing"]
    browsed.press("Space", "f")
    assert not browsed.run("return host.hasAttribute('data-present');")


# --- every width ----------------------------------------------------------------------------------

WIDTHS = sorted(
    {*sample(range(320, 1920, 56), 4), 359, 360, 361, 390, 799, 800, 801, 888, 1008, 1088, 1920}
)


@pytest.mark.parametrize(
    ("name", "viewport"),
    sample(list(itertools.product(["fan-out", "neuron", "a network"], VIEWPORTS)), 3),
    ids=lambda v: v if isinstance(v, str) else str(v["width"]),
)
def test_picture_controls_and_panel_are_visible_together(
    open_page: Callable[..., Page], name: str, viewport: dict[str, int]
) -> None:
    browsed = open_page(made(name), viewport, at_start=False)
    parts = [".view", ".controls", ".step header", ".step .body > :first-child"]
    browsed.soon(lambda: in_stage(browsed, browsed.find(".node.current")))
    first = seen_at_each_step(browsed, "last", 1)
    for seen in first + seen_at_each_step(browsed, "back", browsed.state()["last"] - 1):
        assert seen["text"] >= 11
        assert seen["inStage"]
        assert seen["covered"] == []
    assert outside(browsed, *parts) == []
    if viewport["width"] > 390:  # the whole panel, too long for a phone at some steps
        assert outside(browsed, ".step", ".leaves") == []
    browsed.node(0).dispatch_event("click")
    assert outside(browsed, ".view", ".controls", ".chain header") == []


@pytest.mark.parametrize("name", ["neuron", "a network", "tiny gradients"])
def test_nothing_is_cut_off_at_any_width(open_page: Callable[..., Page], name: str) -> None:
    """In a notebook cell of each width, with the chain rule open."""
    html = f"<!DOCTYPE html><title>x</title><main>{fragment(made(name))}</main>"
    browsed = open_page(html, viewport={"width": 1940, "height": 900}, at_start=False)
    browsed.node(0).dispatch_event("click")
    found = browsed.run(
        """const main = document.querySelector('main');
        const cut = [];
        for (const width of argument) {
            main.style.width = `${width}px`;
            await new Promise(requestAnimationFrame);
            const edge = main.getBoundingClientRect().right + 0.5;
            const parts = 'button, select, .value, .right, h3, .count, .grad, .leaves li > *';
            for (const part of root.querySelectorAll(parts)) {
                const inside = getComputedStyle(part).display === 'inline'
                    || part.scrollWidth <= part.clientWidth + 1;
                if (!inside || part.getBoundingClientRect().right > edge) {
                    cut.push([width, part.className, part.textContent]);
                }
            }
            const [view, step, leaves] = ['.view', '.step', '.leaves'].map((part) =>
                root.querySelector(part).getBoundingClientRect());
            const beside = step.left >= view.right - 1;
            if (!beside && step.top < view.bottom) cut.push([width, 'the panel hides the picture']);
            if (beside !== width >= 800) cut.push([width, 'the panel is in the wrong place']);
            if (leaves.top < step.bottom) cut.push([width, 'the leaves hide the panel']);
            const least = width < 359 ? 60 : 100;
            const { clientWidth } = root.querySelector('.steps');
            if (clientWidth < least) cut.push([width, 'the slider is short', clientWidth]);
        }
        return cut;""",
        WIDTHS,
    )
    assert found == []


def test_a_page_does_not_scroll_below_its_player(open_page: Callable[..., Page]) -> None:
    """With an open chain rule, only the title of a step stays; its derivatives are out of view."""
    x = Value(0.5, "x")
    y = x
    for _ in range(8):
        y = y * x
    browsed = open_page(steps(y), {"width": 1366, "height": 600}, at_start=False)
    browsed.node(0).dispatch_event("click")
    heights = browsed.run(
        """const step = root.querySelector('.step');
        return [step.scrollHeight - step.clientHeight, document.documentElement.scrollHeight];"""
    )
    assert heights[0] > 100
    assert heights[1] == 600


def test_the_only_leaf_has_the_width_of_the_list(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("fan-out"), {"width": 760, "height": 900}, at_start=False)
    assert browsed.find(".leaves input[type=range]").bounding_box()["width"] > 400


def test_a_player_loaded_in_a_hidden_element_works_once_it_is_shown(
    open_page: Callable[..., Page],
) -> None:
    """As in a collapsed output of a notebook, or a tab that was not opened yet."""
    html = fragment(made("neuron"))
    browsed = open_page(f"<!DOCTYPE html><title>x</title><main style='display:none'>{html}</main>")
    browsed.tab.evaluate("document.querySelector('main').style.display = ''")
    browsed.tab.wait_for_timeout(50)
    browsed.focus()
    for key in ("ArrowRight", "End"):
        browsed.press(key)
        assert in_stage(browsed, browsed.find(".node.current"))
