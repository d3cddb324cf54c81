"""Parallel workers would count one another's energy: refused where there are cases, silent where there are none."""

from __future__ import annotations

import pytest

pytest.importorskip("xdist")


def test_cases_in_workers_are_refused_in_one_sentence(project) -> None:
    project.cases(project.CASES + "\n    def test_plain():\n        pass\n")
    result = project.run_apart("-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert text.count("energy cases cannot be metered in parallel workers") == 1
    assert "INTERNALERROR" not in text
    assert "Traceback" not in text
    assert project.stored() == []


def test_workers_without_selected_cases_pass(project) -> None:
    project.cases(project.CASES + "\n    def test_plain():\n        pass\n")
    project.run_apart("-n2", "-k", "plain").assert_outcomes(passed=1)
    assert not project.files(".benchmarks")


def test_n0_is_no_worker(project) -> None:
    project.cases()
    project.run("-n0").assert_outcomes(passed=2)
    assert len(project.stored()) == 1


def test_a_gate_in_workers_is_refused_even_without_cases(project) -> None:
    project.file("test_plain.py", "def test_plain():\n    pass\n")
    result = project.run_apart("-n2", "--energy-compare=latest")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, "ERROR: energy cases cannot be metered in parallel workers*")
