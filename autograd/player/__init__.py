"""How does a pass become a page? A picture of it, the recorded steps, and a script that plays them.

The script takes the place of the picture. Where scripts are taken out, as on GitHub, the picture
of the finished pass stays.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import graphviz

    from autograd.steps import Steps
    from autograd.value import Value

SCRIPTS = ("pass.js", "picture.js", "player.js")
ALT_LEAVES = 12  # as many gradients are read out in the place of the picture
IMAGE_PIXELS = 1_800  # a side of the static picture at most
IMAGE_SCALE = 1.5  # its pixels for each pixel of a page
WIDEST = -0.01234  # boxes leave room for numbers as long as this one, which a leaf's move may bring

PAGE_STYLE = """
body { margin: 0 auto; padding: 16px; max-width: 1400px; background: #ffffff; }
img { max-width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { body { background: #0f1215; } }
"""


def fragment(steps: Steps) -> str:
    """The player as a piece of HTML, for the output of a notebook."""
    return _fragment(steps, steps.data())[0]


def page(steps: Steps) -> str:
    """The player as a whole HTML file, which needs nothing else and may ask for nothing else."""
    recorded = steps.data()
    body, script = _fragment(steps, recorded)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; img-src data:; base-uri 'none';"
        f" form-action 'none'; style-src {_hash(PAGE_STYLE)} {_hash(_read('player.css'))}"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(recorded["title"])}</title>
<style>{PAGE_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _fragment(steps: Steps, recorded: dict[str, Any]) -> tuple[str, str]:
    """The piece of HTML, and the script in it."""
    from uuid import uuid4

    key = f"autograd-player-{uuid4().hex}"  # one notebook holds many players
    code = "\n".join(_read(name) for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{code}\nmount("{key}");\n}})();'
    kinds = [node["kind"] for node in recorded["nodes"]]
    _add_locals(recorded, steps)
    content = {"steps": recorded, "picture": _svg(steps, kinds), "css": _read("player.css")}
    data = f'<script type="application/json">{_json(content)}</script>'
    image = _image(steps, kinds)
    return f'<div id="{key}">{image}{data}</div>\n<script>{script}</script>', script


# --- what the script is given ---------------------------------------------------------------------


def _add_locals(recorded: dict[str, Any], steps: Steps) -> None:
    """To every edge of the recording, the local derivative as Python computed it.

    Until a leaf is moved the page shows these very numbers, to the last bit; the logarithms of
    Python and of a browser differ there.
    """
    for entry, step in zip(recorded["backward"], steps[len(steps) // 2 :], strict=True):
        edges = {edge["operand"]: edge for edge in entry["edges"]}
        for passed in getattr(step, "contributions", ()):
            local = float(passed.local)
            edges[passed.operand]["local_value"] = local if math.isfinite(local) else str(local)


def _svg(steps: Steps, kinds: Sequence[str]) -> str:
    """The graph as Graphviz lays it out, without what the page's own style says."""
    from autograd.draw import render

    graph = _picture(steps, kinds, dict.fromkeys(steps.gradients, WIDEST))
    graph.graph_attr["ranksep"] = "0.7"  # room for a contribution on each edge
    svg = render(graph.source, "svg").decode()
    return re.sub(r' (?:fill|stroke|font-[a-z]+|xml:space|xlink:[a-z]+)="[^"]*"', "", svg)


def _picture(
    steps: Steps, kinds: Sequence[str], gradients: Mapping[Value, float]
) -> graphviz.Digraph:
    from autograd.draw import picture

    shown = [gradients.get(node) for node in steps.nodes]
    return picture(steps.nodes, dict(steps.names), gradients=shown, kinds=kinds)


def _json(content: Any) -> str:
    """JSON in ASCII, in which no text can end the script element that holds it."""
    import json

    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


# --- what stands there without the script ---------------------------------------------------------


def _image(steps: Steps, kinds: Sequence[str]) -> str:
    """The finished pass as a picture in words and in pixels."""
    from base64 import b64encode

    from autograd.draw import render
    from autograd.text import clipped, number

    graph = _picture(steps, kinds, steps.gradients)
    dpi = 96 * IMAGE_SCALE
    graph.graph_attr.update(dpi=f"{dpi:.0f}", size=f"{IMAGE_PIXELS / dpi},{IMAGE_PIXELS / dpi}")
    png = render(graph.source, "png")
    width = int.from_bytes(png[16:20], "big") / IMAGE_SCALE  # where every PNG file holds it
    leaves = [node for node in steps.gradients if not node.parents]
    named = [f"{clipped(steps.names[node])} {number(steps.gradients[node])}" for node in leaves]
    if len(named) > ALT_LEAVES:
        named[ALT_LEAVES:] = [f"and {len(named) - ALT_LEAVES} more"]
    output = clipped(steps.names[steps.output])
    alt = (
        f"The graph of {output} after its backward pass: {len(steps.nodes)} nodes,"
        f" {output} = {number(steps.output.data)}. Gradients of the leaves: {', '.join(named)}."
    )
    source = b64encode(png).decode()
    return f'<img alt="{_text(alt)}" width="{width:.0f}" src="data:image/png;base64,{source}">'


def _text(text: str) -> str:
    """A text as it stands in HTML, in an attribute too; halves of surrogate pairs become ?."""
    from html import escape

    return escape(text.encode("utf-8", "replace").decode())


# --- files ----------------------------------------------------------------------------------------


def _read(name: str) -> str:
    from importlib.resources import files

    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def operations() -> frozenset[str]:
    """The rows of the table that the page can compute: those that pass.js has a function for."""
    _, _, table = _read("pass.js").partition("const OPERATIONS = {\n")
    return frozenset(re.findall(r"^  (\w+)[:,]", table.partition("\n};")[0], re.MULTILINE))


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls a script or a style that it allows."""
    from base64 import b64encode
    from hashlib import sha256

    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
