"""How is a step of `fit` computed? At once, or in parts whose gradients are accumulated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from autograd import Value, no_grad
from autograd.hooks import number_of, require
from autograd.ops import greater
from autograd.text import quoted
from autograd.value import as_constant, as_operand
from autograd.walk import newest_first
from nn.clipping import clip_grad_norm
from nn.matrix import Matrix, total
from nn.module import Module
from nn.optim import Optimizer
from nn.predictions import Predict, is_per_example, is_worth_recording, like

WORTH_COMPILING = 400  # replays: 320 pay for compiling the moons step, 160 for that of digits

Weight = Value | float
Answer = Value | tuple[Value, Weight]  # what a loss returns
Loss = Callable[[Any, Sequence[Any]], Answer]
Penalty = Callable[[Module], Value]
# (inputs, targets) -> (predictions, cost, the weight of the cost in a mean over several steps).
# The predictions are None if nothing needs them, because it is slow to make Values in a replay.
Step = Callable[[Sequence[Any], Sequence[Any]], tuple[Any, Value, Weight]]
Add = Callable[[Sequence[Any], Sequence[Any]], tuple[Any, Value, Weight, bool]]
Move = Callable[[Weight], Value]


class Recipe(NamedTuple):
    """What all steps of a run share.

    frozen: parameters that belong to no optimizer. scored: whether a metric asks for predictions.
    buffers: those of the model.
    """

    model: Module
    loss: Loss
    optimizers: tuple[Optimizer, ...]
    frozen: list[Value]
    penalty: Penalty | None
    clip: float | None
    predict: Predict
    scored: bool
    buffers: list[Value]


def as_sum(answer: Any, examples: int) -> tuple[Value, Weight, bool]:
    """Return a loss as (sum, weight, whether the loss function returned both).

    A single Value is a mean over the examples.
    """
    if isinstance(answer, Value):
        return answer * examples, examples, False
    total, weight = _pair(answer)
    return total, weight, True


def as_mean(answer: Any, examples: int) -> tuple[Value, Weight]:
    """Return a loss as (mean, weight of this mean among others)."""
    if isinstance(answer, Value):
        return answer, examples
    total, weight = _pair(answer)
    return total / weight, weight


def as_score(answer: Any, examples: int) -> float:
    """Return the result of a metric, or of a loss used as one, as a float."""
    if isinstance(answer, Value | tuple):
        return float(as_mean(answer, examples)[0])
    if as_operand(answer) is None:
        raise TypeError(f"a metric returns a number, not {quoted(answer)}")
    return float(answer)


def _pair(answer: Any) -> tuple[Value, Weight]:
    is_pair = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Value)
    if not is_pair or as_operand(answer[1]) is None:
        raise TypeError(
            "a loss returns a Value, the mean over the examples, or a tuple (sum, weight), not"
            f" {quoted(answer)}"
        )
    total, weight = answer
    return total, weight


def _cost_of(penalty: Penalty, model: Module) -> Value:
    """Return what a penalty adds to the loss."""
    answer = penalty(model)
    cost = as_operand(answer)
    if cost is None:
        raise TypeError(f"a penalty returns a Value or a number, not {quoted(answer)}")
    return cost


def whole_step(recipe: Recipe) -> Step:
    """Return a step that computes everything in one graph."""
    model, loss, optimizers, frozen, penalty, clip, predict, scored, _ = recipe

    def step(inputs: Any, targets: Any) -> tuple[Any, Value, Weight]:
        predictions = predict(model, inputs)
        cost, weight = as_mean(loss(predictions, targets), len(inputs))
        if penalty is not None:
            cost = cost + _cost_of(penalty, model)
        check_finite(cost)
        _zero_grad(optimizers, frozen)
        cost.backward()
        _move(optimizers, clip)
        return predictions if scored else None, cost, weight

    return step


def halves(recipe: Recipe) -> tuple[Add, Move]:
    """Return the same step as two functions: `add` accumulates gradients, `move` updates by them.

    add: (inputs, targets) -> (predictions, sum, weight, whether the loss returned both).
    move: weight of all parts -> cost of the penalty.
    """
    model, loss, optimizers, frozen, penalty, clip, predict, *_ = recipe

    def add(inputs: Any, targets: Any) -> tuple[Any, Value, Weight, bool]:
        predictions = predict(model, inputs)
        cost, weight, weighed = as_sum(loss(predictions, targets), len(inputs))
        check_finite(cost)
        if isinstance(weight, Value) and _depends(weight, model.parameters()):
            raise ValueError(
                "micro_batch: the weight of the loss depends on the model, and would have a"
                " gradient of its own; detach() it, or leave micro_batch out"
            )
        cost.backward()
        return predictions, cost, weight, weighed

    def move(weight: Weight) -> Value:
        for parameter in _parameters(optimizers):
            parameter.assign(grad=parameter.grad / weight)
        cost = as_constant(0.0)
        if penalty is not None:
            cost = _cost_of(penalty, model)
            cost.backward()
        _move(optimizers, clip)
        _zero_grad(optimizers, frozen)
        return cost

    return add, move


def step_for(recipe: Recipe, planned: Counter[int], micro_batch: int | None, jit: bool) -> Step:
    """Return the function that computes the steps of a run; with jit, by replays if that pays.

    planned: the number of steps, by their number of examples.
    """
    if jit:
        from autograd.jit import jit as jitted  # NumPy is slow to import
    size, steps = max(planned, default=0), planned.total()
    if micro_batch is not None and micro_batch < size:
        (add, move), whole = halves(recipe), whole_loss(recipe)
        if jit and is_worth_recording(steps * size / micro_batch):
            add = jitted(add)
        if jit and is_worth_recording(steps):
            move, whole = jitted(move), jitted(whole)
        return undone_on_error(step_in_parts(recipe, add, move, whole, micro_batch), recipe)
    step = whole_step(recipe)
    eager = undone_on_error(step, recipe)
    recorded = {
        examples: jitted(step, backend=_backend(count))
        for examples, count in planned.items()
        if jit and is_worth_recording(count)
    }

    def chosen(inputs: Any, targets: Any) -> tuple[Any, Value, Weight]:
        return recorded.get(len(inputs), eager)(inputs, targets)

    return chosen


def _backend(replays: int) -> str | None:
    """Return "native", to compile at once, if there will be enough replays; else let jit decide."""
    return "native" if replays >= WORTH_COMPILING and find_spec("llvmlite") else None


def undone_on_error(step: Step, recipe: Recipe) -> Step:
    """Return a step that restores parameters, gradients and optimizers if it raises.

    A later part may fail, and a second Ctrl-C may come between two assignments. A step that is
    jitted as a whole does this itself.
    """

    def undone(inputs: Any, targets: Any) -> tuple[Any, Value, Weight]:
        put_back = remembered(recipe)
        try:
            return step(inputs, targets)
        except BaseException:
            put_back()
            raise

    return undone


def remembered(recipe: Recipe) -> Callable[[], None]:
    """Return a function that restores the model, its gradients and the optimizers as they are."""
    optimizers = recipe.optimizers
    values = [*_parameters(optimizers), *recipe.frozen, *recipe.buffers]
    numbers = [(value.data, value.grad) for value in values]
    states = [(optimizer.lr, optimizer.state_dict()) for optimizer in optimizers]

    def put_back() -> None:
        for value, (number, gradient) in zip(values, numbers, strict=True):
            value.data, value.grad = number, gradient  # not assign(), to which None means no change
        for optimizer, (lr, state) in zip(optimizers, states, strict=True):
            optimizer.load_state_dict(state)
            optimizer.lr = lr

    return put_back


def whole_loss(recipe: Recipe) -> Callable[[Any, Any], Value]:
    """Return a function that computes the mean loss of a step's predictions, without a graph."""

    def whole(predictions: Any, targets: Any) -> Value:
        with no_grad():
            return as_mean(recipe.loss(predictions, targets), len(targets))[0]

    return whole


def step_in_parts(
    recipe: Recipe, add: Add, move: Move, whole: Callable[[Any, Any], Value], size: int
) -> Step:
    """Return a step in parts of `size` examples, whose gradients are accumulated."""
    _zero_grad(recipe.optimizers, recipe.frozen)
    unchecked = 2  # steps: if the last weights start at 0, all predictions of the first are equal

    def step(inputs: Any, targets: Any) -> tuple[Any, Value, Weight]:
        nonlocal unchecked
        if unchecked and not is_per_example(recipe.model, recipe.predict, inputs, size):
            raise ValueError(
                f"micro_batch={size}: predictions must be a list, a tuple or a Matrix with an entry"
                f" for each example, the same for {size} at a time as for more at once; if the"
                " model computes across examples (statistics of a batch), leave micro_batch out"
            )
        parts = [
            add(inputs[i : i + size], targets[i : i + size]) for i in range(0, len(inputs), size)
        ]
        predictions = like(parts[0][0], [row for part in parts for row in part[0]])
        weight = total([float(part[2]) for part in parts])
        cost = total([part[1] for part in parts]) / weight
        if not all(part[3] for part in parts):
            mean = whole(_detached(predictions), targets)  # `whole` may be jitted
            _check_mean(float(mean), [float(part[1]) for part in parts], size, len(inputs))
        unchecked = max(unchecked - 1, 0)
        return predictions, cost + move(weight), weight

    return step


def check_finite(cost: Value) -> None:
    """Raise FloatingPointError if the loss is nan or infinite."""
    number = number_of(cost)
    require(greater(math.inf, abs(number)), lambda: FloatingPointError(f"the loss became {number}"))


def _check_mean(whole: float, sums: list[float], size: int, examples: int) -> None:
    """Raise ValueError unless the loss of a whole step is the mean over its parts."""
    # A sum in another order differs by rounding, in proportion to its terms.
    if abs(whole * examples - sum(sums)) > 1e-9 * sum(map(abs, sums)):
        raise ValueError(
            f"micro_batch={size}: the loss of {examples} examples is {whole:.9g}, but the mean over"
            f" its parts is {sum(sums) / examples:.9g}: it is not a mean over examples. A loss that"
            " divides by weights of its own must return (sum, weight), so that both can be added up"
        )


def _detached(predictions: Any) -> Any:
    if isinstance(predictions, Value):
        return predictions.detach()
    if isinstance(predictions, Matrix):
        return Matrix(map(_detached, predictions))
    if type(predictions) in (list, tuple):
        return type(predictions)(map(_detached, predictions))
    return predictions


def _depends(output: Value, inputs: Sequence[Value]) -> bool:
    leaves, inner = newest_first([output])
    return not {*leaves, *inner}.isdisjoint(inputs)


def _parameters(optimizers: Sequence[Optimizer]) -> list[Value]:
    return [parameter for optimizer in optimizers for parameter in optimizer.parameters]


def _zero_grad(optimizers: Sequence[Optimizer], frozen: Sequence[Value]) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    for parameter in frozen:
        parameter.grad = 0.0


def _move(optimizers: Sequence[Optimizer], clip: float | None) -> None:
    """Clip all gradients together, then let all optimizers step."""
    if clip is not None:
        try:
            clip_grad_norm(_parameters(optimizers), clip)
        except FloatingPointError as error:  # drop its advice: `fit` gives its own
            raise FloatingPointError(str(error).partition(": try ")[0]) from None
    for optimizer in optimizers:
        optimizer.step()
