"""Are the arguments of `fit` valid, and do they match? Data, batches and optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autograd import Value
from autograd.messages import require_flag, require_whole
from autograd.text import counted, quoted
from nn.clipping import is_no_limit
from nn.data import Data, Examples, as_lists, listed, number_rows
from nn.module import Module, gathered
from nn.norms import BatchNorm
from nn.optim import Optimizer
from nn.schedules import Schedule
from nn.settings import require_range

# --- data -----------------------------------------------------------------------------------------


def examples(data: Data, vectors: bool, name: str = "data") -> Examples:
    """Return inputs and targets as lists, after checking their lengths and numbers."""
    inputs, targets = listed(data, name)
    if not inputs:
        raise ValueError("there are no examples")
    if not vectors:
        return inputs, targets
    rows = number_rows(inputs, advice="; give predict= for inputs of another kind")
    return rows, list(map(as_lists, targets))


def held_out(data: Data | None, learned: Examples, vectors: bool) -> Examples | None:
    """Return the held-out examples as lists, after checking that they fit the training set."""
    if data is None:
        return None
    held = examples(data, vectors, "held_out")
    if vectors and len(held[0][0]) != len(learned[0][0]):
        given = counted(len(learned[0][0]), "number")
        raise ValueError(f"examples have {given}, held-out ones {len(held[0][0])}")
    return held


# --- steps ----------------------------------------------------------------------------------------


def counts(
    epochs: int | None,
    steps: int | None,
    every: int,
    batch_size: int | None,
    micro_batch: int | None,
    patience: int | None,
) -> tuple[int, int, int | None, int | None, int | None]:
    """Return the length, in epochs or steps, and the other counts, each as an int or None."""
    if (epochs is None) == (steps is None):
        raise ValueError("fit takes either epochs or steps")
    name, length = ("steps", steps) if epochs is None else ("epochs", epochs)
    return (
        require_whole(name, length, 0),
        require_whole("every", every),
        _whole_or_none("batch_size", batch_size),
        _whole_or_none("micro_batch", micro_batch),
        _whole_or_none("patience", patience),
    )


def _whole_or_none(name: str, count: Any) -> int | None:
    return None if count is None else require_whole(name, count)


def step_size(
    model: Module,
    examples: int,
    batch_size: int | None,
    drop_last: bool,
    micro_batch: int | None,
    vectors: bool,
) -> int:
    """Return the number of examples per step; ValueError if a batch is too small for BatchNorm.

    Without `vectors`, when the user gives `predict`, one example may have many rows.
    """
    require_flag("drop_last", drop_last)
    if drop_last and batch_size is not None and batch_size > examples:
        raise ValueError(
            f"drop_last with batch_size={batch_size} leaves no batch of"
            f" {counted(examples, 'example')}"
        )
    size = min(batch_size or examples, examples)
    if not any(isinstance(module, BatchNorm) for module in model.modules()):
        return size
    if micro_batch is not None and micro_batch < size:
        raise ValueError(
            f"micro_batch={micro_batch}: BatchNorm would use statistics of {micro_batch} examples"
            f" instead of the {size} of a step; leave micro_batch out, or use LayerNorm"
        )
    if vectors and size == 1:
        raise ValueError("BatchNorm in training needs steps of at least 2 examples, not 1")
    if vectors and not drop_last and examples % size == 1:
        raise ValueError(
            f"batch_size={batch_size} leaves a last batch of 1 of {examples} examples, and"
            " BatchNorm in training needs 2 or more: write drop_last=True, or another batch_size"
        )
    return size


# --- functions and settings -----------------------------------------------------------------------


def functions(model: Any, needed: dict[str, Any], optional: dict[str, Any]) -> None:
    """Raise TypeError unless the model is a Module and the functions are callable."""
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module, not {quoted(model)}")
    for name, function in (needed | optional).items():
        if not callable(function) and (name in needed or function is not None):
            raise TypeError(f"{name} must be a function, not {quoted(function)}")


def limits(clip: Any, settings: Any) -> None:
    """Raise TypeError or ValueError for an invalid clipping limit or settings."""
    if clip is not None and not is_no_limit(clip):
        require_range("clip", clip)
    if settings is not None and not isinstance(settings, dict):
        raise TypeError(f"settings must be a dict, not {quoted(settings)}")


# --- optimizers -----------------------------------------------------------------------------------


def optimizers(
    model: Module,
    given: Optimizer | Sequence[Optimizer],
    frozen: Module | Iterable[Value | Module],
) -> tuple[tuple[Optimizer, ...], list[Value]]:
    """Return all optimizers, and all frozen parameters.

    Raises ValueError unless each parameter of the model is in exactly one of them, and no other is.
    """
    listed = (given,) if isinstance(given, Optimizer) else given
    if not isinstance(listed, list | tuple) or not all(isinstance(o, Optimizer) for o in listed):
        raise TypeError(f"optimizer must be an optimizer or a list of them, not {quoted(given)}")
    if any(optimizer.differentiable for optimizer in listed):
        raise ValueError(
            "fit needs an optimizer without differentiable=True: to differentiate through steps,"
            " write the loop yourself"
        )
    fixed = list(gathered(frozen, "frozen"))
    names = {parameter: name for name, parameter in model.named_parameters()}
    places: dict[Value, str] = {}
    parts = [(f"optimizer {i}", o.parameters) for i, o in enumerate(listed)] + [("frozen", fixed)]
    for place, parameters in parts:
        for p in parameters:
            if p in places and p in names:
                raise ValueError(f"{names[p]} is both in {places[p]} and in {place}")
            places[p] = place
    missing = [name for parameter, name in names.items() if parameter not in places]
    foreign = sum(parameter not in names for parameter in places)
    if not missing and not foreign:
        return tuple(listed), fixed
    problems = []
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        problems.append(
            f"no optimizer has {len(missing)} of the model's {len(names)} parameters ({shown})"
        )
    if foreign:
        problems.append(f"the model lacks {counted(foreign, 'optimized or frozen parameter')}")
    remedy = (
        "make the optimizer from the model that is trained"
        if foreign
        else "add an optimizer for them, or list them, or the module they are in, in frozen="
    )
    raise ValueError(f"{', and '.join(problems)}: {remedy}")


def schedules(
    given: Schedule | Sequence[Schedule | None] | None, count: int
) -> list[Schedule | None]:
    """Return a schedule, or None, for each optimizer."""
    if given is None or callable(given):
        return [given] * count
    is_list = isinstance(given, list | tuple)
    if not is_list or len(given) != count:
        raise (ValueError if is_list else TypeError)(
            "schedule must be a function of the number of steps, such as"
            f" nn.linear_decay(0.1, 100), or a list of {count}, not {quoted(given)}"
        )
    for schedule in given:
        if schedule is not None and not callable(schedule):
            raise TypeError(
                f"a schedule is a function of the number of steps, not {quoted(schedule)}"
            )
    return list(given)
