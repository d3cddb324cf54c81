"""Table bodies as HTML and as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from energybench.reports.charts.chart import Field, Numbers
from energybench.reports.page.contents import Table
from energybench.reports.page.markup import as_csv, body, numeric_columns

FIELDS = (Field("case", "case"), Field("energy_kwh", "energy, mWh", 1e6), Field("note", "note"))
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


def table(*rows: Any) -> Table:
    return Table("t", "t", Numbers(FIELDS, rows))


@given(case=TEXTS, note=TEXTS)
def test_every_text_comes_out_as_it_went_in(case: str, note: str, read: Any) -> None:
    tree = read(f"<table><tbody>{body(table((case, None, note)))}</tbody></table>")
    (row,) = tree.all("tr")
    assert [cell.text for cell in row.all("th", "td")] == [case, "–", note]
    assert {element.tag for element in row.all()} <= {"th", "td"}


def test_a_number_has_its_value_in_full_where_it_is_shown_rounded(read: Any) -> None:
    tree = read(f"<table>{body(table(('a', 1.23456789e-5, None)))}</table>")
    number, absent = tree.all("td")
    assert (number.text, number.attributes) == ("12.3", {"data-v": "1.23456789e-05"})
    assert (absent.text, absent.attributes) == ("–", {"class": "absent", "data-v": ""})


def test_long_texts_may_be_broken_and_the_longest_scroll(read: Any) -> None:
    tree = read(f"<table>{body(table(('a' * 40, 1.0, 'b' * 5000)))}</table>")
    (head,) = tree.all("th")
    assert head.attributes == {"scope": "row", "class": "w"}
    (span,) = tree.all("span")
    assert span.attributes == {"class": "long"}
    assert span.text == "b" * 5000


def test_csv_has_the_fields_names_and_the_numbers_in_full() -> None:
    text = as_csv(table(("a", 1.23456789e-5, 'x, "y"\n'), ("b", None, None)))
    assert list(csv.reader(io.StringIO(text))) == [
        ["case", "energy_kwh", "note"],
        ["a", "1.23456789e-05", 'x, "y"\n'],
        ["b", "", ""],
    ]


def test_columns_of_numbers_are_set_flush_right_by_their_place() -> None:
    assert numeric_columns(2) == ".n1>tbody>tr>:nth-child(1),.n2>tbody>tr>:nth-child(2){text-align:right}"
    assert numeric_columns(0) == ""
