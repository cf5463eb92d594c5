"""How is text printed where the output encoding lacks signs? Those are replaced by ASCII."""

from __future__ import annotations

import re
import sys

_RAISED, _LOWERED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "₀₁₂₃₄₅₆₇₈₉"
_DIGITS = str.maketrans(_RAISED + _LOWERED, "-0123456789" + "0123456789")
# A number above or below the line is one sign, and so is any other character beyond ASCII.
_SIGN = re.compile(f"[{_RAISED}]+|[{_LOWERED}]+|√\\(|[^\\x00-\\x7f]")
_IN_ASCII = {
    "→": "->",
    "←": "<-",
    "×": "x",
    "·": "*",
    "√": "sqrt ",
    "√(": "sqrt(",
    "σ": "sigma",
    "∂": "d",
    "…": "...",
    "↵": "\\n",
    "⇥": "\\t",
    "␡": "\\x7f",
    "�": "?",
} | {chr(0x2400 + c): f"\\x{c:02x}" for c in range(32)}


def for_stream(text: str) -> str:
    """The text with every sign that standard output cannot encode replaced by ASCII.

    An arrow becomes `->`; signs without an equivalent become escapes such as `\\u03b8`. This
    changes the length, so replace before aligning.
    """
    try:
        encoding = sys.stdout.encoding
        "".encode(encoding)
    except (AttributeError, LookupError, TypeError, ValueError):
        encoding = "utf-8"  # of a file in memory it is None; another stream may have none we know
    return text if _has(encoding, text) else _SIGN.sub(lambda m: _shown(m.group(), encoding), text)


def _has(encoding: str, text: str) -> bool:
    """Whether a text can be written in this encoding."""
    if text.isascii():
        return True
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _shown(sign: str, encoding: str) -> str:
    if _has(encoding, sign):
        return sign
    if sign[0] in _RAISED or sign[0] in _LOWERED:
        return ("^" if sign[0] in _RAISED else "_") + sign.translate(_DIGITS)
    if sign in _IN_ASCII:
        return _IN_ASCII[sign]
    return sign.encode("ascii", "backslashreplace").decode("ascii")
