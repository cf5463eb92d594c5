"""Which names does the code of a function load? With their attributes, as in `config.scale`."""

from __future__ import annotations

import dis
import functools
import itertools
from types import CodeType

_ROOTS = {"LOAD_GLOBAL": "global", "LOAD_NAME": "global", "LOAD_DEREF": "cell"}
_ROOTS |= {"STORE_GLOBAL": "global", "STORE_DEREF": "cell", "IMPORT_NAME": "module"}
_ROOTS |= {"LOAD_CLASSDEREF": "cell", "LOAD_FROM_DICT_OR_DEREF": "cell"}  # in the body of a class
_UNNAMED: tuple[str, ...] = ("any", "")
_GETTERS = frozenset(["getattr", "attrgetter", "methodcaller"])
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "STORE_ATTR", "IMPORT_FROM")
# Functions that read all attributes of an object, and the attribute that leads to them; "?" for
# those that are given the name of one.
_WHOLE = dict.fromkeys(("asdict", "astuple", "fields"), "__init__")
_WHOLE |= {"vars": "__dict__", "getattr": "?", "hasattr": "?"}


@functools.lru_cache(maxsize=1_024)
def loads(code: CodeType) -> tuple[tuple[str, ...], ...]:
    """Return (kind, name, attribute, ...) of each dotted name; called attributes end with "()".

    The kind is "global", "cell", "module", "self" (an argument of that name), or "any" for those of
    something else, such as an entry of a list; its name is ">" if `getattr` or `hasattr` asks for
    the attribute. Nested functions count, with their self as "any".
    """
    found: list[tuple[str, ...]] = []
    path, whole = _UNNAMED, ""
    for before, step in itertools.pairwise(dis.get_instructions(code)):
        if step.opname == "MATCH_CLASS":  # `case Config(rate=rate)`
            found += [(*_UNNAMED, attribute) for attribute in before.argval]
        if whole and step.opname in ("PRECALL", "CALL"):
            found += [(*path, whole)] * (whole != "?")
            whole = ""
        # Ignore attributes that are set on an unnamed thing, mostly a Value: `p.grad = 0.0`.
        if step.opname in _ATTRIBUTES and (path != _UNNAMED or step.opname != "STORE_ATTR"):
            is_called = step.opname == "LOAD_METHOD" or "NULL|self" in step.argrepr
            path = (*path, step.argval + "()" * is_called)
            found += [(*_UNNAMED, path[-1])] * step.is_jump_target  # `(a if x else b).rate`
        elif step.opname.startswith("LOAD_FAST"):
            name = step.argrepr.split(", ")[-1]  # an instruction may load two
            path = ("self", "") if name == "self" else _UNNAMED
        elif whole == "?" and step.opname == "LOAD_CONST" and type(step.argval) is str:
            path, whole = ("any", ">", step.argval), ""
        elif step.opname in _ROOTS:
            path = (_ROOTS[step.opname], step.argval)
        elif step.opname != "COPY":  # which keeps the path, as in `config.count += 1`
            path = _UNNAMED
        found.append(path)
        whole = _WHOLE.get(path[-1].removesuffix("()"), whole)
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    for each in inner:
        found += [("any", *path[1:]) if path[0] == "self" else path for path in loads(each)]
    if not all(_GETTERS.isdisjoint(each.co_names) for each in (code, *inner)):
        texts = [x for part in code.co_consts for x in (part if type(part) is tuple else (part,))]
        found += [("any", "", x) for text in texts if type(text) is str for x in text.split(".")]
    return tuple(dict.fromkeys(found))
