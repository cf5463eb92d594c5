"""How does a GPT learn from a text? From documents, one per line, of characters.

For autograd.jit each length of a document would be a recording of its own. So documents are padded
to the block, and share one program; PADDING does not change the loss. Shorter programs beside that
of the block would save some time per step, but cost a recording each. Measured on 1,000 steps with
English first names, 7 tokens long on average and at most 16, recordings included: one program of 16
tokens 4.6 s; two of 8 and 16: 6.0 s; four of 6, 8, 10 and 16: 11.3 s. A step took 0.6 ms at 16
tokens and 0.3 ms at 8. tests/benchmarks/test_small_gpt.py repeats the measurement.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any, TypeVar

from autograd import Value
from autograd.files import read_text
from autograd.messages import is_series, require_whole
from autograd.text import quoted
from nn.attention import NORMS
from nn.files import read_json, write_json
from nn.gpt import GPT, PADDING, Token, Tokenizer
from nn.matrix import total

T = TypeVar("T")

_ELEMENTS = """
hydrogen helium lithium beryllium boron carbon nitrogen oxygen fluorine neon sodium magnesium
aluminium silicon phosphorus sulfur chlorine argon potassium calcium scandium titanium vanadium
chromium manganese iron cobalt nickel copper zinc gallium germanium arsenic selenium bromine krypton
rubidium strontium yttrium zirconium niobium molybdenum technetium ruthenium rhodium palladium
silver cadmium indium tin antimony tellurium iodine xenon caesium barium lanthanum cerium
praseodymium neodymium promethium samarium europium gadolinium terbium dysprosium holmium erbium
thulium ytterbium lutetium hafnium tantalum tungsten rhenium osmium iridium platinum gold mercury
thallium lead bismuth polonium astatine radon francium radium actinium thorium protactinium uranium
neptunium plutonium americium curium berkelium californium einsteinium fermium mendelevium nobelium
lawrencium rutherfordium dubnium seaborgium bohrium hassium meitnerium darmstadtium roentgenium
copernicium nihonium flerovium moscovium livermorium tennessine oganesson
"""


def read(path: str | os.PathLike[str]) -> list[str]:
    """The documents of a UTF-8 file, one per line, without empty lines.

    Lines end in LF or CR LF; all other characters are kept. Raises OSError for a file that cannot
    be read or is not a regular one, ValueError for one that has no text, is not UTF-8 or is larger
    than 1 GiB.
    """
    text = read_text(path)
    documents = [line.removesuffix("\r") for line in text.split("\n")]
    documents = [document for document in documents if document]
    if not documents:
        raise ValueError(f"{path} has no text")
    return documents


def elements() -> list[str]:
    """The names of the 118 chemical elements."""
    return _ELEMENTS.split()


def padded(document: Sequence[int], block_size: int) -> list[int]:
    """The tokens of a document, and of PADDING, that a block predicts: one more than its size."""
    tokens = list(document[: block_size + 1])
    return tokens + [PADDING] * (block_size + 1 - len(tokens))


def examples(
    documents: Sequence[str], tokenizer: Tokenizer, block_size: int
) -> tuple[list[list[int]], list[int]]:
    """For `nn.fit`: the padded tokens of each document, and how many of them it predicts."""
    if not is_series(documents):
        told = "one text" if isinstance(documents, str) else repr(documents)
        raise TypeError(f"documents are a list of texts, such as text.splitlines(), not {told}")
    block_size = require_whole("block_size", block_size)
    encoded = [tokenizer.encode(document) for document in documents]
    counts = [min(len(tokens) - 1, block_size) for tokens in encoded]
    return [padded(tokens, block_size) for tokens in encoded], counts


def with_mean_counts(learned: tuple[T, Sequence[int]]) -> tuple[T, list[float]]:
    """For `nn.fit`: the examples, each with the mean token count of all.

    Then all characters have the same weight, also in steps of a few documents. With counts of their
    own the characters of short documents would weigh more than those of long ones.
    """
    documents, counts = learned
    return documents, [sum(counts) / max(len(counts), 1)] * len(counts)


def nlls(model: Any, documents: Sequence[Sequence[Token]]) -> list[Value]:
    """For `nn.fit`: the predictions, the negative log-likelihood of each document in nats."""
    return [model.nll(document) for document in documents]


def nll_per_character(
    nlls: Sequence[Value], counts: Sequence[float]
) -> tuple[Value, Value | float]:
    """For `nn.fit`: the loss as (sum over all documents, number of characters).

    The token at the end of a document counts as a character.
    """
    return total(nlls), sum(counts)


def sample(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: random.Random | None = None,
) -> str:
    """A document that begins with the prompt; arguments and errors as for GPT.generate."""
    _require_pair(model, tokenizer)
    start = tokenizer.encode(prompt, "the prompt")[:-1]
    if len(start) > model.block_size:
        raise ValueError(
            f"the prompt may have {model.block_size - 1} characters at most, not {len(prompt)}"
        )
    return prompt + tokenizer.decode(
        model.generate(start, temperature, top_k, top_p, generator, end=tokenizer.bos)
    )


def save(path: str | os.PathLike[str], model: GPT, tokenizer: Tokenizer) -> None:
    """Write a model and its characters to a JSON file, atomically."""
    _require_pair(model, tokenizer)
    content = {
        "kind": "model",
        "model": "GPT",
        "sizes": model.sizes,
        "characters": tokenizer.characters,
        "state": model.state_dict(),
    }
    write_json(path, content)


def load(path: str | os.PathLike[str]) -> tuple[GPT, Tokenizer]:
    """The model and the tokenizer that `save` wrote. Nothing in the file is executed.

    Raises OSError for a file that is missing or not a regular one, and ValueError for a damaged
    file, one that is larger than 1 GiB, or another model.
    """
    content = read_json(path, "model")
    sizes, characters, state = (content.get(key) for key in ("sizes", "characters", "state"))
    if content.get("model") != "GPT" or not isinstance(sizes, dict):
        raise ValueError(f"{path} is not a model that `python -m nn gpt` wrote")
    try:
        if not isinstance(characters, str) or not isinstance(state, dict):
            raise ValueError("it has no characters or no state")
        tokenizer = Tokenizer(characters)
        if tokenizer.characters != characters:
            raise ValueError("its characters are not in order")
        _check_sizes(sizes, tokenizer.vocabulary, len(state))
        model = GPT(**sizes)
        model.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return model, tokenizer


def _require_pair(model: Any, tokenizer: Any) -> None:
    if not isinstance(model, GPT) or not isinstance(tokenizer, Tokenizer):
        raise TypeError(
            f"expected a GPT and its Tokenizer, not {quoted(model)} and {quoted(tokenizer)}"
        )
    if model.vocabulary != tokenizer.vocabulary:
        raise ValueError(
            f"a GPT of {model.vocabulary} tokens is not of this Tokenizer, which has"
            f" {tokenizer.vocabulary}"
        )


def _check_sizes(sizes: dict[str, Any], vocabulary: int, numbers: int) -> None:
    names = ("vocabulary", "block_size", "embedding", "heads", "layers", "base_width")
    if set(sizes) != {*names, "norm"} or sizes["norm"] not in NORMS:
        raise ValueError(f"its sizes are {quoted(sizes)}")
    for name in names:
        if type(sizes[name]) is not int or sizes[name] < 1:
            raise ValueError(f"its {name} is {quoted(sizes[name])}")
    if sizes["vocabulary"] != vocabulary:
        raise ValueError(f"it has {vocabulary - 1} characters for {sizes['vocabulary']} tokens")
    # Check before making a model: a damaged size might ask for more memory than there is.
    tables, blocks = 2 * vocabulary + sizes["block_size"], 12 * sizes["layers"] * sizes["embedding"]
    if sizes["embedding"] * (tables + blocks) > numbers:
        raise ValueError(f"its sizes ask for more than its {numbers} numbers")
