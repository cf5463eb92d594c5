"""How does a plan become machine code? A list of words, and the compiled kernels that they name.

kernels.py says what the list looks like. A kernel is compiled through llvmlite, whose wheels carry
LLVM, when a program first needs it; a program whose kernels exist already needs no compiler.

What was tried, for one moons step of the benchmarks (66,000 operations forward, 195,000 in all),
time of the list alone: operands gathered in loops took 179 us; strided runs, with sums accumulated
in memory, 69 us; with sums accumulated in registers, 32 members at a time, 28 us.

- A sum split into several running sums was as fast, but its last bits differed from the eager
  call's. Copying a factor so that members lie next to each other keeps the order, and the bits.
- Computing large groups block by block, so that what one leaves is in the cache for the next, took
  as long: 3.2 to 3.4 ns a node either way with a million nodes, most of it in tanh and exp.
- So did using memory again after the last use of a number: 138 us instead of 140 for a step of the
  small GPT, in 406 KB instead of 730.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from autograd.jit.backends import kernels
from autograd.jit.backends.emit import EMIT, VECTOR_STRIDES
from autograd.jit.backends.kernels import BLOCK, VECTOR
from autograd.jit.backends.numpy import run_in_python
from autograd.jit.schedule import Addresses, Group, Plan, runs
from autograd.primitive import Primitive

# --- compiled kernels -----------------------------------------------------------------------------


class Library:
    """The kernels that were compiled so far. A key is a function of kernels.py and its arguments.

    Attributes:
        run: runs a list; see `kernels.runner`.
    """

    def __init__(self) -> None:
        self._addresses: dict[tuple[Any, ...], int] = {}
        self._missing: dict[tuple[Any, ...], None] = {}
        self._engines: list[Any] = []  # they own the machine code
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=llvm.get_host_cpu_features().flatten(),
            opt=2,
        )
        (address,) = self._compiled([(kernels.runner,)])
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.run = kind(address)

    def address(self, build: Callable[..., None], *arguments: Any) -> int:
        """The address of a kernel; 0 if `compile_missing` has yet to compile it."""
        key = (build, *arguments)
        found = self._addresses.get(key)
        if found is None:
            self._missing[key] = None
            return 0
        return found

    def compile_missing(self) -> bool:
        """Compile the kernels that `address` did not find; whether there were any."""
        if not self._missing:
            return False
        keys = list(self._missing)
        self._addresses.update(zip(keys, self._compiled(keys), strict=True))
        self._missing = {}
        return True

    def _compiled(self, keys: list[tuple[Any, ...]]) -> list[int]:
        """The addresses of these functions, newly compiled."""
        building = ir.Module("kernels")
        names = [f"kernel{number}" for number in range(len(keys))]
        for name, (build, *arguments) in zip(names, keys, strict=True):
            build(building, name, *arguments)
        module = llvm.parse_assembly(str(building))
        module.verify()
        settings = llvm.create_pipeline_tuning_options(speed_level=1)
        # The kernels have vectors already. With LLVM's own, and with unrolled loops, compiling took
        # twice the time, and running a tenth more.
        settings.loop_vectorization = settings.slp_vectorization = False
        settings.loop_unrolling = settings.loop_interleaving = False
        passes = llvm.create_pass_builder(self._machine, settings).getModulePassManager()
        passes.run(module, llvm.create_pass_builder(self._machine, settings))
        engine = llvm.create_mcjit_compiler(module, self._machine)
        engine.finalize_object()
        self._engines.append(engine)
        return [engine.get_function_address(name) for name in names]


@cache
def library() -> Library:
    """The kernels of this process."""
    return Library()


# --- the list of a plan ---------------------------------------------------------------------------


class Code(NamedTuple):
    """A plan as the native backend runs it.

    parts: lists of words, and between them the groups that only Python can compute. size: how many
        floats of memory are needed: those of the plan, copies, and room for writing beyond groups.
    """

    parts: list[Addresses | Group]
    size: int


def code_of(plan: Plan) -> Code:
    """The lists of a plan; the kernels it needs are compiled."""
    code = _code_of(plan)
    return _code_of(plan) if library().compile_missing() else code


def _code_of(plan: Plan) -> Code:
    parts: list[Addresses | Group] = []
    words: list[Addresses] = []
    free = plan.size + BLOCK  # where copies may begin
    size = free
    for group in plan.groups:
        if group.primitive is None:
            found, end = _sum_words(group, free)
            words += found
            size = max(size, end + BLOCK)
        elif group.primitive in EMIT:
            words.append(_primitive_words(group, group.primitive))
        else:
            if words:
                parts.append(np.concatenate(words))
                words = []
            parts.append(group)
    if words:
        parts.append(np.concatenate(words))
    return Code(parts, size)


def _words(*words: int) -> Addresses:
    return np.array(words, dtype=np.int64)


def _primitive_words(group: Group, primitive: Primitive) -> Addresses:
    """The words of a group of one primitive."""
    address = library().address
    members, arity = group.operands.shape
    if members == 1:
        kernel = address(kernels.single, primitive)
        return _words(kernel, group.start, *group.operands[0].tolist())
    vectorized = VECTOR_STRIDES.get(primitive, [])
    spans = runs(group.operands)
    if members < 4 * len(spans) and len(spans) > 1 and vectorized:  # runs are short
        head = _words(address(kernels.gathered, primitive), members, group.start)
        return np.concatenate([head, group.operands.ravel()])
    words: list[int] = []
    for start, length in spans:
        first = group.operands[start]
        moves = group.operands[start + 1] - first if length > 1 else np.zeros(arity, np.int64)
        strides = tuple(moves.tolist())
        if strides in vectorized:
            kernel = address(kernels.vectorized, primitive, strides)
        else:
            kernel = address(kernels.strided, primitive)
        words += [kernel, length, group.start + start]
        for operand, stride in zip(first.tolist(), strides, strict=True):
            words += [operand, stride]
    return _words(*words)


# A factor of the terms of a piece: the start, the step from term to term, the stride from member to
# member. A piece: how many terms, and both factors.
Factor = tuple[int, int, int]
Piece = tuple[int, list[Factor]]


def _sum_words(group: Group, free: int) -> tuple[list[Addresses], int]:
    """The words of a group of sums, and the end of the memory used for copies from `free` on."""
    address = library().address
    members, terms, _ = group.operands.shape
    spans = runs(group.operands.reshape(members, -1))
    if members * terms < 8 * len(spans):  # runs are short
        head = _words(address(kernels.sums_gathered), members, group.start, terms)
        return [head, group.operands.ravel()], free
    words: list[Addresses] = []
    copies: dict[tuple[int, ...], int] = {}  # where copies are that were made
    for start, length in spans:
        pieces = _pieces(group.operands[start : start + length])
        if length < VECTOR:
            kernel = address(kernels.sums_one_by_one)
        else:
            moves = _moves(pieces)
            kernel = address(kernels.sums, moves)
            for count, factors in pieces:
                for k, wanted in enumerate(moves):
                    first, step, stride = factors[k]
                    if stride == wanted:
                        continue
                    copy = (length, count, first, step, stride)
                    if copy not in copies:
                        copies[copy] = free
                        pack = address(kernels.pack)
                        words.append(_words(pack, length, count, free, first, step, stride))
                        free += length * count
                    factors[k] = (copies[copy], length, 1)
        row = [kernel, length, group.start + start, len(pieces)]
        for count, factors in pieces:
            row += [count, *factors[0], *factors[1]]
        words.append(_words(*row))
    return words, free


def _pieces(span: Addresses) -> list[Piece]:
    """Runs of terms in which each factor moves by the same step in all members.

    In a span strides are constant, so the first and the last member show what all have.
    """
    apart = (np.diff(span[0], axis=0) != np.diff(span[-1], axis=0)).any(axis=1)
    pieces = []
    for begin, count in runs(span[0], apart):
        piece = span[:, begin : begin + count]
        factors = []
        for k in (0, 1):
            first = int(piece[0, 0, k])
            step = int(piece[0, 1, k]) - first if count > 1 else 0
            stride = int(piece[1, 0, k]) - first if len(span) > 1 else 0
            factors.append((first, step, stride))
        pieces.append((count, factors))
    return pieces


def _moves(pieces: list[Piece]) -> tuple[int, int]:
    """1 for a factor that moves with the members in some piece, else 0; at least one is 1."""
    left, right = [any(factors[k][2] != 0 for _, factors in pieces) for k in (0, 1)]
    return (1, 1) if left == right else (int(left), int(right))


# --- running it -----------------------------------------------------------------------------------


class NativeCode:
    """A plan, the memory for its numbers, and `run`. See `backends.Code`."""

    def __init__(self, plan: Plan) -> None:
        code = code_of(plan)
        room = np.zeros(code.size + VECTOR)
        shift = -(room.ctypes.data // 8) % VECTOR  # begin where a cache line begins
        self.memory = room[shift : shift + code.size]
        self.memory[: len(plan.constants)] = plan.constants
        self._parts = code.parts
        self._calls = [
            part if isinstance(part, Group) else (part.ctypes.data, part.ctypes.data + part.nbytes)
            for part in code.parts
        ]
        self._address = self.memory.ctypes.data
        self._run = library().run
        self.nbytes = sum(part.nbytes for part in code.parts if not isinstance(part, Group))

    def run(self) -> None:
        """Compute every group once."""
        self.memory[0] = 0.0
        for call in self._calls:
            if isinstance(call, Group):
                run_in_python(call, self.memory)
            else:
                self._run(*call, self._address)
