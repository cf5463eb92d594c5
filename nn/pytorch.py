"""How does a model go to PyTorch, and come back? Its numbers are copied to PyTorch's modules."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from autograd import Value
from autograd.context import names_within
from autograd.extras import to_install
from autograd.files import write_bytes
from autograd.messages import is_series
from autograd.text import quoted
from nn.module import Module

if TYPE_CHECKING:
    import torch

Model = TypeVar("Model", bound=Module | Callable[..., Any])

# The types of a torch module's settings, and attributes that may differ.
PLAIN = (bool, int, float, str, tuple, type(None))
FREE = ("training", "inplace")


def to_torch(model: Module | Callable[..., Any]) -> torch.nn.Module:
    """Convert a model to a `torch.nn.Module` in float64, made of PyTorch's own modules.

    Weights have PyTorch's layouts and names: an MLP becomes `torch.nn.Sequential(Linear, ReLU,
    Linear)`, whose `state_dict()` has "0.weight" (out x in), "0.bias", "2.weight" and "2.bias". A
    TransformerBlock becomes a `torch.nn.TransformerEncoderLayer`, an activation such as `nn.relu` a
    `torch.nn.ReLU`. The numbers are copied. Shared parts stay shared, buffers become buffers, and
    each part keeps its training or evaluation mode.

    The result follows PyTorch's conventions: inputs may have any number of leading dimensions (one
    for BatchNorm), an MLP with one output returns (n, 1), masks are True where attention is not
    allowed, Dropout draws from PyTorch's stream. A `multiplier` becomes a parametrization.

    A module of your own says what it becomes in one method. It returns a torch module, and a dict
    of what that holds by name: nested lists of Values, which become tensors; modules, lists of
    modules and activations, which are converted:

        class Residual(nn.Module):
            def __init__(self, size):
                self.gain, self.inner = [Value(1.0) for _ in range(size)], nn.Linear(size, size)

            def __call__(self, x):
                return [v * g + y for v, g, y in zip(x, self.gain, self.inner(x))]

            def for_torch(self):
                class Residual(torch.nn.Module):
                    def forward(self, x):
                        return x * self.gain + self.inner(x)

                return Residual(), {"gain": self.gain, "inner": self.inner}

    Raises TypeError for a part without a counterpart, ValueError for a parameter that would not be
    in exactly one tensor, ImportError if torch is missing.
    """
    return _Conversion(model).root


def from_torch(module: torch.nn.Module, model: Model) -> Model:
    """Copy the numbers of a torch module, such as `to_torch(model)` made, back to the model.

    Parameters and buffers may have any floating-point type; those in float64 keep every bit. The
    module must have the parts, settings and shapes of `to_torch(model)`. Returns the model.

    Raises TypeError for an argument that is not a torch.nn.Module or a part of another class,
    ValueError for a shape or setting that differs or a part that only one of the two has, and
    ImportError if torch is missing. An error leaves the model unchanged.
    """
    torch = require_torch()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"from_torch takes a torch.nn.Module, then the model, not {type(module).__name__} first"
            "; a state goes into a module by module.load_state_dict(state)"
        )
    conversion = _Conversion(model)
    _require_same_parts(conversion.root, module, model)
    numbers = list(_numbers(conversion, module, model))
    _require_same_settings(conversion.root, module, model)
    for value, number in numbers:
        value.assign(number)
    return model


def export(model: Module, path: str | os.PathLike[str]) -> None:
    """Write the `state_dict` of `to_torch(model)`, atomically.

    `torch.load(path, weights_only=True)` reads it. Raises OSError if the file cannot be written.
    """
    file = io.BytesIO()
    require_torch().save(to_torch(model).state_dict(), file)
    write_bytes(path, file.getvalue())


def require_torch() -> Any:
    """Return the package torch; if it is missing, the ImportError says how to install it."""
    try:
        import torch
    except ModuleNotFoundError:
        raise ImportError(f"PyTorch is missing: {to_install('torch')}") from None
    return torch


# --- out ------------------------------------------------------------------------------------------


class _Conversion:
    """A model converted to PyTorch's modules, and the Values that its tensors hold.

    Attributes:
        root: the torch module of the model.
        held: the Values of each tensor of root, row by row, by the id of the tensor.
    """

    def __init__(self, model: Any) -> None:
        self._torch = require_torch()
        if isinstance(model, type):
            raise TypeError(f"to_torch takes a model, not the class {model.__name__}")
        self._model = model
        is_module = isinstance(model, Module)
        self._parameters = {v: name for name, v in model.named_parameters()} if is_module else {}
        self._buffers = {v: name for name, v in model.named_buffers()} if is_module else {}
        self._made: dict[int, tuple[Module, torch.nn.Module]] = {}  # by id: parts may be shared
        self._tensors: dict[tuple[Value, ...], torch.Tensor] = {}
        self.held: dict[int, list[Value]] = {}
        with self._torch.random.fork_rng(devices=()):  # initial weights are drawn, then replaced
            self.root: torch.nn.Module = self._converted(model, model).double()
        self._require_all()

    def _converted(self, part: Any, within: Any) -> torch.nn.Module:
        """Return the torch module of a part of ours, which is in the module `within`."""
        from nn.torch_parts import NoCounterpart, row_of

        if id(part) in self._made:
            return self._made[id(part)][1]
        within = part if isinstance(part, Module) else within
        try:
            made, held = row_of(part)
        except NoCounterpart as what:
            raise TypeError(
                f"to_torch: {self._place(within)}{what} has no counterpart in PyTorch; a Module"
                " with a method for_torch says what it becomes"
            ) from None
        if isinstance(part, Module):
            self._made[id(part)] = part, made
        if isinstance(within, Module):
            made.train(within.training)
        for name, content in held.items():
            path, _, leaf = name.rpartition(".")
            owner = made.get_submodule(path)
            if isinstance(content, list) and any(isinstance(x, Module) for x in content):
                parts = self._torch.nn.ModuleList().train(made.training)
                owner.add_module(leaf, parts.extend(self._converted(x, within) for x in content))
            elif isinstance(content, Value | Iterable) and not isinstance(content, Module | str):
                self._put(owner, leaf, content, f"{self._place(within)}{name}")
            else:
                owner.add_module(leaf, self._converted(content, within))
        return made

    def _put(self, owner: torch.nn.Module, leaf: str, content: Any, where: str) -> None:
        """Make a tensor of Values, and register it with its owner as a parameter or buffer."""
        values, shape = _flat(content, where)
        for value in values:
            if value not in self._parameters and value not in self._buffers:
                raise ValueError(f"to_torch: {where} has a Value that is not in the model")
        room = getattr(owner, leaf, None)
        if isinstance(room, self._torch.Tensor) and room.shape != shape:
            raise ValueError(
                f"to_torch: {where} has {_sizes(shape)} Values, but that of {type(owner).__name__}"
                f" is {_sizes(room.shape)}"
            )
        is_trained = values[0] in self._parameters
        tensor = self._tensors.get((*values,))
        if tensor is None or tensor.shape != shape:
            numbers = [value.data for value in values]
            tensor = self._torch.tensor(numbers, dtype=self._torch.float64).reshape(shape)
            tensor = self._torch.nn.Parameter(tensor) if is_trained else tensor
            self._tensors[(*values,)] = tensor
            self.held[id(tensor)] = values
        (owner.register_parameter if is_trained else owner.register_buffer)(leaf, tensor)

    def _place(self, part: Any) -> str:
        name = names_within(self._model).get(id(part))
        return f"{name}: " if name else ""

    def _require_all(self) -> None:
        """Raise ValueError unless each Value has one place, and each trained tensor has Values."""
        places = Counter(chain(*self.held.values()))
        for value, name in (self._parameters | self._buffers).items():
            if places[value] != 1:
                raise ValueError(
                    f"to_torch: {name} of {self._model!r} would be in {places[value]} entries of"
                    " tensors, not in one"
                )
        for name, tensor in self.root.named_parameters():
            if id(tensor) not in self.held:
                kind = type(self.root).__name__
                raise ValueError(f"to_torch: {name} of the {kind} holds no Values of the model")


def _flat(content: Any, where: str) -> tuple[list[Value], tuple[int, ...]]:
    """Return the Values of nested lists, row by row, and their shape."""
    if isinstance(content, Value):
        return [content], ()
    if not is_series(content):
        raise TypeError(f"to_torch: {where} has {quoted(content)} where a Value should be")
    parts = [_flat(part, where) for part in content]
    if len({shape for _, shape in parts}) != 1:
        raise ValueError(f"to_torch: {where} is empty, or has rows of different lengths")
    return [value for values, _ in parts for value in values], (len(parts), *parts[0][1])


def _sizes(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "1"


# --- back -----------------------------------------------------------------------------------------


def _require_same_parts(root: torch.nn.Module, module: torch.nn.Module, model: Any) -> None:
    """Raise ValueError or TypeError unless both have parts of the same names and classes."""
    parts = dict(root.named_modules(remove_duplicate=False))
    others = dict(module.named_modules(remove_duplicate=False))
    for name in [*parts, *others]:
        part, other = type(parts.get(name)), type(others.get(name))
        if name not in others:
            raise ValueError(
                f"from_torch: the module has no {name}, which is {part.__name__} of {model!r}"
            )
        if name not in parts:
            raise ValueError(
                f"from_torch: {model!r} has no {name}, which is {other.__name__} of the module"
            )
        is_alike = issubclass(part, other) or issubclass(other, part)
        if not is_alike and part.__name__ != other.__name__:
            raise TypeError(
                f"from_torch: {name or 'the module'} is {other.__name__}, but that of {model!r} is"
                f" {part.__name__}"
            )


def _require_same_settings(root: torch.nn.Module, module: torch.nn.Module, model: Any) -> None:
    """Raise ValueError unless both have the same settings, which are attributes of plain types."""
    others = dict(module.named_modules(remove_duplicate=False))
    for name, part in root.named_modules(remove_duplicate=False):
        for key, setting in vars(part).items():
            if key[0] == "_" or key in FREE or not isinstance(setting, PLAIN):
                continue
            other = getattr(others[name], key, setting)
            if other != setting:
                raise ValueError(
                    f"from_torch: {key} of {name or 'the module'} is {other!r}, but that of"
                    f" {model!r} is {setting!r}"
                )


def _numbers(
    conversion: _Conversion, module: torch.nn.Module, model: Any
) -> Iterator[tuple[Value, float]]:
    """Yield the Values of the model with their numbers in a module. Raises as `from_torch` does."""
    given, expected = dict(_tensors(module)), dict(_tensors(conversion.root))
    if extra := [name for name in given if name not in expected]:
        raise ValueError(f"from_torch: {model!r} has no {extra[0]}, which the module has")
    names: dict[int, str] = {}
    for name, tensor in expected.items():
        values = conversion.held.get(id(tensor))
        if values is None:  # not one of ours, such as BatchNorm's count of batches
            continue
        if name not in given:
            raise ValueError(f"from_torch: the module has no {name}, which {model!r} has")
        found = given[name]
        if found.shape != tensor.shape or not found.is_floating_point():
            kind = "" if found.is_floating_point() else f" of {found.dtype}"
            raise ValueError(
                f"from_torch: {name} of the module is {_sizes(found.shape)}{kind}, but that of"
                f" {model!r} is {_sizes(tensor.shape)}"
            )
        first = names.setdefault(id(tensor), name)
        if found is not given[first]:
            raise ValueError(
                f"from_torch: {first} and {name} are one tensor of {model!r}, but two of the module"
            )
        yield from zip(values, found.detach().double().flatten().tolist(), strict=True)


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield all parameters and buffers by name; a shared one comes once for each name."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)
