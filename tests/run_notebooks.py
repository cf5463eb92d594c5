"""How are the notebooks run and stored? Each from the top, in a kernel of its own.

    python tests/run_notebooks.py --write [FILE ...]

runs notebooks (all of them, if none is named) and stores the outputs in place. Without --write it
says what has changed. It needs what `pip install -e ".[notebooks]"` installs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 600  # for one cell
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stored(path: Path) -> Any:
    """The notebook as it stands in its file."""
    import nbformat

    return nbformat.read(path, as_version=4)


def executed(path: Path) -> Any:
    """The notebook with the outputs of a new run; an error in a cell is raised.

    What differs from run to run or between machines is left out: times, versions, random ids.
    """
    from nbclient import NotebookClient

    notebook = stored(path)
    NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        # No remarks on encryption, and no history of commands, which nobody reads.
        extra_arguments=["--IPKernelApp.log_level=ERROR", "--HistoryManager.enabled=False"],
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
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


# --- what a learner sees --------------------------------------------------------------------------

PLAYER = re.compile(r"autograd-player-[0-9a-f]{32}")
_RECORDED = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_KEY = re.compile(r"autograd-player-[\w-]+")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_SECONDS = re.compile(r"\b\d+\.\d+ s\b")  # what a step took: another time each time
_NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)")


def outputs(cell: Any) -> Iterator[tuple[str, str]]:
    """(kind, text) of all that a cell shows: MIME types, or the name of a stream.

    The text of a picture is what can be read in it; of one made of pixels there is none. That of a
    player is all that it computes with, and its program.
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
            else:
                yield kind, "" if kind.startswith("image/") else content


def _player(html: str) -> str:
    recorded = json.loads(_RECORDED.findall(html)[0])
    recorded.pop("picture")  # laid out by the fonts of the machine
    return _KEY.sub("", json.dumps(recorded) + _SCRIPT.findall(html)[0])


def difference(then: str, now: str) -> str:
    """Where two texts differ in a word, or in a number by more than 1e-6 of it; "" if nowhere.

    Addresses and seconds do not count.
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
    """What two runs of a notebook show differently, cell by cell."""
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
    """0: stored, or nothing has changed; 1: something has."""
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
