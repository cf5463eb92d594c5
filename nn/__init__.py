"""Neural networks, composed purely of scalar `Value` operations.

>>> import nn
>>> nn.seed(1)
>>> model = nn.MLP(2, [16, 16, 1])
>>> len(model.parameters())
337
>>> loss = nn.hinge([model([0.5, -1.0]), model([2.0, 0.1])], [1, -1])
>>> loss.backward()
"""

# Imported first, so that Ctrl-C during the imports of `python -m nn` exits without a traceback.
from nn import interrupts as interrupts

# isort: split
from typing import TYPE_CHECKING, NoReturn

import autograd as _engine

if not hasattr(_engine, "Value"):
    raise ImportError(
        "the package autograd that is imported here is not scalar-autograd's; HIPS's library has"
        " the same name: install scalar-autograd in a new environment of its own"
    )

from nn import data, plot, text
from nn.activations import (
    elu,
    gelu,
    leaky_relu,
    linear,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from nn.attention import FeedForward, MultiHeadAttention, TransformerBlock, attention, causal
from nn.clipping import clip_grad_norm, clip_grad_value
from nn.evaluation import evaluate
from nn.gpt import GPT, Tokenizer
from nn.layers import (
    MLP,
    Dropout,
    Embedding,
    Layer,
    Linear,
    Neuron,
    Sequential,
)
from nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    cross_entropy_with_logits,
    hinge,
    huber,
    mse,
)
from nn.matrix import Matrix, mean, norm
from nn.metrics import accuracy
from nn.module import Module
from nn.norms import BatchNorm, LayerNorm, RMSNorm
from nn.optim import Optimizer
from nn.pytorch import from_torch, to_torch
from nn.rng import gauss, seed, uniform
from nn.rules import SGD, Adagrad, Adam, AdamW, RMSProp
from nn.schedules import (
    cosine_decay,
    exponential_decay,
    linear_decay,
    step_decay,
    with_warmup,
)
from nn.torch_names import missing
from nn.train import DivergedError, History, fit, l2

if not TYPE_CHECKING:  # type checkers would take every name for one that exists

    def __getattr__(name: str) -> NoReturn:
        missing(__name__, name)


__all__ = [
    "GPT",
    "MLP",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BatchNorm",
    "DivergedError",
    "Dropout",
    "Embedding",
    "FeedForward",
    "History",
    "Layer",
    "LayerNorm",
    "Linear",
    "Matrix",
    "Module",
    "MultiHeadAttention",
    "Neuron",
    "Optimizer",
    "RMSNorm",
    "RMSProp",
    "Sequential",
    "Tokenizer",
    "TransformerBlock",
    "accuracy",
    "attention",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "causal",
    "clip_grad_norm",
    "clip_grad_value",
    "cosine_decay",
    "cross_entropy",
    "cross_entropy_with_logits",
    "data",
    "elu",
    "evaluate",
    "exponential_decay",
    "fit",
    "from_torch",
    "gauss",
    "gelu",
    "hinge",
    "huber",
    "l2",
    "leaky_relu",
    "linear",
    "linear_decay",
    "log_softmax",
    "logsumexp",
    "mean",
    "mse",
    "norm",
    "plot",
    "relu",
    "seed",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "step_decay",
    "tanh",
    "text",
    "to_torch",
    "uniform",
    "with_warmup",
]
