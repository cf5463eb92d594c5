"""What is a name of PyTorch called here? The error for a name that does not exist tells."""

from __future__ import annotations

import sys
from typing import NoReturn

import autograd
from autograd.value import is_function

_CELL = "a Module of your own, made of nn.Linear and called for each step"
_WINDOWS = "a Module of your own, whose __call__ goes through the windows"

# In torch.nn, torch.nn.functional, torch.optim or torch: what to write instead.
HERE = {
    "BCELoss": "nn.binary_cross_entropy",
    "BCEWithLogitsLoss": "nn.binary_cross_entropy_with_logits",
    "BatchNorm1d": "nn.BatchNorm",
    "Conv1d": _WINDOWS,
    "Conv2d": _WINDOWS,
    "CrossEntropyLoss": "nn.cross_entropy_with_logits",
    "ELU": "nn.elu",
    "Flatten": "[x for row in rows for x in row]",
    "GELU": "nn.gelu",
    "GRU": _CELL,
    "GRUCell": _CELL,
    "HuberLoss": "nn.huber",
    "Identity": "nn.linear",
    "L1Loss": "abs(P - Y).mean() for two of nn.Matrix",
    "LSTM": _CELL,
    "LSTMCell": _CELL,
    "LeakyReLU": "nn.leaky_relu",
    "LogSoftmax": "nn.log_softmax",
    "MSELoss": "nn.mse",
    "MaxPool2d": _WINDOWS,
    "ModuleDict": "a dict",
    "ModuleList": "a list",
    "MultiheadAttention": "nn.MultiHeadAttention",
    "NLLLoss": "nn.cross_entropy_with_logits, which takes the logits",
    "Parameter": "a Value, kept in an attribute",
    "RMSprop": "nn.RMSProp",
    "RNN": _CELL,
    "RNNCell": _CELL,
    "ReLU": "nn.relu",
    "SiLU": "nn.silu",
    "Sigmoid": "nn.sigmoid",
    "SmoothL1Loss": "nn.huber",
    "Softmax": "nn.softmax",
    "Softplus": "nn.softplus",
    "Tanh": "nn.tanh",
    "Tensor": "autograd.Value for a number, nn.Matrix for rows",
    "TransformerEncoderLayer": "nn.TransformerBlock",
    "batch_norm": "nn.BatchNorm",
    "dropout": "nn.Dropout",
    "embedding": "nn.Embedding",
    "functional": "nn.relu, nn.mse and so on",
    "init": "nn.gauss() or nn.uniform()",
    "l1_loss": "abs(P - Y).mean() for two of nn.Matrix",
    "layer_norm": "nn.LayerNorm",
    "load": "model.load(path)",
    "lr_scheduler": "nn.cosine_decay, nn.step_decay and so on",
    "manual_seed": "nn.seed",
    "mse_loss": "nn.mse",
    "nll_loss": "nn.cross_entropy_with_logits, which takes the logits",
    "one_hot": "the index itself, which nn.Embedding and the losses take",
    "rand": "nn.uniform()",
    "randn": "nn.gauss()",
    "save": "model.save(path)",
    "scaled_dot_product_attention": "nn.attention",
    "smooth_l1_loss": "nn.huber",
    "tensor": "autograd.Value for a number, nn.Matrix for rows",
    "utils": "nn.clip_grad_norm or nn.clip_grad_value",
}


def missing(module: str, name: str) -> NoReturn:
    """Raise AttributeError for a name that a module does not have."""
    instead = HERE.get(name, "")
    if name in sys.modules["nn"].__all__:
        instead = f"nn.{name}"
    elif name in autograd.__all__:
        instead = f"autograd.{name}"
    elif is_function(name):
        instead = f"x.{name}()"
    raise AttributeError(
        f"module {module!r} has no attribute {name!r}" + (instead and f": write {instead}")
    )
