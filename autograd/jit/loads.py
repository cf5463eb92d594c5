"""Which names does the code of a function load? With their attributes, as in `config.scale`."""

from __future__ import annotations

import dis
import functools
from types import CodeType

_ROOTS = {"LOAD_GLOBAL": "global", "LOAD_NAME": "global", "LOAD_DEREF": "cell"}
_ROOTS |= {"STORE_GLOBAL": "global", "STORE_DEREF": "cell"}
_ATTRIBUTES = frozenset(["LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"])


@functools.cache
def loads(code: CodeType) -> tuple[tuple[str, ...], ...]:
    """(kind, name, attribute, ...) of each dotted name; the kind is "global", "cell" or "local".

    The code of functions, lambdas and comprehensions inside counts as well.
    """
    found: list[tuple[str, ...]] = []
    path: tuple[str, ...] = ()
    for step in dis.get_instructions(code):
        if step.opname in _ATTRIBUTES:
            path = (*path, step.argval) if path else ()
        elif step.opname.startswith("LOAD_FAST"):
            names = step.argval  # of an instruction that loads two, both
            path = ("local", names[-1] if isinstance(names, tuple) else names)
        elif step.opname in _ROOTS:
            path = (_ROOTS[step.opname], step.argval)
        elif step.opname != "COPY":  # that of `config.count += 1`
            path = ()
        if path:
            found.append(path)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += [path for path in loads(constant) if path[0] != "local"]
    return tuple(dict.fromkeys(found))
