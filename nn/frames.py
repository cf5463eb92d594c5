"""Whose code is it? This library's, or its user's, to whom warnings and errors point."""

from __future__ import annotations

import sys


def is_ours(module: object) -> bool:
    """Whether a module, given by its name, belongs to this library."""
    return str(module).startswith(("nn.", "autograd."))


def level_of_user() -> int:
    """Return the `stacklevel` at which a warning from the caller points to the user's code."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and is_ours(frame.f_globals.get("__name__")):
        level, frame = level + 1, frame.f_back
    return level
