"""The hook that shows joules in the pytest-benchmark command; the command itself is run in tests/integration."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.model import Case
from energybench.reports.stock import GROUP, VARIABLE, pytest_benchmark_group_stats
from energybench.store import entry
from energybench.store.document import timing_stats

pytest.importorskip("pytest_benchmark.plugin")


def loaded(case: Case, **more: Any) -> dict[str, Any]:
    """An entry as the command has it: statistics beside the names."""
    made = entry(case)
    return made | made.pop("stats") | {"path": "0001_run1.json", "source": ""} | more


def grouped(*benchmarks: dict[str, Any], by: str = "group") -> list[tuple[str | None, list[dict[str, Any]]]]:
    groups = pytest_benchmark_group_stats(config=None, benchmarks=iter(benchmarks), group_by=by)
    assert groups is not None
    return groups


def test_the_statistics_become_those_of_the_joules(make_case: Any) -> None:
    ((name, (bench,)),) = grouped(loaded(make_case("a-none", [100.0, 104.0], seconds=2.0)))
    assert name == GROUP
    assert {key: bench[key] for key in timing_stats([1.0])} == timing_stats([100.0, 104.0])


def test_the_groups_that_were_asked_for_stay_and_say_what_they_hold(make_case: Any) -> None:
    groups = grouped(
        loaded(make_case("a-none", [1.0], params={"model": "a"})),
        loaded(make_case("b-none", [2.0], params={"model": "b"})),
        by="param:model",
    )
    assert [name for name, _ in groups] == [f"model=a, {GROUP}", f"model=b, {GROUP}"]


def test_entries_without_joules_are_left_out_and_named(
    make_case: Any, difficult: tuple[Case, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with_rounds = [loaded(case) for case in difficult if case.rounds]
    damaged = loaded(make_case("damaged", [1.0]), extra_info={"energybench": {"schema": 99}})
    plain = loaded(make_case("plain", [1.0]), extra_info={})
    ((_, shown),) = grouped(*with_rounds, damaged, plain)
    assert {bench["name"].partition("[")[2] for bench in shown} == {
        *("measured]", "estimated] (estimated)", "replayed] (replayed)", "partly]", "stopped]"),
    }
    said = capsys.readouterr().err
    assert "[unread] of 0001_run1.json: no energy reading." in said
    assert "[plain] of 0001_run1.json: no energy case." in said
    assert "newer energybench" in said


def test_seconds_are_given_back_where_that_is_asked(make_case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "seconds")
    ((name, (bench,)),) = grouped(loaded(make_case(joules=[100.0], seconds=2.0)))
    assert (name, bench["mean"]) == (None, 2.0)


def test_another_metric_ends_the_command_with_a_sentence(make_case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "kwh")
    with pytest.raises(SystemExit, match="ENERGYBENCH_STOCK_METRIC is 'kwh'; give joules or seconds"):
        grouped(loaded(make_case(joules=[1.0])))


def test_a_session_keeps_its_own_table(make_case: Any, pytestconfig: pytest.Config) -> None:
    assert pytest_benchmark_group_stats(config=pytestconfig, benchmarks=[], group_by="group") is None
