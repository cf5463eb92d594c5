"""How does a notebook show a drawing? In one of several formats, fitted to its page."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

import pytest

from autograd.draw import draw
from tests.autograd.draw.test_draw import SVG, chain, example_graph, pixels
from tests.chromium import chromium


def test_a_notebook_gets_html_svg_without_ids_png_and_text():
    drawing = draw(example_graph())
    bundle, _ = drawing._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "image/png", "text/plain"}
    assert bundle["text/plain"] == "<Drawing of 8 nodes>"
    png = base64.b64decode(bundle["image/png"])
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert max(pixels(png)) <= 2_000
    assert f'src="data:image/png;base64,{bundle["image/png"]}"' in bundle["text/html"]
    assert bundle["text/html"] == drawing._repr_mimebundle_()[0]["text/html"]
    root = ET.fromstring(bundle["image/svg+xml"])
    assert not [element for element in root.iter() if element.get("id")]
    assert len([g for g in root.iter(f"{SVG}g") if g.get("class") == "node"]) == 8


def test_a_notebook_gets_a_png_with_its_size_on_request():
    drawing = draw(example_graph(), format="png")
    bundle, about = drawing._repr_mimebundle_()
    png = base64.b64decode(bundle["image/png"])
    assert png == drawing.png()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    root = ET.fromstring(drawing.svg())
    width = float(root.get("width").removesuffix("pt")) * 4 / 3  # points to CSS pixels
    assert abs(about["image/png"]["width"] - width) < 3


def test_a_drawing_on_a_page_fits_zooms_and_follows_the_theme():
    wide, small = draw(chain(12)), draw(chain(2))
    html = "".join(drawing._repr_mimebundle_()[0]["text/html"] for drawing in (wide, small))
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1008, "height": 600})
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.set_content(f'<body data-jp-theme-light="true" style="margin: 0">{html}</body>')

        def look(host):
            return page.evaluate(
                """(k) => {
                    const root = document.querySelectorAll(".autograd-drawing")[k].shadowRoot;
                    const svg = root.querySelector("svg");
                    const { width } = svg.getBoundingClientRect();
                    return [width, getComputedStyle(svg).filter, svg.querySelectorAll("a").length];
                }""",
                host,
            )

        page.wait_for_timeout(200)
        natural, size = (
            float(ET.fromstring(d.svg()).get("width")[:-2]) / 0.75 for d in (wide, small)
        )
        assert look(0) == [1008, "none", 12]  # each node has a tooltip
        assert look(1) == [pytest.approx(size, abs=1), "none", 2]
        page.mouse.click(500, 10)
        assert look(0)[0] == pytest.approx(natural, abs=1)
        assert page.evaluate("document.documentElement.scrollWidth") == 1008
        page.keyboard.press("Enter")  # the click gave it the focus
        assert look(0)[0] == 1008
        page.evaluate('document.body.setAttribute("data-jp-theme-light", "false")')
        assert look(0)[1].startswith("invert(")
        page.evaluate('document.body.removeAttribute("data-jp-theme-light")')
        page.emulate_media(color_scheme="dark")
        assert look(0)[1].startswith("invert(")
        assert page.get_by_role("group", name="Graph of 12 nodes").is_visible()
        assert problems == []


@pytest.mark.parametrize(
    ("theme", "dark"),
    [
        ("vscode-dark", True),
        ("vscode-light", False),
        ("vscode-high-contrast", True),
        ("vscode-high-contrast vscode-high-contrast-light", False),
    ],
)
def test_a_drawing_follows_the_theme_of_vs_code_rather_than_the_system(theme, dark):
    html = draw(chain(2))._repr_mimebundle_()[0]["text/html"]
    with chromium() as browser:
        page = browser.new_page(color_scheme="light" if dark else "dark")
        page.set_content(f'<body class="{theme}">{html}</body>')
        shown = page.locator(".autograd-drawing svg").evaluate("(e) => getComputedStyle(e).filter")
        assert shown.startswith("invert(") == dark
