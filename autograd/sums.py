"""How is a wide weighted sum kept as one node, until somebody asks for its parents?

Networks spend most of their time in sums w_1 x_1 + w_2 x_2 + ... of many terms. The operators make
2 n nodes for n terms. Here the sum is a single node, which holds the factors of all products and
passes its gradient on to all of them at once. When its parents are asked for, it gives the graph
that the operators would have made, to the last bit: the products and additions become nodes,
numbered between the sum and whatever was made before it.

Asking only makes these parts. The next backward pass begins by turning the sum into the last of its
additions, so that parts used elsewhere receive their gradients; a pass under way is not affected.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Sequence
from functools import reduce
from typing import Any

from autograd.clock import clock
from autograd.context import Context, current
from autograd.copies import CLASSES
from autograd.locks import Lock
from autograd.ops import add, mul
from autograd.primitive import Primitive
from autograd.value import Operand, Value

WIDE = 3  # narrower sums are faster as separate nodes
_new = object.__new__
_looking = Lock()


class Terms:
    """The operands of a weighted sum, kept where other nodes have their second operand.

    Attributes:
        weights, inputs: the factors of the products. start: what they are added to, or None.
        numbers: those of the start, if there is one, and of the products, in the forward pass.
        _grad: the gradient of the sum in the latest backward pass, and so of all its parts.
        parts: the nodes of the products and additions, except the last addition. None until they
            are asked for; then the same for all threads and all copies of the sum.
    """

    __slots__ = ("_grad", "inputs", "numbers", "parts", "start", "weights")

    def __init__(
        self,
        weights: tuple[Value, ...],
        inputs: tuple[Value, ...],
        start: Value | None,
        numbers: array[float],
    ) -> None:
        self.weights, self.inputs, self.start, self.numbers = weights, inputs, start, numbers
        self._grad = 0.0
        self.parts: list[Value] | None = None


def weighted_sum(
    weights: Sequence[Value], inputs: Sequence[Operand], start: Value | None = None
) -> Value:
    """Return start + w_1 x_1 + w_2 x_2 + ..., the graph that the operators make.

    `weights` and `inputs` have the same length, at least 1 if there is no start.
    """
    context = current.get()
    return context.interpreter.weighted_sum(context, weights, inputs, start)


def is_foldable(weights: Sequence[Value], inputs: Sequence[Any], start: Value | None) -> bool:
    """Return whether all operands are nodes, not of a subclass that may redefine the operators.

    Lengths are not compared here, but by the code that pairs weights and inputs.
    """
    return (
        CLASSES.issuperset(map(type, weights))
        and CLASSES.issuperset(map(type, inputs))
        and (start is None or type(start) in CLASSES)
    )


def folded(
    context: Context, weights: Sequence[Value], inputs: Sequence[Value], start: Value | None
) -> Value:
    """Return start + w_1 x_1 + w_2 x_2 + ... as one node."""
    # The garbage collector does not traverse an array.
    numbers = array("d", [w._data * x._data for w, x in zip(weights, inputs, strict=True)])
    if start is not None:
        numbers.insert(0, start._data)
    total = reduce(operator.add, numbers)
    # `tuple` returns a tuple unchanged, without copying.
    terms = Terms(tuple(weights), tuple(inputs), start, numbers)
    return _node(context, WEIGHTED_SUM, total, weights[0], terms, next(clock.numbers))


class _WeightedSum(Primitive):
    __slots__ = ()

    @property
    def public(self) -> Primitive:
        return add

    def operands(self, node: Any) -> Sequence[Value]:
        terms = node._right
        if terms.__class__ is not Terms:
            return self.parents(node)
        start = () if terms.start is None else (terms.start,)
        return (*start, *terms.weights, *terms.inputs)

    def parents(self, node: Any) -> tuple[Value, ...]:
        terms = node._right
        if terms.__class__ is not Terms:  # another thread has settled the node meanwhile
            return node._left, terms
        return tuple(_parts(node, terms)[-2:])

    def kept(self, node: Any) -> tuple[Primitive, Any, Any]:
        terms = node._right
        if terms.__class__ is Terms and terms.parts is None:
            return self, node._left, terms
        left, right = self.parents(node)
        return add, left, right

    def settle(self, node: Any) -> None:
        parts = node._right.parts
        if parts is not None:
            # The primitive is set last: other threads call this class until then, and it copes.
            node._left, node._right = parts[-2:]
            node._primitive = add


def _parts(node: Value, terms: Terms) -> list[Value]:
    """Return the products and additions of a sum, made as the operators would have made them."""
    with _looking.lock:
        if terms.parts is not None:
            return terms.parts
        context = node.context
        numbers, sofar, parts = iter(terms.numbers), terms.start, []
        data = 0.0 if sofar is None else next(numbers)
        count = 2 * len(terms.weights) - (sofar is None)
        made = iter(_between(node._made, count))
        for w, x, number in zip(terms.weights, terms.inputs, numbers, strict=True):
            product = _node(context, mul, number, w, x, next(made))
            parts.append(product)
            if sofar is None:
                sofar, data = product, number
            else:
                data = data + number
                sofar = _node(context, add, data, sofar, product, next(made))
                parts.append(sofar)
        parts.pop()  # the last addition is the node itself
        for part in parts:
            part._grad = terms._grad
        terms.parts = terms.parts or parts
        return terms.parts


def _between(made: float, count: int) -> list[Any]:
    """Return `count` increasing numbers above `made` - 1, the last of which is `made`."""
    start = int(made) - 1
    if start * count < 2**50:  # floats, with their 53 bits, can tell them apart
        return [start + k / count for k in range(1, count + 1)]
    from fractions import Fraction  # rarely needed, and a tenth of the time of `import autograd`

    return [start + Fraction(k, count) for k in range(1, count + 1)]


def _pull(node: Any, upstream: float) -> None:
    """Pass the gradient on to all factors, newest first, as a sweep over the parts would."""
    terms: Terms = node._right
    terms._grad += upstream  # a copy of the sum has the same parts
    for part in terms.parts or ():  # made since this pass began
        part._grad += upstream
    weights, inputs = terms.weights, terms.inputs
    for w, x in zip(weights[:0:-1], inputs[:0:-1], strict=True):
        w._grad += upstream * x._data
        x._grad += upstream * w._data
    if terms.start is not None:
        terms.start._grad += upstream
    w, x = weights[0], inputs[0]
    w._grad += upstream * x._data
    x._grad += upstream * w._data


# Its rules are never used: for everything but a pass on floats, the sum is its last addition.
WEIGHTED_SUM = _WeightedSum("WEIGHTED_SUM", operator.add, add.backward, pull=_pull)
WEIGHTED_SUM.is_folded = True


def _node(
    context: Context, primitive: Primitive, data: float, left: Value, right: Any, made: float
) -> Value:
    node = _new(Value)
    node._data = data
    node._grad = 0.0
    node._primitive = primitive
    node._left = left
    node._right = right
    node._context = context
    node._made = made
    node._visitor = None
    return node
