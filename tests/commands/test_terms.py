"""What several commands ask of a comparison, and what all of them owe their readers."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from energybench.analysis.report import CompareOptions
from energybench.cli import main
from energybench.commands.terms import IN_TURN, add_margins, add_noise, judged, terms
from energybench.errors import UsageError
from energybench.model import Case, Run
from energybench.store import document, write

FORGOTTEN = AssertionError("sides that were measured in turn have no use for earlier runs")


def options(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_margins(parser)
    add_noise(parser)
    parser.add_argument("--margins", type=Path)
    return parser.parse_args(argv)


def run(name: str, cases: list[Case], **session: Any) -> Run:
    return Run(f"{name}.json", tuple(cases), session={"status": "ok", **session})


def test_an_option_is_what_the_line_says_and_one_that_a_command_lacks_has_its_default() -> None:
    assert terms(argparse.Namespace(vary=[])) == CompareOptions()
    wanted = terms(options("--margin", "10%", "--session-noise", "3%", "--looks", "2", "--vary", "gpu"), strict=True)
    expected = CompareOptions(margin=0.1, common_noise=0.03, looks=2, vary=frozenset({"gpu"}), strict=True)
    assert wanted == expected


def test_margins_that_cannot_be_read_are_said_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        terms(options("--margins", str(tmp_path / "none.toml")))


def test_the_two_sides_of_one_ab_have_no_noise_between_them_and_no_history(make_case: Any) -> None:
    def never() -> tuple[Run, ...]:
        raise FORGOTTEN

    base = run("a", [make_case("a-none", [100.0, 101.0])], sessions=["s1"], ab={"with_sessions": ["s2"]})
    head = run("b", [make_case("a-none", [100.0, 101.0])], sessions=["s2"], ab={"with_sessions": ["s1"]})
    report = judged(base, head, CompareOptions(), earlier=never)
    assert report.noise is not None
    assert report.noise.paired
    assert IN_TURN in report.notes


def test_the_baseline_counts_once_among_the_earlier_runs(make_case: Any) -> None:
    past = [run(f"p{i}", [make_case("a-none", [100.0 + i, 101.0 + i])], session=f"p{i}") for i in range(4)]
    head = run("head", [make_case("a-none", [100.0, 101.0])], session="head")
    once = judged(past[3], head, CompareOptions(), earlier=lambda: past[:3])
    again = judged(past[3], head, CompareOptions(), earlier=lambda: past)
    assert once.noise == again.noise
    assert once.noise is not None
    assert once.noise.sessions == 4


def test_margins_that_fit_no_case_are_named(make_case: Any) -> None:
    one = run("a", [make_case("a-none", [100.0])])
    wanted = replace(CompareOptions(), margins={"b-*": {"energy": 0.1}})
    assert "The margins of 'b-*' fit no case of these runs." in judged(one, one, wanted).notes


def test_a_report_takes_the_margins_of_compare(tmp_path: Path, make_case: Any) -> None:
    for name, joules in (("base", [100.0, 100.5, 101.0]), ("worse", [109.0, 109.5, 110.0])):
        made = document([make_case("a-none", joules)], machine={}, commit={}, session={"session": name, "status": "ok"})
        write(made, tmp_path, name)
    page = tmp_path / "r.html"
    sides = ("report", "base", "worse", "--storage", str(tmp_path), "--paired", "-o", str(page))
    assert main(sides) == 0
    assert "a-none: energy regressed" in page.read_text(encoding="utf-8")
    assert main((*sides, "--margin", "20%")) == 0
    assert "a-none: energy regressed" not in page.read_text(encoding="utf-8")
