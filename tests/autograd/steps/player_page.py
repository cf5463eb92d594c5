"""How do tests use a player in a browser? As a page that reports its state, with graphs to try."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import UUID

import pytest

from autograd import Primitive, Value, maximum, ops, where
from autograd.steps import Steps, steps
from autograd.steps import page as pages
from autograd.steps.player import read
from autograd.value import is_constant

VIEWPORT = {"width": 1200, "height": 900}
MEDIA = {"color_scheme": "light", "reduced_motion": "reduce", "forced_colors": "none"}
# Wait until the page has the window's size and its players know theirs (their resize observers
# are older than this one, so called earlier), then return them to their first step.
OPENED = """async ([width, atStart]) => {
    do {
        await new Promise((seen) => new ResizeObserver(seen).observe(document.documentElement));
    } while (innerWidth !== width);
    if (!atStart) return;
    for (const host of document.querySelectorAll('div')) {
        if (host.player) host.shadowRoot.querySelector('button.first').click();
    }
}"""
# The script makes up most of a page and is always the same: reuse the one the window has.
REPLACED = f"""async ([html, script, ...opened]) => {{
    document.open();
    const loaded = new Promise((is) => addEventListener('load', is, {{ once: true }}));
    document.write(html.replace('<script></script>', () => `<script>${{script}}</script>`));
    document.close();
    await loaded;
    await ({OPENED})(opened);
}}"""

CLICK = """(part) => {
    part.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const { left, top, width, height } = part.getBoundingClientRect();
    const hit = part.getRootNode().elementFromPoint(left + width / 2, top + height / 2);
    if (!part.contains(hit)) throw new Error(`${part.outerHTML} is covered`);
    part.focus({ preventScroll: true });
    part.dispatchEvent(new MouseEvent('click', { bubbles: true, composed: true, detail: 1 }));
}"""


@cache
def saved(shown: Steps, predict: bool = False) -> str:
    """The page of these steps, cached because Graphviz's layout is slow.

    All such pages have the same script, so the same policy. To save time, the picture shown
    without scripts has a tenth of its usual resolution, at the same size on the page.
    """
    image = {"IMAGE_SCALE": pages.IMAGE_SCALE / 10, "IMAGE_PIXELS": pages.IMAGE_PIXELS / 10}
    with patch.multiple(pages, uuid4=lambda: UUID(int=0), **image):
        return pages.page(shown.passed, predict)


def policy(html: str) -> str:
    """The Content-Security-Policy tag of a page, or ""."""
    found = re.search(r"<meta http-equiv=[^>]*>", html[:2_000])
    return found[0] if found else ""


class Page:
    """A page with a player, what it printed, and its network requests."""

    in_front: ClassVar[Any] = None
    # For each tab: the page that receives its events, and the policy and script it has loaded.
    listening: ClassVar[dict[Any, Page]] = {}
    scripts: ClassVar[dict[Any, tuple[str, Any]]] = {}

    def __init__(self, tab: Any, folder: Path, scripted: bool = True) -> None:
        self.tab = tab
        self.folder = folder
        self.scripted = scripted  # whether the tab runs scripts
        self.printed: list[str] = []
        self.requests: list[str] = []
        self.emulated = False
        self.blocked: list[str] = []  # requests blocked by the page's own policy
        if tab not in Page.listening:  # once, as each listener takes a message to the browser
            heard = Page.listening
            tab.on("console", lambda message: heard[tab].printed.append(message.text))
            tab.on("pageerror", lambda error: heard[tab].printed.append(str(error)))
            tab.on("request", lambda request: heard[tab].requests.append(request.url))
            tab.on("requestfailed", lambda request: heard[tab]._failed(request))
        Page.listening[tab] = self

    def _failed(self, request: Any) -> None:
        if request.failure == "csp":
            self.requests.remove(request.url)
            self.blocked.append(request.url)

    @classmethod
    def forget(cls) -> None:
        """Forget the tabs, which have been closed."""
        cls.listening.clear()
        cls.scripts.clear()
        cls.in_front = None

    def open(self, content: Steps | str, at_start: bool = True, reload: bool = False) -> Page:
        """Load a page, into the window of the previous page if that has the same policy.

        That is much faster, and removes the previous page's nodes, listeners and scroll positions.
        Only its globals remain; a test that defines any loads its page with `reload=True`.
        """
        if isinstance(content, Steps):
            self.names = [content.names[node] for node in content.nodes]
        html = content if isinstance(content, str) else saved(content)
        if Page.in_front is not self.tab:  # a hidden tab is drawn once a second
            Page.in_front = self.tab
            self.tab.bring_to_front()
        opened = [self.tab.viewport_size["width"], at_start]
        allowed = policy(html)
        before, script = Page.scripts.pop(self.tab, ("", None))
        if allowed and allowed == before and not reload:
            bare = re.sub(r"<script>.*</script>", "<script></script>", html, flags=re.DOTALL)
            self.tab.evaluate(REPLACED, [bare, script, *opened])
        else:
            file = self.folder / "page.html"
            file.write_text(html, encoding="utf-8")
            self.tab.goto(file.as_uri())
            if not self.scripted:
                return self
            self.tab.evaluate(OPENED, opened)
            code = "document.querySelector('script:not([type])')?.textContent"
            script = self.tab.evaluate_handle(code)
        if not reload:
            Page.scripts[self.tab] = allowed, script
        return self

    def emulate(self, **media: str) -> None:
        """Emulate the system's preferences until the page is closed."""
        self.emulated = True
        self.tab.emulate_media(**media)

    def close(self) -> None:
        if self.emulated:
            self.tab.emulate_media(media="null", **MEDIA)

    def state(self, which: int = 0) -> dict[str, Any]:
        """The state that the player reports: see player.js."""
        state: dict[str, Any] = self.run("return host.player.state();", which=which)
        return state

    def run(self, body: str, argument: Any = None, which: int = 0) -> Any:
        """Run code in the page, with a player's `host` and `root`, and `argument`, in scope."""
        return self.tab.evaluate(
            f"""async ([argument, which]) => {{
                const host = [...document.querySelectorAll('div')].filter((d) => d.player)[which];
                const root = host.shadowRoot;
                {body}
            }}""",
            [argument, which],
        )

    def until(self, condition: str) -> None:
        """Advance the clock of a tab with `clock=True` until a condition on `state` holds."""
        for _ in range(100):
            if self.run(f"const state = host.player.state(); return {condition};"):
                return
            self.tab.clock.run_for(200)
        pytest.fail(f"not after 20 s of the page's time: {condition}")

    def soon(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds: a busy browser takes its time.

        Playwright's own `wait_for_function` may need `eval`, which the page's policy forbids.
        """
        for _ in range(200):
            if condition():
                return
            self.tab.wait_for_timeout(50)
        pytest.fail("the condition does not hold after 10 s")

    def find(self, selector: str, **filters: Any) -> Any:
        return self.tab.locator(selector, **filters)

    def node(self, i: int) -> Any:
        return self.find(".stage .node").nth(i)

    def click(self, part: Any) -> None:
        """Click a part, unless it is covered. One message is faster than moving the mouse."""
        part.evaluate(CLICK)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def focus(self) -> None:
        self.find(".player").first.focus()

    def check(self) -> None:
        assert self.printed == []
        assert [url for url in self.requests if not url.startswith(("file:", "data:"))] == []
        assert sum(url.startswith("file:") for url in self.requests) <= 1


def script(*names: str) -> str:
    """The code of these player files."""
    return "\n".join(map(read, names))


@cache
def fragment(shown: Steps) -> str:
    return pages.fragment(shown.passed)


def fill(browsed: Page, *rows: list[float]) -> list[dict[str, Any]]:
    """Type each row of numbers into the fields of the leaves; return the state after each row."""
    states: list[dict[str, Any]] = browsed.run(
        """const fields = root.querySelectorAll('.leaves input[type=number]');
        return argument.map((values) => {
            values.forEach((value, i) => {
                fields[i].value = String(value);
                fields[i].dispatchEvent(new Event('input', { bubbles: true }));
            });
            return host.player.state();
        });""",
        rows,
    )
    return states


def touch(browsed: Page, *stages: list[tuple[float, float]]) -> None:
    """Put fingers down at the first points, move them to the next ones, and lift them."""
    client = browsed.tab.context.new_cdp_session(browsed.tab)
    kinds = ["touchStart", *["touchMove"] * (len(stages) - 1)]
    for kind, stage in zip(kinds, stages, strict=True):
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(stage)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def view(browsed: Page) -> tuple[float, float, float]:
    """The translation and the scale of the drawing."""
    text = browsed.find(".stage .graph").get_attribute("transform")
    found = re.fullmatch(r"translate\((\S+) (\S+)\) scale\((\S+)\)", text)
    assert found is not None
    x, y, scale = map(float, found.groups())
    return x, y, scale


def movable(node: Value) -> bool:
    return not node.parents and not is_constant(node)


# --- graphs, each a function of its leaves' numbers -----------------------------------------------


def named(label: str, value: Value) -> Value:
    value.label = label
    return value


def neuron(v: list[float]) -> Value:
    w1, w2, b = (Value(x, label) for x, label in zip(v, ("w1", "w2", "b"), strict=True))
    z = named("z", w1 * 0.5 + w2 * -1.25 + b)
    return named("loss", (z.tanh() - 1) ** 2)


def fan_out(v: list[float]) -> Value:
    (x,) = (Value(x, "x") for x in v)
    y = named("y", x * x)
    return named("L", y * x + y / (x * x + 1) - x)


def kinks(v: list[float]) -> Value:
    a, b = Value(v[0], "a"), Value(v[1], "b")
    chosen = where(ops.greater(a, b), a * b, a - b)
    return named("L", chosen.relu() * 2 + maximum(a, 0.5) - abs(b))


def transcendental(v: list[float]) -> Value:
    a, b = Value(v[0], "a"), Value(v[1], "b")
    waves = a.sin() * b.cos() + a.sigmoid() * b.softplus()
    return named("L", waves + (a * b).erf() + (a.exp() + 1).log() / (b * b + 1).sqrt())


def powers(v: list[float]) -> Value:
    a, b = Value(v[0], "a"), Value(v[1], "b")
    return named("L", (a * a + 0.5) ** b + (b.expm1() - a**3) * (a * a).log1p())


cube = Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)


def own_primitive(v: list[float]) -> Value:
    (x,) = (Value(x, "x") for x in v)
    return named("L", cube(x * 2) - ops.tanh(cube(x)))


def network(v: list[float]) -> Value:
    """The loss of a 2-2-1 tanh MLP."""
    inputs = [Value(0.5, "x1"), Value(-1.0, "x2")]
    numbers = iter(v)

    def neuron(inputs: list[Value], layer: int, i: int) -> Value:
        names = [f"layers.{layer}.neurons.{i}.w.{k}" for k in range(len(inputs))]
        weights = [Value(next(numbers), name) for name in names]
        total = Value(next(numbers), f"layers.{layer}.neurons.{i}.b")
        for w, x in zip(weights, inputs, strict=True):
            total = total + w * x
        return total.tanh()

    hidden = [neuron(inputs, 0, i) for i in range(2)]
    return named("loss", (neuron(hidden, 1, 0) - 1.0) ** 2)


def tiny(v: list[float]) -> Value:
    """Gradients in exponential notation, which are the widest numbers."""
    x = Value(v[0], "a_leaf_with_a_long_name")
    return named("L", (x * -1.2345e-05 + Value(v[1], "b") * 1.2345e-10) * 1.5)


GRAPHS: dict[str, tuple[Callable[[list[float]], Value], list[float]]] = {
    "neuron": (neuron, [0.8, 0.3, 0.1]),
    "fan-out": (fan_out, [1.5]),
    "kinks": (kinks, [2.0, -0.75]),
    "transcendental": (transcendental, [0.3, -1.2]),
    "powers": (powers, [0.7, 1.6]),
    "custom primitive": (own_primitive, [0.4]),
}
FOR_PICTURES = {
    "a network": (network, [0.8, -0.3, 0.1, -0.6, 0.4, 0.2, 0.9, -1.1, 0.3]),
    "tiny gradients": (tiny, [0.5, 3.0]),
}
graphs = pytest.mark.parametrize("name", GRAPHS)


@cache
def made(name: str) -> Steps:
    build, values = (GRAPHS | FOR_PICTURES)[name]
    return steps(build(values))
