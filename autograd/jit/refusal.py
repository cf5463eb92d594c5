"""How does an error say that something cannot be recorded, and in which line of the user's code?"""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import FrameType
from typing import NoReturn

_ROOT = Path(__file__).resolve().parents[2]
_PATHS = sysconfig.get_paths()
# Folders of code that is not the user's: this library, Python's own, and what was installed.
NOT_THE_USERS = (
    *(str(_ROOT / package) + os.sep for package in ("autograd", "nn")),
    *(_PATHS[place] + os.sep for place in ("stdlib", "purelib", "platlib")),
)


class TraceError(RuntimeError):
    """A function did what a replay could not repeat; the message says what to write instead."""


def refuse(what: str, instead: str) -> NoReturn:
    """Raise TraceError: `what` cannot be recorded, write `instead`."""
    raise TraceError(f"{what} while the function is recorded: {instead} ({_current_line()})")


def line_of(error: BaseException) -> str:
    """The innermost line of the user's code that an error came through: `train.py:12: loss = ...`.

    "unknown line" if there is none.
    """
    lines = [
        _shown(frame.filename, frame.lineno or 0)
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_users(frame.filename)
    ]
    return lines[-1] if lines else "unknown line"


def _current_line() -> str:
    """The innermost line of the user's code that is being executed."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _is_users(frame.f_code.co_filename):
            return _shown(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return "unknown line"


def _is_users(file: str) -> bool:
    return not os.path.abspath(file).startswith(NOT_THE_USERS)


def _shown(file: str, line: int) -> str:
    return f"{os.path.basename(file)}:{line}: {linecache.getline(file, line).strip()}"
