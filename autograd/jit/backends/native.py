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
from array import array
from collections.abc import Callable
from functools import cache
from threading import RLock
from typing import Any, TypeAlias

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from autograd.jit.backends import kernels
from autograd.jit.backends.emit import COPY, EMIT, VECTORIZED
from autograd.jit.backends.kernels import VECTOR
from autograd.jit.backends.numpy import run_in_python
from autograd.jit.graph import SUM
from autograd.jit.schedule import Group, Plan, runs
from autograd.primitive import Primitive

# --- compiled kernels -----------------------------------------------------------------------------


class Library:
    """The kernels compiled so far. A key is a function of kernels.py and its arguments."""

    def __init__(self) -> None:
        self._addresses: dict[tuple[Any, ...], int] = {}
        self._engines: list[Any] = []  # they own the machine code
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=llvm.get_host_cpu_features().flatten(),
            opt=2,
        )

    def address(self, build: Callable[..., None], *arguments: Any) -> int:
        """The address of a kernel; 0 if `compile_missing` has yet to compile it."""
        return self._addresses.setdefault((build, *arguments), 0)

    def compile_missing(self) -> bool:
        """Compile the kernels whose address is still 0; whether there were any."""
        keys = [key for key, address in self._addresses.items() if not address]
        if not keys:
            return False
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
        for name, key in zip(names, keys, strict=True):
            self._addresses[key] = engine.get_function_address(name)
        return True


@cache
def library() -> Library:
    """The kernels of this process."""
    return Library()


# --- the list of a plan ---------------------------------------------------------------------------

BLOCK = 4 * VECTOR  # sums that are computed at a time
Words: TypeAlias = "array[int]"


def _parts(plan: Plan) -> tuple[list[Words | Group], int]:
    """Lists of words, between them the groups that only Python can compute; and the memory's size.

    The memory holds the numbers of the plan, copies of some, and room for writing beyond both.
    """
    words: Words = array("q")
    parts: list[Words | Group] = [words]
    free = plan.size + VECTOR  # where copies may begin
    for group in plan.groups:
        if group.primitive is SUM:
            free = _add_sums(words, group, free)
        elif group.primitive in EMIT:
            _add_primitive(words, group, group.primitive)
        else:
            words.append(library().address(kernels.stop))
            words = array("q")
            parts += [group, words]
    words.append(library().address(kernels.stop))
    return parts, free + VECTOR


def _long_runs(group: Group) -> list[tuple[int, int]]:
    """(start, length) of the runs that fill a vector."""
    members = len(group.nodes)
    if members < VECTOR:
        return []
    return [run for run in runs(group.operands.reshape(members, -1)) if run[1] >= VECTOR]


def _gather(words: Words, kernel: int, group: Group, begin: int, end: int) -> None:
    """Add an entry for some members, with the address of each operand; of sums also the length."""
    if begin < end:
        words.extend((kernel, end - begin, group.start + begin, *group.operands.shape[1:-1]))
        words.frombytes(group.operands[begin:end].tobytes())


def _add_primitive(words: Words, group: Group, primitive: Primitive) -> None:
    """Add the entries of a group of one primitive: of vectors where possible, else one by one."""
    gathered = library().address(kernels.gathered, primitive)
    done = 0
    for start, length in _long_runs(group) if primitive in VECTORIZED else ():
        first, second = group.operands[start : start + 2]
        strides = tuple((second - first).tolist())
        if {1} <= set(strides) <= {0, 1}:
            _gather(words, gathered, group, done, start)
            kernel = library().address(kernels.vectorized, primitive, strides)
            words.extend((kernel, length // VECTOR, group.start + start, *first.tolist()))
            done = start + length // VECTOR * VECTOR
    _gather(words, gathered, group, done, len(group.nodes))


def _add_sums(words: Words, group: Group, free: int) -> int:
    """Add the entries of a group of sums; the end of the memory that copies take from `free` on."""
    address = library().address
    gathered = address(kernels.sums_gathered)
    copies: dict[tuple[int, ...], int] = {}  # where copies are that were made
    done = 0
    for start, length in _long_runs(group):
        _gather(words, gathered, group, done, start)
        done = start + length
        first, second = group.operands[start : start + 2]
        strides = second - first
        # If one factor of a term moves from sum to sum, it is the first: then few are copied.
        turned = (strides[:, 0] == 0) & (strides[:, 1] != 0)
        first, strides = [np.where(turned[:, None], x[:, ::-1], x) for x in (first, strides)]
        # 1 for a factor that moves from sum to sum in some term, else 0; at least one is 1.
        moves = tuple(strides.any(axis=0).astype(int).tolist())
        if moves[0] == moves[1]:
            moves = (1, 1)
        rows = []
        for begin, count in runs(first, (np.diff(strides, axis=0) != 0).any(axis=1)):
            row = [count]
            for k, wanted in enumerate(moves):
                place, stride = int(first[begin, k]), int(strides[begin, k])
                step = int(first[begin + 1, k]) - place if count > 1 else 0
                if stride != wanted:  # members have to lie next to each other
                    copy = (length, count, place, step, stride)
                    if copy not in copies:
                        copies[copy] = free
                        moved = np.add.outer(step * np.arange(count), stride * np.arange(length))
                        words.extend((address(kernels.gathered, COPY), moved.size, free))
                        words.frombytes((place + moved).tobytes())
                        free += moved.size
                    place, step = copies[copy], length
                row += [place, step]
            rows.append(row)
        table, shift = np.array(rows), np.array([0, moves[0], 0, moves[1], 0])
        for block in range(0, length, BLOCK):
            vectors = -(-min(BLOCK, length - block) // VECTOR)
            kernel = address(kernels.sums, vectors, moves)
            words.extend((kernel, group.start + start + block, len(rows)))
            words.frombytes((table + block * shift).tobytes())
    _gather(words, gathered, group, done, len(group.nodes))
    return free


# --- running it -----------------------------------------------------------------------------------


_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)  # a list, and the memory
_compiling = RLock()  # the library is shared by all threads


class NativeCode:
    """A plan, the memory for its numbers, and `run`. See `backends.Code`."""

    def __init__(self, plan: Plan) -> None:
        with _compiling:
            parts, size = _parts(plan)
            if library().compile_missing():
                parts, size = _parts(plan)
        room = np.zeros(size + VECTOR)
        shift = -(room.ctypes.data // 8) % VECTOR  # begin where a cache line begins
        self.memory = room[shift : shift + size]
        self.memory[: len(plan.constants)] = plan.constants
        self._address = self.memory.ctypes.data
        self._parts = parts
        self.nbytes = sum(8 * len(part) for part in parts if not isinstance(part, Group))
        self._calls = [
            part if isinstance(part, Group) else (_ENTRY(part[0]), part.buffer_info()[0])
            for part in parts
        ]

    def run(self) -> None:
        """Compute every group once."""
        self.memory[0] = 0.0
        for call in self._calls:
            if isinstance(call, Group):
                run_in_python(call, self.memory)
            else:
                kernel, words = call
                kernel(words, self._address)
