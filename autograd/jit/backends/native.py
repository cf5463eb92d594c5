"""How does a plan become machine code? As a list of words, which name compiled kernels.

kernels.py describes the list. A kernel is compiled through llvmlite, whose wheels carry LLVM, when
a program first needs it; a program whose kernels all exist needs no compiler.

Tried: several accumulators for one sum gave other bits. Tiles of four rows of sums took 3 to 9 %
less time than single rows, and 65 lines more. Computing large groups block by block, or reusing
memory after the last use of a number, saved no time.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from autograd.jit.backends import kernels
from autograd.jit.backends.emit import EMIT
from autograd.jit.backends.kernels import VECTOR
from autograd.jit.backends.numpy import VECTORISED, run_in_python
from autograd.jit.graph import SUM
from autograd.jit.schedule import LINE, Group, Plan, runs
from autograd.locks import Lock

# --- compiled kernels -----------------------------------------------------------------------------

# The address of each kernel, by the function of kernels.py that builds it, and its arguments.
_addresses: dict[tuple[Any, ...], int] = {}
_engines: list[Any] = []  # they own the machine code
_compiling = Lock()  # kernels are shared between threads
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def _address(build: Callable[..., None], *arguments: Any) -> int:
    """Return the address of a kernel; 0 if `_compile_missing` has yet to compile it."""
    return _addresses.setdefault((build, *arguments), 0)


def _compile_missing() -> bool:
    """Compile the kernels whose address is still 0; return whether there were any."""
    keys = [key for key, address in _addresses.items() if not address]
    if not keys:
        return False
    building = ir.Module("kernels")
    for number, (build, *arguments) in enumerate(keys):
        build(building, f"kernel{number}", *arguments)
    module = llvm.parse_assembly(str(building))
    module.verify()
    # An engine owns its target machine: if a Ctrl-C keeps it from being stored, both are freed.
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2)
    # Kernels are already loops over vectors: more passes took long, and made them no faster.
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(1))
    passes = llvm.create_new_module_pass_manager()
    if hasattr(passes, "add_sroa_pass"):
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
    else:  # llvmlite 0.44
        passes = builder.getModulePassManager()
    passes.run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    for number, key in enumerate(keys):
        _addresses[key] = engine.get_function_address(f"kernel{number}")
    return True


# --- the list of a plan ---------------------------------------------------------------------------

BLOCK = 8 * VECTOR  # sums computed at a time
Words: TypeAlias = "array[int]"


def _parts(plan: Plan) -> tuple[list[Words | Group], int]:
    """Return the lists of words, with groups that run in Python between them, and the memory size.

    The memory holds the numbers of the plan, copies of some, and room to write beyond both.
    """
    words: Words = array("q")
    parts: list[Words | Group] = [words]
    copies: dict[tuple[int, ...], int] = {}  # the addresses of copies
    free = plan.size + VECTOR - plan.size % VECTOR  # where the next copy may begin
    for group in (*plan.groups, plan.outputs):
        if group.primitive is SUM:
            free = _add_sums(words, group, copies, free)
        elif group.primitive in EMIT:
            _add_primitive(words, group)
        else:
            words.append(_address(kernels.stop))
            words = array("q")
            parts += [group, words]
    words.append(_address(kernels.stop))
    return parts, free + VECTOR


def _long_runs(group: Group) -> list[tuple[int, int]]:
    """Return (start, length) of the runs that fill a vector."""
    if len(group.operands) < VECTOR:
        return []
    return [run for run in runs(group.operands) if run[1] >= VECTOR]


def _gather(words: Words, group: Group, begin: int, end: int) -> None:
    """Add an entry for some members, with the addresses of their operands."""
    if begin < end:
        operands = group.operands.shape[1]
        alone = operands * (end - begin == 1 and operands <= 4)  # longer sums share a kernel
        kernel = _address(kernels.gathered, group.primitive, alone)
        words.extend((kernel, end - begin, group.start + begin, operands))
        words.frombytes(group.operands[begin:end].astype(np.int64).tobytes())


def _add_primitive(words: Words, group: Group) -> None:
    """Add the entries of a group of one primitive: in vectors where possible, else one by one."""
    done = 0
    for start, length in _long_runs(group) if group.primitive in VECTORISED else ():
        first, second = group.operands[start : start + 2]
        strides = tuple((second - first).tolist())
        if {1} <= set(strides) <= {0, 1}:
            _gather(words, group, done, start)
            kernel = _address(kernels.vectorized, group.primitive, strides)
            words.extend((kernel, length // VECTOR, group.start + start, *first.tolist()))
            done = start + length // VECTOR * VECTOR
    _gather(words, group, done, len(group.operands))


def _add_sums(words: Words, group: Group, copies: dict[tuple[int, ...], int], free: int) -> int:
    """Add the entries of a group of sums; return where the memory is free after their copies."""
    done = 0
    for start, length in _long_runs(group):
        _gather(words, group, done, start)
        done = start + length
        first, second = group.operands[start : start + 2].reshape(2, -1, 2)
        strides = second - first
        # Turn terms whose first factor is the same for all sums: then few numbers are copied.
        turned = strides[:, 0] == 0
        first, strides = [np.where(turned[:, None], x[:, ::-1], x) for x in (first, strides)]
        # For each factor, 1 if it moves from sum to sum in some term, else 0.
        moves = (1, int(strides[:, 1].any()))
        rows = []
        pieces = runs(first, (np.diff(strides, axis=0) != 0).any(axis=1))
        for begin, count in pieces:
            row = [count]
            for k, wanted in enumerate(moves):
                place, stride = int(first[begin, k]), int(strides[begin, k])
                step = int(first[begin + 1, k]) - place if count > 1 else 0
                if stride != wanted:  # copy the numbers, so that they are consecutive
                    width = length if stride else min(length, BLOCK)  # all blocks read the same
                    copy = (count, width, place, step, stride)
                    if copy not in copies:
                        copies[copy] = free
                        words.extend((_address(kernels.copies), free, *copy))
                        free += count * width
                    place, step = copies[copy], width
                row += [place, step]
            rows.append(row)
        table = np.array(rows, np.int64)
        moved = np.zeros_like(table)  # 1 for each place that moves from block to block
        moved[:, 1::2] = strides[[begin for begin, _ in pieces]] != 0
        for block in range(0, length, BLOCK):
            vectors = -(-min(BLOCK, length - block) // VECTOR)
            out = group.start + start + block
            words.extend((_address(kernels.sums, vectors, moves), out, len(rows)))
            words.frombytes((table + block * moved).tobytes())
    _gather(words, group, done, len(group.operands))
    return free


# --- running it -----------------------------------------------------------------------------------

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)  # a list, and the memory


class NativeCode:
    """A plan, the memory for its numbers, and `run`. See `backends.Code`."""

    def __init__(self, plan: Plan) -> None:
        with _compiling.lock:
            parts, size = _parts(plan)
            if _compile_missing():
                parts, size = _parts(plan)
        room = np.zeros(size + LINE)
        shift = -(room.ctypes.data // 8) % LINE  # to the start of a cache line
        self.memory = room[shift : shift + size]
        self.memory[: len(plan.constants)] = plan.constants
        self.outputs = self.memory[plan.outputs.start : plan.size]
        self._parts = parts
        self.nbytes = sum(8 * len(part) for part in parts if not isinstance(part, Group))
        address = self.memory.ctypes.data
        self._calls: list[Callable[[], None]] = [
            partial(run_in_python, part, self.memory)
            if isinstance(part, Group)
            else partial(_ENTRY(part[0]), part.buffer_info()[0], address)
            for part in parts
        ]

    def run(self) -> None:
        self.memory[0] = 0.0
        for call in self._calls:
            call()
