"""Cells and tables of a report: what is shown, and what a CSV file gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.reports.charts.chart import Cell, Field, Numbers
from energybench.reports.page.contents import Table, anchor, numbers, of_part, renamed, shown
from energybench.reports.part import Part
from energybench.reports.table import Column

KWH = Field("energy_kwh", "energy, mWh", 1e6, 3)


def test_a_number_is_shown_on_its_scale_and_kept_in_full() -> None:
    cell = shown(KWH, 0.000123456789)
    assert (cell.text, cell.value, cell.kind) == ("123", "0.000123456789", "number")


@pytest.mark.parametrize("cell", [None, float("nan"), float("inf")])
def test_what_is_absent_or_no_number_is_a_dash_and_never_zero(cell: Cell) -> None:
    assert (shown(KWH, cell).text, shown(KWH, cell).value, shown(KWH, cell).kind) == ("–", "", "absent")


def test_a_count_is_shown_in_all_its_digits() -> None:
    assert shown(Field("parameters", "parameters"), 11_181_642).text == "11181642"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_the_csv_file_has_the_very_number(value: float) -> None:
    assert float(shown(KWH, value).value) == value


def test_a_column_without_a_value_is_left_out_but_the_first_stays() -> None:
    fields = [Field(name, name) for name in ("case", "a", "b")]
    kept = numbers(fields, [("", None, 0.0), ("", None, None)])
    assert [field.name for field in kept.fields] == ["case", "b"]
    assert kept.rows == (("", 0.0), ("", None))


def test_a_column_is_one_of_numbers_only_where_no_cell_is_text() -> None:
    table = Table("t", "t", Numbers((KWH, KWH, KWH), ((1.0, "a", None), (None, 2.0, None))))
    assert table.is_number == [True, False, False]


def test_a_part_of_a_terminal_report_becomes_a_table() -> None:
    part = Part(
        "Title", (Column("case", ("a", "b")), Column("empty", ("-", "-")), Column("J", ("1", "-"))), lines=("n",)
    )
    table = of_part("p", part)
    assert [field.title for field in table.numbers.fields] == ["case", "J"]
    assert table.numbers.rows == (("a", "1"), ("b", None))
    assert table.notes == ("n",)


@given(st.lists(st.text(max_size=6), max_size=8))
def test_names_become_different_ids_of_plain_letters(names: list[str]) -> None:
    ids = [table.name for table in renamed([Table(name, "", Numbers((), ())) for name in names])]
    assert len(set(ids)) == len(names)
    assert all(set(id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") for id in ids)


def test_an_id_of_no_plain_letter_is_still_one() -> None:
    assert anchor("") == "x"
    assert anchor("能耗") == "--"
