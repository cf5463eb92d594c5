"""How does a network write? By predicting the next token, and sampling it, over and over.

The architecture is that of Andrej Karpathy's microgpt (2026): token and position embeddings, a
norm, transformer blocks, and a linear layer to the logits.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterable, Sequence, Set
from itertools import accumulate, pairwise
from numbers import Integral
from typing import Any

from autograd import Value, no_grad
from autograd.hooks import require
from autograd.messages import is_series, require_whole
from autograd.ops import greater
from autograd.ownership import scoped
from autograd.text import quoted
from nn import rng
from nn.activations import softmax
from nn.attention import Cache, TransformerBlock, causal, norm_named
from nn.layers import Embedding, Linear
from nn.losses import cross_entropy_with_logits
from nn.matrix import Matrix, total
from nn.module import Module
from nn.scalars import is_plain, one_hot
from nn.settings import require_range

Token = int | Value

PADDING = -1  # pads a document to a given length


class GPT(Module):
    """A generative pre-trained transformer (Radford et al. 2019), without biases.

    Args:
        vocabulary: the number of tokens, which are 0 .. vocabulary - 1.
        block_size: the maximum context length, in tokens.
        embedding: the size of a token's vector.
        heads, layers: how many attention heads and blocks.
        norm: "rms" (RMSNorm without a gain) or "layer" (LayerNorm).
        std: the standard deviation of the normal distribution of the initial weights.
        generator: the source of the initial weights; nn's own stream by default.
        base_width: the embedding size that Adam's learning rate was tuned for, by default
            `embedding`. Every linear layer has the multiplier base_width / embedding, so that a
            step of Adam changes its output as much as in a model of the base width (Yang et al.
            2021, arXiv:2203.03466, table 3; unlike theirs, std does not depend on the size).

    Call: 1 to block_size tokens, integers or Values -> the logits of the token after each of them,
    a Matrix (n x vocabulary). With a `cache` made by `empty_cache()`, pass only the new tokens: it
    keeps the keys and values of earlier ones. Raises ValueError for no tokens or too many,
    IndexError for a token outside the vocabulary, TypeError for a string or a non-integer token.

    >>> model = GPT(vocabulary=27, block_size=16, embedding=16, heads=4, layers=1)
    >>> len(model.parameters())
    4192
    >>> model([0, 5, 3]).shape
    (3, 27)
    """

    def __init__(
        self,
        vocabulary: int,
        block_size: int,
        embedding: int,
        heads: int,
        layers: int,
        norm: str = "rms",
        std: float = 0.08,
        generator: random.Random | None = None,
        base_width: int | None = None,
    ) -> None:
        counts = {
            "vocabulary": vocabulary,
            "block_size": block_size,
            "embedding": embedding,
            "heads": heads,
            "layers": layers,
            "base_width": embedding if base_width is None else base_width,
        }
        counts = {name: require_whole(name, count) for name, count in counts.items()}
        vocabulary, block_size, embedding, heads, layers, base_width = counts.values()
        if base_width > sys.float_info.max:
            raise ValueError("base_width must be a whole number, 1 or more, that fits into a float")
        self.vocabulary, self.block_size = vocabulary, block_size
        self.sizes = {**counts, "norm": norm}
        self.token = Embedding(vocabulary, embedding, std, generator)
        self.position = Embedding(block_size, embedding, std, generator)
        self.norm = norm_named(norm)(embedding)
        multiplier = base_width / embedding
        self.blocks = [
            TransformerBlock(
                embedding, heads, norm, std=std, generator=generator, multiplier=multiplier
            )
            for _ in range(layers)
        ]
        self.logits = Linear(
            embedding, vocabulary, False, std=std, generator=generator, multiplier=multiplier
        )

    def __call__(self, tokens: Sequence[Token], cache: list[Cache] | None = None) -> Matrix:
        tokens = listed_tokens(tokens)
        seen = len(cache[0][0]) if cache else 0
        size = seen + len(tokens)
        if not len(tokens):
            raise ValueError("a GPT needs one token or more")
        if size > self.block_size:
            raise ValueError(f"a GPT with a block size of {self.block_size} got {size} tokens")
        x: Matrix = self.norm(self.token(tokens) + self.position(range(seen, size)))
        mask = causal(len(tokens), size)
        for i, block in enumerate(self.blocks):
            x = block(x, mask, cache[i] if cache else None)
        return self.logits(x)

    def nll(self, document: Sequence[Token]) -> Value:
        """Return the negative log-likelihood of a document, in nats.

        It is the sum of -log p(token | earlier tokens) over all tokens but the first. Tokens beyond
        the block and PADDING at the end are ignored, so one recording of autograd.jit can serve
        documents of all lengths, padded to a common one. Raises ValueError for fewer than 2 tokens
        or a last one outside the vocabulary, and the errors of a call.
        """
        tokens = listed_tokens(document)[: self.block_size + 1]
        while len(tokens) and is_plain(tokens[-1]) and tokens[-1] == PADDING:
            tokens.pop()
        if len(tokens) < 2:
            raise _too_few(len(tokens))
        counted = list(map(_counted, tokens))
        return nll(self([token for token, _ in counted[:-1]]), counted)

    def empty_cache(self) -> list[Cache]:
        """Return an empty cache for the keys and values of each block; pass it to a call."""
        return [([], []) for _ in self.blocks]

    @no_grad()
    def generate(
        self,
        prompt: Sequence[int],
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: random.Random | None = None,
        end: int | None = None,
    ) -> list[int]:
        """Return the tokens that the model writes after a prompt.

        Args:
            prompt: 1 to block_size tokens, such as the token that documents begin with.
            temperature: divides the logits. Below 1, likely tokens become more likely; at 0, the
                most likely token is taken, the first one of a tie.
            top_k: sample only from the top_k most likely tokens.
            top_p: sample only from the fewest most likely tokens with a total probability of at
                least top_p (nucleus sampling, Holtzman et al. 2020). The temperature is applied
                first, then top_k, then top_p to the probabilities of the remaining tokens.
            generator: the source of random numbers; nn's own stream by default.
            end: the token that ends a document. It is not part of the result.

        Stops at `end`, or after the token that follows a context of block_size tokens, prompt
        included. With a cache of keys and values, the model is called on each new token only.
        Raises ValueError for a negative or infinite temperature, a top_k below 1, a top_p outside
        0 < top_p <= 1, or a prompt that is empty or too long; TypeError for an argument of a wrong
        type; FloatingPointError for logits that are nan or +inf, or all -inf; and the errors of a
        call.
        """
        _check_sampling(temperature, top_k, top_p, end)
        new = listed_tokens(prompt)
        generator = rng.source(generator)
        cache = self.empty_cache()
        written: list[int] = []
        while True:
            logits = self(new, cache)[-1]
            token = sample_token(logits, temperature, top_k, top_p, generator)
            if token == end:
                return written
            written.append(token)
            if len(cache[0][0]) == self.block_size:
                return written
            new = [token]


def _check_sampling(
    temperature: float, top_k: int | None, top_p: float | None, end: int | None
) -> None:
    """Raise TypeError or ValueError for an invalid argument of `generate`."""
    require_range("generate: temperature", temperature, plain=True)
    if top_k is not None:
        require_whole("generate: top_k", top_k)
    if top_p is not None:
        require_range("generate: top_p", top_p, 1.0, positive=True, plain=True)
    if end is not None and not isinstance(end, Integral):
        raise TypeError(f"generate: end must be a token, such as tokenizer.bos, not {quoted(end)}")


def listed_tokens(tokens: Any) -> list[Any]:
    """Return the tokens of one document as a list. Raises TypeError for anything else."""
    listed = list(tokens) if is_series(tokens) else None
    if listed is None or any(map(is_series, listed)):
        raise TypeError(
            "a GPT takes a list of tokens, such as [0, 2] or tokenizer.encode(text), not"
            f" {quoted(tokens)}"
        )
    return listed


def _counted(token: Token) -> tuple[Token, Value | None]:
    """Return (token, None) for a plain token, else (token, 1), or (0, 0) if it is PADDING."""
    if is_plain(token):
        return token, None
    padding = one_hot(token - PADDING, 1)[0]
    return token + padding, 1.0 - padding


def _too_few(tokens: int) -> ValueError:
    return ValueError(f"nll needs 2 tokens or more, not {tokens}")


@scoped
def nll(logits: Matrix, counted: Sequence[tuple[Token, Value | None]]) -> Value:
    """Return the loss of `GPT.nll` from the logits. Drawings show the name of this function."""
    for (_, counts), (_, later) in pairwise(counted):
        if counts is not None and later is not None:
            # PADDING may only come last. Elsewhere it is a token that the Embedding lacks.
            require(
                1.0 - greater(later, counts),
                lambda: IndexError(
                    f"Embedding of {len(logits.rows[0])} vectors has no index {PADDING}"
                ),
            )
    first, second = [counts for _, counts in counted[:2]]
    if second is not None:
        require(second, lambda: _too_few(1 if first is None else int(first)))
    costs = []
    for row, (token, counts) in zip(logits, counted[1:], strict=True):
        cost = cross_entropy_with_logits(row, token)
        costs.append(cost if counts is None else cost * counts)
    return total(costs)


def sample_token(
    logits: Sequence[Value],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: random.Random | None = None,
) -> int:
    """Draw a token with probabilities softmax(logits / temperature); see GPT.generate."""
    numbers = [float(logit) for logit in logits]
    for i, number in enumerate(numbers):
        if math.isnan(number) or number == math.inf:
            raise FloatingPointError(f"sample_token: logit {i} of {len(numbers)} is {number}")
    if max(numbers) == -math.inf:
        raise FloatingPointError(f"sample_token: all {len(numbers)} logits are -inf")
    # Sorting is stable, so equal logits keep their order.
    ranked = sorted(range(len(numbers)), key=lambda i: -numbers[i])
    if temperature == 0.0:
        return ranked[0]
    chosen = ranked[:top_k]
    odds = softmax([(logits[i] - logits[ranked[0]]) / temperature for i in chosen])
    weights = [float(p) for p in odds]
    if top_p is not None and top_p < 1.0:
        # Keep a token if those before it sum to less than top_p. So the first is always kept.
        before = accumulate(weights, initial=0.0)
        weights = [p for p, likelier in zip(weights, before, strict=False) if likelier < top_p]
    return rng.source(generator).choices(chosen[: len(weights)], weights)[0]


class Tokenizer:
    """A tokenizer of characters, with a token bos for the beginning and the end of a document.

    Args:
        characters: all that documents may contain; order and repeats do not matter. bos is last.

    Raises ValueError for no characters.

    >>> tokenizer = Tokenizer("abba")
    >>> tokenizer.characters, tokenizer.bos, tokenizer.vocabulary
    ('ab', 2, 3)
    >>> tokenizer.encode("baa"), tokenizer.decode([2, 1, 0, 0, 2])
    ([2, 1, 0, 0, 2], 'baa')
    """

    def __init__(self, characters: Iterable[str]) -> None:
        is_group = isinstance(characters, str | Set) or is_series(characters)
        listed = list(characters) if is_group else [characters]
        if not all(isinstance(part, str) for part in listed):
            raise TypeError(
                'a Tokenizer takes a string, such as "abc", or a list of strings, not'
                f" {quoted(characters)}"
            )
        self.characters = "".join(sorted({c for part in listed for c in part}))
        if not self.characters:
            raise ValueError("a Tokenizer needs one character or more")
        self.bos = len(self.characters)
        self.vocabulary = self.bos + 1
        self._tokens = {c: i for i, c in enumerate(self.characters)}

    def __repr__(self) -> str:
        return f"Tokenizer({self.characters!r})"

    def encode(self, text: str, what: str = "the text") -> list[int]:
        """Return the tokens of a document, with bos at either end.

        Raises ValueError for an unknown character, naming it and its place in `what`, and TypeError
        if `text` is not a string.
        """
        if not isinstance(text, str):
            raise TypeError(f"{what} must be a string, not {quoted(text)}")
        for place, c in enumerate(text, 1):
            if c not in self._tokens:
                raise ValueError(
                    f"character {place} of {what}, {c!r} (U+{ord(c):04X}), is not among the"
                    f" {self.bos} known ones: {self.characters!r}"
                )
        return [self.bos, *(self._tokens[c] for c in text), self.bos]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, without bos.

        Raises ValueError for a number that is not a token, TypeError for a non-integer.
        """
        if not is_series(tokens):
            raise TypeError(f"decode takes a list of tokens, such as [0, 1], not {quoted(tokens)}")
        text: list[str] = []
        for token in tokens:
            if not isinstance(token, Integral):
                raise TypeError(f"a token is a whole number, not {quoted(token)}")
            if not 0 <= token <= self.bos:
                raise ValueError(f"{token} is not a token: tokens are 0 .. {self.bos}")
            text.append("" if token == self.bos else self.characters[token])
        return "".join(text)
