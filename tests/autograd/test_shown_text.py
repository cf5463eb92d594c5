"""Are labels shown as typed in every output, without characters that control a display?"""

from __future__ import annotations

import html
import json
import re
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from autograd import Primitive, Value, draw, explain, gradcheck, steps
from autograd.steps.page import page
from autograd.text import clipped, for_stream, quoted, shown, text_width
from tests.cases import case
from tests.examples import any_text

# Characters that are not shown as themselves, each with the sign shown instead.
CONTROLS = {
    "\n": "↵",
    "\r": "␍",
    "\t": "⇥",
    "\0": "␀",
    "\x1b": "␛",
    "\x7f": "␡",
    "\x85": "↵",
    "\x9b": "�",  # starts a terminal command, as ESC [ does
    "\u2028": "↵",
    "\u202e": "�",  # shows the text after it from right to left
    "\u2066": "�",
    "\u200f": "�",
    "\u061c": "�",
    "\ud83d": "�",
    "\ufdd0": "�",
    "\U0001fffe": "�",
}
AS_TYPED = ['"', "'", "{a}", "\\", "<b>", "&amp;", "é", "😀", "👩\u200d🔬", "אב"]


@pytest.mark.parametrize(("character", "sign"), CONTROLS.items(), ids=map(ascii, CONTROLS))
def test_a_control_character_is_shown_as_a_sign(character: str, sign: str) -> None:
    assert shown(f"a{character}b") == f"a{sign}b"
    assert clipped(f"a{character}b") == f"a{sign}b"


@pytest.mark.parametrize("text", AS_TYPED)
def test_other_text_is_shown_as_typed(text: str) -> None:
    assert shown(text) == text


def test_invisible_characters_are_shown_as_signs_if_a_label_has_no_others(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for label in ("\u200b", "\u2060\ufeff", "\u200d", "\ufe0f"):
        draw(Value(1.0, label)).svg()  # Pango warns about text without visible characters
        assert shown(label) == "�" * len(label)
    assert capfd.readouterr().err == ""


@given(any_text())
def test_shown_text_is_one_harmless_line(text: str) -> None:
    assert_harmless(shown(text))
    assert shown(shown(text)) == shown(text)
    assert len(shown(text)) == len(text)


def test_a_character_is_replaced_if_and_only_if_it_could_do_harm() -> None:
    text = "".join(
        map(chr, [*range(0x10000), *range(0x1FFF0, 0x20000), *range(0x10FFF0, 0x110000)])
    )
    assert_harmless(shown(text))
    for character, sign in zip(text, shown(text), strict=True):
        if character != sign:
            with pytest.raises(AssertionError):
                assert_harmless(character)


def test_combining_marks_and_joiners_have_no_width() -> None:
    widths = {"重み": 4, "e\u0301😀": 3, "น\u0e35\u0e49": 1, "☀\ufe0f": 1, "ab\u200d": 2}
    assert {text: text_width(text) for text in widths} == widths


def test_text_for_a_stream_keeps_its_line_breaks() -> None:
    assert for_stream("a\nb\tc\u202ed") == "a\nb⇥c�d"


# --- in every output ------------------------------------------------------------------------------


def graph(label: str) -> tuple[Value, Value]:
    x = Value(2.0, label)
    output = (x * Value(3.0, f"{label}'")).log()
    output.label = f"{label}+"
    return x, output


def in_a_drawing(label: str) -> list[str]:
    _, output = graph(label)
    svg = draw(output).svg()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    tooltips = re.findall(r'xlink:title="([^"]*)"', svg)
    assert tooltips
    return [html.unescape(text) for text in [*texts, *"".join(tooltips).split("&#10;")]]


def in_the_steps(label: str) -> list[str]:
    passed = steps(graph(label)[1])
    return [*str(passed).split("\n"), *map(repr, passed), *[step.formula for step in passed]]


def in_an_explanation(label: str) -> list[str]:
    x, output = graph(label)
    explanation = explain(output, x)
    return [*str(explanation).split("\n"), *explanation._repr_latex_().split("\n")]


def in_a_page(label: str) -> list[str]:
    text = page(steps(graph(label)[1]).passed)
    (recorded,) = re.findall(r'<script type="application/json">(.*?)</script>', text)
    found: list[str] = re.findall(r"<title>(.*?)</title>", text, re.DOTALL)
    found += re.findall(r'<img alt="(.*?)"', text, re.DOTALL)
    content = json.loads(recorded)
    waiting = [content["steps"], *(re.sub(r"\n *", " ", svg) for svg in content["pictures"])]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict | list):
            waiting += part.values() if isinstance(part, dict) else part
    return [html.unescape(part) for part in found]


OUTPUTS: list[Callable[[str], list[str]]] = [
    *(in_a_drawing, in_the_steps, in_an_explanation, in_a_page)
]


@pytest.mark.parametrize("character", CONTROLS, ids=ascii)
def test_labels_are_harmless_in_every_output(character: str) -> None:
    for output in OUTPUTS:
        found = output(f"a{character}b")
        with case(output):
            for text in found:
                assert_harmless(text)
            assert any(f"a{CONTROLS[character]}b" in text for text in found)


@pytest.mark.parametrize("text", AS_TYPED)
def test_ordinary_labels_are_shown_as_typed_in_every_output(text: str) -> None:
    for output in OUTPUTS:
        assert any(f"a{text}b" in line for line in output(f"a{text}b")), output


@pytest.mark.parametrize("character", CONTROLS, ids=ascii)
def test_labels_are_harmless_in_errors(character: str) -> None:
    x = Value(-1.0, f"a{character}b")
    named = Primitive(f"c{character}d", lambda x: x, 1.0)
    twins = steps(x * Value(1.0, x.label))
    for act in (
        x.log,
        lambda: named(x, x),
        lambda: steps(x).gradient(Value(1.0, x.label)),
        lambda: steps(x).gradient(f"{x.label}?"),
        lambda: twins.gradient(x.label),
        lambda: gradcheck(lambda x: x.relu(), [Value(0.0, x.label)]),
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            act()
        for line in str(caught.value).split("\n"):
            assert_harmless(line)


@pytest.mark.parametrize("character", ["x", "&", "\\", "é", "\ufdd0", "\U0010ffff"])
def test_a_label_of_40_000_characters_is_shortened(character: str) -> None:
    label = character * 40_000
    x = Value(0.0, label)
    drawing = draw(x + 1.0, edges=True)
    assert len(drawing.svg()) < 10_000
    assert len(drawing.source) < 10_000
    assert drawing.png().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="takes numbers above 0") as caught:
        x.log()
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="no node is called") as caught:
        steps(x + 1.0).explain(label + "?")
    assert len(str(caught.value)) < 500


def shown_texts(pdf: bytes) -> int:
    """Count the pieces of text in a PDF: its operators Tj and TJ."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    found = 0
    for stream in streams:
        try:
            content = zlib.decompress(stream.rstrip(b"\r\n"))
        except zlib.error:
            continue  # a font
        found += len(re.findall(rb"\bT[jJ]\b", content))
    return found


@pytest.mark.parametrize("character", CONTROLS, ids=ascii)
def test_a_control_character_removes_no_text_from_a_pdf(character: str, tmp_path: Path) -> None:
    plain, hostile = tmp_path / "plain.pdf", tmp_path / "hostile.pdf"
    for path, label in ((plain, "ab"), (hostile, f"a{character}b")):
        draw(graph(label)[1]).save(path)
    assert shown_texts(hostile.read_bytes()) >= shown_texts(plain.read_bytes()) > 10


@pytest.mark.parametrize("character", CONTROLS, ids=ascii)
def test_labels_are_harmless_in_the_source_of_a_drawing(character: str) -> None:
    for line in re.split("[\n\t]", draw(graph(f"a{character}b")[1]).source):
        assert_harmless(line)


def assert_harmless(text: str) -> None:
    """Assert that there is no control character, surrogate or mark that changes the direction."""
    for character in text:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp"), ascii(text)
        marks = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        assert unicodedata.bidirectional(character) not in marks, ascii(text)
        assert character not in "\u061c\u200e\u200f", ascii(text)
        assert not 0xFDD0 <= ord(character) < 0xFDF0, ascii(text)
        assert ord(character) & 0xFFFE != 0xFFFE, ascii(text)


@pytest.mark.parametrize("name", ["array", "dict", "set", "str"])
def test_a_class_with_the_name_of_a_builtin_is_quoted_by_its_own_repr(name: str) -> None:
    assert quoted(type(name, (), {"__repr__": lambda _: "its own"})()) == "its own"


def test_an_object_whose_repr_fails_is_quoted() -> None:
    assert quoted(10**5000).startswith("<int instance ")
