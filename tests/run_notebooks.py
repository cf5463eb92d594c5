"""How are the notebooks run and stored? Each from the top, in a new process.

    python tests/run_notebooks.py --write [FILE ...]

runs the notebooks (by default all) and stores their outputs in place. Without --write it reports
what changed. It needs `pip install -e ".[notebooks]"`, and torch for notebook 9.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import io
import json
import multiprocessing
import os
import re
import sys
import time
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 600  # for one cell
PRELOADED = ["IPython", "matplotlib.pyplot", "matplotlib_inline.backend_inline", "nbformat"]
PRELOADED += ["nn", "nn.plot", "autograd.draw", "autograd.steps", "autograd.jit"]
FOLDED = re.compile(
    r"<details>\n<summary>Solution of exercise (\d)</summary>\n\n(.*?)\n\n</details>", re.DOTALL
)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stored(path: Path) -> Any:
    """Return a notebook as stored in its file."""
    import nbformat

    return nbformat.read(path, as_version=4)


def executed(path: Path) -> Any:
    """Run a notebook and return it with the new outputs; an error in a cell is raised.

    Times, versions and random ids, which differ between runs or machines, are left out.
    """
    # On POSIX, processes are forks of one that has only imported the libraries.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, context) as process:
        notebook = process.submit(_run, path).result()
    notebook.metadata = METADATA
    players = 0
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            if PLAYER.search(html):
                # Two notebooks may be open on one page, so the name of the file is part of the id.
                players += 1
                key = f"autograd-player-{path.stem}-{players}"
                output["data"]["text/html"] = PLAYER.sub(key, html)
    return notebook


def _run(path: Path) -> Any:
    """Run a notebook in this process, in which nothing ran before; return it with its outputs.

    The cells run in IPython's shell, as in a Jupyter kernel.
    """
    from IPython.core.compilerop import CachingCompiler
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from nbformat.v4 import new_output
    from traitlets.config import Config

    shown: list[Any] = []  # outputs of the current cell
    displays: dict[str, Any] = {}  # outputs that may be updated, by display id

    class Stream(io.TextIOBase):
        def __init__(self, name: str) -> None:
            self.name = name

        def write(self, text: str) -> int:
            if not (shown and shown[-1].get("name") == self.name):
                shown.append(new_output("stream", name=self.name, text=""))
            shown[-1].text += text
            return len(text)

    class Publisher(DisplayPublisher):
        def publish(
            self,
            data: Any,
            metadata: Any = None,
            *,
            transient: Any = None,
            update: bool = False,
            **_: Any,
        ) -> None:
            output = new_output("display_data", data, metadata=metadata or {})
            key = (transient or {}).get("display_id")
            if update:  # replace the output with this id, in its place
                if key in displays:
                    displays[key].update(output)
                return
            shown.append(output)
            if key is not None:
                displays[key] = output

    class Hook(DisplayHook):
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
            shown.append(new_output("execute_result", format_dict, metadata=md_dict))

        def finish_displayhook(self) -> None:
            pass

    class Compiler(CachingCompiler):
        def get_code_name(self, raw_code: str, code: str, number: int) -> str:
            """Return a file name, as a kernel does: messages about a cell's line begin with it."""
            return f"cell/{number}.py"

    class Shell(InteractiveShell):
        def enable_gui(self, gui: Any = None) -> None:
            """There is no event loop to join."""

    notebook = stored(path)
    gc.set_threshold(50_000, 20, 100)  # graphs have no cycles: see conftest.py
    os.chdir(path.parent)
    # First, because the folder of this file has folders with the names of the packages.
    sys.path[:0] = ["", str(FOLDER.parent)]
    shell = Shell.instance(
        compiler_class=Compiler,
        display_pub_class=Publisher,
        displayhook_class=Hook,
        config=Config(HistoryManager={"enabled": False}),
    )

    def run(code: str, what: str) -> Any:
        shown.clear()
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
        with redirect_stdout(Stream("stdout")), redirect_stderr(Stream("stderr")):
            result = shell.run_cell(code, store_history=True)
        if error := result.error_before_exec or result.error_in_exec:
            lines = "".join(traceback.format_exception(error))
            raise RuntimeError(f"{what} of {path.name} raises\n{lines}")
        return result

    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        result = run(cell.source, f"cell {i}")
        cell.execution_count = result.execution_count
        cell.outputs = list(shown)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
    for exercise, code in solutions(notebook.cells[-1].source):
        run(code, f"solution {exercise}")
    faulthandler.cancel_dump_traceback_later()
    return notebook


def solutions(text: str) -> Iterator[tuple[str, str]]:
    """Yield (number of the exercise, code) for each Python block in the folded solutions."""
    for exercise, solution in FOLDED.findall(text):
        for code in re.findall(r"```python\n(.*?)```", solution, re.DOTALL):
            yield exercise, code


# --- outputs, and their differences ---------------------------------------------------------------

PLAYER = re.compile(r"autograd-player-[0-9a-f]{32}")
_RECORDED = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_KEY = re.compile(r"autograd-player-[\w-]+")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_SECONDS = re.compile(r"\b\d+\.\d+ s\b")  # how long a step took, which differs each time
_NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)")


def outputs(cell: Any) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) for each output of a cell; a kind is a MIME type or a stream's name.

    The text of an SVG is what can be read in it; a bitmap has none. That of a player is the data
    that it computes with, and its program.
    """
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            yield output.name, output.text
            continue
        for kind, content in sorted(output.data.items()):
            if kind == "image/svg+xml":
                yield kind, " ".join(ET.fromstring(content).itertext())
            elif kind == "text/html" and _RECORDED.search(content):
                yield kind, _player(content)
            elif kind == "text/html" and 'class="autograd-drawing"' in content:
                yield kind, ""  # its SVG and PNG are compared instead
            else:
                yield kind, "" if kind.startswith("image/") else content


def _player(html: str) -> str:
    recorded = json.loads(_RECORDED.findall(html)[0])
    for laid_out in ("picture", "pictures", "folds"):  # depends on the machine's fonts
        recorded.pop(laid_out, None)
    return _KEY.sub("", json.dumps(recorded) + _SCRIPT.findall(html)[0])


def difference(then: str, now: str) -> str:
    """Describe the first difference: a word, or a number off by more than 1e-6 of it; "" if none.

    Memory addresses and seconds are ignored.
    """
    then, now = (
        " ".join(_SECONDS.sub("s", _ADDRESS.sub("", text)).split()) for text in (then, now)
    )
    parts, others = _NUMBER.split(then), _NUMBER.split(now)
    for i, (part, other) in enumerate(zip(parts, others, strict=False)):
        if part != other and not (i % 2 and _close(part, other)):
            context = slice(max(i - 3, 0), i + 4)
            return f"{''.join(parts[context])!r} is now {''.join(others[context])!r}"
    return "" if len(parts) == len(others) else f"{then[-80:]!r} is now {now[-80:]!r}"


def _close(a: str, b: str) -> bool:
    x, y = (float(number.replace(",", "")) for number in (a, b))
    return abs(x - y) <= 1e-6 * max(1.0, abs(x))


def changes(then: Any, now: Any) -> Iterator[str]:
    """Describe the differences between two runs of a notebook, cell by cell."""
    for i, (old, new) in enumerate(zip(then.cells, now.cells, strict=True)):
        shown, shows = list(outputs(old)), list(outputs(new))
        kinds, others = [kind for kind, _ in shown], [kind for kind, _ in shows]
        if kinds != others:
            yield f"cell {i} shows {others}, but {kinds} is stored"
            continue
        for (kind, text), (_, other) in zip(shown, shows, strict=True):
            if found := difference(text, other):
                yield f"cell {i}, {kind}: {found}"


# --- the command ----------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the outputs were stored or nothing changed, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, default=NOTEBOOKS)
    parser.add_argument("--write", action="store_true", help="store the outputs")
    options = parser.parse_args(arguments)
    changed = False
    for path in options.notebooks:
        start = time.perf_counter()
        now = executed(path)
        seconds = time.perf_counter() - start
        found = list(changes(stored(path), now))
        changed = changed or bool(found)
        print(f"{path.name}: {seconds:.0f} s, {len(found)} outputs changed", flush=True)
        if options.write:
            import nbformat

            nbformat.write(now, path)
        else:
            print(*found, sep="\n")
    return int(changed and not options.write)


if __name__ == "__main__":
    sys.exit(main())
