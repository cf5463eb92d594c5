"""Does output in encodings other than UTF-8 fall back to ASCII, stay aligned and never raise?"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from autograd.text import for_stream

ROOT = Path(__file__).resolve().parents[2]

SHOWN = """
    import nn
    from autograd import Value, draw, explain, greater, jit, less, steps
    print(nn.MLP(2, [2, 1]), nn.Neuron(2), nn.Layer(2, 3), nn.Linear(2, 3), nn.Embedding(2, 3))
    print(nn.GPT(5, 4, 4, 1, 1).blocks)
    a, b = Value(4.0, "θ"), Value(2.0, "long" * 20)
    y = (a.sqrt() * b.sigmoid() + (a + b).sqrt() ** 12) * less(b, a) * a ** -2
    for output in (y, a.sqrt().sqrt().sqrt().sqrt().sqrt().sqrt().sqrt().sqrt().sqrt().sqrt()):
        output.label = "größe"
        passed = steps(output)
        print(output, draw(output), passed, repr(passed), list(passed), explain(output, a))
        for step in passed:
            print(step.formula, *getattr(step, "contributions", ()))
        for term in (*explain(output, a).uses, *explain(output, a).paths):
            print(term, term.way, term.symbols, term.numbers, [term])
        passed.play()
    @jit
    def größe(x):
        return a * x
    größe(1.0), größe(1.0)
    print(größe, größe.programs[0], größe.programs)
"""


def output_of(code: str, encoding: str) -> str:
    """Return what code prints to a standard output of this encoding."""
    written = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(written, encoding, newline="")) as stream:
        exec(compile(textwrap.dedent(code), "shown", "exec"), {"__name__": "shown"})
        stream.flush()
        return written.getvalue().decode(encoding)


def output_of_a_process(code: str, encoding: str) -> str:
    """Return what code prints in a new process whose output has this encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
def test_all_output_can_be_printed_in_every_encoding(encoding: str) -> None:
    printed = output_of_a_process if encoding == "ascii" else output_of
    shown = printed(SHOWN, encoding)
    assert "MLP(2 -> 2 -> 1, relu) Neuron(2 -> 1, relu)" in shown
    assert "\N{RIGHTWARDS ARROW}" not in shown
    assert ("größe" in shown) == (encoding != "ascii")


def test_utf_8_keeps_every_symbol() -> None:
    shown = output_of(SHOWN, "utf-8")
    assert "MLP(2 → 2 → 1, relu) Neuron(2 → 1, relu)" in shown
    assert "√θ" in shown
    assert ")²" in shown
    assert "¹²" in shown
    assert "größe → " in shown


def test_a_table_in_ascii_is_aligned() -> None:
    code = """
        from autograd import Value, explain, steps
        a = Value(9.0, "é")
        y = a.sqrt() * a.sqrt()
        y.label = "y"
        print(explain(y, a))
        print("\\n".join(str(steps(y)).splitlines()[1:5]))
    """
    assert output_of(code, "ascii").splitlines() == [
        "d y / d \\xe9 = 1, the sum over 2 uses: gradient of the use * local derivative",
        "use             in names              in numbers  contribution",
        "v2 = sqrt \\xe9  v2.grad * (0.5 / v2)  3 * 0.1667           0.5",
        "v1 = sqrt \\xe9  v1.grad * (0.5 / v1)  3 * 0.1667           0.5",
        "sum                                                          1",
        "",
        "along the 2 paths, without factors of 1",
        "path             in names         in numbers  contribution",
        "y -> v2 -> \\xe9  v1 * (0.5 / v2)  3 * 0.1667           0.5",
        "y -> v1 -> \\xe9  v2 * (0.5 / v1)  3 * 0.1667           0.5",
        "sum                                                      1",
        "",
        'next, the gradient of a use: explain(y, "v2")',
        "step  node               data  in numbers",
        "   1    v1  = sqrt \\xe9     3  = sqrt 9",
        "   2    v2  = sqrt \\xe9     3  = sqrt 9",
        "   3     y  = v1 * v2       9  = 3 * 3",
    ]


class Stream(io.StringIO):
    """A standard output with a given encoding."""

    def __init__(self, encoding: str | None) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str | None:  # type: ignore[override]
        return self._encoding


@pytest.mark.parametrize(
    ("text", "ascii", "cp1252"),
    [
        ("plain", "plain", "plain"),
        ("2 → 1 ← ×3 a·b", "2 -> 1 <- x3 a*b", "2 -> 1 <- ×3 a·b"),
        ("√x + √(a + b)", "sqrt x + sqrt(a + b)", "sqrt x + sqrt(a + b)"),
        ("σ(x) ∂y …", "sigma(x) dy ...", "sigma(x) dy …"),
        ("x² y³ z¹⁰ u⁻¹ v⁴", "x^2 y^3 z^10 u^-1 v^4", "x² y³ z^10 u^-1 v^4"),
        ("hypot'₂(x, y₁₀)", "hypot'_2(x, y_10)", "hypot'_2(x, y_10)"),
        ("a↵b⇥c␀d␡e�", r"a\nb\tc\x00d\x7fe?", r"a\nb\tc\x00d\x7fe?"),
        ("␟␠", r"\x1f\u2420", r"\x1f\u2420"),
        ("naïve 損失 😀", r"na\xefve \u640d\u5931 \U0001f600", r"naïve \u640d\u5931 \U0001f600"),
    ],
)
def test_symbols_are_spelled_out_where_the_encoding_lacks_them(
    text: str, ascii: str, cp1252: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for encoding, expected in [
        ("ascii", ascii),
        ("cp1252", cp1252),
        ("utf-8", text),
        ("utf-16", text),
        (None, text),  # an in-memory file takes any text
    ]:
        monkeypatch.setattr(sys, "stdout", Stream(encoding))
        assert for_stream(text) == expected
    monkeypatch.setattr(sys, "stdout", None)  # as in a Windows program without a console
    assert for_stream(text) == text


@pytest.mark.parametrize("encoding", ["no such encoding", "base64", 5, "a\0b"])
def test_a_stream_of_unknown_encoding_raises_no_error(
    encoding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Stream(encoding))
    assert for_stream("√x") == "√x"


def test_primitives_and_errors_are_printed_in_ascii() -> None:
    code = """
        import math
        from autograd import Primitive, Value, detect_anomaly, grad, gradcheck
        root = Primitive("ω", math.sqrt, lambda out, x: math.sin(x))
        x, y = Value(-1.0, "θ"), Value(2.0, "θ")
        def anomaly():
            with detect_anomaly():
                Value(1e308, "θ") * 10
        print(root)
        for act in (lambda: root(x), lambda: root("a"), lambda: root(), lambda: x.log(), anomaly,
                    lambda: Value(0.0, "θ").sqrt().backward(),
                    lambda: gradcheck(root, [y]), lambda: grad(root(y), [y], True)):
            try:
                act()
            except Exception as error:
                print(error)
    """
    shown = output_of(code, "ascii")
    assert shown.startswith("<Primitive \\u03c9>\n\\u03c9(\\u03b8 = -1.0): ")
    assert "gradient with respect to input 0 (\\u03b8) at 2.0" in shown
    assert "the rule of \\u03c9 turned a Value into a float" in shown
    assert "mul(\\u03b8 = 1e+308, 10.0) gave inf" in shown


def test_a_lone_surrogate_raises_no_error() -> None:
    assert output_of("from autograd import Value; print(Value(1, chr(0xd800)))", "utf-8") == (
        "Value(data=1.0, grad=0.0, label='\\ud800')\n"
    ).replace("\r", "")


def test_terminal_player_lines_are_cut_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from autograd.steps.terminal import _cut

    for encoding, expected in [("utf-8", "√ab…"), ("ascii", "s..."), ("cp1252", "sqr…")]:
        monkeypatch.setattr(sys, "stdout", Stream(encoding))
        assert _cut("√abcdef", 4) == expected
        assert len(_cut("√abcdef", 1)) == 1


def test_the_command_line_prints_generated_text_in_ascii(tmp_path: Path) -> None:
    """Greek names, learned from a file, on an ASCII console."""
    names = tmp_path / "names.txt"
    names.write_text("αβγ\nβγα\nγαβ\n" * 10, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    options = ["--text", str(names), "--steps", "2", "--out", str(tmp_path / "größe")]
    options += ["--embedding", "4", "--heads", "2", "--block-size", "4", "--no-jit"]
    done = subprocess.run(
        [sys.executable, "-m", "nn", "gpt", *options], capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "\\u03b" in done.stdout.decode("ascii")
