"""Are our numbers those of PyTorch? This command compares so many, and prints what it found.

    python tests/oracles/compare.py [--numbers 100000] [--seed 1]

Four kinds of random cases take turns: scalar programs over all operations, layers, losses (each
with its value, all first derivatives and second ones), and some steps of an optimizer. Each number
is computed three times: eagerly, and replayed by both backends of the jit, where it has to be the
eager one to the last bit. Then it is compared with PyTorch in float64. They agree if they are equal
to 1e-12 of the larger (in a network: of the largest entry of their tensor). In a scalar program,
which may cancel more digits than that, mpmath judges: a number is wrong if it is not within 1e-9
of the exact one. The exit code is 1 if a number is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from parts import OPTIMIZERS, WITH_PARAMETERS, loss_of, losses, made, torch
from programs import exactly, in_engine, random_program
from programs import in_torch as program_in_torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

import nn
from autograd import Value, grad, jit

CLOSE, RIGHT = 1e-12, 1e-9
F = torch.nn.functional
Found = Counter[tuple[str, str]]  # how many numbers of each kind there were, by what was found


def ways(
    make: Callable[[], Callable[..., Any]], calls: Sequence[Sequence[float]]
) -> list[list[float]]:
    """What the last of some calls gives: eagerly, and replayed by each backend.

    Args:
        make: makes the function, with a state of its own.
    """
    found = []
    for backend in (None, "numpy", "native"):
        function = make()
        called: Any = jit(function, backend=backend, check="never") if backend else function
        for call in calls:
            result = called(*call)
        if backend and [program.replays for program in called.programs] != [len(calls) - 2]:
            raise AssertionError(f"not replayed by {backend}: {called.programs}")
        found.append([value.data for value in result])
    return found


# --- scalar programs ------------------------------------------------------------------------------


def scalar_program(draw: random.Random, found: Found) -> Iterator[str]:
    """A random program; yields what is wrong."""
    program = random_program(draw)
    point = program.points[-1]
    try:
        eager, *replayed = ways(lambda: lambda *xs: in_engine(program.lines, xs), program.points)
    except (ValueError, ZeroDivisionError, OverflowError):  # of a derivative
        found["program", "raised"] += 1
        return
    theirs = program_in_torch(program.lines, point)
    for which, (ours, other) in enumerate(zip(eager, theirs, strict=True)):
        if abs(ours - other) <= CLOSE * max(abs(ours), abs(other)):
            found["program", "agree"] += 3
            continue
        exact = exactly(program.lines, point, which)
        # Where contributions cancel, rounding leaves a little of each.
        allowed = RIGHT * abs(exact) + CLOSE
        if abs(ours - exact) <= allowed:
            nearer = "ours" if abs(ours - exact) <= abs(other - exact) else "PyTorch's"
            found["program", f"judged right, {nearer} nearer"] += 3
        else:
            found["program", "wrong"] += 3
            yield f"number {which} of {program}: {ours!r}, PyTorch {other!r}, exact {exact}"
    yield from _differences("program", eager, replayed, found)


def _differences(
    kind: str, eager: list[float], replayed: list[list[float]], found: Found
) -> Iterator[str]:
    """What is wrong if a replay differs from the eager call in a bit."""
    for numbers in replayed:
        for ours, again in zip(eager, numbers, strict=True):
            if ours.hex() != again.hex():
                found[kind, "wrong"] += 1
                yield f"{kind}: {again!r} replayed, {ours!r} eagerly"


# --- networks -------------------------------------------------------------------------------------


def _second(loss: Value, inputs: list[Value]) -> list[Value]:
    """The loss, its gradient, and the gradient of the sum of the gradient's squares."""
    first = grad(loss, inputs, create_graph=True)
    return [loss, *first, *grad(sum(slope * slope for slope in first), inputs)]


def _second_in_torch(loss: Any, inputs: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    """The same of PyTorch."""
    options = {"allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(loss, inputs, create_graph=True, **options)
    squares = sum((slope * slope).sum() for slope in first)
    if not squares.requires_grad:
        return loss, list(first), [torch.zeros_like(x) for x in inputs]
    return loss, list(first), list(torch.autograd.grad(squares, inputs, **options))


def _arranged(model: nn.Module, numbers: list[float]) -> list[list[float]]:
    """A number for each parameter of ours, as PyTorch orders them: a list for each tensor."""
    for parameter, number in zip(model.parameters(), numbers, strict=True):
        parameter.data = number
    return [tensor.flatten().tolist() for tensor in nn.to_torch(model).parameters()]


def _compared(kind: str, what: str, pairs: Any, found: Found) -> Iterator[str]:
    """What is wrong in pairs of our numbers and a tensor of PyTorch."""
    for ours, tensor in pairs:
        theirs = tensor.detach().flatten().tolist()
        size = max(map(abs, (*ours, *theirs)), default=0.0)
        for a, b in zip(ours, theirs, strict=True):
            is_close = abs(a - b) <= CLOSE * size
            found[kind, "agree" if is_close else "wrong"] += 3
            if not is_close:
                yield f"{kind} {what}: {a!r}, PyTorch {b!r}, the largest {size!r}"


def layer(draw: random.Random, found: Found) -> Iterator[str]:
    """A layer with random settings, under a squared error."""
    name, seed = draw.choice(WITH_PARAMETERS), draw.randrange(10**6)
    model, x = made(name, seed)
    module = nn.to_torch(model)
    if not model.parameters():
        return

    def make() -> Callable[[], list[Value]]:
        ours, _ = made(name, seed)
        return lambda: _second(loss_of(ours, x)[1], ours.parameters())

    eager, *replayed = ways(make, [()] * 3)
    count = len(model.parameters())
    first, second = (_arranged(model, eager[i : i + count]) for i in (1, 1 + count))
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch's faster attention has no second derivatives
        loss, their_first, their_second = _second_in_torch(
            losses(model, module, x)[3], list(module.parameters())
        )
    pairs = [([eager[0]], loss), *zip(first + second, their_first + their_second, strict=True)]
    yield from _compared("layer", f"{name} {seed}", pairs, found)
    yield from _differences("layer", eager, replayed, found)


def _rows(numbers: Sequence[Any]) -> list[list[Any]]:
    return [list(numbers[:3]), list(numbers[3:])]


def loss(draw: random.Random, found: Found) -> Iterator[str]:
    """A loss, or a function of vectors, of six numbers."""
    name = draw.choice(list(LOSSES))
    ours, theirs, low, high = LOSSES[name](draw)
    first = [draw.uniform(low, high) for _ in range(6)]
    calls = [[x * draw.uniform(0.98, 1.02) for x in first] for _ in range(3)]

    def numbers(*xs: float) -> list[Value]:
        inputs = [Value(x) for x in xs]
        return _second(ours(inputs), inputs)

    eager, *replayed = ways(lambda: numbers, calls)
    inputs = torch.tensor(calls[-1], dtype=torch.float64, requires_grad=True)
    value, slopes, second = _second_in_torch(theirs(inputs), [inputs])
    pairs = [([eager[0]], value), (eager[1:7], slopes[0]), (eager[7:], second[0])]
    yield from _compared("loss", name, pairs, found)
    yield from _differences("loss", eager, replayed, found)


def _of_targets(ours: Any, theirs: Any, low: float, high: float, choose: Any) -> Any:
    def make(draw: random.Random) -> Any:
        targets = [choose(draw) for _ in range(6)]
        there = torch.tensor(targets, dtype=torch.float64)
        return lambda x: ours(x, targets), lambda x: theirs(x, there), low, high

    return make


def _huber(draw: random.Random) -> Any:
    delta, targets = draw.uniform(0.3, 2.0), [draw.gauss(0.0, 1.0) for _ in range(6)]
    there = torch.tensor(targets, dtype=torch.float64)
    ours = partial(nn.huber, target=targets, delta=delta)
    return ours, lambda x: F.huber_loss(x, there, delta=delta), -3.0, 3.0


def _with_logits(draw: random.Random) -> Any:
    weight, targets = draw.uniform(0.2, 3.0), [draw.choice([0.0, 1.0]) for _ in range(6)]
    there = torch.tensor(targets, dtype=torch.float64)
    ours = partial(nn.binary_cross_entropy_with_logits, target=targets, pos_weight=weight)
    theirs = partial(
        F.binary_cross_entropy_with_logits, target=there, pos_weight=torch.tensor(weight).double()
    )
    return ours, theirs, -20.0, 20.0


def _of_classes(draw: random.Random) -> Any:
    targets, smoothing = [draw.randrange(3), draw.randrange(3)], draw.choice([0.0, draw.random()])
    weight = draw.choice([None, [draw.uniform(0.2, 2.0) for _ in range(3)]])
    ours = partial(
        nn.cross_entropy_with_logits, target=targets, weight=weight, label_smoothing=smoothing
    )
    theirs = partial(
        F.cross_entropy,
        target=torch.tensor(targets),
        weight=None if weight is None else torch.tensor(weight, dtype=torch.float64),
        label_smoothing=smoothing,
    )
    return lambda x: ours(_rows(x)), lambda x: theirs(x.reshape(2, 3)), -20.0, 20.0


def _of_probabilities(draw: random.Random) -> Any:
    targets = [draw.randrange(3), draw.randrange(3)]
    ours = partial(nn.cross_entropy, target=targets)
    theirs = partial(F.nll_loss, target=torch.tensor(targets))
    return lambda x: ours(_rows(x)), lambda x: theirs(x.reshape(2, 3).log()), 0.05, 0.9


def _of_vectors(ours: Any, theirs: Any) -> Any:
    def make(draw: random.Random) -> Any:
        weights = [draw.gauss(0.0, 1.0) for _ in range(6)]

        def weighted(x: Any) -> Any:
            y = ours(x)
            if isinstance(y, Value):
                return weights[0] * y
            return sum(w * entry for w, entry in zip(weights, y, strict=True))

        def weighted_there(x: Any) -> Any:
            y = theirs(x)
            return (torch.tensor(weights, dtype=torch.float64)[: y.numel()] * y).sum()

        return weighted, weighted_there, -10.0, 10.0

    return make


LOSSES = {
    "mse": _of_targets(nn.mse, F.mse_loss, -3.0, 3.0, lambda draw: draw.gauss(0.0, 1.0)),
    "huber": _huber,
    "hinge": _of_targets(
        nn.hinge,
        lambda x, y: F.relu(1 - y * x).mean(),
        *(-3.0, 3.0),
        lambda draw: draw.choice([-1, 1]),
    ),
    "binary_cross_entropy": _of_targets(
        nn.binary_cross_entropy,
        F.binary_cross_entropy,
        *(0.05, 0.9),
        lambda draw: draw.choice([0.0, 1.0]),
    ),
    "binary_cross_entropy_with_logits": _with_logits,
    "cross_entropy": _of_probabilities,
    "cross_entropy_with_logits": _of_classes,
    "softmax": _of_vectors(nn.softmax, partial(torch.softmax, dim=0)),
    "log_softmax": _of_vectors(nn.log_softmax, partial(torch.log_softmax, dim=0)),
    "logsumexp": _of_vectors(nn.logsumexp, partial(torch.logsumexp, dim=0)),
    "norm": _of_vectors(nn.norm, torch.linalg.vector_norm),
}


def optimizer(draw: random.Random, found: Found) -> Iterator[str]:
    """Five steps of an optimizer with random settings: the parameters after them."""
    name, rule = draw.choice(WITH_PARAMETERS), draw.choice(list(OPTIMIZERS))
    seed = draw.randrange(10**6)
    model, x = made(name, seed)
    if not model.parameters():
        return
    module = nn.to_torch(model)
    make_ours, make_theirs, options, their_options = OPTIMIZERS[rule](draw)
    shared = {"lr": draw.uniform(1e-3, 1e-2), "weight_decay": draw.choice([0.0, draw.random()])}

    def make() -> Callable[[], list[Value]]:
        ours, _ = made(name, seed)
        optimizer = make_ours(ours, **shared, **options)

        def step() -> list[Value]:
            loss = loss_of(ours, x)[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return [1.0 * parameter for parameter in ours.parameters()]

        return step

    eager, *replayed = ways(make, [()] * 5)
    theirs = make_theirs(module.parameters(), **shared, **their_options)
    for _ in range(5):
        theirs.zero_grad()
        losses(model, module, x)[3].backward()
        theirs.step()
    pairs = zip(_arranged(model, eager), module.parameters(), strict=True)
    yield from _compared("optimizer", f"{rule} of {name} {seed}", pairs, found)
    yield from _differences("optimizer", eager, replayed, found)


# --- the command ----------------------------------------------------------------------------------

KINDS = [scalar_program] * 4 + [loss] * 4 + [layer, optimizer]


def compared(numbers: int, seed: int) -> tuple[Found, list[str]]:
    """Cases of all kinds in turn, until so many numbers were compared; what is wrong."""
    draw, found, wrong = random.Random(seed), Found(), []
    with tqdm(total=numbers, unit=" numbers", disable=None) as bar:
        while bar.n < numbers:
            for kind in KINDS:
                wrong += kind(draw, found)
            bar.update(found.total() - found["program", "raised"] - bar.n)
    return found, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--numbers", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="every gradient")  # random models have dead units
    found, wrong = compared(options.numbers, options.seed)
    for (kind, what), count in sorted(found.items()):
        print(f"{kind:10}{what:32}{count:10,}")
    print(*wrong[:20], f"{len(wrong)} wrong", sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
