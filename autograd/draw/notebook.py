"""How does a drawing show itself in a notebook? Fitted to its cell, in the notebook's theme.

A front end picks the richest format that it supports. The HTML holds a PNG, which a script replaces
by the SVG. On GitHub and in an untrusted notebook, scripts and SVG are stripped, and the PNG stays.
The SVG has tooltips, and a click toggles its actual size.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any

from autograd.draw.layout import svg_size

MOST_PIXELS = 2_000  # on the longer side of a PNG, which a notebook stores twice

# The theme is that of the notebook (JupyterLab, VS Code, Colab), or the reader's preference in a
# plain page. For a dark one, colours are inverted and their hues restored: light boxes turn dark.
_STYLE = """
.autograd-drawing { --autograd-theme: none; }
@media (prefers-color-scheme: dark) { .autograd-drawing { --autograd-theme: DARK; } }
[data-jp-theme-light=false] .autograd-drawing, [theme=dark] .autograd-drawing,
.vscode-dark .autograd-drawing, .vscode-high-contrast .autograd-drawing { --autograd-theme: DARK; }
[data-jp-theme-light=true] .autograd-drawing, [theme=light] .autograd-drawing,
.vscode-light .autograd-drawing, .vscode-high-contrast-light .autograd-drawing {
  --autograd-theme: none;
}
""".replace("DARK", "invert(0.9) hue-rotate(180deg)")

_SCRIPT = """(() => {
const source = SOURCE;
for (const host of document.querySelectorAll('[id="KEY"]')) {
  if (host.shadowRoot) continue;
  const style = document.createElement("style");
  style.textContent = `div { overflow: auto; }
svg { display: block; height: auto; max-width: 100%; filter: var(--autograd-theme); }
.wide svg { cursor: zoom-in; } .whole svg { max-width: none; cursor: zoom-out; }`;
  const box = document.createElement("div");
  const svg = new DOMParser().parseFromString(source, "image/svg+xml").documentElement;
  box.append(document.importNode(svg, true));
  box.setAttribute("role", "group"); // named, and its texts can still be read
  box.setAttribute("aria-label", host.querySelector("img").alt);
  const toggle = () => box.classList.toggle("whole", box.matches(".wide:not(.whole)"));
  box.addEventListener("click", toggle);
  box.addEventListener("keydown", (event) => event.key === "Enter" && toggle());
  new ResizeObserver(() => {
    const wide = svg.width.baseVal.value > box.clientWidth;
    box.classList.toggle("wide", wide);
    box.tabIndex = wide ? 0 : -1;
  }).observe(box);
  host.attachShadow({ mode: "open" }).append(style, box);
}
})();"""


def fragment(svg: str, png: bytes, about: str) -> str:
    """An HTML fragment that shows a drawing, described by `about`."""
    key = f"autograd-drawing-{sha256(svg.encode()).hexdigest()[:16]}"
    script = _SCRIPT.replace("KEY", key).replace("SOURCE", as_json(svg))
    width, _ = in_pixels(svg)
    image = image_of(png, about, width)
    style = f"<style>{_STYLE}</style>"
    return (
        f'<div id="{key}" class="autograd-drawing">{image}{style}</div>\n<script>{script}</script>'
    )


def as_json(content: Any) -> str:
    """JSON in ASCII, escaped so that no string in it can end the script element around it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c")


def image_of(png: bytes, about: str, width: float) -> str:
    """An <img> element that shows a PNG, `width` pixels wide and described by `about`."""
    source = f"data:image/png;base64,{coded(png)}"
    return f'<img alt="{escape(about)}" width="{width:.0f}" src="{source}">'


def without_ids(svg: str) -> str:
    """An SVG without ids, which would clash with those of the next drawing on the page."""
    return re.sub(r'<g id="[^"]*"', "<g", svg)


def in_pixels(svg: str) -> tuple[int, int]:
    """Width and height of a picture in CSS pixels, 96 to the inch."""
    width, height = (round(points * 4 / 3) for points in svg_size(svg))
    return width, height


def coded(png: bytes) -> str:
    """A PNG in Base64, as a notebook stores it."""
    return b64encode(png).decode()
