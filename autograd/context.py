"""In which context does an operation run: under which interpreter, in the call of which module?

Every operator looks up the current context and calls its interpreter, which computes and builds the
graph (`eager.Eager`), only computes (`eager.Numbers`), checks results (`switches.Checked`), or
records for replay (`autograd.jit`). So any other kind of arithmetic is one more interpreter, and no
code outside it checks a flag. Each thread and async task has its own current context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from autograd.hooks import Hooks
    from autograd.primitive import Primitive
    from autograd.value import Value

# Called for each contribution in a backward pass: (node, position of the operand, local derivative,
# contribution, the sum of the operand's earlier contributions or None).
Listener = Callable[[Any, int, Any, Any, Any], None]

T = TypeVar("T")


class Interpreter:
    """Runs operations on Values: `apply`, `weighted_sum`, `backward` and `grad`.

    Attributes:
        hooks: what a library can ask of a recording; see hooks.py.
    """

    hooks: Hooks

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """Apply a primitive; `right` is None, an operand, or a tuple of two or more."""
        raise NotImplementedError

    def weighted_sum(
        self, context: Context, weights: Sequence[Value], inputs: Sequence[Any], start: Value | None
    ) -> Value:
        """Compute start + w_1 x_1 + w_2 x_2 + ... with the operators."""
        if start is None:
            start, weights, inputs = weights[0] * inputs[0], weights[1:], inputs[1:]
        for w, x in zip(weights, inputs, strict=True):
            start = start + w * x
        return start

    def backward(self, output: Value) -> None:
        """Write the gradients of the output into `.grad`."""
        raise NotImplementedError

    def grad(
        self,
        output: Value,
        inputs: Sequence[Value],
        create_graph: bool,
        each: Listener | None = None,
    ) -> list[Value]:
        """Return the gradients with respect to the inputs; call `each` for each contribution."""
        raise NotImplementedError

    def with_history(self) -> Interpreter:
        """Return the same interpreter, except that results keep their operands."""
        raise NotImplementedError

    def without_history(self) -> Interpreter:
        """Return the same interpreter, except that results are leaves."""
        raise NotImplementedError


class Context:
    """Where operations run. A node keeps the context it was made in, which tells its module.

    Attributes:
        interpreter: runs the operations. apply: its method, which every operation calls.
        owner: the module or function that is being called; None outside any.
        outer: the context in which it was called; None outside any.
        leaf: the context of leaves made here: OUTSIDE if a module that holds such a leaf counts it
            as a parameter, else INSIDE.
        label: that of the only node with this context; "" if nodes share the context.
        adopted: whether the only node with this context was made a parameter; see ownership.py.
    """

    __slots__ = (
        *("__weakref__", "_unlabelled", "adopted", "apply", "interpreter"),
        *("label", "leaf", "outer", "owner"),
    )

    leaf: Context
    _unlabelled: Context | None

    def __init__(
        self,
        interpreter: Interpreter,
        owner: object = None,
        outer: Context | None = None,
        leaf: Context | None = None,
    ) -> None:
        self.interpreter = interpreter
        self.apply = interpreter.apply
        self.owner = owner
        self.outer = outer
        self.leaf = leaf or self
        self.label = ""
        self.adopted = False
        self._unlabelled = None

    def within(self, owner: object) -> Context:
        """Return this context inside the call of a module."""
        return Context(self.interpreter, owner, self, INSIDE)

    def under(self, interpreter: Interpreter, leaf: Context | None = None) -> Context:
        """Return this context with another interpreter."""
        return Context(interpreter, self.owner, self.outer, leaf or self.leaf)

    def labelled(self, label: str, adopted: bool = False) -> Context:
        """Return this context for a single node: with its label, and whether it was adopted."""
        context = self.under(self.interpreter)
        context.label = label
        context.adopted = self.adopted or adopted
        context._unlabelled = self.unlabelled
        return context

    @property
    def unlabelled(self) -> Context:
        """The context that a labelled node shares with others."""
        return self if self._unlabelled is None else self._unlabelled

    def path(self, known: dict[int, dict[int, str]] | None = None) -> str:
        """Return the path of the module, such as `MLP.layers.0`; "" outside any.

        Modules have the names that their callers use; calls that share `known` look them up once.
        """
        known = {} if known is None else known
        names: list[str] = []
        context = self
        while (outer := context.outer) is not None:
            name = ""
            if outer.outer is not None:
                if id(outer.owner) not in known:
                    known[id(outer.owner)] = names_within(outer.owner)
                name = known[id(outer.owner)].get(id(context.owner), "")
            owner, context = context.owner, outer
            names.append(name or name_of(owner))
        return ".".join(reversed(names))

    # A copy or pickle of a node keeps its module, but not its interpreter.

    def __reduce__(self) -> str | tuple[Any, ...]:
        if self is OUTSIDE or self is INSIDE:
            return "OUTSIDE" if self is OUTSIDE else "INSIDE"
        kept = self.owner, self.outer, self.leaf, self.label, self.adopted, self._unlabelled
        return _restored, (), kept

    def __setstate__(self, kept: tuple[Any, ...]) -> None:
        self.owner, self.outer, self.leaf, self.label, self.adopted, self._unlabelled = kept


def name_of(owner: Any) -> str:
    """Return the name of a function, such as a loss, or the class of a module."""
    return str(getattr(owner, "__name__", "") or type(owner).__name__)


def names_within(owner: Any) -> dict[int, str]:
    """Return a module's names for the modules inside it, by their id."""
    named: Any = getattr(owner, "named_modules", tuple)()
    return {id(module): name for name, module in named}


def _restored() -> Context:
    return Context(OUTSIDE.interpreter)


# OUTSIDE is the default context, also in a new thread, unless Python gives that the context of the
# code that starts it, as free-threaded Python does. INSIDE is that of leaves computed in the call
# of a module or under no_grad. eager.py sets the interpreter of both.
OUTSIDE, INSIDE = Context(Interpreter()), Context(Interpreter())

current: ContextVar[Context] = ContextVar("context", default=OUTSIDE)
# Whether rules run on Values, to make gradients graphs: then float(v), a mere constant, raises.
rules_on_values: ContextVar[bool] = ContextVar("rules_on_values", default=False)


class entered:
    """`with entered(variable, content)`: set a context variable inside the block."""

    __slots__ = ("_content", "_token", "_variable")

    def __init__(self, variable: ContextVar[T], content: T) -> None:
        self._variable: ContextVar[Any] = variable
        self._content = content

    def __enter__(self) -> None:
        self._token = self._variable.set(self._content)

    def __exit__(self, *exception: object) -> None:
        self._variable.reset(self._token)


class TakenAsFloat(TypeError):
    """A rule that runs on Values converted one to a float, which would lose its derivatives."""
