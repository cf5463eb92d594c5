"""How are the parameters of a module replaced? By assigning to the list of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from autograd import Value, ownership


class Place(NamedTuple):
    """A Value of a module, with its first name and every (container, key) that holds it."""

    name: str
    value: Value
    trained: bool
    spots: list[tuple[Any, Any]]

    def require_replaceable(self) -> None:
        """Raise TypeError if the Value is in an immutable container, such as a tuple."""
        for container, _ in self.spots:
            if not hasattr(container, "__setitem__"):
                kind = type(container).__name__
                raise TypeError(
                    f"{self.name} is kept in a {kind} and cannot be replaced: keep it in a list, a"
                    " dict or an attribute"
                )


class Parameters(list[Value]):
    """The parameters of a module; assigning to an entry also replaces it in the module.

    A differentiable optimizer thereby gives a module parameters that have a history.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = list(places)
        super().__init__(place.value for place in self.places)

    def __setitem__(self, i: Any, value: Any) -> None:
        if not isinstance(i, int) or not isinstance(value, Value):
            raise TypeError("parameters are replaced one by one, by Values")
        self.places[i].require_replaceable()
        ownership.adopt(value)  # a parameter from now on, even with a history
        for container, key in self.places[i].spots:
            container[key] = value
        super().__setitem__(i, value)
