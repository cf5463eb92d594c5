"""Programs that take from iterators and files that outlive a call."""

from __future__ import annotations

import collections
import csv
import io
import itertools
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, numbers, programs

from autograd import Value

FLOATS = [0.5 + 0.25 * i for i in range(40)]


def folder() -> Path:
    """A folder for files, removed with the object that the path keeps."""
    made = tempfile.TemporaryDirectory(prefix="fooling")
    kept[made.name] = made
    return Path(made.name)


kept: dict[str, tempfile.TemporaryDirectory[str]] = {}


def removed(path: Path) -> None:
    kept.pop(str(path)).cleanup()


@fooling("iterators", "loud")
def takes_from_a_generator() -> Case:
    w = Value(2.0)

    def rates() -> Iterator[float]:
        lr = 0.5
        while True:
            yield lr
            lr *= 0.5

    rate = rates()

    def step(x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        w.data -= next(rate) * w.grad
        return loss

    return Case(step, observe=lambda: w)


@fooling("iterators", "loud")
def takes_from_a_list_iterator() -> Case:
    w, source = Value(2.0), iter(FLOATS)
    return Case(lambda x: w * x + next(source))


@fooling("iterators", "loud")
def takes_from_zip() -> Case:
    w, pairs = Value(2.0), zip(FLOATS, reversed(FLOATS), strict=True)

    def step(x: float) -> Any:
        a, b = next(pairs)
        return w * x * a - b

    return Case(step)


@fooling("iterators", "loud")
def takes_from_enumerate() -> Case:
    w, source = Value(2.0), enumerate(FLOATS)

    def step(x: float) -> Any:
        i, noise = next(source)
        return w * x + noise * i

    return Case(step)


@fooling("iterators", "loud")
def takes_from_count_in_an_attribute() -> Case:
    class Trainer:
        def __init__(self) -> None:
            self.steps = itertools.count(1)
            self.w = Value(2.0)

        def step(self, x: float) -> Any:
            return self.w * x / next(self.steps)

    trainer = Trainer()
    return Case(lambda x: trainer.step(x))


@fooling("iterators", "loud")
def counts_without_using_the_number() -> Case:
    w, steps = Value(2.0), itertools.count()

    def step(x: float) -> Any:
        next(steps)
        return w * x

    return Case(step, observe=lambda: repr(steps))


@fooling("iterators", "loud")
def cycles_through_batches() -> Case:
    w = Value(2.0)
    batches = itertools.cycle([(1.0, 2.0), (0.5, -1.0), (3.0, 0.25)])

    def step() -> Any:
        return sum((w * x for x in next(batches)), Value(0.0))

    return Case(step, calls=[()] * 10)


@fooling("iterators", "loud")
def a_cycle_of_seven_is_back_at_the_check() -> Case:
    w = Value(2.0)
    targets = itertools.cycle([1.0, 2.0, 2.0, 0.5, 3.0, 1.5, 0.0])

    def step(x: float) -> Any:
        loss = (w * x - next(targets)) ** 2
        w.grad = 0.0
        loss.backward()
        w.data -= 0.05 * w.grad
        return loss

    return Case(step, observe=lambda: w)


@fooling("iterators", "loud")
def takes_from_map_and_filter() -> Case:
    w = Value(2.0)
    source = filter(lambda x: x > 1.0, map(math.sqrt, FLOATS))
    return Case(lambda x: w * x + next(source))


@fooling("iterators", "loud")
def slices_an_iterator() -> Case:
    w, source = Value(2.0), iter(FLOATS)

    def step() -> Any:
        return sum((w * x for x in itertools.islice(source, 3)), Value(0.0))

    return Case(step, calls=[()] * 10)


@fooling("iterators", "loud")
def exhausts_an_iterator_in_its_first_calls() -> Case:
    w, warmup = Value(2.0), iter([0.1, 0.2, 0.3, 0.4, 0.5])
    return Case(lambda x: w * x * next(warmup, 1.0))


@fooling("iterators", "loud")
def sends_to_a_coroutine() -> Case:
    w = Value(2.0)

    def averaging() -> Any:
        total, count, average = 0.0, 0, 0.0
        while True:
            total += yield average
            count += 1
            average = total / count

    average = averaging()
    next(average)
    return Case(lambda x: w * average.send(x))


@fooling("iterators", "loud")
def is_passed_an_iterator() -> Case:
    w = Value(2.0)
    calls = [(map(float.__mul__, [x] * 3, [0.0, 1.0, 2.0]),) for (x,) in numbers()]
    return Case(lambda xs: sum((w * x for x in xs), Value(0.0)), calls=calls)


@fooling("iterators", "equal")
def creates_its_iterators_inside() -> Case:
    weights = [Value(0.5), Value(-1.5), Value(2.0)]

    def step(xs: list[float]) -> Any:
        pairs = iter(zip(weights, xs, itertools.count(1), strict=False))
        w, x, i = next(pairs)
        out = w * x * i
        for w, x, i in pairs:
            out = out + w * x * i
        return out + next(reversed(weights))

    return Case(step, calls=[([x, 2.0 * x, 1.0 - x],) for (x,) in numbers()])


@fooling("iterators", "loud")
def pops_from_a_queue() -> Case:
    w, queue = Value(2.0), collections.deque(FLOATS)
    return Case(lambda x: w * x + queue.popleft(), observe=lambda: queue)


@fooling("iterators", "loud")
def rotates_a_queue() -> Case:
    w, queue = Value(2.0), collections.deque([1.0, 0.5, 0.25, 2.0])

    def step(x: float) -> Any:
        queue.rotate(1)
        return w * x * queue[0]

    return Case(step, observe=lambda: queue)


@fooling("iterators", "loud")
def a_user_defined_iterator() -> Case:
    class Batches:
        def __init__(self) -> None:
            self.at = 0

        def __iter__(self) -> Batches:
            return self

        def __next__(self) -> float:
            self.at += 1
            return FLOATS[self.at % 5]

    w, batches = Value(2.0), Batches()
    return Case(lambda x: w * x + next(batches), observe=lambda: batches)


@fooling("iterators", "loud")
def restarts_after_the_last_batch() -> Case:
    w = Value(2.0)
    place = {"batches": iter(FLOATS[:4])}

    def step(x: float) -> Any:
        try:
            target = next(place["batches"])
        except StopIteration:
            place["batches"] = iter(FLOATS[:4])
            target = next(place["batches"])
        return (w * x - target) ** 2

    return Case(step)


@fooling("iterators", "equal")
def iterates_over_a_view_that_grows() -> Case:
    w = Value(2.0)
    seen: dict[int, float] = {}
    view = seen.values()

    def grow(call: int) -> None:
        if call % 4 == 0:
            seen[call] = call * 0.5

    return Case(lambda x: w * x + sum(view), between=grow, observe=lambda: seen)


# --- files ----------------------------------------------------------------------------------------


@fooling("files", "loud")
def reads_lines_of_an_open_file() -> Case:
    w, file = Value(2.0), io.StringIO("\n".join(map(str, FLOATS)))
    return Case(lambda x: w * x + float(file.readline()), observe=file.tell)


@fooling("files", "loud")
def iterates_over_an_open_file() -> Case:
    w, path = Value(2.0), folder()
    (path / "numbers").write_text("\n".join(map(str, FLOATS)))
    file = (path / "numbers").open()

    def close() -> None:
        file.close()
        removed(path)

    return Case(lambda x: w * x + float(next(file)), close=close)


@fooling("files", "loud")
def reads_rows_of_a_csv() -> Case:
    w = Value(2.0)
    rows = csv.DictReader(io.StringIO("x,y\n" + "\n".join(f"{a},{a * a}" for a in FLOATS)))

    def step() -> Any:
        row = next(rows)
        return w * float(row["x"]) - float(row["y"])

    return Case(step, calls=[()] * 10)


@fooling("files", "loud")
def reads_a_setting_that_changes() -> Case:
    w, path = Value(2.0), folder()
    settings = path / "settings.json"
    settings.write_text('{"scale": 2.0}')

    def change(call: int) -> None:
        if call == 5:
            settings.write_text('{"scale": 3.0}')

    def step(x: float) -> Any:
        return w * x * json.loads(settings.read_text())["scale"]

    return Case(step, between=change, close=lambda: removed(path))


@fooling("files", "equal")
def reads_a_setting_that_stays() -> Case:
    w, path = Value(2.0), folder()
    settings = path / "settings.json"
    settings.write_text('{"scale": 2.0}')

    def step(x: float) -> Any:
        with settings.open() as file:
            return w * x * json.load(file)["scale"]

    return Case(step, close=lambda: removed(path))


@fooling("files", "loud")
def counts_in_a_file() -> Case:
    w, path = Value(2.0), folder()
    counter = path / "count"
    counter.write_text("0")

    def step(x: float) -> Any:
        count = int(counter.read_text()) + 1
        counter.write_text(str(count))
        return w * x / count

    return Case(step, observe=counter.read_text, close=lambda: removed(path))


@fooling("files", "effect")
def appends_a_line_to_a_log() -> Case:
    w, path = Value(2.0), folder()
    log = path / "log"

    def step(x: float) -> Any:
        with log.open("a") as file:
            file.write("a step\n")
        return w * x

    def close() -> None:
        removed(path)

    return Case(step, effects=lambda: log.exists() and log.read_text(), close=close)


@fooling("files", "loud")
def asks_whether_a_file_exists() -> Case:
    w, path = Value(2.0), folder()

    def step(x: float) -> Any:
        return w * x * (3.0 if (path / "stop").exists() else 1.0)

    def change(call: int) -> None:
        if call == 6:
            (path / "stop").touch()

    return Case(step, between=change, close=lambda: removed(path))


@fooling("files", "equal")
def reads_an_environment_variable() -> Case:
    w = Value(2.0)
    os.environ["FOOLING_SCALE"] = "1.5"

    def change(call: int) -> None:
        if call == 4:
            os.environ["FOOLING_SCALE"] = "2.5"

    return Case(
        lambda x: w * x * float(os.environ.get("FOOLING_SCALE", "1")),
        between=change,
        close=lambda: os.environ.pop("FOOLING_SCALE", None),
    )


@fooling("files", "loud")
def writes_an_environment_variable() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        os.environ["FOOLING_CALLS"] = str(int(os.environ.get("FOOLING_CALLS", "0")) + 1)
        return w * x

    return Case(
        step,
        observe=lambda: os.environ.get("FOOLING_CALLS"),
        close=lambda: os.environ.pop("FOOLING_CALLS", None),
    )


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
