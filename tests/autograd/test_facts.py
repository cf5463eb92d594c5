"""Are the facts in each primitive's row true, and is a row all that a new primitive needs?"""

from __future__ import annotations

import ast
import math
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import autograd
from autograd import Primitive, Value, draw, explain, jit, steps
from autograd.forms import Form
from autograd.ops import TABLE
from autograd.steps.page import fragment
from autograd.steps.player import operations

inf, nan = math.inf, math.nan
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 5e-324, -5e-324, 1.7e308, -1.7e308, inf, -inf, nan]


def result(row: Primitive, *operands: float) -> str:
    """Return the result as text, exact and with nan and -0.0 distinct, or the type of error."""
    try:
        number = row.forward(*operands)
    except (ArithmeticError, ValueError) as error:
        return type(error).__name__
    assert isinstance(number, float)
    return repr(number)


# --- the facts are true ---------------------------------------------------------------------------


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_a_row_commutes_exactly_if_its_operands_may_be_swapped(row: Primitive) -> None:
    pairs = list(product(EDGES, EDGES)) if len(row.backward) == 2 else []
    may = bool(pairs) and all(result(row, a, b) == result(row, b, a) for a, b in pairs)
    assert row.commutes == may


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_a_row_is_total_exactly_if_it_raises_nowhere(row: Primitive) -> None:
    results = [result(row, *point) for point in product(EDGES, repeat=len(row.backward))]
    assert row.total == (not any(text.endswith("Error") for text in results))


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_nan_slopes_lists_exactly_the_slopes_that_may_be_nan(row: Primitive) -> None:
    found = set()
    for point in product([x for x in EDGES if math.isfinite(x)], repeat=len(row.backward)):
        for position, rule in enumerate(row.backward):
            try:
                out = row.forward(*point)
                slope = rule(out, *point) if callable(rule) else 0.0
            except (ArithmeticError, ValueError):
                continue
            if math.isfinite(out) and math.isnan(slope):
                found.add(position)
    assert set(row.nan_slopes) == found


# --- a new primitive ------------------------------------------------------------------------------

# As they would be written in ops.py. Their forward functions are C code, which no page can run.
ATAN = Primitive(
    "atan", math.atan, lambda out, x: 1.0 / (1.0 + x * x), total=True, latex=r"\arctan"
)
DISTANCE = Primitive(
    "distance",
    math.hypot,
    (lambda out, x, y: x / out, lambda out, x, y: y / out),
    "⟂",
    commutes=True,
    nan_slopes=(0, 1),  # at infinity
    text=Form("#1:power ⟂ #2:atom", "power"),
    latex=Form(r"#1:power \perp #2:atom", "power"),
)


@pytest.fixture(params=["a user's primitive", "a row of the table"])
def _new(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "a row of the table":
        for row in (ATAN, DISTANCE):
            monkeypatch.setitem(TABLE, row.name, row)


def graph() -> tuple[Value, Value, Value]:
    x, y = Value(3.0, "x"), Value(-4.0, "y")
    output = ATAN(DISTANCE(x, y) * 0.1)
    output.label = "out"
    return x, y, output


@pytest.mark.usefixtures("_new")
def test_a_new_primitive_computes_and_differentiates_eagerly() -> None:
    x, y, output = graph()
    output.backward()
    assert output.data == math.atan(0.5)
    assert (x.grad, y.grad) == (0.8 * 0.1 * 0.6, 0.8 * 0.1 * -0.8)


@pytest.mark.usefixtures("_new")
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_new_primitive_is_replayed_by_each_backend(backend: str) -> None:
    @jit(backend=backend)
    def step(x: Value, y: Value) -> list[Value]:
        results = [ATAN(DISTANCE(x, y) * k) for k in (0.1, 0.2, 0.3)]
        results[0].backward()
        ATAN(x)  # total, and used by nothing
        return results

    for number in (3.0, -5.0, 0.5, 2.0, -1.0):
        x, y = Value(number), Value(-4.0)
        z, w = Value(number), Value(-4.0)
        expected = step.function(x, y)
        assert [v.data for v in step(z, w)] == [v.data for v in expected]
        assert repr((z.grad, w.grad)) == repr((x.grad, y.grad))
    (program,) = step.programs
    assert program.replays == 3


def test_a_recording_merges_calls_of_a_row_that_commutes_with_swapped_operands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nodes_of_the_program() -> int:
        step = jit(lambda x, y: DISTANCE(x, y) - DISTANCE(y, x), backend="numpy")
        for _ in range(2):
            step(Value(1.0), Value(2.0))
        count = re.search(r"(\d+) nodes", repr(step.programs[0]))
        assert count
        return int(count[1])

    before = nodes_of_the_program()
    monkeypatch.setitem(TABLE, DISTANCE.name, DISTANCE)
    assert nodes_of_the_program() == before - 1


@pytest.mark.usefixtures("_new")
def test_a_new_primitive_is_drawn_with_its_symbol() -> None:
    _, _, output = graph()
    source = draw(output, edges=True).source
    assert "⟂" in source
    assert "local 0.8<" in source
    assert "ordering=in" not in source  # it commutes, as the product does


@pytest.mark.usefixtures("_new")
def test_a_new_primitive_is_written_in_its_own_form() -> None:
    x, _, output = graph()
    passed = steps(output)
    assert [step.formula for step in passed[:3]] == ["x ⟂ y", "v1 * 0.1", "atan(v2)"]
    assert passed[0].in_numbers == "3 ⟂ (-4)"
    assert explain(output, x).paths[0].symbols == "1 / (1 + v2²) * 0.1 * (x / v1)"
    rule = Primitive("p", lambda x: x, lambda out, x: DISTANCE(DISTANCE(x, x + 1), -ATAN(-x)))
    explanation = explain(rule(x), x)
    assert explanation.paths[0].symbols == "x ⟂ (x + 1) ⟂ (-atan(-x))"
    assert explanation.paths[0].latex == (
        r"x \perp \left(x + 1\right) \perp \left(-\arctan\left(-x\right)\right)"
    )


@pytest.mark.usefixtures("_new")
def test_a_new_primitive_is_shown_with_its_numbers_on_the_page() -> None:
    _, _, output = graph()
    recorded = steps(output).data()
    x, _, _, distance, _, atan = recorded["nodes"]
    assert (distance["lines"], distance["data"]) == (["⟂  v1"], 5.0)
    assert [item if isinstance(item, str) else item["slot"] for item in distance["formula"]] == [
        *(0, " ⟂ ", 1)
    ]
    assert atan["data"] == math.atan(0.5)
    assert not x["movable"]
    assert x["fixed_because"] == "v1 = x ⟂ y runs Python code, which a page cannot run"
    assert recorded["gradients"][0] == 0.8 * 0.1 * 0.6
    assert "distance" not in operations()
    named = {operation[1] for operation in recorded["forward"]}
    for step in recorded["backward"]:
        for edge in step["edges"]:
            named.update(operation[1] for operation in edge["program"] or ())
    assert named <= operations()  # the page has a function for each
    assert "data-node" not in fragment(steps(output).passed).partition("<script>")[0]


# --- forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [3, None, ("#1", "sum"), Form("#1", "Sum"), Form(3)])
def test_an_invalid_form_is_rejected(form: Any) -> None:
    with pytest.raises(TypeError, match=r"'cube': text and latex take a template, or a Form"):
        Primitive("cube", lambda x: x**3, lambda out, x: 3 * x * x, text=form)


@pytest.mark.parametrize("form", ["#2", Form("#1 + #0"), "f(#1, #10)"])
def test_a_form_that_names_a_missing_operand_is_rejected(form: Any) -> None:
    for kind in ("text", "latex"):
        with pytest.raises(ValueError, match=r"'cube' has no operand #(0|2|10), .*: there are 1"):
            Primitive("cube", lambda x: x**3, lambda out, x: 3 * x * x, **{kind: form})


# --- the rows are listed only once ----------------------------------------------------------------

# The rows of Python's operators, of derivatives of choices and of conditions in recordings. Other
# rows may be named only by backends, which may compute a row in a special way.
ARITHMETIC = {"add", "sub", "mul", "div", "neg", "pow", "power", "abs", "where", "greater"}
MAY_NAME_ROWS = {"ops.py", "value.py", "__init__.py"}


def test_no_other_module_names_the_rows() -> None:
    names = set(TABLE) - ARITHMETIC

    def named(path: Path) -> list[str]:
        """Return the rows that the code names; messages may mention them, as in `ops.cos(x)`."""
        found = []
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ops":
                found.append(node.attr)
            elif isinstance(node, ast.Constant):
                found.append(node.value)
        return [name for name in found if name in names]

    root = Path(autograd.__file__).parent
    modules = [path for path in root.rglob("*.py") if path.name not in MAY_NAME_ROWS]
    found = {
        str(path.relative_to(root)): named(path)
        for path in modules
        if "backends" not in path.parts and named(path)
    }
    assert found == {}
    assert named(root / "ops.py")


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({"nan_slopes": 1}, TypeError, "nan_slopes must be a sequence of positions, not 1"),
        ({"nan_slopes": "0"}, TypeError, "nan_slopes must be a sequence of positions, not '0'"),
        ({"nan_slopes": (1,)}, ValueError, r"nan_slopes must be among the positions 0 \.\. 0"),
        ({"nan_slopes": [[0]]}, ValueError, r"nan_slopes must be among the positions 0 \.\. 0"),
        ({"pull": 3}, TypeError, "pull must be callable, not 3"),
    ],
)
def test_a_fact_of_the_wrong_type_is_rejected(facts, error, message):
    with pytest.raises(error, match=f"^Primitive 'cube': {message}"):
        Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x, **facts)
