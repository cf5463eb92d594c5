"""Does `python -m autograd` show any formula, run none of it, and point at what is wrong?"""

from __future__ import annotations

import contextlib
import errno
import io
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn.__main__
from autograd import (
    Value,
    explain,
    greater,
    less,
    maximum,
    minimum,
    steps,
    text,
    topological_order,
    where,
)
from autograd.__main__ import main
from autograd.typed import DEEPEST, PUBLIC, FormulaError, computed, number_named
from tests.examples import any_text, examples

ROOT = Path(__file__).resolve().parents[2]
NEURON = "(x * w + b).tanh() ** 2"
VALUES = ("x=2", "w=-1.5", "b=3.5")


@pytest.fixture
def shell(capsys, monkeypatch, tmp_path):
    """Run a command line in an empty folder: (exit code, stdout, stderr); no browser opens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: pytest.fail(f"opens {address}"))

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as wrong_usage:
            code = wrong_usage.code
        return code, *capsys.readouterr()

    return run


def value(formula: str, **numbers: float) -> Value:
    return computed(formula, numbers)


# --- formulas mean the same as in Python ----------------------------------------------------------

NUMBERS = {"x": 0.7, "y": 1.3, "z": 2.0}
SAME = [
    "x",
    "-x ** 2 + +y",
    "2 ** -x ** y",
    "x - y - z + 1e-3",
    "x / y / z * .5 * 2.",
    "(x + y) * -(z - 3) / 7",
    "1 - 2 * 3 / 4 + x",
    "x * x + x",
    "x.tanh().exp() + (x * y).sin() ** 2",
    "x ** 3 + x ** y + z ** 0.5 + 2 ** 3 * x",
    "abs(x - y) + maximum(x, y) * minimum(x, 1)",
    "where(greater(x, y), x, less(x, z) * y)",
    "x.log() + x.log1p() + x.sqrt() + x.expm1() + x.erf()",
    "x.relu() + x.sigmoid() + x.softplus() + x.cos()",
]


@pytest.mark.parametrize("formula", SAME)
def test_a_formula_gives_the_same_graph_as_in_python(formula):
    leaves = {name: Value(number, name) for name, number in NUMBERS.items()}
    functions = {f.name: f for f in (greater, less, maximum, minimum, where)}
    ours = computed(formula, {name: NUMBERS[name] for name in NUMBERS if name in formula})
    theirs = eval(formula, {**leaves, **functions})
    assert described(ours) == described(theirs)


def described(output: Value) -> list[tuple]:
    """Return operation, data, label and gradient of every node."""
    output.backward()
    return [(n.op, n.data, n.label, n.grad) for n in topological_order(output)]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_function_is_also_a_method(name):
    takes = len(PUBLIC[name].backward)
    names = ["x", "y", "z"][:takes]
    numbers = {name: NUMBERS[name] for name in names}
    called = value(f"{name}({', '.join(names)})", **numbers)
    method = value(f"x.{name}({', '.join(names[1:])})", **numbers)
    assert called.op == method.op == name
    assert called.data == method.data == PUBLIC[name](*numbers.values())


def test_public_functions_are_known_and_internal_primitives_are_not():
    assert {"tanh", "log", "sqrt", "relu", "erf", "abs", "where", "maximum"} <= set(PUBLIC)
    assert not {"add", "power", "lowered_power", "sech", "pow"} & set(PUBLIC)


@pytest.mark.parametrize(
    ("formula", "python"),
    [
        ("x^2 − 3 × x · 2 ÷ 4", "x**2 - 3 * x * 2 / 4"),
        ("2 ∗ π – x ∙ 2 ∕ 4", "2 * pi - x * 2 / 4"),
        ("max(x, 1) + σ(x)", "maximum(x, 1) + sigmoid(x)"),
        ("  x\n* x ;", "x * x"),
    ],
)
def test_mathematical_symbols_and_short_names_are_understood(formula, python):
    assert described(value(formula, x=0.5)) == described(value(python, x=0.5))


def test_names_of_parts_become_labels():
    output = value("h = x * w; g = h; y = g.tanh() ** 2 + h", x=2.0, w=3.0)
    assert output.label == "y"
    assert [n.label for n in topological_order(output) if n.op == "mul"] == ["h"]
    assert value("h = x; h * 2", x=1.0).parents[0].label == "x"


def test_pi_and_e_are_constants_unless_they_have_a_value():
    assert value("x * pi + e", x=1.0).data == math.pi + math.e
    assert value("x * pi + e", x=1.0, pi=3.0, e=1.0).data == 4.0
    assert value("e = x + 1; e * 2", x=1.0).data == 4.0


def test_a_formula_may_be_long():
    assert value("+".join(["x"] * 20_000), x=1.0).data == 20_000.0


def test_a_value_may_be_computed_from_numbers():
    assert number_named("x = -pi / 2") == ("x", -math.pi / 2)
    assert number_named("θ=1e-3") == ("θ", 1e-3)
    assert number_named("x=−2") == ("x", -2.0)


# --- errors: one kind, one place, what to write instead -------------------------------------------

WRONG = [
    ("", "", "expected a number, a name or ( here"),
    ("x + ", "   ^", "not the end of the formula"),
    ("(x * x + ) ** 2", "         ^", "not )"),
    ("(x", "  ^", "expected an operator or )"),
    ("x)", " ^", "expected an operator or ;"),
    ("2x", " ^", "a product is written with *"),
    ("1 + sin x", "        ^", "expected an operator or ; here, not x: write sin(x)"),
    ("1 + ln x", "       ^", "expected an operator or ; here, not x: write log(x)"),
    ("x (2)", "^", "there is no function x: a product is written with *"),
    ("f(x) = x^2", "^", "a part is named without parentheses: f = ..."),
    ("f(x, y) = x*y", "^", "a part is named without parentheses: f = ..."),
    ("x * 2,5", "     ^", "expected an operator or ; here, not ,: write 2.5"),
    ("x * 1,000", "     ^", "expected an operator or ; here, not ,: write 1.000 or 1000"),
    ("x * 2, y", "     ^", "expected an operator or ; here, not ,"),
    ("(x)(x)", "   ^", "a product is written with *"),
    ("x // 2", "   ^", "not /"),
    ("x % 2", "  ^", "% has no meaning"),
    ("x[0]", " ^", "group with ( and )"),
    ("x > 2", "  ^", "greater(a, b)"),
    ("x²", " ^", "x ** 2"),
    ("√x", "^", "sqrt(x)"),
    ("'x'", "^", "has no meaning"),
    ("“x + 1”", "^", "“ has no meaning in a formula: write the formula without quotes"),
    ("tanhh(x)", "^", "did you mean tanh?"),
    ("SIN(x)", "^", "did you mean sin?"),
    ("Ln(x)", "^", "there is no function Ln: write log(x)"),
    ("square(x)", "^", "there is no function square: write x ** 2"),
    ("sinh(x)", "^", "there is no function sinh: write (exp(x) - exp(-x)) / 2"),
    ("x.foo()", "  ^", "no function foo. There are abs, "),
    ("x.tanh", "      ^", "write tanh()"),
    ("x.2", " ^", "not .2"),
    ("x.(2)", "  ^", "expected the name of a function here, not ("),
    ("x + tanh", "    ^", "write tanh(a)"),
    ("ln(x)", "^", "there is no function ln: write log(x)"),
    ("x.pow(2)", "  ^", "there is no function pow: write x ** y"),
    ("1 + tan(x)", "    ^", "there is no function tan: write sin(x) / cos(x)"),
    ("maximum(x)", "^", "maximum takes 2 numbers, not 1: write maximum(a, b)"),
    ("x.tanh(x)", "  ^", "tanh takes 1 number, not 2"),
    ("math.sin(x)", "     ^", "sin takes 1 number, not 2: write sin(a)"),
    ("tanh()", "^", "tanh takes 1 number, not 0"),
    ("x + w * tanh * b", "    ^", "w has no value: add w=... b=..."),
    ("x + h; h = x", "    ^", "h has no value"),
    ("x * 2; x", "^", "needs a name"),
    ("h = x * 2; x", "^", "h is not used"),
    ("x = x * 2; x", "^", "x has a value already"),
    ("h = x; h = h + 1; h", "       ^", "h has a value already"),
    ("x + 1e999", "    ^", "too large for a float"),
    ("1e" + 50 * "9", "^", "1e999999999999999999…9999999999999999999 is too large for a float"),
    ("9 ** 9 ** 9 * x", "  ^", "pow(9.0, 387420489.0): the result is too large"),
    ("x + log(-1)", "    ^", "log(-1.0): it takes numbers above 0"),
    ("1 / (x - x)", "  ^", "div(1.0, 0.0): division by zero"),
    ("(-8) ** 0.5 * x", "     ^", "pow(-8.0, 0.5)"),
]


@pytest.mark.parametrize(("formula", "mark", "reason"), WRONG)
def test_an_error_points_at_the_place_and_says_what_to_write(formula, mark, reason):
    with pytest.raises(FormulaError) as raised:
        value(formula, x=1.0)
    assert reason in raised.value.reason
    assert str(raised.value) == f"{raised.value.place}\n{raised.value.reason}"
    shown, below = raised.value.place.splitlines()
    assert shown == f"    {formula}"
    assert below.rstrip("^") == "    " + mark.rstrip("^")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        ("2,5e-3", ": write 2.5e-3"),
        ("0,125", ": write 0.125"),
        ("1,234.5", ": write 1234.5"),
        *[("1.5,000", ""), ("1e3,000", "")],
    ],
)
def test_the_error_of_a_comma_in_a_number_says_what_the_number_may_mean(number, advice):
    with pytest.raises(FormulaError) as raised:
        value(f"x * {number}", x=1.0)
    assert raised.value.reason == f"expected an operator or ; here, not ,{advice}"


def test_a_domain_error_has_the_message_of_the_engine():
    with pytest.raises(FormulaError) as ours:
        value("1 + log(x)", x=-1.0)
    with pytest.raises(ValueError, match="log") as engines:
        1 + Value(-1.0, "x").log()
    assert ours.value.reason == str(engines.value)
    assert ours.value.at == 4


def test_an_unused_number_and_a_formula_without_names_are_rejected():
    with pytest.raises(FormulaError, match=r"y is not in the formula, which has x$"):
        value("x + pi", x=1.0, y=2.0)
    with pytest.raises(FormulaError, match=r"^y is not in the formula, which has no names$"):
        value("2 + pi", y=2.0)
    for formula in ("2+3", "x = 3"):
        with pytest.raises(FormulaError, match=f"has no gradients: {re.escape(formula)}$"):
            value(formula)
    with pytest.raises(FormulaError, match=r"leave x = \.\.\. out and add x=\.\.\.$"):
        value("x = 3; x * x")


def test_an_error_in_a_long_formula_shows_only_the_text_around_it():
    with pytest.raises(FormulaError) as raised:
        value("x + " * 500 + "? + x" * 500, x=1.0)
    shown, below = raised.value.place.splitlines()
    assert len(shown) < 140
    assert shown[len(below) - 1] == "?"
    assert (shown[4], shown[-1]) == ("…", "…")


def test_the_time_to_read_a_formula_grows_with_its_length_not_with_the_square():
    parts = ["v0 = x", *(f"v{i} = v{i - 1} / 2 + x" for i in range(1, 20_000)), "v19999 * x"]
    start = time.process_time()
    assert value("; ".join(parts), x=1.0).data == 2.0
    assert time.process_time() - start < 10  # about 1 on an idle machine


@pytest.mark.parametrize("deep", ["(" * 10_000 + "x", "-" * 10_000 + "x", "**".join(["x"] * 9_999)])
def test_a_formula_nested_too_deeply_is_rejected(deep):
    with pytest.raises(FormulaError, match=f"at most {DEEPEST} deep"):
        value(deep, x=1.0)


@pytest.mark.parametrize(
    "argument",
    [
        "x",
        "x=",
        "x=abc",
        "=2",
        "2=2",
        "x=1=2",
        "x=1;y=2",
        "x=nan",
        "x=1e999",
        "x=1/0",
        "x=1e308*10",
        "",
        "x+1",
        "2",
    ],
)
def test_an_argument_that_gives_no_name_a_number_is_rejected(argument):
    with pytest.raises(FormulaError):
        number_named(argument)


def test_error_messages_contain_no_control_characters():
    with pytest.raises(FormulaError) as raised:
        value("x + \x1b[31m\u202e", x=1.0)
    assert "\x1b" not in str(raised.value)
    assert "\u202e" not in str(raised.value)


@given(st.text("xyz0123.9+-*/^()=;, eπ\x1b\n²tanhlogpi_", max_size=40) | any_text(max_size=30))
@settings(max_examples=examples(400), deadline=None)
def test_any_text_gives_a_value_or_a_formula_error(text):
    for read in (lambda: computed(text, {"x": 2.0}), lambda: number_named(text)):
        with contextlib.suppress(FormulaError):
            read()


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('touch hit')",
        "x.__class__",
        "x.backward()",
        "(lambda: x)()",
        "open('hit', 'w')",
        "[x for x in x]",
        "x if x else x",
        "exec(x)",
        "x.data",
        "x := 1",
    ],
)
def test_nothing_is_executed(shell, hostile, tmp_path):
    code, out, err = shell(hostile, "x=1")
    assert (code, out) == (2, "")
    assert "python -m autograd: " in err
    assert not list(tmp_path.iterdir())


# --- the command ----------------------------------------------------------------------------------


def loss() -> Value:
    x, w, b = Value(2.0, "x"), Value(-1.5, "w"), Value(3.5, "b")
    return (x * w + b).tanh() ** 2


def test_the_player_opens_in_the_browser(shell, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    code, out, err = shell(NEURON, *VALUES)
    assert (code, err) == (0, "")
    assert opened == [Path(out.strip()).as_uri()]
    steps(loss()).save("expected.html")
    assert without_key(Path(out.strip())) == without_key(tmp_path / "expected.html")


def without_key(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return re.sub("[0-9a-f]{32}|'sha256-.*?'", "", text)


def test_without_a_browser_the_path_of_the_page_is_printed(shell, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    code, out, _ = shell("x * x", "x=3")
    (page,) = tmp_path.glob("autograd-*/*.html")
    assert code == 0
    assert str(page) in out


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.html", b"<!DOCTYPE html>"),
        ("a.svg", b"<svg"),
        ("a.PNG", b"\x89PNG"),
        ("a.pdf", b"%PDF"),
        ("a.dot", b"digraph"),
    ],
)
def test_out_writes_the_format_of_the_file_name(shell, name, begins, tmp_path):
    assert shell(NEURON, *VALUES, "--out", name) == (0, "", "")
    assert (tmp_path / name).read_bytes().lower().startswith(begins.lower())


def test_a_picture_has_gradients_and_labels(shell, tmp_path):
    shell("h = x * w; h ** 2", "x=2", "w=3", "--out", "a.dot")
    source = (tmp_path / "a.dot").read_text()
    assert "grad 36" in source  # d (x w) ** 2 / dx = 2 x w w = 36
    assert re.search(r"\bh</B>", source)


def test_table_and_explain_print_the_results_of_the_functions(shell):
    code, out, err = shell("--table", NEURON, "x=2", "--explain", "w", "w=-1.5", "b=3.5")
    assert (code, err) == (0, "")
    why = str(explain(loss(), "w")).replace('explain(output, "v1")', "--explain v1")
    assert out == f"{steps(loss()).table()}\n\n{why}\n"
    assert shell(NEURON, *VALUES, "--explain", "w")[1] == f"{why}\n"
    assert why.endswith("next, the gradient of a use: --explain v1")
    assert "next" not in shell(NEURON, *VALUES, "--explain", "v3")[1]  # its use is the output


def test_without_arguments_the_help_is_printed(shell):
    code, out, err = shell()
    assert (code, err) == (0, "")
    assert out == shell("--help")[1]
    assert NEURON in out
    assert all(name in out for name in ["--table", "--explain", "--out", *PUBLIC])


def test_the_help_fits_a_terminal_of_80_columns(shell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, shell("--help")[1].splitlines())) <= 80


def test_the_examples_of_the_help_work(shell, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    lines = [line for line in shell()[1].splitlines() if line.startswith("  python -m autograd ")]
    assert len(lines) >= 4
    for line in lines:
        assert shell(*shlex.split(line)[3:])[0] == 0


@pytest.mark.parametrize("formula", ["-x ** 2", "-h + x", "-1 * x", "- -x", "-2*x"])
def test_a_formula_may_begin_with_a_minus(shell, formula):
    values = ["x=3", "h=1"] if "h" in formula else ["x=3"]
    code, out, err = shell(formula, *values, "--table")
    assert (code, err) == (0, "")
    assert "x.grad" in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["x * w", "x=1"], "w has no value: add w=..."),
        (["x", "+", "2", "x=1"], "a formula with spaces needs quotes"),
        (["x", "x=two"], "two is not a number"),
        (["x", "x=1", "x=2"], "x is given twice"),
        (["x", "x=1", "--explain", "z"], "'z'"),
        (["sqrt(x)", "x=0", "--table"], "backward of sqrt(x = 0.0): division by zero"),
        (["x", "x=1", "--explain", ""], "''"),
        (["x", "x=1", "--out", "a.txt"], "ending in .html, .svg"),
        (["x", "x=1", "--out", ""], "ending in .html, .svg"),
        (["x", "x=1", "--tab"], "unrecognized arguments: --tab"),
        ([""], "expected a number"),
    ],
)
def test_an_error_in_the_command_line_has_exit_code_2(shell, arguments, reason):
    code, out, err = shell(*arguments)
    assert (code, out) == (2, "")
    assert reason in err


def test_an_error_in_writing_has_exit_code_1(shell):
    code, out, err = shell("x", "x=1", "--out", "no/such/folder.html")
    assert (code, out) == (1, "")
    assert err.startswith("python -m autograd: there is no folder")
    assert len(err.splitlines()) == 1


# --- as a process ---------------------------------------------------------------------------------


def process(*arguments: str, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, "-m", "autograd", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options
    )


def test_an_ascii_terminal_gets_ascii_output():
    run = process("θ.sqrt() + 1", "θ=4", "--table", env={"PYTHONIOENCODING": "ascii"})
    out, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (0, b"")
    assert out.isascii()
    assert b"\\u03b8.grad" in out


def test_a_closed_pipe_causes_no_traceback():
    with process("+".join(["x"] * 2_000), "x=1", "--table") as run:
        run.stdout.read(10)
        run.stdout.close()
        assert run.stderr.read() == b""


@pytest.mark.parametrize("command", [main, nn.__main__.main], ids=["autograd", "nn"])
@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL], ids=errno.errorcode.get)
def test_a_closed_pipe_is_silent_on_windows_too(command, number, tmp_path, monkeypatch, capsys):
    """Windows reports a write to a closed pipe as EINVAL."""

    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(number, os.strerror(number))

        def fileno(self):
            return file.fileno()

    monkeypatch.setattr(text, "os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    monkeypatch.setattr(sys, "stdout", Closed())
    arguments = {main: ["x", "x=1", "--table"], nn.__main__.main: ["xor", "--out", str(tmp_path)]}
    with (tmp_path / "printed").open("wb") as file:
        assert command(arguments[command]) == 1
    assert capsys.readouterr().err == ""


def test_an_invalid_file_name_of_windows_is_named(shell, monkeypatch):
    def refuse(path):
        raise OSError(errno.EINVAL, "Invalid argument", path)

    monkeypatch.setattr(text, "os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    monkeypatch.setattr("autograd.files.claimed", refuse)
    code, _, error = shell("x", "x=1", "--out", "a?.html")
    assert (code, error) == (1, "python -m autograd: a?.html: Invalid argument\n")


def test_a_process_may_have_no_stdout():
    with contextlib.redirect_stdout(None):
        assert main(["x", "x=1", "--table"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_is_quiet(tmp_path):
    waiting = tmp_path / "browser"
    waiting.write_text('#!/bin/sh\ntouch "$0.open"\nexec sleep 60\n')
    waiting.chmod(0o755)
    run = process(
        "x",
        "x=1",
        env={"BROWSER": f"{waiting} %s", "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    for _ in range(600):
        if Path(f"{waiting}.open").exists():
            break
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (130, b"")
