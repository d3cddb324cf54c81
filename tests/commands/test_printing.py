"""A comparison in every format, and what stands on stderr beside it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.commands.printing import FORMATS, print_reports
from energybench.reports.comparison_view import View


@pytest.mark.parametrize("format", FORMATS)
def test_the_verdict_is_told_in_every_format_of_compare(
    make_case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    joules = (100.0, 101.0, 99.0)
    sides = [make_case("slow", joules)], [make_case("slow", [2 * j for j in joules])]
    out, err = io.StringIO(), io.StringIO()
    print_reports([compare_cases(*sides, CompareOptions(paired=True))], format, View(), out, err)
    assert "regressed" in out.getvalue()
    assert err.getvalue() == ""
    assert (tmp_path / "summary.md").exists() == (format == "github")


def test_that_nothing_was_compared_stands_on_stderr_too(make_case: Any) -> None:
    out, err = io.StringIO(), io.StringIO()
    print_reports([compare_cases([make_case("a")], [make_case("b")])], "text", View(), out, err)
    assert err.getvalue().startswith("energybench: No case was compared")
