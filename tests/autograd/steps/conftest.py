"""A browser for the tests of the player: Chromium, with tabs that are opened once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autograd.steps import Steps
from tests.autograd.steps.player_page import TO_THE_START, VIEWPORT, Page
from tests.chromium import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def tabs(browser: Any) -> Iterator[Callable[..., Any]]:
    """tabs(**settings): a tab with these settings, opened once, as opening one is slow.

    With `clock=True` time stands still in its pages until a test lets it pass.
    """
    opened: dict[tuple[Any, ...], Any] = {}

    def tab(clock: bool = False, **settings: Any) -> Any:
        key = (clock, *sorted(settings.items()))
        if key not in opened:
            opened[key] = browser.new_context(viewport=VIEWPORT, **settings).new_page()
            if clock:
                opened[key].clock.install(time=0)
                opened[key].clock.pause_at(1_000)
        return opened[key]

    yield tab
    for made in opened.values():
        made.context.close()


@pytest.fixture(scope="module")
def console(tabs: Callable[..., Any]) -> Any:
    """An empty page to run code in."""
    return tabs().context.new_page()


@pytest.fixture
def open_page(tabs: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """open_page(steps or html, **settings of the tab): a page, checked when the test ends.

    Players open on a finished pass; with `at_start` they are brought back to their first step.
    """
    pages: list[Page] = []

    def open_page(
        content: Steps | str,
        viewport: dict[str, int] = VIEWPORT,
        media: dict[str, str] | None = None,
        at_start: bool = True,
        **settings: Any,
    ) -> Page:
        tab = tabs(**settings)
        if viewport != tab.viewport_size:
            tab.set_viewport_size(viewport)
        pages.append(Page(tab, tmp_path))
        if media:
            pages[-1].emulate(**media)
        made = pages[-1].open(content)
        if at_start and settings.get("java_script_enabled", True):
            made.tab.evaluate(TO_THE_START)
        return made

    yield open_page
    for made in pages:
        made.check()
        made.close()
