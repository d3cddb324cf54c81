"""Trends as text and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from energybench.analysis.trend import Measured, Trend, trend
from energybench.model import Case, Provenance, Status
from energybench.reports.trend import sparkline, trend_json, trend_text


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def of(cases: list[Case], metric: str = "energy", id: str = "") -> Trend:
    measured = [
        Measured(f"{n:04d}_x", f"2026-01-{n:02d}T10:00:00+00:00", f"{n:07d}abcdef+", case)
        for n, case in enumerate(cases, 1)
    ]
    return trend(id or cases[0].id, measured, metric)


def text(*trends: Trend, metric: str = "energy", width: int = 120) -> str:
    return trend_text(trends, metric, runs=[f"{n:04d}_x" for n in range(1, 13)], width=width)


@pytest.fixture
def stepped(make_case: Any) -> Trend:
    """100 J in six runs, 120 J in six."""
    return of([make_case(joules=[100.0 + n % 2 if n < 6 else 120.0 + n % 2]) for n in range(12)])


def test_a_row_per_level_says_since_when_and_by_how_much(stepped: Trend) -> None:
    shown = text(stepped).splitlines()
    assert shown[0] == "IT energy, geometric mean of the rounds: 12 runs that ended ok, 0001_x to 0012_x"
    rows = [line.split() for line in shown if line.startswith("resnet18-none")]
    assert rows[0][:7] == ["resnet18-none", "0001_x", "2026-01-01", "0000001+", "6", "100.5", "-"]
    assert rows[1][:8] == ["resnet18-none", "0007_x", "2026-01-07", "0000007+", "6", "120.5", "+19.9", "%"]
    assert rows[1][-1] == "<0.0001"
    assert shown[-1] == "1 change of level in 1 case (p, corrected for the places searched, at most 0.05)."


def test_a_line_of_blocks_shows_the_course_with_its_range(stepped: Trend) -> None:
    line = next(line for line in text(stepped).splitlines() if "▁" in line)
    assert line.startswith("resnet18-none  ▁▁▁▁▁▁")
    assert "100.0 .. 121.0 J" in line
    assert line.endswith("% from run to run")


def test_a_break_is_shown_in_its_row_and_explained(make_case: Any) -> None:
    made = of([make_case(joules=[100.0], comparability={"gpu": gpu}) for gpu in ("H100", "H100", "H200")])
    shown = text(made)
    assert [line.split()[6] for line in shown.splitlines() if line.startswith("resnet18-none  000")] == ["-", "break"]
    assert "▄▄|▄" in shown
    assert (
        "resnet18-none: 0003_x does not continue what was measured before it; they differ in gpu (H100 -> H200)."
    ) in shown
    assert shown.endswith("1 case: too few runs for a step, which takes two runs on either side.")


def test_what_is_left_out_is_named(make_case: Any) -> None:
    made = of([make_case(joules=[1.0]), *[make_case(joules=[1.0], status=Status.PARTIAL)] * 10])
    assert "resnet18-none: left out: 0002_x (partial), " in text(made)
    assert "0009_x (partial) and 2 more." in text(made)
    only = text(of([make_case(joules=[None])]))
    assert "left out: 0001_x (no energy reading)" in only


def test_estimates_are_labelled_and_measurements_need_no_label(make_case: Any) -> None:
    estimated = of([make_case(joules=[1.0], provenance=Provenance.ESTIMATED)])
    assert "estimated" in text(estimated)
    assert "measured" not in text(of([make_case(joules=[1.0])]))


def test_accuracy_is_in_points_and_time_on_its_own_scale(make_case: Any) -> None:
    cases = [make_case(joules=[1.0], accuracy=[0.95 if n < 6 else 0.9], seconds=0.002) for n in range(12)]
    shown = text(of(cases, "accuracy"), metric="accuracy")
    assert "acc %" in shown
    assert "-5.00 points" in shown
    assert "90.00 .. 95.00 %" in shown
    assert "  ms  " in text(of(cases, "seconds"), metric="seconds")


def rows(*ids: str, cases: list[Case]) -> list[str]:
    shown = text(*(of(cases, id=id) for id in ids)).splitlines()
    return [line.partition("  ")[0] for line in shown if "  000" in line]


def test_cases_that_share_the_part_in_brackets_are_told_apart(make_case: Any) -> None:
    cases = [make_case("a-none", [1.0])]
    assert rows("x.py::test_f[a-none]", "x.py::test_g[b-none]", cases=cases) == [
        "a-none (test_f)",
        "a-none (test_g)",
    ]
    assert rows("x.py::test_f[a-none]", "y.py::test_f[a-none]", cases=cases) == [
        "x.py::test_f[a-none]",
        "y.py::test_f[a-none]",
    ]


def test_cases_that_break_alike_are_named_in_one_line(make_case: Any) -> None:
    cases = [make_case(joules=[100.0], comparability={"gpu": gpu}) for gpu in ("H100", "H200")]
    shown = text(*(of(cases, id=f"x.py::test_{n}[a]") for n in range(10)))
    (line,) = [line for line in shown.splitlines() if "does not continue" in line]
    assert line.startswith("resnet18-none (test_0), resnet18-none (test_1), ")
    assert "and 2 more: 0002_x does not continue" in line


def test_the_rows_fit_a_narrow_terminal(stepped: Trend) -> None:
    assert all(len(line) <= 80 for line in text(stepped, width=80).splitlines() if line.startswith("resnet18"))


def test_blocks_run_from_the_least_to_the_greatest() -> None:
    assert sparkline([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) == "▁▂▃▄▅▆▇█"
    assert sparkline([3.0, 3.0]) == "▄▄"


def test_the_document_for_programs_has_every_level_and_point(stepped: Trend) -> None:
    document = json.loads(trend_json([stepped], "energy", machine="box"), parse_constant=refuse)
    assert (document["schema"], document["metric"], document["unit"], document["machine"]) == (1, "energy", "J", "box")
    (case,) = document["cases"]
    assert (case["case"], case["steps"], case["left_out"]) == (stepped.case, 1, [])
    (strand,) = case["strands"]
    first, second = strand["segments"]
    assert (first["change"], first["interval"], first["p"]) == (None, None, None)
    assert second["since"] == {"run": "0007_x", "created": "2026-01-07T10:00:00+00:00", "commit": "0000007abcdef+"}
    assert second["change"] == pytest.approx(0.199, abs=0.001)
    assert [point["value"] for point in first["points"]] == pytest.approx([100, 101, 100, 101, 100, 101])
    assert strand["provenance"] == "measured"


def test_an_exact_step_is_strict_json_too(make_case: Any) -> None:
    made = of([make_case(joules=[100.0 if n < 6 else 120.0]) for n in range(12)])
    document = json.loads(trend_json([made], "energy", machine="box"), parse_constant=refuse)
    assert document["cases"][0]["strands"][0]["segments"][1]["p"] == 0
