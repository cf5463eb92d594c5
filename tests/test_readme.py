"""Do the README and the other documents tell the truth?"""

from __future__ import annotations

import math
import operator
import re
import runpy
from pathlib import Path

import pytest

from autograd import Value, grad, greater, less, maximum, minimum, where
from tests.cases import case

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README + CONTRIBUTING, re.S)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_python_block_runs_unchanged(block, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some write files
    exec(compile(block, "README.md", "exec"), {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    for expected in re.findall(r"# (-?\d\S*)\.\.\., (-?\d\S*)\.\.\.$", block, re.M):
        assert any(
            len(line) == 2 and all(p.startswith(e) for p, e in zip(line, expected, strict=True))
            for line in printed
        )


def test_there_are_two_set_up_commands_of_one_line_each():
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.S)
    assert len(commands) == 2
    assert all(
        "\n" not in command and command.startswith("python3 -m venv") for command in commands
    )


def test_the_readme_has_at_most_220_lines():
    assert len(README.splitlines()) <= 220


def test_every_file_and_name_that_the_readme_mentions_exists():
    import autograd
    import nn

    texts = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:autograd|nn|tests|notebooks)/[\w/.]*)`", texts):
        assert (ROOT / name).exists(), name
    api = README.split("## The API")[1].split("Conventions")[0]
    for name in re.findall(r"\b[A-Za-z]\w+(?=\()", api.split("`nn`:")[0]):
        assert hasattr(autograd, name) or hasattr(autograd.Value, name), name
    for line in ("layers", "activations", "losses", "optimizers", "training"):
        cell = re.search(rf"\| {line} \| (.*) \|", api)[1]
        names = " ".join(re.findall(r"`(.*?)`", cell)).split()
        missing = [n for n in names if n[0].isalpha() and "=" not in n and not _found(nn, n)]
        assert not missing, missing


def test_the_readme_lists_every_public_name():
    import autograd
    import nn

    api = README.split("## The API")[1].split("## Conventions")[0]
    names = [*autograd.__all__, *nn.__all__, "buffers", "patience", "drop_last", "bias"]
    names += [name for name in autograd.ops.TABLE if hasattr(Value, name)]
    assert [name for name in names if not re.search(rf"\b{name}\b", api)] == []


def test_the_figures_of_the_readme_are_those_of_the_benchmarks():
    benchmarks = (ROOT / "tests/benchmarks/README.md").read_text(encoding="utf-8")
    figures = re.findall(r"\d[\d,.]*\d", README.split("## Measured")[1])
    assert len(figures) > 20
    assert [figure for figure in figures if figure not in benchmarks] == []


def _found(package, name):
    return name.startswith("nn.") or hasattr(package, name)


# The address of the project's page on GitHub, relative to the front page and to the file alike: two
# folders above the files of a branch, like the issues.
PUBLISHED = "../../deployments/github-pages"
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/benchmarks/README.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_to_a_file_and_title(document):
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://") or target == PUBLISHED:
            continue
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        assert linked.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles]


def test_the_readme_is_published_with_absolute_links() -> None:
    """PyPI shows the README without the files that it links to."""
    build = runpy.run_path(str(ROOT / ".ci/build.py"))
    assert build["PUBLISHED"] == PUBLISHED
    shown = build["absolute"](README, "owner/name", "abc123")
    targets = re.findall(r"\]\(([^)\s]+)\)", shown)
    assert len(targets) == len(re.findall(r"\]\(([^)\s]+)\)", README))
    assert all(target.startswith("https://") for target in targets)
    assert "](https://owner.github.io/name/)" in shown
    assert "](https://github.com/owner/name/blob/abc123/CONTRIBUTING.md#a-primitive)" in shown
    picture = "](https://raw.githubusercontent.com/owner/name/abc123/notebooks/pictures/player.png)"
    assert picture in shown


# --- the table of derivatives at the edge of a domain ---------------------------------------------

inf, nan = math.inf, math.nan
DIV0, OVER = ZeroDivisionError, OverflowError
MANY = [Value.sqrt, Value.sin, Value.log, Value.exp, Value.tanh, Value.softplus, Value.erf]

# A row -> (function, point, operand, order of the derivative, the derivative or its error).
EDGES = {
    ("`sqrt`", "x = 0", "raises ZeroDivisionError"): [(Value.sqrt, (0.0,), 0, 1, DIV0)],
    (
        "`x ** number`, `x ** y` by x",
        "x = 0, exponent between 0 and 1",
        "raises ZeroDivisionError; so does the second derivative for an exponent between 1 and 2",
    ): [
        (lambda x: x**0.5, (0.0,), 0, 1, DIV0),
        (operator.pow, (0.0, 0.5), 0, 1, DIV0),
        (lambda x: x**1.5, (0.0,), 0, 1, 0.0),
        (lambda x: x**1.5, (0.0,), 0, 2, DIV0),
        (operator.pow, (0.0, 1.5), 0, 2, DIV0),
    ],
    (
        "`x ** number`, `x ** y` by x",
        "x = 0, whole exponent from 0 up",
        "the polynomial's, to every order",
    ): [
        (lambda x, n=n: x**n, (0.0,), 0, order, math.factorial(n) if n == order else 0.0)
        for n in range(4)
        for order in (1, 2, 3)
    ]
    + [
        (operator.pow, (0.0, float(n)), 0, order, math.factorial(n) if n == order else 0.0)
        for n in range(4)
        for order in (1, 2, 3)
    ],
    (
        "`x ** y` by y",
        "x = 0; x < 0",
        "0; nan, as in PyTorch (a plain number as exponent receives none)",
    ): [
        (operator.pow, (0.0, 2.0), 1, 1, 0.0),
        (operator.pow, (-2.0, 2.0), 1, 1, nan),
        (lambda x: x**2, (-2.0,), 0, 1, -4.0),
    ],
    (
        "`x ** y` by both",
        "x = 0",
        "0 where the first derivative exists (the limits are infinite)",
    ): [
        (lambda x, y, i=i: grad(x**y, [(x, y)[i]], create_graph=True)[0], (0.0, n), 1 - i, 1, 0.0)
        for i in (0, 1)
        for n in (1.0, 2.0)
    ],
    ("`**`", "derivative too large for a float", "raises OverflowError"): [
        (lambda x: x**-0.5, (1e-300,), 0, 1, OVER)
    ],
    ("`/` `log`", "derivative too large for a float", "inf"): [
        (operator.truediv, (1.0, 5e-324), 0, 1, inf),
        (Value.log, (5e-324,), 0, 1, inf),
    ],
    (
        "`/` `log` `log1p` `sin` `cos` `exp` `expm1`",
        "outside the domain; for the last two, result too large",
        "the operation itself raises",
    ): [
        (operator.truediv, (1.0, 0.0), 0, 0, DIV0),
        (operator.truediv, (1e308, 1e-308), 0, 1, 1e308),  # the result is inf
        *[(f, (x,), 0, 0, ValueError) for f, x in ((Value.log, 0.0), (Value.log1p, -1.0))],
        *[(f, (inf,), 0, 0, ValueError) for f in (Value.sin, Value.cos)],
        *[(f, (1000.0,), 0, 0, OVER) for f in (Value.exp, Value.expm1)],
    ],
    (
        "`exp` `expm1` `tanh` `sigmoid` `softplus` `erf`",
        "±inf",
        "the limit: 0, 1 or inf",
    ): [
        *[(f, (inf,), 0, 1, inf) for f in (Value.exp, Value.expm1)],
        (Value.softplus, (inf,), 0, 1, 1.0),
        *[(f, (-inf,), 0, 1, 0.0) for f in (Value.exp, Value.expm1, Value.softplus)],
        *[(f, (inf,), 0, 1, 0.0) for f in (Value.tanh, Value.sigmoid, Value.erf)],
        *[(f, (-inf,), 0, 1, 0.0) for f in (Value.tanh, Value.sigmoid, Value.erf)],
    ],
    ("`relu` `abs`", "0; nan", "0"): [
        (f, (x,), 0, 1, 0.0) for f in (Value.relu, abs) for x in (0.0, nan)
    ],
    ("`maximum` `minimum`", "a tie; nan", "1/2 each"): [
        (f, point, by, 1, 0.5)
        for f in (maximum, minimum)
        for point in ((2.0, 2.0), (1.0, nan))
        for by in (0, 1)
    ],
    (
        "`where` `greater` `less`",
        "everywhere",
        "0 with respect to the condition and the compared operands",
    ): [
        (where, (2.0, 3.0, 4.0), 0, 1, 0.0),
        *[(f, (2.0, 3.0), by, 1, 0.0) for f in (greater, less) for by in (0, 1)],
    ],
    (
        "all others",
        "nan",
        "nan; a derivative that does not contain x is kept: b for x * b, 1/b for x / b",
    ): [
        *[(f, (nan,), 0, 1, nan) for f in MANY],
        *[(f, (nan, 3.0), 0, 1, 1.0) for f in (operator.add, operator.sub)],
        (operator.mul, (nan, 3.0), 0, 1, 3.0),
        (operator.truediv, (nan, 2.0), 0, 1, 0.5),
    ],
}


def test_the_table_of_edges_has_exactly_the_rows_tested_here():
    table = README.split("| primitive | where | derivative |\n")[1].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[1:]]
    assert [tuple(row) for row in rows] == list(EDGES)


@pytest.mark.parametrize("cases", EDGES.values(), ids=[f"{name}, {at}" for name, at, _ in EDGES])
def test_derivatives_at_the_edges_are_as_the_table_says(cases):
    for function, point, *rest in cases:
        with case(function, point):
            check_edge(function, point, *rest)


def check_edge(function, point, by, order, expected):
    operands = [Value(x) for x in point]
    before = [operand.grad for operand in operands]

    def derivative() -> float:
        result = function(*operands)
        for _ in range(order - 1):
            (result,) = grad(result, [operands[by]], create_graph=True)
        if order:
            result.backward()
        return operands[by].grad

    if isinstance(expected, type):
        with pytest.raises(expected):
            derivative()
        assert [operand.grad for operand in operands] == before
    else:
        assert derivative() == pytest.approx(expected, rel=1e-15, abs=0.0, nan_ok=True)
