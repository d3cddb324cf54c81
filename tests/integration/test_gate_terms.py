"""On which terms the gate judges: margins by case, inconclusive as failure, limits in the marker, promised counters."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest

STEADY = [(200.0, 2.0), (200.4, 2.0), (199.6, 2.0)]
NOISY = [(150.0, 2.0), (205.0, 2.0), (260.0, 2.0)]
WORSE = [(joules * 1.2, seconds) for joules, seconds in STEADY]
GATE_B = "energybench::gate[[]test_bench.py::test_tune[[]b[]][]]"


@pytest.fixture
def baseline(project) -> None:
    """Two cases of three rounds stored as `main`; from now on b takes a fifth more energy."""
    project.cases()
    project.replay({"*": STEADY})
    project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=2)
    project.replay({"*[b]": WORSE, "*": STEADY})


def compare(project, *args: str, meters: str = "replay:replay.json") -> pytest.RunResult:
    return project.run("--energy-rounds=3", "--energy-compare=main", *args, meters=meters)


def gates(project) -> dict[str, dict[str, str]]:
    """Gate -> its JUnit properties, those with an outcome `failed` or `skipped` among them."""
    found = {}
    for case in ElementTree.parse(project.path / "out.xml").getroot().iter("testcase"):
        if case.get("classname") == "energybench":
            properties = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
            for outcome in ("failure", "skipped"):
                if (child := case.find(outcome)) is not None:
                    properties[outcome] = child.text or child.get("message") or ""
            found[case.get("name", "").removeprefix("gate[").removesuffix("]")] = properties
    return found


def edit_baseline(project, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change our record of each case of the stored baseline."""
    stored = project.stored()[0]
    for record in stored.records.values():
        edit(record)
    stored.path.write_text(json.dumps(stored.document))


# margins


def test_a_margin_in_the_marker_beats_the_file_and_is_stored(project, baseline: None) -> None:
    project.file("margins.toml", '[margins]\n"b" = 0.1\n')
    compare(project, "--energy-margins=margins.toml").assert_outcomes(passed=4, failed=1)
    marked = project.CASES.replace("@pytest.mark", "@pytest.mark.energybench(margin=0.3)\n    @pytest.mark", 1)
    project.cases(marked)
    compare(project, "--energy-margins=margins.toml", "--junitxml=out.xml").assert_outcomes(passed=5)
    assert gates(project)[project.B]["energybench_energy_margin"] == "0.3"
    assert {record["margins"]["energy"] for record in project.last().records.values()} == {0.3}


def test_margins_of_a_file_hold_for_the_cases_that_their_patterns_fit(project, baseline: None) -> None:
    project.file("gates/margins.toml", '[margins]\n"*::test_tune[b]" = {energy = 0.3, accuracy = 0.02}\n')
    project.file("pytest.ini", "[pytest]\nenergy_margins = gates/margins.toml\n")
    compare(project, "--junitxml=out.xml").assert_outcomes(passed=5)
    found = gates(project)
    assert found[project.B]["energybench_energy_margin"] == "0.3"
    assert found[project.B]["energybench_accuracy_margin"] == "0.02"
    assert found[project.A]["energybench_energy_margin"] == "0.05"
    assert project.last().document["energybench"]["gate"]["margins"] == {
        "*::test_tune[b]": {"energy": 0.3, "accuracy": 0.02}
    }


def test_a_pattern_that_fits_nothing_is_a_note_but_not_where_its_case_is_only_deselected(
    project, baseline: None
) -> None:
    project.file("margins.toml", '[margins]\n"b" = 0.3\n"vgg16-*" = 0.1\n')
    result = compare(project, "--energy-margins=margins.toml", "-k", "a]")
    project.says(result, "note: margins.toml: 'vgg16-[*]' fits no case of this suite or baseline")
    assert "'b'" not in result.stdout.str()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "ERROR: the margins margins.toml cannot be read: No such file or directory.*"),
        ('[margins]\n"b" = 30\n', "ERROR: the margins margins.toml: 'b': the margin is a number between 0 and 1*"),
        ('[margins]\n"b" = {joules = 0.3}\n', "ERROR: the margins margins.toml: 'b' gives a margin to 'joules'*"),
    ],
)
def test_a_bad_file_of_margins_is_found_before_anything_runs(
    project, baseline: None, text: str | None, says: str
) -> None:
    if text is not None:
        project.file("margins.toml", text)
    result = compare(project, "--energy-margins=margins.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, says)
    assert len(project.stored()) == 1


# inconclusive


def test_what_cannot_be_told_apart_fails_where_asked_and_is_never_the_latest_baseline(project, baseline: None) -> None:
    project.replay({"*[b]": NOISY, "*": STEADY})
    result = compare(project, "--energy-inconclusive=fail", "--junitxml=out.xml")
    result.assert_outcomes(passed=4, failed=1)
    assert result.ret == 1
    assert "energy inconclusive" in gates(project)[project.B]["failure"]
    assert project.last().status == "inconclusive"
    project.file("pytest.ini", "[pytest]\nenergy_inconclusive = fail\n")
    again = project.run("--energy-rounds=3", "--energy-compare=latest")
    again.assert_outcomes(passed=4, failed=1)
    project.says(again, "note: latest: 0001_main.")
    compare(project, "--energy-inconclusive=warn").assert_outcomes(passed=4, xfailed=1)


def test_a_regression_beside_something_inconclusive_is_a_regression(project, baseline: None) -> None:
    project.replay({"*[a]": NOISY, "*[b]": WORSE})
    compare(project, "--energy-inconclusive=fail").assert_outcomes(passed=3, failed=2)
    assert project.last().status == "regressed"


# the run's own gate


def test_every_gate_has_its_numbers_under_stable_names(project, baseline: None) -> None:
    compare(project, "--junitxml=out.xml").assert_outcomes(passed=4, failed=1)
    found = gates(project)
    worse = found[project.B]
    assert worse["energybench_verdict"] == "energy:regressed,accuracy:ok"
    assert float(worse["energybench_energy_change"]) == pytest.approx(0.2)
    assert float(worse["energybench_energy_low"]) < 0.2 < float(worse["energybench_energy_high"])
    assert 0 <= float(worse["energybench_energy_p"]) < 0.05
    assert (worse["energybench_energy_baseline"], worse["energybench_energy_candidate"]) == ("200", "240")
    assert (worse["energybench_accuracy_verdict"], worse["energybench_accuracy_candidate"]) == ("ok", "0.9")
    for part in ("+20.0 %", "margin 5 %", "200 J to 240 J a round = epochs +0.0 % x seconds per epoch", "x power"):
        assert part in worse["failure"]
    assert "\n" not in worse["failure"].strip()
    run = found["run"]
    assert (run["energybench_verdict"], run["energybench_baseline"]) == ("ok", "0001_main")
    assert (run["energybench_compared"], run["energybench_missing"], run["energybench_looks"]) == ("2", "", "1")


@pytest.fixture
def eight(project) -> None:
    """Eight cases of three rounds stored as `main`."""
    project.cases(project.CASES.replace('["a", "b"]', "list('abcdefgh')"))
    project.replay({"*": STEADY})
    project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=8)


def test_what_all_cases_have_in_common_is_the_runs_own_gate(project, eight: None) -> None:
    project.replay({"*": WORSE})
    compare(project, "--junitxml=out.xml").assert_outcomes(passed=8, failed=9)
    run = gates(project)["run"]
    assert run["failure"].startswith("against 0001_main, all 8 cases together: energy regressed +20.0 %")
    assert (run["energybench_verdict"], run["energybench_shift_verdict"]) == ("regressed", "regressed")
    assert float(run["energybench_shift_change"]) == pytest.approx(0.2, abs=1e-3)
    assert run["energybench_shift_cases"] == "8"
    assert project.last().status == "regressed"


def test_missing_cases_are_named_by_the_run(project, eight: None) -> None:
    project.cases(project.CASES.replace('["a", "b"]', "list('abcdef')"))
    project.replay({"*": WORSE})
    compare(project, "--junitxml=out.xml").assert_outcomes(passed=6, failed=9)
    found = gates(project)
    missing = ["test_bench.py::test_tune[g]", "test_bench.py::test_tune[h]"]
    assert found["run"]["energybench_missing"] == ",".join(missing)
    assert found["run"]["failure"].endswith(f"missing in this run: {', '.join(missing)}")
    assert found[missing[0]]["energybench_verdict"] == "missing"


def test_a_run_that_estimates_what_the_baseline_measured_fails_with_that_sentence(project, baseline: None) -> None:
    def measure(record: dict[str, Any]) -> None:
        record["domains"][0] |= {"meter": "rapl", "provenance": "measured"}

    edit_baseline(project, measure)
    result = compare(project, "--junitxml=out.xml", "--energy-no-canary", meters="estimate")
    result.assert_outcomes(passed=2, failed=3)
    found = gates(project)
    sentence = "the joules of 0001_main are measured, those of this run are estimated: no counter could be read, and a "
    assert found["run"]["failure"].startswith(sentence)
    assert found["run"]["energybench_verdict"] == "not-comparable"
    assert "provenance (measured -> estimated)" in found[project.A]["failure"]
    assert sentence in found[project.A]["failure"]
    assert project.last().status == "regressed"


# limits


def limited(project, marker: str, record: str = "accuracy=0.9, images=50") -> pytest.RunResult:
    project.cases(f"""
        import pytest

        @pytest.mark.energybench({marker})
        def test_it(energy):
            energy(lambda: energy.record({record}))
        """)
    return project.run()


@pytest.mark.parametrize(
    "marker",
    ["max_j_per_sample=2", "min_accuracy=0.9", "max_kwh=1", "max_j_per_sample=2.5, min_accuracy=0.85, max_kwh=0.001"],
)
def test_limits_that_are_kept_say_nothing(project, marker: str) -> None:
    limited(project, marker).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "record", "says"),
    [
        (
            "max_j_per_sample=1",
            "images=50",
            "the budget of 1.00 J per image was exceeded by 100 %: 2.00 J of IT energy*",
        ),
        ("max_j_per_sample=1", "tokens=50", "the budget of 1.00 J per token was exceeded*"),
        ("max_j_per_sample=9", "accuracy=1", "*cannot be checked: no round recorded how many it processed; call*"),
        ("min_accuracy=0.95", "accuracy=0.9", "the demanded accuracy of 95 % was missed by 5 points: 90 %*"),
        ("min_accuracy=0.95", "images=1", "*cannot be checked: 1 of 1 rounds recorded none; call*accuracy=...*"),
    ],
)
def test_a_limit_that_is_not_kept_fails_its_case(project, marker: str, record: str, says: str) -> None:
    result = limited(project, marker, record)
    result.assert_outcomes(failed=1)
    project.says(result, says)
    assert "Traceback" not in result.stdout.str()
    assert project.last().status == "failed"


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ("max_j_per_sample=0", "ERROR: test_bench.py::test_it: *max_j_per_sample=...) is a number of joules above 0*"),
        ("min_accuracy=90", "ERROR: test_bench.py::test_it: *min_accuracy=...) is a share above 0 and at most 1*"),
        ("margin={'energy': 5}", "ERROR: test_bench.py::test_it: *margin=...): the margin of energy is a number*"),
        ("margins=0.1", "ERROR: test_bench.py::test_it: *has no keyword 'margins'*did you mean 'margin'?"),
    ],
)
def test_a_wrong_limit_is_found_at_collection(project, marker: str, says: str) -> None:
    result = limited(project, marker)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, says)
    assert project.stored() == []
