"""Does each kernel give the bits of the primitive's `forward`, in every layout, for any number?"""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from graphs import PRIMITIVES, copied, shown

import nn
from autograd import Primitive, Value, ops
from autograd.jit import jit
from autograd.jit.backends import replays_until_compiled
from autograd.jit.backends.emit import EMIT
from autograd.jit.backends.native import NativeCode
from autograd.jit.backends.numpy import VECTORISED, NumpyCode
from autograd.jit.graph import OUTPUT, SUM, Graph, Source
from autograd.jit.schedule import schedule
from autograd.jit.simplify import simplify

inf, nan = math.inf, math.nan
CODES = {"native": NativeCode, "numpy": NumpyCode}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7e308, -1.7e308]
SPECIAL += [inf, -inf, nan, 0.5, -0.5, 2.0, 3.0, -3.0, 1e-17, 1e17, 709.78, -745.1, 27.4, -27.4]
SPECIAL += [1.0 + 2**-52, 1.0 - 2**-53, 0.1, 1 / 3, math.pi, -math.e, 6.0, 1e5, 1e-5, 2**0.5]
ROOT = Path(__file__).resolve().parents[3]


def points(primitive: Primitive) -> list[tuple[float, ...]]:
    arity = len(primitive.backward)
    return list(itertools.product(SPECIAL if arity < 3 else SPECIAL[::3], repeat=arity))


def forward(primitive: Primitive, operands: tuple[float, ...]) -> float | None:
    """The result, or None if the primitive raises."""
    try:
        return primitive.forward(*operands)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def side_by_side(
    code: Any, primitive: Primitive, rows: list[tuple[float, ...]], order: list[int]
) -> tuple[list[float], bool]:
    """(results for all rows, whether trouble was reported), with operands in this memory order."""
    graph = Graph()
    arity = len(primitive.backward)
    flat = [x for row in rows for x in row]
    place = {k: i for i, k in enumerate(order)}
    nodes = [graph.add(Source("argument", i)) for i in range(len(flat))]
    outs = []
    for i in range(len(rows)):
        operands = [nodes[place[i * arity + k]] for k in range(arity)]
        outs.append(graph.add(primitive, tuple(operands)))
    plan, address = schedule(graph, {"argument": len(flat), "varying": 0, "data": 0, "grad": 0})
    made = code(plan)
    made.memory[plan.spans["argument"]] = [flat[k] for k in order]
    made.run()
    return made.memory[address[outs]].tolist(), made.memory[0] != 0.0


def orders(size: int, arity: int) -> list[list[int]]:
    """Orders in memory: row by row, operand by operand, backwards, and shuffled."""
    rows = list(range(size * arity))
    columns = [i * arity + k for k in range(arity) for i in range(size)]
    shuffled = sorted(rows, key=lambda i: math.sin(7.0 * i))
    return [rows, columns, columns[::-1], shuffled]


@pytest.mark.parametrize("backend", CODES)
@pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda p: p.name)
def test_kernels_equal_forward_bit_for_bit(primitive: Primitive, backend: str) -> None:
    good = [row for row in points(primitive) if forward(primitive, row) is not None]
    for order in orders(len(good), len(primitive.backward)):
        found, _ = side_by_side(CODES[backend], primitive, good, order)
        assert shown(found) == shown(forward(primitive, row) for row in good)


@pytest.mark.parametrize("backend", CODES)
@pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda p: p.name)
def test_each_error_is_noticed_at_any_position(primitive: Primitive, backend: str) -> None:
    """In each lane of a vector and in the remainder; finite results report no trouble."""
    arity = len(primitive.backward)
    rows = points(primitive)
    bad = [row for row in rows if forward(primitive, row) is None]
    fine = (0.5,) * arity
    for row in bad[:60]:
        assert side_by_side(CODES[backend], primitive, [row], list(range(arity)))[1]
    for place in range(19):
        for order in orders(19, arity)[:2] if bad else []:
            mixed = [fine] * place + [bad[place % len(bad)]] + [fine] * (18 - place)
            assert side_by_side(CODES[backend], primitive, mixed, order)[1]
    assert not side_by_side(CODES[backend], primitive, [fine] * 19, orders(19, arity)[1])[1]
    assert not bad or not primitive.total


@pytest.mark.parametrize("backend", CODES)
def test_an_error_is_noticed_in_its_own_run_only(backend: str) -> None:
    graph = Graph()
    root = graph.add(ops.sqrt, (graph.add(Source("argument", 0)),))
    counts = {"argument": 1, "varying": 0, "data": 0, "grad": 0}
    plan, _ = schedule(graph, counts, [root])
    code = CODES[backend](plan)
    found = []
    for x in (4.0, -1.0, 9.0):
        code.memory[plan.spans["argument"]] = x
        code.run()
        found.append((code.memory[0], code.memory[plan.outputs.start]))
    assert shown(map(float, itertools.chain(*found))) == shown([0.0, 2.0, nan, nan, 0.0, 3.0])


def test_every_primitive_of_the_table_has_a_kernel() -> None:
    assert set(PRIMITIVES) <= set(EMIT)
    assert set(VECTORISED) <= {*PRIMITIVES, OUTPUT, SUM}


def test_primitives_marked_total_are_those_that_never_raise() -> None:
    for primitive in PRIMITIVES:
        never_raises = all(forward(primitive, row) is not None for row in points(primitive))
        assert primitive.total == never_raises, primitive


SHAPES = [(m, t) for m in (1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 65) for t in (2, 3, 4, 9, 40)]
SHAPES += [(1000, 3), (3, 500)]


@pytest.mark.parametrize("backend", CODES)
@pytest.mark.parametrize(
    "layout",
    ["rows", "columns", "opposite", "stretched", "shared", "gathered", "plain", "mixed"],
)
def test_sums_add_in_written_order(layout: str, backend: str) -> None:
    """The numbers differ so much in size that another order would change the result."""
    for members, terms in SHAPES:
        graph = Graph()
        count = members * terms
        xs = [graph.add(Source("argument", i)) for i in range(2 * count)]

        outs = []
        for m in range(members):
            sofar: list[int] = []
            for t in range(terms):
                place = {
                    "columns": t * members + m,
                    "opposite": t * members + m,
                    "stretched": m * (1 + t % 2) + t,  # the strides of terms are 1, 2, 1, ...
                    "shared": t,
                    "gathered": (m * 7919 + t * 104729) % count,
                }.get(layout, m * terms + t)
                term = xs[place]
                if layout != "plain" and not (layout == "mixed" and t % 3 == 1):
                    across = {
                        "rows": t,
                        "opposite": (t + 1) * members - 1 - m,
                        "stretched": place - t + terms - 1,
                    }.get(layout, place)
                    other = xs[count + across]
                    term = graph.add(ops.mul, (term, other))
                sofar = [graph.add(ops.add, (*sofar, term)) if sofar else term]
            outs += sofar
        written = copied(graph)
        simplify(graph, outs)
        plan, address = schedule(graph, {"argument": 2 * count, "varying": 0, "data": 0, "grad": 0})
        code = CODES[backend](plan)
        draw = np.random.default_rng(0)
        numbers = draw.normal(size=2 * count) * 10.0 ** draw.integers(-9, 9, size=2 * count)
        code.memory[plan.spans["argument"]] = numbers
        code.run()
        values = dict(zip(xs, numbers.tolist(), strict=True))
        for node, operation in enumerate(written.operations):
            if isinstance(operation, Primitive):
                values[node] = operation.forward(*[values[o] for o in written.operands[node]])
        found = code.memory[address[outs]].tolist()
        assert found == [values[n] for n in outs], (members, terms)


@pytest.mark.parametrize("backend", CODES)
@pytest.mark.parametrize("members", [1, 3, 4, 33])
def test_sums_of_negative_zeros_are_negative(members: int, backend: str) -> None:
    graph = Graph()
    xs = [graph.add(Source("argument", i)) for i in range(2 * members)]
    pairs = zip(xs[:members], xs[members:], strict=True)
    outs = [graph.add(SUM, (x, y, y, x)) for x, y in pairs]
    plan, address = schedule(graph, {"argument": len(xs), "varying": 0, "data": 0, "grad": 0})
    code = CODES[backend](plan)
    code.memory[plan.spans["argument"]] = [-0.0] * members + [1.0] * members
    code.run()
    assert shown(code.memory[address[outs]].tolist()) == shown([-0.0] * members)


@pytest.mark.parametrize("is_regular", [True, False])
def test_groups_in_order_need_fewer_words_than_gathered_ones(is_regular: bool) -> None:
    """An eighth of a word for each operand, instead of one; no copies; and slices for NumPy."""
    count = 1009
    graph = Graph()
    xs = [graph.add(Source("argument", i)) for i in range(3 * count)]
    outs = []
    for i in range(count):
        places = [i, count + i] if is_regular else [i * i % count, count + i**3 % count]
        shared = xs[-1] if is_regular else xs[2 * count + 7 * i % count]
        products = [graph.add(ops.mul, (xs[places[0]], shared))]
        products.append(graph.add(ops.mul, (shared, xs[places[1]])))
        outs.append(graph.add(ops.add, tuple(products)))
        outs.append(graph.add(ops.sub, (xs[places[1]], xs[places[0]])))
        outs.append(graph.add(ops.div, (xs[places[0]], shared)))
    simplify(graph, outs)
    plan, _ = schedule(graph, {"argument": len(xs), "varying": 0, "data": 0, "grad": 0})
    operands = sum(group.operands.size for group in plan.groups)
    assert {group.primitive for group in plan.groups} == {SUM, ops.sub, ops.div}
    numpy, native = NumpyCode(plan), NativeCode(plan)
    kept = [
        place for *_, places in numpy._steps for place in places if isinstance(place, np.ndarray)
    ]
    assert numpy.nbytes == sum(place.nbytes for place in kept)
    assert (numpy.nbytes < 8 * operands) is is_regular
    few, many = (0, operands) if is_regular else (8 * operands, 9 * operands)
    assert few < native.nbytes < many
    assert len(numpy.memory) == plan.size
    assert plan.size < len(native.memory) < native.memory.base.size < plan.size + 20


def test_words_have_64_bits_where_the_ints_of_numpy_have_32(monkeypatch: Any) -> None:
    """As they do on Windows before NumPy 2."""
    narrow = SimpleNamespace(**vars(np))
    narrow.array = lambda rows, dtype=np.int32: np.array(rows, dtype)
    monkeypatch.setattr("autograd.jit.backends.native.np", narrow)
    test_sums_add_in_written_order("columns", "native")


def test_each_program_has_its_own_memory_aligned_to_a_cache_line() -> None:
    leaf = Value(2.0)
    runs = [jit(lambda x, k=k: leaf * x + k, backend="native") for k in range(5)]
    assert [run(1.0).data for run in runs] == [2.0 + k for k in range(5)]
    assert [run(2.0).data for run in reversed(runs)] == [4.0 + k for k in range(4, -1, -1)]
    for run in runs:
        (program,) = run.programs
        assert program._code.memory.ctypes.data % 64 == 0


# --- choice of the backend ------------------------------------------------------------------------


def in_a_new_process(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_llvmlite_programs_run_on_numpy() -> None:
    assert (
        in_a_new_process(
            """
            import sys
            sys.modules["llvmlite"] = None
            from autograd import Value
            from autograd.jit import jit
            w = Value(2.0)
            def step(x):
                loss = (w * x - 1.0) ** 2
                w.grad = 0.0
                loss.backward()
                w.assign(w - 0.1 * w.grad)
                return loss
            run = jit(step)
            print([run(1.0).data for _ in range(2)], run.programs[0].backend)
            try:
                jit(step, backend="native")
            except ImportError as error:
                print("llvmlite" in str(error) and "pip install" in str(error))
            """
        )
        == "[1.0, 0.6400000000000001] numpy\nTrue"
    )


def test_importing_the_engine_imports_neither_numpy_nor_llvmlite() -> None:
    assert (
        in_a_new_process(
            """
            import sys
            import autograd, nn
            print([name for name in ("numpy", "llvmlite", "autograd.jit") if name in sys.modules])
            """
        )
        == "[]"
    )


def test_autograd_jit_is_the_decorator_and_the_package() -> None:
    assert (
        in_a_new_process(
            """
            import autograd
            from autograd import Value, jit
            w = Value(2.0)
            @jit
            def double(x):
                return w * x
            @autograd.jit(backend="numpy")
            def triple(x):
                return w * x * 1.5
            import autograd.jit as package
            print(double(1.0).data, triple(1.0).data, package.TraceError.__name__)
            """
        )
        == "2.0 3.0 TraceError"
    )


def test_threads_may_compile_kernels_concurrently() -> None:
    """In a process where nothing is compiled yet."""
    assert (
        in_a_new_process(
            """
            import sys, threading
            from autograd import Value
            from autograd.jit import jit
            sys.setswitchinterval(1e-6)
            names = "exp expm1 log log1p sqrt sin cos tanh sigmoid relu softplus erf".split()
            barrier = threading.Barrier(len(names))
            wrong = []
            def job(k):
                leaf = Value(0.75)
                def f(xs):
                    y = [getattr(leaf * x, names[k])() for x in xs]
                    y[0].backward()
                    return y
                barrier.wait()
                try:
                    xs = [1.0 + 0.01 * i for i in range(20)]
                    g = jit(f, backend="native")
                    if any([v.data for v in g(xs)] != [v.data for v in f(xs)] for _ in range(3)):
                        wrong.append(names[k])
                except BaseException as error:
                    wrong.append((names[k], repr(error)))
            threads = [threading.Thread(target=job, args=(k,)) for k in range(len(names))]
            for t in threads: t.start()
            for t in threads: t.join()
            print(wrong)
            """
        )
        == "[]"
    )


def test_a_forked_process_can_replay_compiled_programs() -> None:
    """As the workers of multiprocessing do."""
    assert (
        in_a_new_process(
            """
            import os
            from autograd import Value
            from autograd.jit import jit
            w = Value(2.0)
            run = jit(lambda xs: [(w * x).exp() for x in xs], backend="native")
            for _ in range(3):
                run([0.0] * 9)
            child = os.fork()
            if child == 0:
                w.data = 3.0
                ok = run([0.0] * 9)[0].data == 1.0 and len(run([1.0])) == 1
                os._exit(0 if ok else 1)
            _, status = os.waitpid(child, 0)
            print(status, w.data)
            """
        )
        == "0 2.0"
    )


def test_a_process_forked_while_another_thread_compiles_can_compile() -> None:
    assert (
        in_a_new_process(
            """
            import os, threading
            import llvmlite.binding as llvm
            from autograd import Value
            from autograd.jit import jit
            w = Value(2.0)
            real, compiling, forked = llvm.parse_assembly, threading.Event(), threading.Event()
            def slow(*args):
                compiling.set()
                forked.wait(60)
                return real(*args)
            def compiled(f):
                run = jit(f, backend="native")
                return [run([0.0] * 9)[0].data for _ in range(3)][-1]
            llvm.parse_assembly = slow
            def wave(xs):
                return [(w * x).sin() for x in xs]
            other = threading.Thread(target=compiled, args=(wave,))
            other.start()
            compiling.wait(60)
            child = os.fork()
            if child == 0:
                llvm.parse_assembly = real
                os._exit(0 if compiled(lambda xs: [(w * x).exp() for x in xs]) == 1.0 else 1)
            forked.set()
            other.join()
            print(os.waitpid(child, 0)[1])
            """
        )
        == "0"
    )


def test_an_interrupted_compilation_does_not_block_later_ones() -> None:
    """The interrupt comes after the engine is created and before it is stored."""
    assert (
        in_a_new_process(
            """
            import gc
            import llvmlite.binding as llvm
            from autograd import Value
            from autograd.jit import jit
            w = Value(2.0)
            real = llvm.create_mcjit_compiler
            def interrupted(*args):
                real(*args)
                raise KeyboardInterrupt
            for name in ("exp", "cos"):
                run = jit(lambda xs: [getattr(w * x, name)() for x in xs], backend="native")
                run([0.0] * 9)
                llvm.create_mcjit_compiler = interrupted
                try:
                    run([0.0] * 9)
                except KeyboardInterrupt:
                    gc.collect()
                llvm.create_mcjit_compiler = real
                print([run([0.0] * 9)[0].data for _ in range(3)][-1])
            """
        )
        == "1.0\n1.0"
    )


# --- on NumPy first, compiled later ---------------------------------------------------------------


def training(wrap: Any) -> Any:
    """A training step with Dropout and Adam: replays draw random numbers and read moments."""
    nn.seed(3)
    model = nn.Sequential(nn.Linear(2, 8), nn.tanh, nn.Dropout(0.3), nn.Linear(8, 1))
    optimizer = nn.Adam(model, lr=0.1)

    def step(x: float) -> Any:
        loss = (model([[x, 1.0], [x * x, 2.0]]) - nn.Matrix([[0.5], [1.0]])).map(lambda d: d * d)
        cost = loss.sum()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        return cost

    return wrap(step)


@pytest.mark.parametrize(("check", "last"), [("sometimes", 8), ("never", 7)])
def test_switching_to_compiled_code_does_not_change_results(
    check: str, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 7 replays, but not in a check, which the eighth may be."""
    monkeypatch.setattr("autograd.jit.program.replays_until_compiled", lambda plan: 7)
    xs = [math.sin(i) for i in range(12)]
    eager = training(lambda f: f)
    expected = [eager(x).data for x in xs]
    run = training(lambda f: jit(f, check=check))
    found, planning, compiling, start = [], set(), set(), 0.0
    for x in xs:
        start = start if compiling else time.perf_counter()
        found.append(run(x).data)
        for program in run.programs:
            compiled = program.replays > last
            (compiling if compiled else planning).add(program.seconds["compile"])
            assert program.backend == ("native" if compiled else "numpy")
            begun = "native backend" if compiled else "NumPy so far"
            assert f"{begun}; compiled after 7 replays" in str(program)
    (seconds,) = compiling  # only once
    assert seconds < time.perf_counter() - start
    assert seconds not in planning
    assert found == expected
    assert run.backend is None
    assert run.programs[0].replays == 10


def test_an_interrupted_compiler_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(plan: Any, backend: str) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("autograd.jit.program.replays_until_compiled", lambda plan: 1)
    leaf = Value(1.0)

    def double(x: float) -> Value:
        leaf.data *= 2.0
        return leaf * x

    run = jit(double)
    assert [run(3.0).data for _ in range(3)] == [6.0, 12.0, 24.0]
    with monkeypatch.context() as patched:
        patched.setattr("autograd.jit.program.code_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(3.0)
    assert (leaf.data, run.programs[0].backend) == (8.0, "numpy")
    assert (run(3.0).data, run.programs[0].backend) == (48.0, "native")


def test_a_library_that_does_not_load_leaves_programs_on_numpy(monkeypatch: Any) -> None:
    def broken(plan: Any, backend: str) -> Any:
        raise OSError("no libllvmlite.so")

    monkeypatch.setattr("autograd.jit.program.replays_until_compiled", lambda plan: 1)
    run = jit(lambda x: Value(2.0) * x)
    for x in range(3):
        run(float(x))
    monkeypatch.setattr("autograd.jit.program.code_for", broken)
    with pytest.warns(RuntimeWarning, match=r"stays on NumPy: no libllvmlite\.so") as caught:
        assert [run(3.0).data, run(4.0).data] == [6.0, 8.0]
    assert [warning.filename for warning in caught] == [__file__]
    assert run.programs[0].until_compiled == 0


def test_a_named_backend_is_kept() -> None:
    for backend in ("native", "numpy"):
        run = jit(lambda x: Value(2.0) * x, backend=backend)
        for x in range(30):
            run(float(x))
        assert run.backend == run.programs[0].backend == backend
        assert f"{backend} backend\n" in str(run.programs[0])


def test_large_programs_are_compiled_earlier_than_small_ones() -> None:
    found = []
    for size in (1, 1_000, 100_000):
        graph = Graph()
        sources = [graph.add(Source("argument", i)) for i in range(size)]
        products = [graph.add(ops.mul, (node, node)) for node in sources]
        for a, b in itertools.pairwise(products):
            sums = graph.add(ops.add, (a, b))
            graph.add(ops.sin, (sums,))
        simplify(graph, set(range(len(graph))))
        plan, _ = schedule(graph, {"argument": size, "varying": 0, "data": 0, "grad": 0})
        found.append(replays_until_compiled(plan))
    assert found == sorted(found, reverse=True)
    assert 1_000 < found[0] < 100_000
    assert found[-1] < 600


def test_llvmlite_is_imported_only_when_a_program_is_compiled() -> None:
    assert (
        in_a_new_process(
            """
            import sys
            from autograd import Value
            from autograd.jit import jit
            import autograd.jit.program as program
            program.replays_until_compiled = lambda plan: 3
            w = Value(2.0)
            run = jit(lambda x: w * x + 1.0)
            for call in range(8):
                run(1.0)
                print(int("llvmlite" in sys.modules), end="")
            """
        )
        == "00000111"
    )


def test_a_broken_llvmlite_leaves_programs_on_numpy() -> None:
    assert (
        in_a_new_process(
            """
            import sys, types, warnings
            from importlib.machinery import ModuleSpec
            broken = types.ModuleType("llvmlite")
            broken.__spec__ = ModuleSpec("llvmlite", None)
            sys.modules["llvmlite"] = broken
            from autograd import Value
            from autograd.jit import jit
            import autograd.jit.program as program
            program.replays_until_compiled = lambda plan: 2
            w = Value(2.0)
            run = jit(lambda x: w * x + 1.0)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                print([run(float(x)).data for x in range(9)] == [2.0 * x + 1.0 for x in range(9)])
            print("llvmlite" in str(caught[0].message), caught[0].filename)
            print(run.programs[0].backend, len(caught))
            print(str(run.programs[0]).splitlines()[4].split(", ")[1])
            """
        )
        == "True\nTrue <string>\nnumpy 1\nnumpy backend"
    )
