"""What stands on the pages of a site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from energybench.analysis.trend import Measured, Trend, trend
from energybench.model import Run
from energybench.reports.site.contents import case_line, case_page, machine_index
from energybench.store import RunEntry


def past(cases: Any) -> list[Measured]:
    return [
        Measured(f"{n:04d}_r", f"2026-01-{n:02d}T10:00:00+00:00", "c" * 40, case) for n, case in enumerate(cases, 1)
    ]


def nowhere(name: str) -> str:
    return ""


@pytest.mark.parametrize(
    ("metric", "values", "change", "tone"),
    [
        ("energy", (100.0, 130.0), "+30.", "bad"),
        ("energy", (130.0, 100.0), "-23.", "good"),
        ("accuracy", (0.9, 0.8), "-10.00 points", "bad"),
        ("accuracy", (0.8, 0.9), "+10.00 points", "good"),
    ],
)
def test_a_change_for_the_worse_is_told_from_one_for_the_better(
    make_case: Any, metric: str, values: tuple[float, float], change: str, tone: str
) -> None:
    of = [values[n // 4] * (1 + 0.001 * (n % 2)) for n in range(8)]
    cases = [make_case(joules=[v]) if metric == "energy" else make_case(accuracy=[v]) for v in of]
    trends = {name: trend("f.py::test_f[x]", past(cases), name) for name in ("energy", "accuracy", "seconds")}
    page = case_page("machine", trends, nowhere, None, "made")
    (changed,) = [level for level in page.levels if level.tone]
    assert changed.change.replace("−", "-").startswith(change)
    assert (changed.tone, changed.since) == (tone, "0005_r")


def test_the_level_now_is_that_of_the_newest_run_with_its_provenance(make_case: Any) -> None:
    # Two workloads, measured in turn; the one that began first was measured last.
    workloads = [("w1", 100.0), ("w2", 50.0), ("w1", 101.0)]
    measured = past([make_case(joules=[joules], workload=workload) for workload, joules in workloads])
    newest = case_line(trend("f.py::test_f[x]", measured, "energy"), "", nowhere).newest
    assert newest is not None
    assert (newest.since, newest.runs, newest.provenance) == ("0001_r", 2, "measured")
    first = case_line(trend("f.py::test_f[x]", measured[:2], "energy"), "", nowhere).newest
    assert first is not None
    assert (first.since, first.change) == ("0002_r", "not comparable")


def test_a_case_without_a_reading_has_no_level(make_case: Any) -> None:
    found: Trend = trend("f.py::test_f[x]", past([make_case(joules=[None])]), "energy")
    line = case_line(found, "case.html", nowhere)
    assert (line.newest, line.runs) == (None, 0)


def test_the_energy_of_a_run_says_where_cases_were_not_read(make_case: Any) -> None:
    cases = (make_case("a", (3.6e6,), pue=2.0), make_case("b", (None,)))
    run = Run("0001_a.json", cases, session={"status": "ok"})
    entry = RunEntry(Path("0001_a.json"), "m", 1, "a", run)
    unread = RunEntry(Path("0002_b.json"), "m", 2, "b", None, "torn")
    index = machine_index("", [unread, entry], (), nowhere, 0)
    assert index.name == "(no machine folder)"
    assert [line.error for line in index.runs] == ["torn", ""]
    assert index.runs[1].energy.endswith(" (1 of 2 cases)")
    assert "2" in index.runs[1].energy.partition("(")[0]
