"""A comparison for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.report import Report, SessionNoise, Shift
from energybench.model import Case, Domain, Provenance, Round, Verdict, Window
from energybench.reports.comparison_view import View
from energybench.reports.json import comparison_json, comparisons_json


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_the_shape_is_the_documented_one(make_case: Any) -> None:
    document = json.loads(comparison_json(compare_cases([make_case(joules=[100.0])], [make_case(joules=[120.0])])))
    assert (document["schema"], document["exit"]) == (1, 1)
    energy = document["comparisons"][0]
    assert energy["case"] == "benches/test_f.py::test_f[resnet18-none]"
    assert (energy["metric"], energy["verdict"]) == ("energy", "regressed")
    assert energy["change"] == pytest.approx(0.2)
    assert (energy["baseline"], energy["candidate"], energy["interval"]) == (100.0, 120.0, None)
    assert {"p", "reason", "rounds"} <= energy.keys()


@pytest.fixture
def report(make_case: Any) -> Report:
    """Two models: a unchanged, b +20 %."""
    old = [make_case(f"{name}-none", [100.0, 101.0, 99.0], params={"model": name}) for name in ("a", "b")]
    new = [old[0], make_case("b-none", [120.0, 121.2, 118.8], params={"model": "b"})]
    return compare_cases(old, new, CompareOptions(paired=True))


def test_what_all_cases_share_is_null_where_it_is_absent(report: Report) -> None:
    document = json.loads(comparison_json(replace(report, noise=None)))
    assert (document["shift"], document["canary"], document["noise"]) == (None, None, None)


def test_shift_canary_noise_counts_and_means_are_there(report: Report) -> None:
    shift = Shift("energy", Verdict.OK, 0.01, (-0.01, 0.03), "why", 36, 0.2)
    full = replace(report, shift=shift, canary=0.002, noise=SessionNoise(0.02, 0.01, 12, 11))
    document = json.loads(comparison_json(full))
    assert document["shift"] == {
        "metric": "energy",
        "verdict": "ok",
        "change": 0.01,
        "interval": [-0.01, 0.03],
        "reason": "why",
        "cases": 36,
        "p": 0.2,
    }
    assert document["canary"] == 0.002
    assert document["noise"] == {"common": 0.02, "case": 0.01, "sessions": 12, "common_df": 11, "paired": False}
    assert document["counts"] == {"ok": 1, "regressed": 1}
    assert document["geometric_means"]["energy"] == {"ratio": pytest.approx(1.2**0.5), "cases": 2}
    assert document["geometric_means"].keys() == {"energy", "seconds", "power"}


def test_a_view_restricts_the_comparisons_and_nothing_else(report: Report) -> None:
    whole = json.loads(comparison_json(report))
    part = json.loads(comparison_json(report, view=View(metrics=("energy",), only=(Verdict.REGRESSED,))))
    assert [(c["case"][-8:], c["metric"]) for c in part["comparisons"]] == [("[b-none]", "energy")]
    assert {**part, "comparisons": None} == {**whole, "comparisons": None}


def test_groups_have_their_cases_and_means(report: Report) -> None:
    document = json.loads(comparison_json(report, view=View(group_by="model")))
    assert [(group["model"], len(group["cases"])) for group in document["groups"]] == [("a", 1), ("b", 1)]
    assert document["groups"][1]["geometric_means"]["energy"]["ratio"] == pytest.approx(1.2)


def test_several_candidates_are_several_reports_and_one_is_itself(report: Report) -> None:
    report = replace(report, baseline="0001_a", candidate="0002_b")
    assert comparisons_json([report], 1) == comparison_json(report)
    document = json.loads(comparisons_json([report, replace(report, candidate="0003_c")], 1))
    assert (document["schema"], document["exit"], document["baseline"]) == (1, 1, "0001_a")
    assert [(one["candidate"], one["exit"]) for one in document["reports"]] == [("0002_b", 1), ("0003_c", 1)]
    assert document["reports"][0] == json.loads(comparison_json(report))


ROUNDS = st.lists(
    st.builds(
        Round,
        window=st.builds(
            Window,
            seconds=st.floats(0, 1e5),
            joules=st.fixed_dictionaries({"gpu:0": st.none() | st.floats(0, 1e300)}),
        ),
        metrics=st.dictionaries(st.sampled_from(["accuracy", "epochs", "total"]), st.none() | st.floats(0, 1)),
        seed=st.integers(0, 3),
    ),
    max_size=4,
).map(tuple)


@given(ROUNDS, ROUNDS)
def test_no_rounds_whatever_give_nan(old: tuple[Round, ...], new: tuple[Round, ...]) -> None:
    domains = (Domain("gpu:0", "nvml", Provenance.MEASURED),)
    report = compare_cases([Case("f[a]", old, domains=domains)], [Case("f[a]", new, domains=domains)])
    json.loads(comparison_json(report), parse_constant=refuse)
