"""pytest-benchmark's options and its own readers go on working with our cases and files."""

from __future__ import annotations

import subprocess
import sys

import pytest


def benchmark_cli(project, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", *args], cwd=project.path, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_stored_entry_has_the_true_seconds_and_the_exact_record(project) -> None:
    project.cases()
    project.replay({"*[a]": [(200.5, 2.0), (201.25, 3.0), (202.0, 7.0)], "*[b]": [(0.1, 0.3)]})
    project.run("--energy-rounds=3", "--energy-pue=1.58").assert_outcomes(passed=2)
    stored = project.last()
    a, b = stored.document["benchmarks"]
    assert a["fullname"] == project.A
    assert a["params"] == {"model": "a"}
    stats = a["stats"]
    assert (stats["rounds"], stats["min"], stats["max"], stats["mean"], stats["median"]) == pytest.approx(
        (3, 2.0, 7.0, 4.0, 3.0)
    )
    assert b["stats"]["mean"] == pytest.approx(0.3)
    assert a["options"]["timer"] == "perf_counter"
    rounds = stored.records[project.A]["rounds"]
    assert [(r["joules"]["package:0"], r["seconds"]) for r in rounds] == [(200.5, 2.0), (201.25, 3.0), (202.0, 7.0)]
    ours = stored.document["energybench"]
    assert (ours["status"], ours["pue"], ours["rounds"]) == ("ok", 1.58, 3)
    assert stored.path.name.startswith("0001_")


@pytest.mark.parametrize(
    "option", ["", "--benchmark-save=mine", "--benchmark-autosave", "--benchmark-only", "-pno:benchmark"]
)
def test_a_session_is_stored_as_one_file_whatever_writes_it(project, option: str) -> None:
    project.cases(project.CASES + "\n    def test_plain():\n        pass\n")
    result = project.run(*filter(None, [option]), "--energy-rounds=2")
    result.assert_outcomes(passed=2 if option == "--benchmark-only" else 3, skipped=option == "--benchmark-only")
    (stored,) = project.stored()
    assert stored.joules(project.A) == [100.0, 100.0]
    assert stored.status == "ok"
    if "save=" in option:
        assert stored.path.name == "0001_mine.json"


def test_names_and_numbers_follow_one_another_in_one_folder(project) -> None:
    project.cases()
    for option in ("--benchmark-save=stock", "-q", "--benchmark-save=stock"):
        project.run(option)
    project.run("-p", "no:benchmark")
    assert [s.path.name[:5] for s in project.stored()] == ["0001_", "0002_", "0003_", "0004_"]


def test_failed_and_partial_cases_are_in_the_file_that_pytest_benchmark_writes(project) -> None:
    project.cases("""
        def test_fails_midway(energy):
            energy(lambda: 1 / (1 - energy.seed))

        def test_good(energy):
            energy(list)
        """)
    project.run("--energy-rounds=2", "--benchmark-save=run1").assert_outcomes(passed=1, failed=1)
    (stored,) = project.stored()
    assert {id[15:]: (r["status"], len(r["rounds"])) for id, r in stored.records.items()} == {
        "test_fails_midway": ("failed", 1),
        "test_good": ("ok", 2),
    }
    assert stored.status == "failed"


def test_a_json_file_of_ones_own_is_written_beside_the_store(project) -> None:
    project.cases()
    project.run("--benchmark-json=out.json", "--energy-rounds=2").assert_outcomes(passed=2)
    from json import loads

    document = loads((project.path / "out.json").read_text())
    assert document["energybench"]["status"] == "ok"
    assert len(document["benchmarks"][0]["extra_info"]["energybench"]["rounds"]) == 2
    assert len(project.stored()) == 1


def test_the_stock_reader_lists_and_compares_our_files(project) -> None:
    project.cases()
    project.run("--energy-rounds=2")
    project.run("--energy-rounds=2", "-p", "no:benchmark")
    listed = benchmark_cli(project, "list")
    assert [line[-5:] for line in listed.split()] == [".json", ".json"]
    table = benchmark_cli(project, "compare", "--csv=out.csv")
    assert "test_tune[a] (0001" in table
    assert "test_tune[a] (0002" in table
    assert (project.path / "out.csv").read_text().count("test_tune[b]") == 2


def test_the_stock_comparison_in_a_session_works_from_a_folder_below(project) -> None:
    project.file("below/test_bench.py", project.CASES)
    project.run("below")
    path = next((project.path / ".benchmarks").glob("*/0001*.json"))
    path.write_text(path.read_text().replace('"machine": "', '"machine": "another '))
    result = project.pytester.run(
        sys.executable,
        "-c",
        "import os, sys, pytest; os.chdir('below'); sys.exit(pytest.main(sys.argv[1:]))",
        *project.arguments("--benchmark-compare", meters="replay:../replay.json"),
    )
    assert result.ret == 0, result.stderr.str()
    project.says(result, "*test_tune[[]a[]]*(0001*", "*test_tune[[]a[]]*(NOW)*")
    assert len(project.stored()) == 2
    assert not (project.path / "below" / ".benchmarks").exists()


def test_skipped_benchmarks_measure_and_store_nothing(project) -> None:
    project.cases()
    result = project.run("--benchmark-skip")
    result.assert_outcomes(skipped=2)
    assert project.stored() == []


def test_disabled_benchmarks_call_the_function_once_and_meter_nothing(project) -> None:
    project.cases("""
        import pytest
        from pathlib import Path

        def test_it(energy):
            def call(x):
                with energy.lap("epoch"):
                    with Path(__file__).with_name("log").open("a") as file:
                        print("called", file=file)
                energy.record(accuracy=0.5)
                return x
            with energy.apart("search"):
                pass
            assert not energy.resumed(call)
            run = energy(call, 3)
            assert (run.value, run.accuracy, run.joules, run.seconds, run.rounds) == (3, 0.5, None, None, ())

        def test_pedantic(energy):
            assert energy.pedantic(lambda x: x, setup=lambda: ((4,), {}), rounds=3).value == 4
        """)
    result = project.run("--benchmark-disable", "--energy-rounds=3", "-v")
    result.assert_outcomes(passed=2)
    assert project.log() == ["called"]
    project.says(result, "energybench: --benchmark-disable: every case is called once and not metered")
    assert project.stored() == []
    assert not list(project.path.glob(".benchmarks/.journal/*.jsonl"))


def test_a_users_own_benchmark_marker_keeps_its_group(project) -> None:
    project.cases("""
        import pytest

        @pytest.mark.benchmark(group="small")
        def test_it(energy):
            energy(list)
        """)
    project.run().assert_outcomes(passed=1)
    assert project.last().document["benchmarks"][0]["group"] == "small"


def test_nothing_at_all_is_written_when_saving_is_off(project) -> None:
    project.cases()
    before = project.files()
    result = project.run("--energy-no-save", "--energy-rounds=2", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
    assert project.files() == before
    project.says(result, "*store off")


def test_the_store_lies_under_rootdir_and_elsewhere_when_asked(project) -> None:
    project.file("below/test_bench.py", project.CASES)
    code = "import os, sys, pytest; os.chdir('below'); sys.exit(pytest.main(sys.argv[1:]))"
    args = project.arguments("-q", meters="replay:../replay.json")
    assert project.pytester.run(sys.executable, "-c", code, *args).ret == 0
    assert len(project.stored()) == 1
    elsewhere = f"--benchmark-storage=file://{project.path}/elsewhere"
    assert project.run("below", elsewhere).ret == 0
    assert len(project.stored("elsewhere")) == 1
    assert len(project.stored()) == 1
    assert (project.path / "elsewhere" / ".journal").is_dir()
