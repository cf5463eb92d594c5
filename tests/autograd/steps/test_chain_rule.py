"""Do explanations of a gradient add up as they are shown? Sums over uses, and whole paths."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest
from hypothesis import example, given, settings

import nn
from autograd import Primitive, Value, greater, where
from autograd.steps import BackwardStep, Steps, explain, steps
from autograd.steps.chain_rule import MOST_FACTORS, MOST_PATHS, USES_SHOWN, Explanation
from autograd.text import number
from autograd.value import is_constant
from tests.autograd.steps.test_steps import (
    Program,
    moderate,
    named,
    neuron,
    outcome,
    programs,
    run,
)
from tests.examples import examples

# --- what is printed ------------------------------------------------------------------------------


def test_the_gradient_of_a_node_is_the_sum_over_its_uses() -> None:
    """f = (a + a) (a b) = 2 a² b, so d f / d a = 4 a b = -24."""
    a, b = named(a=Value(3), b=Value(-2))
    (d,) = named(d=a + a)
    (e,) = named(e=a * b)
    (f,) = named(f=e * d)
    explanation = explain(f, "a")
    assert (
        str(explanation)
        == """\
d f / d a = -24, the sum over 3 uses: gradient of the use * local derivative
use                   in names    in numbers  contribution
e = a * b             e.grad * b  6 * (-2)             -12
d = a + a, operand 1  d.grad * 1  -6 * 1                -6
d = a + a, operand 2  d.grad * 1  -6 * 1                -6
sum                                                    -24

along the 3 paths, without factors of 1
path       in names  in numbers  contribution
f → e → a  d * b     6 * (-2)             -12
f → d → a  2 * e     2 * (-6)             -12
sum                                       -24

next, the gradient of a use: explain(f, "e")"""
    )
    first = explanation.uses[0]
    assert str(first) == "e = a * b: e.grad * b = 6 * (-2) = -12"
    assert (first.node, first.name, first.operand) == (e, "e", 0)
    assert (first.upstream, first.local, first.contribution) == (6.0, -2.0, -12.0)
    assert (first.symbols, first.numbers) == ("e.grad * b", "6 * (-2)")
    assert str(explanation.paths[1]) == "f → d → a: 2 * e = 2 * (-6) = -12"
    slope_e, slope_d = (rf"\frac{{\partial f}}{{\partial {name}}}" for name in "ed")
    assert explanation._repr_latex_().splitlines() == [
        "$$",
        r"\begin{aligned}",
        rf"\frac{{\partial f}}{{\partial a}} &= \underbrace{{{slope_e} \cdot b}}"
        rf"_{{6 \cdot \left(-2\right) = -12}} + \underbrace{{{slope_d} \cdot 1}}"
        r"_{-6 \cdot 1 = -6} \\[4pt]",
        rf"&\quad {{}}+ \underbrace{{{slope_d} \cdot 1}}_{{-6 \cdot 1 = -6}} \\[4pt]",
        r"&= \underbrace{d \cdot b}_{6 \cdot \left(-2\right) = -12}"
        r" + \underbrace{2 \cdot e}_{2 \cdot \left(-6\right) = -12}"
        r" \quad \text{(paths, without factors of 1)} \\[4pt]",
        "&= -24",
        r"\end{aligned}",
        "$$",
    ]


def test_explaining_each_use_in_turn_leads_to_the_output() -> None:
    output = neuron()
    passed = steps(output)
    name, asked = "w1", []
    while (explanation := passed.explain(name)).uses:
        asked.append(name)
        (use,) = explanation.uses
        assert explanation.total == use.upstream * (use.local or 0.0)
        assert passed.explain(use.node).total == use.upstream
        name = use.name
        calls = re.findall(r"^next, the gradient of a use: (.*)$", str(explanation), re.MULTILINE)
        assert calls == ([] if name == "o" else [f'explain(o, "{name}")'])
    assert asked == ["w1", "v1", "v3", "n"]
    assert str(explanation) == "d o / d o = 1: the output itself"
    assert explanation.paths == ()
    assert explanation._repr_latex_().splitlines()[2] == r"\frac{\partial o}{\partial o} &= 1"


def test_a_single_path_is_written_without_factors_of_1() -> None:
    assert (
        str(explain(neuron(), "w1"))
        == """\
d o / d w1 = 1, gradient of its only use * local derivative
use           in names      in numbers  contribution
v1 = x1 * w1  v1.grad * x1  0.5 * 2                1

along the only path, without factors of 1
path                  in names       in numbers  contribution
o → n → v3 → v1 → w1  sech(n)² * x1  0.5 * 2                1

next, the gradient of a use: explain(o, "v1")"""
    )
    assert explain(neuron(), "w1")._repr_latex_().count(r"_{0.5 \cdot 2 = 1}") == 2
    x = Value(2.0, label="x")
    assert r"\underbrace{12.5}_{12.5} \quad" in explain(x * 12.5, x)._repr_latex_()


def test_equal_paths_are_written_once() -> None:
    x = Value(3.0, label="x")
    (y,) = named(y=2 * (x * x) + x)
    square, alone = sorted(explain(y, x).paths, key=lambda path: -path.count)
    assert (square.count, square.symbols, square.numbers) == (2, "2 * (2 * x)", "2 * (2 * 3)")
    assert (square.contribution, alone.contribution) == (12.0, 1.0)
    assert (alone.count, alone.symbols, alone.numbers) == (1, "1", "1")
    (halves,) = explain((x.tanh() * 4) ** 2, x).paths  # one path through three different factors
    assert halves.symbols.count(" * ") == 3


def test_the_factors_of_a_path_are_in_parentheses_only_where_they_must_be() -> None:
    x = Value(3.0, label="x")
    twice = Primitive("twice", lambda a, b: -2.0 * (a + b), (-2.0, -2.0))
    (v,) = named(v=twice(x, x))
    (t,) = named(t=x.tanh())
    assert [explain(y, x).paths[0].symbols for y in (abs(x), abs(t), v, twice(t, t))] == [
        "[x > 0] - [0 > x]",
        "([t > 0] - [0 > t]) * sech(x)²",
        "2 * (-2)",
        "2 * (-2 * sech(x)²)",
    ]


def test_the_suggested_call_names_the_output_if_its_label_is_an_identifier() -> None:
    a = Value(2.0, label="a")
    assert explain(named(out=a.tanh().sin())[0], a).opening == 'explain(out, "v1")'
    assert explain(a.tanh().sin(), a).opening == 'explain(output, "v1")'
    assert explain(named(**{"my loss": a.tanh().sin()})[0], a).opening == 'explain(output, "v1")'
    assert explain(named(**{"lambda": a.tanh().sin()})[0], a).opening == 'explain(output, "v1")'
    (quoted,) = named(**{'say "h"': a.tanh()})
    name = explain(quoted.sin(), a).opening.removeprefix("explain(output, ").removesuffix(")")
    assert steps(quoted.sin()).gradient(eval(name)) == math.cos(quoted.data)
    assert explain(a.sin(), a).opening == ""


def test_a_node_that_does_not_affect_the_output_has_gradient_0() -> None:
    a, b, p = named(a=Value(3), b=Value(-2), p=Value(1))
    (chosen,) = named(chosen=where(p, a, b))
    explanation = explain(chosen, p)
    assert str(explanation) == "d chosen / d p = 0: chosen does not change with p"
    assert (explanation.paths, explanation.uses, explanation.total) == ((), (), 0.0)
    assert r"\frac{\partial \mathrm{chosen}}{\partial p} &= 0" in explanation._repr_latex_()
    (h,) = named(h=a * 2)  # used only in a condition, which passes no gradient on
    through = explain(where(h, b, b * 2), a)
    assert (through.total, len(through.uses), through.paths) == (0.0, 1, ())
    assert "0, and h passes nothing on" in str(through)


def test_a_gradient_of_exactly_0_passes_nothing_on() -> None:
    """The slope of sqrt at 0, which is infinite, is never computed."""
    x = Value(0.0, label="x")
    (root,) = named(root=x.sqrt())
    (m,) = named(m=root * 0.0)
    (y,) = named(y=m + x)
    assert (
        str(explain(y, x))
        == """\
d y / d x = 1, the sum over 2 uses: gradient of the use * local derivative
use        in names                  in numbers                     contribution
y = m + x  y.grad * 1                1 * 1                                     1
root = √x  root.grad * (0.5 / root)  0, and root passes nothing on             0
sum                                                                            1

along the 2 paths, without factors of 1
path              in names          in numbers                     contribution
y → x             1                 1                                         1
y → m → root → x  0 * (0.5 / root)  0, and root passes nothing on             0
sum                                                                           1"""
    )
    assert explain(y, x).uses[1].local is None
    v = x * 2
    assert [path.contribution for path in explain(v * 3 - v * 3, x).paths] == [0.0, 0.0]


def test_many_uses_are_shown_as_the_largest_and_one_line_for_the_rest() -> None:
    bias = Value(0.5, label="bias")
    terms = [(bias * (k + 1)).tanh() for k in range(1000)]
    (total,) = named(total=sum(terms, Value(0.0, label="start")))
    explanation = explain(total, bias)
    assert len(explanation.uses) == 1000
    assert explanation.paths == ()
    text = str(explanation).splitlines()
    assert len(text) == 1 + 1 + USES_SHOWN + 1 + 1 + 2
    assert text[0].startswith("d total / d bias = ")
    assert "the sum over 1,000 uses" in text[0]
    assert text[2 + USES_SHOWN].startswith("and 992 more uses, together  ")
    sizes = [float(line.split()[-1]) for line in text[2 : 2 + USES_SHOWN]]
    largest = sorted((abs(use.contribution) for use in explanation.uses), reverse=True)
    assert sizes == [float(number(size)) for size in largest[:USES_SHOWN]]
    assert rf"\underbrace{{\ldots \text{{(992 more)}}}}_{{{text[-4].split()[-1]}}}" in (
        explanation._repr_latex_()
    )
    check(explanation)


def test_eight_uses_are_all_shown_in_the_order_of_the_backward_pass() -> None:
    w = Value(1.0, label="w")
    (y,) = named(y=sum((w * slope for slope in (3, 1, 2, 8, 5, 4, 7)), w * 6))
    explanation = explain(y, w)
    shown = [line.split(" = ")[0] for line in str(explanation).splitlines()[2:10]]
    assert shown == [use.name for use in explanation.uses]


def test_a_table_of_more_than_100_columns_has_its_cells_below_each_other() -> None:
    texts = []
    for length in (26, 27):
        xx, w = Value(3.0, label="xx"), Value(2.0, label="w" * length)
        (y,) = named(y=xx * w + xx)
        texts.append(str(explain(y, xx)).splitlines())
    assert max(map(len, texts[0])) == 100
    assert texts[1][1:5] == ["y = v1 + xx", "    = y.grad * 1", "    = 1 * 1", "    = 1"]


def test_more_digits_are_shown_where_large_contributions_cancel() -> None:
    w, x = named(w=Value(1.0), x=Value(1234567.8))
    (y,) = named(y=w * x - w * 1234567.25)
    assert str(explain(y, w)).splitlines()[2:5] == [
        "v2 = w * 1.235e+06  v2.grad * 1.235e+06  -1 * 1234567.25   -1234567.25",
        "v1 = w * x          v1.grad * x          1 * 1234567.8       1234567.8",
        "sum                                                               0.55",
    ]
    thirds = explain(w / 3 + w / 3 + w / 3, w)
    assert [float(number(use.contribution)) for use in thirds.uses] == [0.3333] * 3
    assert "0.33333" not in str(thirds)  # 0.9999 is within a unit of the last digit of 1.000


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_nan_and_infinity_are_written_like_other_numbers(special: float) -> None:
    x = Value(special, label="x")
    many = sum((x * x for _ in range(20)), x * x)
    for output in (x * x + x, x.tanh() * x, many):
        explanation = explain(named(y=output)[0], x)
        assert str(explanation).count(number(explanation.total)) > 1
        assert explanation._repr_latex_().count("$$") == 2


def test_labels_in_latex_are_text_and_braces_balance() -> None:
    x = Value(2.0, label=r"}$\input{x}$ <b> %&#")
    (y,) = named(**{"$$": x * x + x.tanh() * 3})
    shown = steps(y).explain(x)._repr_latex_()
    assert shown.count("$$") == 2
    assert not re.search(r"(?<!\\)[%#]|[<>]", shown)
    bare = re.sub(r"\\[{}]", "", shown)
    assert bare.count("{") == bare.count("}")


# --- short explanations, however large the graph --------------------------------------------------


def test_paths_too_many_to_list_are_left_out_and_uses_stay_exact() -> None:
    x = Value(1.0, label="x")
    y = x
    for _ in range(3000):
        y = (y + y) * 0.5
    explanation = explain(y, "x")
    assert (len(explanation.uses), explanation.paths, explanation.total) == (2, (), 1.0)
    assert len(str(explanation).splitlines()) == 7


def test_latex_has_only_the_uses_where_paths_are_left_out() -> None:
    x = Value(1.0, label="x")
    y = x
    for _ in range(4):
        y = y + y
    explanation = explain(*named(y=y), x)
    assert explanation.paths == ()  # 16 are too many
    use = r"\underbrace{\frac{\partial y}{\partial v_{1}} \cdot 1}_{8 \cdot 1 = 8}"
    assert explanation._repr_latex_().splitlines() == [
        "$$",
        r"\begin{aligned}",
        rf"\frac{{\partial y}}{{\partial x}} &= {use} + {use} \\[4pt]",
        "&= 16",
        r"\end{aligned}",
        "$$",
    ]


def test_a_long_chain_has_one_path_if_its_factors_are_1() -> None:
    x = Value(1.0, label="x")
    y = x
    for _ in range(5_000):
        y = y + 1.0
    (path,) = explain(y, x).paths
    assert (len(path.nodes), path.symbols, path.contribution) == (5_001, "1", 1.0)
    assert path.way.startswith("v5000 → v4999 → v4998 → v4997 → … → ")


@pytest.mark.parametrize("factor", [1.5, 0.5, -2.0])
def test_paths_are_written_out_if_they_are_at_most_8_of_at_most_6_factors(factor: float) -> None:
    x = y = Value(1.0, label="x")
    for _ in range(6):
        y = y * factor
    assert explain(y, x).paths[0].contribution == factor**6
    assert explain(y * factor, x).paths == ()
    several = [sum((x * (factor + i) for i in range(n)), x * 9) for n in (7, 8)]
    assert [len(explain(y, x).paths) for y in several] == [8, 0]
    condition = greater(several[1] * factor, y * factor)  # what leads only there is no path
    assert len(explain(where(condition, x * 2, 0.0), x).paths) == 1


def test_paths_of_more_than_8_nodes_show_the_first_and_the_last() -> None:
    x = y = Value(1.0, label="x")
    for i in range(7):
        y = y + 1.0
        y.label = f"y{i}"
    assert explain(y, x).paths[0].way == "y6 → y5 → y4 → y3 → y2 → y1 → y0 → x"
    (z,) = named(z=y + 1.0)
    assert explain(z, x).paths[0].way == "z → y6 → y5 → y4 → … → y2 → y1 → y0 → x"


def test_a_weight_of_an_mlp_is_explained_in_a_few_lines() -> None:
    """This example used to print nine factors, six of them 1, and to hide the rest."""
    nn.seed(1)
    model = nn.MLP(2, [2, 1], activation="tanh")
    (loss,) = named(loss=nn.mse([model([1.5, -2.0])], [0.5]))
    explanation = explain(loss, "layers.0.neurons.0.w.0")
    text = str(explanation)
    assert len(text.splitlines()) <= 12
    assert "…" not in text.splitlines()[-4]
    (path,) = explanation.paths
    assert len(path.factors) == 5
    assert path.contribution == pytest.approx(explanation.total, rel=1e-12)
    check(explanation)


def test_a_weight_of_a_small_gpt_has_few_uses_however_many_paths() -> None:
    nn.seed(1)
    model = nn.GPT(8, 4, 8, 2, 1)
    loss = nn.cross_entropy_with_logits(model([1, 2, 3, 4]), [2, 3, 4, 5])
    passed = steps(loss)
    for node in [p for p in model.parameters() if p in passed.gradients][::40]:
        explanation = passed.explain(node)
        assert 1 <= len(explanation.uses) <= 8
        assert len(str(explanation).splitlines()) <= 6 + 2 * USES_SHOWN + 4 * MOST_PATHS
        check(explanation)


# --- do the numbers shown add and multiply to the results shown? ----------------------------------

NUMBER = r"-?[\d.]+(?:e[-+]\d+)?"


def last_digit(shown: str, digits: int) -> Decimal:
    """One unit in the last digit of a number shown with so many digits."""
    x = Decimal(shown)
    return Decimal(1).scaleb(x.adjusted() - digits + 1) if x else Decimal(0)


def assert_multiplies(factors: str, result: str, digits: int) -> None:
    """Assert that the product of the factors shown is the result, up to their rounding."""
    low = high = Decimal(1)
    for factor in re.findall(NUMBER, factors):
        half = last_digit(factor, digits) / 2
        ends = [end * (Decimal(factor) + sign * half) for end in (low, high) for sign in (-1, 1)]
        low, high = min(ends), max(ends)
    half = last_digit(result, digits) / 2 + Decimal("5e-324")
    assert low - half <= Decimal(result) <= high + half, (factors, result, digits)


def assert_adds_up(terms: Sequence[str], total: str) -> None:
    """Assert that the sum of the terms shown is the total, to one unit in its last digit."""
    sizes = sum(abs(Decimal(term)) for term in terms)
    most = last_digit(total, 4) * Decimal("1.02") + sizes * Decimal(2) ** -48
    assert abs(sum(map(Decimal, terms)) - Decimal(total)) <= most, (terms, total)


def digits_in(numbers: Sequence[str]) -> int:
    """The number of digits that numbers are shown with; each may omit zeros at its end."""
    return max([4, *(len(Decimal(shown).normalize().as_tuple().digits) for shown in numbers)])


def check(explanation: Explanation) -> None:
    """Check the sums and products in an explanation's text and LaTeX, as one would by hand."""
    if not math.isfinite(explanation.total) or not explanation.uses:
        return
    blocks = [*in_text(str(explanation)), *in_latex(explanation._repr_latex_())]
    assert len(blocks) == (4 if explanation.paths else 2)
    for rows in blocks:
        digits = digits_in([shown for row in rows for shown in re.findall(NUMBER, " ".join(row))])
        for factors, result in rows:
            if factors and "nothing" not in factors:
                assert_multiplies(factors, result, digits)
        assert_adds_up([result for _, result in rows], number(explanation.total))


Rows = list[tuple[str, str]]  # (its factors in numbers or "", its result) for each term of a sum


def in_text(text: str) -> Iterator[Rows]:
    title, *blocks = re.sub(r"\n    = ", "  ", text).split("\n\n")
    (claimed,) = re.findall(rf" = ({NUMBER})", title.splitlines()[0])
    for block in [title, *blocks]:
        if block.startswith(("next, ", "a condition")):
            continue
        rows: Rows = []
        for line in block.splitlines()[1:]:
            cells = re.split("  +", line)
            if cells[0] == "sum":
                assert cells[1:] == [claimed]
            elif cells[0] not in ("use", "path"):
                assert len(cells) in (2, 4)
                rows.append((cells[2] if len(cells) == 4 else "", cells[-1]))
        yield rows


def in_latex(latex: str) -> Iterator[Rows]:
    plain = re.sub(r" \\cdot 10\^\{(-?\d+)\}", r"e\1", latex)
    plain = re.sub(r"(?<![\d.])(-?)10\^\{(-?\d+)\}", r"\g<1>1e\2", plain)
    plain = re.sub(r"e(\d)", r"e+\1", plain)
    *sums, _ = re.sub(r"\n&\\quad \{\}\+", "", plain).split("\n&= ")
    for terms in sums:
        below = re.findall(r"(?<!\{)\}_\{((?:[-\d.e+= ]|\\cdot|\\left\(|\\right\))+)\}", terms)
        assert len(below) == terms.count(r"\underbrace")
        rows = [found.rpartition(" = ")[::2] for found in below]
        yield [(factors, result) for factors, result in rows]


def every_path(node: Value, end: Value) -> list[list[tuple[Value, int]]]:
    """Each path by recursion: its nodes, each with the operand through which it continues."""
    if node is end:
        return [[]]
    rules = node.primitive.backward if node.primitive else ()
    return [
        [(node, operand), *rest]
        for operand, (parent, rule) in enumerate(zip(node.parents, rules, strict=True))
        if rule is not None and not is_constant(parent)
        for rest in every_path(parent, end)
    ]


def passed_or_none(output: Value) -> Steps | None:
    found = outcome(lambda: steps(output))
    return found if isinstance(found, Steps) else None


@settings(max_examples=examples(60), deadline=None)
@given(programs, moderate)
def test_every_gradient_of_a_random_graph_adds_up_as_shown(
    program: Program, point: list[float]
) -> None:
    leaves = [Value(x, label=f"x{i}") for i, x in enumerate(point)]
    passed = passed_or_none(run(program, leaves))
    for node in passed.gradients if passed else ():
        assert passed
        explanation = passed.explain(node)
        handed = [
            (step.node, each.operand, step.upstream, each.local, each.contribution)
            for step in passed
            if isinstance(step, BackwardStep)
            for each in step.contributions
            if each.parent is node
        ]
        uses = [use for use in explanation.uses if use.local is not None]
        found = [(u.node, u.operand, u.upstream, u.local, u.contribution) for u in uses]
        assert repr(found) == repr(handed)
        check(explanation)


@settings(max_examples=examples(60), deadline=None)
@given(programs, moderate)
@example([(0, 0, 0, 0)] * 3 + [(13, 0, 1, 1)], [0.0] * 3)  # 8 paths, others end in a condition
def test_either_all_paths_are_written_or_none(program: Program, point: list[float]) -> None:
    leaves = [Value(x, label=f"x{i}") for i, x in enumerate(point)]
    output = run(program, leaves)
    passed = passed_or_none(output)
    for node in passed.gradients if passed else ():
        assert passed
        expected = every_path(output, node)
        paths = passed.explain(node).paths
        lengths = [
            sum(r != 1.0 for n, k in path for r in [n.primitive.backward[k]]) for path in expected
        ]
        if paths:
            assert sum(path.count for path in paths) == len(expected) <= MOST_PATHS
            assert {(*(n for n, _ in path), node) for path in expected} == {p.nodes for p in paths}
            assert max(len(path.factors) for path in paths) <= MOST_FACTORS
            assert math.fsum(path.contribution for path in paths) == pytest.approx(
                passed.gradients[node], rel=1e-9, abs=1e-9, nan_ok=True
            )
        elif node is not output and len(expected) <= MOST_PATHS:
            assert not expected or max(lengths) > MOST_FACTORS


@pytest.mark.parametrize("seed", range(20))
def test_contributions_that_cancel_add_up_as_shown(seed: int) -> None:
    rng = random.Random(seed)
    w = Value(1.0, label="w")
    slopes = [rng.gauss(0, 1) * 10 ** rng.randint(-2, 9) for _ in range(rng.randint(1, 12))]
    total = math.fsum(slopes)
    slopes += [-total * rng.choice([1.0, 1 - 1e-5, 1 - 1e-9, 1.5])] * rng.randint(0, 1)
    output = sum((w * slope for slope in slopes), Value(0.0, label="start"))
    check(explain(output, w))


@pytest.mark.parametrize("seed", range(6))
def test_every_gradient_of_an_mlp_adds_up_as_shown(seed: int) -> None:
    nn.seed(seed)
    rng = random.Random(seed)
    activation = ["tanh", "relu", "sigmoid"][seed % 3]
    model = nn.MLP(2, [3, 2, 1] if seed % 2 else [2, 1], activation=activation)
    inputs = [[rng.uniform(-2, 2), rng.uniform(-2, 2)] for _ in range(1 + 5 * (seed % 2))]
    loss = nn.mse([model(x) for x in inputs], [rng.uniform(-1, 1) for _ in inputs])
    passed = steps(loss)
    for node in passed.gradients:
        check(passed.explain(node))


def test_a_path_that_passes_nothing_on_claims_no_product() -> None:
    x = Value(0.5, label="x")
    v = x + x
    v.label = "v"
    explanation = steps(v - v).explain(x)
    assert explanation.total == 0
    assert r"2 \cdot 1 = 0" not in explanation._repr_latex_()
    check(explanation)
