"""How does an error say what cannot be recorded, and in which line of the user's code?"""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
from collections.abc import Iterable
from inspect import CO_VARARGS
from types import FrameType
from typing import Any, NoReturn

from autograd.context import current
from autograd.hooks import TraceError as TraceError  # where nn finds it without NumPy
from autograd.text import for_stream

# As in the code of their modules, also behind a symbolic link or in an archive.
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_OURS = tuple(os.path.join(_ROOT, package, "") for package in ("autograd", "nn"))
_STANDARD = os.path.dirname(linecache.__file__) + os.sep
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")  # in an environment, or for a user
_BASE = "autograd.jit.record"  # the module that calls the function


def refuse(what: str, instead: str) -> NoReturn:
    """Raise TraceError: `what` cannot be recorded, write `instead`.

    The recording fails even if the function catches the error.
    """
    line = _innermost(traceback.walk_stack(sys._getframe()))
    error = TraceError(for_stream(f"{what} while the function is recorded: {instead} ({line})"))
    hooks: Any = current.get().interpreter.hooks
    if hooks.recording:
        hooks.refusals.append(error)
    raise error


def is_interrupt() -> bool:
    """Whether the current code is part of a signal handler, and so not to be recorded.

    Python passes a handler the frame that it interrupts, so a handler is a function with the frame
    below its own among its arguments.
    """
    frame = sys._getframe()
    while frame.f_globals.get("__name__") != _BASE and (below := frame.f_back) is not None:
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & CO_VARARGS)
        given = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
        parts = [part if isinstance(part, tuple) else (part,) for part in given]
        if any(thing is below for part in parts for thing in part):
            return True
        frame = below
    return False


def line_of(error: BaseException) -> str:
    """Return the innermost line of the user's code in the traceback of an error."""
    return _innermost(reversed(list(traceback.walk_tb(error.__traceback__))))


def _innermost(calls: Iterable[tuple[FrameType, int]]) -> str:
    """Return the first line of the user's, as `train.py:12: loss = ...`, or "unknown line"."""
    for frame, line in calls:
        file = frame.f_code.co_filename
        if is_users(file) and not file.startswith("<frozen "):  # a part of the standard library
            return f"{os.path.basename(file)}:{line}: {linecache.getline(file, line).strip()}"
    return "unknown line"


def is_installed(file: str) -> bool:
    """Whether a file belongs to an installed package other than this one."""
    return _INSTALLED.search(file) is not None and not file.startswith(_OURS)


def is_users(file: str) -> bool:
    """Whether a file is from neither this library, the standard one, nor an installed package."""
    file = str(file)  # a module may have a Path
    return not file.startswith((*_OURS, _STANDARD)) and _INSTALLED.search(file) is None


def module_of(kind: type) -> str:
    """Return the name of the module that defines a class."""
    return str(kind.__module__)  # a descriptor for some classes written in C


def file_of(kind: type) -> str:
    """Return the file that defines a class; "" if it is written in C or was typed in."""
    return str(getattr(sys.modules.get(module_of(kind)), "__file__", None) or "")


def is_users_class(kind: type) -> bool:
    """Whether the user defines a class; modules written in C have no file that says so."""
    is_standard = module_of(kind).partition(".")[0] in sys.stdlib_module_names
    return not is_standard and is_users(file_of(kind))
