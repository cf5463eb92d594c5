"""What does `python -m autograd` do? It shows the backward pass of a formula typed in the shell."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import textwrap
from collections.abc import Sequence

from autograd import Value, draw, steps
from autograd.steps import Steps
from autograd.steps.chain_rule import Explanation
from autograd.text import print_error
from autograd.typed import PUBLIC, FormulaError, computed, number_named

EXAMPLES = """\
examples:
  python -m autograd "(x * w + b).tanh() ** 2" x=2 w=-1.5 b=3.5
  python -m autograd "h = x * w; maximum(h, 0) / 2" x=2 w=1.5 --out relu.html
  python -m autograd "x * x + sin(x)" x=pi/2 --table
  python -m autograd "x * x + sin(x)" x=3 --explain x

A formula consists of names, numbers, + - * / **, parentheses, and functions:
tanh(x) or x.tanh(). Its parts can be named, as h above. The constants are pi
and e. The functions:
"""
ENDINGS = (".html", ".svg", ".png", ".pdf", ".dot")


def main(arguments: Sequence[str] | None = None) -> int:
    """Show a formula as the command line asks, and return the exit code.

    0: success; 1: failure, such as a file that cannot be written; 2: a formula that cannot be
    parsed, or computed with these numbers; 130: stopped by Ctrl-C. Wrong usage raises SystemExit
    with exit code 2.
    """
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    # A leading space keeps argparse from reading a formula such as -x ** 2 as an option.
    given = [f" {text}" if re.match(r"-[^-h]|-h.", text) else text for text in given]
    options = parser.parse_intermixed_args(given)
    if options.formula is None:
        parser.print_help()
        return 0
    if options.out is not None and os.path.splitext(options.out)[1].lower() not in ENDINGS:
        parser.error(f"--out takes a file name ending in {', '.join(ENDINGS)}")
    try:
        _show(options)
        print(end="", flush=True)  # not sys.stdout.flush(): sys.stdout may be None
        return 0
    except FormulaError as error:
        place = f"{error.place}\n" if error.place else ""
        print(f"{place}{parser.prog}: {error.reason}", file=sys.stderr)
        return 2
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        print_error(parser.prog, error)
        return 1
    except KeyboardInterrupt:
        return 130


def _show(options: argparse.Namespace) -> None:
    numbers: dict[str, float] = {}
    for argument in options.values:
        name, number = number_named(argument.strip())
        if name in numbers:
            raise FormulaError(f"{name} is given twice", argument, 0)
        numbers[name] = number
    output = computed(options.formula.strip(), numbers)
    try:
        passed = steps(output)
        explanation = None if options.explain is None else passed.explain(options.explain)
    except (ArithmeticError, ValueError) as error:  # there is no such derivative or node
        raise FormulaError(str(error)) from None
    texts = [passed.table()] if options.table else []
    if explanation is not None:
        texts.append(str(_for_the_shell(explanation)))
    if texts:
        print("\n\n".join(texts))
    if options.out:
        _write(output, passed, options.out)
    elif not texts:
        _open(passed)


def _for_the_shell(explanation: Explanation) -> Explanation:
    """Return the explanation, pointing to a use with `--explain NAME` instead of a Python call."""
    uses = explanation.uses
    names = [use.name for use in uses if use.upstream and use.name != explanation.output]
    return explanation._replace(opening=f"--explain {names[0]}" if names else "")


def _write(output: Value, passed: Steps, path: str) -> None:
    if path.lower().endswith(".html"):
        passed.save(path)
        return
    output.backward()  # the picture shows gradients
    draw(output, edges=True).save(path)


def _open(passed: Steps) -> None:
    """Open the player in the browser. Its file stays, as the browser may read it at any time."""
    import tempfile
    import webbrowser
    from pathlib import Path

    path = Path(tempfile.mkdtemp(prefix="autograd-"), "player.html")
    passed.save(path)
    is_open = webbrowser.open(path.as_uri())
    print(path if is_open else f"there is no browser to open {path} in")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autograd",
        description="Show the forward and backward pass of a formula in the browser, step by step.",
        epilog=EXAMPLES + textwrap.indent(textwrap.fill(", ".join(PUBLIC), 76), "  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("formula", nargs="?", help="such as 'x * w + b', in quotes")
    parser.add_argument(
        "values", nargs="*", metavar="name=number", help="a number for each name in the formula"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write the player (.html), or a picture (.svg .png .pdf .dot)"
    )
    parser.add_argument("--table", action="store_true", help="print all steps as a table")
    parser.add_argument("--explain", metavar="NAME", help="print the chain rule for a node")
    return parser


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may contain any character
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
