"""A file of pytest-benchmark's whose numbers are joules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import StoreError
from energybench.model import Case
from energybench.reports.exports.pytest_benchmark import write
from energybench.store import read_run
from energybench.store.document import timing_stats


def test_statistics_are_those_of_the_joules(make_run: Any, make_case: Any) -> None:
    case = make_case("a-none", [100.0, 104.0, 103.0], params={"model": "a"}, seconds=2.0, pue=1.5)
    export = write(make_run(case))
    document = json.loads(export.text)
    (made,) = document["benchmarks"]
    assert made["stats"] == json.loads(json.dumps(timing_stats([100.0, 104.0, 103.0])))
    assert (made["name"], made["fullname"], made["params"]) == ("test_f[a-none]", case.id, {"model": "a"})
    assert made["group"] == "IT energy (read J for s)"
    assert made["extra_info"] == {
        "energybench_export": {"of": "0003_run1", "unit": "J", "provenance": "measured", "status": "ok"}
    }
    assert document["datetime"] == "2026-01-02T03:05:00+00:00"
    assert (document["machine_info"]["system"], document["commit_info"]["id"]) == ("Linux", "c0ffee")
    assert export.entries == 1


def test_an_estimate_carries_that_in_its_name_and_nothing_absent_is_zero(
    make_run: Any, difficult: tuple[Case, ...]
) -> None:
    export = write(make_run(*difficult))
    entries = {entry["name"]: entry for entry in json.loads(export.text)["benchmarks"]}
    assert "test_f[estimated] (estimated)" in entries
    assert entries["test_f[partly]"]["stats"]["data"] == [10.0]
    assert min(entry["stats"]["min"] for entry in entries.values()) > 0
    assert "unread: no energy reading" in export.left_out


def test_energybench_does_not_take_it_for_a_run(tmp_path: Path, make_run: Any, make_case: Any) -> None:
    path = tmp_path / "joules.json"
    path.write_text(write(make_run(make_case(joules=[1.0]))).text)
    with pytest.raises(StoreError, match="holds no energy case"):
        read_run(path)
