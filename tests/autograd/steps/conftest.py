"""How do the tests of the player get a browser? One Chromium, whose tabs are opened only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from autograd.steps import Steps
from autograd.steps.player import SCRIPTS
from tests.autograd.steps.player_page import MEDIA, VIEWPORT, Page, script
from tests.chromium import chromium

launched: list[tuple[ExitStack, Tabs]] = []  # one browser, while tests of this folder run


class Tabs:
    """tabs(**settings): a tab with these settings, opened once because that is slow.

    With `clock=True`, the clock of its pages stands still until a test advances it.
    """

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.opened: dict[tuple[Any, ...], Any] = {}

    def __call__(self, clock: bool = False, **settings: Any) -> Any:
        key = (clock, *sorted(settings.items()))
        if key not in self.opened:
            context = self.browser.new_context(viewport=VIEWPORT, **MEDIA, **settings)
            self.opened[key] = context.new_page()
            if clock:
                self.opened[key].clock.install(time=0)
                self.opened[key].clock.pause_at(1_000)
        return self.opened[key]

    @cached_property
    def console(self) -> Any:
        """An empty page to run code in. It opens in front of the others."""
        Page.in_front = None
        return self.browser.new_page()

    @cached_property
    def code(self) -> Any:
        """What the player's scripts define, sent once: {name: function or class}."""
        names = "Graph, Pass, agrees, explained, missed, questionsOf, typedNumber"
        defined = f"{script(*SCRIPTS)} return {{ {names} }};"
        return self.console.evaluate_handle(f"() => {{ {defined} }}")


@pytest.fixture
def tabs() -> Tabs:
    if not launched:
        stack = ExitStack()
        launched.append((stack, Tabs(stack.enter_context(chromium()))))
    return launched[0][1]


@pytest.fixture
def console(tabs: Tabs) -> Any:
    """An empty page to run code in."""
    return tabs.console


@pytest.fixture
def code(tabs: Tabs) -> Any:
    """What the player's scripts define: `code.evaluate` passes it as the first argument."""
    return tabs.code


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Close the browser after the last test of this folder.

    Starting it takes seconds, so the modules share it. Outside the folder, its event loop would
    interfere with tests that run their own.
    """
    try:
        return (yield)
    finally:
        if launched and (nextitem is None or nextitem.path.parent != item.path.parent):
            launched.pop()[0].close()
            Page.forget()


@pytest.fixture
def open_page(tabs: Tabs, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """open_page(steps or html, **settings of the tab): a page, checked when the test ends.

    Players open on the finished pass; `at_start` returns them to their first step.
    """
    pages: list[Page] = []

    def open_page(
        content: Steps | str,
        viewport: dict[str, int] = VIEWPORT,
        media: dict[str, str] | None = None,
        at_start: bool = True,
        reload: bool = False,
        **settings: Any,
    ) -> Page:
        tab = tabs(**settings)
        if viewport != tab.viewport_size:
            tab.set_viewport_size(viewport)
            Page.scripts.pop(tab, None)  # load a new page: an old one may be late to resize
        pages.append(Page(tab, tmp_path, settings.get("java_script_enabled", True)))
        if media:
            pages[-1].emulate(**media)
        return pages[-1].open(content, at_start, reload)

    yield open_page
    for made in pages:
        made.check()
        made.close()
