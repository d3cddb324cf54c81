"""Texts of a run as they may stand in a picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from energybench.model import Case
from energybench.reports.charts.names import brief, case_names, columns, listed, printable

ANY = st.text(st.characters(codec=None), max_size=60)


@given(ANY, st.integers(4, 40))
def test_a_brief_text_is_one_printable_line_of_at_most_that_width(text: str, most: int) -> None:
    made = brief(text, most)
    assert made.isprintable()
    assert columns(made) <= most
    made.encode()  # no half of a surrogate pair is left


def test_a_long_id_keeps_both_of_its_ends() -> None:
    assert brief("densenet121-channels@0.5-with-a-long-tail", 20) == "densenet121-c…g-tail"
    assert brief("resnet18-stego", 20) == "resnet18-stego"


def test_control_characters_and_line_breaks_are_replaced() -> None:
    assert printable("a\nb\tc\x00d\x1b[31m") == "a b c\ufffdd\ufffd[31m"


def test_cases_that_share_the_part_in_brackets_are_told_apart() -> None:
    fine, other = Case("b.py::test_finetune[m-none]"), Case("b.py::test_controls[m-none]")
    alone = Case("b.py::test_controls[m-zero]")
    cases = [("0001_a", fine), ("0001_a", other), ("0001_a", alone)]
    assert case_names(cases) == ["m-none (finetune)", "m-none (controls)", "m-zero"]
    assert case_names([("1", alone), ("2", alone)], several=True) == ["m-zero, 1", "m-zero, 2"]


def test_a_list_of_many_names_is_counted() -> None:
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed(["a"], 2) == "a"
