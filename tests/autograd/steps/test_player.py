"""What does the player's HTML hold, and does every label in it stay text?"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from autograd import Value, ops
from autograd.draw import layout
from autograd.steps import Steps, steps
from autograd.steps import page as pages
from autograd.steps.player import SCRIPTS, operations, read, style
from autograd.steps.writing import DIGITS
from autograd.text import shown as harmless
from tests.examples import any_text, examples


def fragment(shown: Steps) -> str:
    return pages.fragment(shown.passed)


def page(shown: Steps) -> str:
    return pages.page(shown.passed)


HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</script ",
    "</script/",
    "<!--<script",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "{a|b}\\N\\",
    "two\nlines",
    "line\u2028and\u2029paragraph",
    "😀 ∂ µ",
    "half \ud83d of a pair",
    "\x00\x07",
]


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the texts of each kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.found[-1][0], data))

    def tags(self) -> list[str]:
        return [tag for tag, _ in self.found]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def product(label: str = "c") -> Steps:
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    c = a * b
    c.label = label
    return steps(c)


def recording(html: str) -> dict[str, object]:
    data = Elements(html).text("script")[0]
    loaded: dict[str, object] = json.loads(data)
    return loaded


def test_a_fragment_is_a_picture_with_a_recording_and_a_script() -> None:
    parsed = Elements(fragment(product()))
    assert parsed.tags() == ["div", "img", "script", "script"]
    data, code = parsed.attributes("script")
    assert data == {"type": "application/json"}
    assert code == {}


def test_every_fragment_has_a_unique_id_that_its_script_looks_for() -> None:
    shown = product()
    names = set()
    for html in (fragment(shown), fragment(shown)):
        parsed = Elements(html)
        (name,) = (attributes["id"] for attributes in parsed.attributes("div"))
        assert f'mount("{name}");' in parsed.text("script")[1]
        names.add(name)
    assert len(names) == 2


def test_the_recording_is_that_of_the_steps_with_pythons_local_derivatives() -> None:
    x = Value(0.7, "x")
    shown = steps((x.sin() * x).tanh())
    recorded = recording(fragment(shown))["steps"]
    assert isinstance(recorded, dict)
    passed = [part for step in shown[len(shown) // 2 :] for part in step.contributions]
    edges = [edge for entry in recorded["backward"] for edge in entry["edges"]]
    assert [edge["local_value"] for edge in edges] == [part.local for part in passed]
    assert recorded == json.loads(json.dumps(shown.data()))


def test_infinity_and_negative_zero_are_recorded() -> None:
    x = Value(math.inf, "x")
    recorded = recording(fragment(steps(x * Value(-0.0, "y") + math.nan)))["steps"]
    assert isinstance(recorded, dict)
    (_, product) = recorded["backward"]
    assert [edge["local_value"] for edge in product["edges"]] == ["-0", "inf"]


def test_making_a_page_changes_neither_data_nor_gradients() -> None:
    x = Value(3.0, "x")
    x.grad = 7.0
    shown = steps(x * x)
    page(shown)
    assert (x.data, x.grad) == (3.0, 7.0)


# --- the fallback where scripts are stripped ------------------------------------------------------


def test_the_fallback_is_a_picture_and_a_description_of_the_finished_pass() -> None:
    (image,) = Elements(fragment(product())).attributes("img")
    assert image["alt"] == (
        "The graph of c after its backward pass: 3 nodes, c = -6."
        " Gradients of the leaves: a -3, b 2."
    )
    kind, _, content = str(image["src"]).partition(",")
    assert kind == "data:image/png;base64"
    png = base64.b64decode(content, validate=True)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width = int.from_bytes(png[16:20], "big")
    assert width == pytest.approx(1.5 * float(str(image["width"])), abs=1)


def test_without_a_png_the_fallback_is_the_description_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def outside(source: str, format: str) -> bytes:
        if format == "png":
            raise NotImplementedError
        return laid_out(source, format)

    laid_out = layout._laid_out
    monkeypatch.setattr(layout, "_laid_out", outside)
    x = Value(3.0, label="x<")
    html = pages.fragment(steps(x * x).passed)
    assert "<img" not in html
    assert "Gradients of the leaves: x&lt; 6.</p>" in html


def test_the_fallback_picture_of_a_large_graph_is_limited_in_size() -> None:
    x = Value(0.5)
    total = x
    for _ in range(100):
        total = total * 0.9 + x
    (image,) = Elements(fragment(steps(total))).attributes("img")
    png = base64.b64decode(str(image["src"]).partition(",")[2])
    sides = [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)]
    assert max(sides) == pytest.approx(1_800, abs=2)


def test_the_description_names_twelve_leaves_and_counts_the_rest() -> None:
    total = Value(0.0, "x0")
    for i in range(1, 20):
        total = total + Value(float(i), f"x{i}")
    (image,) = Elements(fragment(steps(total))).attributes("img")
    assert str(image["alt"]).endswith("x10 1, x11 1, and 8 more.")


# --- a whole page ---------------------------------------------------------------------------------


def test_a_page_declares_its_language_title_and_viewport() -> None:
    html = page(product("<b>loss</b>"))
    parsed = Elements(html)
    assert html.startswith("<!DOCTYPE html>\n")
    assert parsed.attributes("html") == [{"lang": "en"}]
    assert parsed.text("title") == ["The backward pass of <b>loss</b>"]
    meta = {attributes.get("name"): attributes for attributes in parsed.attributes("meta")}
    assert meta["viewport"]["content"] == "width=device-width, initial-scale=1"


def test_a_page_allows_only_its_own_script_and_styles() -> None:
    html = page(product())
    parsed = Elements(html)
    (policy,) = (
        str(attributes["content"])
        for attributes in parsed.attributes("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    assert allowed["img-src"] == "data:"
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert allowed["script-src"].split() == [csp_source(text) for text in script]
    (of_the_page,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert allowed["style-src"].split() == [csp_source(of_the_page), csp_source(style())]


def csp_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_refers_to_no_external_address() -> None:
    html = page(product())
    addresses = set(re.findall(r"https?://[\w./]*", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"""\b(?:src|href)\s*=\s*["']?(?!data:image/png;base64,)\w""", html)


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_stays_text(label: str) -> None:
    check_label(label)


@settings(max_examples=examples(40), deadline=None)
@given(any_text(max_size=30))
def test_any_label_stays_text(label: str) -> None:
    check_label(label)


def check_label(label: str) -> None:
    a = Value(1.5, label)
    shown = steps(a.exp() * Value(2.0, label + "'"))
    shown.output.label = label
    html = page(shown)
    html.encode()  # raises if it cannot be written to a file
    parsed = Elements(html)
    assert parsed.tags() == [
        *["html", "head", "meta", "meta", "meta", "title", "style", "body"],
        *["main", "div", "img", "script", "script"],
    ]
    assert [set(attributes) for attributes in parsed.attributes("img")] == [{"alt", "width", "src"}]
    recorded = recording(html)["steps"]
    assert isinstance(recorded, dict)
    assert recorded["nodes"][0]["label"] == harmless(label or "x1")


# --- the files ------------------------------------------------------------------------------------


def test_every_primitive_has_a_function_in_the_page() -> None:
    """A test in a browser checks that they compute the same."""
    assert operations() == set(ops.TABLE), "write the new row's forward function into operations.js"


def test_the_page_shows_as_many_digits_as_python():
    assert f"\nconst DIGITS = {DIGITS};" in read("operations.js")


def test_the_scripts_do_not_close_their_script_element() -> None:
    for name in SCRIPTS:
        code = read(name).lower()
        assert "</script" not in code
        assert "<!--" not in code
