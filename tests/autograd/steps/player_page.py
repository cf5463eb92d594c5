"""A player in a browser, as the tests see it: a page, what it says it shows, and graphs to try."""

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
MEDIA = {"color_scheme": "light", "reduced_motion": "reduce"}
# Wait until the page has the window's size and its players have seen theirs (they began to observe
# it earlier), then bring them back to their first step.
OPENED = """async ([width, atStart]) => {
    do {
        await new Promise((seen) => new ResizeObserver(seen).observe(document.documentElement));
    } while (innerWidth !== width);
    if (!atStart) return;
    for (const host of document.querySelectorAll('div')) {
        if (host.player) host.shadowRoot.querySelector('button.first').click();
    }
}"""
# The script is most of a page, and that of the page before is the same: the window has it.
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
    """The page of these steps: most of its time goes into Graphviz's layout.

    All such pages have one script, and so one policy. The picture that stands there without
    scripts has a tenth of its pixels each way, which takes less time: its size stays.
    """
    image = {"IMAGE_SCALE": pages.IMAGE_SCALE / 10, "IMAGE_PIXELS": pages.IMAGE_PIXELS / 10}
    with patch.multiple(pages, uuid4=lambda: UUID(int=0), **image):
        return pages.page(shown.passed, predict)


def policy(html: str) -> str:
    """What a page allows itself: a tag at its beginning, or nothing."""
    found = re.search(r"<meta http-equiv=[^>]*>", html[:2_000])
    return found[0] if found else ""


class Page:
    """A page with a player on it, what it printed, and what it asked the network for."""

    in_front: ClassVar[Any] = None
    # Of each tab: the page that hears what happens in it, and the policy and script it has loaded.
    listening: ClassVar[dict[Any, Page]] = {}
    scripts: ClassVar[dict[Any, tuple[str, Any]]] = {}

    def __init__(self, tab: Any, folder: Path, scripted: bool = True) -> None:
        self.tab = tab
        self.folder = folder
        self.scripted = scripted  # or else the tab runs no scripts
        self.printed: list[str] = []
        self.requests: list[str] = []
        self.emulated = False
        self.blocked: list[str] = []  # by the page's own policy, before they left
        if tab not in Page.listening:  # once, as the browser is told of each listener
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
        """The tabs are closed."""
        cls.listening.clear()
        cls.scripts.clear()
        cls.in_front = None

    def open(self, content: Steps | str, at_start: bool = True, anew: bool = False) -> Page:
        """Load a page, into the window of the page before where the same policy holds.

        That is much faster, and the nodes, listeners and scroll positions of the page before are
        gone. Only names of `window` stay; a test that makes some loads its page `anew`.
        """
        if isinstance(content, Steps):
            self.names = [content.names[node] for node in content.nodes]
        html = content if isinstance(content, str) else saved(content)
        if Page.in_front is not self.tab:  # a browser draws once a second what lies behind
            Page.in_front = self.tab
            self.tab.bring_to_front()
        opened = [self.tab.viewport_size["width"], at_start]
        allowed = policy(html)
        before, script = Page.scripts.pop(self.tab, ("", None))
        if allowed and allowed == before and not anew:
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
        if not anew:
            Page.scripts[self.tab] = allowed, script
        return self

    def emulate(self, **media: str) -> None:
        """What the system prefers, until the page is closed."""
        self.emulated = True
        self.tab.emulate_media(**media)

    def close(self) -> None:
        if self.emulated:
            self.tab.emulate_media(**MEDIA)

    def state(self, which: int = 0) -> dict[str, Any]:
        """What the player says it shows: see player.js."""
        state: dict[str, Any] = self.run("return host.player.state();", which=which)
        return state

    def run(self, body: str, argument: Any = None, which: int = 0) -> Any:
        """Code in the page, which knows a player's `host` and `root`, and the `argument`."""
        return self.tab.evaluate(
            f"""async ([argument, which]) => {{
                const host = [...document.querySelectorAll('div')].filter((d) => d.player)[which];
                const root = host.shadowRoot;
                {body}
            }}""",
            [argument, which],
        )

    def until(self, condition: str) -> None:
        """Let time pass, in a tab with `clock=True`, until a condition on a player's `state`."""
        for _ in range(100):
            if self.run(f"const state = host.player.state(); return {condition};"):
                return
            self.tab.clock.run_for(200)
        pytest.fail("not so after 20 s of the page's time")

    def soon(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so: a busy browser takes its time.

        Playwright's own `wait_for_function` may need `eval`, which the page's policy forbids.
        """
        for _ in range(200):
            if condition():
                return
            self.tab.wait_for_timeout(50)
        pytest.fail("not so after 10 s")

    def find(self, selector: str, **filters: Any) -> Any:
        return self.tab.locator(selector, **filters)

    def node(self, i: int) -> Any:
        return self.find(".stage .node").nth(i)

    def click(self, part: Any) -> None:
        """Click a part that can be hit: with one message, which is cheaper than a mouse's way."""
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
    """The code of these files of the player."""
    return "\n".join(map(read, names))


@cache
def fragment(shown: Steps) -> str:
    return pages.fragment(shown.passed)


def fill(browsed: Page, *rows: list[float]) -> list[dict[str, Any]]:
    """Type numbers into the fields of the leaves, in the order of the list: the states after it.

    Several lists are typed in one after the other.
    """
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
    """Fingers down at the first points, then moved to the next, then up."""
    client = browsed.tab.context.new_cdp_session(browsed.tab)
    kinds = ["touchStart", *["touchMove"] * (len(stages) - 1)]
    for kind, stage in zip(kinds, stages, strict=True):
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(stage)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def view(browsed: Page) -> tuple[float, float, float]:
    """How far the drawing is moved, and its scale."""
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
    """Gradients with an exponent, which take the most room."""
    x = Value(v[0], "a_leaf_with_a_long_name")
    return named("L", (x * -1.2345e-05 + Value(v[1], "b") * 1.2345e-10) * 1.5)


GRAPHS: dict[str, tuple[Callable[[list[float]], Value], list[float]]] = {
    "neuron": (neuron, [0.8, 0.3, 0.1]),
    "fan-out": (fan_out, [1.5]),
    "kinks": (kinks, [2.0, -0.75]),
    "transcendental": (transcendental, [0.3, -1.2]),
    "powers": (powers, [0.7, 1.6]),
    "a primitive of the user's": (own_primitive, [0.4]),
}
LOOKED_AT = {
    "a network": (network, [0.8, -0.3, 0.1, -0.6, 0.4, 0.2, 0.9, -1.1, 0.3]),
    "tiny gradients": (tiny, [0.5, 3.0]),
}
graphs = pytest.mark.parametrize("name", GRAPHS)


@cache
def made(name: str) -> Steps:
    build, values = (GRAPHS | LOOKED_AT)[name]
    return steps(build(values))
