"""Does the player work in a real browser? Its controls, its numbers, and what a page must not do.

Needs Chromium and the Python package playwright; without them the tests skip, in CI they fail.
"""

from __future__ import annotations

import json
import math
import random
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

import nn
from autograd import Primitive, Value, greater, ops, where
from autograd.steps import BackwardStep, Steps, explain, steps
from autograd.text import number
from tests.autograd.steps.player_page import (
    GRAPHS,
    Page,
    fan_out,
    fill,
    fragment,
    graphs,
    made,
    movable,
    named,
    neuron,
    script,
    touch,
    view,
)
from tests.autograd.steps.test_chain_rule import (
    NUMBER,
    assert_adds_up,
    assert_multiplies,
    digits_in,
)
from tests.examples import examples

inf, nan = math.inf, math.nan

# --- the same numbers as in Python ----------------------------------------------------------------

EDGES = [0.0, -0.0, inf, -inf, nan, 1.0, -1.0, 2.0, -2.0, 0.5, 5e-324, -5e-324, sys.float_info.max]
ULPS = 2  # allowed between the math libraries of Python and the browser


def points(operands: int, how_many: int, seed: int) -> list[list[float]]:
    """Ordinary, tiny and huge numbers, and combinations with the edge cases of floats."""
    draw = random.Random(seed)

    def number() -> float:
        kind = draw.random()
        if kind < 0.5:
            return draw.uniform(-6, 6)
        if kind < 0.65:
            return draw.uniform(-800, 800)
        if kind < 0.75:
            return float(draw.randint(-12, 12))
        size = 10 ** draw.uniform(*((-12, 12) if kind < 0.87 else (-308, 308)))
        return draw.choice([-1, 1]) * size

    drawn = [[number() for _ in range(operands)] for _ in range(how_many)]
    edges = [[draw.choice(EDGES) for _ in range(operands)] for _ in range(how_many // 8)]
    mixed = [[draw.choice([draw.choice(EDGES), number()]) for _ in range(operands)] for _ in edges]
    return [*([[x] for x in EDGES] if operands == 1 else []), *edges, *mixed, *drawn]


def outcome(row: Primitive, point: list[float]) -> float | str:
    try:
        return float(row.forward(*point))
    except ZeroDivisionError:
        return "zero"
    except OverflowError:
        return "overflow"
    except ValueError:
        return "domain"


@pytest.mark.parametrize(
    "row", [row for row in vars(ops).values() if isinstance(row, Primitive)], ids=lambda r: r.name
)
def test_every_primitive_computes_and_raises_as_in_python(console: Any, row: Primitive) -> None:
    chosen = points(len(row.backward), 2_000, seed=len(row.name))
    code = """(name, points) => points.map((point) => {
        let result;
        const error = raised(() => (result = OPERATIONS[name](...point)));
        return error ? [error.why] : Object.is(result, -0) ? "-0" : String(result);
    })"""
    # As strings: Playwright 1.49 turns 0.0 into -0, and is slow with many numbers.
    given = f"{json.dumps(row.name)}, {json.dumps(chosen)}"
    told = f"JSON.stringify(({code})({given}))"
    got = json.loads(console.evaluate(f"() => {{ {script('operations.js')}; return {told}; }}"))
    for point, text in zip(chosen, got, strict=True):
        found = text[0] if isinstance(text, list) else float(text)
        expected = outcome(row, point)
        call = f"{row.name}{tuple(point)}: {found} instead of {expected}"
        if isinstance(expected, str) or isinstance(found, str):
            assert found == expected, call
        elif math.isfinite(expected) and expected:
            assert abs(found - expected) <= ULPS * math.ulp(expected), call
        else:  # nan, an infinity, or a signed zero
            assert repr(float(found)) == repr(expected), call


def test_numbers_are_formatted_as_in_python(console: Any) -> None:
    draw = random.Random(4)
    ties = [k / 2**n for n in range(1, 12) for k in range(1, 4_000, 37)]
    numbers = [
        *EDGES,
        *[sign * x for x in ties for sign in (1, -1)],
        *[draw.choice([-1, 1]) * 10 ** draw.uniform(-320, 308) for _ in range(4_000)],
        *[draw.uniform(-20_000, 20_000) for _ in range(2_000)],
        *[float(f"{draw.randint(1, 99_999)}e{draw.randint(-10, 10)}") for _ in range(4_000)],
        *[9999.5, 9999.4999, 99995.0, 0.00099995, 0.0001, 0.00009999, 0.000099995, 1e4, 1e22],
    ]
    for digits in (4, 6):
        code = f"""() => {{ {script("operations.js")}
            return {json.dumps(numbers)}.map((x) => number(x, {digits})); }}"""
        assert console.evaluate(code) == [number(x, digits) for x in numbers]


READ = """(() => {
    const texts = (selector) => [...root.querySelectorAll(selector)].map((e) => e.textContent);
    const nodes = [...root.querySelectorAll('.stage .node')].map((node) => {
        const name = node.getAttribute('aria-label').split(',')[0];
        const found = ['.data', '.gradient'].map((kind) => node.querySelector('.number' + kind));
        return [name, found.map((number) => number && number.textContent)];
    });
    return {
        state: host.player.state(),
        nodes: Object.fromEntries(nodes),
        panel: texts('.step .body > *').join('\\n'),
        title: texts('.step h3')[0],
        count: texts('.step .count')[0],
    };
})()"""


@graphs
def test_the_numbers_match_python_after_every_step(
    open_page: Callable[..., Page], name: str
) -> None:
    """To the last bit in the state, and as formatted in the nodes and in the panel."""
    shown = made(name)
    browsed = open_page(shown)
    read = browsed.run(
        f"""const next = root.querySelector('button.next');
        return Array.from({{ length: argument }}, () => {{ next.click(); return {READ}; }});""",
        len(shown),
    )
    place = {node: i for i, node in enumerate(shown.nodes)}
    data = [None if node.parents else node.data for node in shown.nodes]
    gradients: list[float | None] = [None] * len(data)
    awaited = {node: sum(node in inner.parents for inner in shown.nodes) for node in shown.nodes}
    for position, (step, found) in enumerate(zip(shown, read, strict=True), 1):
        i = place[step.node]
        if isinstance(step, BackwardStep):
            gradients[-1] = 1.0
            for parent in step.node.parents:
                awaited[parent] -= step.node.parents.count(parent)
                if awaited[parent] <= 0 and parent in shown.gradients:
                    gradients[place[parent]] = gradients[place[parent]] or 0.0
            for part in step.contributions:
                gradients[place[part.parent]] = part.total
                assert number(part.contribution) in found["panel"]
                assert number(part.local) in found["panel"]
                assert number(part.total) in found["panel"]
            assert found["state"]["upstream"] == step.upstream
            assert [
                (c["parent"], c["local"], c["product"], c["after"])
                for c in found["state"]["contributions"]
            ] == [(place[p.parent], p.local, p.contribution, p.total) for p in step.contributions]
            assert found["title"] == f"Backward through {browsed.names[i]}"
        else:
            data[i] = step.data
            assert found["panel"].partition("\nA condition")[0].endswith(f" = {number(step.data)}")
            assert found["title"] == f"Forward: {browsed.names[i]}"
        assert found["count"] == f"step {position} of {len(shown)}"
        assert found["state"]["data"] == data
        assert found["state"]["gradients"] == gradients
        for j, node in enumerate(shown.nodes):
            if node in shown.gradients:
                expected = ["…" if data[j] is None else number(data[j])]
                expected += ["–" if gradients[j] is None else number(gradients[j])]
                assert found["nodes"][browsed.names[j]] == expected
    assert found["state"]["gradients"] == [shown.gradients.get(node) for node in shown.nodes]


@graphs
def test_moving_leaves_gives_the_numbers_of_a_fresh_run_in_python(
    open_page: Callable[..., Page], name: str
) -> None:
    build, recorded = GRAPHS[name]
    shown = made(name)
    browsed = open_page(shown)
    browsed.focus()
    browsed.press("End")
    leaves = [browsed.names[i] for i, node in enumerate(shown.nodes) if movable(node)]
    order = [leaves.index(label) for label in labels(build, recorded)]
    draw = random.Random(name)
    rows = []
    for _ in range(examples(100)):
        values = [draw.choice([draw.uniform(-3, 3), draw.gauss(0, 20)]) for _ in recorded]
        rows.append([round(x, draw.choice([1, 15])) for x in values])
    as_listed = [[x for _, x in sorted(zip(order, row, strict=True))] for row in rows]
    for values, state in zip(rows, fill(browsed, *as_listed), strict=True):
        fresh = run(build, values)
        if isinstance(fresh, str):
            assert state["problem"].rpartition(":")[2] == fresh.rpartition(":")[2]
            continue
        assert state["problem"] is None
        close(state["data"], [node.data for node in fresh.nodes])
        close(state["gradients"], [fresh.gradients.get(node) for node in fresh.nodes])


def run(build: Callable[[list[float]], Value], values: list[float]) -> Steps | str:
    """The steps with these numbers, or the message of Python's error."""
    try:
        return steps(build(values))
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        return str(error)


def labels(build: Callable[[list[float]], Value], values: list[float]) -> list[str]:
    """The names of the leaves, in the order of the numbers that a graph is built from."""
    marked = [x + 1e-9 * (i + 1) for i, x in enumerate(values)]
    found = {node.data: node.label for node in steps(build(marked)).nodes if movable(node)}
    return [found[x] for x in marked]


def close(got: list[float | None], expected: list[float | None]) -> None:
    """Assert equality to a relative 1e-12 or, where a sum cancels, to an absolute 1e-14."""
    for found, right in zip(got, expected, strict=True):
        if found is None or right is None or not math.isfinite(right):
            assert repr(found) == repr(right)
        else:
            assert math.isclose(found, right, rel_tol=1e-12, abs_tol=1e-14)


def test_the_page_recomputes_the_numbers_of_python(open_page: Callable[..., Page]) -> None:
    """Each leaf is one ulp off its recorded number, so the page computes everything itself."""
    shown = made("transcendental")
    browsed = open_page(shown)
    browsed.focus()
    browsed.press("End")
    fill(browsed, [math.nextafter(node.data, 1) for node in shown.nodes if movable(node)])
    state = browsed.state()
    close(state["data"], [node.data for node in shown.nodes])
    close(state["gradients"], [shown.gradients.get(node) for node in shown.nodes])
    assert state["data"] != [node.data for node in shown.nodes]


# --- controls -------------------------------------------------------------------------------------


def position(browsed: Page) -> int:
    found: int = browsed.state()["position"]
    return found


def test_the_buttons_work_by_mouse(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    last = browsed.state()["last"]
    visited = []
    for name in ("next", "next", "next", "back", "last", "next", "back", "first", "back", "next"):
        browsed.find(f"button.{name}").click(force=True)  # disabled buttons too
        visited.append(position(browsed))
    assert visited == [1, 2, 3, 2, last, last, last - 1, 0, 0, 1]


def test_buttons_pressed_by_keyboard_keep_the_focus(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("fan-out"))
    for name, key, expected in [
        *[("next", "Enter", 1), ("next", " ", 2), ("back", " ", 1), ("last", "Enter", 14)],
        *[("next", "Enter", 14), ("first", " ", 0), ("back", "Enter", 0)],
    ]:
        browsed.find(f"button.{name}").focus()
        browsed.press("Space" if key == " " else key)
        assert position(browsed) == expected
        assert name in browsed.run("return root.activeElement.className;")


def test_arrow_keys_home_and_end_move_between_steps(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    browsed.focus()
    last = browsed.state()["last"]
    visited = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft"):
        browsed.press(key)
        visited.append(position(browsed))
    assert visited == [1, 2, 1, last, last, 0, 0]


def test_the_player_opens_on_the_finished_pass_and_plays_from_the_start(
    open_page: Callable[..., Page],
) -> None:
    shown = made("fan-out")
    browsed = open_page(shown, at_start=False, clock=True)
    state = browsed.state()
    assert state["position"] == state["last"] == len(shown)
    assert state["gradients"] == [shown.gradients.get(node) for node in shown.nodes]
    browsed.press("Space")  # without a click
    assert browsed.state()["playing"]
    assert position(browsed) == 0


def test_keys_work_on_a_saved_page_without_a_click(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    browsed.press("ArrowRight", "ArrowRight")
    assert position(browsed) == 2


def test_in_a_notebook_keys_work_only_while_the_player_has_the_focus(
    open_page: Callable[..., Page],
) -> None:
    html = f"<!DOCTYPE html><title>x</title>{fragment(made('neuron'))}"
    browsed = open_page(html, at_start=False)
    last = position(browsed)
    browsed.press("ArrowLeft", "f")
    assert position(browsed) == last
    assert not browsed.run("return host.hasAttribute('data-present');")
    browsed.focus()
    browsed.press("ArrowLeft")
    assert position(browsed) == last - 1


def test_keys_go_to_the_player_after_a_click(open_page: Callable[..., Page]) -> None:
    """On a button or on the picture: the space bar then plays, as in a video."""
    browsed = open_page(made("neuron"))
    browsed.find("button.next").click()
    browsed.press("ArrowRight")
    assert position(browsed) == 2
    browsed.press("Space")
    assert browsed.state()["playing"]
    browsed.press("Space")
    assert not browsed.state()["playing"]
    browsed.find(".stage").click(position={"x": 5, "y": 5})
    browsed.press("Home")
    assert position(browsed) == 0


def test_the_step_slider_works_by_mouse_and_by_keyboard(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    slider = browsed.find("input.steps")
    box = slider.bounding_box()
    browsed.tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    last = browsed.state()["last"]
    assert position(browsed) == last // 2
    browsed.press("ArrowRight", "ArrowRight")
    assert position(browsed) == last // 2 + 2
    browsed.press("End")
    assert position(browsed) == last
    assert slider.get_attribute("aria-valuetext") == f"step {last} of {last}: backward through v1"
    browsed.press("Home")
    start = f"step 0 of {last}: start: the leaves are known"
    assert slider.get_attribute("aria-valuetext") == start


def test_play_runs_to_the_end_and_then_starts_over(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("fan-out"), clock=True)
    browsed.find("select").select_option("10×")
    button = browsed.find("button.play")
    browsed.click(button)
    assert browsed.state()["playing"]
    assert button.get_attribute("aria-label") == "Pause"
    browsed.until("state.position === state.last")
    assert not browsed.state()["playing"]
    assert button.get_attribute("aria-label") == "Play"
    browsed.click(button)
    assert position(browsed) < 3


def test_pausing_or_stepping_stops_playback(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), clock=True)
    browsed.focus()
    for stop in ("Space", "ArrowRight"):
        browsed.press("Home", "Space")
        assert browsed.state()["playing"]
        browsed.press(stop)
        assert not browsed.state()["playing"]
        stopped = position(browsed)
        browsed.tab.clock.run_for(900)
        assert position(browsed) == stopped


def test_playback_at_speed_4_is_faster_than_at_speed_1(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), clock=True)
    reached = []
    for speed in ("1×", "4×"):
        browsed.find("select").select_option(speed)
        browsed.focus()
        browsed.press("Home", "Space")
        browsed.tab.clock.run_for(1_700)  # of the page's time, however busy the machine is
        browsed.press("Space")
        reached.append(position(browsed))
    assert reached[0] == 1
    assert 3 <= reached[1] <= 5


# --- leaves ---------------------------------------------------------------------------------------


def test_a_slider_and_a_field_move_a_leaf_and_reset_restores_it(
    open_page: Callable[..., Page],
) -> None:
    shown = made("neuron")
    browsed = open_page(shown)
    browsed.focus()
    browsed.press("End")
    before = browsed.state()
    reset = browsed.find(".leaves header button")
    assert reset.get_attribute("aria-disabled") == "true"
    row = browsed.find(
        ".leaves li",
    ).filter(has_text="w2")
    slider, field = row.locator("input[type=range]"), row.locator("input[type=number]")
    slider.focus()
    browsed.press("ArrowRight", "ArrowRight")
    assert field.input_value() == "0.31"  # a tick is 1/200 of the slider's reach, 1
    assert position(browsed) == before["position"]  # the slider takes the arrow keys
    close(browsed.state()["gradients"], fresh_gradients([0.8, 0.31, 0.1]))
    field.fill("-2.5")
    close(browsed.state()["gradients"], fresh_gradients([0.8, -2.5, 0.1]))
    browsed.press("Home", "ArrowLeft", "Space")
    assert position(browsed) == before["position"]  # a field takes all keys
    assert slider.get_attribute("aria-valuetext") == "-2.5"
    assert reset.get_attribute("aria-disabled") == "false"
    browsed.click(reset)
    assert browsed.state() == before
    assert field.input_value() == "0.3"


@pytest.mark.parametrize("x", [1e308, 1e-150, 5e-324])
def test_a_slider_reaches_the_neighbours_of_any_number(
    open_page: Callable[..., Page], x: float
) -> None:
    browsed = open_page(steps(Value(x, "x") * 1.0))
    row = browsed.find(".leaves li")
    assert row.locator("input[type=number]").get_attribute("step") != "NaN"
    row.locator("input[type=range]").focus()
    browsed.press("ArrowRight")
    moved = browsed.state()["data"][0]
    assert x < moved < float("inf")


def fresh_gradients(values: list[float]) -> list[float | None]:
    fresh = steps(neuron(values))
    return [fresh.gradients.get(node) for node in fresh.nodes]


def test_invalid_input_changes_nothing_and_is_discarded_on_leaving_the_field(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("fan-out"))
    before = browsed.state()
    field = browsed.find(".leaves input[type=number]")
    field.fill("")
    browsed.press("e")
    assert browsed.state() == before
    browsed.press("Tab")
    assert field.input_value() == "1.5"


def test_nan_and_infinity_are_shown_as_field_placeholders(open_page: Callable[..., Page]) -> None:
    browsed = open_page(steps(Value(nan, "x") + Value(-inf, "y")))
    fields = browsed.find(".leaves input[type=number]").all()
    assert [field.get_attribute("placeholder") for field in fields] == ["nan", "-inf"]


@pytest.mark.parametrize("x", [-12345678.9, -0.000123456789, -1.23456789e-100])
def test_a_long_number_fits_in_its_field(x: float, open_page: Callable[..., Page]) -> None:
    browsed = open_page(steps(Value(x, label="x").tanh()))
    field = browsed.find(".leaves input[type=number]")
    assert field.evaluate("(field) => field.scrollWidth <= field.clientWidth")
    assert float(field.input_value()) == pytest.approx(x, rel=1e-5)


def test_negative_zero_is_shown_and_can_be_typed(open_page: Callable[..., Page]) -> None:
    a, b = Value(-0.0, "a"), Value(3.0, "b")
    browsed = open_page(steps(named("L", a * b)), at_start=False)
    nodes = browsed.run(f"return {READ};")["nodes"]
    assert nodes == {"a": ["-0", "3"], "b": ["3", "0"], "L": ["-0", "1"]}
    assert "1 × (-0) = -0" in browsed.find(".step").inner_text()
    fields = browsed.find(".leaves input[type=number]")
    assert fields.first.input_value() == "-0"
    fields.last.fill("-0")
    nodes = browsed.run(f"return {READ};")["nodes"]
    assert nodes == {"a": ["-0", "0"], "b": ["-0", "0"], "L": ["0", "1"]}


def test_a_leaf_can_be_dragged_in_the_picture(open_page: Callable[..., Page]) -> None:
    """100 pixels are half its slider's reach, or with Shift a tenth of that; up does nothing."""
    shown = made("fan-out")
    browsed = open_page(shown)
    browsed.focus()
    browsed.press("End")
    mouse = browsed.tab.mouse

    def drag(dx: float, dy: float = 0.0) -> float:
        box = browsed.node(0).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + dx / 2, y + dy)
        mouse.move(x + dx, y + dy, steps=3)
        mouse.up()
        value: float = browsed.state()["data"][0]
        return value

    seen = view(browsed)
    assert drag(100) == 3.0
    close(browsed.state()["gradients"], [*gradients_of(fan_out([3.0]))])
    assert browsed.find(".chain").is_hidden()
    browsed.tab.keyboard.down("Shift")
    assert drag(-10) == 2.97
    browsed.tab.keyboard.up("Shift")
    assert drag(0, -60) == 2.97
    close(browsed.state()["data"], [node.data for node in steps(fan_out([2.97])).nodes])
    assert view(browsed) == seen


def gradients_of(output: Value) -> list[float | None]:
    shown = steps(output)
    return [shown.gradients.get(node) for node in shown.nodes]


def test_a_leaf_can_be_dragged_with_a_finger(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("fan-out"), has_touch=True)
    box = browsed.node(0).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch(browsed, [(x, y)], [(x + 40, y + 2)], [(x + 100, y + 3)])
    assert browsed.state()["data"][0] == 3.0


def test_moving_a_leaf_mid_pass_keeps_the_current_step(open_page: Callable[..., Page]) -> None:
    shown = made("fan-out")
    browsed = open_page(shown)
    browsed.focus()
    browsed.press(*["ArrowRight"] * 9)
    fill(browsed, [2.5])
    fresh = steps(fan_out([2.5]))
    state = browsed.state()
    assert state["position"] == 9
    step = fresh[8]
    assert isinstance(step, BackwardStep)
    close([c["after"] for c in state["contributions"]], [p.total for p in step.contributions])
    panel = browsed.find(".step .body").inner_text()
    for part in step.contributions:
        assert number(part.contribution) in panel


def test_a_leaf_that_cannot_be_moved_says_why(open_page: Callable[..., Page]) -> None:
    sinh = Primitive("sinh", math.sinh, lambda out, x: math.cosh(x))
    x, y = Value(0.5, "x"), Value(2.0, "y")
    browsed = open_page(steps(sinh(x) * y))
    row = browsed.find(".leaves li").filter(has=browsed.find(".name", has_text="x"))
    assert "cannot be changed: " in row.inner_text()
    assert "sinh" in row.inner_text()
    assert row.locator("input").count() == 0
    browsed.focus()
    browsed.press("End")
    close(browsed.state()["gradients"], [2.0 * math.cosh(0.5), math.sinh(0.5), 2.0, 1.0])
    field = browsed.find(".leaves input[type=number]")
    assert field.count() == 1
    field.fill("3")
    close(browsed.state()["gradients"], [3.0 * math.cosh(0.5), math.sinh(0.5), 3.0, 1.0])


def test_a_primitive_without_a_javascript_function_is_shown_with_its_numbers(
    open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new primitive needs only its row; moving its leaves takes a line of JavaScript too."""
    angle = Primitive("angle", math.atan, lambda out, x: 1.0 / (1.0 + x * x), total=True)
    monkeypatch.setitem(ops.TABLE, "angle", angle)
    x, y = Value(0.5, "x"), Value(2.0, "y")
    browsed = open_page(steps(named("L", named("a", angle(x)) * y)))
    browsed.focus()
    browsed.press("Home")
    browsed.press("ArrowRight")
    assert browsed.find(".step .body").inner_text().split() == (
        f"a = angle(x) = angle(0.5) = {number(math.atan(0.5))}".split()
    )
    browsed.press("End")
    slope = 1.0 / (1.0 + 0.5 * 0.5)
    close(browsed.state()["gradients"], [2.0 * slope, math.atan(0.5), 2.0, 1.0])
    browsed.find(".leaves input[type=number]").fill("3")  # of y
    close(browsed.state()["gradients"], [3.0 * slope, math.atan(0.5), 3.0, 1.0])


# --- errors ---------------------------------------------------------------------------------------


def test_numbers_after_an_error_are_unknown_until_the_leaf_is_valid_again(
    open_page: Callable[..., Page],
) -> None:
    x, y = Value(0.5, "x"), Value(2.0, "y")
    browsed = open_page(steps(named("L", named("l", x.log()) * y + named("s", y * y))))
    browsed.focus()
    browsed.press("End")
    before = browsed.state()
    problem = browsed.find(".problem")
    assert problem.is_hidden()
    fill(browsed, [0.0])
    state = browsed.state()
    assert state["problem"] == "log(x = 0): it takes numbers above 0"
    assert problem.inner_text() == state["problem"]
    assert problem.get_attribute("role") == "alert"
    texts = browsed.run(f"return {READ};")["nodes"]
    assert texts["x"] == ["0", "?"]
    assert texts["l"] == ["?", "?"]
    assert texts["s"][0] == "4"
    assert texts["L"][0] == "?"
    looks = browsed.run(LOOKS)
    assert {name for name, look in looks.items() if look == "unknown"} == {"l", "v1", "L"}
    assert {name for name, look in looks.items() if look == "lost"} == {"x", "y", "s"}
    browsed.press("ArrowLeft")  # backward through v1 = l * y, whose y is known
    panel = browsed.find(".step").inner_text()
    assert re.search(r"= y = 2\b", panel.replace("\n", " ").replace("\xa0", " "))
    browsed.press("End")
    assert browsed.find(".leaves input[type=number]").first.input_value() == "0"
    for i in range(len(browsed.names)):  # also the output: its gradient is unknown too
        browsed.node(i).dispatch_event("click")
    browsed.click(browsed.node(0))
    assert "?" in browsed.find(".chain").inner_text()
    fill(browsed, [0.5])
    assert browsed.state() == before
    assert problem.is_hidden()


LOOKS = """
    const kinds = ['coming', 'awaiting', 'partial', 'done', 'unknown', 'lost'];
    const look = (node) => kinds.find((kind) => node.classList.contains(kind));
    return Object.fromEntries([...root.querySelectorAll('.stage .node')].map((node) =>
        [node.getAttribute('aria-label').split(',')[0], look(node)]));"""


def test_pending_partial_and_known_numbers_look_different(open_page: Callable[..., Page]) -> None:
    """x has two uses: after the first of them its gradient is partial."""
    x = Value(3.0, "x")
    browsed = open_page(steps(named("L", named("s", x.sin()) * named("c", x.cos()))))
    browsed.focus()
    looks = [browsed.run(LOOKS)]
    for _ in range(6):
        browsed.press("ArrowRight")
        looks.append(browsed.run(LOOKS))
    assert looks[0] == {"x": "done", "s": "coming", "c": "coming", "L": "coming"}
    assert looks[2] == {"x": "done", "s": "done", "c": "done", "L": "coming"}
    assert looks[4] == {"x": "awaiting", "s": "done", "c": "done", "L": "done"}
    assert looks[5]["x"] == "partial"
    assert looks[6]["x"] == "done"
    seen = browsed.run(
        """const node = root.querySelectorAll('.stage .node')[1];
        return argument.map((look) => {
            node.setAttribute('class', `node inner ${look}`);
            const box = getComputedStyle(node.querySelector('polygon, path'));
            return [node, box].map((of) => of === node ? getComputedStyle(of).opacity
                : [of.stroke, of.strokeDasharray, of.fill].join()).join();
        });""",
        ["coming", "done", "partial", "unknown", "lost"],
    )
    assert len(set(seen)) == 5


def test_the_edge_of_a_plain_number_is_not_to_come_at_the_last_step(
    open_page: Callable[..., Page],
) -> None:
    """It takes no gradient, so nothing will flow along it."""
    browsed = open_page(steps(named("L", Value(3.0, "x") * 2)), at_start=False)
    kinds = browsed.run(
        "return [...root.querySelectorAll('.edge')].map((edge) => edge.classList[1])"
    )
    assert sorted(kinds) == ["current", "done"]


def test_the_output_shows_two_borders_at_every_step(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    browsed.focus()
    for key in ("Home", *["ArrowRight"] * 8):
        browsed.press(key)
        fills = browsed.run(
            """const borders = root.querySelectorAll('.node.output :is(polygon, path, ellipse)');
            return [...borders].map((border) => getComputedStyle(border).fill);"""
        )
        assert len(fills) == 2
        assert fills[1] == "none"  # else it would hide the inner one


@pytest.mark.parametrize(
    ("build", "values", "message"),
    [
        (lambda v: Value(1.0, "a") / v, 0.0, "div(a = 1, x = 0): division by zero"),
        (lambda v: v.exp(), 1000.0, "exp(x = 1000): the result is too large for a float"),
        (lambda v: v**0.5, -2.0, "pow(x = -2, 0.5): a base below 0 takes whole exponents only"),
        (lambda v: v**-1, 0.0, "pow(x = 0, -1): division by zero"),
        (lambda v: v.log1p(), -1.0, "log1p(x = -1): it takes numbers above -1"),
        (lambda v: v.sqrt(), 0.0, "backward of sqrt(x = 0): division by zero"),
    ],
)
def test_an_error_has_the_message_of_python(
    code: Any, build: Callable[[Value], Value], values: float, message: str
) -> None:
    shown = steps(build(Value(0.5, "x")))
    told = """({ Graph, Pass, explained }, [recorded, leaf, x]) =>
        explained(new Pass(new Graph(recorded), new Map([[leaf, x]])))"""
    leaf = [node.label for node in shown.nodes].index("x")
    assert code.evaluate(told, [shown.data(), leaf, values]) == message
    with pytest.raises((ValueError, ZeroDivisionError, OverflowError)) as caught:
        build(Value(values, "x")).backward()
    assert str(caught.value).replace(".0", "") == message


def test_numbers_assigned_since_the_output_was_computed_are_no_error(code: Any) -> None:
    x = Value(0.5, "x")
    output = x.log()
    x.data = -2.0
    with pytest.warns(UserWarning, match="was computed from other numbers"):
        shown = steps(output)
    told = """({ Graph, Pass }, recorded) => {
        const { problem, gradients } = new Pass(new Graph(recorded), new Map());
        return [problem, ...gradients];
    }"""
    assert code.evaluate(told, shown.data()) == [None, -0.5, 1.0]


def test_a_gradient_completed_before_an_error_stays_known(open_page: Callable[..., Page]) -> None:
    x, y = Value(0.5, "x"), Value(2.0, "y")
    browsed = open_page(steps(named("L", named("r", x.sqrt()) * y)))
    fill(browsed, [0.0])
    browsed.focus()
    browsed.press("End")
    texts = browsed.run(f"return {READ};")["nodes"]
    assert texts == {"x": ["0", "?"], "y": ["2", "0"], "r": ["0", "2"], "L": ["0", "1"]}


# --- the chain rule -------------------------------------------------------------------------------


def texts(found: Any) -> list[str]:
    """The visible text of each of these elements, in one line."""
    return [" ".join(each.split()) for each in found.all_inner_texts()]


def test_a_node_shows_the_sum_over_its_uses_and_whole_paths(open_page: Callable[..., Page]) -> None:
    x = Value(3.0, "x")
    y = named("y", x * x)
    browsed = open_page(steps(named("L", y * 2 + x)))
    browsed.click(browsed.node(0))
    chain = browsed.find(".chain")
    assert chain.get_attribute("aria-label") == "Chain rule for x"
    assert "Each of its 3 uses contributes upstream × local:" in chain.inner_text()
    assert "As a sum over 3 paths, without factors of 1:" in chain.inner_text()
    assert texts(chain.locator(".sum .right")) == ["1 + 6 + 6", "13"]
    assert texts(chain.locator(".use .numbers")) == ["= 1 × 1 = 1", *["= 2 × 3 = 6"] * 2]
    assert texts(chain.locator(".use .symbols .note")) == ["", "as operand 1", "as operand 2"]
    assert texts(chain.locator(".route")) == ["L → x", "L → v1 → y → x"]
    assert texts(chain.locator(".path .symbols")) == ["1", "2 × (2 × x)"]
    assert texts(chain.locator(".path .numbers")) == ["= 1", "= 2 × (2 × 3) = 12"]
    fill(browsed, [-4.0])
    assert texts(chain.locator(".sum .right")) == ["1 + (-8) + (-8)", "-15"]
    assert texts(chain.locator(".use .numbers"))[1:] == ["= 2 × (-4) = -8"] * 2
    assert texts(chain.locator(".path .numbers")) == ["= 1", "= 2 × (2 × (-4)) = -16"]


def test_right_to_left_names_do_not_reorder_formulas(open_page: Callable[..., Page]) -> None:
    browsed = open_page(steps(Value(6.0, "משקל") / Value(-2.0, "وزن")))
    browsed.click(browsed.find(".controls .button", has_text="Experiment"))
    browsed.click(browsed.find(".experiment .button", has_text="Nudge"))
    browsed.focus()
    browsed.press("ArrowRight")
    assert texts(browsed.find(".result .name")) == ["v1", "משקל", "v1", "משקל"]
    for _ in range(2):  # the forward and the backward step
        turned = browsed.run(
            """return [...root.querySelectorAll('.right, .value, .result p')].filter((line) => {
                const parts = [...line.querySelectorAll('.name, .number')];
                const boxes = parts.map((part) => part.getBoundingClientRect());
                return boxes.some(({ left, top }, k) =>
                    k && left < boxes[k - 1].left && top < boxes[k - 1].bottom);
            }).map((line) => line.textContent);"""
        )
        assert turned == []
        browsed.press("End")


def test_a_name_of_several_words_is_a_parenthesized_factor(open_page: Callable[..., Page]) -> None:
    c = Value(3.0, "c")
    browsed = open_page(steps(named("L", (Value(2.0, "a + b") * c).tanh())))
    browsed.click(browsed.node(0))
    chain = browsed.find(".chain")
    assert texts(chain.locator(".use .symbols")) == ["∂L / ∂v1 × (a + b)"]
    assert texts(chain.locator(".path .symbols")) == ["sech(v1)² × (a + b)"]
    browsed.click(browsed.node(1))
    assert texts(chain.locator(".sum .slope")) == ["∂L / ∂(a + b)"]


def test_a_factor_has_only_the_parentheses_it_needs_as_in_python(
    open_page: Callable[..., Page],
) -> None:
    a, b = Value(0.5, "a"), Value(-1.0, "b")
    s = named("s", a.sigmoid())
    shown = steps(named("L", s * ops.maximum(a, b) - a / b))
    browsed = open_page(shown)
    browsed.click(browsed.node(browsed.names.index("a")))
    found = texts(browsed.find(".chain .use .symbols"))
    local = [use.symbols.partition(".grad * ")[2] for use in shown.explain("a").uses]
    assert [text.partition(" × ")[2] for text in found] == local
    assert "(0.5 * sech(0.5 * a))²" in local
    assert "(0.5 + 0.5 * ([a > b] - [b > a]))" in local
    assert "(1 / b)" in local


def test_a_letter_with_a_mark_is_one_word_as_in_python(open_page: Callable[..., Page]) -> None:
    x = Value(2.0, "x\u0302₁")  # a hat
    y = named("y", x * Value(3.0, "a\u0304"))
    browsed = open_page(steps(y))
    browsed.click(browsed.node(0))
    assert texts(browsed.find(".sum .slope")) == ["∂y / ∂x\u0302₁"]
    assert texts(browsed.find(".use .symbols")) == ["∂y / ∂y × a\u0304"]
    assert "d y / d x\u0302₁ = 3" in repr(explain(y, x))


def test_uses_open_in_turn_and_leave_a_trail_back(open_page: Callable[..., Page]) -> None:
    x = Value(3.0, "x")
    browsed = open_page(steps(named("L", named("h", x * 2).tanh())))
    chain = browsed.find(".chain")
    browsed.click(browsed.node(0))
    assert chain.locator("nav").is_hidden()
    for name, trail in [("h", "x ← h"), ("L", "x ← h ← L")]:
        browsed.click(chain.locator(".use"))
        assert chain.locator("h3").inner_text() == f"Chain rule for {name}"
        assert texts(chain.locator("nav")) == [trail]
        assert browsed.find(".edge.lit").count() == (1 if name == "h" else 0)
    assert "This is the output." in chain.inner_text()
    for button in chain.locator("nav button").all():
        assert min(button.bounding_box()[side] for side in ("width", "height")) >= 24  # to touch
    browsed.click(chain.locator("nav button", has_text="h"))
    assert chain.locator("h3").inner_text() == "Chain rule for h"
    assert texts(chain.locator("nav")) == ["x ← h"]
    browsed.press("Escape")
    assert chain.is_hidden()


def test_all_uses_are_lit_or_only_the_hovered_one(open_page: Callable[..., Page]) -> None:
    x = Value(3.0, "x")
    browsed = open_page(steps(named("L", named("y", x * x) * 2 + x)))
    browsed.click(browsed.node(0))
    assert browsed.find(".edge.lit").count() == 3
    assert browsed.find(".edge.unlit").count() == 3
    browsed.find(".use").last.hover()
    assert browsed.find(".edge.lit").count() == 1
    browsed.find(".path").last.hover()
    assert browsed.find(".edge.lit").count() == 3
    browsed.find("button.close").hover()
    assert browsed.find(".edge.lit").count() == 3
    browsed.find("button.close").click()
    assert browsed.find(".edge.lit").count() == 0


def test_escape_and_the_close_button_close_the_chain_rule_and_restore_the_focus(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("neuron"))
    chain = browsed.find(".chain")
    for how in ("Escape", "button"):
        browsed.node(1).focus()
        browsed.press("Enter")
        assert chain.is_visible()
        assert focused(browsed) == "Close"
        if how == "Escape":
            browsed.press("Escape")
        else:
            browsed.press("Enter")
        assert chain.is_hidden()
        assert focused(browsed).startswith(browsed.names[1])


def focused(browsed: Page) -> str:
    label: str = browsed.run("return root.activeElement.getAttribute('aria-label');")
    return label


def test_paths_are_left_out_if_there_are_too_many(open_page: Callable[..., Page]) -> None:
    """y + y seventy times over: 2^70 paths, and two uses."""
    x = Value(1e-9, "x")
    total = x
    for _ in range(70):
        total = total + total
    browsed = open_page(steps(total))
    browsed.click(browsed.node(0))
    chain = browsed.find(".chain")
    assert chain.locator(".path").count() == 0
    half = number(2.0**69 * 1.0)
    assert texts(chain.locator(".use .numbers")) == [f"= {half} × 1 = {half}"] * 2
    assert texts(chain.locator(".sum .right"))[-1] == number(2.0**70)


def test_a_use_that_leads_only_to_a_condition_is_on_no_path(open_page: Callable[..., Page]) -> None:
    """As in Python, its length and its number do not count."""
    x = Value(2.0, "x")
    long = x
    for _ in range(7):
        long = long * 1.5
    conditions = [ops.greater(x * k, 0.0) for k in range(2, 11)]
    chosen = where(sum(conditions, ops.greater(long, 0.0)), named("y", x * 3.0), x)
    shown = steps(named("L", chosen))
    assert [path.way for path in shown.explain("x").paths] == ["L → x", "L → y → x"]
    browsed = open_page(shown)
    browsed.click(browsed.node(0))
    assert texts(browsed.find(".chain .route")) == ["L → x", "L → y → x"]


def used(times: int) -> Steps:
    bias = Value(0.5, "bias")
    each = [(bias * k).tanh() for k in range(1, times + 1)]
    return steps(named("L", sum(each, Value(0.0, "start"))))


def test_the_sum_stays_in_view_however_many_uses_there_are(open_page: Callable[..., Page]) -> None:
    browsed = open_page(used(40), at_start=False)
    browsed.node(browsed.names.index("bias")).dispatch_event("click")
    assert texts(browsed.find(".sum .right"))[0] == "the sum over 40 uses"
    for width in (1024, 700, 390):
        browsed.tab.set_viewport_size({"width": width, "height": 800})
        browsed.run("root.querySelectorAll('.chain, .panel').forEach((e) => e.scrollTo(0, 0));")
        browsed.find(".use").nth(25).scroll_into_view_if_needed()
        seen = browsed.run(
            """return ['h3', '.right:last-child'].map((part) => {
                const box = root.querySelector(`.sum ${part}`).getBoundingClientRect();
                const at = root.elementFromPoint(box.x + 5, box.y + box.height / 2);
                return root.querySelector('.sum').contains(at);
            });"""
        )
        assert seen == [True, True], width
    browsed.tab.set_viewport_size({"width": 640, "height": 360})  # a phone in landscape
    browsed.find(".use").nth(25).scroll_into_view_if_needed()
    seen = browsed.run(
        """return [0.1, 0.5, 0.9].map((part) =>
            root.querySelector('.chain').contains(root.elementFromPoint(320, 360 * part)));"""
    )
    assert seen == [True] * 3


@pytest.mark.parametrize(("width", "height"), [(390, 844), (640, 360), (844, 390)])
def test_an_opened_chain_rule_comes_into_view(
    open_page: Callable[..., Page], width: int, height: int
) -> None:
    """From its title to its first use, wherever it is opened from."""
    browsed = open_page(used(12), {"width": width, "height": height}, at_start=False)
    browsed.click(browsed.find(".controls .button", has_text="Experiment"))
    parts = ["h3", ".sum .right:last-child", ".body .note", ".use:first-child"]
    for opener in (browsed.node(browsed.names.index("bias")), browsed.find(".use").last):
        opener.scroll_into_view_if_needed()
        opener.dispatch_event("click")
        seen = browsed.run(
            """const chain = root.querySelector('.chain');
            return argument.map((part) => {
                const found = chain.querySelector(part);
                const { left, top } = found.getBoundingClientRect();
                return found.contains(root.elementFromPoint(left + 12, top + 10));
            });""",
            parts,
        )
        assert seen == [True] * 4


def mlp_loss() -> Value:
    nn.seed(2)
    model = nn.MLP(2, [2, 1], activation="tanh")
    return nn.mse([model([1.5, -2.0]), model([0.3, 0.8])], [0.5, -1.0])


def softmax_loss() -> Value:
    logits = [Value(value, f"z{i}") for i, value in enumerate([1.0, 2.0, 0.5])]
    return nn.cross_entropy_with_logits(logits, 1)


def cancelling() -> Value:
    w, x = Value(1.0, "w"), Value(1234567.8, "x")
    return w * x - w * 1234567.25


@pytest.mark.parametrize("build", [mlp_loss, softmax_loss, cancelling])
def test_the_numbers_of_the_chain_rule_add_up_and_multiply_as_shown(
    open_page: Callable[..., Page], build: Callable[[], Value]
) -> None:
    """For every node, as recorded and after a leaf has moved."""
    browsed = open_page(steps(build()))
    # Show every node rather than the boxes of modules.
    browsed.run("root.querySelector('.crumb.all')?.click();")
    for moved in (False, True):
        if moved:
            fill(browsed, [0.7])
        for rows, total in shown_sums(browsed):
            digits = digits_in([each for row in rows for each in re.findall(NUMBER, row)])
            results = []
            for row in rows:
                *factors, result = row.removeprefix("= ").split(" = ")
                results += re.findall(NUMBER, result)
                if factors:
                    assert_multiplies(factors[0], results[-1], digits)
            assert_adds_up(results, total)


def test_the_terms_of_a_step_have_enough_digits_to_add_up(open_page: Callable[..., Page]) -> None:
    browsed = open_page(steps(cancelling()), at_start=False)
    gradient = texts(browsed.find(".step .parent .value"))[2]
    assert gradient == "∂v3 / ∂w = -1234567.25 + 1234567.8 = 0.55"
    browsed.press("Home", "ArrowRight", "ArrowRight", "ArrowRight")
    assert texts(browsed.find(".step .right")) == ["v1 - v2", "1234567.8 - 1234567.25", "0.55"]


def test_operands_have_as_many_digits_as_in_python_to_give_the_result(
    open_page: Callable[..., Page],
) -> None:
    x, y = Value(1.0001234, "x"), Value(-0.99999, "y")
    z = Value(math.nextafter(1.0, 2.0), "z")
    shown = steps(x.log() * (x * 1234.5).sin() + x**1000 * y.log1p() + (y * 12).exp() / z.log())
    browsed = open_page(shown)
    numbers = []
    for step in shown[: len(shown) // 2]:
        browsed.press("ArrowRight")
        numbers.append(texts(browsed.find(".step .right"))[1])
        assert numbers[-1] == step.in_numbers
    assert numbers[0] == "log(1.0001234)"


def shown_sums(browsed: Page) -> list[tuple[list[str], str]]:
    """For each node, the numbers shown for its uses and for its paths, each with the sum."""
    found: list[tuple[list[str], str]] = browsed.run(
        """const found = [];
        for (const node of root.querySelectorAll('.stage .node')) {
            node.dispatchEvent(new MouseEvent('click', { bubbles: true }));
            const total = [...root.querySelectorAll('.sum .right')].pop().innerText.trim();
            for (const part of ['.use', '.path']) {
                const rows = [...root.querySelectorAll(`${part} .numbers`)];
                if (rows.length) found.push([rows.map((row) => row.innerText.trim()), total]);
            }
        }
        return found;"""
    )
    return found


def test_a_node_without_a_chain_rule_says_why(open_page: Callable[..., Page]) -> None:
    condition, a = Value(1.0, "c"), Value(3.0, "a")
    browsed = open_page(steps(named("L", where(condition, a, a * 2) * 1.5)))
    for which, said in [
        ("2", "A constant receives no gradient."),
        ("L", "This is the output. The backward pass starts here, with a gradient of 1."),
        ("c", "No gradient flows from L to c."),
    ]:
        browsed.click(browsed.node(browsed.names.index(which)))
        assert browsed.find(".chain .note").inner_text() == said


def test_the_panel_says_that_gradient_0_passes_nothing_on(open_page: Callable[..., Page]) -> None:
    x = Value(-1.0, "x")
    browsed = open_page(steps(named("L", named("y", x * 3).relu())))
    browsed.focus()
    browsed.press("End")
    assert "The gradient of y is 0: nothing is passed on." in browsed.find(".step").inner_text()
    assert browsed.state()["gradients"][0] == 0.0
    assert browsed.state()["contributions"] == []
    browsed.click(browsed.node(0))
    for lines in browsed.find(".chain .numbers").all_inner_texts():
        assert lines.strip() == "= 0 nothing is passed on"


def test_contributions_to_come_do_not_include_those_that_gradient_0_stops(
    open_page: Callable[..., Page],
) -> None:
    x = Value(1.0, "x")
    browsed = open_page(steps(named("L", x * 2 + x * 5 + (x * -1).relu())))
    browsed.focus()
    browsed.press("End")
    assert "to come" not in browsed.find(".step").inner_text()
    browsed.press("ArrowLeft")
    assert "1 more to come" in browsed.find(".step").inner_text()


def test_the_panel_says_what_a_comparison_is_and_that_it_passes_nothing_on(
    open_page: Callable[..., Page],
) -> None:
    x = Value(2.0, "x")
    browsed = open_page(steps(named("L", named("c", greater(x, 0.0)) * x.relu())))
    browsed.focus()
    browsed.press("End")
    about = "A condition in brackets is 1 if it holds, and 0 otherwise."
    said = ["No operand of c takes a gradient: nothing is passed on.", about]
    assert browsed.find(".step .note").all_inner_texts() == said
    browsed.press("Home", "ArrowRight")
    assert browsed.find(".step .note").all_inner_texts() == [about]
    browsed.press("ArrowRight")
    assert browsed.find(".step .note").count() == 0
    for which, count in (("x", 1), ("c", 0)):
        browsed.click(browsed.node(browsed.names.index(which)))
        assert browsed.find(".chain .note").all_inner_texts().count(about) == count


def test_a_single_leaf_has_gradient_1(open_page: Callable[..., Page]) -> None:
    browsed = open_page(steps(Value(2.0, "x")))
    assert browsed.state()["gradients"] == [1.0]
    assert browsed.run(f"return {READ};")["nodes"] == {"x": ["2", "1"]}
    browsed.focus()
    browsed.press("ArrowRight", "Space", "Home")
    assert position(browsed) == 0


# --- one page, many players -----------------------------------------------------------------------


def test_two_players_on_a_page_do_not_interfere(open_page: Callable[..., Page]) -> None:
    first, second = made("neuron"), made("fan-out")
    html = f"<!DOCTYPE html><title>two</title>{fragment(first)}<hr>{fragment(second)}"
    browsed = open_page(html)
    untouched = browsed.state(1)
    browsed.find(".player").first.focus()
    browsed.press("ArrowRight", "ArrowRight")
    browsed.find(".leaves input[type=number]").first.fill("9")
    assert browsed.state(0)["position"] == 2
    assert browsed.state(1) == untouched
    browsed.find(".player").last.focus()
    browsed.press("End")
    assert browsed.state(0)["position"] == 2
    assert browsed.state(1)["position"] == len(second)
    assert browsed.state(1)["gradients"] == [second.gradients.get(node) for node in second.nodes]


def test_an_output_shown_twice_is_two_independent_players(open_page: Callable[..., Page]) -> None:
    """As JupyterLab's "Create New View for Output" does: the same HTML, with the same id."""
    html = fragment(made("fan-out"))
    browsed = open_page(f"<!DOCTYPE html><title>twice</title>{html}{html}")
    browsed.find(".player").last.focus()
    browsed.press("ArrowRight")
    assert [browsed.state(0)["position"], browsed.state(1)["position"]] == [0, 1]
    assert browsed.find(".player").count() == 2
    for which in (0, 1):
        assert browsed.run("return root.querySelectorAll('[id]').length;", which=which) == 0


NOTEBOOKS = {
    # How front ends run the scripts of an output: JupyterLab replaces them with new elements,
    # VS Code runs copies, which it then removes.
    "JupyterLab": """(host) => {
        for (const old of [...host.querySelectorAll('script')]) {
            const script = document.createElement('script');
            for (const { name, value } of old.attributes) script.setAttribute(name, value);
            script.textContent = old.textContent;
            old.parentNode.replaceChild(script, old);
        }
    }""",
    "VS Code": """(host) => {
        for (const old of [...host.getElementsByTagName('script')]) {
            const script = document.createElement('script');
            script.text = old.innerText;
            if (old.type) script.setAttribute('type', old.type);
            host.appendChild(script).parentNode.removeChild(script);
        }
    }""",
}


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_player_works_when_a_notebook_runs_its_script_again(
    open_page: Callable[..., Page], notebook: str
) -> None:
    browsed = open_page("<!DOCTYPE html><title>notebook</title><main></main>")
    before = set(browsed.tab.evaluate("Object.keys(window)"))
    shown = made("neuron")
    for _ in range(2):
        browsed.tab.evaluate(
            f"""(html) => {{
                const host = document.querySelector('main');
                host.innerHTML = html;
                ({NOTEBOOKS[notebook]})(host);
            }}""",
            fragment(shown),
        )
        assert browsed.find(".player").count() == 1
        assert browsed.state()["last"] == len(shown)
        assert browsed.find("img").is_hidden()
    assert set(browsed.tab.evaluate("Object.keys(window)")) == before


def test_keys_do_not_trigger_shortcuts_of_jupyterlab(open_page: Callable[..., Page]) -> None:
    """Lumino looks for an attribute on all ancestors; others listen on the document."""
    browsed = open_page(made("neuron"))
    browsed.run(
        """window.heard = [];
        document.addEventListener('keydown', (event) => heard.push(event.key));"""
    )
    browsed.find(".leaves input[type=number]").first.focus()
    browsed.press("d", "d", "1")
    browsed.find(".player").focus()
    browsed.press("ArrowRight", "Space", "a")
    assert browsed.tab.evaluate("heard") == []
    assert browsed.run("return host.hasAttribute('data-lm-suppress-shortcuts');")


# --- light, dark, motion, size --------------------------------------------------------------------


def is_dark(browsed: Page) -> bool:
    """Whether the text is light on a dark background."""
    ink, paper = browsed.run(
        """const style = getComputedStyle(root.querySelector('.player'));
        return [style.color, style.backgroundColor].map((text) =>
            text.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0));"""
    )
    assert abs(ink - paper) > 400
    dark: bool = ink > paper
    return dark


def test_a_plain_page_follows_the_preferred_colour_scheme(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), media={"color_scheme": "dark"})
    assert is_dark(browsed)
    browsed.emulate(color_scheme="light")
    browsed.soon(lambda: not is_dark(browsed))


def test_print_shows_the_same_part_of_the_picture_as_the_screen(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("neuron"))
    assert browsed.run(
        """const stage = root.querySelector('.stage');
        stage.style.width = `${stage.clientWidth / 2}px`; // as print does, without notice
        const edge = stage.getBoundingClientRect();
        return [...root.querySelectorAll('.node')].every((node) => {
            const { left, right } = node.getBoundingClientRect();
            return edge.left < left && right < edge.right;
        });"""
    )


@pytest.mark.parametrize("width", [700, 1100], ids=["portrait", "landscape"])
def test_nothing_is_left_out_on_paper(open_page: Callable[..., Page], width: int) -> None:
    x = Value(0.5, "x")
    y = x
    for _ in range(30):
        y = y * x
    browsed = open_page(steps(y), {"width": width, "height": 600}, at_start=False)
    browsed.node(0).dispatch_event("click")
    assert browsed.find("[data-away]").count()  # far from the part in view
    browsed.emulate(media="print")
    scrolled, hidden, tall = browsed.run(
        """const parts = [...root.querySelectorAll('.chain, .step, .leaves ul, .side')];
        const texts = [...root.querySelectorAll('.stage .node text')];
        return [parts.filter((part) => part.scrollHeight > part.clientHeight + 1).length,
            texts.filter((text) => getComputedStyle(text).display === 'none').length,
            root.querySelector('.stage').clientHeight];"""
    )
    assert (scrolled, hidden) == (0, 0)
    assert tall < 600  # the picture is no taller than a page


def test_on_paper_the_panels_are_blocks_of_which_a_page_may_end_anywhere(
    open_page: Callable[..., Page],
) -> None:
    """Where a page ended in a grid or a flex box, Chromium printed texts over each other."""
    browsed = open_page(made("neuron"), at_start=False)
    browsed.node(0).dispatch_event("click")
    browsed.emulate(media="print")
    displays = browsed.run(
        """return [...root.querySelectorAll('.side, .panel, .body')].map(
            (part) => getComputedStyle(part).display);"""
    )
    assert len(displays) >= 4
    assert set(displays) == {"block"}


def test_a_printed_page_is_light(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), media={"color_scheme": "dark"})
    browsed.click(browsed.node(0))
    browsed.emulate(media="print")
    browsed.soon(lambda: not is_dark(browsed))
    assert not browsed.find(".controls, .tools, .hint, .chain .close").locator("visible=true").all()
    browsed.emulate(media="screen")
    browsed.soon(lambda: is_dark(browsed))


THEMES = [  # an attribute of the page, and whether it makes the player dark
    *[("body", "data-jp-theme-light", "false", True)],
    *[("body", "data-jp-theme-light", "true", False)],
    *[("body", "class", "vscode-dark", True)],
    *[("body", "class", "vscode-high-contrast", True)],
    *[("body", "class", "vscode-light", False)],
    *[("body", "class", "vscode-high-contrast vscode-high-contrast-light", False)],
    *[("documentElement", "theme", "dark", True)],
]


def test_the_theme_follows_the_notebook_live_rather_than_the_system(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("fan-out"))
    for element, attribute, value, dark in THEMES:
        browsed.emulate(color_scheme="light" if dark else "dark")
        browsed.soon(lambda dark=dark: is_dark(browsed) != dark)
        browsed.tab.evaluate(f"document.{element}.setAttribute('{attribute}', '{value}')")
        browsed.soon(lambda dark=dark: is_dark(browsed) == dark)
        browsed.tab.evaluate(f"document.{element}.removeAttribute('{attribute}')")


def test_with_forced_colours_the_legend_and_pressed_buttons_keep_theirs(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("neuron"), media={"forced_colors": "active"})
    browsed.click(browsed.find("button", has_text="Experiment"))
    seen = browsed.run(
        """const parts = ['.kind.leaf', '.kind.output', '[aria-expanded=true]', 'button.next'];
        const colour = (part) => getComputedStyle(root.querySelector(part),
            part.startsWith('.kind') ? '::before' : null).backgroundColor;
        const track = getComputedStyle(root.querySelector('.steps')).forcedColorAdjust;
        return [parts.map(colour), track];"""
    )
    assert len(set(seen[0])) == 4
    assert seen[1] == "none"  # otherwise the gradient that is its track is gone


def test_with_reduced_motion_nothing_is_animated_but_playback_works(
    open_page: Callable[..., Page],
) -> None:
    count = "return root.getAnimations().length;"
    browsed = open_page(made("fan-out"), media={"reduced_motion": "no-preference"}, clock=True)
    browsed.focus()
    browsed.press("ArrowRight")
    assert browsed.run(count) > 0
    browsed.emulate(reduced_motion="reduce")
    assert browsed.run(count) == 0
    browsed.find("select").select_option("10×")
    browsed.focus()
    browsed.press("Space")
    browsed.until("state.position === state.last")
    assert browsed.run(count) == 0


# --- readers, sanitisers, attackers ---------------------------------------------------------------


def test_every_focusable_element_has_a_role_a_name_and_a_focus_ring(
    open_page: Callable[..., Page],
) -> None:
    shown = made("neuron")
    browsed = open_page(shown)
    browsed.press("Tab")
    seen = []
    for _ in range(60):
        found = browsed.run(
            """const at = root.activeElement;
            if (!at) return null;
            const ring = at.matches('.node')
                ? getComputedStyle(at.querySelector('polygon, path, ellipse')).strokeWidth
                : getComputedStyle(at).outlineWidth;
            return [at.getAttribute('role') || at.localName, at.getAttribute('aria-label'), ring];
            """
        )
        if found is None:
            break
        seen.append(tuple(found))
        browsed.press("Tab")
    assert all(name for _, name, _ in seen)
    assert {ring for _, _, ring in seen} == {"3px"}
    roles = [role for role, _, _ in seen]
    assert roles[0] == "group"
    nodes = [name.split(",")[0] for role, name, _ in seen if role == "button" and "," in name]
    assert nodes == browsed.names
    labels = {name for _, name, _ in seen}
    assert labels >= {
        *["First step", "One step back", "Play", "One step forward", "Last step", "Step", "Speed"],
        *["Zoom in", "Zoom out", "Fit the whole graph", "Value of w1", "Value of w2", "Value of b"],
        "Reset all leaves to their recorded values",
    }


@pytest.mark.parametrize(("width", "height"), [(360, 640), (640, 360), (1024, 768)])
def test_a_focused_element_is_visible(
    open_page: Callable[..., Page], width: int, height: int
) -> None:
    """Inside the window, and not under the overview or a sticky header, in both directions."""
    browsed = open_page(used(12), viewport={"width": width, "height": height}, at_start=False)
    browsed.click(browsed.find(".controls .button", has_text="Experiment"))
    browsed.node(browsed.names.index("bias")).dispatch_event("click")
    browsed.press("Tab")  # the reader uses the keyboard
    unseen = browsed.run(
        """const all = [...root.querySelectorAll('button, input, select, .node')];
        const parts = all.filter((part) => part.getClientRects().length);
        return [...parts, ...parts.reverse()].filter((part) => {
            part.focus();
            const { left, top, width, height } = part.getBoundingClientRect();
            return !part.contains(root.elementFromPoint(left + width / 2, top + height / 2));
        }).map((part) => part.getAttribute('aria-label') || part.textContent);"""
    )
    assert unseen == []


def test_each_step_is_announced_except_in_fast_playback(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("fan-out"), clock=True)
    said = browsed.find("[aria-live=polite]")
    browsed.focus()
    browsed.press("ArrowRight")
    assert said.text_content() == "step 1 of 14. Forward: y. y = x * x = 1.5 * 1.5 = 2.25"
    browsed.find("select").select_option("10×")
    browsed.focus()
    browsed.press("Space")
    browsed.until("state.position > 2")
    assert said.text_content() == "step 1 of 14. Forward: y. y = x * x = 1.5 * 1.5 = 2.25"
    browsed.press("End")
    assert str(said.text_content()).startswith("step 14 of 14. Backward through y. y = x * x. ")
    assert "∂y/∂x = x = 1.5" in str(said.text_content())


def test_a_node_is_named_with_its_operation_or_kind_and_the_current_one_is_marked(
    open_page: Callable[..., Page],
) -> None:
    """By colour, shape and a symbol in the picture, and for a screen reader in words."""
    x = Value(3.0, "x")
    browsed = open_page(steps(named("L", (x * 2).tanh())))
    browsed.focus()
    browsed.press("ArrowRight")
    nodes = browsed.find(".stage .node").all()
    assert [node.get_attribute("aria-label") for node in nodes] == [
        "x, leaf, data 3",
        "2, constant, data 2",
        "v1, mul, data 6",
        "L, tanh, data not computed yet",
    ]
    assert [node.get_attribute("aria-current") for node in nodes] == [
        *["false", "false", "true", "false"],
    ]


def test_an_announced_step_ends_each_part_with_a_full_stop(open_page: Callable[..., Page]) -> None:
    """Otherwise a screen reader says "upstream times local 1 times 1", as if it were a product."""
    x = Value(3.0, "x")
    browsed = open_page(steps(named("L", named("y", x.exp()) + x)), at_start=False)
    browsed.focus()
    browsed.press("ArrowLeft")
    assert browsed.find("[aria-live=polite]").text_content() == (
        "step 3 of 4. Backward through L. L = y + x. upstream starts here. ∂L/∂L = 1."
        " local. ∂L/∂y = 1. upstream × local. 1 × 1 = 1. gradient. ∂L/∂y = 1."
        " local. ∂L/∂x = 1. upstream × local. 1 × 1 = 1. gradient (1 more to come). ∂L/∂x = 1"
    )


def test_the_new_output_is_announced_when_a_leaf_is_moved(open_page: Callable[..., Page]) -> None:
    browsed = open_page(steps(named("L", Value(3.0, "x") * 2)))
    said = browsed.find("[aria-live=polite]")
    browsed.focus()
    browsed.press("ArrowRight")
    fill(browsed, [4.0])
    assert said.text_content() == "L = 8"
    browsed.click(browsed.find(".leaves .button", has_text="Reset"))
    assert said.text_content() == "L = 6"


def test_an_output_that_is_not_known_after_a_move_is_not_announced(
    open_page: Callable[..., Page],
) -> None:
    """Nor does an earlier output stay, which would keep the next equal one from being announced."""
    browsed = open_page(steps(named("L", Value(1.0, "x").log())), at_start=False)
    said = browsed.find("[aria-live=polite]")
    for moved, announced in ((2.0, "L = 0.6931"), (-1.0, ""), (2.0, "L = 0.6931")):
        fill(browsed, [moved])
        assert said.text_content() == announced
    browsed.focus()
    browsed.press("Home")
    fill(browsed, [3.0])
    assert said.text_content() == ""


def test_without_scripts_the_picture_is_shown(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), java_script_enabled=False)
    image = browsed.find("img")
    assert image.is_visible()
    box = image.bounding_box()
    assert box["width"] > 500
    assert box["height"] > 100
    assert "loss" in image.get_attribute("alt")


def test_with_scripts_the_picture_is_hidden(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"))
    assert browsed.find("img").is_hidden()
    assert browsed.find(".player").is_visible()


HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "</script ><script >window.hacked = 1</script >",
    "<!--<script",
    '"><img src=x onerror="window.hacked = 1">',
    "<svg onload='window.hacked = 1'><![CDATA[",
    "a & b &lt;i&gt; <i>c</i>",
    "${window.hacked = 1} `\\ {|}",
]


def test_hostile_labels_are_shown_as_text_and_do_nothing(open_page: Callable[..., Page]) -> None:
    """Each as the name of a leaf and of a sum, and all of them as the name of the output."""
    leaves = [Value(1.5, label) for label in HOSTILE]
    sums = [named(leaf.label + "'", leaf * 2.0 + leaf) for leaf in leaves]
    shown = steps(named("".join(HOSTILE), sum(sums, Value(0.0))))
    browsed = open_page(shown, reload=True)
    browsed.focus()
    browsed.press("End")
    found = browsed.run(
        """const titles = [];
        for (const node of root.querySelectorAll('.stage .node.leaf')) {
            node.dispatchEvent(new MouseEvent('click', { bubbles: true }));
            titles.push(root.querySelector('.chain h3').innerText);
        }
        await new Promise((done) => setTimeout(done, 30));
        const strange = 'script, img, b, svg svg, i:not(.slope i)';
        return {
            hacked: 'hacked' in window,
            heads: [...root.querySelectorAll('.stage .node .head')].map((e) => e.textContent),
            leaves: root.querySelector('.leaves').innerText,
            titles,
            strange: [document, root].flatMap((part) => [...part.querySelectorAll(strange)])
                .filter((e) => e.getBoundingClientRect().width > 0)
                .map((e) => e.outerHTML),
        };"""
    )
    assert not found["hacked"]
    for node in (*leaves, *sums, shown.output):
        assert any(head.endswith(shown.names[node]) for head in found["heads"])
    for name in (shown.names[leaf] for leaf in leaves):
        assert name in found["leaves"]
        assert f"Chain rule for {name}" in found["titles"]
    assert found["strange"] == []


def test_active_content_is_removed_from_the_picture(console: Any) -> None:
    """The picture comes from Graphviz; even so, only its shapes and text are copied."""
    hack = "window.hacked = 1"
    source = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1" onload="{hack}">
        <script>{hack}</script><foreignObject><img src="x"/></foreignObject>
        <image href="http://example.org/x.png"/><use href="#x"/><style>* {{ fill: red }}</style>
        <g id="n0" class="node" onclick="{hack}" style="fill: url(http://example.org)">
        <a href="javascript:{hack}"><path d="M0,0"/><text x="1" y="2">t</text></a></g></svg>"""
    code = f"""(source) => {{ {script("elements.js", "picture.js")}
        const parsed = new DOMParser().parseFromString(source, 'image/svg+xml');
        return new XMLSerializer().serializeToString(copied(parsed.documentElement)); }}"""
    assert console.evaluate(code, source) == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><g id="n0" class="node"><g>'
        '<path d="M0,0"/><text x="1" y="2">t</text></g></g></svg>'
    )


def test_a_page_cannot_make_network_requests(open_page: Callable[..., Page]) -> None:
    browsed = open_page(made("neuron"), reload=True)
    tried = browsed.run(
        """const blocked = [];
        document.addEventListener('securitypolicyviolation', (event) =>
            blocked.push(event.effectiveDirective));
        await fetch('http://127.0.0.1:9/').catch(() => {});
        new Image().src = 'http://127.0.0.1:9/x.png';
        document.body.insertAdjacentHTML('beforeend', '<b onclick="window.hacked = 1">x</b>');
        document.body.lastChild.click();
        await new Promise((done) => setTimeout(done, 50));
        return [blocked.sort(), window.hacked || null];"""
    )
    assert tried == [["connect-src", "img-src", "script-src-attr"], None]
    browsed.printed.clear()  # Chromium logs what it blocks
    assert browsed.blocked == ["http://127.0.0.1:9/x.png"]  # a blocked fetch is not reported
