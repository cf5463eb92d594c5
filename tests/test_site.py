"""Does the page of notebooks/site play the backward pass of what is typed, and reach nothing else?

The folder is built once, served from this machine, and opened in Chromium. Every request to another
address is counted, by the browser and by a second server that represents the rest of the world.
"""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import pytest

import autograd
import nn
from autograd import steps
from autograd.steps import Steps
from tests import firefox
from tests.chromium import chromium, missing

FOLDER = Path(__file__).parent.parent / "notebooks" / "site"
PATIENCE = 90_000  # milliseconds: steps that take seconds may take this long on a busy machine
SECONDS = 300  # for building, on a busy machine


def module(name: str) -> ModuleType:
    """Import a file of the folder, which is not a package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


build, run = module("build"), module("run")
EXAMPLES = build.examples((FOLDER / "examples.md").read_text(encoding="utf-8"))


def expected(text: str) -> Steps:
    """Return the steps that Python computes for a text typed into the box."""
    shown = run._of_formula(text)
    shown = run._of_code(text) if shown is None else shown
    return shown if isinstance(shown, Steps) else steps(shown)


# --- the text in the box, in Python ---------------------------------------------------------------


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the page of a player is written


def result(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(run.run(text))
    return found


def test_the_numbers_of_a_formula_are_its_leaves() -> None:
    for text in (
        "x = 3; y = -2; h = x*y; tanh(h)",
        "x = 3\ny = -2\nh = x*y\n\ntanh(h)\n",
        "# two leaves\nx = 3  # the first; y\ny = -2\nh = x*y\ntanh(h)",
    ):
        shown = expected(text)
        assert [shown.names[node] for node in shown.nodes if not node.parents] == ["x", "y"]
        assert shown.output.data == pytest.approx(-0.9999877)
        assert result(text)["page"].startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x = 3; 2x", "    x = 3; 2x\n            ^\nexpected an operator or ; here, not x;"),
        ("x*x", "x has no value: add x=..."),
        ("2 + 3", "a formula of numbers alone has no gradients: 2 + 3"),
        ("x = 3; sine(x)", "there is no function sine: did you mean sin?"),
        ("x = 3; ln(x)", "there is no function ln: write log(x)"),
        ("x = 3\ny = 2x", "expected an operator or ; here, not x; a product is written with *"),
        ("x = 3; x(x + 1)", "there is no function x"),
        ("x = 2,5; x*x", "expected an operator or ; here, not ,"),
        ("x = 3; [x + 1]*2", "[ has no meaning in a formula: group with ( and )"),
        ('x = 3; "x + 1"', '" has no meaning in a formula'),
        ("x = 3; x // 2", "expected a number, a name or ( here, not /"),
        ("x = 3; x + 0 == 3", "expected an operator or ; here, not ="),
        ("a = Value(3.0); a*a", "NameError: name 'Value' is not defined"),
    ],
)
def test_an_error_in_a_formula_is_shown_also_if_the_text_is_python(text: str, error: str) -> None:
    found = result(text)
    assert error in found["error"]
    assert found["page"] == ""


def test_a_traceback_shows_only_the_users_lines() -> None:
    text = "import autograd\ndef f(x):\n    return x.log()\n"
    text += "print('here')\n\n\nf(autograd.Value(0))"
    found = result(text)
    assert found["printed"] == "here\n"
    lines = [line for line in found["error"].splitlines() if set(line.strip()) - set("~^")]
    assert [line.strip() for line in lines] == [
        "Traceback (most recent call last):",
        'File "code.py", line 7, in <module>',
        "f(autograd.Value(0))",
        'File "code.py", line 3, in f',
        "return x.log()",
        "ValueError: log(0.0): it takes numbers above 0",
    ]
    assert "SyntaxError" in result("print((1,\nb")["error"]
    assert "SystemExit: 3" in result("raise SystemExit(3)")["error"]
    twice = result("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError(1) from e")
    assert twice["error"].count('File "code.py"') == 2


def test_code_shows_the_value_it_ends_with_or_else_the_newest() -> None:
    first = "from autograd import Value\na = Value(2.0)\nb = a * a\nc = b.tanh()\n"
    for ending, name in (("", "c"), ("b", "b"), ("b.backward()", "c"), ("print(a.grad)", "c")):
        shown = expected(first + ending)
        assert shown.names[shown.output] == name
    assert result("print(6 * 7)") == {"printed": "42\n", "error": "", "page": ""}
    assert result("import math; 6 * 7; 'end'")["printed"] == "'end'\n"


def test_an_output_computed_from_older_numbers_causes_a_warning() -> None:
    loop = "from autograd import Value\nx = Value(3.0)\nfor _ in range(2):\n    y = x * x\n"
    assert result(loop)["printed"] == ""
    step = "    y.backward()\n    x.data -= 0.1 * x.grad\n"
    for _ in range(2):  # in each run
        assert result(loop + step)["printed"].startswith("warning: y was computed from other")


def test_printed_output_is_limited() -> None:
    found = result('for _ in range(100):\n    print("x" * 10_000)')
    assert len(found["printed"]) < 60_000
    assert found["printed"].endswith("… and more")


def test_there_are_a_dozen_examples_with_exercises_among_them() -> None:
    assert len(EXAMPLES) >= 12
    assert sum(example["predict"] for example in EXAMPLES) >= 3
    for example in EXAMPLES:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # for equations that do not hold
            assert expected(str(example["text"])).gradients


# --- the API reference ----------------------------------------------------------------------------


def test_the_reference_shows_docstrings_examples_and_types_as_they_are(tmp_path: Path) -> None:
    # pdoc shows no docstrings of objects, replaces the ".data" after a bracket by a link to the
    # module nn.data, and cannot look up the strings among the annotations of a NamedTuple.
    pytest.importorskip("pdoc")
    build.reference(tmp_path)
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    source = "<pre><span></span><span id=.*?</pre>"
    shown = html.unescape(re.sub(f"(?s){source}|<[^>]*>", "", "\n".join(pages)))
    for package in (autograd, nn):
        for name in package.__all__:
            first, *lines = (getattr(package, name).__doc__ or name).splitlines()
            assert first.replace("`", "") in shown.replace("`", ""), name
            assert [line for line in lines if ">>> " in line and line.strip() not in shown] == []
    assert "ForwardRef(" not in shown
    assert "@scoped" not in shown


# --- the page, in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to serve: the first worker that needs it builds it, and the others wait."""
    if not shutil.which("npm"):
        missing("the page needs npm: apt-get install nodejs npm")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    out, failed = shared / "site", shared / "site-failed"
    try:
        (shared / "site-is-built").mkdir()
    except FileExistsError:
        until = time.monotonic() + SECONDS
        while not (out.exists() or failed.exists()) and time.monotonic() < until:
            time.sleep(0.2)
    else:
        try:
            build.build(shared / "site-part")
            (shared / "site-part").rename(out)
        except Exception as error:
            failed.write_text(f"the page was not built: {error} {getattr(error, 'stderr', '')}")
            if not isinstance(error, subprocess.CalledProcessError):  # of npm or pip, when offline
                raise
    if not out.exists():
        missing(failed.read_text() if failed.exists() else "the page was not built in time")
    return out


@contextmanager
def served(handler: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    """Serves the folder, and lists requests with a question mark, which the page never makes."""

    asked: ClassVar[list[str]] = []

    def log_request(self, *arguments: Any) -> None:
        if "?" in self.path:
            self.asked.append(self.path)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class World:
    """The rest of the world: a server that accepts every request, allows everything, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Content-Type", "text/javascript")
                self.end_headers()

            do_POST = do_OPTIONS = do_GET

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler


class Site:
    """The page in a tab."""

    def __init__(self, tab: Any, address: str) -> None:
        self.tab, self.address = tab, address
        self.aborted: list[str] = []
        self.problems: list[str] = []
        tab.on("pageerror", lambda error: self.problems.append(str(error)))
        tab.route(lambda url: not url.startswith((address, "blob:")), self._abort)

    def _abort(self, route: Any) -> None:
        self.aborted.append(route.request.url)
        route.abort()

    def open(self, fragment: str = "") -> None:
        self.tab.goto("about:blank")  # the same page with another fragment would not load again
        self.tab.goto(self.address + fragment)

    def type(self, text: str) -> None:
        self.tab.fill("#code", text)
        self.tab.set_checked("#predict", False)
        self.tab.click("#run")
        self.wait()

    def wait(self) -> None:
        """Wait until nothing runs."""
        self.tab.locator("#run", has_text="Run").wait_for(timeout=PATIENCE)

    def text(self, name: str) -> str:
        found: str = self.tab.locator(f"#{name}").text_content()
        return found

    @property
    def frame(self) -> Any:
        return self.tab.frames[1]

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.frame.evaluate(
            "document.querySelector('#shown > div').player.state()"
        )
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[World, str]]:
    made = World()
    with served(made.handler()) as address:
        yield made, address


@pytest.fixture(scope="module")
def opened(folder: Path) -> Iterator[Site]:
    with served(partial(Quiet, directory=str(folder))) as address, chromium() as browser:
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        site = Site(context.new_page(), address)
        site.open()
        # Wait for the first example to run: the button says Run before that, too.
        site.tab.locator("#status", has_text="Done in").wait_for(timeout=PATIENCE)
        yield site
        context.close()


@pytest.fixture
def site(opened: Site) -> Iterator[Site]:
    """The page as the previous test left it: Python is started once, as that takes seconds."""
    yield opened
    assert not opened.aborted
    assert not opened.problems


def same(gradients: list[float | None], shown: Steps) -> bool:
    """Whether gradients are Python's; a browser's logarithms may differ in the last digit."""
    known = [shown.gradients.get(node) for node in shown.nodes]
    return known == [g if g is None else pytest.approx(g, rel=1e-12, abs=1e-15) for g in gradients]


def test_a_formula_becomes_a_player_that_steps_and_follows_its_leaves(site: Site) -> None:
    text = "x = 2; w = -1.5; h = x*w; tanh(h) * x"
    site.type(text)
    state = site.state()
    assert same(state["gradients"], expected(text))
    site.frame.locator("button.first").click()
    seen = [site.state()]
    for _ in range(seen[0]["last"]):
        site.tab.keyboard.press("ArrowRight")
        seen.append(site.state())
    assert [each["position"] for each in seen] == list(range(7))
    assert seen[-1] == state
    assert [each["phase"] for each in seen[1:]] == ["forward"] * 3 + ["backward"] * 3
    box = site.frame.locator(".stage .node").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = site.tab.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 40, y, steps=4)
    mouse.up()
    moved = site.state()
    names = expected(text).names.values()
    there = moved["data"][list(names).index("x")]
    assert there > 2.0
    assert same(moved["gradients"], expected(text.replace("x = 2", f"x = {there!r}")))


@pytest.mark.parametrize("which", range(len(EXAMPLES)), ids=[str(e["title"]) for e in EXAMPLES])
def test_each_example_is_played_with_the_gradients_of_python(site: Site, which: int) -> None:
    site.tab.select_option("#examples", str(which))
    site.wait()
    assert site.text("error") == ""
    example = EXAMPLES[which]
    state = site.state()
    shown = expected(str(example["text"]))
    assert len(state["gradients"]) == len(shown.nodes)
    assert site.tab.is_checked("#predict") == example["predict"]
    if example["predict"]:  # gradients appear only after predictions
        assert state["position"] == 0
        assert not any(state["gradients"])
    else:
        assert same(state["gradients"], shown)


@pytest.mark.parametrize("name", ["build.json", "snapshot.bin", "frame.html"])
def test_a_file_that_cannot_be_loaded_is_named(site: Site, name: str) -> None:
    tab = site.tab.context.new_page()
    tab.route(f"**/{name}", lambda route: route.abort())
    tab.goto(site.address)
    said = tab.locator("#status", has_text=f"could not load {name}. Reload it to try again.")
    said.wait_for(timeout=PATIENCE)
    tab.fill("#code", "x = 3; x*x")
    tab.click("#run", timeout=PATIENCE)  # nothing runs that could be stopped, or waited for
    assert said.is_visible()
    assert tab.inner_text("#run") == "Run"
    tab.close()


def test_a_frame_that_is_late_is_still_used(site: Site) -> None:
    tab = site.tab.context.new_page()
    held: list[Any] = []
    tab.route("**/frame.html", lambda route: held.append(route))
    tab.goto(site.address)
    tab.locator("#status", has_text="could not load frame.html").wait_for(timeout=PATIENCE)
    held[0].continue_()
    tab.locator("#status", has_not_text="frame.html").wait_for(timeout=PATIENCE, state="attached")
    tab.click("#run")
    tab.locator("#status", has_text="Done in").wait_for(timeout=PATIENCE)
    tab.close()


def test_an_error_is_shown_and_the_next_text_runs(site: Site) -> None:
    site.type("import numpy")
    assert site.text("error").startswith('Traceback (most recent call last):\n  File "code.py"')
    assert site.text("error").endswith("ModuleNotFoundError: No module named 'numpy'")
    assert not site.tab.locator("#frame").is_visible()
    site.type("x = 1; exp(x)")
    assert site.text("error") == ""
    assert site.tab.locator("#frame").is_visible()


def test_a_long_error_is_wrapped_to_the_width_of_the_page(site: Site) -> None:
    site.type("x = 1; there_is_no_such_function(x)")
    wide = "error => error.scrollWidth > error.clientWidth"
    assert len(site.text("error")) > 200
    assert not site.tab.locator("#error").evaluate(wide)


LEAVING = """
import js
from pyodide.ffi import to_js

there, here = "{there}", "{here}"

def attempt(call, *arguments):
    try:
        result = call(*arguments)
        if hasattr(result, "catch"):
            result.catch(lambda _: None)
    except BaseException as error:
        print(call, error)

def synchronous(address):
    request = js.XMLHttpRequest.new()
    request.open("GET", address, False)
    request.send()
    print("ANSWERED", address)

def worker(source):
    js.Worker.new(js.URL.createObjectURL(js.Blob.new(to_js([source])))).postMessage(1)

for address in (there, here):
    attempt(js.fetch, address + "?fetch")
    attempt(synchronous, address + "?xhr")
    attempt(js.WebSocket.new, address.replace("http", "ws") + "?socket")
    attempt(js.EventSource.new, address + "?events")
    for how in ("fetch", "import", "importScripts"):
        each = f"(async () => {{how}}('{{address}}?{{how}}'))().catch(() => 0)"
        attempt(worker, each)
        attempt(js.Worker.new, "data:text/javascript," + each)
        attempt(js.eval, each)
attempt(js.Worker.new, there + "?worker")
js.self.postMessage(to_js({{"result": {{"printed": "", "error": "", "page": ATTACK}}}},
    dict_converter=js.Object.fromEntries))
"""
# A page not made by Python, full of attempts to run or load something.
ATTACK = """
<script>parent.postMessage({{ran: 1}}, "*"); fetch("{there}?script")</script>
<script type="application/json">{{}}</script>
<img src="{there}?image" onerror="fetch('{there}?handler')">
<meta http-equiv="refresh" content="0; url={there}?refresh">
"""


def test_code_reaches_neither_network_nor_page(site: Site, world: tuple[World, str]) -> None:
    count, there = world
    here = site.address + "build.json"
    attack = f"ATTACK = {ATTACK.format(there=there)!r}\n"
    site.type(attack + LEAVING.format(there=there, here=here))
    assert "ANSWERED" not in site.text("printed")
    site.type("import js\nprint(js.self.origin, hasattr(js, 'document'), hasattr(js, 'caches'))")
    assert site.text("printed") == "null False False\n"
    assert count.asked == Quiet.asked == []
    site.aborted.clear()  # these requests were blocked by the policy and never left


def test_the_frame_cannot_navigate_to_another_address(site: Site, world: tuple[World, str]) -> None:
    count, there = world
    tab = site.tab.context.new_page()
    tab.goto(site.address)
    frame = tab.frame_locator("#frame").locator("#shown")
    frame.wait_for(state="attached")
    tab.frames[1].evaluate("(there) => { location.href = there; }", there + "?navigated")
    frame.wait_for(state="detached")
    assert count.asked == []
    tab.close()


READY = "new Promise((is) => addEventListener('message', ({ data }) => data.ready && is()))"


def test_code_from_a_link_runs_only_on_request(site: Site) -> None:
    text = 'from autograd import Value\nprint("ran <b>once</b>")\ny = Value(3.0) ** 2  # é & #'
    site.open(f"#code={quote(text)}&predict=1")
    site.tab.evaluate(READY)
    assert site.tab.input_value("#code") == text
    assert site.tab.is_checked("#predict")
    assert site.tab.locator("#linked").is_visible()
    assert site.text("printed") == ""
    assert not site.frame.locator("#shown > div").count()
    site.tab.click("#run")
    site.wait()
    assert site.text("printed") == "ran <b>once</b>\n"
    assert site.state()["position"] == 0
    assert parse_qs(urlsplit(site.tab.url).fragment) == {"code": [text], "predict": ["1"]}


def test_an_endless_loop_is_stopped_and_python_restarts(site: Site) -> None:
    drawn = "import random\nprint(random.random())"
    site.type(drawn)
    before = site.text("printed")
    # The next timer is the one that stops Python: shorten its ten seconds to a tenth of one.
    site.frame.evaluate("""() => {
        const wait = window.setTimeout;
        window.setTimeout = (act, ms) => {
            window.setTimeout = wait;
            return wait(act, ms === 10_000 ? ms / 100 : ms);
        };
    }""")
    site.type("while True:\n    pass")
    assert site.text("error") == "Stopped after 10 seconds."
    site.type("x = 3; x*x")
    assert site.text("error") == ""
    assert site.state()["gradients"] == [6.0, 1.0]
    site.type(drawn)  # other draws, although both Pythons started from one snapshot
    assert 0.0 < float(before) != float(site.text("printed")) < 1.0


def test_a_stop_that_comes_too_late_leaves_the_player(site: Site) -> None:
    site.type("x = 3; x*x")
    site.tab.evaluate(
        """() => new Promise((is) => {
            const { contentWindow } = document.querySelector('iframe');
            contentWindow.postMessage({ stop: true }, '*');
            setTimeout(is, 100);
        })"""
    )
    assert site.state()["gradients"] == [6.0, 1.0]


def test_on_a_phone_only_the_page_scrolls_and_only_vertically(site: Site) -> None:
    site.tab.set_viewport_size({"width": 390, "height": 844})
    site.type("x = 3; y = 2; tanh(x*y) + x")
    # The page sets the height of the frame a moment after the player is drawn.
    fits = "innerHeight === document.documentElement.scrollHeight"
    for _ in range(PATIENCE // 100):
        if site.frame.evaluate(fits):
            break
        site.tab.wait_for_timeout(100)
    assert site.frame.evaluate(fits)
    assert site.tab.evaluate("document.documentElement.scrollWidth") == 390
    site.tab.set_viewport_size({"width": 1200, "height": 900})


# --- Firefox --------------------------------------------------------------------------------------


def test_firefox_plays_the_code_of_a_link(folder: Path) -> None:
    script = Path(__file__).with_name("site_firefox.mjs")
    with served(partial(Quiet, directory=str(folder))) as address:
        link = f"{address}#code={quote('x = 3; y = x*x; y + x')}"
        seen = firefox.seen(script, link, str(PATIENCE))
    assert seen["error"] == ""
    assert seen["problems"] == []
    assert same(seen["state"]["gradients"], expected("x = 3; y = x*x; y + x"))
