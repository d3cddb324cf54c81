"""One case through all runs, as tables."""

from __future__ import annotations

from typing import Any

from energybench.model import Provenance, Status
from energybench.reports.history import history_tables
from energybench.store import PastCase
from energybench.store.commits import Commit


def past(run: str, case: Any, created: str = "2026-01-02T03:04:05+00:00", status: str = "ok", **commit: Any) -> Any:
    return PastCase(run, created, Commit(**commit), status, case)


def test_each_case_is_a_table_with_a_row_per_run(make_case: Any) -> None:
    first = make_case("a-none", [3000.0, 3600.0], accuracy=[0.90, 0.92])
    second = make_case("a-none", [3900.0])
    text = history_tables(
        {
            first.id: [
                past("0001_x", first, id="0123456789abcdef", branch="main", dirty=True),
                past("0002_y", second, "", "regressed"),
            ],
            "f.py::test_g": [past("0001_x", make_case(id="test_g"))],
        },
        width=200,
    )
    above, below = text.split("\n\n")
    lines = above.splitlines()
    assert lines[0] == "benches/test_f.py::test_f[a-none]"
    assert lines[1].split() == ["run", "date", "commit", "branch", "status", "rounds", "kJ", "s", "acc", "%"]
    assert lines[3].split() == [
        *("0001_x", "2026-01-02", "03:04", "0123456789ab+", "main", "ok", "2", "3.30", "2.00", "91.0")
    ]
    assert lines[4].split() == ["0002_y", "-", "-", "-", "regressed", "1", "3.90", "2.00", "-"]
    assert lines[5] == "Energy: measured."
    assert below.startswith("f.py::test_g\n")


def test_a_case_that_failed_in_a_run_that_ended_ok_says_so(make_case: Any) -> None:
    case = make_case("a-none", status=Status.FAILED_ACCURACY)
    assert "ok (case failed-accuracy)" in history_tables({case.id: [past("0001_x", case)]})


def test_what_was_not_read_is_a_dash_and_sources_are_told_apart(make_case: Any) -> None:
    cases = [make_case("a-none", [None]), make_case("a-none", [5.0], provenance=Provenance.ESTIMATED)]
    text = history_tables({cases[0].id: [past("0001_x", cases[0]), past("0002_y", cases[1])]}, width=200)
    rows = text.splitlines()
    assert rows[3].split()[4:6] == ["1", "-"]
    assert rows[3].endswith("measured")
    assert rows[4].endswith("estimated")
    assert "Energy:" not in text


def test_another_workload_and_a_clock_that_was_set_back_are_said(make_case: Any) -> None:
    cases = [make_case("a-none", workload=hash) for hash in ("u", "u", "v")]
    dates = ("2026-05-01T00:00:00+00:00", "2026-04-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00")
    rows = [past(f"000{n}_x", case, date) for n, (case, date) in enumerate(zip(cases, dates, strict=True), 1)]
    lines = history_tables({"a": rows}, width=200).splitlines()[-2:]
    assert lines == [
        "The clock was set back before 0002_x; rows are in the order in which they were saved.",
        "From 0003_x on another workload is measured: not comparable with the rows above it.",
    ]


def test_a_narrow_terminal_keeps_run_status_and_energy(make_case: Any) -> None:
    case = make_case("a-none", accuracy=[0.9])
    text = history_tables({case.id: [past("0001_a_rather_long_name_of_a_run", case, id="a" * 40)]}, width=60)
    header = text.splitlines()[1].split()
    assert header[0] == "run"
    assert {"status", "J"} <= set(header)
    assert "Not shown at this width: " in text
    assert "commit" in text.partition("Not shown at this width: ")[2]
