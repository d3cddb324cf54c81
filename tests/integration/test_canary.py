"""--energy-canary: a fixed load at both ends of the session, stored with it and never among the cases."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

STEADY = [(200.0, 2.0), (200.4, 2.0), (199.6, 2.0)]


@pytest.fixture
def canary(project, monkeypatch: pytest.MonkeyPatch):
    """A project in which the load takes a blink; `looks` are what the last run stored of it."""
    # Not the package's attribute: that may be a module that an earlier pytest in this process loaded, and forgot.
    canary = importlib.import_module("energybench.harness.canary")
    monkeypatch.setattr(canary, "_calls", lambda work: 3)  # whatever the time: replayed joules do not grow with it
    project.cases()
    return project


def looks(project) -> list[dict[str, Any]]:
    return project.last().document["energybench"].get("canary", [])


def test_it_is_metered_before_the_first_and_after_the_last_case(canary) -> None:
    canary.replay({"canary": [(10.0, 0.5), (11.0, 0.5)], "*": [(100.0, 1.0)]})
    canary.run("--energy-canary").assert_outcomes(passed=2)
    first, last = looks(canary)
    assert (first["when"], last["when"]) == ("first", "last")
    assert (first["joules"], last["joules"]) == ({"package:0": 10.0}, {"package:0": 11.0})
    assert first["calls"] == last["calls"] == 3
    assert len(canary.last().document["benchmarks"]) == 2


def test_it_is_off_unless_asked_for_or_where_the_gate_wants_it(canary) -> None:
    canary.run(meters="estimate").assert_outcomes(passed=2)
    assert looks(canary) == []
    canary.run("--energy-compare=0001", "-k", "a]", meters="estimate")
    assert [look["when"] for look in looks(canary)] == ["first", "last"]
    assert all(look["seconds"] > 0 for look in looks(canary))
    canary.run("--energy-compare=0001", "--energy-no-canary", meters="estimate")
    assert looks(canary) == []
    canary.file("pytest.ini", "[pytest]\nenergy_canary = true\n")
    canary.run(meters="estimate")
    assert len(looks(canary)) == 2


def test_replayed_joules_have_none_unless_asked_for(canary) -> None:
    canary.run().assert_outcomes(passed=2)
    canary.run("--energy-compare=0001").assert_outcomes(passed=5)
    assert looks(canary) == []


def test_what_fails_in_it_is_a_note(canary) -> None:
    canary.replay({"*[a]": [(100.0, 1.0)], "*[b]": [(100.0, 1.0)]})
    result = canary.run("--energy-canary")
    result.assert_outcomes(passed=2)
    canary.says(result, "note: canary: not metered (MeterError: replay.json has no recorded window for 'canary'*")
    assert result.stdout.str().count("canary: not metered") == 1
    assert looks(canary) == []


def test_a_session_that_stops_has_only_the_first(canary) -> None:
    canary.cases(canary.CASES.replace("return model", "raise OSError(model)"))
    canary.run("--energy-canary", "-x").assert_outcomes(failed=1)
    canary.cases("def test_a(energy):\n    energy(list)\n\ndef test_b(energy):\n    raise OSError\n")
    canary.run("--energy-canary", "-x").assert_outcomes(passed=1, failed=1)
    assert [look["when"] for look in looks(canary)] == ["first"]


def test_sessions_without_cases_or_metering_have_none(canary) -> None:
    for arguments in (["-k", "nothing"], ["--benchmark-disable"], ["--collect-only"], ["--setup-only"]):
        canary.run("--energy-canary", *arguments)
    assert canary.stored() == []


def test_a_machine_that_drifted_with_all_cases_is_no_regression_of_the_code(canary) -> None:
    """The same shift of six cases with a canary that moved along, and with one that did not."""
    canary.cases(canary.CASES.replace('["a", "b"]', "list('abcdef')"))
    canary.replay({"canary": [(10.0, 0.5)], "*": STEADY})
    canary.run("--energy-rounds=3", "--energy-canary", "--benchmark-save=main").assert_outcomes(passed=6)
    compare = ["--energy-rounds=3", "--energy-canary", "--energy-compare=main"]
    shifted = [(joules * 1.2, seconds) for joules, seconds in STEADY]
    canary.replay({"canary": [(12.0, 0.5)], "*": shifted})
    drifted = canary.run(*compare, "-v")
    canary.says(drifted, "energybench::gate[[]run[]] XFAIL*")
    assert canary.last().status != "regressed"
    canary.replay({"canary": [(10.0, 0.5)], "*": shifted})
    slower = canary.run(*compare)
    canary.says(slower, "against 0001_main, all 6 cases together: energy regressed +20.0 %*the canary changed by*")
    assert canary.last().status == "regressed"
