"""Words of tables in colour: the text stays the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.reports.colour import STYLES, coloured
from energybench.reports.table import Column, render


def marked(text: str) -> str:
    return coloured(text, lambda word, style: f"<{style}>{word}</>")


def test_a_verdict_in_a_cell_of_its_own_is_marked_with_its_style() -> None:
    table = render(
        [
            Column("case", ("regressed", "b"), left=True),
            Column("energy", ("regressed", "improved"), left=True),
            Column("accuracy", ("failed-accuracy", "inconclusive"), left=True),
            Column("last", ("estimated", "ok"), left=True),
        ],
        80,
    )
    first, second = marked(table).splitlines()[2:]
    assert first.startswith("regressed  ")  # the name of a case
    assert re.findall("<(.*?)>(.*?)</>", first) == [
        ("red", "regressed"),
        ("red", "failed-accuracy"),
        ("faint", "estimated"),
    ]
    assert re.findall("<(.*?)>(.*?)</>", second) == [("green", "improved"), ("yellow", "inconclusive")]


@pytest.mark.parametrize(
    "prose", ["energy regressed by 3 %", "regressed", "  inconclusive verdicts", "case estimated, regressed"]
)
def test_prose_is_left_alone(prose: str) -> None:
    assert marked(prose) == prose


def test_the_footer_that_says_that_all_is_estimated_is_faint() -> None:
    assert marked("Energy: estimated. All 2 cases ok.") == "Energy: <faint>estimated</>. All 2 cases ok."


@given(st.lists(st.sampled_from([*STYLES, "ok", "a b", "-"]), min_size=1, max_size=6))
def test_without_its_marks_the_text_is_what_it_was(words: list[str]) -> None:
    table = render([Column("case", tuple(words), left=True), Column("verdict", tuple(words), left=True)], 80)
    assert re.sub("<[a-z]+>|</>", "", marked(table)) == table
