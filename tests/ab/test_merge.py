"""Rounds of several sessions as one run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from energybench.ab.merge import merge_runs
from energybench.errors import StoreError
from energybench.model import Case, Domain, Provenance, Run, Status, Window


def run(session: str, *cases: Case, **more: Any) -> Run:
    cases = tuple(
        replace(case, rounds=tuple(replace(round, session=session) for round in case.rounds)) for case in cases
    )
    return Run(f"{session}.json", cases, session={"session": session, "status": "ok", **more})


@pytest.fixture
def three(make_case: Any) -> list[Run]:
    """Three sessions of two cases, a round each."""
    return [
        run(f"s{k}", make_case("a", [100.0 + k], accuracy=[0.9]), make_case("b", [50.0 + k], accuracy=[0.8]))
        for k in range(3)
    ]


def test_each_case_has_the_rounds_of_all_sessions_in_their_order(three: list[Run]) -> None:
    merged = merge_runs(three)
    assert merged.left_out == ()
    assert [case.short_id for case in merged.run.cases] == ["a", "b"]
    assert [case.joules() for case in merged.run.cases] == [(100.0, 101.0, 102.0), (50.0, 51.0, 52.0)]
    assert [round.session for round in merged.run.cases[0].rounds] == ["s0", "s1", "s2"]
    assert [case.status for case in merged.run.cases] == [Status.OK, Status.OK]


def test_the_session_is_new_and_names_the_ones_that_it_was_made_of(three: list[Run]) -> None:
    session = merge_runs(three).run.session
    assert session["sessions"] == ["s0", "s1", "s2"]
    assert session["session"] not in session["sessions"]
    assert (session["status"], session["rounds"], session["interleaved"]) == ("ok", 3, True)


def test_a_case_that_one_session_lacks_is_partial_and_so_is_the_run(three: list[Run]) -> None:
    three[1] = replace(three[1], cases=three[1].cases[:1])
    merged = merge_runs(three)
    assert [case.status for case in merged.run.cases] == [Status.OK, Status.PARTIAL]
    assert merged.run.session["status"] == "partial"
    (sentence,) = merged.left_out
    assert sentence.endswith("test_f[b]: only 2 of 3 sessions measured it.")


def test_fewer_sessions_than_were_meant_make_every_case_partial(three: list[Run]) -> None:
    merged = merge_runs(three[:2], sessions=3)
    assert {case.status for case in merged.run.cases} == {Status.PARTIAL}
    assert merged.run.session["status"] == "partial"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"workload": "other"}, "the declared workload"),
        ({"comparability": {"power_limit_w": 300, "scope": "machine"}}, "power_limit_w, scope"),
        ({"domains": (Domain("gpu:0", "nvml", Provenance.MEASURED),)}, "the set of metered domains"),
        ({"domains": (Domain("package:0", "rapl", Provenance.ESTIMATED),)}, "the set of metered domains"),
    ],
)
def test_rounds_of_another_measurement_are_left_out_and_named(
    three: list[Run], change: dict[str, Any], said: str
) -> None:
    three[1] = replace(three[1], cases=(replace(three[1].cases[0], **change), three[1].cases[1]))
    merged = merge_runs(three)
    assert merged.run.cases[0].joules() == (100.0, 102.0)
    assert merged.run.cases[0].status is Status.PARTIAL
    (sentence,) = merged.left_out
    assert f"the rounds of 1 of 3 sessions are left out, since {said} changed between two sessions" in sentence


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([Status.OK, Status.FAILED_ACCURACY, Status.OK], Status.FAILED_ACCURACY),
        ([Status.PARTIAL, Status.OK, Status.FAILED], Status.FAILED),
        ([Status.FAILED_ACCURACY, Status.PARTIAL, Status.OK], Status.FAILED_ACCURACY),
    ],
)
def test_the_gravest_status_of_a_case_stands(three: list[Run], statuses: list[Status], expected: Status) -> None:
    runs = [
        replace(one, cases=(replace(one.cases[0], status=status), one.cases[1]))
        for one, status in zip(three, statuses, strict=True)
    ]
    assert merge_runs(runs).run.cases[0].status is expected


@pytest.mark.parametrize(
    ("statuses", "expected"), [(["ok", "failed", "partial"], "failed"), (["ok", "partial", "ok"], "partial")]
)
def test_the_gravest_status_of_the_sessions_stands(three: list[Run], statuses: list[str], expected: str) -> None:
    runs = [replace(one, session={**one.session, "status": s}) for one, s in zip(three, statuses, strict=True)]
    assert merge_runs(runs).run.session["status"] == expected


def test_a_search_is_charged_once_and_warm_ups_are_all_kept(three: list[Run]) -> None:
    runs = [
        replace(
            one,
            cases=(
                replace(
                    one.cases[0],
                    search=(Window(1.0, {"package:0": 10.0 + k}),),
                    warmups=one.cases[0].rounds,
                    idle_w={"package:0": 10.0 + k},
                ),
            ),
        )
        for k, one in enumerate(three)
    ]
    (case,) = merge_runs(runs).run.cases
    assert [window.joules["package:0"] for window in case.search] == [10.0]
    assert len(case.warmups) == 3
    assert case.idle_w == {"package:0": 11.0}


def test_canaries_notes_and_unmeasured_cases_of_all_sessions_are_told(three: list[Run]) -> None:
    b = three[0].cases[1].id
    told = [
        {"canary": [{"when": "first", "seconds": 1.0 + k}], "notes": ["idle: x"], "unmeasured": [{"fullname": name}]}
        for k, name in enumerate([b, "never", "never"])
    ]
    runs = [replace(one, session={**one.session, **more}) for one, more in zip(three, told, strict=True)]
    session = merge_runs(runs).run.session
    assert [reading["seconds"] for reading in session["canary"]] == [1.0, 2.0, 3.0]
    assert session["notes"] == ["idle: x"]
    assert session["unmeasured"] == [{"fullname": "never"}]


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(StoreError, match="nothing was measured"):
        merge_runs([])
