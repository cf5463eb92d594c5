"""How does a GPT learn from a text? From its lines, each a document of characters.

autograd.jit would need a recording for each length of a document, so documents are padded to the
block and share one recording; PADDING does not change the loss. Additional recordings for shorter
documents would save time in some steps, but each one takes time to make. CPU time of 1,000 steps
with English first names, 7 tokens long on average and at most 16, recordings included: one of 16
tokens: 2.4 s; two of 8 and 16: 3.5 s; four of 6, 8, 10 and 16: 5.6 s.
tests/benchmarks/test_small_gpt.py repeats the measurement.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any, TypeVar

from autograd import Value
from autograd.files import read_text
from autograd.messages import is_series, require_whole
from autograd.text import counted, quoted
from nn.files import read_json, write_json
from nn.gpt import GPT, PADDING, Token, Tokenizer, listed_tokens
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
    """Read the documents of a UTF-8 file, one per line, without empty lines.

    Lines end in LF or CR LF; all other characters are kept, except a byte order mark. Raises
    OSError for a file that cannot be read or is not a regular one, ValueError for one that has no
    text, is not UTF-8 or is larger than 1 GiB.
    """
    text = read_text(path)
    documents = [line.removesuffix("\r") for line in text.split("\n")]
    documents = [document for document in documents if document]
    if not documents:
        raise ValueError(f"{path} has no text")
    return documents


def elements() -> list[str]:
    """Return the names of the 118 chemical elements."""
    return _ELEMENTS.split()


def padded(document: Sequence[int], block_size: int) -> list[int]:
    """Return the tokens of a document, cut or padded to block_size + 1, as `GPT.nll` takes them."""
    block_size = require_whole("block_size", block_size)
    tokens = listed_tokens(document)[: block_size + 1]
    return tokens + [PADDING] * (block_size + 1 - len(tokens))


def examples(
    documents: Sequence[str], tokenizer: Tokenizer, block_size: int
) -> tuple[list[list[int]], list[int]]:
    """Return examples for `nn.fit`: each document's padded tokens, and how many are predicted."""
    if not is_series(documents):
        given = quoted(documents)
        raise TypeError(f"documents must be a list, such as text.splitlines(), not {given}")
    block_size = require_whole("block_size", block_size)
    encoded = [tokenizer.encode(document) for document in documents]
    counts = [min(len(tokens) - 1, block_size) for tokens in encoded]
    return [padded(tokens, block_size) for tokens in encoded], counts


def with_mean_counts(learned: tuple[T, Sequence[int]]) -> tuple[T, list[float]]:
    """Return examples for `nn.fit` with the mean token count of all in place of their own.

    So all characters have the same weight, even in steps of a few documents. With counts of their
    own, characters of short documents would have more weight than those of long ones.
    """
    documents, counts = learned
    return documents, [sum(counts) / max(len(counts), 1)] * len(counts)


def nlls(model: Any, documents: Sequence[Sequence[Token]]) -> list[Value]:
    """A `predict` for `nn.fit`: the negative log-likelihood of each document, in nats."""
    return [model.nll(document) for document in documents]


def nll_per_character(
    nlls: Sequence[Value], counts: Sequence[float]
) -> tuple[Value, Value | float]:
    """A loss for `nn.fit`, as (sum over all documents, number of characters).

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
    """Write a document that begins with the prompt; arguments and errors as for GPT.generate."""
    _require_pair(model, tokenizer)
    start = tokenizer.encode(prompt, "the prompt")[:-1]
    if len(start) > model.block_size:
        most = counted(model.block_size - 1, "character")
        raise ValueError(f"the prompt may have at most {most}, not {len(prompt)}")
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
    """Read the model and the tokenizer that `save` wrote. Nothing in the file is executed.

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
            f"a GPT of {model.vocabulary} tokens does not match this Tokenizer, which has"
            f" {tokenizer.vocabulary}"
        )


def _check_sizes(sizes: dict[str, Any], vocabulary: int, numbers: int) -> None:
    names = ("vocabulary", "block_size", "embedding", "heads", "layers", "base_width")
    if set(sizes) != {*names, "norm"}:
        raise ValueError(f"its sizes are {quoted(sizes)}")
    for name in names:
        if type(sizes[name]) is not int or sizes[name] < 1:
            raise ValueError(f"its {name} is {quoted(sizes[name])}")
    if sizes["vocabulary"] != vocabulary:
        raise ValueError(f"it has {vocabulary - 1} characters for {sizes['vocabulary']} tokens")
    # Check before making a model: a damaged size might require more memory than there is.
    tables, blocks = 2 * vocabulary + sizes["block_size"], 12 * sizes["layers"] * sizes["embedding"]
    if sizes["embedding"] * (tables + blocks) > numbers:
        raise ValueError(f"its sizes require more than its {numbers} numbers")
