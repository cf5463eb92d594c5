"""How are the parameters of a module replaced? A list that puts each new one into its places."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from autograd import Value, context


class Place(NamedTuple):
    """A Value of a module: its first name, and every `container[key]` where it is kept."""

    name: str
    value: Value
    trained: bool
    spots: list[tuple[Any, Any]]


class Parameters(list[Value]):
    """The parameters of a module; an assignment to an entry puts the new Value into the module.

    This is how a differentiable optimizer moves a module on to parameters that have a history.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = list(places)
        super().__init__(place.value for place in self.places)

    def __setitem__(self, i: Any, value: Any) -> None:
        if not isinstance(i, int) or not isinstance(value, Value):
            raise TypeError("parameters are replaced one by one, by Values")
        self._require_replaceable(self.places[i])
        context.adopt(value)  # also one with a history
        for container, key in self.places[i].spots:
            container[key] = value
        super().__setitem__(i, value)

    def require_replaceable(self) -> None:
        """Raise TypeError if a parameter is kept where nothing can be replaced, as in a tuple."""
        for place in self.places:
            self._require_replaceable(place)

    def _require_replaceable(self, place: Place) -> None:
        for container, _ in place.spots:
            if not hasattr(container, "__setitem__"):
                kind = type(container).__name__
                raise TypeError(f"{place.name} is kept in a {kind} and cannot be replaced")
