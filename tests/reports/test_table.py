"""Tables that fit their terminal."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.reports.table import Column, _plain_lines, _tabulated, render

ID = "efficientnet_v2_s-lowrank"
COLUMNS = (
    Column("case", (ID, "b"), left=True),
    Column("J", ("1", "22")),
    Column("wide", ("x" * 30, "y"), drop=1),
    Column("wider still", ("x" * 40, "y"), drop=2),
)


@pytest.mark.parametrize(("width", "lines"), [(200, 4), (75, 5), (40, 5)])
def test_columns_are_left_out_whole_and_named(width: int, lines: int) -> None:
    text = render(COLUMNS, width)
    rows = text.splitlines()
    assert len(rows) == lines
    assert all(len(row) <= width for row in rows[:4])
    assert rows[2].startswith(ID)
    assert ("Not shown at this width" in text) == (lines == 5)


def test_the_least_wanted_column_goes_first() -> None:
    assert render(COLUMNS, 75).splitlines()[-1] == "Not shown at this width: wider still."
    assert render(COLUMNS, 40).splitlines()[-1] == "Not shown at this width: wide, wider still."


def test_a_column_that_nobody_has_a_value_for_is_not_shown() -> None:
    text = render((COLUMNS[0], Column("empty", ("-", ""), drop=5)), 80)
    assert "empty" not in text


def test_a_rule_is_drawn_where_the_group_changes() -> None:
    text = render((Column("case", ("a1", "a2", "b1"), left=True),), 80, groups=["a", "a", "b"])
    assert [set(line) == {"-"} for line in text.splitlines()] == [False, True, False, False, True, False]


def test_numbers_are_shown_as_they_were_written() -> None:
    assert "1.50" in render((Column("case", ("a",), left=True), Column("J", ("1.50",))), 80)


TEXT = st.text(string.ascii_letters + string.digits + " -.+%|", max_size=12)


@st.composite
def columns(draw: st.DrawFn) -> list[Column]:
    count = draw(st.integers(1, 5))
    one = st.builds(Column, TEXT, st.tuples(*[TEXT] * count), left=st.booleans())
    names = Column("case", tuple("x" * (row + 1) for row in range(count)), left=True)
    return [names, *draw(st.lists(one, max_size=3))]


@given(columns(), st.lists(st.sampled_from("ab"), min_size=5, max_size=5))
def test_a_table_of_plain_text_is_laid_out_as_tabulate_does(some: list[Column], groups: list[str]) -> None:
    assert _plain_lines(some, groups) == _tabulated(some, groups)


def test_cells_of_several_lines_or_wide_letters_are_left_to_tabulate() -> None:
    text = render((Column("case", ("a\nb", "\u00e4"), left=True), Column("J", ("1", "22"))), 80)
    assert [line.split() for line in text.splitlines()[2:]] == [["a", "1"], ["b"], ["\u00e4", "22"]]
