"""Charts are drawn the same by one process and by several."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.reports.charts.chart import Chart, Field, Numbers
from energybench.reports.page import drawing


def chart(name: str, draw: Any = None) -> Chart:
    def line(figure: Any) -> None:
        figure.add_subplot().plot([1, 2], [len(name), 2])

    return Chart(name, name, "", name, Numbers((Field("x", "x"),), ((1.0,),)), draw or line, (2.0, 1.0))


@pytest.fixture
def charts() -> Sequence[Chart]:
    return [chart(name) for name in ("a", "bb", "ccc", "dddd")]


def test_two_processes_draw_what_one_draws(charts: Sequence[Chart]) -> None:
    alone = drawing.pictures(charts, processes=1)
    assert drawing.pictures(charts, processes=2) == alone
    assert [re.findall(r"<desc[^>]*>(\w+)<", picture) for picture in alone] == [["a"], ["bb"], ["ccc"], ["dddd"]]


def test_a_process_that_is_killed_costs_time_and_no_chart(charts: Sequence[Chart]) -> None:
    here = os.getpid()

    def fall(figure: Any) -> None:
        if os.getpid() != here:
            os._exit(1)
        figure.add_subplot()

    assert len(drawing.pictures([*charts, chart("e", fall)], processes=2)) == 5


def test_what_a_drawing_raises_is_raised(charts: Sequence[Chart]) -> None:
    def refuse(_: Any) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        drawing.pictures([*charts, chart("e", refuse)], processes=2)


def test_a_few_charts_are_drawn_here(charts: Sequence[Chart], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_at_once", lambda *_: [])
    assert len(drawing.pictures(charts[:2], processes=4)) == 2
