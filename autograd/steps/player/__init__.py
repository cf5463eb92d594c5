"""Which files make up the page? Its styles, and its scripts in the order of concatenation."""

from __future__ import annotations

import re
from importlib.resources import files

SCRIPTS = (
    "operations.js",
    "pass.js",
    "texts.js",
    "elements.js",
    "equations.js",
    "picture.js",
    "overview.js",
    "view.js",
    "step.js",
    "chain.js",
    "leaves.js",
    "present.js",
    "nudge.js",
    "descend.js",
    "experiments.js",
    "questions.js",
    "predict.js",
    "theme.js",
    "fold.js",
    "boxstep.js",
    "views.js",
    "player.js",
)
STYLES = ("player.css", "learning.css")


def read(name: str) -> str:
    """The text of a file."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def style() -> str:
    """The style of the page."""
    return "\n".join(read(name) for name in STYLES)


def operations() -> frozenset[str]:
    """The rows of the table that the page can compute: those with a function in operations.js."""
    _, _, table = read("operations.js").partition("const OPERATIONS = {\n")
    return frozenset(re.findall(r"^  (\w+)[:,]", table.partition("\n};")[0], re.MULTILINE))
