"""How does a page compute a pass? By operations on numbered slots, recorded from the formulas."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from autograd.ops import TABLE, is_row
from autograd.steps.formula import (
    Expression,
    attempt,
    forward_formula,
    local_derivative,
    plain,
    written_derivative,
    written_forward,
)
from autograd.steps.passed import Edge, Passed, outcome
from autograd.steps.player import operations
from autograd.steps.writing import Mention, in_names, template
from autograd.text import number as formatted
from autograd.text import shown
from autograd.value import Value, is_constant

RECORDED_OPERATIONS = 10_000  # a rule of more operations is not recorded

Operation = tuple[int, str, tuple[int, ...]]  # the slot written, a row's name, the slots read
Recording = tuple[list[Operation], int]  # the operations, and the slot of the result


class Recorder:
    """Records a graph as operations on numbered slots, the first of which hold the nodes' data.

    Args:
        nodes: the slot of each node: 0, 1, 2, ...
        data: what these slots hold.
        known: the names of the rows that the page can compute; by default the whole table.

    Attributes:
        slots: the numbers of nodes and constants; nan where an operation will write.
        constants: the slots of the plain numbers, keyed by their repr, which tells 0.0 from -0.0
            and works for nan.
    """

    def __init__(
        self, nodes: Mapping[Value, int], data: Sequence[float], known: Collection[str] = TABLE
    ) -> None:
        self._nodes = nodes
        self._known = known
        self.slots = list(data)
        self.constants: dict[str, int] = {}

    def forward(self, node: Value) -> list[Operation] | None:
        """The operations that compute a node from its parents; None if that takes Python code."""
        assert node.primitive is not None
        recording = self._checked(
            written_forward(node, self._data), node.primitive.forward, node.parents
        )
        if recording is None:
            return None
        program, slot = recording
        target = self._nodes[node]
        if not program:  # the result is a parent, or a number
            return [(target, "mul", (slot, self._constant(1.0)))]  # exact for every float
        self.slots.pop()  # the last operation writes to the slot of the node instead
        return [*program[:-1], (target, *program[-1][1:])]

    def derivative(self, node: Value, operand: int) -> Recording | None:
        """The operations that compute a local derivative; None if that takes Python code."""
        assert node.primitive is not None
        expression = written_derivative(node, operand, self._data)
        rule = node.primitive.backward[operand]
        return self._checked(expression, rule, (node, *node.parents))

    def _checked(
        self, expression: Expression | None, function: Any, nodes: Sequence[Value]
    ) -> Recording | None:
        """The recording if it gives the function's result: that may inspect types, or call C."""
        if expression is None:
            return None
        try:
            program, slot = self.record(expression)
        except TypeError:
            return None
        numbers = [self._data(node) for node in nodes]
        expected = outcome(function, *numbers) if callable(function) else repr(function)
        return (program, slot) if outcome(result, program, slot, self.slots) == expected else None

    def record(self, expression: Expression) -> Recording:
        """The operations that compute an expression, each once and after its operands.

        An operation of any other primitive is expanded into rows that the page can compute. Raises
        TypeError if that is impossible, or does not end.
        """
        done: dict[Expression, int] = {}
        found: dict[tuple[str, tuple[int, ...]], int] = {}
        inside: dict[Expression, Expression] = {}  # formulas of operations the page cannot compute
        program: list[Operation] = []
        waiting = [expression]
        while waiting:
            if len(program) + len(inside) > RECORDED_OPERATIONS:
                raise TypeError(f"more than {RECORDED_OPERATIONS} operations")
            part = waiting[-1]
            primitive = part.primitive
            known = primitive is None or (is_row(primitive) and primitive.name in self._known)
            if not known and part not in inside:
                inside[part] = _inside(part)
            operands = (inside[part],) if part in inside else part.operands
            missing = [operand for operand in operands if operand not in done]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if part.node is not None:
                done[part] = self._nodes[part.node]
            elif part.primitive is None:
                done[part] = self._constant(part.number)
            elif part in inside:
                done[part] = done[inside[part]]
            else:
                operation = (part.primitive.name, tuple(done[operand] for operand in operands))
                if operation not in found:
                    found[operation] = self._new_slot()
                    program.append((found[operation], *operation))
                done[part] = found[operation]
        return program, done[expression]

    def _data(self, node: Value) -> float:
        return self.slots[self._nodes[node]]

    def _constant(self, number: float) -> int:
        spelling = repr(number)
        if spelling not in self.constants:
            self.constants[spelling] = self._new_slot(number)
        return self.constants[spelling]

    def _new_slot(self, number: float = math.nan) -> int:
        self.slots.append(number)
        return len(self.slots) - 1


def _inside(operation: Expression) -> Expression:
    """What a primitive does to its operands, as a formula; TypeError if it is Python code."""
    assert operation.primitive is not None
    done = attempt(operation.primitive.forward, *map(plain, operation.operands))
    if done is None:
        raise TypeError(f"{operation.primitive.name} is Python code rather than arithmetic")
    return done


def result(program: Sequence[Operation], slot: int, slots: Sequence[float]) -> float:
    """The number in a slot after running the operations as a page does.

    Raises what a row's forward function raises.
    """
    found: dict[int, float] = {}
    for target, name, operands in program:
        numbers = [found[o] if o in found else slots[o] for o in operands]
        found[target] = TABLE[name].forward(*numbers)
    return found[slot] if slot in found else slots[slot]


# --- a whole pass ---------------------------------------------------------------------------------


def recorded(passed: Passed) -> dict[str, Any]:
    """Everything a page needs to show a pass and to recompute it, as JSON data.

    Slots are numbers in one array. Slots 0 .. n-1 hold the data of the n nodes; "constants" fills
    some of those beyond, and the operations [slot, primitive, operand slots] the others. A number
    is a JSON number or one of "nan", "inf", "-inf" and "-0".

    A formula is a list of strings and of {"slot": i, "grouped": bool} for nodes. Such an entry
    shows the node's name, or its number, in parentheses if that is negative and "grouped" is true.
    If the name needs parentheses, as "a + b" does before " * c", "name" holds it with them.

    An edge has its local derivative twice: "local_value" is the number that Python computed, or
    None if the pass needed none; the operations in "program" write it to the slot "local". Until a
    leaf is moved, the page shows the numbers of Python, as the last bit of a logarithm may differ
    in a browser. If the page cannot compute a local derivative, because it is Python code or the
    page has no function for a primitive, "program" is None, "local_value" is its number even if the
    pass did not need it, or None if it has none, and the leaves it depends on are not movable.
    """
    n = len(passed.nodes)
    recorder = Recorder(passed.place, passed.data, operations())
    why: list[str] = [""] * n  # why a page cannot compute what depends on the node; "" if it can
    forward: list[list[Any]] = []
    for i in range(passed.leaves, n):
        program = recorder.forward(passed.nodes[i])
        forward += _listed(program or [])
        why[i] = _python_code(passed, i) if program is None else ""
    backward: list[dict[str, Any]] = []
    for i in range(n - 1, passed.leaves - 1, -1):
        locals_of = {edge: local for edge, local, _ in passed.contributions(i)}
        edges = [_edge(passed, i, edge, locals_of.get(edge), recorder) for edge in passed.edges(i)]
        backward.append({"node": i, "edges": edges})
        if any(edge["program"] is None for edge in edges):
            why[i] = why[i] or _python_code(passed, i)
        for parent in passed.nodes[i].parents:
            j = passed.place[parent]
            why[j] = why[j] or why[i]
    gradients = passed.gradients
    return {
        "version": 1,
        "title": f"The backward pass of {passed.name(passed.output)}",
        "nodes": _nodes(passed, why),
        "output": n - 1,
        "constants": [
            [slot, json_number(recorder.slots[slot])] for slot in recorder.constants.values()
        ],
        "slots": len(recorder.slots),
        "forward": forward,
        "backward": backward,
        "gradients": [
            json_number(gradients[node]) if node in gradients else None for node in passed.nodes
        ],
    }


def _nodes(passed: Passed, why: Sequence[str]) -> list[dict[str, Any]]:
    entries = []
    for i, (node, kind) in enumerate(zip(passed.nodes, passed.kinds, strict=True)):
        leaf = i < passed.leaves
        fixed = "it is a constant" if is_constant(node) else why[i]
        entry = {
            "name": passed.name(node),
            "label": shown(passed.full_names[node]),
            "op": node.op,
            "lines": passed.lines(i),
            "domain": node.primitive.domain if node.primitive else "",
            "kind": kind,
            "parents": [] if leaf else [passed.place[parent] for parent in node.parents],
            "data": json_number(passed.data[i]),
            "movable": leaf and not fixed,
            "fixed_because": fixed if leaf else "",
        }
        if not leaf:
            entry["formula"] = _template(passed, forward_formula(node, passed.data_of))
        entries.append(entry)
    return entries


def _edge(
    passed: Passed, i: int, edge: Edge, local: float | None, recorder: Recorder
) -> dict[str, Any]:
    """An edge from node i, whose local derivative is `local`; None if the pass needed none."""
    node, k = passed.nodes[i], edge.operand
    recording = recorder.derivative(node, k)
    program, slot = (_listed(recording[0]), recording[1]) if recording else (None, None)
    if recording is None and local is None:
        # No leaf that it depends on is movable, so it is fixed; moving others may make it needed.
        assert node.primitive is not None
        rule: Any = node.primitive.backward[k]
        with suppress(Exception):  # Python code may raise anything where it has not run before
            local = float(rule(*map(passed.data_of, (node, *node.parents))))
    return {
        "operand": k,
        "parent": edge.parent,
        "symbols": _template(passed, local_derivative(node, k, passed.data_of)),
        "program": program,
        "local": slot,
        "local_value": None if local is None else json_number(local),
    }


def _python_code(passed: Passed, i: int) -> str:
    node = passed.nodes[i]
    return f"{passed.name(node)} = {passed.formula(node)} runs Python code, which a page cannot run"


def _template(passed: Passed, expression: Expression) -> list[Any]:
    def item(mention: Mention) -> dict[str, Any]:
        name = passed.name(mention.node)
        entry = {"slot": passed.place[mention.node], "grouped": mention.signed}
        grouped = in_names(passed.name)(mention)
        return entry if grouped == name else {**entry, "name": grouped}

    return template(expression, item)


def _listed(program: Sequence[Operation]) -> list[list[Any]]:
    """Operations in JSON form."""
    return [[slot, name, list(operands)] for slot, name, operands in program]


def json_number(number: float) -> float | str:
    """A number for JSON; a string if JSON cannot hold it, or would lose the sign of -0.0."""
    if not math.isfinite(number) or repr(number) == "-0.0":
        return formatted(number)
    return float(number)
