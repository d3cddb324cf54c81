"""A carbon intensity that changes over time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import UsageError
from energybench.estimators.carbon_series import CarbonSeries, read_carbon

SERIES = CarbonSeries("day.csv", (0.0, 10.0, 30.0, 50.0), (100.0, 200.0, 400.0))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "day.csv"
    path.write_text(text)
    return path


def test_a_value_holds_from_its_time_to_the_next_and_the_last_as_long_as_the_one_before(tmp_path: Path) -> None:
    text = "time,g_per_kwh\n2026-01-02T01:00+01:00,100\n2026-01-02T00:10Z,200.5\n"
    series = read_carbon(written(tmp_path, text))
    assert series.source == "day.csv"
    assert [after - series.times_s[0] for after in series.times_s] == [0.0, 600.0, 1200.0]
    assert series.g_per_kwh == (100.0, 200.5)


def test_columns_may_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    text = "﻿zone,G_per_kWh, time \nDE,1,2026-01-02T00:00Z\nDE,2,2026-01-02T01:00Z\n"
    assert read_carbon(written(tmp_path, text)).g_per_kwh == (1.0, 2.0)


@pytest.mark.parametrize(
    ("begin", "end", "mean"),
    [
        (0.0, 10.0, 100.0),
        (5.0, 15.0, 150.0),
        (0.0, 50.0, (10 * 100 + 20 * 200 + 20 * 400) / 50),
        (12.0, 13.0, 200.0),
        (10.0, 10.0, 200.0),
        (50.0, 50.0, 400.0),
        (-1.0, 5.0, None),
        (40.0, 51.0, None),
    ],
)
def test_the_mean_is_weighted_by_time_and_absent_outside(begin: float, end: float, mean: float | None) -> None:
    assert SERIES.mean(begin, end) == (None if mean is None else pytest.approx(mean))


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0, 50))
def test_means_of_two_parts_make_the_mean_of_the_whole(a: float, b: float, c: float) -> None:
    begin, middle, end = sorted((a, b, c))
    first, second, whole = SERIES.mean(begin, middle), SERIES.mean(middle, end), SERIES.mean(begin, end)
    assert first is not None
    assert second is not None
    assert whole is not None
    parts = first * (middle - begin) + second * (end - middle)
    assert parts == pytest.approx(whole * (end - begin), abs=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has the columns time,g_per_kwh; .*day.csv has none"),
        ("time,grams\n", "has the columns time,g_per_kwh; .*day.csv has time, grams"),
        ("time,g_per_kwh\n", "has 0 carbon intensities; with two or more"),
        ("time,g_per_kwh\n2026-01-02T00:00Z,1\n", "has 1 carbon intensities"),
        (
            "time,g_per_kwh\n2026-01-02T00:00,1\n",
            "time in line 2 of .* does not say in which zone: .* 2026-01-02T00:00Z",
        ),
        ("time,g_per_kwh\nnoon,1\n", "time in line 2 of .* is 'noon', not ISO 8601"),
        ("time,g_per_kwh\n2026-01-02T00:00Z,-1\n", "g_per_kwh in line 2 of .* is '-1', not a number"),
        ("time,g_per_kwh\n2026-01-02T00:00Z\n", "g_per_kwh in line 2 of .* is '', not a number"),
        (
            "time,g_per_kwh\n2026-01-02T01:00Z,1\n2026-01-02T01:00Z,2\n",
            "line 3 of .* is not later than the line before it",
        ),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_carbon(written(tmp_path, text))


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    with pytest.raises(UsageError, match=r"day.csv cannot be read: No such file"):
        read_carbon(path)
    path.write_bytes(b"time,g_per_kwh\n\xff\xfe\n")
    with pytest.raises(UsageError, match=r"day.csv cannot be read as CSV"):
        read_carbon(path)
