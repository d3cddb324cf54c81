"""A whole file in pytest-benchmark's format."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import StoreError
from energybench.store import document, entry, write
from energybench.store.document import timing_stats

SESSION = {"session": "s", "status": "ok", "pue": 1.0}


@given(st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=20))
def test_statistics_are_those_of_pytest_benchmark(seconds: list[float]) -> None:
    stats = pytest.importorskip("pytest_benchmark.stats").Stats()
    for value in seconds:
        stats.update(value)
    assert timing_stats(seconds) == {**stats.as_dict(), "data": seconds, "iterations": 1}


def test_rounds_of_no_time_have_no_rate() -> None:
    assert timing_stats([0.0])["ops"] == 0


def test_an_entry_is_named_like_its_test(make_case: Any) -> None:
    made = entry(make_case("a::b-c", params={"model": "a"}), group="g")
    assert (made["name"], made["param"], made["group"]) == ("test_f[a::b-c]", "a::b-c", "g")
    plain = entry(make_case(), group=None) | {}
    assert plain["fullname"] == "benches/test_f.py::test_f[resnet18-none]"
    assert entry(make_case(id="x"))["params"] is None


def test_a_case_without_rounds_is_named_apart(make_case: Any) -> None:
    failed = make_case("vgg16-none", ())
    with pytest.raises(StoreError, match="no round was finished"):
        entry(failed)
    whole = document([failed, make_case()], machine={}, commit={}, session=SESSION)
    assert [item["fullname"] for item in whole["benchmarks"]] == [make_case().id]
    assert whole["energybench"]["unmeasured"] == [{"fullname": failed.id, "status": "ok", "warnings": []}]


def test_a_reader_that_types_every_field_finds_them_all(make_case: Any) -> None:
    whole = document([make_case()], machine={"node": "box"}, commit={"branch": "main"}, session=SESSION)
    assert whole["machine_info"]["node"] == "box"
    assert {"processor", "machine", "python_version", "release", "system", "cpu"} <= whole["machine_info"].keys()
    assert whole["commit_info"] == {
        "id": "unknown",
        "time": None,
        "author_time": None,
        "dirty": False,
        "project": "",
        "branch": "main",
    }
    assert whole["datetime"].endswith("+00:00")


def test_stock_pytest_benchmark_lists_and_compares_our_files(make_case: Any, tmp_path: Path) -> None:
    for name, joules in (("run1", [1.0, 2.0, 3.0]), ("run2", [1.0])):
        cases = [make_case("a-none", joules), make_case("b-none", joules)]
        write(document(cases, machine={}, commit={}, session=SESSION), tmp_path / "store", name)
    command = [sys.executable, "-m", "pytest_benchmark", "--storage", f"file://{tmp_path / 'store'}"]
    listed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert "0001_run1.json" in listed
    compared = subprocess.run(
        [*command, "compare", "0001", "0002", "--group-by=param", "--csv=out.csv"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "test_f[a-none] (0001_run1)" in compared.stdout
    assert "test_f[b-none] (0002_run2)" in compared.stdout
    assert (tmp_path / "out.csv").read_text().count("\n") == 5


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: JSON.parse cannot be asked")
def test_node_parses_our_file(make_case: Any, tmp_path: Path) -> None:
    case = make_case(facts={"loss": float("nan"), "name": "Schönbrunn €"})
    path = write(document([case], machine={}, commit={}, session=SESSION), tmp_path, "n")
    script = "const d = JSON.parse(require('fs').readFileSync(process.argv[1])); console.log(JSON.stringify(d))"
    done = subprocess.run(["node", "-e", script, str(path)], capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)["benchmarks"][0]["extra_info"]["energybench"]["facts"]
    assert facts == {"loss": None, "name": "Schönbrunn €"}
