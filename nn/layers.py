"""What are networks made of? Neurons, layers of them, dropout and embeddings."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, overload

from autograd import Value
from autograd.hooks import fixed, is_recorded, require, varying
from autograd.messages import is_bool, is_series, require_flag, require_whole
from autograd.sums import weighted_sum
from autograd.text import counted, for_stream, quoted
from autograd.value import as_constant
from nn import rng
from nn.activations import Activation, activated, activation_named, name_of
from nn.matrix import Array, Matrix, Rows, Vector, as_input, as_values, dot, is_vector, total
from nn.module import Module
from nn.scalars import one_hot
from nn.settings import require_range


class Neuron(Module):
    """g(b + w_1 x_1 + ... + w_n x_n), where every product and every sum is a node.

    Weights start uniform in +-sqrt(6 / nin) for "relu", "leaky_relu" and "elu" (He et al. 2015,
    eq. 10) and in +-sqrt(3 / nin) otherwise (LeCun et al. 1998, section 4.6), which keeps the
    variance of a signal from layer to layer; the bias starts at 0.

    Args:
        nin: the number of inputs, 1 or more.
        activation: the name of a function in nn.activations, or a function from Value to Value.
        generator: the source of the initial weights; nn's own stream by default (see `nn.seed`).
        bias: whether there is a b.

    Call: a sequence of nin Values or numbers -> a Value. Raises ValueError for a wrong length, and
    TypeError if x is not a vector or the activation returns a number. For a batch use a Layer.
    """

    def __init__(
        self,
        nin: int,
        activation: str | Activation = "relu",
        generator: random.Random | None = None,
        *,
        bias: bool = True,
    ) -> None:
        nin = require_whole("nin", nin)
        require_flag("bias", bias)
        self.activation = activation_named(activation)
        is_rectifier = name_of(self.activation) in ("relu", "leaky_relu", "elu")
        spread = math.sqrt((6.0 if is_rectifier else 3.0) / nin)
        draw = rng.source(generator).uniform
        self.w = [Value(draw(-spread, spread)) for _ in range(nin)]
        self.b = Value(0.0) if bias else None

    def __repr__(self) -> str:
        return for_stream(
            f"Neuron({len(self.w)} → 1, {name_of(self.activation)}{_bias_of(self.b)})"
        )

    @overload
    def __call__(self, x: Vector) -> Value: ...
    @overload
    def __call__(self, x: Array) -> Value: ...
    def __call__(self, x: Any) -> Value:
        try:
            if len(x) != len(self.w):
                raise ValueError(f"a Neuron of {counted(len(self.w), 'input')} got {len(x)}")
            if x.__class__ not in (list, tuple) and not is_vector(x):
                raise TypeError
            z = weighted_sum(self.w, x, self.b)
            if not isinstance(z, Value):  # x has rows that are arrays, which NumPy has summed
                raise TypeError
        except TypeError:
            raise TypeError(f"a Neuron takes a vector of numbers, not {quoted(x)}") from None
        return activated(self.activation, z)


class VectorModule(Module):
    """A Module that maps a vector to a list of Values, and a batch to a Matrix."""

    @overload
    def __call__(self, x: Matrix | Rows) -> Matrix: ...
    @overload
    def __call__(self, x: Vector) -> list[Value]: ...
    @overload
    def __call__(self, x: Array) -> Any: ...
    def __call__(self, x: Any) -> list[Value] | Matrix:
        x = as_input(x, type(self).__name__)
        return Matrix(self._rows(x.rows)) if isinstance(x, Matrix) else self._row(x)

    def _row(self, x: Sequence[Any]) -> list[Value]:
        """Return the output for one vector."""
        raise NotImplementedError

    def _rows(self, rows: list[list[Value]]) -> list[list[Value]]:
        """Return the outputs for a batch, row by row unless a subclass overrides this."""
        return [self._row(row) for row in rows]


class Layer(VectorModule):
    """nout neurons with the same inputs: A = g(X W + b).

    Args:
        nin, nout: the numbers of inputs and outputs.
        activation, generator, bias: as for a Neuron.

    Call: a vector, nin Values or numbers -> list of nout Values; a batch, n x nin, as a Matrix, a
    list of rows or a 2-d array -> Matrix (n x nout). Raises ValueError for a wrong number of
    inputs, TypeError for an argument that is neither.
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        activation: str | Activation = "relu",
        generator: random.Random | None = None,
        *,
        bias: bool = True,
    ) -> None:
        nout = require_whole("nout", nout)
        self.neurons = [Neuron(nin, activation, generator, bias=bias) for _ in range(nout)]

    def __repr__(self) -> str:
        first = self.neurons[0]
        sizes = f"{len(first.w)} → {len(self.neurons)}"
        return for_stream(f"Layer({sizes}, {name_of(first.activation)}{_bias_of(first.b)})")

    def _row(self, x: Sequence[Any]) -> list[Value]:
        # Turn plain numbers into nodes once, not in each neuron.
        inputs = tuple([as_constant(entry) for entry in x])
        return [neuron(inputs) for neuron in self.neurons]


class Linear(VectorModule):
    """W x + b: the same function as a Layer of linear neurons, in a single module.

    Args:
        nin, nout: the numbers of inputs and outputs, 1 or more.
        bias: whether there is a b; it starts at 0.
        std: the standard deviation of the normal distribution of the initial weights, by default
            sqrt(1 / nin), which keeps the variance of a signal (LeCun et al. 1998, section 4.6).
        generator: the source of the initial weights; nn's own stream by default.
        multiplier: m, for m W x + b. The initial weights are divided by m, so m W starts as it does
            without m; but Adam, whose steps have the same size for all weights, moves m W m times
            as far.

    `weights` has nout rows of nin Values; `bias` is a list of nout Values, empty without a bias.

    Call: as for a Layer. Raises ValueError if std < 0 or multiplier <= 0, TypeError if one is not a
    number.
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        bias: bool = True,
        *,
        std: float | None = None,
        generator: random.Random | None = None,
        multiplier: float = 1.0,
    ) -> None:
        nin, nout = require_whole("nin", nin), require_whole("nout", nout)
        require_flag("bias", bias)
        self.multiplier = require_range("multiplier", multiplier, positive=True, plain=True)
        if std is None:
            std = math.sqrt(1.0 / nin)
        std = require_range("std", std, plain=True)
        self.weights = _normal(nout, nin, std / self.multiplier, generator)
        self.bias = [Value(0.0) for _ in range(nout)] if bias else []

    def __repr__(self) -> str:
        scaled = "" if self.multiplier == 1.0 else f", × {self.multiplier:g}"
        sizes = f"{len(self.weights[0])} → {len(self.weights)}"
        return for_stream(f"Linear({sizes}{_bias_of(self.bias or None)}{scaled})")

    def _row(self, x: Sequence[Any]) -> list[Value]:
        if len(x) != len(self.weights[0]):
            raise ValueError(f"a Linear of {counted(len(self.weights[0]), 'input')} got {len(x)}")
        inputs = tuple([as_constant(entry) for entry in x])
        if self.multiplier == 1.0:
            starts: Sequence[Value | None] = self.bias or [None] * len(self.weights)
            return [
                weighted_sum(row, inputs, start)
                for row, start in zip(self.weights, starts, strict=True)
            ]
        outputs = [self.multiplier * dot(row, inputs) for row in self.weights]
        return [y + b for y, b in zip(outputs, self.bias, strict=True)] if self.bias else outputs


class MLP(Module):
    """A multilayer perceptron: layers in sequence, the last one linear.

    Args:
        nin: the number of inputs.
        nouts: the number of neurons in each layer, such as [16, 16, 1].
        activation: one for all layers but the last, or a list with one for each layer but the last
            or for each layer: ["tanh", "sigmoid"] or ["tanh", "tanh", "sigmoid"] for [16, 16, 1].
        generator, bias: as for a Neuron.

    Call: a vector, nin Values or numbers -> list of Values, or one Value if there is a single
    output; a batch, n x nin, as a Matrix, a list of rows or a 2-d array -> Matrix (n x outputs).
    Raises ValueError for a wrong number of inputs, TypeError for an argument that is neither.

    >>> model = MLP(2, [16, 16, 1])
    >>> model, len(model.parameters())
    (MLP(2 → 16 → 16 → 1, relu), 337)
    >>> type(model([0.5, -1.0])).__name__, model([[0.5, -1.0], [1.0, 2.0]]).shape
    ('Value', (2, 1))
    """

    def __init__(
        self,
        nin: int,
        nouts: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "relu",
        generator: random.Random | None = None,
        *,
        bias: bool = True,
    ) -> None:
        if not is_vector(nouts):
            raise TypeError(
                "an MLP takes the sizes of its layers as a list, such as [16, 1], or [4] for a"
                f" single layer, not {quoted(nouts)}"
            )
        sizes = [nin, *nouts]
        count = len(sizes) - 1
        if not count:
            raise ValueError("an MLP needs at least one layer")
        if isinstance(activation, list | tuple):
            activations = list(activation)
            if len(activations) not in (count - 1, count):
                takes = f"{counted(count, 'layer')} takes {counted(count - 1, 'activation')}"
                raise ValueError(
                    f"an MLP of {takes} (the last layer is then linear) or {count}, not"
                    f" {len(activations)}: {quoted(activations)}"
                )
        else:
            one: Any = activation
            activations = [activation_named(one)] * (count - 1)
        activations += ["linear"] * (count - len(activations))
        self.layers = [
            Layer(sizes[i], sizes[i + 1], activations[i], generator, bias=bias)
            for i in range(count)
        ]

    def __repr__(self) -> str:
        firsts = [layer.neurons[0] for layer in self.layers]
        sizes = [len(firsts[0].w), *(len(layer.neurons) for layer in self.layers)]
        names = [name_of(neuron.activation) for neuron in firsts]
        if len(names) > 1 and names[-1] == "linear":  # the default
            names.pop()
            names = names[:1] if len(set(names)) == 1 else names
        told = ", ".join(names) + _bias_of(firsts[0].b)
        return for_stream(f"MLP({' → '.join(map(str, sizes))}, {told})")

    @overload
    def __call__(self, x: Matrix | Rows) -> Matrix: ...
    @overload
    def __call__(self, x: Vector | Array) -> Any: ...  # a Value if there is one output, else a list
    def __call__(self, x: Any) -> list[Value] | Value | Matrix:
        out: list[Value] | Matrix = self.layers[0](x)
        for layer in self.layers[1:]:
            out = layer(out)
        return out[0] if isinstance(out, list) and len(out) == 1 else out


class Sequential(Module):
    """Modules or functions in sequence, each called with the result of the previous one.

    `parts` is the list of them. Raises TypeError for a part that is not callable.
    """

    def __init__(self, *parts: Callable[[Any], Any]) -> None:
        for i, part in enumerate(parts):
            if not callable(part):
                instead = "; write Sequential(*parts) for a list" * isinstance(part, list | tuple)
                raise TypeError(f"Sequential: part {i} is not callable: {quoted(part)}{instead}")
        self.parts = list(parts)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(_named, self.parts))})"

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


class Dropout(VectorModule):
    """In training, set each entry to 0 with probability p, else divide it by 1 - p.

    The division keeps the mean, so evaluation uses the identity (Srivastava et al. 2014). Random
    numbers come from nn's own stream unless a generator is given. Raises ValueError unless
    0 <= p < 1, TypeError if p is not a number.
    """

    def __init__(self, p: float = 0.5, generator: random.Random | None = None) -> None:
        self.p = require_range("Dropout: p", p, below=1.0, plain=True)
        self._stream = rng.Stream(generator)

    def __repr__(self) -> str:
        return f"Dropout({self.p})"

    def _row(self, x: Sequence[Any]) -> list[Value]:
        values = as_values(x)
        if not fixed(self._drops):
            return values
        return [value * varying(self._draw, stream=self._stream) for value in values]

    def _drops(self) -> bool:
        return self.training and self.p > 0.0

    def _draw(self) -> float:
        return 0.0 if self._stream.unit() < self.p else 1.0 / (1.0 - self.p)


class Embedding(Module):
    """A learned vector for each of `count` indices.

    Args:
        count, size: the number of vectors, and their length.
        std: the standard deviation of the normal distribution of their initial entries.
        generator: the source of the initial entries; nn's own stream by default.

    Call: an index -> its vector; a sequence of indices -> Matrix, a row for each. The results are
    new nodes; the parameters are the entries of `vectors`. An index that is a Value, or an argument
    of a jitted function, selects by arithmetic: the result is the sum of all vectors weighted by 0
    and 1, and 0 if a Value is not one of 0 .. count - 1. Raises IndexError for any other index
    outside that range, TypeError for one that is not an integer, and ValueError for no indices.
    """

    def __init__(
        self, count: int, size: int, std: float = 1.0, generator: random.Random | None = None
    ) -> None:
        count, size = require_whole("count", count), require_whole("size", size)
        self.vectors = _normal(count, size, require_range("std", std, plain=True), generator)

    def __repr__(self) -> str:
        return for_stream(f"Embedding({len(self.vectors)} → {len(self.vectors[0])})")

    @overload
    def __call__(self, index: int | Value) -> list[Value]: ...
    @overload
    def __call__(self, index: Sequence[int | Value]) -> Matrix: ...
    def __call__(self, index: Any) -> list[Value] | Matrix:
        if isinstance(index, Value) or is_recorded(index):
            weights = one_hot(index, len(self.vectors))
            require(total(weights), lambda: self._no_vector(index))  # does not check a Value
            return [dot(weights, column) for column in zip(*self.vectors, strict=True)]
        if is_series(index):
            indices = list(index)
            if any(map(is_series, indices)):
                raise TypeError(
                    "Embedding takes a whole number or a vector of them, not rows: for rows of"
                    " indices write [embedding(row) for row in rows]; for one-hot rows give the"
                    " index of each 1, or multiply them by Matrix(embedding.vectors)"
                )
            return Matrix(self(i) for i in indices)
        try:
            place = -1 if is_bool(index) else operator.index(index)
        except TypeError:
            raise TypeError(f"Embedding takes whole numbers, not {quoted(index)}") from None
        if not 0 <= place < len(self.vectors):
            raise self._no_vector(index)
        # New nodes, as for a recorded index, so that the gradients of one lookup are summed first.
        return [entry * 1.0 for entry in self.vectors[place]]

    def _no_vector(self, index: Any) -> Exception:
        count = counted(len(self.vectors), "vector")
        return IndexError(f"Embedding of {count} has no index {index}")


def _normal(
    rows: int, columns: int, std: float, generator: random.Random | None
) -> list[list[Value]]:
    draw = rng.source(generator).gauss
    return [[Value(draw(0.0, std)) for _ in range(columns)] for _ in range(rows)]


def _named(part: Callable[[Any], Any]) -> str:
    """Return the name of a function, or the repr of another part, for a Sequential."""
    is_function = hasattr(part, "__name__") or isinstance(part, partial)
    return name_of(part) if is_function else repr(part)


def _bias_of(bias: object) -> str:
    return ", bias=False" if bias is None else ""
