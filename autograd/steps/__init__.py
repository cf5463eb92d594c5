"""What happens in a backward pass, step by step? Every equation, every contribution, every sum.

    passed.py      the data of a pass: nodes, numbers, contributions
    formula.py     derivatives as expressions;  writing.py  how these look as text and as LaTeX
    step.py        one step, in names and in numbers;  table.py  all steps as a table
    chain_rule.py  one gradient, as the sum over the uses of its node
    terminal.py    stepping through a pass in a terminal
    page.py        the steps as a page, from the operations of recorder.py and the files of player/
    folds.py       the boxes of its pictures;  summary.py  their summaries;  excerpt.py  what the
                   page of a large graph holds

>>> from autograd import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> c = a * b
>>> c.label = "c"
>>> for step in steps(c):
...     print(step)
c = a * b = 2 * (-3) = -6
c.grad = 1, back through c = a * b: a.grad = 1 * b = 1 * (-3) = -3; b.grad = 1 * a = 1 * 2 = 2
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, overload

from autograd.files import write_bytes
from autograd.messages import require_flag
from autograd.steps.chain_rule import Explanation, explanation
from autograd.steps.passed import Passed
from autograd.steps.step import (
    BackwardStep,
    Contribution,
    ForwardStep,
    Step,
    backward_step,
    forward_step,
)
from autograd.steps.table import table
from autograd.text import for_stream, quoted
from autograd.value import Value

__all__ = ["BackwardStep", "Contribution", "ForwardStep", "Step", "Steps", "explain", "steps"]

STEPS_SHOWN = 40  # of each pass by str(), half of them from its beginning


class Steps(Sequence[Step]):
    """The forward and the backward pass of one output: a sequence of steps, made on access.

    First comes a ForwardStep for each inner node, in topological order, then a BackwardStep for
    each, in the reverse order, which is the order of `backward()`. Printed steps are numbered from
    1, as on the page; indices start at 0, as everywhere in Python. The numbers are those that the
    nodes hold at construction: no `.grad` is touched, and later assignments to `.data` and `.grad`
    change nothing here.

    Attributes:
        output: the Value that is differentiated.
        nodes: all nodes it depends on, leaves first, in topological order.
        passed: the pass in numbers.
    """

    def __init__(self, output: Value, model: Any = None) -> None:
        self.passed = Passed(output, model)
        self.output = output
        self.nodes = self.passed.nodes

    # --- as a sequence ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return 2 * (len(self.nodes) - self.passed.leaves)

    @overload
    def __getitem__(self, which: int) -> Step: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, which: int | slice) -> Step | tuple[Step, ...]:
        positions = range(len(self))
        if isinstance(which, slice):
            return tuple(self._step(position) for position in positions[which])
        try:
            position = positions[which]
        except IndexError:
            raise IndexError(f"no step {which}: there are {len(self)}") from None
        except TypeError:
            raise TypeError(
                f"a step is picked by its number or a slice, not {quoted(which)};"
                " explain() takes a node"
            ) from None
        return self._step(position)

    def _step(self, position: int) -> Step:
        if position < len(self) // 2:
            return forward_step(self.passed, self.passed.leaves + position)
        return backward_step(self.passed, self.passed.leaves + len(self) - 1 - position)

    # --- names, gradients, and the chain rule -----------------------------------------------------

    @property
    def names(self) -> Mapping[Value, str]:
        """The name of each node, determined on first access and then kept."""
        return self.passed.names

    @property
    def gradients(self) -> Mapping[Value, float]:
        """d output / d node for every node, as `backward()` writes it; constants have none."""
        return self.passed.gradients

    def gradient(self, node: Value | str) -> float:
        """d output / d node, given a node or its name.

        Raises ValueError for an unrelated node, a constant, and an unknown or ambiguous name.
        """
        return self.gradients[self.passed.found(node)]

    def explain(self, node: Value | str) -> Explanation:
        """Why a node has its gradient: the sum over its uses, each of which can be explained next.

        Args:
            node: a leaf or inner node, or its name.

        Raises ValueError as `gradient` does.
        """
        return explanation(self.passed, self.passed.found(node))

    # --- as text ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        output = self.passed.name(self.output)
        return for_stream(f"<Steps: forward to {output} and back, {len(self):,} in all>")

    def __str__(self) -> str:
        return table(self.passed, self, STEPS_SHOWN)

    def table(self) -> str:
        """All steps as a table; `str()` leaves out the middle of a long one."""
        return table(self.passed, self, len(self))

    # --- in a notebook, a file and a terminal -----------------------------------------------------

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": str(self)}
        if "text/html" in (include or ["text/html"]) and "text/html" not in (exclude or []):
            from autograd.steps.folds import TooManyNodes
            from autograd.steps.page import fragment

            try:
                bundle["text/html"] = fragment(self.passed)
            except TooManyNodes as error:
                bundle["text/plain"] = f"{error}\n\n{self}"
        return bundle

    def save(self, path: str | os.PathLike[str], predict: bool = False) -> None:
        """Write the player, atomically, to one HTML file that needs no network and no Python.

        Args:
            path: the file, which must end in .html.
            predict: open the page as an exercise, in which each number is hidden until the reader
                has predicted it or asked to see it. (The file does contain the numbers.)

        A graph of more than 1,000 nodes is shown as the boxes of its modules, and the page holds
        only what these show. Raises ValueError if the path does not end in .html or the graph is
        too large (more than 1,000 nodes without modules or as an exercise, more than 200,000 with
        modules), OSError if the file cannot be written, and RuntimeError without Graphviz.
        """
        if not os.fspath(path).lower().endswith(".html"):
            raise ValueError(f"steps are saved as .html, not as {os.path.basename(path)!r}")
        require_flag("predict", predict)
        from autograd.steps.page import page

        write_bytes(path, page(self.passed, predict).encode())

    def play(self, seconds: float = 0.8) -> None:
        """Step through the passes in a terminal, with the keys it lists; elsewhere print the table.

        Args:
            seconds: how long each step is shown during playback.
        """
        from autograd.steps.terminal import play

        play(self, seconds)

    def data(self) -> dict[str, Any]:
        """Everything a page needs to show the pass and to recompute it; see recorder.py."""
        from autograd.steps.recorder import recorded

        return recorded(self.passed)


def steps(output: Value, model: Any = None) -> Steps:
    """The forward and backward pass of an output, as a sequence of steps; see Steps.

    Args:
        output: the Value to differentiate.
        model: the module whose `named_parameters()` name the parameters; by default the modules
            whose calls made the nodes.

    Raises TypeError if the output is not a Value, and what `backward()` raises if a derivative does
    not exist. Warns if numbers have changed since the output was computed, as by an optimizer.
    """
    return _shown(output, model)


def explain(output: Value, node: Value | str, model: Any = None) -> Explanation:
    """`steps(output, model).explain(node)`: why a node has its gradient, as a sum over its uses.

    Raises and warns as `steps` and `Steps.explain` do.

    >>> a, b = Value(3.0, label="a"), Value(-2.0, label="b")
    >>> e = a * b
    >>> e.label = "e"
    >>> f = e * a
    >>> f.label = "f"
    >>> print(explain(f, a))
    d f / d a = -12, the sum over 2 uses: gradient of the use * local derivative
    use        in names    in numbers  contribution
    f = e * a  f.grad * e  1 * (-6)              -6
    e = a * b  e.grad * b  3 * (-2)              -6
    sum                                         -12
    <BLANKLINE>
    along the 2 paths, without factors of 1
    path       in names  in numbers  contribution
    f → a      e         -6                    -6
    f → e → a  a * b     3 * (-2)              -6
    sum                                       -12
    <BLANKLINE>
    next, the gradient of a use: explain(f, "e")
    """
    return _shown(output, model).explain(node)


def _shown(output: Value, model: Any) -> Steps:
    """The steps, with a warning if operands have changed since the output was computed."""
    shown = Steps(output, model)
    if name := shown.passed.outdated():
        warnings.warn(
            for_stream(
                f"{name} was computed from other numbers than its operands hold now: recompute the"
                " output to see a pass in which all equations hold"
            ),
            stacklevel=3,
        )
    return shown
