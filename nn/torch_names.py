"""What is a name of PyTorch called here? The error for a name that does not exist tells."""

from __future__ import annotations

import sys
from typing import NoReturn

# In torch.nn, torch.nn.functional, torch.optim or torch: what to write instead.
HERE = {
    "BCELoss": "nn.binary_cross_entropy",
    "BCEWithLogitsLoss": "nn.binary_cross_entropy_with_logits",
    "BatchNorm1d": "nn.BatchNorm",
    "CrossEntropyLoss": "nn.cross_entropy_with_logits",
    "ELU": "nn.elu",
    "GELU": "nn.gelu",
    "HuberLoss": "nn.huber",
    "Identity": "nn.linear",
    "LeakyReLU": "nn.leaky_relu",
    "LogSoftmax": "nn.log_softmax",
    "MSELoss": "nn.mse",
    "ModuleDict": "a dict",
    "ModuleList": "a list",
    "MultiheadAttention": "nn.MultiHeadAttention",
    "Parameter": "a Value, kept in an attribute",
    "RMSprop": "nn.RMSProp",
    "ReLU": "nn.relu",
    "SiLU": "nn.silu",
    "Sigmoid": "nn.sigmoid",
    "Softmax": "nn.softmax",
    "Softplus": "nn.softplus",
    "Tanh": "nn.tanh",
    "TransformerEncoderLayer": "nn.TransformerBlock",
    "functional": "nn.relu, nn.mse and so on",
    "init": "nn.gauss() or nn.uniform()",
    "load": "model.load(path)",
    "lr_scheduler": "nn.cosine_decay, nn.step_decay and so on",
    "manual_seed": "nn.seed",
    "mse_loss": "nn.mse",
    "save": "model.save(path)",
    "utils": "nn.clip_grad_norm or nn.clip_grad_value",
}


def missing(module: str, name: str) -> NoReturn:
    """Raise AttributeError for a name that a module does not have."""
    is_in_nn = name in sys.modules["nn"].__all__
    instead = HERE.get(name, f"nn.{name}" if is_in_nn else "")
    raise AttributeError(
        f"module {module!r} has no attribute {name!r}" + (instead and f": write {instead}")
    )
