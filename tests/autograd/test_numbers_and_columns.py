"""Do numbers, names and columns look as described, at the limits of each description too?"""

from __future__ import annotations

import pytest

from autograd.text import (
    aligned,
    clipped,
    counted,
    first_and_last,
    fixed,
    grouped,
    is_one_word,
    quoted,
    wrapped,
)


def test_a_million_is_shown_without_decimals() -> None:
    numbers = (999_999.5, -1e6, 1e6, -1e7)
    assert [*map(fixed, numbers)] == ["999999.5000", "-1e+06", "1e+06", "-1e+07"]


def test_a_count_of_1_is_singular() -> None:
    assert [counted(n, "leaf", "leaves") for n in (0, 1, 2)] == ["0 leaves", "1 leaf", "2 leaves"]
    assert counted(1200, "node") == "1,200 nodes"


def test_a_negative_number_is_in_parentheses_after_an_operator() -> None:
    assert [*map(grouped, ("-2", "2"))] == ["(-2)", "2"]


def test_the_middle_of_a_name_of_more_than_40_characters_is_left_out() -> None:
    name = "0123456789" * 4
    assert clipped(name) == name
    assert clipped(f"{name}x") == "01234567890123456789…234567890123456789x"


def test_200_characters_8_parts_and_4_levels_of_an_object_are_quoted() -> None:
    assert quoted("x" * 198) == repr("x" * 198)
    assert len(quoted("x" * 199)) == len(quoted(type("A" * 300, (), {}))) == 200
    assert quoted([*range(9)]) == "[0, 1, 2, 3, 4, 5, 6, 7, ...]"
    assert quoted([[[["x", [0.5]]]]]) == "[[[['x', [...]]]]]"


@pytest.mark.parametrize("name", ["x", "x\u0302₁", "layers[0].w'", "重み", "long…name"])
def test_a_word_is_an_operand_as_it_is(name: str) -> None:
    assert is_one_word(name)


@pytest.mark.parametrize("name", ["x + y", "two words", "α\u2003β", "−x", "\u0302", ""])
def test_other_names_are_no_operands_as_they_are(name: str) -> None:
    assert not is_one_word(name)


def test_columns_are_as_wide_as_their_cells_except_the_last_of_a_short_row() -> None:
    rows = [("a", "", "e", "bb", "c"), ("ddd", "", "eee", "a long remark"), ("", "", "", "d", "ff")]
    assert aligned(rows, "lllrr") == [
        "a      e    bb   c",
        "ddd    eee  a long remark",
        "             d  ff",
    ]


def test_entries_are_wrapped_at_the_width_and_never_within() -> None:
    entries = ["long entry", "ab", "cd", "efg", "hi", "j", "k"]
    lines = ["title", "long entry", "ab    cd", "efg", "hi    j", "k"]
    assert wrapped("title", entries, 8) == lines
    for last, count in ((48, 1), (49, 2)):  # in a terminal of 100 columns
        assert len(wrapped("title", ["x" * 48, "x" * last])) == 1 + count


def test_of_many_the_first_and_last_are_shown() -> None:
    assert first_and_last(3, 4) == [0, 1, 2]
    assert first_and_last(4, 4) == [0, 1, 2, 3]
    assert first_and_last(5, 4) == [0, 1, None, 3, 4]
    assert first_and_last(9, 6) == [0, 1, 2, None, 6, 7, 8]
