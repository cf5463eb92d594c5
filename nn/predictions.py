"""How does a model predict many examples? As a batch at once, or in pieces that are replayed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from autograd import hooks, no_grad
from autograd.messages import is_series
from autograd.value import as_constant, as_operand
from nn import rng
from nn.frames import is_ours
from nn.layers import Dropout
from nn.matrix import Matrix, is_vector
from nn.module import Module

# Recording pays off from this many calls on. Recording, and checking the first replays and the
# last, took as long as 9 eager calls (predictions of a 2-16-16-1 network), 13 (its training step),
# 28 (a training step of digits) and 43 (of a small GPT).
WORTH_RECORDING = 20
PIECE = 32  # how many examples are predicted at a time

Predict = Callable[[Module, Sequence[Any]], Any]

_ONE_AT_A_TIME = (
    "the model was called on a batch, a Matrix with a row for each example; if it takes one example"
    " at a time, write predict=lambda model, inputs: [model(x) for x in inputs]"
)


def is_worth_recording(calls: float) -> bool:
    """Whether so many calls of a function are faster in total if they are recorded and replayed."""
    return calls >= WORTH_RECORDING


def predict_batch(model: Module, inputs: Sequence[Sequence[float]]) -> Any:
    """Return the predictions of a model that is called on a batch Matrix."""
    # The inputs are constants of the graph, because their gradients are not needed.
    batch = Matrix([as_constant(x) for x in row] for row in inputs)
    try:
        return model(batch)
    except TypeError as error:
        raise TypeError(f"{error}; {_ONE_AT_A_TIME}") from error
    except (AttributeError, LookupError, ValueError, hooks.TraceError) as error:
        # Unpacking rows as numbers is a ValueError. One that the library raises, such as that of a
        # layer of another size, says itself what is wrong.
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if not (is_ours(frame.f_globals.get("__name__")) and isinstance(error, ValueError)):
            error.add_note(_ONE_AT_A_TIME)
        raise


class _Recorded:
    """A jitted function that predicts, and how often it was called or will be."""

    def __init__(self, predict: Predict) -> None:
        from autograd.jit import jit as jitted  # NumPy is slow to import

        self.replay: Predict = jitted(predict)
        self.calls = 0


_shared: WeakKeyDictionary[Module, dict[Predict | None, _Recorded]] = WeakKeyDictionary()


def in_pieces(predict: Predict, size: int = PIECE, times: int = 1) -> Predict:
    """Return a function with the same predictions, by one recording of `size` examples.

    `fit`, `evaluate` and plots share the recording of a model if they predict by the same function.
    The last piece is padded with its last example, so that it needs no recording of its own. If
    there are too few examples for a recording to pay off, or the model computes across examples,
    all are predicted at once, eagerly.

    Args:
        times: how many calls are planned, all with as many examples.
    """
    own: dict[Predict | None, _Recorded] = {}
    # Closures are not shared: that would keep their variables alive, which may be large.
    shared = predict if getattr(predict, "__closure__", predict) is None else None
    per_example: bool | None = None

    def pieces(model: Module, inputs: Any) -> Any:
        nonlocal per_example, times
        known = _shared.setdefault(model, {}) if shared else own
        recorded = known.get(shared) or known.setdefault(shared, _Recorded(predict))
        count = -(-len(inputs) // size)
        recorded.calls += count * times
        times = 0  # the later calls were counted at the first
        is_worth_it = is_worth_recording(recorded.calls)
        if is_worth_it and per_example is None and len(inputs) > size:
            per_example = is_per_example(model, predict, inputs, size)
        if not is_worth_it or per_example is False:
            return predict(model, inputs)
        if len(inputs) <= size:
            return recorded.replay(model, inputs)
        draws, rows = rng.generator.getstate(), list[Any]()
        for start in range(0, len(inputs), size):
            piece = inputs[start : start + size]
            missing = size - len(piece)
            if not _is_plain(piece[-1]) or rng.generator.getstate() != draws:
                missing = 0  # padding would draw random numbers, or pass a Value twice
            part = recorded.replay(model, piece + piece[-1:] * missing)
            rows += islice(part, len(piece))
        return like(part, rows)

    return pieces


def is_per_example(model: Module, predict: Predict, inputs: Any, size: int) -> bool:
    """Whether there is a prediction for each example, the same for `size` at a time as for more."""
    inputs = inputs[: size + 2]  # enough to see a difference
    drops = [m for m in model.modules() if isinstance(m, Dropout) and m.training]
    buffers = [(buffer, buffer.data) for _, buffer in model.named_buffers()]
    draws = rng.generator.getstate()
    try:
        for drop in drops:
            drop.eval()
        with no_grad():
            predictions = predict(model, inputs)
            has_length = hasattr(predictions, "__len__")
            if not is_vector(predictions) or (has_length and len(predictions) != len(inputs)):
                return False
            whole = _numbers(predictions)
            parts = [predict(model, inputs[i : i + size]) for i in range(0, len(inputs), size)]
            # A model with a random generator of its own never repeats its predictions.
            return _equal(_numbers(parts), whole) or not _equal(
                _numbers(predict(model, inputs)), whole
            )
    finally:
        for drop in drops:
            drop.train()
        for buffer, number in buffers:
            buffer.assign(number)
        rng.generator.setstate(draws)


def _equal(some: list[float], others: list[float]) -> bool:
    """Whether all numbers are equal up to rounding; nan equals everything."""
    if len(some) != len(others):
        return False
    scale = max(map(abs, others), default=0.0)
    return not any(abs(a - b) > 1e-9 * scale for a, b in zip(some, others, strict=True))


def _is_plain(row: Any) -> bool:
    """Whether an example is a list of plain numbers."""
    return isinstance(row, list) and all(isinstance(x, float | int) for x in row)


def _numbers(predictions: Any) -> list[float]:
    """Return all numbers in nested containers, in order."""
    if as_operand(predictions) is not None:
        return [float(predictions)]
    if not is_series(predictions):
        return []
    return [number for part in predictions for number in _numbers(part)]


def like(part: Any, rows: list[Any]) -> Any:
    """Return the rows of all parts of the predictions as one of the parts holds its rows."""
    if isinstance(part, Matrix):
        return Matrix(rows)
    return tuple(rows) if type(part) is tuple else rows
