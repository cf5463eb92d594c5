"""Is a drawing right? Each node and edge appears once, labels stay text, and files stay whole."""

from __future__ import annotations

import io
import math
import os
import re
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pygraphviz
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograd import Primitive, Value, context, topological_order, where
from autograd.draw import draw, layout
from autograd.draw.graph import picture
from autograd.draw.layout import render, standard_error_without
from autograd.draw.names import full_names, kinds_of
from autograd.draw.sheet import INK, LINE, STYLES
from autograd.steps import steps
from autograd.text import number
from autograd.value import constant
from tests.examples import any_text, examples

SVG = "{http://www.w3.org/2000/svg}"
TITLE = "{http://www.w3.org/1999/xlink}title"


def svg_parts(svg, kind):
    """{id: element} of an SVG's nodes, edges or clusters; duplicate ids fail."""
    found = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == kind]
    parts = {g.get("id"): g for g in found}
    assert len(parts) == len(found)
    return parts


def lines(part):
    """The lines of text of a node or an edge."""
    return ["".join(text.itertext()) for text in part.iter(f"{SVG}text")]


def texts(drawing):
    """{node: its lines}."""
    return {key: lines(part) for key, part in svg_parts(drawing.svg(), "node").items()}


def tooltip(part):
    return next(a.get(TITLE) for a in part.iter(f"{SVG}a"))


def example_graph():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    out = (a * b + 10).tanh() ** 2
    out.label = "out"
    return out


# --- every node and edge once ---------------------------------------------------------------------


@st.composite
def graphs(draw_from):
    """Outputs of a random graph with shared nodes, x * x, three operands and plain numbers."""
    nodes = [Value(draw_from(st.floats(-2, 2)), label=f"x{i}") for i in range(3)]
    for _ in range(draw_from(st.integers(0, 25))):
        pick = st.sampled_from(nodes)
        a, b, c = draw_from(pick), draw_from(pick), draw_from(pick)
        shape = draw_from(st.sampled_from(["+", "-", "*", "same", "number", "tanh", "where"]))
        nodes.append(
            {
                "+": lambda a=a, b=b: a + b,
                "-": lambda a=a, b=b: a - b,
                "*": lambda a=a, b=b: a * b,
                "same": lambda a=a: a * a,
                "number": lambda a=a: 2 - a,
                "tanh": lambda a=a: a.tanh(),
                "where": lambda a=a, b=b, c=c: where(a, b, c),
            }[shape]()
        )
    return draw_from(st.lists(st.sampled_from(nodes), min_size=1, max_size=3))


@settings(deadline=None, max_examples=examples(60))
@given(graphs(), st.sampled_from(["LR", "TB", "RL", "BT"]), st.booleans())
def test_every_node_and_every_edge_appears_once(outputs, direction, edges):
    nodes = topological_order(*outputs)
    place = {node: i for i, node in enumerate(nodes)}
    drawing = draw(outputs, direction=direction, edges=edges)
    expected = {
        f"e{i}_{k}": (f"n{place[parent]}", f"n{i}")
        for i, node in enumerate(nodes)
        for k, parent in enumerate(node.parents)
    }
    dot = pygraphviz.AGraph(string=drawing.source)
    assert sorted(dot.nodes()) == sorted(f"n{i}" for i in range(len(nodes)))
    assert len(dot.edges()) == len(expected)
    assert {edge.attr["id"]: tuple(edge) for edge in dot.edges()} == expected
    assert set(svg_parts(drawing.svg(), "node")) == {f"n{i}" for i in range(len(nodes))}
    assert set(svg_parts(drawing.svg(), "edge")) == set(expected)


def test_a_node_shows_symbol_and_name_then_data_then_gradient():
    out = example_graph()
    assert texts(draw(out)) == {
        "n0": ["a", "data 2", "grad 0"],
        "n1": ["b", "data -3", "grad 0"],
        "n2": ["10"],
        "n3": ["2"],
        "n4": ["*  v1", "data -6", "grad 0"],
        "n5": ["+  v2", "data 4", "grad 0"],
        "n6": ["tanh  v3", "data 0.9993", "grad 0"],
        "n7": ["**  out", "data 0.9987", "grad 0"],
    }
    out.backward()
    after = texts(draw(out, digits=3))
    assert after["n0"] == ["a", "data 2", "grad -0.00804"]
    assert after["n7"] == ["**  out", "data 0.999", "grad 1"]


def heads(drawing):
    found = texts(drawing)
    return [found[f"n{i}"][0] for i in range(len(found))]


def test_small_graphs_show_the_names_that_explain_uses_and_large_ones_on_request():
    out = (Value(1.0) * 2.0 + Value(3.0, label="b")).exp()
    assert heads(draw(out)) == ["data 1", "2", "b", "*  v1", "+  v2", "exp  v3"]
    assert heads(draw(out, names=True)) == ["x1", "2", "b", "*  v1", "+  v2", "exp  v3"]
    assert heads(draw(out, names=False)) == ["data 1", "2", "b", "*", "+", "exp"]
    assert steps(out).explain("v1").total == steps(out).gradient("v2")
    for _ in range(60):
        out = out.tanh()
    assert heads(draw(out))[3:6] == ["*", "+", "exp"]
    assert heads(draw(out, names=True))[3:6] == ["*  v1", "+  v2", "exp  v3"]


def test_leaves_with_the_same_label_are_numbered():
    out = Value(1.0, label="w") * Value(2.0, label="w")
    assert heads(draw(out)) == ["w₁", "w₂", "*  v1"]


def test_a_label_that_looks_like_data_is_bold():
    assert texts(draw(Value(1.0, label="data 5")))["n0"] == ["data 5", "data 1", "grad 0"]
    heading = svg_parts(draw(Value(1.0, label="data 5")).svg(), "node")["n0"].find(f".//{SVG}text")
    assert heading.get("font-weight") == "bold"


def test_special_numbers_are_shown():
    shown = [
        texts(draw(Value(x)))["n0"][0] for x in (math.nan, math.inf, -math.inf, -0.0, 1e300, 1 / 3)
    ]
    assert shown == ["data nan", "data inf", "data -inf", "data -0", "data 1e+300", "data 0.3333"]


def test_drawing_changes_nothing():
    out = example_graph()
    nodes = topological_order(out)
    for node in nodes:
        node.grad = 0.5
    before = [(node.data, node.grad, node.label) for node in nodes]
    for settings_ in ({}, {"edges": True}, {"collapse": True}, {"depth": 0}):
        draw(out, **settings_).svg()
    assert [(node.data, node.grad, node.label) for node in nodes] == before


def test_operands_are_drawn_in_their_order():
    a, b, c = (Value(1.0, label=name) for name in "abc")
    for out in ((a + c) - b, b - (a + c), 2 - a, a - 2, a / (b * c), where(a, b, c)):
        nodes = topological_order(out)
        parts = svg_parts(draw(out).svg(), "node")
        heights = [
            float(parts[f"n{nodes.index(operand)}"].find(f".//{SVG}text").get("y"))
            for operand in out.parents
        ]
        assert heights == sorted(heights)


def test_direction_sets_the_orientation_of_the_picture():
    x = Value(1.0)
    for _ in range(8):
        x = x.sin()

    def size(direction):
        root = ET.fromstring(draw(x, direction=direction).svg())
        return [float(root.get(name).removesuffix("pt")) for name in ("width", "height")]

    for direction in ("LR", "RL"):
        assert size(direction)[0] > 3 * size(direction)[1]
    for direction in ("TB", "BT"):
        assert size(direction)[1] > 3 * size(direction)[0]


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("edges", [False, True])
def test_a_node_used_in_hundreds_of_steps_is_drawn_quickly(direction, edges):
    """Graphviz would take minutes to route edges across many ranks, so they are drawn as arcs."""
    x, rate = Value(0.5, label="x"), Value(0.25, label="rate")
    y = x
    for k in range(296):
        y = y * rate if k % 2 else y - x
    nodes = topological_order(y)
    drawing = draw(y, direction=direction, edges=edges)
    before = sum(os.times()[:4])  # of this process and of Graphviz's, however busy the machine is
    parts = svg_parts(drawing.svg(), "edge")
    assert sum(os.times()[:4]) - before < 10
    assert set(parts) == {
        f"e{i}_{k}" for i, node in enumerate(nodes) for k in range(len(node.parents))
    }
    assert set(svg_parts(drawing.svg(), "node")) == {f"n{i}" for i in range(len(nodes))}
    assert all(bool(lines(part)) == edges for part in parts.values())


def test_arcs_start_and_end_at_their_nodes():
    x = Value(0.5, label="x")
    y = x
    for _ in range(60):
        y = (y * x).sin()
    nodes = topological_order(y)
    svg = draw(y).svg()
    boxes = svg_parts(svg, "node")
    arcs = 0
    for key, part in svg_parts(svg, "edge").items():
        i, k = map(int, key.removeprefix("e").split("_"))
        tail, head = nodes.index(nodes[i].parents[k]), i
        curve = [float(n) for n in re.findall(r"-?[\d.]+", part.find(f".//{SVG}path").get("d"))]
        ends = [float(boxes[f"n{n}"].find(f".//{SVG}text").get("x")) for n in (tail, head)]
        arcs += len(curve) == 8 and abs(ends[1] - ends[0]) > 1000
        assert abs(curve[0] - ends[0]) < 60
        assert abs(curve[-2] - ends[1]) < 60
    assert arcs > 40


def test_edges_show_local_derivatives_and_after_backward_contributions():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    out = (a * b).tanh() * 5
    nodes = topological_order(out)
    assert [node.op for node in nodes] == ["", "", "", "mul", "tanh", "mul"]
    slope = 1 - math.tanh(-6.0) ** 2

    def labels():
        shown = svg_parts(draw(out, edges=True).svg(), "edge")
        return {key: lines(part) for key, part in shown.items()}

    assert labels() == {
        "e3_0": ["local -3"],
        "e3_1": ["local 2"],
        "e4_0": [f"local {number(slope)}"],
        "e5_0": ["local 5"],
        "e5_1": [],  # a plain number receives nothing
    }
    out.backward()
    assert labels() == {
        "e3_0": ["local -3", f"contributes {number(-15 * slope)}"],
        "e3_1": ["local 2", f"contributes {number(10 * slope)}"],
        "e4_0": [f"local {number(slope)}", f"contributes {number(5 * slope)}"],
        "e5_0": ["local 5", "contributes 5"],
        "e5_1": [],
    }


@pytest.mark.parametrize("direction", ["LR", "RL", "TB", "BT"])
def test_labels_beside_upright_edges_begin_and_end_with_a_space(direction):
    x = Value(2.0, label="x")
    y = (x * x).tanh()
    y.backward()
    folded = draw([x * k for k in range(12)], direction=direction, collapse=True)
    for drawing in (draw(y, direction=direction, edges=True), folded):
        labels = [lines(part) for part in svg_parts(drawing.svg(), "edge").values()]
        space = "\N{NO-BREAK SPACE}" * (direction in ("TB", "BT"))
        assert any(labels)
        for line in [line for label in labels for line in label]:
            assert line == f"{space}{line.strip()}{space}"


def test_contributions_on_the_edges_add_up_to_the_gradient():
    x = Value(1.5, label="x")
    out = x * x + x.exp() / x
    out.backward()
    nodes = topological_order(out)
    edges = svg_parts(draw(out, edges=True, digits=17).svg(), "edge")
    contributions = [
        float(lines(edges[f"e{i}_{k}"])[1].removeprefix("contributes "))
        for i, node in enumerate(nodes)
        for k, parent in enumerate(node.parents)
        if parent is x
    ]
    assert len(contributions) == 4
    assert math.isclose(sum(contributions), x.grad, rel_tol=1e-15)


def test_an_edge_without_a_local_derivative_says_so():
    x = Value(0.0, label="x")
    out = where(Value(1.0, label="flag"), Value(2.0), x.sqrt())
    out.backward()  # the gradient of the sqrt is 0, so its infinite slope passes nothing on
    nodes = topological_order(out)
    edges = svg_parts(draw(out, edges=True).svg(), "edge")
    root = next(i for i, node in enumerate(nodes) if node.op == "sqrt")
    assert lines(edges[f"e{root}_0"]) == ["local undefined", "contributes 0"]
    assert lines(edges[f"e{len(nodes) - 1}_0"]) == ["local 0", "contributes 0"]


def test_an_edge_says_what_assigned_gradients_contribute():
    root, log = Value(0.0).sqrt(), Value(5e-324).log()
    root.grad, log.grad = 1.0, 0.0  # backward() would raise, or leave the infinite slope out
    edges = svg_parts(draw([root, log], edges=True).svg(), "edge")
    assert sorted(map(lines, edges.values())) == [
        ["local inf", "contributes 0"],
        ["local undefined"],
    ]


def test_a_custom_primitive_is_drawn_with_its_symbol():
    sinh = Primitive("sinh", math.sinh, lambda out, x: (1.0 + out * out) ** 0.5, symbol='<sh "&">')
    out = sinh(Value(0.0))
    assert texts(draw(out))["n1"] == ['<sh "&">  v1', "data 0", "grad 0"]
    assert lines(svg_parts(draw(out, edges=True).svg(), "edge")["e1_0"]) == ["local 1"]


# --- names, kinds and numbers ---------------------------------------------------------------------


def test_numbers_have_fixed_significant_digits():
    assert [number(x) for x in (1 / 3, 2.0, -1234567.0, 1e-9, -0.0)] == [
        "0.3333",
        "2",
        "-1.235e+06",
        "1e-09",
        "-0",
    ]
    assert [number(x) for x in (math.nan, math.inf, -math.inf)] == ["nan", "inf", "-inf"]
    assert number(math.pi, 8) == "3.1415927"


def test_names_are_labels_or_generated_and_always_unique():
    x, unnamed = Value(1.0, label="v1"), Value(2.0)
    middle = x * unnamed
    out = (middle + 0.25).exp()
    out.label = "x1"
    found = full_names(topological_order(out), {})
    assert [found[node] for node in topological_order(out)] == [
        "v1",  # its label
        "x2",  # x1 is taken
        "0.25",
        "v2",  # v1 is taken
        "v3",
        "x1",
    ]


def test_nodes_are_classified_by_kind():
    x = Value(1.0)
    middle = x * 2
    out = middle + x
    nodes = topological_order(out)
    assert kinds_of(nodes, {out}, set()) == ["leaf", "constant", "inner", "output"]
    assert kinds_of(nodes, {middle}, {x}) == ["parameter", "constant", "output", "inner"]


def test_a_picture_accepts_the_names_and_gradients_of_a_page():
    nodes = topological_order(example_graph())
    names, kinds = full_names(nodes, {}), kinds_of(nodes, {nodes[-1]}, set())
    sheet = picture(nodes, names, kinds, gradients=[float(i) for i in range(8)], direction="TB")
    parts = svg_parts(render(sheet.source, "svg").decode(), "node")
    assert lines(parts["n4"]) == ["*  v1", "data -6", "grad 4"]
    assert lines(parts["n2"]) == ["10"]
    assert "rankdir=TB" in sheet.source


# --- colours --------------------------------------------------------------------------------------


def luminance(colour):
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_text_and_lines_have_enough_contrast_on_white_and_on_dark():
    assert all(contrast(INK, style["fillcolor"]) >= 7 for style in STYLES.values())
    assert contrast(LINE, "#ffffff") >= 4
    assert contrast(LINE, "#1e1e1e") >= 4
    # A border stands out from the fill, and the fill from a dark page.
    assert all(contrast(style["color"], style["fillcolor"]) >= 2.5 for style in STYLES.values())
    assert all(contrast(style["fillcolor"], "#1e1e1e") >= 7 for style in STYLES.values())


def test_kinds_differ_in_shape_and_in_colour():
    shapes = [(s["shape"], s.get("style"), s.get("peripheries")) for s in STYLES.values()]
    assert len(set(shapes)) == len(STYLES)
    assert len({style["fillcolor"] for style in STYLES.values()}) == len(STYLES)


def test_the_background_is_transparent():
    assert "bgcolor=transparent" in draw(Value(1.0)).source
    fills = [p.get("fill") for p in ET.fromstring(draw(Value(1.0)).svg()).iter(f"{SVG}polygon")]
    assert fills == [STYLES["leaf"]["fillcolor"]]


# --- labels are text ------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "<b>bold</b>",
    "<TABLE>",
    "&amp; &lt; &#65; &eacute; &",
    "quote \" and ' and `",
    '"]; evil [label="',
    "{braces} | <port> [brackets]",
    r"\N \G \E \T \H \L \l \r \n \\ \ ",
    "trailing\\",
    "a  b   c",
    "  spaces around  ",
    " ",
    "--><!-- ]]> <![CDATA[",
    "// no comment # /* */",
    "%n %s {0} $x$",
    "naïve Ω ∂L/∂w 数学",
    "🎈👩‍👩‍👧‍👦🇪🇺",
    "שלום עולם",
    "a\u0301\u0323 e\u200db",
    "strict graph node",
    "\u00a0no-break\u00a0",
]
# Invisible characters, and the symbols shown for them.
SIGNS = {
    "two\nlines": "two↵lines",
    "\r\n": "␍↵",
    "tab\there": "tab⇥here",
    "\x00\x01\x1b\x1f\x7f": "␀␁␛␟␡",
    "\x85\u2028\u2029": "↵↵↵",
    "half \ud83d of a pair": "half � of a pair",
    "\ufffe\uffff": "��",
    "\u202eright to left\u202c": "�right to left�",
    "\x80\x9b1m\x9f": "��1m�",
}


# The marks of Unicode's bidirectional algorithm.
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def check_label(label, expected):
    leaf = Value(1.0, label=label)
    out = leaf.exp()
    out.label = f"{label}!"
    drawing = draw(out)
    dot = pygraphviz.AGraph(string=drawing.source)
    assert sorted(dot.nodes()) == ["n0", "n1"]
    assert len(dot.edges()) == 1
    parts = svg_parts(drawing.svg(), "node")
    assert lines(parts["n0"]) == [expected, "data 1", "grad 0"]
    assert lines(parts["n1"]) == [f"exp  {expected}!", "data 2.718", "grad 0"]
    assert tooltip(parts["n0"]) == f"{expected}\ndata 1.0\ngrad 0.0"
    tags = {element.tag.removeprefix(SVG) for element in ET.fromstring(drawing.svg()).iter()}
    assert tags == {"svg", "g", "a", "polygon", "path", "text"}
    return drawing


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_shown_as_typed(label):
    check_label(label, label)


@pytest.mark.parametrize(("label", "expected"), SIGNS.items())
def test_invisible_characters_are_shown_as_symbols(label, expected):
    check_label(label, expected)


@settings(deadline=None, max_examples=examples(100))
@given(any_text(min_size=1, max_size=39))  # with a "!" behind it 40, more would be clipped
@example("\x1b[31m")
def test_any_label_is_shown_as_typed(label):
    expected = ""
    for c in label:
        if c in "\n\x85\u2028\u2029":
            c = "↵"
        elif c == "\t":
            c = "⇥"
        elif c < " ":
            c = chr(0x2400 + ord(c))
        elif c == "\x7f":
            c = "␡"
        elif (
            "\ud800" <= c <= "\udfff"
            or "\x80" <= c < "\xa0"
            or "\ufdd0" <= c <= "\ufdef"
            or ord(c) & 0xFFFE == 0xFFFE
            or c in DIRECTIONS
        ):
            c = "�"
        expected += c
    check_label(label, expected)


@pytest.mark.parametrize("format", ["png", "pdf", "dot"])
@pytest.mark.parametrize("label", ['<script>&amp;"{}|\\N\n\x00\ud83d 🎈 ' + "x" * 200])
def test_hostile_labels_do_no_harm_in_other_formats(tmp_path, label, format):
    path = tmp_path / f"x.{format}"
    draw(Value(1.0, label=label)).save(path)
    assert path.stat().st_size > 100


def test_a_long_label_is_cut_in_its_middle_and_whole_in_the_tooltip():
    label = "a" * 30 + "<middle>" + "z" * 30
    part = svg_parts(draw(Value(1.0, label=label)).svg(), "node")["n0"]
    assert lines(part)[0] == "a" * 20 + "…" + "z" * 19
    assert tooltip(part).splitlines()[0] == label


# --- as a picture ---------------------------------------------------------------------------------


def test_an_svg_is_a_single_element_that_a_page_can_embed():
    svg = draw(example_graph()).svg()
    assert svg.startswith("<svg ")
    assert not re.search("<!|<[?]|<title>", svg)
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Graph of 8 nodes"


def test_the_lines_of_a_node_are_centred_in_it():
    """So they stay in the box if a browser's font is narrower or wider than Graphviz's."""
    for part in svg_parts(draw(example_graph()).svg(), "node").values():
        placed = {(t.get("text-anchor"), t.get("x")) for t in part.iter(f"{SVG}text")}
        ((anchor, x),) = placed
        ellipse, polygon = (part.find(f".//{SVG}{shape}") for shape in ("ellipse", "polygon"))
        if ellipse is not None:
            middle = float(ellipse.get("cx"))
        else:
            path = part.find(f".//{SVG}path")
            outline = path.get("d") if polygon is None else polygon.get("points")
            xs = [float(x) for x in re.findall(r"(-?[\d.]+),", outline)]
            middle = (min(xs) + max(xs)) / 2
        assert anchor == "middle"
        assert abs(float(x) - middle) < 0.01


def test_boxes_leave_room_for_wider_fonts():
    """By the published widths of Helvetica, each box has room for text a tenth wider."""
    narrow = {" ": 0.278, ".": 0.278, "t": 0.278, "-": 0.333, "r": 0.333}  # digits are 0.556
    part = svg_parts(draw(Value(-1.2345e-100)).svg(), "node")["n0"]
    xs = [float(x) for x in re.findall(r"(-?[\d.]+),", part.find(f".//{SVG}polygon").get("points"))]
    needed = max(sum(narrow.get(c, 0.556) for c in line) for line in lines(part)) * 11
    assert max(xs) - min(xs) > 1.1 * needed
    wide = re.search(r"width=([\d.]+)", draw(Value(1.0, label="重" * 20)).source.partition("n0")[2])
    assert 72 * float(wide[1]) > 1.05 * 20 * 11  # each takes a square


def pixels(png):
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def chain(nodes):
    x = Value(1.0, label="x")
    for _ in range(nodes - 1):
        x = x.tanh()
    return x


def test_scale_sets_the_pixels_per_point_of_a_png(tmp_path):
    drawing = draw(example_graph())
    width, height = pixels(drawing.png(scale=np.float32(1)))
    assert pixels(drawing.png()) == pytest.approx((2 * width, 2 * height), abs=2)
    drawing.save(tmp_path / "large.png", scale=3.5)
    large = pixels((tmp_path / "large.png").read_bytes())
    assert large == pytest.approx((3.5 * width, 3.5 * height), abs=4)
    with pytest.raises(ValueError, match=r"scale= goes with .png, .* not with .svg"):
        drawing.save(tmp_path / "x.svg", scale=2.0)
    for scale in (0, -1.0, math.nan, math.inf, 1e6):
        with pytest.raises(ValueError, match=r"scale must be above 0, .*: save it as .svg or .pdf"):
            drawing.save(tmp_path / "x.png", scale=scale)
    with pytest.raises(TypeError, match="scale is a number of pixels per point, not '2'"):
        drawing.png(scale="2")
    assert os.listdir(tmp_path) == ["large.png"]


def test_a_png_too_wide_for_its_scale_warns_or_raises():
    drawing = draw(chain(300))
    with pytest.warns(UserWarning, match=r"has 0\.\d+ pixels per point, not 2, .* \.svg or \.pdf"):
        width, _ = pixels(drawing.png())
    assert 31_000 < width <= 32_767
    with pytest.raises(ValueError, match=r"at most 0\.\d+ for a picture of this size, not 2\.0"):
        drawing.png(scale=2.0)


def test_equal_graphs_give_identical_pictures():
    first, second = draw(example_graph()), draw(example_graph())
    assert first.source == second.source
    assert first.svg() == second.svg()


def test_threads_can_draw_at_the_same_time():
    def one(i):
        x = Value(float(i), label=f"<{i}>")
        for _ in range(20):
            x = (x * 0.5).tanh()
        return draw(x).svg()

    alone = [one(i) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, list(range(8)) * 3)) == alone * 3


# --- files ----------------------------------------------------------------------------------------

BEGINNINGS = {"svg": b"<svg ", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph {"}


@pytest.mark.parametrize(("ending", "beginning"), BEGINNINGS.items())
@pytest.mark.parametrize("spell", [str.lower, str.upper])
def test_the_file_extension_sets_the_format(tmp_path, ending, beginning, spell):
    path = tmp_path / spell(f"picture.{ending}")
    path.write_bytes(b"old")
    draw(example_graph()).save(path)
    assert path.read_bytes().startswith(beginning)
    assert os.listdir(tmp_path) == [path.name]


def test_a_path_may_be_a_string_and_a_file_gets_ordinary_permissions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = os.umask(0o022)
    try:
        draw(example_graph()).save("picture.svg")
    finally:
        os.umask(old)
    assert Path("picture.svg").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["x.gif", "x", "svg", ".svg", "x.svg.txt"])
def test_an_unknown_file_extension_is_rejected_with_the_four_valid_ones(tmp_path, name):
    with pytest.raises(ValueError, match=r"saved as \.svg, \.png, \.pdf or \.dot, not as '.*'"):
        draw(example_graph()).save(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "picture.svg"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    drawing = draw(example_graph())
    monkeypatch.setattr(os, "fsync" if step == "write" else "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        drawing.save(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["picture.svg"]


def test_a_missing_folder_is_named_in_the_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        draw(example_graph()).save(tmp_path / "nowhere" / "x.svg")


# --- Graphviz -------------------------------------------------------------------------------------

INSTALL = r'pip install "pygraphviz>=2"'


def without_pygraphviz(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(path))


def test_no_system_graphviz_is_needed(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "<svg" in draw(example_graph()).svg()


def test_without_any_graphviz_one_error_says_what_to_install(monkeypatch, tmp_path):
    without_pygraphviz(monkeypatch, tmp_path)
    drawing = draw(example_graph())
    for show in (drawing.svg, drawing.png, drawing._repr_mimebundle_):
        with pytest.raises(RuntimeError) as caught:
            show()
        assert INSTALL in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    with pytest.raises(RuntimeError, match="pip install"):
        drawing.save(tmp_path / "x.pdf")
    drawing.save(tmp_path / "x.dot")  # needs no Graphviz
    assert os.listdir(tmp_path) == ["x.dot"]


DOT = """#!{python}
import sys
import pygraphviz
(format,) = [word[2:] for word in sys.argv if word.startswith("-T")]
source = sys.stdin.buffer.read().decode()
sys.stdout.buffer.write(pygraphviz.AGraph(string=source).draw(format=format, prog="dot"))
"""


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for dot is a script")
def test_the_system_graphviz_runs_if_pygraphviz_cannot_be_imported(monkeypatch, tmp_path):
    expected = draw(example_graph()).svg()
    dot = tmp_path / "dot"
    dot.write_text(DOT.format(python=sys.executable))
    dot.chmod(0o755)
    without_pygraphviz(monkeypatch, tmp_path)
    assert draw(example_graph()).svg() == expected
    assert draw(example_graph()).png().startswith(BEGINNINGS["png"])


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for dot is a script")
def test_a_failure_of_the_system_graphviz_is_reported(monkeypatch, tmp_path):
    dot = tmp_path / "dot"
    dot.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such luck')\n")
    dot.chmod(0o755)
    without_pygraphviz(monkeypatch, tmp_path)
    with pytest.raises(RuntimeError, match="Graphviz failed: no such luck"):
        draw(example_graph()).svg()


def test_a_program_can_supply_the_layout_if_pygraphviz_is_missing(monkeypatch, tmp_path):
    def outside(source, format):
        asked.append(format)
        return pygraphviz.AGraph(string=source).draw(format=format, prog="dot")

    asked = []
    monkeypatch.setattr(layout, "outside", outside)
    expected = draw(example_graph()).svg()
    assert not asked
    without_pygraphviz(monkeypatch, tmp_path)
    assert draw(example_graph()).svg() == expected
    assert asked == ["svg"]


def test_drawing_in_a_fresh_process_prints_nothing(tmp_path):
    program = """
from autograd import Value
from autograd.draw import draw
x = Value(1.0, label="x")
for _ in range(30):
    x = x.sin() - 1e-3
drawing = draw(x, max_nodes=1000)
for ending in ("svg", "png", "pdf", "dot"):
    drawing.save("x." + ending)
y = x
for _ in range(50):
    y = y * x
draw(y, collapse=False).save("arcs.svg")
draw(y, collapse=False).save("arcs.pdf")
draw(y, collapse=True).save("folded.svg")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_only_messages_of_fontconfig_are_suppressed(capfd):
    with standard_error_without(b"Fontconfig"):
        os.write(2, b"Fontconfig warning: unknown element\nsomething else\n")
    os.write(2, b"Fontconfig again\n")
    assert capfd.readouterr().err == "something else\nFontconfig again\n"


@pytest.mark.parametrize("stream", [None, io.TextIOWrapper(io.BytesIO())], ids=["none", "closed"])
def test_a_program_may_have_no_standard_error(stream, monkeypatch, capfd):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with standard_error_without(b"Fontconfig"):
        os.write(2, b"something else\n")
    assert capfd.readouterr().err == "something else\n"


def test_a_program_may_have_no_screen():
    program = """
import os
from autograd.draw.layout import standard_error_without
os.close(2)
with standard_error_without(b"Fontconfig"):
    print("drawn")
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"drawn"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_can_draw_though_a_thread_of_its_parent_was_drawing(monkeypatch):
    drawing, forked = threading.Event(), threading.Event()
    read_fonts = layout._read_fonts

    def waiting(pygraphviz):
        drawing.set()
        forked.wait()

    monkeypatch.setattr(layout, "_read_fonts", waiting)
    thread = threading.Thread(target=lambda: draw(Value(2.0)).svg())
    thread.start()
    drawing.wait()
    monkeypatch.setattr(layout, "_read_fonts", read_fonts)
    child = os.fork()
    if not child:
        signal.alarm(30)  # ends a process that waits
        os._exit("svg" not in draw(Value(2.0)).svg())
    forked.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_graphviz_is_imported_only_when_something_is_drawn():
    program = """
import sys
import autograd.draw
print([name for name in ("graphviz", "pygraphviz", "tempfile", "html", "json", "dataclasses")
       if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"format": "gif"}, ValueError, "format is one of svg, png, not 'gif'"),
        ({"format": "pdf"}, ValueError, r"not 'pdf'; .* \.save\(\"graph\.pdf\"\)"),
        ({"direction": "up"}, ValueError, "direction is one of LR, TB, RL, BT, not 'up'"),
        ({"format": 3}, TypeError, "format is one of svg, png, not 3"),
        ({"format": Value(3.0)}, TypeError, r"one list: write draw\(\[a, b\]\)"),
        ({"direction": np.ones(2)}, TypeError, "direction is one of LR, TB, RL, BT, not array"),
        ({"max_nodes": 0}, ValueError, "max_nodes must be 1 or more, not 0"),
        ({"max_nodes": "10"}, TypeError, "max_nodes must be a whole number, not '10'"),
        ({"digits": 0}, ValueError, "digits must be 1 or more, not 0"),
        ({"depth": -1}, ValueError, "depth must be 0 or more, not -1"),
        ({"depth": True}, TypeError, "depth must be a whole number, not True"),
        ({"names": "yes"}, TypeError, "names must be True, False or None, not 'yes'"),
        ({"collapse": 1}, TypeError, "collapse must be True, False or None, not 1"),
        ({"edges": None}, TypeError, "edges must be True or False, not None"),
        ({"depth": 1, "collapse": False}, ValueError, "leave out one|collapse=False"),
        ({"model": 3}, TypeError, r"model= takes a module with named_parameters\(\), not 3"),
    ],
)
def test_invalid_settings_are_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        draw(example_graph(), **wrong)


@pytest.mark.parametrize("wrong", [3.0, None, [1.0], [Value(1.0), "x"]])
def test_non_values_are_rejected(wrong):
    with pytest.raises(TypeError, match=r"must be a Value|takes a Value"):
        draw(wrong)


def test_a_function_is_rejected_with_the_advice_to_call_it():
    with pytest.raises(TypeError, match=r"function .*: call it, as in draw\(model\(x\)\)$"):
        draw(example_graph)


def test_an_empty_list_of_outputs_is_rejected():
    with pytest.raises(ValueError, match="needs at least one output"):
        draw([])


def test_several_outputs_are_all_marked():
    x = Value(1.0, label="x")
    middle = x.exp()
    last = middle.sin()
    source = draw([middle, last]).source
    assert source.count("peripheries=2") == 2
    assert draw([x, x]).source == draw(x).source


# --- folding, with stand-ins for modules ----------------------------------------------------------


class Owner:
    """All that the engine knows of a module: an object that is being called."""


def boxes(drawing):
    """How many nodes each box of a drawing stands for, according to its text."""
    found = {}
    for key, said in texts(drawing).items():
        counts = [re.fullmatch(r"([\d,]+) (\w+)", line) for line in said]
        numbers = {m[2]: int(m[1].replace(",", "")) for m in counts if m}
        if key.startswith("n"):
            found[key] = 1
        elif any(kind.startswith("node") for kind in numbers):
            found[key] = next(n for kind, n in numbers.items() if kind.startswith("node"))
        else:
            (found[key],) = numbers.values()
    return found


def is_acyclic(drawing):
    """Whether the edges of a drawing form no cycle."""
    left = {tuple(edge) for edge in pygraphviz.AGraph(string=drawing.source).edges()}
    while left:
        last = {tail for tail, _ in left}
        ended = {edge for edge in left if edge[1] not in last}
        if not ended:
            return False
        left -= ended
    return True


@settings(deadline=None, max_examples=examples(60))
@given(st.data())
def test_at_every_depth_boxes_add_up_to_the_graph_and_edges_form_no_cycle(data):
    """For random nested calls, each with its own owner, and arithmetic everywhere in between."""
    values = [Value(0.1 * i, label=f"x{i}") for i in range(3)]
    entered = []
    start = context.current.get()
    for _ in range(data.draw(st.integers(5, 40))):
        what = data.draw(st.sampled_from(["op", "op", "op", "number", "enter", "leave"]))
        a, b = (data.draw(st.sampled_from(values[-6:])) for _ in range(2))
        if what == "enter" and len(entered) < 4:
            entered.append(context.current.set(context.current.get().within(Owner())))
        elif what == "leave" and entered:
            context.current.reset(entered.pop())
        else:
            values.append(2 - a if what == "number" else a + b)
    while entered:
        context.current.reset(entered.pop())
    assert context.current.get() is start
    total = len(topological_order(values[-1]))
    for depth in (0, 1, 2, 3, 4, None):
        drawing = draw(values[-1], depth=depth, collapse=True)
        assert sum(boxes(drawing).values()) == total
        assert is_acyclic(drawing)
        ET.fromstring(drawing.svg())


def test_a_large_graph_without_modules_says_how_to_fold_it():
    x = Value(1.0)
    for _ in range(400):
        x = x + 0.5
    with pytest.raises(ValueError, match="the graph has 801 nodes, more than max_nodes = 300"):
        draw(x)
    with pytest.raises(ValueError, match="raise max_nodes, or leave out collapse=False"):
        draw(x, collapse=False)
    assert sorted(boxes(draw(x, collapse=True)).values()) == [1, 1, 399, 400]
    assert len(boxes(draw(x, max_nodes=801))) == 801


def test_a_small_graph_is_not_folded_unless_asked():
    out = example_graph()
    assert len(boxes(draw(out))) == 8
    assert texts(draw(out, collapse=True)) == {
        "b0": ["2 inputs", "a, b"],
        "b1": ["2 constants"],
        "b2": ["arithmetic", "* ×1, + ×1, tanh ×1", "3 nodes"],
        "n7": ["**  out", "data 0.9987", "grad 0"],
    }


def test_edges_between_boxes_show_how_many_values_flow():
    xs = [Value(float(i)) for i in range(5)]
    source = draw((xs[0] * xs[1] + xs[2] * xs[3]) * xs[0] + xs[4], collapse=True).source
    inputs, arithmetic, output = "b0", "b1", "n9"
    assert re.findall(r"(\w+) -> (\w+) \[(?:label=(\d+) )?", source) == [
        (inputs, arithmetic, "4"),
        (arithmetic, output, ""),  # a single value gets no label
        (inputs, output, ""),
    ]


def test_a_chain_of_100_000_nodes_is_folded_without_recursion():
    x = Value(0.5, label="x")
    for _ in range(100_000):
        x = x.sin()
    with pytest.raises(ValueError, match="100,001 nodes"):
        draw(x)
    assert sorted(boxes(draw(x, collapse=True)).values()) == [1, 1, 99_999]


def test_a_constant_with_a_label_shows_it():
    pi = constant(math.pi)
    pi.label = "pi"
    assert texts(draw(pi * Value(2.0)))["n0"] == ["pi", "3.142"]


def test_draw_and_steps_stay_functions_after_importing_their_submodules():
    program = """
from importlib import import_module
for module in ("sheet", "graph", "names", "layout"):
    import_module(f"autograd.draw.{module}")
for module in ("page", "terminal", "recorder", "player"):
    import_module(f"autograd.steps.{module}")
import autograd
x = autograd.Value(2.0, "x")
print(autograd.draw(x), repr(autograd.steps(x * x)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "<Drawing of 1 node> <Steps: forward to v1 and back, 2 in all>\n"
