"""The gate of --energy-compare: red exactly where a case got worse, never green by accident."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

GATE_A, GATE_B = (
    "energybench::gate[[]test_bench.py::test_tune[[]a[]]*",
    "energybench::gate[[]test_bench.py::test_tune[[]b[]]*",
)
STEADY = [(200.0, 2.0), (200.4, 2.0), (199.6, 2.0)]


def scaled(factor: float) -> list[tuple[float, float]]:
    return [(joules * factor, seconds) for joules, seconds in STEADY]


@pytest.fixture
def baseline(project) -> None:
    """Two cases of three rounds stored as `main`."""
    project.cases()
    project.replay({"*[a]": STEADY, "*[b]": STEADY})
    project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=2)


@pytest.fixture
def worse(project, baseline: None) -> str:
    """A replay file in which case b takes a fifth more energy."""
    return str(project.replay({"*[a]": STEADY, "*[b]": scaled(1.2)}, name="worse.json"))


def compare(project, *args: str | Path, meters: str = "replay:replay.json") -> pytest.RunResult:
    return project.run("--energy-rounds=3", "--energy-compare=main", *args, meters=meters)


def statuses(project) -> list[str]:
    return [stored.status for stored in project.stored()]


def test_an_unchanged_run_passes_every_gate(project, baseline: None) -> None:
    result = compare(project, "-v")
    result.assert_outcomes(passed=5)
    assert result.ret == 0
    project.says(result, f"{GATE_A}PASSED*", f"{GATE_B}PASSED*", "energybench::gate[[]run[]] PASSED*")
    assert statuses(project) == ["ok", "ok"]


def test_a_fifth_more_energy_fails_exactly_its_gate_with_one_paragraph(project, worse: str) -> None:
    result = compare(project, "--junitxml=out.xml", meters=worse)
    result.assert_outcomes(passed=4, failed=1)
    assert result.ret == 1
    project.says(
        result,
        "test_bench.py::test_tune[[]b[]] against 0001_main: energy regressed +20*",
        f"FAILED {GATE_B}",
    )
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "GateFailedError" not in text
    root = ElementTree.parse(project.path / "out.xml").getroot()
    cases = {str(case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == 5
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failed == [f"gate[{project.B}]"]
    gate = cases[failed[0]]
    assert gate.get("classname") == "energybench"
    (verdict,) = [p.get("value") for p in gate.iter("property") if p.get("name") == "energybench_verdict"]
    assert verdict == "energy:regressed,accuracy:ok"


def test_a_regressed_run_is_stored_as_such_and_never_becomes_the_baseline(project, worse: str) -> None:
    compare(project, meters=worse)
    assert statuses(project) == ["ok", "regressed"]
    again = project.run("--energy-rounds=3", "--energy-compare=latest", meters=worse)
    again.assert_outcomes(passed=4, failed=1)
    project.says(again, "note: *latest: 0001_main*")


def test_running_the_last_failures_measures_the_regressed_case_and_its_gate_again(project, worse: str) -> None:
    project.file("test_other.py", project.CASES)
    project.replay({"*": STEADY})
    project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=4)
    failing = project.replay({"*bench*[b]": scaled(1.2), "*": STEADY}, name="worse.json")
    compare(project, meters=failing).assert_outcomes(passed=8, failed=1)
    again = compare(project, "--lf", "-v", meters=failing)
    again.assert_outcomes(passed=2, failed=1)
    project.says(again, f"{GATE_B}FAILED*")
    mended = compare(project, "--lf", "-v")
    mended.assert_outcomes(passed=3)
    project.says(mended, f"{GATE_B}PASSED*")


def test_a_case_that_is_gone_fails_as_missing_unless_it_was_not_asked_for(project, baseline: None) -> None:
    project.cases(project.CASES.replace('["a", "b"]', '["a"]'))
    gone = compare(project)
    gone.assert_outcomes(passed=3, failed=1)
    project.says(gone, "test_bench.py::test_tune[[]b[]] is in the baseline 0001_main and not in this run. Renamed*")
    one = compare(project, project.A)
    one.assert_outcomes(passed=3)
    (project.path / "elsewhere").mkdir()
    project.file("elsewhere/test_more.py", project.CASES)
    other = compare(project, "elsewhere", "-v")
    project.says(other, "energybench::gate[[]elsewhere*[[]a[]]* PASSED*", "energybench::gate[[]run[]] FAILED*")
    other.assert_outcomes(passed=4, failed=1)


def test_deselected_cases_are_not_missing_and_have_no_gate(project, baseline: None) -> None:
    result = compare(project, "-k", "a]", "-v")
    result.assert_outcomes(passed=3, deselected=1)
    result.stdout.no_fnmatch_line(f"{GATE_B}*")
    compare(project, "--deselect", project.B).assert_outcomes(passed=3, deselected=1)


@pytest.mark.parametrize("change", ["provenance", "domains", "workload", "comparability"])
def test_what_cannot_be_compared_fails_and_says_why(project, baseline: None, change: str) -> None:
    meters, says = "replay:replay.json", ""
    if change == "provenance":
        meters, says = "estimate", "provenance (replayed -> estimated)"
    elif change == "domains":
        meters = project.replay({"*": STEADY}, name="other.json", domain="gpu:0")
        says = "domains (package:0 -> gpu:0)"
    elif change == "comparability":
        meters = project.replay({"*": STEADY}, name="other.json", comparability={"gpu_model": "H200"})
        says = "gpu_model (absent -> H200)"
    else:
        project.cases(project.CASES.replace("def tune():", "energy.workload(size=2)\n        def tune():"))
        says = "workload ("
    result = compare(project, "-k", "a]", meters=meters)
    nothing = change == "workload"  # the accuracies of the others are still of one kind
    result.assert_outcomes(passed=1 + (not nothing), failed=1 + nothing, deselected=1)
    lines = [line for line in result.outlines if line.startswith(f"{project.A} against 0001_main: ")]
    assert lines
    assert "energy not-comparable" in lines[0]
    assert says in lines[0]
    if nothing:
        project.says(result, "nothing was compared with 0001_main: no selected case was measured in both runs*")


@pytest.mark.parametrize(
    ("args", "cases"),
    [(["--benchmark-skip"], {"skipped": 2}), (["--benchmark-disable"], {"passed": 2}), (["-k", "nothing"], {})],
    ids=["skip", "disable", "deselected"],
)
def test_a_gate_over_nothing_fails(project, baseline: None, args: list[str], cases: dict[str, int]) -> None:
    result = compare(project, *args)
    deselected = 2 if "-k" in args else 0
    result.assert_outcomes(failed=1 + sum(cases.values()), deselected=deselected, **cases)
    assert result.ret == 1
    project.says(result, "nothing was compared with 0001_main: *")
    if cases:
        project.says(
            result,
            "test_bench.py::test_tune[[]a[]]: no round was finished in this session (skipped, failed or disabled)*",
        )
    assert statuses(project) == ["ok"]


def test_a_session_without_any_test_fails_its_gate_too(project, baseline: None) -> None:
    (project.path / "empty").mkdir()
    result = compare(project, "empty")
    result.assert_outcomes(failed=1)
    project.says(result, "nothing was compared with 0001_main: *")


def test_a_case_that_fails_fails_its_gate(project, baseline: None) -> None:
    project.cases(project.CASES.replace("assert run.value == model", "assert model == 'a'"))
    result = compare(project)
    result.assert_outcomes(passed=3, failed=2)
    project.says(result, f"FAILED {project.B.replace('[', '[[]', 1)}*", f"FAILED {GATE_B}")


def test_gates_are_listed_and_nothing_is_run_or_stored(project, baseline: None) -> None:
    result = compare(project, "--collect-only", "-q")
    assert result.ret == 0
    project.says(result, GATE_A, GATE_B, "energybench::gate[[]run[]]")
    assert len(project.stored()) == 1


def test_a_new_case_passes_its_gate_and_is_no_comparison(project, baseline: None) -> None:
    project.cases(project.CASES.replace('["a", "b"]', '["a", "b", "new"]'))
    project.replay({"*": STEADY})
    compare(project).assert_outcomes(passed=7)
    only_new = compare(project, "-k", "new]", "-v")
    only_new.assert_outcomes(passed=2, failed=1, deselected=2)
    project.says(only_new, "energybench::gate[[]run[]] FAILED*")


def test_what_cannot_be_told_apart_is_an_x_and_fails_where_x_does(project, baseline: None) -> None:
    noisy = project.replay({"*[a]": STEADY, "*[b]": [(150.0, 2.0), (205.0, 2.0), (260.0, 2.0)]}, name="noisy.json")
    result = compare(project, meters=noisy)
    result.assert_outcomes(passed=4, xfailed=1)
    assert result.ret == 0
    assert statuses(project)[-1] == "ok"
    strict = compare(project, "--runxfail", meters=noisy)
    strict.assert_outcomes(passed=4, failed=1)
    project.says(strict, "*energy inconclusive*")


def test_the_margin_decides(project, worse: str) -> None:
    compare(project, "--energy-margin=0.3", meters=worse).assert_outcomes(passed=5)
    compare(project, "--energy-margin=0.1", meters=worse).assert_outcomes(passed=4, failed=1)


def test_lost_accuracy_fails_the_gate(project, baseline: None) -> None:
    project.cases(project.CASES.replace("accuracy=0.9", "accuracy=0.9 if model == 'a' else 0.8"))
    result = compare(project)
    result.assert_outcomes(passed=4, failed=1)
    project.says(result, "test_bench.py::test_tune[[]b[]] against 0001_main: *accuracy regressed -10.00 points*")


def test_the_first_failed_gate_stops_the_session_when_asked(project, baseline: None) -> None:
    both = project.replay({"*": scaled(1.2)}, name="worse.json")
    result = compare(project, "-x", meters=both)
    result.assert_outcomes(passed=2, failed=1)
    assert statuses(project) == ["ok", "regressed"]


def test_gates_work_without_pytest_benchmark(project, worse: str) -> None:
    compare(project, "-p", "no:benchmark", meters=worse).assert_outcomes(passed=4, failed=1)
    assert statuses(project) == ["ok", "regressed"]
