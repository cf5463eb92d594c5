"""Which loops compute a group? Kernels, as LLVM code: one for each kind of group.

A program is a list of 64-bit words, with one entry for each kernel to run. An entry begins with the
address of the kernel, followed by the counts, addresses and strides that its docstring lists under
"Entry". Addresses of numbers are positions in the program's memory. A kernel takes a pointer to its
entry, and at its end jumps to the kernel of the next entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from autograd.jit.backends.emit import EMIT, FLOAT, like
from autograd.jit.graph import SUM
from autograd.primitive import Primitive

WORD = ir.IntType(64)
WORDS, FLOATS = WORD.as_pointer(), FLOAT.as_pointer()
KERNEL = ir.FunctionType(ir.VoidType(), [WORDS, FLOATS])
VECTOR = 4  # floats in a vector; with 8, where a machine has such, a GPT step took 7 % longer
FLOAT_VECTOR = ir.VectorType(FLOAT, VECTOR)


class Kernel:
    """A kernel under construction: the builder `b`, its entry `words`, the program's `memory`."""

    def __init__(self, module: ir.Module, name: str) -> None:
        function = ir.Function(module, KERNEL, name)
        self.b = ir.IRBuilder(function.append_basic_block("entry"))
        self.words, self.memory = function.args

    def word(self, index: Any) -> Any:
        """Load a word of the entry."""
        return self.b.load(self.b.gep(self.words, [index]))

    def place(self, address: Any) -> Any:
        """Return a pointer to the number at an address."""
        return self.b.gep(self.memory, [address])

    def numbers_at(self, index: Any, count: int) -> list[Any]:
        """Load the numbers whose addresses are `count` words of the entry, from this one on."""
        words = [self.word(self.b.add(index, WORD(k))) for k in range(count)]
        return [self.b.load(self.place(word)) for word in words]

    def end(self, length: Any) -> None:
        """Jump to the next entry; this one has `length` words."""
        entry = self.b.gep(self.words, [length])
        following = self.b.inttoptr(self.b.load(entry), KERNEL.as_pointer())
        self.b.call(following, [entry, self.memory], tail="musttail")
        self.b.ret_void()


def _add_zero_times(b: ir.IRBuilder, number: Any, place: Any) -> None:
    """Add number * 0 to the number at a place: 0 if the number is finite, else nan."""
    zero = b.fmul(number, like(number, 0.0))
    b.store(b.fadd(b.load(place), zero), place)


@contextmanager
def _loop(b: ir.IRBuilder, count: Any) -> Iterator[Any]:
    """Build a loop over 0 .. count - 1."""
    before = b.block
    body, after = b.append_basic_block("body"), b.append_basic_block("after")
    # The count is never 0, but with this test LLVM makes faster code (6 % of a small replay).
    b.cbranch(b.icmp_signed(">", count, WORD(0)), body, after)
    b.position_at_end(body)
    i = b.phi(WORD)
    i.add_incoming(WORD(0), before)
    yield i
    following = b.add(i, WORD(1))
    i.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, count), body, after)
    b.position_at_end(after)


def _vector(b: ir.IRBuilder, start: Any, offset: Any, stride: int) -> Any:
    """Load a vector: the numbers from a place on (stride 1), or the number there, repeated (0)."""
    if stride:
        return b.load(_vector_at(b, start, offset), align=8)
    undefined = ir.Constant(FLOAT_VECTOR, ir.Undefined)
    one = b.insert_element(undefined, b.load(start), WORD(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), [0] * VECTOR)
    return b.shuffle_vector(one, undefined, zeros)


def _vector_at(b: ir.IRBuilder, start: Any, offset: Any) -> Any:
    """Return a pointer to the vector that begins `offset` numbers after a place."""
    return b.bitcast(b.gep(start, [offset]), FLOAT_VECTOR.as_pointer())


# --- one by one, and in vectors -------------------------------------------------------------------


def gathered(module: ir.Module, name: str, primitive: Primitive, alone: int) -> None:
    """Compute members one by one, wherever their operands are.

    Entry: kernel, count, out, operands, then for each member the address of each operand.

    alone: the number of operands, if there is one member only; 0 if the entry says how many.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    count, out, operands = [kernel.word(WORD(k)) for k in (1, 2, 3)]
    if alone:  # finding the next entry need not wait for these words: a quarter less time
        count, operands = WORD(1), WORD(alone)
    total = b.alloca(FLOAT)
    trouble = b.alloca(FLOAT)  # nan if one is non-finite; in memory[0], GPT steps took 20 % longer
    b.store(FLOAT(0.0), trouble)
    with _loop(b, count) as i:
        first = b.add(WORD(4), b.mul(i, operands))
        if primitive is SUM:
            b.store(FLOAT(-0.0), total)
            with _loop(b, b.udiv(operands, WORD(2))) as term:
                x, y = kernel.numbers_at(b.add(first, b.mul(term, WORD(2))), 2)
                b.store(b.fadd(b.load(total), b.fmul(x, y)), total)
            number = b.load(total)
        else:
            number = EMIT[primitive](b, *kernel.numbers_at(first, len(primitive.backward)))
        b.store(number, kernel.place(b.add(out, i)))
        if not primitive.total:
            _add_zero_times(b, number, trouble)
    if not primitive.total:
        _add_zero_times(b, b.load(trouble), kernel.memory)
    kernel.end(b.add(WORD(4), b.mul(count, operands)))


def vectorized(
    module: ir.Module, name: str, primitive: Primitive, strides: tuple[int, ...]
) -> None:
    """Compute a run of whole vectors whose operands have these strides, each 0 or 1.

    Entry: kernel, vectors, out, then the start of each operand.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    out = kernel.place(kernel.word(WORD(2)))
    starts = [kernel.place(kernel.word(WORD(3 + k))) for k in range(len(strides))]
    trouble = b.alloca(FLOAT_VECTOR)  # nan in each lane that had a non-finite number
    b.store(FLOAT_VECTOR([0.0] * VECTOR), trouble)
    with _loop(b, kernel.word(WORD(1))) as i:
        offset = b.mul(i, WORD(VECTOR))
        operands = [
            _vector(b, start, offset, stride) for start, stride in zip(starts, strides, strict=True)
        ]
        numbers = EMIT[primitive](b, *operands)
        b.store(numbers, _vector_at(b, out, offset), align=8)
        if not primitive.total:
            _add_zero_times(b, numbers, trouble)
    if not primitive.total:
        for lane in range(VECTOR):
            _add_zero_times(b, b.extract_element(b.load(trouble), WORD(lane)), kernel.memory)
    kernel.end(WORD(3 + len(strides)))


# --- sums of products -----------------------------------------------------------------------------
# The terms of a sum are added one after the other, starting from -0.0, which changes no number. So
# each sum keeps its order, and its bits; only different sums are computed side by side.

PIECE = 5  # words of a piece: terms, then start and step of both factors


def sums(module: ir.Module, name: str, vectors: int, moves: tuple[int, int]) -> None:
    """Compute sums that fill this number of vectors, in registers.

    Entry: kernel, out, pieces, then for each piece: terms, then for each of the two factors the
    start, and the step from term to term.

    In each piece of a sum, both factors move by a constant step. `moves` has the stride of each
    factor from sum to sum, 0 or 1. The last vector may reach beyond the last sum: what it writes
    there is overwritten by a later kernel, or never read.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    out, pieces = kernel.place(kernel.word(WORD(1))), kernel.word(WORD(2))
    totals = [b.alloca(FLOAT_VECTOR) for _ in range(vectors)]
    for total in totals:
        b.store(FLOAT_VECTOR([-0.0] * VECTOR), total)
    with _loop(b, pieces) as piece:
        row = b.add(WORD(3), b.mul(piece, WORD(PIECE)))
        terms, *factors = [kernel.word(b.add(row, WORD(k))) for k in range(PIECE)]
        with _loop(b, terms) as term:
            starts = [
                kernel.place(b.add(start, b.mul(term, step)))
                for start, step in (factors[:2], factors[2:])
            ]
            for v, total in enumerate(totals):
                x, y = [
                    _vector(b, start, WORD(v * VECTOR), stride)
                    for start, stride in zip(starts, moves, strict=True)
                ]
                b.store(b.fadd(b.load(total), b.fmul(x, y)), total)
    for v, total in enumerate(totals):
        b.store(b.load(total), _vector_at(b, out, WORD(v * VECTOR)), align=8)
    kernel.end(b.add(WORD(3), b.mul(pieces, WORD(PIECE))))


def copies(module: ir.Module, name: str) -> None:
    """Copy rows of strided numbers side by side.

    Entry: kernel, out, rows, their length, start, step from row to row, stride in a row.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    out, rows, length, start, step, stride = [kernel.word(WORD(k)) for k in range(1, 7)]
    with _loop(b, rows) as row, _loop(b, length) as i:
        offset = b.add(b.mul(row, step), b.mul(i, stride))
        number = b.load(kernel.place(b.add(start, offset)))
        b.store(number, kernel.place(b.add(out, b.add(b.mul(row, length), i))))
    kernel.end(WORD(7))


def stop(module: ir.Module, name: str) -> None:
    """End a list. Entry: kernel."""
    Kernel(module, name).b.ret_void()
