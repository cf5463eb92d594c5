"""What is left of a pass on a page that cannot hold all of it? Some nodes, with their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autograd.steps.passed import Edge, Passed


class Excerpt(Passed):
    """Some nodes of a pass, each inner one with its operands.

    Args:
        whole: the pass.
        shown: the indices of these nodes, including the last node. Operands that are not shown
            themselves count as leaves here.

    Attributes:
        places: the indices of the nodes in the whole pass. at: the inverse mapping.
    """

    def __init__(self, whole: Passed, shown: Iterable[int]) -> None:
        self.whole = whole
        inner = {i for i in shown if whole.nodes[i].parents}
        operands = {whole.place[parent] for i in inner for parent in whole.nodes[i].parents}
        ends = (operands | set(shown)) - inner
        self.places = [*sorted(ends), *sorted(inner)]
        self.at = {i: k for k, i in enumerate(self.places)}
        self.output, self.model = whole.output, whole.model
        self.nodes = [whole.nodes[i] for i in self.places]
        self.place = {node: k for k, node in enumerate(self.nodes)}
        self.leaves = len(ends)
        self.data = [whole.data[i] for i in self.places]
        self._gradients = [whole.gradient_at(i) for i in self.places]
        self.names, self.full_names = whole.names, whole.full_names
        self.kinds = [whole.kinds[i] for i in self.places]

    def edges(self, i: int) -> Iterator[Edge]:
        """Yield the edges from node i, which is not a leaf."""
        yield from map(self._here, self.whole.edges(self.places[i]))

    def contributions(self, i: int) -> Iterator[tuple[Edge, float, float | None]]:
        """Yield the contributions of node i, as `Passed.contributions` does."""
        for edge, local, before in self.whole.contributions(self.places[i]):
            yield self._here(edge), local, before

    def _here(self, edge: Edge) -> Edge:
        return edge._replace(parent=self.at[edge.parent])
