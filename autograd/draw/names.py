"""What are the nodes of a graph called, and which are parameters? Labels, models, and numbering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autograd.context import Context
from autograd.text import clipped, is_one_word, lowered, number, quoted
from autograd.value import Value, is_constant


def full_names(nodes: Iterable[Value], named: Mapping[Value, str]) -> dict[Value, str]:
    """The name of each node: its label, else its name in a model, else a generated one.

    Args:
        nodes: in topological order.
        named: the names in models; see `named_and_trained`.

    An unnamed plain number is called by its value. Unnamed inner nodes are called v1, v2, ..., and
    unnamed leaves x1, x2, ..., in order, skipping names that are taken.
    """
    found = {node: node.label or named.get(node, "") for node in nodes}
    taken = set(found.values())
    counts = Counter[str]()
    for node, name in found.items():
        if not name and is_constant(node):
            found[node] = number(node.data)
        elif not name:
            letter = "v" if node.op else "x"
            while name in taken:  # as "" is
                counts[letter] += 1
                name = f"{letter}{counts[letter]}"
            found[node] = name
    return found


# --- short names ----------------------------------------------------------------------------------


def short_names(full: Mapping[Value, str], named: Mapping[Value, str]) -> dict[Value, str]:
    """The name of each node as it is shown: distinct, and a few words at most.

    Args:
        full: the full name of each node, in topological order.
        named: the names in models. Only these are shortened: layers.0.neurons.1.w.0 becomes w₁₀
            if the only layer has several neurons. A user's labels stay as typed.

    Nodes that would have the same name are numbered: w₁ and w₂.
    """
    paths = [name for node, name in full.items() if named.get(node) == name]
    short = _short_paths(paths, set(map(clipped, full.values())))
    found = {
        node: clipped(short[name] if named.get(node) == name else name)
        for node, name in full.items()
    }
    unnumbered = [node for node in found if node.label or not is_constant(node)]
    counts = Counter(found[node] for node in unnumbered)
    taken, numbers = set(found.values()), Counter[str]()
    for node in unnumbered:
        name = found[node]
        if counts[name] == 1:
            continue
        base = name if is_one_word(name) else f"({name})"
        base += "." if base[-1].isdigit() else ""
        while found[node] in taken:
            numbers[name] += 1
            found[node] = base + lowered(numbers[name])
        taken.add(found[node])
    return found


def _short_paths(paths: Iterable[str], taken: set[str]) -> dict[str, str]:
    """Shorten each path in a model to its last word, with its numbers as an index.

    Numbers that are the same in all paths are left out. If several parts of the model end in the
    same word, another word goes in front: W_q.weights and W_k.weights. A path stays as it is if it
    ends in no word, or if its short form is taken, or is also the short form of another path.
    """
    split = {path: path.split(".") for path in paths}
    patterns = {path: tuple(_NUMBER if p.isdecimal() else p for p in split[path]) for path in split}
    numbers: dict[tuple[str, ...], set[str]] = {}  # by the part of the pattern before them
    for path, parts in split.items():
        for i, part in enumerate(parts):
            if part.isdecimal():
                numbers.setdefault(patterns[path][:i], set()).add(part)
    bases = _bases(set(patterns.values()))
    places = {
        pattern: [
            i for i, part in enumerate(pattern) if part is _NUMBER and len(numbers[pattern[:i]]) > 1
        ]
        for pattern in bases
    }
    dots = {
        pattern: "." if any(len(n) > 1 for i in kept for n in numbers[pattern[:i]]) else ""
        for pattern, kept in places.items()
    }
    short = {
        path: bases[pattern] + dots[pattern].join(lowered(split[path][i]) for i in places[pattern])
        for path, pattern in patterns.items()
    }
    counts = Counter(short.values())
    return {
        path: name if bases[patterns[path]] and counts[name] == 1 and name not in taken else path
        for path, name in short.items()
    }


_NUMBER = "."  # stands for a number of a path in its pattern; no other part is a dot


def _bases(patterns: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """A name for each pattern: its last word, after a distinguishing one if others end alike."""
    words = {
        pattern: [part for part in pattern if part is not _NUMBER] or [""] for pattern in patterns
    }
    rivals: dict[str, Counter[str]] = {}  # for each ending, how many patterns contain a word
    ends = Counter(end for *_, end in words.values())
    for *before, end in words.values():
        rivals.setdefault(end, Counter()).update(set(before))
    bases = {}
    for pattern, (*before, end) in words.items():
        own = [word for word in before if rivals[end][word] == 1]
        front = own[-1:] or before
        bases[pattern] = ".".join([*front, end]) if ends[end] > 1 else end
    return bases


# --- kinds, and names in models -------------------------------------------------------------------


def kinds_of(nodes: Iterable[Value], outputs: set[Value], trained: set[Value]) -> list[str]:
    """The kind of each node: "leaf", "parameter", "constant", "inner" or "output"."""

    def kind(node: Value) -> str:
        if is_constant(node):
            return "constant"
        if node.op:
            return "output" if node in outputs else "inner"
        return "parameter" if node in trained else "leaf"

    return [kind(node) for node in nodes]


def require_module(model: Any) -> None:
    """Raise TypeError unless `model=` is a module, not its class, or None."""
    is_module = hasattr(model, "named_parameters") and not isinstance(model, type)
    if model is not None and not is_module:
        raise TypeError(f"model= takes a module with named_parameters(), not {quoted(model)}")


def named_and_trained(nodes: Iterable[Value], model: Any) -> tuple[dict[Value, str], set[Value]]:
    """The names that models have for Values, and the Values that they train.

    model: the module whose `named_parameters()` to use; None for the outermost modules whose calls
    made the nodes, with the class name as a prefix if there are several.
    """
    require_module(model)
    models = _models(nodes) if model is None else [model]
    classes = [type(model).__name__ for model in models]
    named: dict[Value, str] = {}
    trained: set[Value] = set()
    for i, (model, name) in enumerate(zip(models, classes, strict=True)):
        nth = str(classes[: i + 1].count(name)) if classes.count(name) > 1 else ""
        prefix = f"{name}{nth}." if len(models) > 1 else ""
        for name, value in named_values(model):
            named.setdefault(value, prefix + name)
        trained.update(value for _, value in model.named_parameters())
    return named, trained


def _models(nodes: Iterable[Value]) -> list[Any]:
    """The outermost modules with parameters whose calls made the nodes."""
    models: dict[int, Any] = {}  # None for an owner that has no parameters
    for context in dict.fromkeys(node.context for node in nodes):
        for owner in owners_of(context):
            if id(owner) not in models:
                models[id(owner)] = owner if next(named_values(owner), None) else None
            if models[id(owner)] is not None:
                break
    return [model for model in models.values() if model is not None]


def made_in_modules(nodes: Iterable[Value]) -> bool:
    """Whether any of the nodes was made in a call of a module or a loss."""
    return any(owners_of(context) for context in {node.context for node in nodes})


def owners_of(context: Context | None) -> list[object]:
    """The modules and losses that were being called in a context, outermost first."""
    owners = []
    while context is not None:
        if context.owner is not None:
            owners.append(context.owner)
        context = context.outer
    return owners[::-1]


def named_values(owner: Any) -> Iterator[tuple[str, Value]]:
    """Yield the parameters of a module, then its buffers, with their names; of a loss, nothing."""
    for listed in ("named_parameters", "named_buffers"):
        yield from getattr(owner, listed, tuple)()
