"""What does the page do with the text in its box? It computes the text, and makes a player.

This file runs in the browser, in the worker. Python code in the box is written as in a file, with
its imports. A bare formula is read by `autograd.typed`, which evaluates nothing.
"""

from __future__ import annotations

import ast
import io
import json
import linecache
import random
import re
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from autograd import Value, steps, topological_order
from autograd.draw import layout
from autograd.steps import Steps
from autograd.typed import FormulaError, computed, number_named, read

FILE = "code.py"  # what tracebacks call the code
LONGEST = 50_000  # characters shown of what was printed
# Python code that makes a Value or prints contains one of these; a formula does not.
_CODE = re.compile(
    r"\b(?:import|print|Value)\b|^\s*(?:class|def|for|if|raise|try|while|with)\b", re.MULTILINE
)


def warm_up() -> None:
    """Import what a first run needs, before the memory snapshot is taken: see snapshot.mjs."""
    begin(lambda source, format: '<svg width="1pt" height="1pt"></svg>')
    run("x = 1; y = x*x; tanh(y)")
    run("import nn\nfrom autograd import Value, explain, grad\nprint(Value(1.0))\nundefined")


def begin(render: Callable[[str, str], str]) -> None:
    """Set what differs at each start: the random seed, and the function that lays out pictures.

    `render` takes DOT source and a format; it makes no PNG.
    """
    random.seed()

    def outside(source: str, format: str) -> bytes:
        if format in ("png", "pdf"):
            raise NotImplementedError(f"in a browser a drawing is svg or dot, not {format}")
        return render(source, format).encode()

    layout.outside = outside


def run(text: str, predict: bool = False) -> str:
    """The JSON of {printed, error, page} for a formula or Python code; "" for what is missing.

    With `predict` the page is an exercise.
    """
    printed = _Printed()
    error = page = ""
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            shown = _of_formula(text)
            if shown is None:
                shown = _of_code(text)
            if shown is not None:
                page = _page(shown, predict)
    except FormulaError as problem:
        error = str(problem)
    except BaseException as problem:  # including a SystemExit or KeyboardInterrupt of the user's
        error = _as_python_shows(problem)
    return json.dumps({"printed": printed.getvalue(), "error": error, "page": page})


class _Printed(io.StringIO):
    """Keeps only the beginning of what is printed, so that a loop cannot fill the memory."""

    def write(self, text: str) -> int:
        room = LONGEST - self.tell()
        if room > 0:
            super().write(text if len(text) <= room else text[:room] + "\n… and more")
        return len(text)


# --- a formula ------------------------------------------------------------------------------------


def _of_formula(text: str) -> Value | None:
    """The Value of a formula, whose parts end at ";" or a line break; None if it is Python code.

    What follows # in a line is a comment. A formula with a mistake is often Python as well, such as
    x*2,5 or ln(x). Only _CODE tells.
    """
    lines = [line.partition("#")[0] for line in text.splitlines()]
    parts = [part.strip() for line in lines for part in line.split(";")]
    parts = [part for part in parts if part]
    formula = "; ".join(parts)
    try:
        read(formula)
    except FormulaError:
        if _CODE.search(text):
            return None
        raise
    numbers: dict[str, float] = {}
    rest = []
    for part in parts:
        try:
            name, number = number_named(part)
        except FormulaError:
            name = ""
        if name and name not in numbers:
            numbers[name] = number
        else:
            rest.append(part)
    return computed("; ".join(rest), numbers) if rest else computed(formula, {})


# --- Python code ----------------------------------------------------------------------------------


def _of_code(text: str) -> Value | Steps | None:
    """The last expression of the code if it is a Value or Steps, else the newest Value it names.

    A Value without a label gets the name of its variable.
    """
    linecache.cache[FILE] = (len(text), None, text.splitlines(keepends=True), FILE)
    tree = ast.parse(text, FILE)
    ending = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    variables: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(tree, FILE, "exec"), variables)
    last = None
    if isinstance(ending, ast.Expr):
        last = eval(compile(ast.Expression(ending.value), FILE, "eval"), variables)
    for name, value in variables.items():
        if isinstance(value, Value) and not value.label:
            value.label = name
    if isinstance(last, Value | Steps):
        return last
    if last is not None:
        print(repr(last))
    values = [value for value in variables.values() if isinstance(value, Value) and value.parents]
    return topological_order(*values)[-1] if values else None


def _page(shown: Value | Steps, predict: bool) -> str:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        passed = shown if isinstance(shown, Steps) else steps(shown)
    for warning in told:
        print(f"warning: {warning.message}")
    path = Path("player.html")
    passed.save(path, predict)
    return path.read_text(encoding="utf-8")


def _as_python_shows(problem: BaseException) -> str:
    """The traceback, with only the frames of the user's code."""
    told = traceback.TracebackException.from_exception(problem)
    seen: list[traceback.TracebackException] = []
    following = [told]
    while following:
        each = following.pop()
        seen.append(each)
        following += [
            other
            for other in (each.__cause__, each.__context__, *(each.exceptions or ()))
            if other is not None and other not in seen
        ]
        own = [frame for frame in each.stack if frame.filename == FILE]
        each.stack = traceback.StackSummary.from_list(own)
    shown = told.format() if told.stack else told.format_exception_only()
    return "".join(shown).rstrip()
