"""What is each part of a network in PyTorch? One row for each class and each activation.

pytorch.py imports this file only when needed, because this file imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch.nn.utils import parametrize

from autograd import Value
from autograd.text import quoted
from nn.activations import (
    ACTIVATIONS,
    Activation,
    activation_named,
    log_softmax,
    name_of,
    softmax,
)
from nn.attention import FeedForward, MultiHeadAttention, TransformerBlock
from nn.gpt import GPT
from nn.layers import MLP, Dropout, Embedding, Layer, Linear, Neuron, Sequential
from nn.module import Module
from nn.norms import BatchNorm, LayerNorm, RMSNorm

# A torch module, and what it holds by PyTorch's names: Values for a tensor, a part, or parts.
Row = tuple[torch.nn.Module, dict[str, Any]]


class NoCounterpart(TypeError):
    """PyTorch has no counterpart of a part, which the message describes."""


# --- what PyTorch does not have -------------------------------------------------------------------


class Scale(torch.nn.Module):
    """The parametrization of a weight W as multiplier * W."""

    def __init__(self, multiplier: float) -> None:
        super().__init__()
        self.multiplier = multiplier

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return self.multiplier * weight


class SelfAttention(torch.nn.MultiheadAttention):
    """A torch.nn.MultiheadAttention that returns only the output if called with x alone.

    Called with query, key and value, it returns (output, weights), as its base class does.
    """

    def forward(
        self, query: torch.Tensor, key: Any = None, value: Any = None, **options: Any
    ) -> Any:
        if key is None:
            return super().forward(query, query, query, need_weights=False, **options)[0]
        return super().forward(query, key, value, **options)


class CausalTransformer(torch.nn.Module):
    """The torch module of a GPT. Tokens (..., n) -> logits (..., n, vocabulary)."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        size = tokens.shape[-1]
        positions = torch.arange(size, device=tokens.device)
        later = torch.ones(size, size, dtype=torch.bool, device=tokens.device).triu(1)
        x = self.norm(self.token(tokens) + self.position(positions))
        for block in self.blocks:
            x = block(x, src_mask=later, is_causal=True)
        return self.logits(x)


# --- a row for each class -------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """The weights and biases of neurons, without their activation."""

    neurons: Sequence[Neuron]


def _affine(part: Affine) -> Row:
    weights, biases = [n.w for n in part.neurons], [n.b for n in part.neurons if n.b is not None]
    made = torch.nn.Linear(len(weights[0]), len(weights), bias=bool(biases))
    return made, {"weight": weights, "bias": biases} if biases else {"weight": weights}


def _neurons(neurons: Sequence[Neuron]) -> list[Affine | Activation]:
    """Return what the neurons of a layer become: a linear part, and an activation if nonlinear."""
    if not all(type(neuron) is Neuron for neuron in neurons):
        raise NoCounterpart("a Layer with modules other than Neurons")
    if len({(len(n.w), id(n.activation), n.b is None) for n in neurons}) > 1:
        raise NoCounterpart("a Layer of Neurons that differ in size, activation or bias")
    activation = neurons[0].activation
    return [Affine(neurons)] + [activation] * (activation is not ACTIVATIONS["linear"])


def _in_sequence(parts: Sequence[Any]) -> Row:
    return torch.nn.Sequential(), {str(i): part for i, part in enumerate(parts)}


def _mlp(part: MLP) -> Row:
    layers: list[Any] = part.layers
    pieces = [_neurons(layer.neurons) if type(layer) is Layer else [layer] for layer in layers]
    return _in_sequence(list(chain(*pieces)))


def _linear(part: Linear) -> Row:
    made = torch.nn.Linear(len(part.weights[0]), len(part.weights), bias=bool(part.bias))
    held = {_scaled(made, "weight", part.multiplier): part.weights}
    return made, held | ({"bias": part.bias} if part.bias else {})


def _scaled(made: torch.nn.Module, name: str, multiplier: float) -> str:
    """Scale a tensor of a module, unless by 1, and return the name of the trained tensor."""
    if multiplier == 1.0:
        return name
    path, _, leaf = name.rpartition(".")
    parametrize.register_parametrization(made.get_submodule(path), leaf, Scale(multiplier))
    return ".".join([*([path] if path else []), "parametrizations", leaf, "original"])


def _batch_norm(part: BatchNorm) -> Row:
    # In both, the newest batch has the weight momentum, and running variances have divisor n - 1.
    made = torch.nn.BatchNorm1d(len(part.gain), part.eps, part.momentum)
    held = {"weight": part.gain, "bias": part.bias}
    return made, held | {"running_mean": part.running_mean, "running_var": part.running_variance}


def _layer_norm(part: LayerNorm) -> Row:
    return torch.nn.LayerNorm(len(part.gain), part.eps), {"weight": part.gain, "bias": part.bias}


def _rms_norm(part: RMSNorm) -> Row:
    made = torch.nn.RMSNorm(part.size, part.eps, elementwise_affine=bool(part.gain))
    return made, {"weight": part.gain} if part.gain else {}


def _embedding(part: Embedding) -> Row:
    return torch.nn.Embedding(len(part.vectors), len(part.vectors[0])), {"weight": part.vectors}


def _attention(part: MultiHeadAttention) -> Row:
    inputs = (part.W_q, part.W_k, part.W_v)
    if any(linear.bias for linear in (*inputs, part.W_o)):
        raise NoCounterpart("MultiHeadAttention with biases")
    if len({linear.multiplier for linear in inputs}) > 1:
        raise NoCounterpart("MultiHeadAttention with different multipliers of W_q, W_k and W_v")
    made = SelfAttention(len(part.W_q.weights), len(part.heads), bias=False, batch_first=True)
    rows = [row for linear in inputs for row in linear.weights]
    return made, {
        _scaled(made, "in_proj_weight", part.W_q.multiplier): rows,
        _scaled(made, "out_proj.weight", part.W_o.multiplier): part.W_o.weights,
    }


def _feed_forward(part: FeedForward) -> Row:
    held = {"linear1": part.W_1, "activation": part.activation, "linear2": part.W_2}
    return torch.nn.Sequential(), held  # with the names of a TransformerEncoderLayer


def _block(part: TransformerBlock) -> Row:
    if type(part.attention) is not MultiHeadAttention or type(part.mlp) is not FeedForward:
        raise NoCounterpart("a TransformerBlock with parts other than attention and FeedForward")
    made = torch.nn.TransformerEncoderLayer(
        len(part.attention.W_q.weights),
        len(part.attention.heads),
        dim_feedforward=len(part.mlp.W_1.weights),
        dropout=0.0,
        activation=torch.nn.Identity(),  # replaced by the activation that is held
        batch_first=True,
        norm_first=True,
        bias=False,
    )
    norms = {"norm1": part.attention_norm, "norm2": part.mlp_norm}
    return made, {"self_attn": part.attention, **norms, **_feed_forward(part.mlp)[1]}


def _gpt(part: GPT) -> Row:
    names = ("token", "position", "norm", "blocks", "logits")
    return CausalTransformer(), {name: getattr(part, name) for name in names}


PARTS: dict[type, Callable[[Any], Row]] = {
    MLP: _mlp,
    Layer: lambda part: _in_sequence(_neurons(part.neurons)),
    Neuron: lambda part: _in_sequence(_neurons([part])),
    Affine: _affine,
    Linear: _linear,
    Sequential: lambda part: _in_sequence(part.parts),
    Dropout: lambda part: (torch.nn.Dropout(part.p), {}),
    BatchNorm: _batch_norm,
    LayerNorm: _layer_norm,
    RMSNorm: _rms_norm,
    Embedding: _embedding,
    MultiHeadAttention: _attention,
    FeedForward: _feed_forward,
    TransformerBlock: _block,
    GPT: _gpt,
}

# Functions of an entry, and of a vector. Settings have the same names here and in PyTorch.
FUNCTIONS: dict[Any, Callable[..., torch.nn.Module]] = {
    ACTIVATIONS["relu"]: torch.nn.ReLU,
    ACTIVATIONS["leaky_relu"]: torch.nn.LeakyReLU,
    ACTIVATIONS["elu"]: torch.nn.ELU,
    ACTIVATIONS["sigmoid"]: torch.nn.Sigmoid,
    ACTIVATIONS["tanh"]: torch.nn.Tanh,
    # Above its default threshold, 20, PyTorch returns x: a relative error of up to 1e-10.
    ACTIVATIONS["softplus"]: partial(torch.nn.Softplus, threshold=700.0),
    ACTIVATIONS["gelu"]: torch.nn.GELU,
    ACTIVATIONS["silu"]: torch.nn.SiLU,
    ACTIVATIONS["linear"]: torch.nn.Identity,
    softmax: partial(torch.nn.Softmax, dim=-1),
    log_softmax: partial(torch.nn.LogSoftmax, dim=-1),
}


def row_of(part: Any) -> Row:
    """Return the torch module of a part, still without its numbers, and what it holds.

    A method `for_torch` comes first; then the row of the part's class, or of a base class with the
    same `__call__`; then that of a function. Raises NoCounterpart if there is none.
    """
    kind = type(part)
    if hasattr(part, "for_torch"):
        row = part.for_torch()
        is_pair = isinstance(row, tuple) and len(row) == 2
        if not (is_pair and isinstance(row[0], torch.nn.Module) and isinstance(row[1], dict)):
            raise TypeError(
                f"for_torch of {kind.__name__} must return a torch.nn.Module and a dict of what it"
                f" holds, not {quoted(row)}"
            )
        return row[0], row[1]
    for base in kind.__mro__:
        if base in PARTS and kind.__call__ == base.__call__:
            return PARTS[base](part)
    if isinstance(part, Module):
        raise NoCounterpart(kind.__name__)
    return _function(part), {}


def _function(part: Any) -> torch.nn.Module:
    """Return the torch module of an activation, with settings or not: partial(nn.elu, alpha=2)."""
    if not callable(part) and not isinstance(part, str):
        raise NoCounterpart(quoted(part))
    has_settings = isinstance(part, partial) and not part.args
    function, settings = (part.func, part.keywords) if has_settings else (part, {})
    function = activation_named(function)
    if not any(isinstance(setting, Value) for setting in settings.values()):
        for known, make in FUNCTIONS.items():
            if function is known:
                return make(**settings)
    raise NoCounterpart(f"the function {name_of(part)}")
