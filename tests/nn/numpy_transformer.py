"""A reference transformer in NumPy: no autograd, no Values, gradients by complex steps."""

import numpy as np

STEP = 1e-100  # no difference is taken, so no step is too small (Squire and Trapp 1998)


def gradient(f, numbers):
    """df/dx for each number, from the imaginary part of f(x + i h)."""
    numbers = np.array(numbers, dtype=complex)
    out = np.empty(len(numbers))
    for i in range(len(numbers)):
        numbers[i] += 1j * STEP
        out[i] = f(numbers).imag / STEP
        numbers[i] = numbers[i].real
    return out


def softmax(x):
    e = np.exp(x - x.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(Q, K, V, mask=None):
    scores = np.einsum("id,jd->ij", Q, K) * K.shape[1] ** -0.5
    if mask is not None:
        scores = np.where(mask, scores, -1e9)
        weights = softmax(scores) * np.any(mask, axis=1, keepdims=True)
    else:
        weights = softmax(scores)
    return np.einsum("ij,jd->id", weights, V), weights


def rms(x):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def layer_norm(x, gain, bias):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5) * gain + bias


def relu(x):
    return np.where(x.real > 0.0, x, 0.0)


class Numbers:
    """Hands out parameters in the order in which nn names them."""

    def __init__(self, numbers):
        self.numbers, self.taken = np.asarray(numbers), 0

    def __call__(self, *shape):
        size = int(np.prod(shape))
        self.taken += size
        return self.numbers[self.taken - size : self.taken].reshape(shape)


def multi_head_attention(take, x, heads, mask=None):
    size = x.shape[1]
    W_q, W_k, W_v, W_o = (take(size, size) for _ in range(4))
    width = size // heads
    parts = [
        attention(*(x @ W[h * width : (h + 1) * width].T for W in (W_q, W_k, W_v)), mask)[0]
        for h in range(heads)
    ]
    return np.hstack(parts) @ W_o.T


def block(take, x, heads, mask=None, norm="rms"):
    size = x.shape[1]

    def normed(x):
        return rms(x) if norm == "rms" else layer_norm(x, take(size), take(size))

    x = x + multi_head_attention(take, normed(x), heads, mask)
    inner = normed(x)
    W_1, W_2 = take(4 * size, size), take(size, 4 * size)
    return x + relu(inner @ W_1.T) @ W_2.T


def gpt(numbers, tokens, vocabulary, block_size, embedding, heads, layers, norm="rms"):
    """The logits, one row for each token."""
    take = Numbers(numbers)
    x = take(vocabulary, embedding)[list(tokens)]
    x = x + take(block_size, embedding)[: len(tokens)]
    x = rms(x) if norm == "rms" else layer_norm(x, take(embedding), take(embedding))
    mask = np.tril(np.ones((len(tokens), len(tokens)), dtype=bool))
    for _ in range(layers):
        x = block(take, x, heads, mask, norm)
    logits = x @ take(vocabulary, embedding).T
    assert take.taken == len(take.numbers)
    return logits


def nll(numbers, document, *sizes):
    """-log p of the tokens after the first, summed."""
    p = softmax(gpt(numbers, document[:-1], *sizes))
    return -np.log(p[np.arange(len(document) - 1), document[1:]]).sum()
