"""Which loops carry out a group? Kernels, as LLVM code: one for each kind of group.

A program is a list of 64-bit words, one entry for each kernel to run. An entry begins with the
address of the kernel; then come the counts, addresses and strides it works with, as the docstring
of each kernel says. All addresses of numbers are positions in the program's memory. A kernel takes
a pointer to its entry, and returns a pointer to the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from autograd.jit.backends.emit import EMIT, FLOAT, constant, like
from autograd.primitive import Primitive

WORD = ir.IntType(64)
WORDS, FLOATS = WORD.as_pointer(), FLOAT.as_pointer()
KERNEL = ir.FunctionType(WORDS, [WORDS, FLOATS])
VECTOR = 8  # floats in a vector; LLVM splits it where the machine's are shorter
BLOCK = 4 * VECTOR  # sums that are computed at a time, in registers
FLOAT_VECTOR = ir.VectorType(FLOAT, VECTOR)


class Kernel:
    """A kernel that is being built.

    Attributes:
        b: the builder. words: the kernel's entry. memory: the program's numbers.
    """

    def __init__(self, module: ir.Module, name: str) -> None:
        function = ir.Function(module, KERNEL, name)
        self.b = ir.IRBuilder(function.append_basic_block("entry"))
        self.words, self.memory = function.args

    def word(self, index: int) -> Any:
        """A word of the entry."""
        return _word(self.b, self.words, WORD(index))

    def rest(self, index: int) -> Any:
        """A pointer to the words of the entry from this one on."""
        return self.b.gep(self.words, [WORD(index)])

    def place(self, address: Any) -> Any:
        """A pointer to the number at an address."""
        return self.b.gep(self.memory, [address])

    def number(self, address: Any) -> Any:
        """The number at an address."""
        return self.b.load(self.place(address))

    def require_finite(self, number: Any) -> None:
        """Make memory[0] nan if a number is not finite."""
        _add_zero_times(self.b, number, self.memory)

    def end(self, entry: Any, length: Any) -> None:
        """Return: the next entry begins `length` words after `entry`."""
        self.b.ret(self.b.gep(entry, [length]))


def _word(b: ir.IRBuilder, words: Any, index: Any) -> Any:
    return b.load(b.gep(words, [index]))


def _add_zero_times(b: ir.IRBuilder, number: Any, place: Any) -> None:
    """Add number * 0 to what is at a place: 0 for a finite number, else nan."""
    zero = b.fmul(number, like(number, 0.0))
    b.store(b.fadd(b.load(place), zero), place)


@contextmanager
def _loop(b: ir.IRBuilder, count: Any) -> Iterator[Any]:
    """The body of a loop over 0 .. count - 1, which is skipped if count is 0."""
    before = b.block
    body, after = b.append_basic_block("body"), b.append_basic_block("after")
    b.cbranch(b.icmp_signed(">", count, WORD(0)), body, after)
    b.position_at_end(body)
    i = b.phi(WORD)
    i.add_incoming(WORD(0), before)
    yield i
    following = b.add(i, WORD(1))
    i.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, count), body, after)
    b.position_at_end(after)


def _vector(b: ir.IRBuilder, start: Any, stride: int) -> Any:
    """A vector of the numbers from a place on (stride 1), or of the one number there (stride 0)."""
    if stride == 1:
        return b.load(b.bitcast(start, FLOAT_VECTOR.as_pointer()), align=8)
    undefined = ir.Constant(FLOAT_VECTOR, ir.Undefined)
    one = b.insert_element(undefined, b.load(start), ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), [0] * VECTOR)
    return b.shuffle_vector(one, undefined, zeros)


def _store_vector(b: ir.IRBuilder, vector: Any, start: Any) -> None:
    b.store(vector, b.bitcast(start, FLOAT_VECTOR.as_pointer()), align=8)


# --- one primitive --------------------------------------------------------------------------------


def single(module: ir.Module, name: str, primitive: Primitive) -> None:
    """A group of one member. Entry: kernel, out, then the address of each operand."""
    arity = len(primitive.backward)
    kernel = Kernel(module, name)
    operands = [kernel.number(kernel.word(2 + k)) for k in range(arity)]
    number = EMIT[primitive](kernel.b, *operands)
    kernel.b.store(number, kernel.place(kernel.word(1)))
    if not primitive.total:
        kernel.require_finite(number)
    kernel.end(kernel.words, WORD(2 + arity))


def gathered(module: ir.Module, name: str, primitive: Primitive) -> None:
    """A group without strides.

    Entry: kernel, count, out, then for each member the address of each operand.
    """
    arity = len(primitive.backward)
    kernel = Kernel(module, name)
    b = kernel.b
    count, out = kernel.word(1), kernel.place(kernel.word(2))
    table = kernel.rest(3)
    with _loop(b, count) as i:
        row = b.mul(i, WORD(arity))
        operands = [kernel.number(_word(b, table, b.add(row, WORD(k)))) for k in range(arity)]
        number = EMIT[primitive](b, *operands)
        b.store(number, b.gep(out, [i]))
        if not primitive.total:
            kernel.require_finite(number)
    kernel.end(table, b.mul(count, WORD(arity)))


def strided(module: ir.Module, name: str, primitive: Primitive) -> None:
    """A run whose operands move by constant strides.

    Entry: kernel, count, out, then the start and the stride of each operand.
    """
    kernel = Kernel(module, name)
    _one_by_one(kernel, primitive, WORD(0))
    kernel.end(kernel.words, WORD(3 + 2 * len(primitive.backward)))


def vectorized(
    module: ir.Module, name: str, primitive: Primitive, strides: tuple[int, ...]
) -> None:
    """A run whose strides are known, each 0 or 1: vectors, then the rest one by one.

    Entry: as of `strided`.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    count, out = kernel.word(1), kernel.place(kernel.word(2))
    starts = [kernel.place(kernel.word(3 + 2 * k)) for k in range(len(strides))]
    vectors = b.sdiv(count, WORD(VECTOR))
    trouble = b.alloca(FLOAT_VECTOR)  # a nan in each lane that had a number that is not finite
    b.store(constant(FLOAT_VECTOR, 0.0), trouble)
    with _loop(b, vectors) as i:
        offset = b.mul(i, WORD(VECTOR))
        operands = [
            _vector(b, b.gep(start, [offset]) if stride else start, stride)
            for start, stride in zip(starts, strides, strict=True)
        ]
        numbers = EMIT[primitive](b, *operands)
        _store_vector(b, numbers, b.gep(out, [offset]))
        if not primitive.total:
            _add_zero_times(b, numbers, trouble)
    if not primitive.total:
        lanes = b.load(trouble)
        for lane in range(VECTOR):
            kernel.require_finite(b.extract_element(lanes, ir.IntType(32)(lane)))
    _one_by_one(kernel, primitive, b.mul(vectors, WORD(VECTOR)))
    kernel.end(kernel.words, WORD(3 + 2 * len(strides)))


def _one_by_one(kernel: Kernel, primitive: Primitive, done: Any) -> None:
    """The members of a run from number `done` on."""
    b, arity = kernel.b, len(primitive.backward)
    count, out = kernel.word(1), kernel.place(kernel.word(2))
    starts = [kernel.place(kernel.word(3 + 2 * k)) for k in range(arity)]
    strides = [kernel.word(4 + 2 * k) for k in range(arity)]
    with _loop(b, b.sub(count, done)) as i:
        member = b.add(i, done)
        operands = [
            b.load(b.gep(start, [b.mul(member, stride)]))
            for start, stride in zip(starts, strides, strict=True)
        ]
        number = EMIT[primitive](b, *operands)
        b.store(number, b.gep(out, [member]))
        if not primitive.total:
            kernel.require_finite(number)


# --- sums of products -----------------------------------------------------------------------------
# The terms of a sum are added one after the other, beginning with -0.0, which changes no number. So
# the order of each sum is kept, and with it the bits; what runs side by side is different sums.

PIECE = 7  # words of a piece: terms, then start, step and stride of both factors


def sums(module: ir.Module, name: str, moves: tuple[int, int]) -> None:
    """A run of sums, 32 at a time, in registers.

    Entry: kernel, members, out, pieces, then for each piece: terms, then for each of the two
    factors the start, the step from term to term, and the stride from member to member.

    A sum is cut into pieces so that both factors move by a constant step in each. `moves` has the
    stride of each factor, 0 or 1. The last block may write beyond the last member: what it writes
    there is overwritten by a later kernel, or never read.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    members, out, pieces = kernel.word(1), kernel.place(kernel.word(2)), kernel.word(3)
    table = kernel.rest(4)
    narrow = _sums_of_block(module, f"{name}_narrow", moves, 1)
    wide = _sums_of_block(module, f"{name}_wide", moves, BLOCK // VECTOR)
    with _loop(b, b.sdiv(b.add(members, WORD(BLOCK - 1)), WORD(BLOCK))) as i:
        first = b.mul(i, WORD(BLOCK))
        few = b.icmp_signed("<=", b.sub(members, first), WORD(VECTOR))
        with b.if_else(few) as (one_vector, several):
            with one_vector:
                b.call(narrow, [table, kernel.memory, pieces, first, out])
            with several:
                b.call(wide, [table, kernel.memory, pieces, first, out])
    kernel.end(table, b.mul(pieces, WORD(PIECE)))


def sums_one_by_one(module: ir.Module, name: str) -> None:
    """A run of sums with any strides. Entry: as of `sums`."""
    kernel = Kernel(module, name)
    b = kernel.b
    members, out, pieces = kernel.word(1), kernel.place(kernel.word(2)), kernel.word(3)
    table = kernel.rest(4)
    total = b.alloca(FLOAT)
    with _loop(b, members) as i:
        b.store(constant(FLOAT, -0.0), total)
        with _terms(b, table, kernel.memory, pieces, i, None) as (x, y):
            b.store(b.fadd(b.load(total), b.fmul(b.load(x), b.load(y))), total)
        b.store(b.load(total), b.gep(out, [i]))
    kernel.end(table, b.mul(pieces, WORD(PIECE)))


def _sums_of_block(
    module: ir.Module, name: str, moves: tuple[int, int], vectors: int
) -> ir.Function:
    """A function for the sums from number `first` on, so many vectors of them."""
    kind = ir.FunctionType(ir.VoidType(), [WORDS, FLOATS, WORD, WORD, FLOATS])
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    table, memory, pieces, first, out = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    totals = [b.alloca(FLOAT_VECTOR) for _ in range(vectors)]
    for total in totals:
        b.store(constant(FLOAT_VECTOR, -0.0), total)
    with _terms(b, table, memory, pieces, first, moves) as factors:
        for v, total in enumerate(totals):
            x, y = [
                _vector(b, b.gep(start, [WORD(v * VECTOR)]) if stride else start, stride)
                for start, stride in zip(factors, moves, strict=True)
            ]
            b.store(b.fadd(b.load(total), b.fmul(x, y)), total)
    for v, total in enumerate(totals):
        _store_vector(b, b.load(total), b.gep(out, [b.add(first, WORD(v * VECTOR))]))
    b.ret_void()
    return function


@contextmanager
def _terms(
    b: ir.IRBuilder,
    table: Any,
    memory: Any,
    pieces: Any,
    member: Any,
    moves: Sequence[int] | None,
) -> Iterator[list[Any]]:
    """A loop over the terms of a sum, piece by piece: pointers to both factors of each."""
    with _loop(b, pieces) as piece:
        row = b.gep(table, [b.mul(piece, WORD(PIECE))])
        factors = []
        for k, column in enumerate((1, 4)):
            stride = WORD(moves[k]) if moves else _word(b, row, WORD(column + 2))
            start = b.add(_word(b, row, WORD(column)), b.mul(member, stride))
            factors.append((b.gep(memory, [start]), _word(b, row, WORD(column + 1))))
        with _loop(b, _word(b, row, WORD(0))) as term:
            yield [b.gep(start, [b.mul(term, step)]) for start, step in factors]


def sums_gathered(module: ir.Module, name: str) -> None:
    """Sums without strides.

    Entry: kernel, members, out, terms, then for each member and term two addresses.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    members, out, terms = kernel.word(1), kernel.place(kernel.word(2)), kernel.word(3)
    table = kernel.rest(4)
    total = b.alloca(FLOAT)
    with _loop(b, members) as i:
        b.store(constant(FLOAT, -0.0), total)
        with _loop(b, terms) as t:
            row = b.mul(b.add(b.mul(i, terms), t), WORD(2))
            x, y = [kernel.number(_word(b, table, b.add(row, WORD(k)))) for k in (0, 1)]
            b.store(b.fadd(b.load(total), b.fmul(x, y)), total)
        b.store(b.load(total), b.gep(out, [i]))
    kernel.end(table, b.mul(b.mul(members, terms), WORD(2)))


def pack(module: ir.Module, name: str) -> None:
    """Copy a factor of a run of sums so that members lie next to each other, term after term.

    Entry: kernel, members, terms, out, start, step from term to term, stride from member to member.
    """
    kernel = Kernel(module, name)
    b = kernel.b
    members, terms = kernel.word(1), kernel.word(2)
    out, start = kernel.place(kernel.word(3)), kernel.place(kernel.word(4))
    step, stride = kernel.word(5), kernel.word(6)
    with _loop(b, terms) as t:
        source = b.gep(start, [b.mul(t, step)])
        target = b.gep(out, [b.mul(t, members)])
        with _loop(b, members) as i:
            b.store(b.load(b.gep(source, [b.mul(i, stride)])), b.gep(target, [i]))
    kernel.end(kernel.words, WORD(7))


# --- kernel after kernel --------------------------------------------------------------------------


def runner(module: ir.Module, name: str) -> None:
    """A function (list, end of the list, memory) that runs the kernel of each entry."""
    kind = ir.FunctionType(ir.VoidType(), [WORDS, WORDS, FLOATS])
    function = ir.Function(module, kind, name)
    code, end, memory = function.args
    entry, body = function.append_basic_block("entry"), function.append_basic_block("body")
    after = function.append_basic_block("after")
    b = ir.IRBuilder(entry)
    b.cbranch(b.icmp_unsigned("==", code, end), after, body)
    b.position_at_end(body)
    words = b.phi(WORDS)
    words.add_incoming(code, entry)
    kernel = b.inttoptr(b.load(words), KERNEL.as_pointer())
    following = b.call(kernel, [words, memory])
    words.add_incoming(following, body)
    b.cbranch(b.icmp_unsigned("==", following, end), after, body)
    b.position_at_end(after)
    b.ret_void()
