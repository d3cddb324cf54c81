"""What of a comparison is shown, in which order and in which groups."""

from __future__ import annotations

import math
from typing import Any

import pytest

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.report import Pair, Report
from energybench.errors import UsageError
from energybench.model import Case, Comparison, Verdict
from energybench.reports.comparison_view import (
    EVERYTHING,
    View,
    geometric_mean,
    groups,
    left_out,
    mean_points,
    rows,
    shown_names,
)

THREE = (100.0, 101.0, 99.5)


def scaled(factor: float) -> list[float]:
    return [factor * joules for joules in THREE]


@pytest.fixture
def report(make_case: Any) -> Report:
    """Two models; b-none +20 %, c-prune -20 %, d-prune missing, e-none new, a-none lost ten points."""
    accuracy = [0.9, 0.91, 0.9]

    def case(id: str, factor: float, model: str, compressor: str, lost: float = 0.0) -> Any:
        params = {"model": model, "compressor": compressor}
        return make_case(id, scaled(factor), accuracy=[a - lost for a in accuracy], params=params)

    a, b = ("a-none", 3.0, "a", "none"), ("b-none", 1.0, "b", "none")
    old = [case(*a), case(*b), case("c-prune", 2.0, "a", "prune"), case("d-prune", 1.0, "b", "prune")]
    new = [
        case("c-prune", 1.6, "a", "prune"),
        case(*a, lost=0.1),
        case("b-none", 1.2, "b", "none"),
        case("e-none", 1.0, "e", "none"),
    ]
    return compare_cases(old, new, CompareOptions(paired=True))


def names(report: Report, **view: Any) -> list[str]:
    return [row.name for row in rows(report, View(**view))]


def test_everything_is_shown_as_measured_where_nothing_is_asked_for(report: Report) -> None:
    assert names(report) == ["c-prune", "a-none", "b-none", "e-none", "d-prune"]
    assert [c for row in rows(report) for c in row.shown] == list(report.comparisons)
    assert left_out(report, EVERYTHING, rows(report)) == ()


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("id", ["a-none", "b-none", "c-prune", "d-prune", "e-none"]),
        ("change", ["b-none", "a-none", "c-prune", "e-none", "d-prune"]),
        ("verdict", ["a-none", "b-none", "d-prune", "e-none", "c-prune"]),
        ("energy", ["a-none", "c-prune", "b-none", "e-none", "d-prune"]),
    ],
)
def test_rows_are_sorted_by_id_worst_change_gravest_verdict_or_largest_energy(
    sort: str, expected: list[str], report: Report
) -> None:
    assert names(report, sort=sort) == expected


def test_the_worst_change_of_accuracy_is_the_largest_fall(report: Report) -> None:
    assert names(report, sort="change", metrics=("accuracy",))[0] == "a-none"


def test_a_verdict_filter_looks_at_energy_and_accuracy_and_at_whole_cases(report: Report) -> None:
    assert names(report, only=(Verdict.REGRESSED,)) == ["a-none", "b-none"]
    assert names(report, only=(Verdict.IMPROVED, Verdict.MISSING)) == ["c-prune", "d-prune"]
    assert names(report, only=(Verdict.REGRESSED,), metrics=("accuracy",)) == ["a-none"]
    assert names(report, only=(Verdict.MISSING,), metrics=("accuracy",)) == ["d-prune"]
    (row,) = rows(report, View(only=(Verdict.REGRESSED,), metrics=("accuracy",)))
    assert [(c.metric, c.verdict) for c in row.shown] == [("accuracy", Verdict.REGRESSED)]


def test_what_is_left_out_is_said_and_that_it_counts_all_the_same(report: Report) -> None:
    view = View(metrics=("energy",), only=(Verdict.REGRESSED,))
    assert left_out(report, view, rows(report, view)) == (
        "Shown: 1 of 5 cases (regressed). The summary and the exit code count all.",
        "Not shown, but decides the exit code all the same: accuracy.",
    )


@pytest.mark.parametrize(
    ("view", "complaint"),
    [
        ({"metrics": ("joules",)}, "there is no metric 'joules'; there are energy, accuracy, seconds, epochs, power"),
        ({"sort": "name"}, "there is no order 'name'"),
        ({"group_by": "gpu"}, "there is no group 'gpu'"),
    ],
)
def test_a_view_of_what_there_is_not_is_refused(view: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        View(**view)


def test_groups_hold_their_rows_and_the_mean_of_all_their_cases(report: Report) -> None:
    view = View(group_by="model", only=(Verdict.REGRESSED,))
    found = groups(report, view, rows(report, view))
    assert [(group.name, [row.name for row in group.rows]) for group in found] == [("a", ["a-none"]), ("b", ["b-none"])]
    mean = geometric_mean(found[0].comparisons)
    assert mean is not None
    assert (mean.ratio, mean.cases) == (pytest.approx(math.sqrt(0.8)), 2)


def test_a_compressor_is_found_in_what_the_case_declared_and_else_said_to_be_not_stated(make_case: Any) -> None:
    declared = make_case("x", facts={"workload": {"compressor": "stego"}})
    view = View(group_by="compressor")
    report = compare_cases([declared, make_case("y")], [declared, make_case("y")])
    assert [group.name for group in groups(report, view, rows(report, view))] == ["stego", "not stated"]


def test_metrics_as_groups_leave_out_those_that_no_case_has(report: Report) -> None:
    view = View(group_by="metric")
    assert [group.name for group in groups(report, view, rows(report))] == ["energy", "accuracy", "seconds", "power"]


def comparison(change: float | None, verdict: Verdict = Verdict.OK, metric: str = "energy") -> Comparison:
    return Comparison("f[a]", metric, verdict, change=change)


def test_a_geometric_mean_is_over_comparable_cases_and_there_is_none_of_accuracy() -> None:
    some = [
        comparison(1.0),
        comparison(-0.5),
        comparison(0.0),
        comparison(9.0, metric="seconds"),
        comparison(9.0, Verdict.NOT_COMPARABLE),
        comparison(None, Verdict.MISSING),
        comparison(-1.0),  # a ratio too small for a float
    ]
    mean = geometric_mean(some)
    assert mean is not None
    assert (mean.ratio, mean.cases) == (pytest.approx(1.0), 3)
    assert geometric_mean([comparison(0.1, metric="accuracy")], "accuracy") is None
    assert geometric_mean([]) is None
    assert mean_points([comparison(0.1, metric="accuracy"), comparison(-0.2, metric="accuracy")]) == pytest.approx(
        -0.05
    )


def test_a_name_is_only_as_long_as_tells_the_case_from_the_others() -> None:
    ids = ["a.py::test_f[x]", "a.py::test_g[x]", "a.py::test_h[y]", "b.py::test_g[x]"]
    assert list(shown_names([Pair(id, None, None) for id in ids[:2]]).values()) == ids[:2]
    pairs = [Pair(id, None, Case(id)) for id in ids]
    assert shown_names(pairs) == {
        ids[0]: "test_f[x]",
        ids[1]: ids[1],
        ids[2]: "y",
        ids[3]: ids[3],
    }
