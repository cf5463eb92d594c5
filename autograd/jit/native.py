"""How does a plan become machine code? A kernel for each primitive, and a list that drives them.

The list is made of 64-bit words: the address of a kernel, then what it works on (how many numbers,
where they go, and for each operand where it begins and its stride). A kernel ends by saying where
the next one stands. A kernel is compiled through llvmlite, whose wheels carry LLVM, when a program
first needs it; a program of kernels that are there needs no compiler.

What was tried, for one moons step of the benchmarks (66,000 operations forward, 195,000 in all),
the list alone: gathered operands in loops 179 us; strided runs, sums accumulated in memory 69 us;
sums accumulated in registers, 32 members at a time, 28 us. Sums split into several running sums
were as fast, but their last bits differed from the eager run's: copying an operand so that members
lie next to each other keeps the order, and the bits. Large groups computed block by block, so that
what one leaves is in the cache for the next, took as long: 3.2 to 3.4 ns a node either way
with a million nodes, most of it in tanh and exp. So did memory used again after the last use of a
number: 406 KB instead of 730 for a step of the small GPT, 138 us instead of 140.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from autograd import ops
from autograd.jit.run import run_in_python
from autograd.jit.schedule import Addresses, Group, Plan, runs
from autograd.primitive import Primitive

WORD, FLOAT, BIT = ir.IntType(64), ir.DoubleType(), ir.IntType(1)
WORDS, FLOATS = WORD.as_pointer(), FLOAT.as_pointer()
KERNEL = ir.FunctionType(WORDS, [WORDS, FLOATS])
VECTOR = 8  # floats in a vector; LLVM splits it where the machine's are shorter
BEYOND = 4 * VECTOR  # how far a kernel may reach beyond the end of a group

# --- one number: what each primitive does ---------------------------------------------------------
# The same branches as in autograd/ops.py; `math` and these call the same C library.

Emit = Callable[..., Any]


def _call(name: str) -> Emit:
    def emit(b: ir.IRBuilder, *numbers: Any) -> Any:
        kind = ir.FunctionType(FLOAT, [FLOAT] * len(numbers))
        known = b.module.globals.get(name)
        return b.call(known or ir.Function(b.module, kind, name), numbers)

    return emit


def _intrinsic(name: str) -> Emit:
    def emit(b: ir.IRBuilder, x: Any) -> Any:
        width = f"v{x.type.count}" if isinstance(x.type, ir.VectorType) else ""
        full = f"{name}.{width}f64"
        known = b.module.globals.get(full)
        return b.call(known or ir.Function(b.module, ir.FunctionType(x.type, [x.type]), full), [x])

    return emit


def _like(x: Any, number: float) -> ir.Constant:
    """The number, or a vector of it: whatever x is."""
    return _constant(x.type, number)


def _constant(kind: Any, number: float) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def _choose(b: ir.IRBuilder, sign: str, left: Any, right: float, a: Any, c: Any) -> Any:
    """a where left `sign` right, else c."""
    return b.select(b.fcmp_ordered(sign, left, _like(left, right)), a, c)


def _greater(b: ir.IRBuilder, x: Any, y: Any) -> Any:
    return b.select(b.fcmp_ordered(">", x, y), _like(x, 1.0), _like(x, 0.0))


_exp, _abs = _call("exp"), _intrinsic("llvm.fabs")


def _decay(b: ir.IRBuilder, x: Any) -> Any:
    return _exp(b, b.fneg(_abs(b, x)))


def _sigmoid(b: ir.IRBuilder, x: Any) -> Any:
    e = _decay(b, x)
    top = _choose(b, ">=", x, 0.0, _like(x, 1.0), e)
    return b.fdiv(top, b.fadd(_constant(FLOAT, 1.0), e))


def _softplus(b: ir.IRBuilder, x: Any) -> Any:
    rest = _call("log1p")(b, _decay(b, x))
    return _choose(b, ">", x, 0.0, b.fadd(x, rest), rest)


def _sech(b: ir.IRBuilder, x: Any) -> Any:
    e = _decay(b, x)
    return b.fdiv(b.fmul(_constant(FLOAT, 2.0), e), b.fadd(_constant(FLOAT, 1.0), b.fmul(e, e)))


def _gaussian(b: ir.IRBuilder, x: Any) -> Any:
    square = b.fmul(x, x)
    e = _exp(b, b.fneg(square))
    high = b.fmul(x, _constant(FLOAT, 134217729.0))
    high = b.fsub(high, b.fsub(high, x))
    low = b.fsub(x, high)
    rest = b.fsub(b.fmul(high, high), square)
    rest = b.fadd(rest, b.fmul(b.fmul(_constant(FLOAT, 2.0), high), low))
    rest = b.fadd(rest, b.fmul(low, low))
    corrected = b.fsub(e, b.fmul(e, rest))
    return _choose(b, "<", square, 750.0, corrected, e)


def _one_less(b: ir.IRBuilder, y: Any, x: Any) -> Any:
    less = b.fsub(y, _like(y, 1.0))
    return _choose(b, "==", x, 0.0, _choose(b, "==", y, 0.0, y, less), less)


def _log_of_base(b: ir.IRBuilder, x: Any) -> Any:
    logarithm = _call("log")(b, _choose(b, "<=", x, 0.0, _like(x, 1.0), x))
    return _choose(b, "<", x, 0.0, _like(x, math.nan), logarithm)


def _maximum(b: ir.IRBuilder, x: Any, y: Any) -> Any:
    left = b.or_(b.fcmp_ordered(">=", x, y), b.fcmp_unordered("uno", x, x))
    return b.select(left, x, y)


def _minimum(b: ir.IRBuilder, x: Any, y: Any) -> Any:
    left = b.or_(b.fcmp_ordered("<=", x, y), b.fcmp_unordered("uno", x, x))
    return b.select(left, x, y)


NATIVE: dict[Primitive, Emit] = {
    ops.add: lambda b, x, y: b.fadd(x, y),
    ops.sub: lambda b, x, y: b.fsub(x, y),
    ops.mul: lambda b, x, y: b.fmul(x, y),
    ops.div: lambda b, x, y: b.fdiv(x, y),
    ops.neg: lambda b, x: b.fneg(x),
    ops.pow: _call("pow"),
    ops.power: _call("pow"),
    ops.exponent: lambda b, y, x: y,
    ops.one_less: _one_less,
    ops.log_of_base: _log_of_base,
    ops.exp: _exp,
    ops.expm1: _call("expm1"),
    ops.log: _call("log"),
    ops.log1p: _call("log1p"),
    ops.sqrt: _intrinsic("llvm.sqrt"),
    ops.sin: _call("sin"),
    ops.cos: _call("cos"),
    ops.tanh: _call("tanh"),
    ops.sech: _sech,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
    ops.gaussian: _gaussian,
    ops.erf: _call("erf"),
    ops.greater: _greater,
    ops.less: lambda b, x, y: _greater(b, y, x),
    ops.relu: lambda b, x: _choose(b, "<=", x, 0.0, _like(x, 0.0), x),
    ops.abs: _abs,
    ops.maximum: _maximum,
    ops.minimum: _minimum,
    ops.where: lambda b, c, x, y: b.select(b.fcmp_unordered("!=", c, _like(c, 0.0)), x, y),
}


def _vector_at(b: ir.IRBuilder, start: Any, v: int, stride: int | None) -> Any:
    """The v-th vector of a run of stride 1, a vector of one number (0), or one number (None)."""
    if stride is None:
        return b.load(start)
    kind = ir.VectorType(FLOAT, VECTOR)
    if stride == 1:
        place = b.gep(start, [WORD(v * VECTOR)])
        return b.load(b.bitcast(place, kind.as_pointer()), align=8)
    one = b.insert_element(ir.Constant(kind, ir.Undefined), b.load(start), ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), [0] * VECTOR)
    return b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


# The arithmetic of networks gets vector instructions, by the strides of the operands.
FORMS: dict[Primitive, list[tuple[int, ...]]] = {
    **{
        p: [(1, 1), (0, 1), (1, 0)]
        for p in (ops.add, ops.sub, ops.mul, ops.div, ops.greater, ops.less)
    },
    **{p: [(1,)] for p in (ops.neg, ops.relu, ops.sqrt)},
}

# --- kernels --------------------------------------------------------------------------------------


@contextmanager
def _loop(b: ir.IRBuilder, count: Any) -> Iterator[Any]:
    """A loop over 0 .. count - 1; nothing if there is nothing to do."""
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


class Kernels:
    """The kernels that were asked for, compiled; each is named by (primitive or kind, form)."""

    def __init__(self) -> None:
        self._addresses: dict[Any, int] = {}
        self._missing: dict[Any, None] = {}
        self._names: dict[Any, str] = {}  # in the module that is being built
        self._engines: list[Any] = []  # the owners of the machine code
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=llvm.get_host_cpu_features().flatten(),
            opt=2,
        )
        self.module = ir.Module("run")
        self._runner()
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.run = kind(self._compiled().get_function_address("run"))

    def address(self, key: Any) -> int:
        """Where a kernel is, for a list; 0 if it has yet to be compiled by `complete`."""
        found = self._addresses.get(key)
        if found is None:
            self._missing[key] = None
            return 0
        return found

    def complete(self) -> bool:
        """Compile what `address` did not find; whether there was anything."""
        if not self._missing:
            return False
        self.module = ir.Module("kernels")
        self._names = {}
        for key in self._missing:
            self._build(*key)
        engine = self._compiled()
        for key, name in self._names.items():
            self._addresses[key] = engine.get_function_address(name)
        self._missing = {}
        return True

    def _compiled(self) -> Any:
        module = llvm.parse_assembly(str(self.module))
        module.verify()
        settings = llvm.create_pipeline_tuning_options(speed_level=1)
        # Vectors are written down here already. LLVM's own, and unrolled loops, took twice the time
        # to compile and a tenth more to run.
        settings.loop_vectorization = settings.slp_vectorization = False
        settings.loop_unrolling = settings.loop_interleaving = False
        passes = llvm.create_pass_builder(self._machine, settings).getModulePassManager()
        passes.run(module, llvm.create_pass_builder(self._machine, settings))
        engine = llvm.create_mcjit_compiler(module, self._machine)
        engine.finalize_object()
        self._engines.append(engine)
        return engine

    # --- building ---

    def _build(self, what: Any, form: Any) -> None:
        if what == "sum":
            self._sum(form)
        elif what == "pack":
            self._pack()
        elif what == "sum gathered":
            self._sum_gathered()
        elif form == "single":
            self._single(what, NATIVE[what])
        elif form == "gathered":
            self._gathered(what, NATIVE[what])
        else:
            self._elementwise(what, NATIVE[what], form)

    def _kernel(self, key: Any) -> tuple[ir.IRBuilder, Any, Any]:
        name = self._names[key] = f"kernel{len(self._names)}"
        function = ir.Function(self.module, KERNEL, name)
        b = ir.IRBuilder(function.append_basic_block("entry"))
        return b, function.args[0], function.args[1]

    @staticmethod
    def _word(b: ir.IRBuilder, words: Any, index: Any) -> Any:
        return b.load(b.gep(words, [WORD(index) if isinstance(index, int) else index]))

    def _elementwise(self, primitive: Primitive, emit: Emit, form: Any) -> None:
        """[kernel, count, out, (start, stride) of each operand]

        With a form, strides of 0 or 1, in vectors as far as they go; without, number by number.
        """
        arity, watch = len(primitive.backward), not primitive.total
        b, words, memory = self._kernel((primitive, form))
        count, out = self._word(b, words, 1), b.gep(memory, [self._word(b, words, 2)])
        starts = [b.gep(memory, [self._word(b, words, 3 + 2 * k)]) for k in range(arity)]
        strides = [self._word(b, words, 4 + 2 * k) for k in range(arity)]
        done: Any = WORD(0)
        if form is not None:
            vectors = b.sdiv(count, WORD(VECTOR))
            done = b.mul(vectors, WORD(VECTOR))
            kind = ir.VectorType(FLOAT, VECTOR)
            spoiled = b.alloca(kind)
            b.store(_constant(kind, 0.0), spoiled)
            with _loop(b, vectors) as i:
                offset = b.mul(i, WORD(VECTOR))
                moved = [
                    b.gep(start, [offset]) if stride else start
                    for start, stride in zip(starts, form, strict=True)
                ]
                operands = [
                    _vector_at(b, start, 0, s) for start, s in zip(moved, form, strict=True)
                ]
                number = emit(b, *operands)
                place = b.bitcast(b.gep(out, [offset]), kind.as_pointer())
                b.store(number, place, align=8)
                if watch:
                    self._watch(b, number, spoiled)
            if watch:
                whole = b.load(spoiled)
                for lane in range(VECTOR):
                    self._spoil(b, memory, b.extract_element(whole, ir.IntType(32)(lane)))
        with _loop(b, b.sub(count, done)) as i:
            at = b.add(i, done)
            operands = [
                b.load(b.gep(start, [b.mul(at, stride)]))
                for start, stride in zip(starts, strides, strict=True)
            ]
            number = emit(b, *operands)
            b.store(number, b.gep(out, [at]))
            if watch:
                self._watch(b, number, memory)
        b.ret(b.gep(words, [WORD(3 + 2 * arity)]))

    @staticmethod
    def _watch(b: ir.IRBuilder, number: Any, place: Any) -> None:
        """Leave nan at the place if a number is not finite: x * 0 is 0 for finite x only."""
        zero = b.fmul(number, _like(number, 0.0))
        b.store(b.fadd(b.load(place), zero), place)

    @staticmethod
    def _spoil(b: ir.IRBuilder, memory: Any, zero: Any) -> None:
        b.store(b.fadd(b.load(memory), zero), memory)

    def _single(self, primitive: Primitive, emit: Emit) -> None:
        """[kernel, out, then the address of each operand]: one number, for programs of no width."""
        arity = len(primitive.backward)
        b, words, memory = self._kernel((primitive, "single"))
        numbers = [b.load(b.gep(memory, [self._word(b, words, 2 + k)])) for k in range(arity)]
        number = emit(b, *numbers)
        b.store(number, b.gep(memory, [self._word(b, words, 1)]))
        if not primitive.total:
            self._watch(b, number, memory)
        b.ret(b.gep(words, [WORD(2 + arity)]))

    def _gathered(self, primitive: Primitive, emit: Emit) -> None:
        """[kernel, count, out, then for each member the address of each operand]"""
        arity, watch = len(primitive.backward), not primitive.total
        b, words, memory = self._kernel((primitive, "gathered"))
        count, out = self._word(b, words, 1), self._word(b, words, 2)
        target, table = b.gep(memory, [out]), b.gep(words, [WORD(3)])
        with _loop(b, count) as i:
            row = b.mul(i, WORD(arity))
            numbers = [
                b.load(b.gep(memory, [self._word(b, table, b.add(row, WORD(k)))]))
                for k in range(arity)
            ]
            number = emit(b, *numbers)
            b.store(number, b.gep(target, [i]))
            if watch:
                self._watch(b, number, memory)
        b.ret(b.gep(table, [b.mul(count, WORD(arity))]))

    def _sum(self, form: tuple[int, int] | None) -> None:
        """[kernel, members, out, pieces, (terms, x, step, stride, y, step, stride) of each piece]

        Term after term is added, so the order of each sum is kept. In a piece both factors of a
        term move by a constant step from term to term, and by a stride of 0 or 1 from member to
        member: 32 members are summed at a time, in registers. The last ones may reach beyond the
        end: what is computed there is overwritten by the next kernel, or never read. Without a
        form, strides are any, and members are summed one by one.
        """
        b, words, memory = self._kernel(("sum", form))
        members, out = self._word(b, words, 1), b.gep(memory, [self._word(b, words, 2)])
        pieces, table = self._word(b, words, 3), b.gep(words, [WORD(4)])
        if form is None:
            single = self._block(None, 1)
            with _loop(b, members) as i:
                b.call(single, [table, memory, pieces, i, out])
        else:
            inner = {n: self._block(form, n) for n in (1, 4)}
            with _loop(b, b.sdiv(b.add(members, WORD(VECTOR * 4 - 1)), WORD(VECTOR * 4))) as i:
                first = b.mul(i, WORD(VECTOR * 4))
                few = b.icmp_signed("<=", b.sub(members, first), WORD(VECTOR))
                with b.if_else(few) as (one, four):
                    with one:
                        b.call(inner[1], [table, memory, pieces, first, out])
                    with four:
                        b.call(inner[4], [table, memory, pieces, first, out])
        b.ret(b.gep(table, [b.mul(pieces, WORD(7))]))

    def _block(self, form: tuple[int, int] | None, vectors: int) -> ir.Function:
        """The sums of some members from `first` on: vectors of them, or one if any stride goes."""
        kind = ir.FunctionType(ir.VoidType(), [WORDS, FLOATS, WORD, WORD, FLOATS])
        name = "any" if form is None else "".join(map(str, form))
        function = ir.Function(self.module, kind, f"sums_{name}_{vectors}")
        function.linkage = "internal"
        table, memory, pieces, first, out = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        number = FLOAT if form is None else ir.VectorType(FLOAT, VECTOR)
        sums = [b.alloca(number) for _ in range(vectors)]
        for place in sums:
            b.store(_constant(number, -0.0), place)
        with _loop(b, pieces) as p:
            row = b.gep(table, [b.mul(p, WORD(7))])
            terms = self._word(b, row, 0)
            factors = []
            for k, column in enumerate((1, 4)):
                stride = self._word(b, row, column + 2) if form is None else WORD(form[k])
                start = b.add(self._word(b, row, column), b.mul(first, stride))
                factors.append((b.gep(memory, [start]), self._word(b, row, column + 1)))
            with _loop(b, terms) as t:
                moved = [b.gep(start, [b.mul(t, step)]) for start, step in factors]
                for v, place in enumerate(sums):
                    x, y = [
                        _vector_at(b, start, v, None if form is None else form[k])
                        for k, start in enumerate(moved)
                    ]
                    b.store(b.fadd(b.load(place), b.fmul(x, y)), place)
        for v, place in enumerate(sums):
            target = b.gep(out, [b.add(first, WORD(v * VECTOR))])
            if form is None:
                b.store(b.load(place), target)
            else:
                b.store(b.load(place), b.bitcast(target, number.as_pointer()), align=8)
        b.ret_void()
        return function

    def _pack(self) -> None:
        """[kernel, members, terms, out, start, step, stride]: a copy of stride 1, term by term."""
        b, words, memory = self._kernel(("pack", None))
        members, terms = self._word(b, words, 1), self._word(b, words, 2)
        out = b.gep(memory, [self._word(b, words, 3)])
        start = b.gep(memory, [self._word(b, words, 4)])
        step, stride = self._word(b, words, 5), self._word(b, words, 6)
        with _loop(b, terms) as t:
            source = b.gep(start, [b.mul(t, step)])
            target = b.gep(out, [b.mul(t, members)])
            with _loop(b, members) as i:
                b.store(b.load(b.gep(source, [b.mul(i, stride)])), b.gep(target, [i]))
        b.ret(b.gep(words, [WORD(7)]))

    def _sum_gathered(self) -> None:
        """[kernel, members, out, terms, then for each member and term two addresses]"""
        b, words, memory = self._kernel(("sum gathered", None))
        members, out = self._word(b, words, 1), b.gep(memory, [self._word(b, words, 2)])
        terms, table = self._word(b, words, 3), b.gep(words, [WORD(4)])
        total = b.alloca(FLOAT)
        with _loop(b, members) as i:
            b.store(_constant(FLOAT, -0.0), total)
            with _loop(b, terms) as t:
                row = b.mul(b.add(b.mul(i, terms), t), WORD(2))
                x, y = [
                    b.load(b.gep(memory, [self._word(b, table, b.add(row, WORD(k)))]))
                    for k in (0, 1)
                ]
                b.store(b.fadd(b.load(total), b.fmul(x, y)), total)
            b.store(b.load(total), b.gep(out, [i]))
        b.ret(b.gep(table, [b.mul(b.mul(members, terms), WORD(2))]))

    def _runner(self) -> None:
        """run(code, end, memory): kernel after kernel, until the end of the list."""
        kind = ir.FunctionType(ir.VoidType(), [WORDS, WORDS, FLOATS])
        function = ir.Function(self.module, kind, "run")
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


@cache
def kernels() -> Kernels:
    """The kernels of this process."""
    return Kernels()


# --- the list -------------------------------------------------------------------------------------


class Code(NamedTuple):
    """A plan as kernels take it.

    parts: lists of words, and between them the groups that only Python can compute. size: how many
    floats of memory they need, more than the plan for copies and for reaching beyond groups.
    """

    parts: list[Addresses | Group]
    size: int


def code_of(plan: Plan) -> Code:
    """The lists of a plan; the kernels it needs are compiled."""
    code = _code_of(plan)
    return _code_of(plan) if kernels().complete() else code


def _code_of(plan: Plan) -> Code:
    parts: list[Addresses | Group] = []
    words: list[Addresses] = []
    size = plan.size + BEYOND
    for group in plan.groups:
        if group.primitive is None:
            found, end = _sum_words(group, plan.size + BEYOND)
            words += found
            size = max(size, end + BEYOND)
        elif group.primitive in NATIVE:
            words.append(_elementwise_words(group, group.primitive))
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


def _elementwise_words(group: Group, primitive: Primitive) -> Addresses:
    table = kernels()
    members, arity = group.operands.shape
    if members == 1:
        kernel = table.address((primitive, "single"))
        return _words(kernel, group.start, *group.operands[0].tolist())
    spans = runs(group.operands)
    if members < 4 * len(spans) and len(spans) > 1 and primitive in FORMS:
        head = _words(table.address((primitive, "gathered")), members, group.start)
        return np.concatenate([head, group.operands.ravel()])
    words: list[int] = []
    for start, length in spans:
        first = group.operands[start]
        strides = group.operands[start + 1] - first if length > 1 else np.zeros(arity, np.int64)
        form: tuple[int, ...] | None = tuple(strides.tolist())
        key = form if form in FORMS.get(primitive, ()) else None
        words += [table.address((primitive, key)), length, group.start + start]
        for address, stride in zip(first.tolist(), strides.tolist(), strict=True):
            words += [address, stride]
    return _words(*words)


def _sum_words(group: Group, free: int) -> tuple[list[Addresses], int]:
    """The words of a group of sums, and the end of the memory used for copies from `free` on."""
    members, terms, _ = group.operands.shape
    spans = runs(group.operands.reshape(members, -1))
    if members * terms < 8 * len(spans):
        head = _words(kernels().address(("sum gathered", None)), members, group.start, terms)
        return [head, group.operands.ravel()], free
    words: list[Addresses] = []
    packed: dict[tuple[int, ...], int] = {}
    table = kernels()
    for start, length in spans:
        span = group.operands[start : start + length]
        pieces = []
        for begin, count in _pieces(span):
            piece = span[:, begin : begin + count]
            factors = []
            for k in (0, 1):
                first = int(piece[0, 0, k])
                step = int(piece[0, 1, k]) - first if count > 1 else 0
                stride = int(piece[1, 0, k]) - first if length > 1 else 0
                factors.append((first, step, stride))
            pieces.append((count, factors))
        form = _form(pieces) if length >= VECTOR else None
        for count, factors in pieces:
            for k, wanted in enumerate(form or ()):
                first, step, stride = factors[k]
                if stride == wanted:
                    continue
                copy = (length, count, first, step, stride)
                if copy not in packed:
                    packed[copy] = free
                    words.append(_words(table.address(("pack", None)), *copy[:2], free, *copy[2:]))
                    free += length * count
                factors[k] = (packed[copy], length, 1)
        row = [table.address(("sum", form)), length, group.start + start, len(pieces)]
        for count, factors in pieces:
            row += [count, *factors[0], *factors[1]]
        words.append(_words(*row))
    return words, free


def _form(pieces: list[tuple[int, list[tuple[int, int, int]]]]) -> tuple[int, int]:
    """Which factors move with the members: those that do in some piece; at least one."""
    moving = [any(factors[k][2] != 0 for _, factors in pieces) for k in (0, 1)]
    return {(False, True): (0, 1), (True, False): (1, 0)}.get((moving[0], moving[1]), (1, 1))


def _pieces(span: Addresses) -> list[tuple[int, int]]:
    """(start, length) of runs of terms in which each factor moves by the same step in all members.

    In a span strides are constant, so the first and the last member show what all have.
    """
    apart = (np.diff(span[0], axis=0) != np.diff(span[-1], axis=0)).any(axis=1)
    return runs(span[0], apart)


class NativeCode:
    """A plan, its memory, and `run`. `memory[0]` is nan after a run that has to be looked at."""

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
        self._run = kernels().run
        self.nbytes = sum(part.nbytes for part in code.parts if not isinstance(part, Group))

    def run(self) -> None:
        """Compute every group once."""
        self.memory[0] = 0.0
        for call in self._calls:
            if isinstance(call, Group):
                run_in_python(call, self.memory)
            else:
                self._run(*call, self._address)
