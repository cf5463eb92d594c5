"""How does a pass look as text? Two tables: forward, and backward with every contribution."""

from __future__ import annotations

from collections.abc import Sequence

from autograd.steps.passed import Passed
from autograd.steps.step import Contribution, ForwardStep, Step
from autograd.steps.writing import about_conditions, digits_that_add_up, gradient_of
from autograd.text import Row, aligned, first_and_last, for_stream, grouped, number, wrapped

GRADIENTS_LISTED = 30  # of leaves, below a table
HEADINGS = ("passes to", "local derivative", "contribution", "gradient so far")


def table(passed: Passed, steps: Sequence[Step], most: int) -> str:
    """The steps of a pass as a table, with at most `most` in each direction."""
    output, half = for_stream(passed.name(passed.output)), len(steps) // 2
    if not half:
        return f"{output} is a leaf: there are no steps, and its gradient is 1"
    gap: Row = (f"  ... {half - most:,} steps left out; .table() has them all",)
    forward: list[Row] = [("step", "node", "", "data", "in numbers")]
    backward: list[Row] = [("step", "node", "gradient", *HEADINGS)]
    for position in first_and_last(half, most):
        forward += [gap] if position is None else _rows(steps, position)
        backward += [gap] if position is None else _rows(steps, half + position)
    lines = [
        f"forward, from the leaves to {output}",
        *aligned(forward, "rrlrl"),
        "",
        f"backward, from {output} to the leaves",
        *aligned(backward, "rlrllll"),
    ]
    return "\n".join([*lines, *about_conditions(lines), "", *_gradients_of_leaves(passed)])


def _rows(steps: Sequence[Step], position: int) -> list[Row]:
    """The rows of a step, counted from 1: one row, or one for each contribution."""
    step = steps[position]
    if isinstance(step, ForwardStep):
        left, right = f"= {step.formula}", f"= {step.in_numbers}"
        return [(str(position + 1), step.name, left, number(step.data), right)]
    first: Row = (str(position + 1), step.name, number(step.upstream))
    if not step.contributions:
        return [(*first, step.silence)]
    return [
        (*(("", "", "") if at else first), *cells(step.upstream, contribution))
        for at, contribution in enumerate(step.contributions)
    ]


def cells(upstream: float, passed: Contribution) -> Row:
    """The four columns of a contribution, under HEADINGS."""
    local, contribution = number(passed.local), number(passed.contribution)
    total = number(passed.total)
    if passed.before is not None:
        digits = digits_that_add_up([passed.before, passed.contribution], passed.total)
        before, added = (number(x, digits) for x in (passed.before, passed.contribution))
        total = f"{before} + {grouped(added)} = {total}"
    return (
        passed.name,
        local if passed.symbols == local else f"{passed.symbols} = {local}",
        f"{number(upstream)} * {grouped(local)} = {contribution}",
        total,
    )


def _gradients_of_leaves(passed: Passed) -> list[str]:
    leaves = [node for node in passed.nodes[: passed.leaves] if node in passed.gradients]
    shown = leaves[:GRADIENTS_LISTED]
    entries = [gradient_of(passed.name(leaf), passed.gradients[leaf]) for leaf in shown]
    if len(leaves) > len(entries):
        entries.append(f"and {len(leaves) - len(entries):,} more")
    return wrapped("gradients of the leaves", entries or ["every leaf is a constant"])
