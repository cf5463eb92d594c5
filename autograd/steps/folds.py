"""How does a page show a graph in boxes? One picture for each part that can be opened.

The page of a small graph holds the whole pass, and the script computes the numbers of each box. The
page of a large graph holds only the nodes that are shown one by one, and a summary of each box.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from autograd.context import name_of
from autograd.draw.bundles import Bundled
from autograd.draw.fold import Box, Fold, Part, What
from autograd.draw.folded import add_framed, called
from autograd.draw.names import made_in_modules
from autograd.draw.opened import Opened, opened
from autograd.draw.sheet import Digraph, add_box, empty_sheet
from autograd.steps.excerpt import Excerpt
from autograd.steps.passed import Passed
from autograd.steps.recorder import json_number
from autograd.steps.summary import SEVERAL, Flow, Summaries, extremes, spanned
from autograd.text import clipped, counted, number

PLAYER_NODES = 1_000  # the page of a larger graph holds only the boxes of its modules
FOLDED_NODES = 200_000  # finding the boxes of a larger graph takes more than a few seconds
WHOLE_NODES = 300  # a larger graph is never shown with everything open, unless it has no modules
START_WHOLE = 40  # a graph of at most this many nodes starts with everything open
START_BOXES = 16  # a larger one, with its outermost model open if that shows at most this many
TWO_LAYOUT_BOXES = 16  # a picture of more boxes has one layout, from left to right

Lines = list[str]


class TooManyNodes(ValueError):
    """Raised if a graph is too large for a page."""


class Folds:
    """The pictures of a page: the graph with one part open at a time.

    Args:
        passed: the pass.
        folded: whether to make any pictures other than the one with everything open.

    Attributes:
        passed: the pass.
        views: the graph with each part open that can be, outer ones first; empty if the graph was
            not made in modules, or is too large even with all of them closed.
        held: what the page holds: the pass or, if it is large, an excerpt.
        whole: whether there is also a picture with everything open.
        start: the index of the view shown first; -1 for the picture with everything open.

    Raises TooManyNodes if the graph is too large for a page.
    """

    def __init__(self, passed: Passed, folded: bool = True) -> None:
        size = len(passed.nodes)
        self.passed = passed
        self.views: list[Opened] = []
        if folded and size <= FOLDED_NODES and made_in_modules(passed.nodes):
            active = [passed.gradient_at(i) != 0 for i in range(size)]
            self._bundled = Bundled(Fold(passed.nodes, passed.kinds, passed.model), active)
            self.views = list(opened(self._bundled))
        if size > PLAYER_NODES and not self.views:
            raise TooManyNodes(_too_many(size, folded))
        self._place = {view.part: k for k, view in enumerate(self.views)}
        boxes = [box for view in self.views for box in view.boxes]
        self._lines: dict[What, Lines] = {}  # a cache
        self._excerpt: Excerpt | None = None
        if size > PLAYER_NODES:
            self._excerpt = Excerpt(passed, {box.node for box in boxes if box.node >= 0})
        self.held = self._excerpt or passed
        # A box of several nodes is held once, as a group, however many pictures contain it.
        groups = {box.what: box for box in boxes if box.node < 0}
        self._groups = {what: g for g, what in enumerate(groups)}
        self._boxes = list(groups.values())
        self.whole = size <= WHOLE_NODES or not self.views
        self.start = self._start() if self.views else -1

    def _start(self) -> int:
        if len(self.passed.nodes) <= START_WHOLE:
            return -1
        start = 0
        while True:
            models = [
                self._place[part]
                for part in self.views[start].part.parts
                if part.parts and part in self._place and hasattr(part.owner, "parameters")
            ]
            if len(models) != 1 or len(self.views[models[0]].boxes) > START_BOXES:
                return start
            (start,) = models

    # --- for the script ---------------------------------------------------------------------------

    def recorded(self, drawn: Callable[[Digraph, str], str]) -> dict[str, Any]:
        """The views and their content, as a page reads them.

        Args:
            drawn: returns the SVG of a graph, laid out in a direction.

        Views whose boxes differ only in their texts share a picture, in which the texts are left
        out and each box has room for the longest.
        """
        shapes: dict[Any, list[int]] = defaultdict(list)
        for k, view in enumerate(self.views):
            shapes[self._shape(view)].append(k)
        views = [self._recorded_view(view) for view in self.views]
        pictures: list[list[str]] = []
        for which in shapes.values():
            for k in which:
                views[k]["picture"] = len(pictures)
            pictures.append(self._pictures([self.views[k] for k in which], drawn))
        content = {"start": self.start, "views": views, "pictures": pictures}
        content["groups"] = [self._recorded_group(box) for box in self._boxes]
        if self._excerpt is not None:
            content["size"] = len(self.passed.nodes)
        return content

    def _shape(self, view: Opened) -> Any:
        boxes = [
            (box.kind, box.frame.depth, box.node < 0, len(self.lines(box))) for box in view.boxes
        ]
        return tuple(boxes), tuple(sorted(view.flows))

    def _pictures(self, views: Sequence[Opened], drawn: Callable[[Digraph, str], str]) -> list[str]:
        lines = [[self.lines(box) for box in view.boxes] for view in views]
        longest = [
            [max(texts, key=len) for texts in zip(*b, strict=True)]
            for b in zip(*lines, strict=True)
        ]
        frames = [[self._frame(part) for part in view.parts] for view in views]
        titles = [max(texts, key=len) for texts in zip(*frames, strict=True)]
        directions = ["LR", "TB"] if len(longest) <= TWO_LAYOUT_BOXES else ["LR"]
        svgs = [
            drawn(self._picture(views[0], longest, titles, _room, direction), direction)
            for direction in directions
        ]
        return [_DECIMALS.sub(r"\1", _TEXT.sub("></text>", svg)) for svg in svgs]

    def _recorded_view(self, view: Opened) -> dict[str, Any]:
        outer = view.part.outer
        boxes: list[dict[str, Any]] = []
        for box, parents in zip(view.boxes, view.parents(), strict=True):
            entry: dict[str, Any] = {"parents": parents}
            if box.frame is view.part:
                entry["inside"] = True
            if box.node < 0:
                entry["group"] = self._groups[box.what]
            else:
                entry["node"] = box.node if self._excerpt is None else self._excerpt.at[box.node]
            boxes.append(entry)
        return {
            "name": self._crumb(view.part),
            "outer": -1 if outer is None else self._place[outer],
            "frames": [self._frame(part) for part in view.parts],
            "boxes": boxes,
        }

    def _recorded_group(self, box: Box) -> dict[str, Any]:
        """A box of several nodes, with its summary if the page does not hold these nodes."""
        members, bundles = self._bundled.members, set(box.members)
        entry: dict[str, Any] = {
            "kind": box.kind,
            "lines": self.lines(box),
            "size": self._size(box),
            "runs": any(self._bundled.nodes[k].op for k in bundles),
            "opens": -1 if box.module is None else self._opens(box.module),
        }
        if self._excerpt is None:
            return {**entry, "members": _runs(sorted(i for k in bundles for i in members[k]))}
        places, bundle_of = self._excerpt.places, self._bundled.bundle_of
        taken, given = self._crossing[box.what]
        parameters, norm = self._summaries.parameters(bundles)
        handed = [
            [self._excerpt.at[i], *self._summaries.handed(bundles, i)]
            for i in sorted(taken)
            if i in self._excerpt.at
        ]
        return {
            **entry,
            "members": _runs([k for k, i in enumerate(places) if bundle_of[i] in bundles]),
            "taken": _recorded_flow(self._summaries.taken(bundles, taken)),
            "given": _recorded_flow(self._summaries.given(given)),
            "parameters": parameters,
            "norm": json_number(norm),
            "handed": [[k, count, json_number(total)] for k, count, total in handed if count],
        }

    def _size(self, box: Box) -> int:
        return sum(len(self._bundled.members[k]) for k in box.members)

    def _opens(self, part: Part) -> int:
        """The view that opens a closed part, or the view around a part that stands for several."""
        if part.label and part.owner is not None and part.outer is not None:
            return self._place[part.outer]
        return self._place.get(part, -1)

    @cached_property
    def _summaries(self) -> Summaries:
        bundled = self._bundled
        return Summaries(self.passed, bundled.members, bundled.bundle_of)

    @cached_property
    def _crossing(self) -> dict[What, tuple[set[int], set[int]]]:
        """For each box, the values that flow in and those that flow out.

        Parameters and other leaves count as flowing out only if no computed value does.
        """
        found: dict[What, tuple[set[int], set[int]]] = {}
        for view in self.views:
            taken, given = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
            for (tail, head), values in view.flows.items():
                if view.boxes[tail].what not in found:
                    given[tail].update(values)
                if view.boxes[head].what not in found:
                    taken[head].update(values)
            for b, box in enumerate(view.boxes):
                computed = {i for i in given[b] if self.passed.nodes[i].op}
                found.setdefault(box.what, (taken[b], computed or given[b]))
        return found

    # --- texts ------------------------------------------------------------------------------------

    def _crumb(self, part: Part) -> str:
        """The name of a part in the list of open parts."""
        if part.outer is None:
            return self.passed.name(self.passed.output)
        return clipped(called(part)[0] or name_of(part.owner))

    def _frame(self, part: Part) -> str:
        return clipped("  ".join(filter(None, called(part))))

    def lines(self, box: Box) -> Lines:
        """The lines of a box above its numbers; see `Passed.lines`."""
        if box.node >= 0:
            return self.passed.lines(box.node)
        if box.what not in self._lines:
            self._lines[box.what] = self._lines_of_several(box)
        return self._lines[box.what]

    def _lines_of_several(self, box: Box) -> Lines:
        size = self._size(box)
        members = [self._bundled.members[k] for k in box.members]
        if box.module is not None:
            lines = [clipped(text) for text in called(box.module) if text]
            parameters = sum(self.passed.kinds[b[0]] == "parameter" and len(b) for b in members)
            if not parameters:
                return [*lines, counted(size, "node")]
            # Some may make no node, such as the rows of an Embedding for tokens that do not occur.
            held = len([*getattr(box.module.owner, "parameters", list)()])
            return [*lines, counted(parameters, "parameter") + " used" * (parameters < held)]
        if box.kind == "inner":
            return ["arithmetic", counted(size, "node")]
        if box.kind == "constant":
            data = [self.passed.data[i] for bundle in members for i in bundle]
            return [counted(size, "constant"), spanned(extremes(data))]
        return [counted(size, box.kind, "leaves" if box.kind == "leaf" else "")]

    def _numbers(self, box: Box) -> Lines:
        """The lines with the numbers of a box, after the pass."""
        if box.kind == "constant":
            return []
        if box.node >= 0:
            data, gradient = self.passed.data[box.node], self.passed.gradient_at(box.node)
            return [f"data {number(data)}", f"grad {number(gradient)}"]
        flow = self._summaries.given(self._crossing[box.what][1])
        gradients = [f"grad {spanned(flow.gradients)}"] if flow.gradients else []
        return [f"data {spanned(flow.data)}", *gradients]

    # --- pictures ---------------------------------------------------------------------------------

    def picture(self, k: int) -> Digraph:
        """A view in Graphviz's language, after the pass."""
        view = self.views[k]
        lines = [self.lines(box) for box in view.boxes]
        titles = [self._frame(part) for part in view.parts]
        return self._picture(view, lines, titles, self._numbers, "LR")

    def _picture(
        self,
        view: Opened,
        lines: Sequence[Lines],
        titles: Sequence[str],
        numbers: Callable[[Box], Lines],
        direction: str,
    ) -> Digraph:
        """A picture in which box b has the id n{b}, and its edge from parent k the id e{b}_{k}.

        Frame f, counted from the outside, has the id f{f}.
        """
        sheet = empty_sheet(direction)
        titled: Mapping[Part, str] = dict(zip(view.parts, titles, strict=True))

        def add(sheet: Digraph, b: int) -> None:
            box = view.boxes[b]
            add_box(sheet, f"n{b}", box.kind, [*lines[b], *numbers(box)], lines[b])

        frames = [box.frame for box in view.boxes]
        add_framed(sheet, self._bundled.root, frames, add, lambda part: titled[part])
        for b, parents in enumerate(view.parents()):
            for k, tail in enumerate(parents):
                sheet.edge(f"n{tail}", f"n{b}", id=f"e{b}_{k}")
        return sheet


_TEXT = re.compile(r">[^<>]*</text>")
_DECIMALS = re.compile(r"(\.\d)\d+")  # tenths of a point are fine enough


def _too_many(size: int, folded: bool) -> str:
    if not folded:
        return f"{size:,} nodes are too many to predict one by one: at most {PLAYER_NODES:,}"
    if size > FOLDED_NODES:
        return (
            f"{size:,} nodes are too many for the player, which takes {FOLDED_NODES:,} if they were"
            " made in modules; step through a smaller batch, or print the table"
        )
    return (
        f"{size:,} nodes are too many for the player, which takes {PLAYER_NODES:,} unless they were"
        " made in modules, which it shows as boxes; step through one example of the batch, or print"
        " the table"
    )


def _room(box: Box) -> Lines:
    """Lines as long as any numbers that a box may show."""
    if box.kind == "constant":
        return []
    widest = "-0.01234" if box.node >= 0 else SEVERAL.format("-0.0123", "-0.0123")
    return [f"data {widest}", f"grad {widest}"]


def _runs(places: Sequence[int]) -> list[int]:
    """The first and the last of each run in ascending indices: 3, 4, 5, 9 becomes 3, 5, 9, 9."""
    runs: list[int] = []
    for i in places:
        if runs and runs[-1] == i - 1:
            runs[-1] = i
        else:
            runs += [i, i]
    return runs


def _recorded_flow(flow: Flow | None) -> dict[str, Any] | None:
    """A flow in JSON form."""
    if flow is None:
        return None
    gradients = None if flow.gradients is None else [*map(json_number, flow.gradients)]
    data = [*map(json_number, flow.data)]
    return {**flow._asdict(), "data": data, "gradients": gradients}
