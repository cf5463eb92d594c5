"""Where do the README's pictures come from? From here: `python -m tests.readme_pictures`.

They show one neuron, drawn and in the player. The player needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from autograd import Value, draw, steps

PICTURES = Path(__file__).parent.parent / "notebooks" / "pictures"


def neuron() -> Value:
    """tanh(x1 w1 + x2 w2 + b), differentiated."""
    x1, x2 = Value(2.0, label="x1"), Value(0.5, label="x2")
    w1, w2 = Value(-1.5, label="w1"), Value(1.0, label="w2")
    b = Value(3.3, label="b")
    n = x1 * w1 + x2 * w2 + b
    n.label = "n"
    output = n.tanh()
    output.label = "o"
    output.backward()
    return output


def player(path: Path) -> None:
    """Save a screenshot of the player in the middle of the backward pass."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        steps(neuron()).save(Path(folder) / "neuron.html")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1)
        page.goto(f"file://{folder}/neuron.html")
        page.keyboard.press("Tab")
        page.keyboard.press("End")
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(1000)
        page.screenshot(path=path, full_page=True)
        browser.close()


def main() -> None:
    """Write both pictures."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    PICTURES.mkdir(exist_ok=True)
    draw(neuron(), edges=True).save(PICTURES / "neuron.png")
    player(PICTURES / "player.png")


if __name__ == "__main__":
    main()
