"""How do gradients flow? The chain rule, from an output back to what it was made of.

For a node y with gradient `upstream` = d output / d y, each parent x of y receives the
contribution upstream * (dy/dx), and the gradient of a node is the sum of what it receives. A node
is visited when all nodes made from it have been: in reverse topological order.

A node whose gradient is exactly 0.0 passes nothing on, so an infinite slope behind a branch that
was not taken (`where`, `relu`) stays harmless. Where gradients are graphs, a gradient that is 0
here may have a slope of its own: only one that a choice keeps at 0 passes nothing on where a local
derivative raises or is not finite.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any, cast

from autograd import modes
from autograd.ops import Opaque, Primitive, add, mul, relu
from autograd.text import for_stream
from autograd.value import (
    NO_GRADIENT,
    Constant,
    TakenAsFloat,
    Terms,
    Value,
    described,
    explained,
    happened_in,
    unfold,
)

# A walk marks the nodes it has seen on the nodes themselves, which takes a third of the time of a
# set; so there is one walk at a time.
_walking = threading.Lock()


def topological_order(*outputs: Value) -> list[Value]:
    """Every node the outputs depend on, the outputs included, each after all of its parents.

    The leaves come first. A depth-first walk, first operands first, that never recurses: depth is
    limited by memory only. The order depends on nothing but the graph.
    """
    leaves, inner = _leaves_and_inner(_values(outputs, "outputs"), unfolded=True)
    return leaves + inner


def _leaves_and_inner(outputs: Iterable[Value], unfolded: bool) -> tuple[list[Value], list[Any]]:
    """The nodes, in topological order; weighted sums are unfolded, or stand for their nodes.

    Then (sum, terms, first, end) stands where the products of the terms first .. end - 1 would be,
    and the additions of these: all at once, or in parts, where operands come in between.
    """
    leaves: list[Value] = []
    inner: list[Any] = []
    # From an output down, nodes to be placed after their parents; a sum as (sum, terms, first).
    waiting: list[Any] = []
    with _walking:
        walk = object()  # `node._mark is walk` means: seen in this walk
        for output in outputs:
            if output._mark is walk:
                continue
            node: Any = output
            while True:
                # Open the node, and go down to its first operand ...
                node._mark = walk
                if unfolded and node._right.__class__ is Terms:
                    unfold(node)
                right = node._right
                left = node._left
                if left is None:
                    leaves.append(node)
                else:
                    if right.__class__ is Terms:
                        # Others may unfold it meanwhile: from here on, its terms are what counts.
                        left = right.first
                        waiting.append((node, right, 0))
                    else:
                        waiting.append(node)
                    if left._mark is not walk:
                        node = left
                        continue
                # ... then close what has no unseen operand left, or go down to that one.
                while waiting:
                    node = waiting.pop()
                    if node.__class__ is tuple:
                        node, terms, first = node
                        end, unseen = _unseen_operand(terms, first, walk, leaves)
                        if end > first:
                            inner.append((node, terms, first, end))
                        if unseen is None:
                            continue
                        waiting.append((node, terms, end))
                        node = unseen
                        break
                    right = node._right
                    if right.__class__ is tuple:
                        unseen = next((p for p in right if p._mark is not walk), None)
                        if unseen is not None:
                            waiting.append(node)
                            node = unseen
                            break
                    elif right is not None and right._mark is not walk:
                        first, last = right._left, right._right
                        closed = first is not None and first._mark is walk
                        if not (closed and last.__class__ is Value and last._mark is walk):
                            waiting.append(node)
                            node = right
                            break
                        # Often a product of two nodes seen before: placed without going there.
                        right._mark = walk
                        inner.append(right)
                    inner.append(node)
                else:
                    break
    return leaves, inner


def _unseen_operand(
    terms: Terms, first: int, walk: object, leaves: list[Value]
) -> tuple[int, Value | None]:
    """The first unseen operand, from a term on, that is no leaf, and the number of its term.

    Unseen leaves before it are placed. Without such an operand, the number of terms and None.
    """
    weights, inputs = terms.weights, terms.inputs
    for place in range(first, len(weights)):
        w, x = weights[place], inputs[place]
        if w._mark is not walk:
            if w._left is not None:
                return place, w
            w._mark = walk
            leaves.append(w)
        if x._mark is not walk:
            if x._left is not None:
                return place, x
            x._mark = walk
            leaves.append(x)
    return len(weights), None


def backward(output: Value) -> None:
    """Write d output / d node into `.grad` of every node that `output` depends on.

    Leaves accumulate across calls: each call adds its whole gradient to what stood there. Inner
    nodes hold the latest pass only. Plain numbers in the graph (the 2 of `2 * x`) receive none.

    Raises what a derivative raises where it does not exist (the slope of sqrt at 0), naming the
    operation, and TypeError where a `.grad` is None; every `.grad` is then as it was before.
    """
    if not isinstance(output, Value):
        raise TypeError(f"backward() takes a Value, not {output!r}")
    tracer = modes.current.get().tracer
    if tracer is not None:
        tracer.backward(output)
        return
    checking = modes.current.get().checking
    leaves, inner = _leaves_and_inner([output], unfolded=checking)
    before = [leaf.grad for leaf in leaves]
    holders = [node for node in inner if node.__class__ is not tuple]
    holders += [holder for part in inner if part.__class__ is tuple for holder in part[:2]]
    before_inner = [(holder, holder.grad) for holder in holders if holder.grad]
    for holder, _ in before_inner:
        holder.grad = 0.0
    try:
        if checking:
            wanted = {node for node in leaves + inner if node.__class__ is not Constant}
            gradients = _sweep(leaves + inner, output, wanted)
            for node in leaves + inner:
                node.grad = gradients.get(node, 0.0)
        else:
            _sweep_floats(output, leaves, inner)
        for leaf, gradient in zip(leaves, before, strict=True):
            leaf.grad += gradient
    except BaseException as error:
        without = [node for node in holders if node.grad is None]
        without += [leaf for leaf, gradient in zip(leaves, before, strict=True) if gradient is None]
        for holder in holders:
            holder.grad = 0.0
        for holder, gradient in [*zip(leaves, before, strict=True), *before_inner]:
            holder.grad = gradient
        for node in without:
            node.grad = None
        if without and isinstance(error, TypeError):
            raise TypeError(NO_GRADIENT.format(without[0].label or "a Value")) from None
        raise


def _sweep_floats(output: Value, leaves: list[Value], inner: list[Any]) -> None:
    """The reverse sweep on floats, with `.grad` as the place where contributions add up.

    The gradients of inner nodes are 0.0 already. The same rules, order and results as `_sweep`, at
    three times the speed: no dictionary, and the operands of one- and two-operand primitives taken
    from their slots.
    """
    for node in leaves:
        node.grad = 0.0
    output.grad = 1.0
    for node in reversed(inner):
        if node.__class__ is tuple:
            _sweep_terms(*node)
            continue
        upstream = node.grad
        if not upstream:
            continue
        left, right, primitive = node._left, node._right, node._origin.primitive
        if primitive is mul:  # of these two most graphs consist: what follows, written out
            if left.__class__ is not Constant:
                left.grad += upstream * right.data
            if right.__class__ is not Constant:
                right.grad += upstream * left.data
            continue
        if primitive is add:
            if left.__class__ is not Constant:
                left.grad += upstream
            if right.__class__ is not Constant:
                right.grad += upstream
            continue
        rules = primitive.backward
        try:
            if right is None:
                (rule,) = rules
                if rule is not None and left.__class__ is not Constant:
                    local = rule if rule.__class__ is float else rule(node.data, left.data)
                    left.grad += upstream * local
            elif right.__class__ is not tuple:
                rule, right_rule = rules
                x, y = left.data, right.data
                if rule is not None and left.__class__ is not Constant:
                    local = rule if rule.__class__ is float else rule(node.data, x, y)
                    left.grad += upstream * local
                rule = right_rule
                if rule is not None and right.__class__ is not Constant:
                    local = rule if rule.__class__ is float else rule(node.data, x, y)
                    right.grad += upstream * local
            else:
                numbers = [parent.data for parent in node.parents]
                for parent, rule in zip(node.parents, rules, strict=True):
                    if rule is not None and parent.__class__ is not Constant:
                        local = rule if rule.__class__ is float else rule(node.data, *numbers)
                        parent.grad += upstream * local
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise _in_backward(error, node) from None


def _sweep_terms(node: Value, terms: Terms, first: int, end: int) -> None:
    """The sweep over some products and additions of a weighted sum, the last first."""
    terms.grad = upstream = node.grad
    if not upstream:
        return
    starts = first == 0 and terms.start is not None
    _sweep_products(upstream, terms, 1 if starts else first, end)
    if starts:  # the first addition is that of the start and the first product
        cast(Value, terms.start).grad += upstream
        _sweep_products(upstream, terms, 0, 1)


def _sweep_products(upstream: float, terms: Terms, first: int, end: int) -> None:
    weights, inputs = terms.weights[first:end], terms.inputs[first:end]
    for w, x in zip(weights[::-1], inputs[::-1], strict=True):
        w.grad += upstream * x.data
        if x.__class__ is not Constant:
            x.grad += upstream * w.data


def _between(order: list[Value], inputs: Iterable[Value]) -> set[Value]:
    """The inputs, and every node that depends on one: where gradients are wanted."""
    wanted = set(inputs)
    for node in order:
        if any(parent in wanted for parent in node.parents):
            wanted.add(node)
        elif isinstance(node.primitive, Opaque) and node not in wanted:
            wanted.update((node, *node.parents))  # the sweep comes to its rule, which raises
    return wanted


def _sweep(
    order: list[Value],
    output: Value,
    wanted: set[Value],
    create_graph: bool = False,
) -> dict[Value, Any]:
    """The reverse sweep: gradients of the output on the wanted nodes, as floats or as Values.

    With create_graph the rules run on the nodes themselves instead of on their numbers.
    """
    checking = modes.current.get().checking
    gradients: dict[Value, Any] = {output: 1.0}
    # Gradients that are 0 whatever the inputs are near this point: behind a branch not taken. Like
    # the number 0, they pass nothing on where a local derivative raises or is not finite.
    fixed_at_0: set[Value] = set()
    for node in reversed(order):
        upstream = gradients.get(node, 0.0)
        primitive = node.primitive
        if primitive is None or _is_number(upstream, 0.0):
            continue
        parents = node.parents
        out: Any = node if create_graph else node.data
        # A plain number stays one in the graph of a gradient, unless its own is asked for.
        numbers: list[Any] = [
            parent
            if create_graph and (parent.__class__ is not Constant or parent in wanted)
            else parent.data
            for parent in parents
        ]
        for parent, rule in zip(parents, primitive.backward, strict=True):
            if rule is None or parent not in wanted:
                continue
            try:
                local = rule(out, *numbers) if callable(rule) else rule
                if upstream in fixed_at_0 and not math.isfinite(_number(local)):
                    continue
                contribution = _product(upstream, local)
            except TakenAsFloat:
                raise _not_differentiable_again(primitive) from None
            except (ValueError, ArithmeticError) as error:
                if upstream in fixed_at_0:
                    continue
                if isinstance(error, FloatingPointError):
                    raise
                raise _in_backward(error, node) from None
            if checking and not math.isfinite(_number(contribution)):
                raise FloatingPointError(
                    f"backward of {described(primitive, parents)} gave {_number(contribution)} for"
                    f" operand {parents.index(parent)}{happened_in(node.mode)}"
                )
            sofar = gradients.get(parent)
            total = contribution if sofar is None else sofar + contribution
            if create_graph and total.__class__ is not float and total.data == 0.0:
                fixed = upstream in fixed_at_0 or _is_choice_of_0(local)
                if fixed and (sofar is None or sofar in fixed_at_0):
                    fixed_at_0.add(total)
            gradients[parent] = total
    return gradients


def _is_choice_of_0(local: Any) -> bool:
    """Whether a local derivative is 0 and its own derivatives are 0: relu below 0, or its slope."""
    waiting = [local]
    for _ in range(8):  # no rule in the table takes more operations for a choice
        if not waiting:
            return bool(local == 0.0 if local.__class__ is float else local.data == 0.0)
        part = waiting.pop()
        if part.__class__ is float or part.__class__ is Constant:
            continue
        if part.primitive is None:
            return False
        if part.primitive is relu and part.parents[0].data < 0.0:
            continue  # 0 for the numbers near this one
        rules = zip(part.parents, part.primitive.backward, strict=True)
        waiting += [parent for parent, rule in rules if rule is not None]
    return False


def _number(x: Any) -> Any:
    return x.data if isinstance(x, Value) else x


def _is_number(x: Any, number: float) -> bool:
    return x.__class__ is float and bool(x == number)


def _product(upstream: Any, local: Any) -> Any:
    """upstream * local, without a node for a factor of 1."""
    if _is_number(upstream, 1.0):
        return local
    return upstream if _is_number(local, 1.0) else upstream * local


def _not_differentiable_again(primitive: Primitive) -> TypeError:
    """The error for a rule that took the number out of a Value, as `math.cos(x)` does."""
    return TypeError(
        f"the rule of {for_stream(primitive.name)} turned a Value into a float, which has no"
        " derivatives of higher order: write it in arithmetic and primitives, such as x.cos() in"
        " place of math.cos(x)"
    )


def _in_backward(error: Exception, node: Value) -> Exception:
    assert node.primitive is not None
    inner = explained(error, node.primitive, node.parents, node.mode)
    return type(inner)(f"backward of {inner}")


# --- gradients as results -------------------------------------------------------------------------


def grad(
    output: Value, inputs: Sequence[Value] | None = None, create_graph: bool = False
) -> list[Value]:
    """d output / d input for each input, as Values; no `.grad` is touched.

    Args:
        output: the Value to differentiate.
        inputs: leaves or inner nodes; 0.0 is the gradient of one that `output` does not depend on.
        create_graph: make the gradients graphs of their own, to be differentiated again. One may
            be a node that exists already: the gradient of x * y by x is y.

    >>> x = Value(2.0)
    >>> (slope,) = grad(x ** 3, [x], create_graph=True)
    >>> (curvature,) = grad(slope, [x])
    >>> slope.data, curvature.data
    (12.0, 12.0)
    """
    inputs = _given(output, inputs, "grad() takes a Value", "grad(f(x), [x])")
    if not isinstance(output, Value):
        raise TypeError(f"grad() takes a Value to differentiate, not {output!r}")
    inputs = _values(inputs, "inputs")
    tracer = modes.current.get().tracer
    if tracer is not None:
        return cast(list[Value], tracer.grad(output, inputs, create_graph))
    order = topological_order(output)
    wanted = _between(order, inputs)
    token = modes.rules_on_values.set(create_graph)
    try:
        # Gradients that were asked for as graphs are recorded inside no_grad() too.
        with modes.recording() if create_graph else nullcontext():
            gradients = _sweep(order, output, wanted, create_graph)
    finally:
        modes.rules_on_values.reset(token)
    found = [gradients.get(node, 0.0) for node in inputs]
    return [g if isinstance(g, Value) else Value(g) for g in found]


def gradients_between(output: Value, inputs: Sequence[Value]) -> dict[Value, float]:
    """d output / d node of each input and each node that depends on one, where it is not 0."""
    order = topological_order(output)
    return _sweep(order, output, _between(order, inputs))


def jacobian(
    outputs: Sequence[Value], inputs: Sequence[Value] | None = None, create_graph: bool = False
) -> list[list[Value]]:
    """The matrix of d outputs[i] / d inputs[j], a row for each output; no `.grad` is touched.

    >>> x, y = Value(2.0), Value(3.0)
    >>> [[entry.data for entry in row] for row in jacobian([x * y, x + y], [x, y])]
    [[3.0, 2.0], [1.0, 1.0]]
    """
    inputs = _given(outputs, inputs, "jacobian() takes Values", "jacobian([f(x)], [x])")
    inputs = _values(inputs, "inputs")
    return [grad(output, inputs, create_graph) for output in _values(outputs, "outputs")]


def hessian(
    output: Value, inputs: Sequence[Value] | None = None, create_graph: bool = False
) -> list[list[Value]]:
    """The matrix of d^2 output / d inputs[i] d inputs[j]; no `.grad` is touched.

    >>> x, y = Value(2.0), Value(3.0)
    >>> [[entry.data for entry in row] for row in hessian(x * x * y, [x, y])]
    [[6.0, 4.0], [4.0, 0.0]]
    """
    inputs = _given(output, inputs, "hessian() takes a Value", "hessian(f(x), [x])")
    inputs = _values(inputs, "inputs")
    return jacobian(grad(output, inputs, create_graph=True), inputs, create_graph)


def _given(
    output: Any, inputs: Sequence[Value] | None, takes: str, example: str
) -> Sequence[Value]:
    """The inputs, or the error for `grad(f)(x)`, as other libraries write it."""
    if inputs is None or (callable(output) and not isinstance(output, Value)):
        raise TypeError(f"{takes} and the inputs to differentiate by, not a function: {example}")
    return inputs


def _values(values: Iterable[Value], what: str) -> list[Value]:
    """A list of Values, or the error that says which one is not."""
    if isinstance(values, Value):
        raise TypeError(f"{what} must be a sequence of Values; write [{what}]")
    listed = list(values)
    for i, value in enumerate(listed):
        if not isinstance(value, Value):
            raise TypeError(f"{what}[{i}] must be a Value, not {value!r}")
    return listed
