"""Does the page say what is so? Its words, beside what is known and what can be done."""

from __future__ import annotations

from collections.abc import Callable

from autograd import Value
from autograd.steps import steps
from tests.autograd.steps.player_page import Page, fill

OpenPage = Callable[..., Page]


def lines(browsed: Page, selector: str) -> list[str]:
    """The text of each such part that is seen, in one line."""
    return [" ".join(text.split()) for text in browsed.find(selector).all_inner_texts()]


def test_beyond_an_error_the_chain_rule_has_what_is_known(open_page: OpenPage) -> None:
    x = Value(0.5, "x")
    browsed = open_page(steps(x.log() * 2 + x))
    browsed.node(0).click()
    fill(browsed, [-1.0])
    direct, through_log = lines(browsed, ".chain .use .numbers")
    assert direct == "= 1 × 1 = 1"
    assert through_log == "= ? × ? = ?"  # log has no slope at -1, whatever 1 / x is
    assert lines(browsed, ".chain .path .numbers") == ["= 1", "= 2 × ? = ?"]
    assert lines(browsed, ".sum .equation")[0].endswith("= 1 + ? = ?")
    assert browsed.state()["problem"] == "log(x = -1): it takes numbers above 0"
