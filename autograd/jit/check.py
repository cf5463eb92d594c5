"""Does a replay give what the eager call gives? A check runs both, and compares them.

No analysis of Python code can know all that a function depends on, so a program proves itself. The
eager run is the call: its effects happen once, and the replay is given the random numbers that it
drew. The replay works on a copy of what it reads. Every number must be equal to the last bit: nan
equals nan, and 0.0 is not -0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any
from weakref import ref

from autograd import hooks
from autograd.clock import clock
from autograd.jit.contents import same
from autograd.jit.leaves import Linked
from autograd.jit.program import UNSURE, Program
from autograd.jit.refusal import TraceError
from autograd.jit.results import Output, as_replayed, laid_out
from autograd.jit.structure import Call
from autograd.text import counted, shown
from autograd.value import Value

CAUSES = (
    "it depends on something that a recording does not see (a number from an attribute, array or"
    " file, a counter, math or NumPy on an argument, sum() of floats, which corrects rounding from"
    " Python 3.12 on, `type(x) is float`, a new layer's weights, a random number that nn does not"
    " draw), or changes it: pass it as an argument, keep it in a Value, write the methods of Values"
    " (Value(x).exp()), add in a loop, draw by nn.gauss() or nn.uniform()"
)
_State = dict[tuple[Any, str], float]  # by (holder, "data" or "grad"), see Ports.targets
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def checked(program: Program, call: Call, eagerly: Callable[[Call], Any]) -> tuple[Any, str | None]:
    """Return an eager call's result, as a replay returns it, and how a replay differs, or None.

    eagerly: runs the call.
    """
    known = program.watch.changed()  # such as a 1.0 in place of a 1, which `holds` overlooks
    has_gradients = program.read(call)
    before = _state(program, call.passed)
    drawn: list[tuple[Any, Any, Any]] = []
    since = next(clock.numbers)
    others = hooks.draws.get()
    try:
        hooks.draws.set(drawn)
        returned = eagerly(call)
    finally:
        hooks.draws.set(others)
    firsts: dict[Any, float] = {}  # a replay reads one number per key; Values are not draws
    for i, (key, found, _) in enumerate(drawn):
        if not isinstance(found, Value):
            firsts.setdefault(i if key is None else key, float(found))
    draws = list(firsts.values())
    changed = program.changed()
    wanted = len(program.draws)
    out = program.run((draws + [0.0] * wanted)[:wanted])
    answer = as_replayed(returned, since)
    if out is UNSURE or not has_gradients:  # a replay would fall back to the eager call
        return answer, None
    difference = f"it changes {changed}" if changed not in (None, known) else None
    difference = difference or _difference(program, out, answer, call.passed, before)
    if {stream() for *_, stream in drawn if stream} - {stream() for stream in program.streams}:
        difference = "it draws from a new stream of random numbers"
    if len(draws) != wanted:
        difference = f"it draws {counted(len(draws), 'number')}, and {wanted} in the replay"
    program.replays += 1
    if difference is None:
        program.checks, program.number = program.checks + 1, call.number
        program.constant = program.still_constant(call.numbers)
    return answer, difference


def _difference(
    program: Program, out: Any, returned: Any, passed: Sequence[Value], before: _State
) -> str | None:
    """Describe the first difference, or return None. before: the state in which both runs began."""
    targets = program.ports.targets
    written = zip(targets, out[: len(targets)].tolist(), strict=True)
    for (holder, kind), replayed in (before | dict(written)).items():
        found = _number(holder, kind, passed)
        if not same(found, replayed):
            return _unlike(f"{_name_of(program, holder)}.{kind}", found, replayed)
    computed = out[len(targets) :].tolist()
    expected = laid_out(program.returned.rebuilt(computed, passed))
    try:
        structure, numbers, values = laid_out(returned)
    except TraceError:
        structure = None
    if structure != expected[0]:
        return "what it returns has another structure, or other strings, in the replay"
    for i, pair in enumerate(zip(numbers, expected[1], strict=True)):
        # Without the classes of users and of NumPy.
        number, replayed = [float(n) if isinstance(n, float) else int(n) for n in pair]
        if not same(number, replayed):
            return _unlike(_numbered("number", i), number, replayed)
    for i, (value, other) in enumerate(zip(values, expected[2], strict=True)):
        what = _numbered("result", i)
        if value is not other and not isinstance(program.returned.values[i], Output):
            return f"{what} is another Value in the replay"
        for of, name in (("", "data"), ("the gradient of ", "grad"), ("the label of ", "label")):
            found, replayed = getattr(value, name), getattr(other, name)
            if not same(found, replayed):
                return _unlike(of + what, found, replayed)
    return None


def _unlike(what: str, found: Any, replayed: Any) -> str:
    return f"{what} is {found!r}, and {replayed!r} in the replay"


def _state(program: Program, passed: Sequence[Value]) -> _State:
    """Return the numbers and gradients that a replay writes, or that the function can reach."""
    reached = set(program.watch.values).difference(passed)
    holders = [ref(value._right) if isinstance(value, Linked) else value for value in reached]
    places = dict.fromkeys([*program.ports.targets, *product(holders, ("data", "grad"))])
    return {(holder, kind): _number(holder, kind, passed) for holder, kind in places}


def _number(holder: Any, kind: str, passed: Sequence[Value]) -> Any:
    if isinstance(holder, ref):
        link: Any = holder()
        return getattr(link, kind)[link.index]
    return getattr(passed[holder] if isinstance(holder, int) else holder, kind)


def _numbered(what: str, i: int) -> str:
    return f"the {_ORDINALS[i]} {what}" if i < len(_ORDINALS) else f"{what} {i + 1}"


def _name_of(program: Program, holder: Any) -> str:
    """Return the name of a Value, or of a link, in the models used: `layers.0.neurons.3.w.1`."""
    if isinstance(holder, int):
        return _numbered("Value passed", holder)
    holder = holder() if isinstance(holder, ref) else holder
    names = [
        name
        for model in program.watch.models
        for name, value in _paths(model, "", set())
        if value is holder or value._right is holder
    ]
    labels = [v.label for v in program.watch.values if v is holder or v._right is holder]
    return shown(max(names, key=len, default="") or next(filter(None, labels), "a Value"))


def _paths(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Value]]:
    """Yield (path, Value) for the Values in an object, its containers and the objects in them."""
    if isinstance(thing, Value):
        yield path[1:], thing
    elif id(thing) not in seen and isinstance(thing, hooks.Watched | dict | list | tuple):
        seen.add(id(thing))
        parts: Any = vars(thing) if isinstance(thing, hooks.Watched) else thing
        for key, part in parts.items() if isinstance(parts, dict) else enumerate(parts):
            yield from _paths(part, f"{path}.{key}", seen)
