"""Which nodes of a large graph belong in one box? Those of a module or loss, and those in between.

Every node knows whose call made it, and nested calls form a tree of parts. At a given depth the
outer parts are open, and each part just inside them is a closed box with all its nodes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from autograd.context import Context, names_within
from autograd.draw.names import named_values
from autograd.value import Value

What = tuple["Part | None", tuple[int, ...]]  # what a box shows; see Box.what
SEPARATE_OUTPUTS = 10  # at most this many outputs are drawn as nodes of their own


class Part:
    """A module or loss whose calls made nodes, within the one that called it.

    Attributes:
        owner: the module or loss; None for the root, which contains all other parts.
        outer: the part that contains this one.
        depth: how many parts contain it; 0 for the root, 1 for an outermost module.
        parts: the parts directly inside, in the order of their first nodes.
        label: such as "15 more" for a part that stands for several; "" for a module or loss.
    """

    def __init__(self, owner: Any = None, outer: Part | None = None, label: str = "") -> None:
        self.owner = owner
        self.outer = outer
        self.label = label
        self.depth: int = 0 if outer is None else outer.depth + 1
        self._parts: dict[int, Part] = {}

    @cached_property
    def names(self) -> dict[int, str]:
        """The names that the owner has for the modules inside it, by their id."""
        return names_within(self.owner)

    @cached_property
    def written(self) -> str:
        """The owner's `repr`, which may have to count the parameters of a large model."""
        return repr(self.owner)

    @property
    def parts(self) -> list[Part]:
        return list(self._parts.values())

    def part(self, owner: object) -> Part:
        """The part of an owner inside this one, shared by all its calls."""
        if id(owner) not in self._parts:
            self._parts[id(owner)] = Part(owner, self)
        return self._parts[id(owner)]

    @property
    def name(self) -> str:
        """The name that the owner of the part around it, or the model, has for its owner; or ""."""
        return "" if self.outer is None else self.outer.names.get(id(self.owner), "")

    def up_to(self, depth: int) -> Part:
        """This part or, if it is deeper than `depth`, the part around it at that depth."""
        part = self
        while part.depth > depth and part.outer is not None:
            part = part.outer
        return part

    def around(self) -> list[Part]:
        """This part and all parts that contain it, the root first."""
        found, part = [self], self.outer
        while part is not None:
            found.append(part)
            part = part.outer
        return found[::-1]

    def common(self, other: Part) -> Part:
        """The innermost part that contains both."""
        pairs = zip(self.around(), other.around(), strict=False)
        return [part for part, same in pairs if part is same][-1]

    def __iter__(self) -> Iterator[Part]:
        """Yield this part and all parts inside it, each after the part that contains it."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.parts))


class Box:
    """Nodes that are drawn as one box.

    Attributes:
        kind: "module", or the kind of all its nodes.
        frame: the open part that contains the box.
        module: the closed part that the box stands for; None for nodes between modules.
        members: the indices of its nodes in the Fold, ascending.
        node: the index of its only node in the whole graph; -1 for a module, or if it has several.
    """

    __slots__ = ("frame", "kind", "members", "module", "node")

    def __init__(self, kind: str, frame: Part, module: Part | None = None) -> None:
        self.kind = kind
        self.frame = frame
        self.module = module
        self.members: list[int] = []
        self.node = -1

    @property
    def what(self) -> What:
        """What the box shows: equal for the same box in other pictures.

        The members alone do not tell a layer from its only neuron.
        """
        return self.module, tuple(self.members)


class Fold:
    """A graph with the tree of its parts, ready to be folded at any depth.

    Args:
        nodes: in topological order.
        kinds: of each node: "leaf", "parameter", "constant", "inner" or "output".
        model: the owner of parameters that no other module holds; it names the outermost parts.

    Attributes:
        places: the index of each node in the whole graph.
        root: the root of the tree of parts.
        homes: the part that each node belongs to. An inner node belongs to the call that made it,
            a parameter to the innermost module that holds it, and any other leaf to the innermost
            part around all its uses.
        owned: maps the parameters and buffers to the part that holds them.
    """

    def __init__(self, nodes: Sequence[Value], kinds: Sequence[str], model: Any = None) -> None:
        self.nodes = nodes
        self.kinds = kinds
        self.places: Sequence[int] = range(len(nodes))
        place = {node: i for i, node in enumerate(nodes)}
        # The garbage collector stops tracking tuples of numbers; lists would slow it down.
        self.parents = [tuple([place[parent] for parent in node.parents]) for node in nodes]
        self.root = Part()
        self.root.names = names_within(model)
        self.owned: dict[int, Part] = {}
        self.homes = self._homes(place, model)

    def _homes(self, place: dict[Value, int], model: Any) -> list[Part]:
        parts: dict[Context | None, Part] = {None: self.root}
        homes: list[Part | None] = [
            self._part(node.context, parts) if node.op else None for node in self.nodes
        ]
        owned = self.owned  # without computed parameters, which stay where they were computed
        for part in self.root:
            for _, value in named_values(part.owner):
                i = place.get(value, -1)
                if i >= 0 and not value.op and (i not in owned or owned[i].depth < part.depth):
                    owned[i] = part
        for part in dict.fromkeys(owned.values()):
            self._put_into_modules_without_nodes(part, place)
        for _, value in named_values(model):
            i = place.get(value, -1)
            if i >= 0 and not value.op and i not in owned:
                owned[i] = self.root.part(model)
        for i, part in owned.items():
            homes[i] = part
        for i, parents in enumerate(self.parents):
            for p in parents:
                if not self.nodes[p].op and p not in owned:
                    user, others = homes[i] or self.root, homes[p]
                    homes[p] = user.common(others) if others else user
        return [home or self.root for home in homes]

    def _put_into_modules_without_nodes(self, part: Part, place: dict[Value, int]) -> None:
        """Give a part's parameters to the modules in it that hold them, but were not called."""
        inner: dict[int, Any] = {}
        made_nodes = {id(each.owner) for each in part}
        for module in getattr(part.owner, "modules", tuple)():
            if id(module) not in made_nodes:
                inner.update((place.get(value, -1), module) for _, value in named_values(module))
        for i, module in inner.items():
            if self.owned.get(i) is part:
                self.owned[i] = part.part(module)

    def _part(self, context: Context | None, parts: dict[Context | None, Part]) -> Part:
        """Return the part of a context, adding it and the parts around it to `parts`."""
        inside = []
        while context is not None and context not in parts:
            inside.append(context)
            context = context.outer
        part = parts[context]
        for context in reversed(inside):
            if context.owner is not None and context.owner is not part.owner:
                part = part.part(context.owner)
            parts[context] = part
        return part

    def boxes(self, max_boxes: int, depth: int | None) -> list[Box] | None:
        """The boxes at a depth, by default the largest that fits; None if every part is open.

        Raises ValueError if there are too many boxes or, with every part open, too many nodes.
        """
        deepest = max(part.depth for part in self.root)
        size = f"the graph has {len(self.nodes):,} nodes"
        limit = f"more than max_nodes = {max_boxes:,}"
        if depth is not None and depth >= deepest > 0:
            if len(self.nodes) > max_boxes:
                raise ValueError(
                    f"{size}, {limit}, and depth = {depth} opens every module: use a smaller depth,"
                    " or raise max_nodes"
                )
            return None
        depths = range(max(deepest - 1, 0), -1, -1) if depth is None else [depth]
        for depth in depths:
            closed = self._closed(depth)
            boxes = self.boxes_of(closed) if len(set(closed.values())) <= max_boxes else None
            if boxes is not None and len(boxes) <= max_boxes:
                return boxes
        advice = "use a smaller depth, or raise max_nodes" if depth else "raise max_nodes"
        raise ValueError(f"{size}, and folded at depth = {depth} {limit} boxes: {advice}")

    def _closed(self, depth: int) -> dict[Part, Part]:
        """Map each closed part, and each part inside it, to that closed part.

        A part that contains no other part is never opened here: its nodes are drawn one by one only
        if all nodes of the graph are.
        """
        tops = {part: part.up_to(depth + 1) for part in self.root}
        return {
            part: top
            for part, top in tops.items()
            if top.depth > depth or (top.depth > 0 and not top.parts)
        }

    def boxes_of(
        self,
        closed: dict[Part, Part],
        alone: Collection[int] = (),
        homes: Sequence[Part] | None = None,
    ) -> list[Box]:
        """A box for each closed part, and boxes for the nodes between them.

        Args:
            closed: maps each closed part, and each part inside it, to that closed part.
            alone: nodes outside closed parts that get boxes of their own, as the outputs do.
            homes: the part that each node belongs to; by default `self.homes`.

        If all arithmetic between modules were one box, it would often be both before and after a
        module. Instead, there is one box for what leads up to each rank of modules, and one for
        what follows all of them. Arrows between boxes then go one way, unless the modules
        themselves form a cycle.
        """
        boxes: dict[Any, Box] = {}

        def put(i: int, key: Any, kind: str, frame: Part, module: Part | None = None) -> None:
            if key not in boxes:
                boxes[key] = Box(kind, frame, module)
            boxes[key].members.append(i)

        homes = homes or self.homes
        before = self.ranks(closed, homes)
        outputs = self.separate_outputs
        turns = [0] * len(self.nodes)
        for i, (kind, home) in enumerate(zip(self.kinds, homes, strict=True)):
            part = closed.get(home)
            frame = home if part is None else part.up_to(part.depth - 1)
            if i in outputs:
                put(i, i, kind, self.root)
            elif i in alone and not self.nodes[i].op:
                put(i, i, kind, frame if self.inside(i) else self.root)
            elif not self.inside(i):
                put(i, ("beside", part or home, kind), kind, self.root)
            elif part is not None:
                put(i, part, "module", frame, part)
            elif i in self.owned:
                put(i, ("of", home, kind), kind, home)
            else:
                # Where the arithmetic of open modules alternates before the same rank, each change
                # of module starts another box, so that no two boxes depend on each other.
                for p in self.parents[i]:
                    if before[p] == before[i] and self.nodes[p].op:
                        turns[i] = max(turns[i], turns[p] + (homes[p] is not home))
                put(i, i if i in alone else (home, before[i], turns[i]), "inner", home)
        for box in boxes.values():
            if box.module is None and len(box.members) == 1:
                box.node = self.places[box.members[0]]
        return list(boxes.values())

    def ranks(self, closed: dict[Part, Part], homes: Sequence[Part]) -> list[float]:
        """The lowest rank of the closed parts that each node leads to; inf if it leads to none.

        A node inside a closed part has the rank of that part.
        """
        numbers: dict[Part, int] = {}
        sources: list[int] = []  # for each closed part, a bit mask of those that lead to it
        reached = [0] * len(self.nodes)  # the same for each node, including its own part
        for i, parents in enumerate(self.parents):
            if not self.inside(i):
                continue
            bits = 0
            for p in parents:
                bits |= reached[p]
            part = closed.get(homes[i])
            if part is not None:
                k = numbers.setdefault(part, len(numbers))
                sources += [0] * (k == len(sources))
                sources[k] |= bits & ~(1 << k)
                bits = 1 << k
            reached[i] = bits
        ranks = _ranks(sources)
        before = [math.inf] * len(self.nodes)
        for i in range(len(self.nodes) - 1, -1, -1):
            part = closed.get(homes[i])
            if part in numbers and self.inside(i):
                before[i] = ranks[numbers[part]]
            for p in self.parents[i]:
                before[p] = min(before[p], before[i])
        return before

    def inside(self, i: int) -> bool:
        """Whether a node is drawn inside its part. Leaves that no module owns are drawn outside."""
        return i in self.owned or self.nodes[i].op != ""

    @cached_property
    def separate_outputs(self) -> set[int]:
        """The nodes that nothing is made from, if they are few: drawn as nodes of their own."""
        used = {p for parents in self.parents for p in parents}
        ends = {i for i in range(len(self.nodes)) if i not in used}
        return ends if len(ends) <= SEPARATE_OUTPUTS else set()


def group_of(groups: Iterable[Iterable[int]], nodes: int) -> list[int]:
    """The group that each of the `nodes` nodes belongs to."""
    found = [0] * nodes
    for g, members in enumerate(groups):
        for i in members:
            found[i] = g
    return found


def values_between(
    groups: Iterable[Iterable[int]], parents: Sequence[Iterable[int]]
) -> dict[tuple[int, int], set[int]]:
    """The values that flow from one group of nodes to another, for each pair with any."""
    of = group_of(groups, len(parents))
    values: dict[tuple[int, int], set[int]] = {}
    for i, operands in enumerate(parents):
        for p in operands:
            if of[p] != of[i]:
                values.setdefault((of[p], of[i]), set()).add(p)
    return values


def _ranks(sources: list[int]) -> list[int]:
    """The rank of each part: 0 if nothing leads to it, else one above the parts that do.

    sources[k] has a bit for each part that leads to part k. Where a cycle leaves no part ready, the
    first of those left goes next.
    """
    ranks = [0] * len(sources)
    waiting, rank = list(range(len(sources))), 0
    while waiting:
        left = sum(1 << k for k in waiting)
        ready = {k for k in waiting if not sources[k] & left} or {waiting[0]}
        for k in ready:
            ranks[k] = rank
        waiting = [k for k in waiting if k not in ready]
        rank += 1
    return ranks
