"""How do gradients flow? By the chain rule, from an output back to its leaves.

For a node y with gradient `upstream` = d output / d y, each parent x of y receives the
contribution upstream * (dy/dx), and the gradient of a node is the sum of what it receives. Nodes
are visited newest first; see walk.py.

A node whose gradient is exactly 0.0 passes nothing on, so an infinite slope behind a branch that
was not taken (`where`, `relu`) stays harmless. If gradients are graphs, one that is 0 at this point
may still have a slope, so it is passed on. A local derivative that raises or is not finite is
skipped only if a choice keeps the gradient at 0 nearby.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

from autograd.context import Listener, TakenAsFloat, current
from autograd.locks import Lock
from autograd.messages import (
    as_slope,
    explained_backward,
    no_gradient,
    not_differentiable_again,
)
from autograd.ops import relu
from autograd.primitive import CONSTANT, Opaque
from autograd.walk import ancestors, newest_first

# Only one pass writes `.grad` at a time, in all threads: a walk marks nodes, and a leaf that two
# threads share would lose what one of them adds. So a rule must not wait for another thread's pass.
# The notes are the inner nodes of the passes under way: several if a rule calls backward().
_one_pass = Lock()

_ONE = 1.0  # the gradient of the output; a 1.0 that was computed is another object


# --- first order, into .grad ----------------------------------------------------------------------


def sweep_floats(output: Any, inner: Sequence[Any]) -> None:
    """Apply the chain rule on floats. Contributions add up in `.grad`, which is 0.0 at first."""
    output._grad = 1.0
    for node in inner:
        upstream = node._grad
        if upstream:
            pull = node._primitive.pull
            try:
                pull(node, upstream)
            except (ValueError, ZeroDivisionError, OverflowError) as error:
                raise explained_backward(error, node) from None


def write_gradients(output: Any, run: Callable[[Any, list[Any]], None] = sweep_floats) -> None:
    """Add d output / d leaf to `.grad` of each leaf, and set `.grad` of inner nodes.

    If anything is raised, all gradients are restored.
    """
    with _one_pass.lock:
        if _one_pass.notes:
            _require_another_graph(output)
        leaves, inner = ancestors(output)
        _one_pass.notes.append(inner)
        try:
            sums = [node._right for node in inner if node._primitive.is_folded]
            of_leaves = [(leaf, leaf._grad) for leaf in leaves if leaf._grad != 0.0]
            for leaf, gradient in of_leaves:
                if gradient is None:
                    raise no_gradient(leaf.label)
            of_inner = [(holder, holder._grad) for holder in chain(inner, sums) if holder._grad]
            try:
                for holder, _ in chain(of_leaves, of_inner):
                    holder._grad = 0.0
                run(output, inner)
                for leaf, gradient in of_leaves:
                    leaf._grad += gradient
                for leaf in leaves:
                    if leaf._primitive is CONSTANT and leaf is not output:
                        leaf._grad = 0.0
            except BaseException as error:
                without = [node for node in inner if node._grad is None]
                for holder in chain(leaves, inner, sums):
                    if holder._grad is not None:
                        holder._grad = 0.0
                for holder, gradient in chain(of_leaves, of_inner):
                    holder._grad = gradient
                if without and isinstance(error, TypeError):
                    raise no_gradient(without[0].label) from None
                raise
        finally:
            _one_pass.notes.pop()


def _require_another_graph(output: Any) -> None:
    """Raise RuntimeError if a rule's own pass reaches nodes of the pass that runs the rule."""
    _, inner = newest_first([output])
    if not set(inner).isdisjoint(chain(*_one_pass.notes)):
        raise RuntimeError(
            "a rule called backward() on the graph whose backward pass it is part of: use grad(),"
            " which touches no .grad"
        )


# --- any order, as floats or as graphs ------------------------------------------------------------


def sweep(
    inner: Iterable[Any],
    output: Any,
    wanted: set[Any],
    create_graph: bool = False,
    each: Listener | None = None,
    number_of: Callable[[Any], Any] = attrgetter("_data"),
) -> dict[Any, Any]:
    """Return the gradients of the output at the wanted nodes: floats, or Values with create_graph.

    Args:
        inner: the inner nodes, newest first. wanted: where gradients are needed; see `between`.
        create_graph: run the rules on the nodes themselves instead of on their numbers.
        each: called for each contribution. number_of: returns the number of a node or a slope.
    """
    gradients: dict[Any, Any] = {output: _ONE}
    # Nodes behind a branch not taken, whose gradient is 0 at all points near this one. Like the
    # number 0, it passes nothing on if a local derivative raises or is not finite.
    fixed_at_0: set[Any] = set()
    for node in inner:
        upstream = gradients.get(node, 0.0)
        is_number_0 = isinstance(upstream, float) and math.fabs(upstream) == 0.0  # see `data_of`
        if is_number_0 and (not create_graph or node not in gradients):
            continue
        is_fixed_at_0 = is_number_0 or node in fixed_at_0
        primitive, parents = node.primitive, node.parents
        result = node if create_graph else number_of(node)
        arguments = _operands(parents, wanted) if create_graph else list(map(number_of, parents))
        for k, (parent, rule) in enumerate(zip(parents, primitive.backward, strict=True)):
            if rule is None or parent not in wanted:
                continue
            try:
                local = rule if rule.__class__ is float else rule(result, *arguments)
                if local.__class__ is not float:
                    local = as_slope(primitive, local, None if create_graph else number_of)
                if is_fixed_at_0 and not math.isfinite(data_of(local)):
                    current.get().interpreter.hooks.give_up()  # it may count elsewhere
                    continue
                contribution = _product(upstream, local, rule)
            except TakenAsFloat:
                raise not_differentiable_again(primitive) from None
            except (ValueError, ArithmeticError) as error:
                if is_fixed_at_0:
                    continue
                if isinstance(error, FloatingPointError):
                    raise
                hooks = current.get().interpreter.hooks  # to show recorded numbers in the message
                raise hooks.unrecorded(partial(explained_backward, error, node)) from None
            before = gradients.get(parent)
            if each is not None:
                each(node, k, local, contribution, before)
            total = contribution if before is None else before + contribution
            is_0 = create_graph and hasattr(total, "_primitive") and data_of(total) == 0.0
            was_fixed = before is None or parent in fixed_at_0
            if is_0 and was_fixed and (is_fixed_at_0 or _is_choice_of_0(local)):
                fixed_at_0.add(parent)
            else:
                fixed_at_0.discard(parent)
            gradients[parent] = total
    return gradients


def between(inner: Sequence[Any], inputs: Iterable[Any]) -> set[Any]:
    """Return the inputs and every inner node that depends on one: where gradients are wanted."""
    wanted = set(inputs)
    for node in reversed(inner):
        if any(parent in wanted for parent in node.parents):
            wanted.add(node)
        elif isinstance(node.primitive, Opaque) and node not in wanted:
            wanted.update((node, *node.parents))  # so that the sweep runs its rule, which raises
    return wanted


def data_of(x: Any) -> float:
    """Return the data of a Value, or a number, as a float, unnoticed by a recording."""
    number = x._data if hasattr(x, "_primitive") else x
    return math.copysign(number, number)  # C code, which takes the float out of a recorded number


def _operands(parents: Sequence[Any], wanted: set[Any]) -> list[Any]:
    """Return a rule's arguments: nodes, or numbers for constants whose gradient is not wanted."""
    return [
        parent.data if parent._primitive is CONSTANT and parent not in wanted else parent
        for parent in parents
    ]


def _product(upstream: Any, local: Any, rule: Any) -> Any:
    """Return upstream * local, without a node for a factor that is 1 for any numbers.

    The graph must not depend on numbers, as a jitted function has the same for all of them.
    """
    if rule.__class__ is float and rule == 1.0:
        return upstream
    return local if upstream is _ONE else upstream * local


def _is_choice_of_0(local: Any) -> bool:
    """Return whether a local derivative and its derivatives are 0: relu below 0, or its slope."""
    waiting = [local]
    for _ in range(8):  # no rule in the table uses more operations for a choice
        if not waiting:
            return data_of(local) == 0.0
        part = waiting.pop()
        if not hasattr(part, "_primitive") or part._primitive is CONSTANT:
            continue
        if part.primitive is None:
            return False
        if part.primitive is relu and data_of(part.parents[0]) < 0.0:
            continue  # 0 at all points near this one
        rules = zip(part.parents, part.primitive.backward, strict=True)
        waiting += [parent for parent, rule in rules if rule is not None]
    return False
