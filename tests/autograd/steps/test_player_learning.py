"""Do experiments and exercises work? Nudges, gradient steps, edges by contribution, predictions.

They run in a real browser; without one the tests skip, in CI they fail.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import nn
from autograd import Value, grad
from autograd.steps import Steps, steps
from autograd.steps.player import style
from autograd.text import number
from tests.autograd.steps.player_page import Page, fill, made, named, saved

PHONE = {"width": 360, "height": 740}


@pytest.fixture
def open_page(open_page: Callable[..., Page]) -> Callable[..., Page]:
    """Leave players as they open: on the finished pass, or as an exercise before its first step."""
    return partial(open_page, at_start=False)


def press(browsed: Page, text: str) -> None:
    browsed.click(browsed.find("button", has_text=re.compile(f"^{text}$")))


def said(browsed: Page) -> str:
    text: str = browsed.find("[aria-live=polite]").text_content()
    return text


def experiment(browsed: Page, title: str) -> Any:
    """Show the experiments, and return the one with this title."""
    browsed.run(
        """const buttons = [...root.querySelectorAll('button')];
        const toggle = buttons.find((button) => button.textContent.includes('Experiment'));
        if (toggle.getAttribute('aria-expanded') !== 'true') toggle.click();"""
    )
    return browsed.find(f"[role=group][aria-label='{title}']")


# --- nudge ----------------------------------------------------------------------------------------


def polynomial(v: list[float]) -> Value:
    w, x = Value(v[0], "w"), Value(v[1], "x")
    return named("L", w * x * w - x * 3 + w)


def nudge(browsed: Page, leaf: str, h: str) -> list[str]:
    """Nudge a leaf by h, and return the paragraphs that appear."""
    found: list[str] = experiment(browsed, "Nudge a leaf").evaluate(
        """(part, [leaf, h]) => {
            const [choice, field] = ['select', 'input'].map((tag) => part.querySelector(tag));
            choice.selectedIndex = [...choice.options].findIndex(({ label }) => label === leaf);
            choice.dispatchEvent(new Event('change', { bubbles: true }));
            field.value = h;
            part.querySelector('button').click();
            return [...part.querySelectorAll('p')].map((p) => p.innerText.replaceAll('\\n', ''));
        }""",
        [leaf, h],
    )
    return found


@pytest.mark.parametrize("h", ["0.001", "-0.5", "1e-07"])
def test_a_nudge_shows_the_difference_quotient_beside_the_gradient(
    open_page: Callable[..., Page], h: str
) -> None:
    browsed = open_page(steps(polynomial([2.0, -3.0])))
    before = browsed.state()
    w, step = 2.0, float(h)
    first, nudged = (polynomial([at, -3.0]).data for at in (w, w + step))
    quotient = (nudged - first) / step
    formula, gradient, rest = nudge(browsed, "w", h)
    assert formula.startswith("(L(w + h) - L(w)) / h = (")
    assert formula.endswith(f" = {number(quotient)}")
    assert gradient == "∂L/∂w = -11"
    assert rest.startswith(f"They differ by {number(abs(quotient + 11))}: ")
    assert rest.endswith("w is back at 2.")
    assert said(browsed).startswith(formula)
    assert browsed.state() == before


def test_the_numbers_of_a_nudge_have_enough_digits_to_differ(
    open_page: Callable[..., Page],
) -> None:
    """(2 + h)^2 (-3) + 9 + 2 + h for h = 1e-6 is -1.000011 to seven digits."""
    browsed = open_page(steps(polynomial([2.0, -3.0])))
    assert "(-1.000011 - (-1)) / 0.000001 = -11" in nudge(browsed, "w", "0.000001")[0]


@pytest.mark.parametrize("x", [3.0, 1e-320, 1e-322, -5e-324])
def test_the_initial_nudge_of_a_leaf_changes_it(open_page: Callable[..., Page], x: float) -> None:
    browsed = open_page(steps(Value(x, label="x") * 2))
    browsed.click(browsed.find(".controls button", has_text="Experiment"))
    h = float(browsed.find(".experiment input").first.input_value())
    assert x + h != x


def test_a_nudge_of_any_leaf_comes_close_to_its_gradient(open_page: Callable[..., Page]) -> None:
    shown = made("transcendental")
    browsed = open_page(shown)
    for leaf in ("a", "b"):
        formula, gradient, _ = nudge(browsed, leaf, "1e-6")
        quotient = float(formula.rpartition(" = ")[2])
        assert quotient == pytest.approx(shown.gradient(leaf), rel=1e-3)
        assert gradient.endswith(f" = {number(shown.gradient(leaf))}")


def test_a_nudge_starts_from_the_moved_leaves_and_disappears_when_they_move_again(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(steps(polynomial([2.0, -3.0])))
    fill(browsed, [0.5, 4.0])
    first, nudged = (polynomial([at, 4.0]).data for at in (0.5, 0.75))
    formula, gradient, rest = nudge(browsed, "w", "0.25")
    assert formula.endswith(f" = {number((nudged - first) / 0.25)}")
    assert gradient == f"∂L/∂w = {number(2 * 0.5 * 4 + 1)}"
    fill(browsed, [0.5, 5.0])
    assert experiment(browsed, "Nudge a leaf").locator("p").count() == 0
    assert rest.endswith("w is back at 0.5.")


def test_the_default_h_is_about_a_thousandth_of_the_leaf(open_page: Callable[..., Page]) -> None:
    first = {"a": 2.0, "b": 0.03, "c": -4e5, "d": 0.0}
    total = sum((Value(x, label) for label, x in first.items()), start=Value(1.0, "e"))
    browsed = open_page(steps(named("L", total)))
    part = experiment(browsed, "Nudge a leaf")
    found = []
    for label in first:
        part.locator("select").select_option(label=label)
        found.append(float(part.locator("input").input_value()))
    assert found == [0.001, 0.00001, 100.0, 0.001]


def test_an_impossible_nudge_is_rejected_with_the_reason(open_page: Callable[..., Page]) -> None:
    browsed = open_page(steps(named("L", Value(0.5, "x").log())))
    before = browsed.state()
    assert nudge(browsed, "x", "-1") == [
        "Cannot nudge: log(x = -0.5): it takes numbers above 0. Choose another h."
    ]
    assert nudge(browsed, "x", "0") == ["Enter a number other than 0 for h."]
    assert nudge(browsed, "x", "") == ["Enter a number other than 0 for h."]
    lost = "Cannot nudge: x + h rounds to x. Choose another h."
    assert nudge(browsed, "x", "1e-20") == [lost]
    assert browsed.state() == before
    fill(browsed, [-2.0])  # no h would help, so it is not the one to change
    assert nudge(browsed, "x", "3") == ["Cannot nudge: log(x = -2): it takes numbers above 0."]


# --- descend --------------------------------------------------------------------------------------


def descend(browsed: Page, rate: float, times: int = 1) -> Any:
    part = experiment(browsed, "Gradient descent")
    part.evaluate(
        """(part, [rate, times]) => {
            part.querySelector('input').value = rate;
            for (let k = 0; k < times; k++) part.querySelector('button').click();
        }""",
        [str(rate), times],
    )
    return part


def loss_of(model: Any) -> Value:
    error = model([Value(1.0, "x1"), Value(-0.5, "x2")])[0] - 1
    return named("loss", error * error)


def test_a_gradient_step_equals_pythons_to_the_last_bit(open_page: Callable[..., Page]) -> None:
    """Only the parameters change, not the inputs."""
    nn_model = nn.Linear(2, 1)
    for k, p in enumerate(nn_model.parameters()):
        p.data = 0.37 * (k - 1)
    shown = steps(loss_of(nn_model))
    names = [entry["name"] for entry in shown.data()["nodes"]]
    kinds = [entry["kind"] for entry in shown.data()["nodes"]]
    browsed = open_page(shown)
    for _ in range(12):
        descend(browsed, 0.07)
        loss = loss_of(nn_model)
        nn_model.zero_grad()
        loss.backward()
        for p in nn_model.parameters():
            p.data -= 0.07 * p.grad
        data = dict(zip(names, browsed.state()["data"], strict=True))
        parameters = [name for name, kind in zip(names, kinds, strict=True) if kind == "parameter"]
        assert sorted(data[name] for name in parameters) == sorted(
            p.data for p in nn_model.parameters()
        )
        assert (data["x1"], data["x2"]) == (1.0, -0.5)
    assert len(parameters) == len(list(nn_model.parameters()))
    browsed.press("End")
    expected = steps(loss_of(nn_model))
    assert browsed.state()["data"][-1] == expected.output.data


def test_without_parameters_all_leaves_descend(open_page: Callable[..., Page]) -> None:
    v = [0.5, 0.25]
    browsed = open_page(steps(polynomial(v)))
    part = descend(browsed, 0.01, times=0)
    assert "Each step subtracts learning rate × gradient from w, x." in part.inner_text()
    for _ in range(5):
        descend(browsed, 0.01)
        w, x = Value(v[0]), Value(v[1])
        slopes = grad(w * x * w - x * 3 + w, [w, x])
        v = [at - 0.01 * float(slope) for at, slope in zip(v, slopes, strict=True)]
        names = browsed.names
        data = browsed.state()["data"]
        assert [data[names.index("w")], data[names.index("x")]] == v


def heights(part: Any) -> list[float]:
    """The heights of the points of the line."""
    points = part.locator("polyline").get_attribute("points").split()
    return [-float(point.partition(",")[2]) for point in points]


def square(x: float = 3.0) -> Steps:
    v = Value(x, "x")
    return steps(named("L", v * v))


def test_a_line_chart_shows_the_falling_output_with_its_first_and_last_number(
    open_page: Callable[..., Page],
) -> None:
    """Each step multiplies x by 1 - 0.2; the output is the square of x."""
    browsed = open_page(square())
    part = descend(browsed, 0.1, times=4)
    assert heights(part) == sorted(heights(part), reverse=True)
    assert len(set(heights(part))) == 5
    ends = [end.inner_text() for end in part.locator(".falls .number").all()]
    assert ends == ["9", number((3 * 0.8**4) ** 2)]
    label = part.locator("svg").get_attribute("aria-label")
    assert label == f"L from {ends[0]} to {ends[1]} in 4 steps"
    assert re.match(r"Step 4: L fell from 2\.3593 to 1\.5099\.$", said(browsed))
    assert said(browsed) in part.inner_text()


def test_a_learning_rate_too_large_raises_the_output(open_page: Callable[..., Page]) -> None:
    browsed = open_page(square())
    part = descend(browsed, 1.5, times=2)
    assert heights(part) == sorted(heights(part))
    assert said(browsed) == (
        "Step 2: L rose from 36 to 144: the step was too large. Try a smaller learning rate."
    )


def test_the_chart_has_room_for_an_output_near_the_largest_float(
    open_page: Callable[..., Page],
) -> None:
    assert heights(descend(open_page(square(1e154)), 0.5)) == [-4, -36]
    # From 1e308 to -1e308: the difference is no float.
    line = steps(named("L", Value(1e154, "x") * 1e154))
    assert heights(descend(open_page(line), 2.0)) == [-4, -36]


def test_an_impossible_gradient_step_is_rejected_and_changes_nothing(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(steps(named("L", Value(0.5, "x").log())))
    before = browsed.state()
    part = descend(browsed, 1.0)
    text = "No step was taken: log(x = -1.5): it takes numbers above 0. The leaves are unchanged."
    assert text in part.inner_text()
    assert said(browsed) == text
    assert browsed.state() == before
    part = descend(browsed, -1.0)
    assert "Enter a learning rate above 0." in part.inner_text()
    assert browsed.state() == before


def test_reset_undoes_the_steps_and_moving_a_leaf_starts_a_new_line(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(square())
    before = browsed.state()
    part = descend(browsed, 0.1, times=3)
    browsed.click(browsed.find(".leaves header button"))
    assert browsed.state() == before
    assert part.locator(".falls").is_hidden()
    descend(browsed, 0.1, times=2)
    fill(browsed, [2.0])
    assert part.locator(".falls").is_hidden()
    descend(browsed, 0.1)
    assert part.locator(".falls .number").first.inner_text() == "4"


# --- edges by contribution ------------------------------------------------------------------------


WIDEST = 5.0


def edges(browsed: Page) -> list[tuple[str, float]]:
    """The sign and the width of every edge that has a sign, sorted."""
    found = browsed.run(
        """return [...root.querySelectorAll('.stage .edge[data-sign]')].map((edge) => {
            const { strokeWidth } = getComputedStyle(edge.querySelector('path'));
            return [edge.dataset.sign, parseFloat(strokeWidth)];
        });"""
    )
    return sorted((sign, width) for sign, width in found)


def weighed(contributions: list[float], largest: float) -> list[tuple[str, Any]]:
    parts = [c for c in contributions if c]
    widths = [1 + (WIDEST - 1) * abs(c) / largest for c in parts]
    signs = ["positive" if c > 0 else "negative" for c in parts]
    pairs = sorted(zip(signs, widths, strict=True))
    return [(sign, pytest.approx(width, rel=1e-4)) for sign, width in pairs]


def test_edges_can_be_scaled_by_their_contributions(open_page: Callable[..., Page]) -> None:
    shown = made("fan-out")
    browsed = open_page(shown)
    browsed.focus()
    browsed.press("End")
    assert edges(browsed) == []
    button = experiment(browsed, "Contributions").locator("button")
    browsed.click(button)
    assert button.get_attribute("aria-pressed") == "true"
    passed = [[p.contribution for p in step.contributions] for step in shown[len(shown) // 2 :]]
    largest = max(abs(c) for step in passed for c in step)
    assert edges(browsed) == weighed([c for step in passed for c in step], largest)
    assert {sign for sign, _ in edges(browsed)} == {"positive", "negative"}
    legend = experiment(browsed, "Contributions").inner_text()
    assert f"widest edge: magnitude {number(largest)}" in legend
    browsed.press("Home")
    assert edges(browsed) == []
    for k in range(len(passed)):
        browsed.run(
            f"root.querySelector('button.last').click(); for (let k = {k}; k < "
            f"{len(passed) - 1}; k++) root.querySelector('button.back').click();"
        )
        assert edges(browsed) == weighed([c for step in passed[: k + 1] for c in step], largest)
    browsed.click(button)
    assert edges(browsed) == []


# Linear RGB as seen without one kind of cone: Machado, Oliveira and Fernandes (2009).
BLIND = {
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colour: str, kind: str) -> list[float]:
    """A colour in CIELAB, where a distance of 2 is just noticeable and one of 50 is obvious."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    r, g, b = (
        min(1.0, max(0.0, sum(m * c for m, c in zip(row, linear, strict=True))))
        for row in BLIND[kind]
    )
    xyz = [
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.0888,
    ]
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


@pytest.mark.parametrize("kind", BLIND)
def test_the_colours_of_the_signs_differ_for_every_kind_of_colour_vision(kind: str) -> None:
    css = style()
    positive, negative = (re.findall(rf"--{s}: (#\w{{6}})", css) for s in ("positive", "negative"))
    assert len(positive) == len(negative) == 2  # light and dark
    for pair in zip(positive, negative, strict=True):
        assert math.dist(*(lab(colour, kind) for colour in pair)) > 45


# --- predict --------------------------------------------------------------------------------------


def exercise(shown: Steps) -> str:
    return saved(shown, predict=True)


def questions(shown: Steps) -> list[tuple[int, float]]:
    """For each question, the step that answers it, and Python's answer."""
    asked: list[tuple[int, float]] = []
    for k, step in enumerate(shown):
        if k < len(shown) // 2:
            asked.append((k + 1, step.node.data))
        else:
            totals = {id(part.parent): part.total for part in step.contributions}
            asked += [(k + 1, total) for total in totals.values()]
    return asked


def answer(browsed: Page, text: str) -> str:
    """Type a guess, and return the feedback."""
    feedback: str = browsed.run(ANSWER + "return answer(argument);", text)
    return feedback


ANSWER = """const answer = (text) => {
        const field = root.querySelector('.predict input');
        if (!field.checkVisibility()) throw new Error('no question is open');
        field.focus();
        field.value = text;
        field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
        return root.querySelector('.predict .feedback').innerText;
    };"""


@pytest.mark.parametrize("name", ["neuron", "fan-out", "kinks", "transcendental"])
def test_every_number_is_asked_for_and_pythons_numbers_are_right(
    open_page: Callable[..., Page], name: str
) -> None:
    shown = made(name)
    browsed = open_page(exercise(shown))
    asked = questions(shown)
    seen = browsed.run(
        """const part = (selector) => root.querySelector(`.predict ${selector}`);
        return argument.map((text) => {
            const before = [host.player.state().position, part('h3').innerText];
            part('input').value = text;
            part('input').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
            return [...before, part('.feedback').innerText];
        });""",
        [number(value) for _, value in asked],
    )
    for (at, _), (position, title, feedback) in zip(asked, seen, strict=True):
        assert (position, title) == (at - 1, f"Predict step {at}")
        assert feedback.startswith("Right: ")
    assert f"{len(asked)} of {len(asked)} on the first try" in browsed.find(".predict").inner_text()
    assert browsed.state()["position"] == len(shown)
    assert "You can now explore the whole pass." in browsed.find(".predict").inner_text()


# Everything a page shows to a reader, a screen reader or a pointer, without the recording.
REVEALED = """const revealed = () => {
        const copy = host.cloneNode(true);
        copy.querySelectorAll('script').forEach((script) => script.remove());
        const fields = [...root.querySelectorAll('input, select')].map((field) => field.value);
        const seen = root.querySelector('.player').cloneNode(true);
        const shapes = 'polygon, polyline, path, ellipse';
        for (const shape of seen.querySelectorAll(shapes)) shape.remove();
        for (const part of seen.querySelectorAll('[transform]')) part.removeAttribute('transform');
        for (const text of seen.querySelectorAll('text')) {
            for (const at of ['x', 'y']) text.removeAttribute(at);
        }
        return [copy.outerHTML, document.title, seen.outerHTML, ...fields].join(' ');
    };"""


def distinct() -> Steps:
    """A pass in which no number is equal to another, or written inside another."""
    x, y = Value(1.3717, "x"), Value(2.4181, "y")
    return steps(named("L", named("p", x * y) * x + named("s", (x * 3.1).tanh() + y * y)))


def test_numbers_not_predicted_yet_are_nowhere_in_the_page(open_page: Callable[..., Page]) -> None:
    """Not in the picture, the leaves, the tooltips, the labels or the panels."""
    shown = distinct()
    browsed = open_page(exercise(shown))
    asked = [(at, number(value)) for at, value in questions(shown)]
    *before, seen = browsed.run(
        REVEALED
        + ANSWER
        + """const before = (text) => {
            const seen = revealed();
            answer(text);
            return seen;
        };
        return [...argument.map(before), revealed()];""",
        [text for _, text in asked],
    )
    for k, page in enumerate(before):
        known = {earlier for _, earlier in asked[:k]}
        leaves = {number(node.data) for node in shown.nodes if not node.parents}
        for _, later in asked[k:]:
            assert later in known | leaves | {"1"} or later not in page, (k, later)
    for node in shown.nodes:
        assert number(node.data) in seen
        assert node not in shown.gradients or number(shown.gradients[node]) in seen


def test_the_slider_of_an_exercise_is_blue_until_a_gradient_is_asked_for(
    open_page: Callable[..., Page],
) -> None:
    """Its track is blue, for data, up to this share, and orange, for gradients, from there."""
    browsed = open_page(exercise(distinct()))
    share = "return parseFloat(root.querySelector('.steps').style.getPropertyValue('--forward'));"
    assert browsed.run(share) >= 100


def test_no_control_goes_past_the_current_question(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(distinct()))
    browsed.focus()
    browsed.press("End", "ArrowRight", "Space", "ArrowRight")
    browsed.find("button.last").click(force=True)
    browsed.find("button.next").click(force=True)
    browsed.run(
        """const slider = root.querySelector('input.steps');
        slider.value = slider.max;
        slider.dispatchEvent(new Event('input'));"""
    )
    assert browsed.state()["position"] == 0
    assert browsed.find("input.steps").input_value() == "0"
    browsed.click(browsed.node(0))
    assert browsed.find(".chain").is_hidden()
    assert said(browsed) == "The chain rule opens once everything has been predicted."
    assert browsed.find("button", has_text="Experiment").is_hidden()


def test_an_exercise_hides_scaled_edges_and_an_open_chain_rule(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("fan-out"))
    browsed.focus()
    browsed.press("End")
    browsed.click(experiment(browsed, "Contributions").locator("button"))
    browsed.click(browsed.node(0))
    assert edges(browsed)
    press(browsed, "Predict")
    assert edges(browsed) == []
    assert browsed.find(".chain").is_hidden()
    assert browsed.find(".experiments").is_hidden()
    assert browsed.state()["position"] == 0
    press(browsed, "Predict")
    assert browsed.find(".predict").is_hidden()
    browsed.press("End")
    assert browsed.state()["position"] == browsed.state()["last"]


@pytest.mark.parametrize("predict", [False, True])
def test_a_page_is_an_exercise_only_if_it_was_saved_as_one(
    open_page: Callable[..., Page], tmp_path: Path, predict: bool
) -> None:
    file = tmp_path / "x.html"
    distinct().save(file, predict=predict)
    html = file.read_text(encoding="utf-8")
    assert ("<img" in html) != predict  # its text and pixels contain the gradients
    browsed = open_page(html)
    assert browsed.find(".predict").is_visible() == predict
    pressed = browsed.find("button", has_text="Predict").get_attribute("aria-pressed")
    assert pressed == str(predict).lower()


# A graph, the number of questions answered before, a wrong guess, and the feedback.


def xx(x: float = 3.0) -> Value:
    v = Value(x, "x")
    return named("L", v * v)


def shared() -> Value:
    """L = 4 a + x with a = x w, x = 3 and w = 5: x is used twice."""
    x, w = Value(3.0, "x"), Value(5.0, "w")
    return named("L", named("a", x * w) * 4 + x)


def power() -> Value:
    return named("L", Value(5.0, "x") ** 2 * 4)


def raised() -> Value:
    return named("L", Value(2.0, "x") ** Value(3.0, "n"))


def ratio() -> Value:
    return named("L", Value(7.0, "a") / Value(2.0, "b") - Value(5.0, "c"))


def leaf(function: str, x: float) -> Callable[[], Value]:
    def build() -> Value:
        result: Value = getattr(Value(x, "x"), function)()
        return named("L", result)

    return build


MISSED: list[tuple[Callable[[], Value], int, str, str | None]] = [
    # forward: L = x * x = 9
    (xx, 0, "6", "That is what + gives. The operation here is ×."),
    (xx, 0, "1", "That is what / gives. The operation here is ×."),
    (xx, 0, "-9", "Check the sign."),
    (xx, 0, "3", "That is only x."),
    (xx, 0, "8", None),
    # backward: 3 + 3
    (xx, 1, "3", "That is one of 2 contributions: L uses x 2 times."),
    (xx, 1, "-6", "Check the sign."),
    (xx, 1, "9", "That is the data of L, not a gradient."),
    # forward: a, v1, L; then L hands 1 to v1 and to x
    (shared, 4, "3", "That is the data of x, not a gradient."),
    # v1 = a * 4 with upstream 1 hands 4 to a
    (shared, 5, "5", "The upstream gradient and the local derivative are multiplied, not added."),
    # a = x * w hands 4 w = 20 to x, which had 1 from L, and 4 x = 12 to w
    (shared, 6, "20", "That is only what this step contributes. x already had 1 from another use,"),
    (shared, 6, "1", "That is what x had before. This step adds a contribution to it."),
    (shared, 6, "6", "That is only the local derivative. Multiply it by the upstream gradient, "),
    (shared, 6, "4", "That is only the upstream gradient. Multiply it by the local derivative"),
    (shared, 6, "10", "The upstream gradient and the local derivative are multiplied, not added."),
    (shared, 6, "13", "That belongs to w. The question is the gradient of x."),
    (shared, 6, "-19", "Check the sign."),
    (shared, 7, "20", "That belongs to x. The question is the gradient of w."),
    (shared, 7, "3", "That is only the local derivative. Multiply it by the upstream gradient, "),
    # v1 = x ** 2 with upstream 4 hands 4 * 2 x = 40 to x
    (power, 0, "10", "That multiplies the base by the exponent."),
    (raised, 0, "6", "That multiplies the base by the exponent."),
    (power, 3, "20", "The exponent, 2, is missing as a factor."),
    (power, 3, "10", "That is only the local derivative."),
    (power, 3, "100", "That multiplies by the value of v1. Multiply by its local derivative."),
    # v1 = a / b = 3.5; L = v1 - c = -1.5
    (ratio, 0, "0.2857", "The operands are in the wrong order."),
    (ratio, 1, "1.5", "The operands are in the wrong order."),
    (ratio, 5, "1.75", "Check the sign."),
    (leaf("tanh", 0.5), 0, "0.5", "That is only x."),
    (leaf("sin", 30.0), 0, "0.5", "The angle is in radians, not in degrees."),
    (leaf("log", 100.0), 0, "2.0", "log is the natural logarithm, not the logarithm to base 10."),
    (leaf("exp", 2.0), 0, "7", "Close: give at least two digits."),
]


@pytest.mark.parametrize(("build", "done", "guess", "text"), MISSED)
def test_the_feedback_on_a_wrong_guess_names_the_mistake(
    code: Any, build: Callable[[], Value], done: int, guess: str, text: str | None
) -> None:
    judged = """(code, [recorded, place, guess]) => {
        const { Graph, Pass, agrees, missed, questionsOf, typedNumber } = code;
        const pass = new Pass(new Graph(recorded), new Map());
        const [question, typed] = [questionsOf(pass)[place], typedNumber(guess)];
        return [agrees(typed, question.value), missed(pass, question, typed)];
    }"""
    right, found = code.evaluate(judged, [steps(build()).data(), done, guess])
    assert not right
    assert found == text if text is None else found.startswith(text)


def test_after_a_wrong_guess_the_question_stays(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(xx())))
    answer(browsed, "9")
    before = browsed.state()
    for guess, text in {
        "3": "That is one of 2 contributions: L uses x 2 times.",
        "8": "Try again, or ask for a hint.",
    }.items():
        assert answer(browsed, guess) == said(browsed) == f"Not {guess}. {text}"
        assert browsed.state() == before
    answer(browsed, "6")
    assert said(browsed) == "Right: ∂L/∂x = 6. All predicted"


@pytest.mark.parametrize(
    ("typed", "value", "right"),
    [
        *[("6", 6.0, True), ("6.0", 6.0, True), ("6.00", 6.004, True), ("6.1", 6.0, False)],
        *[("0.30", 0.2954, True), ("0.3", 0.2954, False), (".296", 0.2954, True)],
        *[("12", 12.4, True), ("12", 12.6, False), ("12.3", 12.4, True), ("12.2", 12.4, False)],
        *[("-0,25", -0.25, True), ("\u22120.25", -0.25, True), ("+1.5e-3", 0.0015, True)],
        *[("0", 0.0, True), ("0", 1e-16, True), ("0.00", 0.003, False), ("1", 0.0, False)],
        *[("-6", 6.0, False), ("1e400", 6.0, False), ("1.2e3", 1234.0, True)],
        *[("12e400", 6.0, False), ("-12e400", 6.0, False)],
    ],
)
def test_a_guess_is_right_if_the_digits_typed_are(
    code: Any, typed: str, value: float, right: bool
) -> None:
    """At least two digits, or within 1 %."""
    agrees = "({ agrees, typedNumber }, [text, value]) => agrees(typedNumber(text), value)"
    assert code.evaluate(agrees, [typed, value]) == right


def test_invalid_input_does_not_count_as_a_guess(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(xx())))
    for typed in ("", "x", "1.2.3", "1/3", "--1", "0x10", "1e", ".", "1 2"):
        assert answer(browsed, typed) == "Type a number, such as -0.25."
    answer(browsed, "9")
    assert "1 of 2 on the first try" in browsed.find(".predict").inner_text()


def test_an_infinite_guess_is_not_close_to_a_finite_number(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(xx())))
    assert answer(browsed, "1e400") == "Not 1e400. Try again, or ask for a hint."


def test_hints_go_from_the_rule_to_the_numbers(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(shared())))
    for _ in range(6):
        press(browsed, "Show answer")
    hints = []
    for k in range(3):
        press(browsed, "Hint")
        text = browsed.find(".hints p").nth(k).text_content()
        assert said(browsed) == text
        hints.append(text)
    assert hints == [
        "∂L/∂x = what x already had + ∂L/∂a × ∂a/∂x",
        "∂a/∂x = w",
        "∂L/∂x = 1 + 4 × 5 = ?",
    ]
    assert browsed.find("button", has_text="Hint").get_attribute("aria-disabled") == "true"
    browsed.press("Enter")  # pressed again, it does nothing
    assert browsed.find(".hints p").count() == 3
    press(browsed, "Show answer")
    assert browsed.find(".feedback").inner_text() == "The answer: ∂L/∂x = 21."


def test_the_numbers_of_a_hint_give_the_answer(open_page: Callable[..., Page]) -> None:
    w = Value(1.0, "w")
    browsed = open_page(exercise(steps(named("L", w * 100.01 - w * 100))))
    for _ in range(6):
        press(browsed, "Show answer")
    for _ in range(3):
        press(browsed, "Hint")
    assert browsed.find(".hints p").last.text_content() == "∂L/∂w = -100 + 1 × 100.01 = ?"


def test_the_score_counts_answers_right_on_the_first_try(open_page: Callable[..., Page]) -> None:
    """Of eight: one after a wrong guess, one after a hint, one shown; five on the first try."""
    shown = steps(shared())
    browsed = open_page(exercise(shown))
    asked = [number(value) for _, value in questions(shown)]
    assert len(asked) == 8
    answer(browsed, "2")
    answer(browsed, asked[0])
    press(browsed, "Hint")
    answer(browsed, asked[1])
    press(browsed, "Show answer")
    for text in asked[3:]:
        answer(browsed, text)
    panel = browsed.find(".predict")
    assert panel.locator("h3").inner_text() == "All predicted"
    assert panel.locator(".count").inner_text() == "5 of 8 on the first try"
    browsed.node(0).click()
    assert browsed.find(".chain").is_visible()
    press(browsed, "Start over")
    assert browsed.find(".chain").is_hidden()
    assert browsed.state()["position"] == 0
    assert panel.locator(".count").inner_text() == "0 of 8 on the first try"


def test_moving_a_leaf_starts_a_new_exercise(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(xx())))
    answer(browsed, "9")
    fill(browsed, [5.0])
    assert browsed.state()["position"] == 0
    assert browsed.find(".predict h3").inner_text() == "Predict step 1"
    assert answer(browsed, "25").startswith("Right: L = 25.")
    assert answer(browsed, "10").startswith("Right: ∂L/∂x = 10.")


def test_a_step_that_passes_nothing_on_asks_nothing(open_page: Callable[..., Page]) -> None:
    x = Value(-1.0, "x")
    browsed = open_page(exercise(steps(named("L", named("y", x * 3).relu()))))
    for text in ("-3", "0", "0"):
        answer(browsed, text)
    assert browsed.find(".predict h3").inner_text() == "All predicted"
    browsed.press("End")


def test_a_pass_with_an_error_has_nothing_to_predict(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(named("L", Value(0.5, "x").log()))))
    fill(browsed, [-1.0])
    text = "There is nothing to predict: log(x = -1): it takes numbers above 0."
    assert text in browsed.find(".predict").inner_text()
    assert browsed.find(".predict h3").inner_text() == "Predict"
    fill(browsed, [1.0])
    assert answer(browsed, "0").startswith("Right: L = 0.")


def test_by_keyboard_the_focus_stays_and_each_question_is_announced(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(exercise(steps(xx())))
    field = browsed.find(".predict input")
    assert field.get_attribute("aria-label") == "Predict step 1. What is L?"
    field.focus()
    browsed.press("9", "Enter")
    question = "Predict step 2. What is the gradient of x after the backward step through L?"
    assert said(browsed) == f"Right: L = 9. {question}"
    assert field.get_attribute("aria-label") == question
    browsed.press("Home", "ArrowLeft", "Space")  # the field takes these keys
    assert browsed.state()["position"] == 1
    browsed.press("Backspace", "5", "Enter", "6", "Enter")  # the wrong guess is selected
    assert said(browsed) == "Right: ∂L/∂x = 6. All predicted"
    assert browsed.run("return root.activeElement.textContent;") == "Start over"
    browsed.press("Enter")
    assert browsed.find(".predict h3").inner_text() == "Predict step 1"


def test_showing_an_answer_keeps_the_focus_on_its_button(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(shared())))
    press(browsed, "Show answer")
    browsed.press("Enter", "Enter")
    assert browsed.find(".predict h3").inner_text() == "Predict step 4"


def test_the_node_that_is_asked_for_is_marked(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(steps(xx())))
    names = []
    for text in ("9", "6"):
        label = browsed.find(".node[data-asked]").get_attribute("aria-label")
        names.append(label.split(",")[0])
        answer(browsed, text)
    assert names == ["L", "x"]
    assert browsed.find(".node[data-asked]").count() == 0


def test_on_a_phone_experiments_and_exercises_work_by_touch_and_nothing_is_cut_off(
    open_page: Callable[..., Page],
) -> None:
    browsed = open_page(made("fan-out"), PHONE, has_touch=True)
    browsed.find("button", has_text="Experiment").tap()
    for title in ("Gradient descent", "Contributions", "Nudge a leaf"):
        experiment(browsed, title).locator("button").first.tap()
    assert experiment(browsed, "Nudge a leaf").locator("p").count() == 3
    check_widths(browsed, ".experiments")
    browsed.find("button", has_text="Predict").tap()
    browsed.find(".predict input").fill("3")
    for name in ("Check", "Hint", "Show answer"):
        browsed.find(".predict button", has_text=name).tap()
    browsed.find(".predict button", has_text="Hint").tap()
    assert browsed.state()["position"] == 1
    check_widths(browsed, ".predict")


@pytest.mark.parametrize("x", [0.5, -0.0012345678])  # a field's type is smaller for a long number
def test_no_field_is_so_small_that_an_iphone_zooms_in(
    open_page: Callable[..., Page], x: float
) -> None:
    """It does so when a field in type below 16 pixels takes the focus."""
    browsed = open_page(steps(Value(x, "x") * 2), PHONE)
    browsed.click(browsed.find("button", has_text="Experiment"))
    browsed.click(browsed.find("button", has_text="Predict"))
    sizes = browsed.run(
        """return [...root.querySelectorAll('input, select')].map((part) => {
            part.focus();
            return parseFloat(getComputedStyle(part).fontSize);
        });"""
    )
    assert len(sizes) == 8
    assert min(sizes) >= 16


def check_widths(browsed: Page, part: str) -> None:
    wide, cut = browsed.run(
        """const parts = [...root.querySelectorAll(`${argument}, ${argument} *`)];
        return [document.documentElement.scrollWidth, parts
            .filter((e) => getComputedStyle(e).display !== 'inline' && !e.closest('svg, .hidden'))
            .filter((e) => e.scrollWidth > e.clientWidth + 1)
            .map((e) => e.outerHTML)];""",
        part,
    )
    assert wide <= PHONE["width"]
    assert cut == []


def test_every_focusable_control_has_an_accessible_name(open_page: Callable[..., Page]) -> None:
    browsed = open_page(exercise(made("fan-out")))
    unnamed = """return [...root.querySelectorAll('.predict, .experiments, .controls')]
        .flatMap((part) => [...part.querySelectorAll('button, input, select')])
        .filter((e) => !e.getAttribute('aria-label')).map((e) => e.outerHTML);"""
    assert browsed.run(unnamed) == []


@pytest.mark.parametrize("label", ["<img src=x onerror=alert(1)>", "</script>", "a & <b>b</b>"])
def test_a_hostile_label_stays_text(open_page: Callable[..., Page], label: str) -> None:
    v = Value(2.0, label)
    browsed = open_page(steps(named(label + "'", v * v)))
    nudge(browsed, label, "0.5")
    descend(browsed, 0.1)
    assert label in experiment(browsed, "Nudge a leaf").inner_text()
    assert label in said(browsed)
    press(browsed, "Predict")
    for name in ("Hint", "Show answer", "Hint"):
        press(browsed, name)
    assert label in browsed.find(".predict").inner_text()
    assert browsed.run("return root.querySelectorAll('img, b, script').length;") == 0
