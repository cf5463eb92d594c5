"""How is an operation written in a formula? By a template, and how tightly it binds."""

from __future__ import annotations

import re
from typing import NamedTuple

from autograd.text import quoted

LEVELS = ("sum", "product", "sign", "power", "atom")  # from the loosest binding to the tightest


class Form(NamedTuple):
    """How an operation is written in a formula.

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
    """Return the Form of a primitive with this number of operands.

    Raises TypeError if `form` is not a form, and ValueError if it has an operand beyond `operands`.
    """
    form = Form(form) if isinstance(form, str) else form
    is_form = isinstance(form, Form) and isinstance(form.template, str)
    if not is_form or form.level not in LEVELS:
        raise TypeError(
            f"Primitive {primitive!r}: text and latex take a template, or a Form with one of"
            f" the levels {', '.join(LEVELS)}, not {quoted(form)}"
        )
    for operand in re.findall(r"#(\d+)", form.template):
        if not 1 <= int(operand) <= operands:
            raise ValueError(
                f"Primitive {primitive!r} has no operand #{operand}, which the form"
                f" {form.template!r} uses: there are {operands}, counted from #1"
            )
    return form
