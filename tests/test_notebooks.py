"""Do the notebooks and the solutions of their exercises run, and give the stored outputs?

All ten take about a minute. `python tests/run_notebooks.py --write` updates stored outputs.
"""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_notebooks import FOLDED, NOTEBOOKS, changes, difference, executed, stored

NEEDED = ("IPython", "nbformat", "matplotlib", "sklearn")
TORCH = {"9_leaving_for_pytorch.ipynb"}  # skipped without torch, which is not a test dependency
MEGABYTE = 1_000_000

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@every_notebook
def test_a_notebook_runs_and_gives_its_stored_outputs(path):
    if path.name in TORCH and find_spec("torch") is None:
        pytest.skip("needs torch: pip install -e '.[torch]'")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        reason = f"needs {', '.join(missing)}: pip install -e '.[notebooks]'"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    found = list(changes(stored(path), executed(path)))
    assert not found, "\n".join([*found, "python tests/run_notebooks.py --write updates it"])


@pytest.mark.parametrize("number", [0, 2])  # in others, a second run may continue training
def test_a_cell_that_runs_twice_gives_the_same_outputs(number, tmp_path):
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install -e '.[notebooks]'")
    path = NOTEBOOKS[number]
    content = json.loads(path.read_text(encoding="utf-8"))
    last = content["cells"].pop()  # holds the solutions, which run at the end
    twice = [cell | {"id": f"{i}-{k}"} for i, cell in enumerate(content["cells"]) for k in (1, 2)]
    content["cells"] = [*twice, last]
    copy = tmp_path / path.name
    copy.write_text(json.dumps(content), encoding="utf-8")
    cells = executed(copy).cells[:-1]
    assert not list(changes(SimpleNamespace(cells=cells[::2]), SimpleNamespace(cells=cells[1::2])))


# --- stored notebooks, read without Jupyter -------------------------------------------------------


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def shown(path: Path) -> list[dict]:
    """Return the outputs of all cells."""
    return [output for cell in cells(path) for output in cell.get("outputs", [])]


def pictures(path: Path, kind: str) -> list[str]:
    """Return the outputs of a MIME type."""
    found = [output.get("data", {}).get(kind) for output in shown(path)]
    return ["".join(content) for content in found if content]


def test_there_are_ten_notebooks_numbered_from_0():
    assert [path.name.split("_")[0] for path in NOTEBOOKS] == list("0123456789")


@every_notebook
def test_the_title_has_the_number_of_the_file_and_is_a_question(path):
    title = cells(path)[0]["source"][0]
    assert re.fullmatch(rf"# {path.name[0]}\. .+\?\n?", title)


@every_notebook
def test_a_notebook_ends_with_exercises(path):
    text = "".join(cells(path)[-1]["source"])
    assert "## Exercises\n" in text
    exercises = re.findall(r"^(\d)\. \S.+", text.split("## Exercises\n")[1], re.MULTILINE)
    assert len(exercises) >= 3
    assert exercises == list("12345")[: len(exercises)]


@every_notebook
def test_each_exercise_has_a_folded_solution_below_the_exercises(path):
    exercises, *rest = "".join(cells(path)[-1]["source"]).partition("\n\n<details>")
    folded = FOLDED.findall("".join(rest))
    asked = re.findall(r"^(\d)\. \S.+", exercises.split("## Exercises\n")[1], re.MULTILINE)
    assert [exercise for exercise, _ in folded] == asked
    assert all(len(solution) > 100 for _, solution in folded)
    assert "".join(rest).count("<details>") == len(folded)
    assert any("```python" in solution for _, solution in folded)  # runs with the notebook


@every_notebook
def test_every_code_cell_ran_in_order_without_errors_or_warnings(path):
    counts = [cell["execution_count"] for cell in cells(path) if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    for output in shown(path):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", output["text"]


@every_notebook
def test_a_notebook_has_drawings_and_plots(path):
    assert pictures(path, "image/png")
    for svg in (drawings := pictures(path, "image/svg+xml")):
        assert svg.startswith("<svg")
    assert drawings


@pytest.mark.parametrize("number", [0, 2, 5])
def test_a_player_is_stored_with_a_static_picture(number):
    players = [
        html for html in pictures(NOTEBOOKS[number], "text/html") if 'id="autograd-player-' in html
    ]
    assert players
    for html in players:
        assert re.search(r'<img alt="[^"]+"[^>]* src="data:image/png;base64,', html)
        assert "<script>" in html
    ids = [re.search(r'id="(autograd-player-[^"]+)"', html)[1] for html in players]
    assert len(set(ids)) == len(ids)


@every_notebook
def test_a_notebook_reveals_nothing_about_the_machine_it_ran_on(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    texts = [cell["source"] for cell in notebook["cells"]]
    texts += [output.get("text", "") for output in shown(path)]
    texts += pictures(path, "text/plain")
    for text in map("".join, texts):
        assert not re.search(r"(?<![\w.])/(home|root|tmp|Users|usr)/|[A-Z]:\\", text)
        assert not re.search(r" at 0x[0-9a-f]+", text)


@every_notebook
def test_a_notebook_is_smaller_than_1_5_megabytes(path):
    assert path.stat().st_size < 1.5 * MEGABYTE


# --- what counts as a change ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("loss 0.25", "loss 0.25000001"),
        ("grad 1.665e-16", "grad -0"),
        ("1,048,576 paths", "1048576 paths"),
        ("a   b\n c", "a b c"),
        ("<f at 0x7f01>", "<f at 0x55aa>"),
        ("trace   0.037 s  29 nodes", "trace  12.400 s  29 nodes"),
    ],
)
def test_differences_between_machines_are_not_changes(then, now):
    assert not difference(then, now)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("loss 0.25", "loss 0.2501"),
        ("loss 0.25", "cost 0.25"),
        ("3 nodes", "4 nodes"),
        ("trace 0.037 s  3 nodes", "trace 0.037 s  4 nodes"),
        ("grad 2", "grad -2"),
        ("a 1 b 2", "a 1"),
        ("a 1", "a 1 b 2"),
        ("grad 1", "grad nan"),
    ],
)
def test_a_different_number_or_word_is_a_change(then, now):
    assert difference(then, now)


def a_notebook(data: dict[str, str]) -> SimpleNamespace:
    """Return a notebook of one cell with one output."""
    output = SimpleNamespace(output_type="execute_result", data=data)
    return SimpleNamespace(cells=[{"outputs": [output]}])


def drawn(number: float, x: float = 1.0) -> dict[str, str]:
    return {"image/svg+xml": f'<svg><text x="{x}">data {number}</text></svg>', "text/plain": "D"}


def test_a_drawing_is_compared_by_its_text_not_by_its_layout():
    assert not list(changes(a_notebook(drawn(2.0)), a_notebook(drawn(2.0, x=7.0))))
    assert list(changes(a_notebook(drawn(2.0)), a_notebook(drawn(3.0))))


def test_a_different_kind_of_output_is_a_change():
    (found,) = changes(a_notebook({"text/plain": "D"}), a_notebook(drawn(2.0)))
    assert found == "cell 0 shows ['image/svg+xml', 'text/plain'], but ['text/plain'] is stored"


def player(**recorded: object) -> dict[str, str]:
    data = json.dumps({"picture": "<svg/>", "css": "", "steps": 1.0} | recorded)
    html = f'<script type="application/json">{data}</script><script>mount("a")</script>'
    return {"text/html": html}


def test_a_player_is_compared_except_for_the_layout_of_its_picture():
    assert not list(changes(a_notebook(player()), a_notebook(player(picture="<svg x='1'/>"))))
    assert list(changes(a_notebook(player()), a_notebook(player(steps=2.0))))
    assert list(changes(a_notebook(player()), a_notebook(player(css="b { color: red }"))))
