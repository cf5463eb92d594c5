"""Which nodes does no picture tell apart? Those that share a box whichever part is open.

Only one part is open at a time, so the nodes of a part that is too large to open always share a
box, and so do those of all calls of a neuron but one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from autograd.draw.fold import Box, Fold, Part, group_of, values_between

MOST_BOXES = 80  # in one picture: more are hard to read
MOST_ALONE = 8  # nodes drawn one by one beside the parts inside an open part
MOST_ALIKE = 3  # siblings of an open part, of its class, that are drawn one by one


class Bundled(Fold):
    """A graph whose nodes are bundles: 65,000 nodes become 1,500.

    Args:
        fold: the graph.
        shows: whether each node has something to show, such as a nonzero gradient. A neuron shows
            the call with the most such nodes; the first of them on a tie.

    Attributes:
        members: for each bundle, the indices of its nodes in the whole graph.
        places: the index of its only node there; -1 if it has several.
        bundle_of: the bundle of each node of the whole graph.
    """

    def __init__(self, fold: Fold, shows: Sequence[bool]) -> None:
        self.root = fold.root
        pieces = _pieces(fold)
        self._pieces = Counter(fold.homes[i] for i in set(pieces.values()))
        bundles: dict[Any, list[int]] = {}
        for i, key in enumerate(_keys(fold, pieces, _chosen(fold, pieces, shows))):
            bundles.setdefault(key, []).append(i)
        found = list(bundles.values())
        values = values_between(found, fold.parents)
        order = in_order(len(found), values)
        place = {b: k for k, b in enumerate(order)}
        self.members = [found[b] for b in order]
        self.bundle_of = group_of(self.members, len(fold.nodes))
        self._values = {(place[tail], place[head]): v for (tail, head), v in values.items()}
        firsts = [bundle[0] for bundle in self.members]
        self.places = [bundle[0] if len(bundle) == 1 else -1 for bundle in self.members]
        self.nodes = [fold.nodes[i] for i in firsts]
        self.kinds = [fold.kinds[i] for i in firsts]
        self.homes = [fold.homes[i] for i in firsts]
        self.owned = {k: fold.owned[i] for k, i in enumerate(firsts) if i in fold.owned}
        parents_of: list[list[int]] = [[] for _ in order]
        for tail, head in self._values:
            parents_of[head].append(tail)
        self.parents = [tuple(parents) for parents in parents_of]
        self._ranks: dict[Part, dict[Part, float]] = {}

    def values_between(self, boxes: Sequence[Box]) -> dict[tuple[int, int], set[int]]:
        """The values that flow from one box to another, by their indices in the whole graph."""
        box_of = {k: b for b, box in enumerate(boxes) for k in box.members}
        flows: dict[tuple[int, int], set[int]] = {}
        for (tail, head), values in self._values.items():
            ends = box_of[tail], box_of[head]
            if ends[0] != ends[1]:
                flows.setdefault(ends, set()).update(values)
        return flows

    def opened(self, part: Part) -> list[Box] | None:
        """The boxes when a part is open; None if there are too many."""
        closed = self._closed_around(part)
        homes = self._homes_of_pieces(part, closed)
        own = {k for k, home in enumerate(homes) if home is part and self.nodes[k].op}
        used = {p for k in own for p in self.parents[k] if not self.nodes[p].op}
        # Which nodes to draw one by one. A part that contains others shows all of its own or none.
        choices = [own | used, own]
        if part.parts:
            choices = [own | used, set()] if len(own | used) <= MOST_ALONE else [set()]
        for alone in choices:
            if all(self.places[k] >= 0 for k in alone):
                boxes = self.boxes_of(closed, alone, homes)
                if len(boxes) <= MOST_BOXES:
                    return boxes
        return None

    def _closed_around(self, part: Part) -> dict[Part, Part]:
        """Map each part that is not open to the closed part it is drawn in.

        If an open part has more than MOST_ALIKE siblings of its class and rank, these are drawn as
        one closed part. Parts of equal rank do not depend on each other.
        """
        open_parts, closed = part.around(), dict[Part, Part]()
        for each in open_parts:
            alike = self._alike(each)
            if len(alike) > MOST_ALIKE:
                several = Part(alike[0].owner, each.outer, f"{len(alike):,} more")
                closed.update(dict.fromkeys(alike, several))
        for each in self.root:
            if each.outer in closed:
                closed[each] = closed[each.outer]
            elif each not in open_parts:
                closed.setdefault(each, each)
        return closed

    def _alike(self, part: Part) -> list[Part]:
        outer = part.outer
        if outer is None:
            return []
        if outer not in self._ranks:
            around = outer.around()
            closed = {p: p.up_to(outer.depth + 1) for p in self.root if p not in around}
            ranks = self.ranks(closed, self.homes)
            self._ranks[outer] = {
                closed[home]: rank
                for home, rank, node in zip(self.homes, ranks, self.nodes, strict=True)
                if home in closed and node.op
            }
        ranks_of = self._ranks[outer]
        return [
            other
            for other in outer.parts
            if other is not part
            and type(other.owner) is type(part.owner)
            and other in ranks_of
            and ranks_of[other] == ranks_of.get(part)
        ]

    def _homes_of_pieces(self, part: Part, closed: dict[Part, Part]) -> Sequence[Part]:
        """The part of each node. All pieces but the shown one are one part, put into `closed`."""
        pieces = self._pieces.get(part, 1)
        if pieces == 1:
            return self.homes
        others = Part(None, part, f"{pieces - 1:,} more like it")
        closed[others] = others
        return [
            others if home is part and node.op and len(members) > 1 else home
            for home, node, members in zip(self.homes, self.nodes, self.members, strict=True)
        ]


def _pieces(fold: Fold) -> dict[int, int]:
    """Map each inner node of a part that contains no other part to the first node of its piece.

    What a part computes falls into independent pieces: one for each call of a neuron, one for each
    output of a linear layer.
    """
    piece: dict[int, int] = {}

    def first(i: int) -> int:
        while piece[i] != i:
            piece[i] = i = piece[piece[i]]
        return i

    for i, (home, node) in enumerate(zip(fold.homes, fold.nodes, strict=True)):
        if not node.op or home.parts:
            continue
        joined = [first(p) for p in fold.parents[i] if p in piece and fold.homes[p] is home]
        piece[i] = min(joined, default=i)
        for other in joined:
            piece[other] = piece[i]
    return {i: first(i) for i in piece}


def _chosen(fold: Fold, pieces: dict[int, int], shows: Sequence[bool]) -> set[int]:
    """The piece that each part shows when open: the first with the most nodes to show.

    A part shows none if that piece is too large.
    """
    sizes = Counter(pieces.values())
    seen = Counter(piece for i, piece in pieces.items() if shows[i])
    best: dict[Part, int] = {}
    for piece in sizes:
        home = fold.homes[piece]
        if home not in best or seen[piece] > seen[best[home]]:
            best[home] = piece
    return {piece for piece in best.values() if sizes[piece] <= MOST_BOXES}


def _keys(fold: Fold, pieces: dict[int, int], chosen: set[int]) -> Iterator[Any]:
    """Yield a key for each node; nodes with equal keys form a bundle."""
    apart = set(fold.separate_outputs)
    for i, (home, node) in enumerate(zip(fold.homes, fold.nodes, strict=True)):
        if node.op and (home.parts or pieces[i] in chosen):
            apart.add(i)
            apart.update(p for p in fold.parents[i] if not fold.nodes[p].op)
    for i, (home, kind) in enumerate(zip(fold.homes, fold.kinds, strict=True)):
        yield i if i in apart else (home, kind, i in fold.owned)


def in_order(
    count: int, flows: Iterable[tuple[int, int]], later: Collection[int] = ()
) -> list[int]:
    """Order 0 .. count - 1 so that each follows those that lead to it, those of `later` last.

    Where a cycle leaves none ready, the first of those left goes next.
    """
    heads: list[list[int]] = [[] for _ in range(count)]
    awaited = [0] * count
    for tail, head in flows:
        heads[tail].append(head)
        awaited[head] += 1
    ready = [(b in later, b) for b in range(count) if not awaited[b]]
    heapify(ready)
    left, order = dict.fromkeys(range(count)), list[int]()
    while left:
        b = heappop(ready)[1] if ready else next(iter(left))
        if b not in left:
            continue
        del left[b]
        order.append(b)
        for head in heads[b]:
            awaited[head] -= 1
            if not awaited[head]:
                heappush(ready, (head in later, head))
    return order
