"""How does a formula write an operation? A template, and how tightly it binds."""

from __future__ import annotations

import re
from typing import NamedTuple

from autograd.text import quoted

LEVELS = ("sum", "product", "sign", "power", "atom")  # the later, the tighter an operation binds


class Form(NamedTuple):
    """How a formula writes an operation.

    Attributes:
        template: `#1`, `#2`, ... stand for the operands, as in a TeX macro. `#1:sum` is put in
            parentheses unless it binds at least as tightly as a "sum"; the other levels are
            "product", "sign" (a minus in front), "power" and "atom" (a name). A template without
            operands is the name of a function: `max` is written `max(#1, #2)`.
        level: how tightly the operation itself binds.
    """

    template: str
    level: str = "atom"


def checked_form(primitive: str, operands: int, form: str | Form) -> Form:
    """The Form of a primitive with so many operands.

    Raises TypeError for what is no form, and ValueError for an operand that is not there.
    """
    form = Form(form) if isinstance(form, str) else form
    if not isinstance(form, Form) or form.level not in LEVELS:
        raise TypeError(
            f"Primitive {primitive!r}: text and latex take a template, or a Form with one of"
            f" the levels {', '.join(LEVELS)}, not {quoted(form)}"
        )
    for operand in re.findall(r"#(\d+)", form.template):
        if not 1 <= int(operand) <= operands:
            raise ValueError(
                f"Primitive {primitive!r} has no operand #{operand}, which stands in the form"
                f" {form.template!r}: there are {operands}, from #1 on"
            )
    return form
