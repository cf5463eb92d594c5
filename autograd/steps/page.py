"""How does a pass become a page? A picture of it, the recorded steps, and a script that plays them.

The script replaces the picture. Where scripts are stripped, as on GitHub, the picture of the
finished pass stays.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any
from uuid import uuid4

from autograd.draw.graph import picture
from autograd.draw.layout import render
from autograd.draw.notebook import as_json, image_of
from autograd.draw.sheet import Digraph
from autograd.steps.folds import Folds
from autograd.steps.passed import Passed
from autograd.steps.player import SCRIPTS, read, style
from autograd.steps.recorder import recorded
from autograd.text import counted, number
from autograd.value import Value

ALT_LEAVES = 12  # gradients listed in the text alternative of the static picture
IMAGE_PIXELS = 1_800  # the longest side of that picture
IMAGE_SCALE = 1.5  # its pixels per CSS pixel
# Graphviz lays out the graph with this number as every gradient, so that each box has room for any
# number that moving a leaf may bring.
LONG_NUMBER = -0.01234

# The layouts that a page chooses from, each with the inches between rows that contributions need.
GAPS = {"LR": "0.7", "TB": "0.5"}
TWO_LAYOUT_NODES = 150  # a larger graph has one: it never fits on the screen, and each takes time
EXERCISE = "<p>An exercise in backpropagation. It needs a browser that runs JavaScript.</p>"

PAGE_STYLE = """
body { margin: 0; background: #ffffff; }
img { margin: 16px; max-width: calc(100% - 32px); height: auto; }
@media (prefers-color-scheme: dark) { body { background: #0f1215; } }
"""


def fragment(passed: Passed) -> str:
    """The player as an HTML fragment, for the output of a notebook.

    Raises TooManyNodes if the graph is too large.
    """
    return _fragment(Folds(passed), alone=False)[1]


def page(passed: Passed, predict: bool = False) -> str:
    """The player as a complete HTML file, which needs nothing else and may load nothing else.

    With `predict` it is an exercise: the numbers are hidden until the reader has predicted them.
    Raises TooManyNodes if the graph is too large.
    """
    title, body, script = _fragment(Folds(passed, folded=not predict), alone=True, predict=predict)
    policy = (
        f"default-src 'none'; script-src {hash_of(script)}; img-src data:; base-uri 'none';"
        f" form-action 'none'; style-src {hash_of(PAGE_STYLE)} {hash_of(style())}"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{PAGE_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _fragment(folds: Folds, alone: bool, predict: bool = False) -> tuple[str, str, str]:
    """The title, the HTML fragment, and the script in it.

    The player fills its window if it is `alone` on a page.
    """
    key = f"autograd-player-{uuid4().hex}"  # one notebook holds many players
    code = "\n".join(read(name) for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{code}\nmount("{key}");\n}})();'
    content = recorded(folds.held)
    if folds.held is not folds.passed:
        _leave_programs_out(content)
    given = {
        "steps": content,
        "pictures": _svgs(folds) if folds.whole else [],
        "folds": folds.recorded(_svg),
        "css": style(),
        "predict": predict,
    }
    data = f'<script type="application/json">{as_json(given)}</script>'
    image = EXERCISE if predict else _image(folds)
    place = " data-alone" if alone else ""
    html = f'<div id="{key}"{place}>{image}{data}</div>\n<script>{script}</script>'
    return content["title"], html, script


# --- what the script is given ---------------------------------------------------------------------


def _leave_programs_out(content: dict[str, Any]) -> None:
    """Remove the programs: a page that holds an excerpt computes nothing and has fixed leaves."""
    content["forward"] = []
    for entry in content["backward"]:
        for edge in entry["edges"]:
            del edge["program"], edge["local"]
    for node in content["nodes"]:
        for key in ("domain", "movable", "fixed_because"):
            del node[key]


def _svgs(folds: Folds) -> list[str]:
    """The whole graph from left to right and, unless it is large, from top to bottom as well."""
    gradients = dict.fromkeys(folds.passed.gradients, LONG_NUMBER)
    directions = list(GAPS)[: 2 if len(folds.passed.nodes) <= TWO_LAYOUT_NODES else 1]
    return [_svg(_picture(folds, gradients, direction), direction) for direction in directions]


def _svg(graph: Digraph, direction: str) -> str:
    """The SVG of a graph, without attributes that the page's own style sets."""
    graph.graph_attr["ranksep"] = GAPS[direction]
    svg = render(graph.source, "svg").decode()
    svg = re.sub(r' (?:fill|stroke|font-[a-z]+|xml:space|xlink:[a-z]+)="[^"]*"', "", svg)
    return re.sub(r'<g id="a_\w+"><a>\n|</a>\n</g>\n', "", svg)  # the tooltips, now empty


def _picture(folds: Folds, gradients: Mapping[Value, float], direction: str = "LR") -> Digraph:
    passed = folds.passed
    shown = [gradients.get(node) for node in passed.nodes]
    return picture(passed.nodes, passed.names, passed.kinds, gradients=shown, direction=direction)


# --- what is shown without the script -------------------------------------------------------------


def _image(folds: Folds) -> str:
    """The finished pass as a picture, with a description in words."""
    passed = folds.passed
    everything = folds.start < 0
    graph = _picture(folds, passed.gradients) if everything else folds.picture(folds.start)
    dpi = 96 * IMAGE_SCALE
    graph.graph_attr.update(dpi=f"{dpi:.0f}", size=f"{IMAGE_PIXELS / dpi},{IMAGE_PIXELS / dpi}")
    leaves = [node for node in passed.gradients if not node.parents]
    named = [f"{passed.name(node)} {number(passed.gradients[node])}" for node in leaves]
    if len(named) > ALT_LEAVES:
        named[ALT_LEAVES:] = [f"and {len(named) - ALT_LEAVES} more"]
    output, result = passed.name(passed.output), number(passed.data_of(passed.output))
    alt = (
        f"The graph of {output} after its backward pass: {counted(len(passed.nodes), 'node')},"
        f" {output} = {result}. Gradients of the leaves: {', '.join(named)}."
    )
    try:
        png = render(graph.source, "png")
    except NotImplementedError:  # see `layout.outside`
        return f"<p>{escape(alt)}</p>"
    width = int.from_bytes(png[16:20], "big") / IMAGE_SCALE  # these bytes of a PNG hold it
    return image_of(png, alt, width)


def hash_of(text: str) -> str:
    """How a Content-Security-Policy refers to a script or a style that it allows."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
