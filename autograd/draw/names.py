"""What are the nodes of a graph called, and which are parameters? Labels, models, and numbering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from autograd.context import Context
from autograd.text import number
from autograd.value import Value, is_constant


def names(nodes: Iterable[Value], model: Any = None) -> dict[Value, str]:
    """What each node is called: its label, else its name in the model, else one made up.

    Args:
        nodes: in topological order.
        model: whose `named_parameters()` to ask; by default those of the outermost modules in whose
            calls the nodes were made, with the name of the class in front if there are several.

    A plain number is called by itself. Inner nodes without a name are called v1, v2, ..., leaves
    x1, x2, ..., in order and leaving out what is taken.
    """
    nodes = list(nodes)
    named, _ = named_and_trained(nodes, model)
    found = {node: str(node.label) or named.get(node, "") for node in nodes}
    taken = set(found.values())
    counts = Counter[str]()
    for node, name in found.items():
        if not name and is_constant(node):
            found[node] = number(node.data)
        elif not name:
            letter = "v" if node.op else "x"
            while not name or name in taken:
                counts[letter] += 1
                name = f"{letter}{counts[letter]}"
            found[node] = name
    return found


def node_kinds(
    nodes: Sequence[Value], model: Any = None, outputs: Iterable[Value] = ()
) -> list[str]:
    """Whether each node is a "leaf", a "parameter", a "constant", "inner" or an "output".

    Outputs are by default the nodes that nothing is made from.
    """
    ends = set(outputs) or set(nodes).difference(*(node.parents for node in nodes))
    return kinds_of(nodes, ends, named_and_trained(nodes, model)[1])


def kinds_of(nodes: Iterable[Value], outputs: set[Value], trained: set[Value]) -> list[str]:
    """The kind of each node, for outputs and trained parameters that are known."""

    def kind(node: Value) -> str:
        if is_constant(node):
            return "constant"
        if node.op:
            return "output" if node in outputs else "inner"
        return "parameter" if node in trained else "leaf"

    return [kind(node) for node in nodes]


def named_and_trained(nodes: Iterable[Value], model: Any) -> tuple[dict[Value, str], set[Value]]:
    """The names that models have for Values, and the Values that they train."""
    if model is not None and not hasattr(model, "named_parameters"):
        raise TypeError(f"model= takes a module with named_parameters(), not {model!r}")
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
    """The outermost modules with parameters in whose calls the nodes were made."""
    models: dict[int, Any] = {}  # None for an owner that has no parameters
    for context in contexts_of(nodes):
        for owner in owners_of(context):
            if id(owner) not in models:
                models[id(owner)] = owner if next(named_values(owner), None) else None
            if models[id(owner)] is not None:
                break
    return [model for model in models.values() if model is not None]


def contexts_of(nodes: Iterable[Value]) -> list[Context]:
    """The contexts that nodes were made in, each once."""
    return list(dict.fromkeys(node.context for node in nodes))


def made_in_modules(nodes: Iterable[Value]) -> bool:
    """Whether any of the nodes was made in the call of a module or a loss."""
    return any(map(owners_of, contexts_of(nodes)))


def owners_of(context: Context | None) -> list[object]:
    """The modules and losses that were being called in a context, outermost first."""
    owners = []
    while context is not None:
        if context.owner is not None:
            owners.append(context.owner)
        context = context.outer
    return owners[::-1]


def named_values(owner: Any) -> Iterator[tuple[str, Value]]:
    """What a module names: its parameters, and its buffers if it has any. A loss names nothing."""
    for listed in ("named_parameters", "named_buffers"):
        yield from getattr(owner, listed, tuple)()
