"""How is the page made? As a folder of static files: python notebooks/site/build.py OUT [--api].

Pyodide and Graphviz's WebAssembly build come from npm, at the versions below, into a cache of the
user. The engine goes in twice: as its files, and as the memory snapshot of a Python that imported
them. With --api, pdoc makes a reference from the docstrings in OUT/api. Any web server can serve
the folder: python -m http.server -d OUT.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = {"pyodide": "314.0.7", "@viz-js/viz": "3.31.0"}  # from npm
GRAPHVIZ = "graphviz==0.21"  # pure Python: it writes the DOT source that Graphviz lays out
COPIED = ("index.html", "site.css", "site.js")
FROM_PYODIDE = ("pyodide.asm.wasm", "python_stdlib.zip")
ENGINE = ("pyodide/pyodide.js", "pyodide/pyodide.asm.mjs", "@viz-js/viz/dist/viz-global.js")


def build(out: Path, api: bool = False) -> None:
    """Write the page into a folder, which is made if it is missing.

    Raises FileNotFoundError if npm or node is missing, and CalledProcessError if one of them, pip
    or pdoc fails.
    """
    modules = fetched() / "node_modules"
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copy(HERE / name, out)
    for name in FROM_PYODIDE:
        shutil.copyfile(modules / "pyodide" / name, out / name)
    lock = json.loads((modules / "pyodide/pyodide-lock.json").read_text(encoding="utf-8"))
    lock["packages"] = {}  # none can be loaded here, so Pyodide must not recommend any
    (out / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    (out / "engine.js").write_text(engine(modules), encoding="utf-8")
    (out / "frame.html").write_text(frame(), encoding="utf-8")
    (out / "packages.json").write_text(json.dumps(packages()), encoding="utf-8")
    snapshot(modules, out)
    listed = examples((HERE / "examples.md").read_text(encoding="utf-8"))
    about = {"examples": listed, "api": api}
    (out / "build.json").write_text(json.dumps(about), encoding="utf-8")
    if api:
        reference(out / "api")


def reference(out: Path) -> None:
    """Write the API reference into a folder, with the template in the folder api."""
    command = [sys.executable, "-m", "pdoc", "--docformat", "google", "-t", str(HERE / "api")]
    subprocess.run([*command, "-o", str(out), "autograd", "nn"], check=True, cwd=ROOT)


def fetched() -> Path:
    """The folder with the npm packages, which are installed once, atomically."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("the page needs npm: apt-get install nodejs npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scalar-autograd"
    folder = cache / f"site-{'-'.join(PACKAGES.values())}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as made:
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
            packages = [f"{name}@{version}" for name, version in PACKAGES.items()]
            subprocess.run([*command, f"{made}/whole", *packages], check=True, capture_output=True)
            with suppress(OSError):  # another process was faster
                Path(made, "whole").rename(folder)
    return folder


def engine(modules: Path) -> str:
    """The script of the worker.

    It is not a module: in a frame without an origin, Chromium starts no worker from a module. So
    what only a module may contain is replaced in Pyodide's.
    """
    sources = [(modules / name).read_text(encoding="utf-8") for name in ENGINE]
    sources.append((HERE / "worker.js").read_text(encoding="utf-8"))
    text = re.sub(r"^//# sourceMappingURL=.*", "", "\n".join(sources), flags=re.MULTILINE)
    for what, instead in (("import.meta.url", "self.location.href"), ("export default", ";")):
        if what not in text:
            raise ValueError(f"this Pyodide has no {what}: is its worker still made like this?")
        text = text.replace(what, instead)
    return text


def packages() -> dict[str, str]:
    """The files that Python has in the page, by name: this project's, graphviz's and run.py."""
    texts = {"site_run.py": (HERE / "run.py").read_text(encoding="utf-8")}
    with TemporaryDirectory() as folder:
        for root in (ROOT / "autograd", ROOT / "nn", graphviz(folder)):
            for path in sorted(root.rglob("*")):
                if path.suffix in (".py", ".js", ".css"):
                    name = path.relative_to(root.parent).as_posix()
                    texts[name] = path.read_text(encoding="utf-8")
    return texts


def graphviz(folder: str) -> Path:
    """The package graphviz: the installed one if its version fits, else one put into the folder."""
    name, wanted = GRAPHVIZ.split("==")
    with suppress(PackageNotFoundError):
        installed = distribution(name)
        if installed.version == wanted:
            return Path(str(installed.locate_file(name)))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, folder, GRAPHVIZ], check=True, capture_output=True)
    return Path(folder, name)


def snapshot(modules: Path, out: Path) -> None:
    """Write a memory snapshot of a Python that has imported the packages of a folder into it."""
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError("the page needs node: apt-get install nodejs npm")
    # Compile its WebAssembly quickly rather than well: it runs for only a few seconds.
    command = [node, "--liftoff-only", str(HERE / "snapshot.mjs"), str(modules / "pyodide")]
    files = [str(out / "packages.json"), str(out / "snapshot.bin")]
    subprocess.run([*command, *files], check=True, capture_output=True)


def frame() -> str:
    """The frame that runs code. Its policy allows the script and the styles in it, nothing else."""
    sys.path.insert(0, str(ROOT))
    from autograd.steps.page import hash_of
    from autograd.steps.player import SCRIPTS, read, style

    own = (HERE / "frame.js").read_text(encoding="utf-8")
    # In a block of its own, the frame's script can use any name.
    script = "\n".join(["(() => {", '"use strict";', *map(read, SCRIPTS), "{", own, "}})();"])
    ground = (HERE / "frame.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {hash_of(script)} 'wasm-unsafe-eval'; worker-src blob:;"
        f" connect-src 'none'; style-src {hash_of(ground)} {hash_of(style())}; base-uri 'none';"
        " form-action 'none'"
    )
    page = (HERE / "frame.html").read_text(encoding="utf-8")
    for name, text in (("policy", policy), ("style", ground), ("script", script)):
        page = page.replace(f"{{{name}}}", text, 1)
    return page


def examples(text: str) -> list[dict[str, str | bool]]:
    """The examples in a Markdown text: each is a heading and the code block that follows it.

    An example whose heading ends in "(predict first)" is an exercise.
    """
    found = re.findall(r"^## (.+?)( \(predict first\))?\n.*?^```\w+\n(.*?)^```$", text, re.M | re.S)
    return [
        {"title": title + exercise, "text": code.rstrip(), "predict": bool(exercise)}
        for title, exercise, code in found
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the page, as a folder of static files.")
    parser.add_argument("out", type=Path, help="the folder")
    parser.add_argument("--api", action="store_true", help="with the API reference, by pdoc")
    options = parser.parse_args()
    try:
        build(options.out, options.api)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or b""
        sys.exit(f"{parser.prog}: {error}\n{said.decode(errors='replace')}".rstrip())
