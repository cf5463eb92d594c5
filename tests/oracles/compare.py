"""Do our numbers agree with PyTorch's? This command compares many, and prints the counts.

    python tests/oracles/compare.py [--numbers 100000] [--seed 1]

Four kinds of random cases take turns: scalar programs over all operations, layers, losses (each
with its value and its first and second derivatives), and several steps of an optimizer. Each number
is computed three times: eagerly, and replayed by both backends of the jit, whose results must equal
the eager one to the last bit. Then it is compared with PyTorch in float64. Two numbers agree if
they differ by at most 1e-12 of the larger (in a network, of the largest entry of their tensor). If
they do not in a scalar program or a loss, mpmath decides: a number is wrong if its relative error
exceeds 1e-9 in a program, which may cancel that many digits, or 1e-11 in a loss. The exit code is 1
if a number is wrong.
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

from loss_functions import LOSSES, exactly_second
from parts import OPTIMIZERS, WITH_PARAMETERS, loss_of, losses, made, torch
from programs import exactly, in_engine, random_program
from programs import in_torch as program_in_torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

import nn
from autograd import Value, grad, jit

CLOSE = 1e-12
RIGHT = {"program": 1e-9, "loss": 1e-11}
Found = Counter[tuple[str, str]]  # how many numbers there were, by kind and finding
# The entries that do not count numbers.
NO_NUMBERS = [("program", "raised")]
NO_NUMBERS += [("replays", "by the program"), ("replays", "left to the eager call")]


def numbers_in(found: Found) -> int:
    """Return how many numbers were compared."""
    return sum(count for what, count in found.items() if what not in NO_NUMBERS)


def ways(
    make: Callable[[], Callable[..., Any]], calls: Sequence[Sequence[float]], found: Found
) -> list[list[float]]:
    """Return the results of the last of some calls: eager, and replayed by each backend.

    Args:
        make: makes the function, with a state of its own.
        found: counts the replays, and those that were left to the eager call.
    """
    numbers = []
    for backend in (None, "numpy", "native"):
        function = make()
        called: Any = jit(function, backend=backend, check="never") if backend else function
        for call in calls:
            result = called(*call)
        numbers.append([value.data for value in result])
        for program in called.programs if backend else ():
            found["replays", "by the program"] += program.replays
            found["replays", "left to the eager call"] += program.unsure
        if backend and sum(p.replays + p.unsure for p in called.programs) != len(calls) - 2:
            raise AssertionError(f"recorded again by {backend}: {called.programs}")
    return numbers


# --- scalar programs ------------------------------------------------------------------------------


def scalar_program(draw: random.Random, found: Found) -> Iterator[str]:
    """Compare a random program; yield what is wrong."""
    program = random_program(draw)
    point = program.points[-1]
    try:
        eager, *replayed = ways(
            lambda: lambda *xs: in_engine(program.lines, xs), program.points, found
        )
    except (ValueError, ZeroDivisionError, OverflowError):  # a derivative does not exist
        found["program", "raised"] += 1
        return
    theirs = program_in_torch(program.lines, point)
    exact = partial(exactly, program.lines, point)
    yield from _judged("program", str(program), eager, theirs, exact, found)
    yield from _differences("program", eager, replayed, found)


def _judged(
    kind: str,
    what: str,
    eager: Sequence[float],
    theirs: Sequence[float],
    exact: Callable[[int], Any],
    found: Found,
) -> Iterator[str]:
    """Yield what is wrong in our numbers; where PyTorch's differs, `exact` returns the true one."""
    for which, (ours, other) in enumerate(zip(eager, theirs, strict=True)):
        if abs(ours - other) <= CLOSE * max(abs(ours), abs(other)):
            found[kind, "agree"] += 3
            continue
        true = exact(which)
        # Where contributions cancel, a small rounding error remains.
        if abs(ours - true) <= RIGHT[kind] * abs(true) + CLOSE:
            nearer = "ours" if abs(ours - true) <= abs(other - true) else "PyTorch's"
            found[kind, f"judged right, {nearer} nearer"] += 3
        else:
            found[kind, "wrong"] += 3
            yield f"number {which} of {what}: {ours!r}, PyTorch {other!r}, exact {true}"


def _differences(
    kind: str, eager: list[float], replayed: list[list[float]], found: Found
) -> Iterator[str]:
    """Yield each number of a replay that differs from the eager call in any bit."""
    for numbers in replayed:
        for ours, again in zip(eager, numbers, strict=True):
            if ours.hex() != again.hex():
                found[kind, "wrong"] += 1
                yield f"{kind}: {again!r} replayed, {ours!r} eagerly"


# --- networks -------------------------------------------------------------------------------------


def _second(loss: Value, inputs: list[Value]) -> list[Value]:
    """Return the loss, its gradient, and the gradient of the sum of the gradient's squares."""
    first = grad(loss, inputs, create_graph=True)
    return [loss, *first, *grad(sum(slope * slope for slope in first), inputs)]


def _second_in_torch(loss: Any, inputs: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    """Return the same from PyTorch."""
    options = {"allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(loss, inputs, create_graph=True, **options)
    squares = sum((slope * slope).sum() for slope in first)
    if not squares.requires_grad:
        return loss, list(first), [torch.zeros_like(x) for x in inputs]
    return loss, list(first), list(torch.autograd.grad(squares, inputs, **options))


def _arranged(model: nn.Module, numbers: list[float]) -> list[list[float]]:
    """Return numbers, one for each of our parameters, as PyTorch orders them: a list per tensor."""
    for parameter, number in zip(model.parameters(), numbers, strict=True):
        parameter.data = number
    return [tensor.flatten().tolist() for tensor in nn.to_torch(model).parameters()]


def _compared(kind: str, what: str, pairs: Any, found: Found) -> Iterator[str]:
    """Yield what is wrong in pairs of our numbers and a tensor of PyTorch."""
    for ours, tensor in pairs:
        theirs = tensor.detach().flatten().tolist()
        size = max(map(abs, (*ours, *theirs)), default=0.0)
        for a, b in zip(ours, theirs, strict=True):
            is_close = abs(a - b) <= CLOSE * size
            found[kind, "agree" if is_close else "wrong"] += 3
            if not is_close:
                yield f"{kind} {what}: {a!r}, PyTorch {b!r}, the largest {size!r}"


def layer(draw: random.Random, found: Found) -> Iterator[str]:
    """Compare a layer with random settings, under a squared error; yield what is wrong."""
    name, seed = draw.choice(WITH_PARAMETERS), draw.randrange(10**6)
    model, x = made(name, seed)
    module = nn.to_torch(model)
    if not model.parameters():
        return

    def make() -> Callable[[], list[Value]]:
        ours, _ = made(name, seed)
        return lambda: _second(loss_of(ours, x)[1], ours.parameters())

    eager, *replayed = ways(make, [()] * 3, found)
    count = len(model.parameters())
    first, second = (_arranged(model, eager[i : i + count]) for i in (1, 1 + count))
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch's faster attention has no second derivatives
        loss, their_first, their_second = _second_in_torch(
            losses(model, module, x)[3], list(module.parameters())
        )
    pairs = [([eager[0]], loss), *zip(first + second, their_first + their_second, strict=True)]
    yield from _compared("layer", f"{name} {seed}", pairs, found)
    yield from _differences("layer", eager, replayed, found)


def loss(draw: random.Random, found: Found) -> Iterator[str]:
    """Compare a loss, or a function of vectors, of six numbers; yield what is wrong."""
    name = draw.choice(list(LOSSES))
    case = LOSSES[name](draw)
    first = [draw.uniform(case.low, case.high) for _ in range(6)]
    calls = [[x * draw.uniform(0.98, 1.02) for x in first] for _ in range(3)]

    def numbers(*xs: float) -> list[Value]:
        inputs = [Value(x) for x in xs]
        return _second(case.ours(inputs), inputs)

    eager, *replayed = ways(lambda: numbers, calls, found)
    inputs = torch.tensor(calls[-1], dtype=torch.float64, requires_grad=True)
    value, (slopes,), (second,) = _second_in_torch(case.theirs(inputs), [inputs])
    theirs = [value.item(), *slopes.tolist(), *second.tolist()]
    exact = partial(exactly_second, case.exact, calls[-1])
    yield from _judged("loss", name, eager, theirs, exact, found)
    yield from _differences("loss", eager, replayed, found)


def optimizer(draw: random.Random, found: Found) -> Iterator[str]:
    """Compare the parameters after five steps of an optimizer with random settings."""
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

    eager, *replayed = ways(make, [()] * 5, found)
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
    """Compare cases of all kinds in turn until there are enough numbers; return what is wrong."""
    draw, found, wrong = random.Random(seed), Found(), []
    done = 0
    with tqdm(total=numbers, unit=" numbers", disable=None) as bar:
        while done < numbers:
            for kind in KINDS:
                wrong += kind(draw, found)
            before, done = done, numbers_in(found)
            bar.update(done - before)
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
