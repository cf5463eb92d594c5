"""Which tokens does a token attend to? Attention, its heads, and the transformer block."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from typing import Any, Literal, cast, overload

from autograd import Value, maximum, where
from autograd.hooks import is_recorded, require
from autograd.messages import is_series, require_flag, require_whole
from autograd.ownership import scoped
from autograd.text import counted, for_stream, quoted
from autograd.value import as_constant, as_operand
from nn.activations import Activation, activated, activation_named, name_of, softmax
from nn.layers import Linear
from nn.matrix import Matrix, as_matrix, dot, total
from nn.module import Module
from nn.norms import LayerNorm, RMSNorm
from nn.scalars import labelled_constant, one_hot

Mask = Sequence[Sequence[bool | float | Value]] | Matrix

# Normalization layers by name; "rms" has no parameters.
NORMS: dict[str, Callable[[int], Module]] = {
    "rms": lambda size: RMSNorm(size, gain=False),
    "layer": LayerNorm,
}


@overload
def attention(
    Q: Matrix, K: Matrix, V: Matrix, mask: Mask | None = None, return_weights: Literal[False] = ...
) -> Matrix: ...
@overload
def attention(
    Q: Matrix, K: Matrix, V: Matrix, mask: Mask | None = None, *, return_weights: Literal[True]
) -> tuple[Matrix, Matrix]: ...
@scoped
def attention(
    Q: Matrix, K: Matrix, V: Matrix, mask: Mask | None = None, return_weights: bool = False
) -> Matrix | tuple[Matrix, Matrix]:
    """softmax(Q K^T / sqrt(d_k)) V, with a softmax over each row (Vaswani et al. 2017, eq. 1).

    Args:
        Q: queries, n x d_k.
        K: keys, m x d_k.
        V: values, m x d_v.
        mask: n x m entries, 1 or True where a query may attend to a key, 0 or False elsewhere.
            Scores masked by plain numbers are not computed. An entry that is a Value, such as an
            argument of a jitted function, is applied by arithmetic.
        return_weights: whether to also return the n x m attention weights.

    Returns a Matrix (n x d_v), and the weights if asked for. A query that may attend to nothing
    gives zeros. Raises ValueError if the shapes do not match or a mask entry is a number other than
    0 and 1, TypeError if the mask is not a table.

    >>> K = Matrix([[1, 0], [0, 1]])
    >>> out, weights = attention(K * 10, K, Matrix([[1], [2]]), return_weights=True)
    >>> [[round(w, 3) for w in row] for row in weights.data], round(out.data[0][0], 3)
    ([[0.999, 0.001], [0.001, 0.999]], 1.001)
    """
    require_flag("return_weights", return_weights)
    queries, keys, values = map(as_matrix, (Q, K, V))
    (n, size), (m, width) = queries.shape, values.shape
    if keys.shape[1] != size:
        given = counted(size, "number")
        raise ValueError(f"attention: queries of {given}, but keys of {keys.shape[1]}")
    if len(keys) != m:
        raise ValueError(f"attention: {counted(len(keys), 'key')}, but {counted(m, 'value')}")
    columns = list(zip(*values, strict=True))
    root, zero = math.sqrt(size), as_constant(0.0)
    out, all_weights = [], []
    for query, row in zip(queries, _checked(mask, n, m), strict=True):
        unmasked = [j for j, allowed in enumerate(row) if allowed is not False]
        if not unmasked:
            out.append([zero] * width)
            all_weights.append([zero] * m)
            continue
        scores = [dot(query, keys[j]) / root for j in unmasked]
        weights = _masked_softmax(scores, [row[j] for j in unmasked])
        out.append([dot(weights, [column[j] for j in unmasked]) for column in columns])
        if return_weights:
            by_key = dict(zip(unmasked, weights, strict=True))
            all_weights.append([by_key.get(j, zero) for j in range(m)])
    return (Matrix(out), Matrix(all_weights)) if return_weights else Matrix(out)


def causal(queries: int, keys: int | None = None) -> list[list[bool]]:
    """Return the mask that lets each position attend to itself and to earlier positions.

    If there are more keys than queries, the queries are the last positions.

    >>> causal(2, 3)
    [[True, True, False], [True, True, True]]
    """
    queries = require_whole("causal: queries", queries, 0)
    keys = queries if keys is None else require_whole("causal: keys", keys, 0)
    return [[j <= i + keys - queries for j in range(keys)] for i in range(queries)]


def _masked_softmax(scores: list[Value], mask: list[Value | Literal[True]]) -> list[Value]:
    """Return the softmax of the unmasked scores, and 0 for masked ones."""
    if all(allowed is True for allowed in mask):
        return softmax(scores)
    # As in softmax, but only over unmasked scores: a masked one may have any size.
    lowest = -sys.float_info.max
    unmasked = [where(a, s, lowest) for a, s in zip(mask, scores, strict=True)]
    peak = labelled_constant(reduce(maximum, unmasked), "max")
    exponentials = [
        where(a, (where(a, s, peak) - peak).exp(), 0.0) for a, s in zip(mask, scores, strict=True)
    ]
    whole = total(exponentials)
    normalizer = where(whole, whole, 1.0)
    return [e / normalizer for e in exponentials]


def _checked(mask: Any, n: int, m: int) -> Iterable[list[Any]]:
    """Return the mask as n rows of m entries, each True, False or a Value."""
    if mask is None:
        return [[True] * m] * n
    rows = [list(row) if is_series(row) else row for row in mask] if is_series(mask) else [mask]
    if not all(isinstance(row, list) for row in rows):
        raise TypeError(f"attention: a mask is a table of 0 and 1, not {quoted(mask)}")
    if len(rows) != n or any(len(row) != m for row in rows):
        sizes = f"{len(rows)} x {'/'.join(map(str, sorted({len(row) for row in rows})))}"
        needed = f"{counted(n, 'query', 'queries')} and {counted(m, 'key')}"
        raise ValueError(f"attention: a mask of {sizes} for {needed}")
    return [[_allowed(entry) for entry in row] for row in rows]


def _allowed(entry: Any) -> bool | Value:
    if is_recorded(entry):
        require(total(one_hot(entry, 2)), lambda: _not_allowed(entry))
        return cast(Value, entry)
    if isinstance(entry, Value):
        return entry
    number = as_operand(entry)
    if number is None or number.data not in (0.0, 1.0):
        raise _not_allowed(entry)
    return number.data == 1.0


def _not_allowed(entry: Any) -> ValueError:
    return ValueError(f"attention: a mask holds 0 and 1, not {quoted(entry)}")


class Head(Module):
    """One attention head, which is called with its own slice of the columns. No parameters."""

    def __call__(
        self, Q: Matrix, K: Matrix, V: Matrix, mask: Mask | None = None
    ) -> tuple[Matrix, Matrix]:
        return attention(Q, K, V, mask, return_weights=True)

    def __repr__(self) -> str:
        return "Head"


class MultiHeadAttention(Module):
    """Self-attention with several heads in parallel.

    W_o [head_1, ..., head_h] with head_i = attention(Q_i, K_i, V_i), where Q_i, K_i and V_i are the
    i-th slice of the columns of W_q x, W_k x and W_v x (Vaswani et al. 2017, section 3.2.2).

    Args:
        embedding: the size of a token's vector.
        heads: their number, a divisor of embedding.
        std, generator, multiplier: as for Linear.

    Call: a Matrix (n x embedding), and optionally an n x n mask -> Matrix (n x embedding). A
    `cache` is a pair of lists with the keys and values of earlier calls; this call appends its own,
    and the mask is n x (number of all keys). `return_weights=True` also returns the weights of each
    head. Raises ValueError for a wrong number of columns, and the errors of `attention`.
    """

    def __init__(
        self,
        embedding: int,
        heads: int,
        std: float | None = None,
        generator: random.Random | None = None,
        multiplier: float = 1.0,
    ) -> None:
        embedding, heads = require_whole("embedding", embedding), require_whole("heads", heads)
        if embedding % heads:
            raise ValueError(
                f"MultiHeadAttention: {heads} heads do not divide embedding {embedding}"
            )
        make = partial(Linear, bias=False, std=std, generator=generator, multiplier=multiplier)
        self.W_q, self.W_k, self.W_v, self.W_o = (make(embedding, embedding) for _ in range(4))
        self.heads = [Head() for _ in range(heads)]

    @overload
    def __call__(
        self,
        x: Matrix,
        mask: Mask | None = None,
        cache: Cache | None = None,
        return_weights: Literal[False] = ...,
    ) -> Matrix: ...
    @overload
    def __call__(
        self,
        x: Matrix,
        mask: Mask | None = None,
        cache: Cache | None = None,
        *,
        return_weights: Literal[True],
    ) -> tuple[Matrix, list[Matrix]]: ...
    def __call__(
        self,
        x: Matrix,
        mask: Mask | None = None,
        cache: Cache | None = None,
        return_weights: bool = False,
    ) -> Matrix | tuple[Matrix, list[Matrix]]:
        require_flag("return_weights", return_weights)
        rows = [] if cache is None else [row for kept in cache for row in kept]
        if not all(isinstance(row, list) for row in rows):
            raise TypeError(
                "MultiHeadAttention computes queries, keys and values from one x: write (x, mask),"
                f" not (x, x, x); a cache is a pair of lists of rows, not {quoted(cache)}"
            )
        x = as_matrix(x)
        Q, K, V = self.W_q(x), self.W_k(x), self.W_v(x)
        new = K.rows, V.rows
        if cache is not None:
            K, V = (Matrix(kept + rows) for kept, rows in zip(cache, new, strict=True))
        width = Q.shape[1] // len(self.heads)
        outs, weights = [], []
        for i, head in enumerate(self.heads):
            share = slice(i * width, (i + 1) * width)
            q, k, v = (Matrix(row[share] for row in X) for X in (Q, K, V))
            out, head_weights = head(q, k, v, mask)
            outs.append(out)
            weights.append(head_weights)
        if cache is not None:
            for kept, rows in zip(cache, new, strict=True):
                kept += rows
        joined = Matrix(
            [entry for row in rows for entry in row] for rows in zip(*outs, strict=True)
        )
        return (self.W_o(joined), weights) if return_weights else self.W_o(joined)

    def __repr__(self) -> str:
        size, heads = len(self.W_q.weights), counted(len(self.heads), "head")
        return for_stream(f"MultiHeadAttention({size} → {size}, {heads})")


Cache = tuple[list[list[Value]], list[list[Value]]]


class FeedForward(Module):
    """W_2 g(W_1 x), applied to each token separately (Vaswani et al. 2017, section 3.3).

    Args:
        embedding: the size of a token's vector.
        activation: g.
        expansion: the size of the hidden layer, as a multiple of embedding.
        std, generator, multiplier: as for Linear.

    Call: a Matrix (n x embedding) -> Matrix of the same shape.
    """

    def __init__(
        self,
        embedding: int,
        activation: str | Activation = "relu",
        expansion: int = 4,
        std: float | None = None,
        generator: random.Random | None = None,
        multiplier: float = 1.0,
    ) -> None:
        embedding = require_whole("embedding", embedding)
        expansion = require_whole("expansion", expansion)
        make = partial(Linear, bias=False, std=std, generator=generator, multiplier=multiplier)
        self.W_1 = make(embedding, expansion * embedding)
        self.activation = activation_named(activation)
        self.W_2 = make(expansion * embedding, embedding)

    def __call__(self, x: Matrix) -> Matrix:
        x = as_matrix(x)
        return self.W_2(self.W_1(x).map(partial(activated, self.activation)))

    def __repr__(self) -> str:
        size, wide = len(self.W_2.weights), len(self.W_1.weights)
        return for_stream(f"FeedForward({size} → {wide} → {size}, {name_of(self.activation)})")


class TransformerBlock(Module):
    """A transformer block: self-attention, then a feed-forward network for each token.

    x := x + attention(norm(x)), x := x + FeedForward(norm(x)) (Vaswani et al. 2017, figure 1, with
    the norm first, as in Radford et al. 2019).

    Args:
        embedding, heads, std, generator, multiplier: as for MultiHeadAttention.
        norm: "rms" (RMSNorm without a gain) or "layer" (LayerNorm); others raise ValueError.
        activation: as for FeedForward.

    Call: as for MultiHeadAttention, without `return_weights`.
    """

    def __init__(
        self,
        embedding: int,
        heads: int,
        norm: str = "rms",
        activation: str | Activation = "relu",
        std: float | None = None,
        generator: random.Random | None = None,
        multiplier: float = 1.0,
    ) -> None:
        self.attention_norm = norm_named(norm)(embedding)
        self.attention = MultiHeadAttention(embedding, heads, std, generator, multiplier)
        self.mlp_norm = norm_named(norm)(embedding)
        self.mlp = FeedForward(embedding, activation, 4, std, generator, multiplier)

    def __call__(self, x: Matrix, mask: Mask | None = None, cache: Cache | None = None) -> Matrix:
        attended = x + self.attention(self.attention_norm(x), mask, cache)
        out: Matrix = attended + self.mlp(self.mlp_norm(attended))
        return out


def norm_named(name: str) -> Callable[[int], Module]:
    """Return the constructor of a norm. Raises ValueError for an unknown name."""
    if not isinstance(name, str) or name not in NORMS:
        raise ValueError(f"there is no norm {quoted(name)}, only {', '.join(NORMS)}")
    return NORMS[name]
