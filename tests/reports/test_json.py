"""A comparison for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.compare import compare_cases
from energybench.model import Case, Domain, Provenance, Round, Window
from energybench.reports.json import comparison_json


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
    assert {"p", "reason"} <= energy.keys()


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
