"""What keeps activations in range? Normalization, over a batch or within a vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from autograd import Value, no_grad
from autograd.hooks import fixed
from autograd.messages import require_flag, require_whole
from autograd.text import counted
from nn.layers import VectorModule
from nn.matrix import as_values, mean, total
from nn.settings import require_range


class BatchNorm(VectorModule):
    """Normalize each column of a batch to mean 0 and variance 1, with a learned scale and shift.

    Ioffe and Szegedy 2015, algorithm 1. In training it uses the statistics of the batch (variance
    with divisor n) and updates running averages (variance with divisor n - 1), which it uses in
    evaluation.

    Args:
        size: the number of columns.
        momentum: the weight of the newest batch in the running averages.
        eps: added to the variance under the root.

    Call: a batch (n x size) -> Matrix of that shape; in evaluation also a vector of `size` entries.
    Raises ValueError for a wrong size, and in training for a batch of fewer than 2 rows.
    """

    buffers: ClassVar[tuple[str, ...]] = ("running_mean", "running_variance")

    def __init__(self, size: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        size = require_whole("size", size)
        self.momentum = require_range("momentum", momentum, 1.0, plain=True)
        require_range("eps", eps)
        self.eps = eps
        self.gain = [Value(1.0) for _ in range(size)]
        self.bias = [Value(0.0) for _ in range(size)]
        self.running_mean = [Value(0.0) for _ in range(size)]
        self.running_variance = [Value(1.0) for _ in range(size)]

    def _row(self, x: Sequence[Any]) -> list[Value]:
        return self._rows([as_values(x)])[0]

    def _rows(self, rows: list[list[Value]]) -> list[list[Value]]:
        if len(rows[0]) != len(self.gain):
            raise ValueError(f"BatchNorm of {counted(len(self.gain), 'column')} got {len(rows[0])}")
        is_training = fixed(lambda: self.training)
        centers, variances = self.running_mean, self.running_variance
        if is_training:
            if len(rows) < 2:
                raise ValueError(
                    "BatchNorm in training needs a Matrix of at least 2 rows; to predict, write"
                    " model.eval() first"
                )
            columns = zip(*rows, strict=True)
            centers, variances = map(list, zip(*map(_moments, columns), strict=True))
        scales = [
            gain / (variance + self.eps).sqrt()
            for gain, variance in zip(self.gain, variances, strict=True)
        ]
        if is_training:  # only now, as an error leaves the averages as they were
            self._average(centers, variances, len(rows))
        parts = list(zip(centers, scales, self.bias, strict=True))
        return [
            [
                (v - center) * scale + bias
                for v, (center, scale, bias) in zip(row, parts, strict=True)
            ]
            for row in rows
        ]

    def _average(self, centers: list[Value], variances: list[Value], count: int) -> None:
        """Update the running averages by the statistics of a batch of this many rows."""
        unbiased = count / (count - 1)
        running = self.running_mean + self.running_variance
        with no_grad():
            seen = centers + [variance * unbiased for variance in variances]
            for old, new in zip(running, seen, strict=True):
                old.assign((1.0 - self.momentum) * old + self.momentum * new)


class LayerNorm(VectorModule):
    """Normalize a vector to mean 0 and variance 1, with a learned scale and shift for each entry.

    Ba et al. 2016, eq. 4.

    Args:
        size: the length of the vector.
        eps: added to the variance under the root.

    Call: size entries -> list of size Values; a batch (n x size) row by row. Raises ValueError for
    a wrong size.
    """

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        size = require_whole("size", size)
        require_range("eps", eps)
        self.eps = eps
        self.gain = [Value(1.0) for _ in range(size)]
        self.bias = [Value(0.0) for _ in range(size)]

    def _row(self, x: Sequence[Any]) -> list[Value]:
        values = _entries(x, len(self.gain), "LayerNorm")
        center, variance = _moments(values)
        spread = (variance + self.eps).sqrt()
        return [
            (v - center) / spread * gain + bias
            for v, gain, bias in zip(values, self.gain, self.bias, strict=True)
        ]


class RMSNorm(VectorModule):
    """Divide a vector by its root mean square, and scale it (Zhang and Sennrich 2019, eq. 4).

    Args:
        size: the length of the vector.
        eps: added to the mean square under the root.
        gain: whether to learn a scale for each entry.

    Call: size entries -> list of size Values; a batch (n x size) row by row. Raises ValueError for
    a wrong size.
    """

    def __init__(self, size: int, eps: float = 1e-5, gain: bool = True) -> None:
        size = require_whole("size", size)
        require_range("eps", eps)
        require_flag("gain", gain)
        self.size, self.eps = size, eps
        self.gain = [Value(1.0) for _ in range(size)] if gain else []

    def __repr__(self) -> str:
        return f"RMSNorm({self.size})"

    def _row(self, x: Sequence[Any]) -> list[Value]:
        values = _entries(x, self.size, "RMSNorm")
        scale = (mean(v * v for v in values) + self.eps) ** -0.5
        scaled = [v * scale for v in values]
        return [v * g for v, g in zip(scaled, self.gain, strict=True)] if self.gain else scaled


def _entries(x: Sequence[Any], size: int, layer: str) -> list[Value]:
    """Return the entries of a vector as Values; raise ValueError if there are not `size`."""
    values = as_values(x)
    if len(values) != size:
        raise ValueError(f"{layer} of {counted(size, 'entry', 'entries')} got {len(values)}")
    return values


def _moments(values: Sequence[Value]) -> tuple[Value, Value]:
    """Return the mean, and the variance with divisor n."""
    center = mean(values)
    return center, total((v - center) ** 2 for v in values) / len(values)
