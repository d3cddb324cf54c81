"""Bencher Metric Format: what its reader takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import UsageError
from energybench.model import Case, Domain, Provenance, Round, Run, Window
from energybench.reports.exports.bencher import write

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON: serde would refuse the whole file")


def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in items}) == len(items), "a repeated key"
    return dict(items)


def read_by_bencher(text: str) -> dict[str, dict[str, dict[str, float]]]:
    """The contract of AdapterJsonV0: names of 1 to 1024 bytes, measures as slugs, JsonNewMetric's three numbers."""
    document = json.loads(text, parse_constant=refuse, object_pairs_hook=pairs)
    assert isinstance(document, dict)
    for name, measures in document.items():
        assert 1 <= len(name.encode()) <= 1024
        assert isinstance(measures, dict)
        assert measures, "a benchmark that measured nothing"
        for measure, metric in measures.items():
            assert SLUG.fullmatch(measure)
            assert len(measure) <= 64
            assert {"value"} <= metric.keys() <= {"value", "lower_value", "upper_value"}
            assert all(type(number) in (int, float) for number in metric.values())
            assert metric.get("lower_value", metric["value"]) <= metric["value"]
            assert metric["value"] <= metric.get("upper_value", metric["value"])
    return document


def test_energy_accuracy_and_latency_in_the_units_that_their_names_promise(make_run: Any, make_case: Any) -> None:
    case = make_case("a", [100.0, 104.0], accuracy=[0.9, 0.92], seconds=2.0, pue=1.5)
    export = write(make_run(case))
    assert read_by_bencher(export.text) == {
        case.id: {
            "energy-joules": {"value": 102.0, "lower_value": 100.0, "upper_value": 104.0},
            "accuracy": {
                "value": pytest.approx(0.91),
                "lower_value": pytest.approx(0.9),
                "upper_value": pytest.approx(0.92),
            },
            "latency": {"value": 2e9, "lower_value": 2e9, "upper_value": 2e9},  # Bencher's latency is in ns
        }
    }
    assert (export.entries, export.left_out) == (1, ())


def test_one_round_has_a_value_and_no_bounds(make_run: Any, make_case: Any) -> None:
    (measures,) = read_by_bencher(write(make_run(make_case(joules=[100.0]))).text).values()
    assert measures["energy-joules"] == {"value": 100.0}


def test_joules_that_nothing_counted_are_a_measure_of_their_own(make_run: Any, difficult: tuple[Case, ...]) -> None:
    document = read_by_bencher(write(make_run(*difficult)).text)
    energies = {
        name.partition("[")[2]: [measure for measure in measures if measure.startswith("energy")]
        for name, measures in document.items()
    }
    assert energies == {
        "measured]": ["energy-joules"],
        "estimated]": ["energy-joules-estimated"],
        "replayed]": ["energy-joules-replayed"],
        "unread]": [],
        "partly]": ["energy-joules"],
        "still]": [],
        "worse]": [],
        "stopped]": ["energy-joules"],
    }


def test_what_is_missing_is_named_and_never_zero(make_run: Any, difficult: tuple[Case, ...]) -> None:
    export = write(make_run(*difficult))
    document = read_by_bencher(export.text)
    assert all(m["value"] > 0 for measures in document.values() for m in measures.values())
    assert set(document["f[worse]"]) == {"accuracy"}
    assert export.left_out == (
        "unread: its energy: no energy reading",
        "still: its energy: 0 J in every round: too short for its counter",
        "failed: it failed",
        "worse: its energy: failed-accuracy, so that less of it is no saving",
        "empty: no energy reading",
    )


def test_a_name_that_bencher_would_refuse_is_refused_first(make_run: Any, make_case: Any) -> None:
    with pytest.raises(UsageError, match="names of 1 to 1024 bytes, and one case's has 1101"):
        write(make_run(make_case("ü" * 537, [1.0], accuracy=[0.5])))


@given(
    joules=st.lists(st.none() | st.floats(0, 1e150), min_size=1, max_size=4),
    seconds=st.floats(0, 1e6),
    share=st.none() | st.floats(0, 1),
)
def test_no_rounds_whatever_give_what_serde_cannot_read(
    joules: list[float | None], seconds: float, share: float | None
) -> None:
    rounds = tuple(Round(Window(seconds, {"gpu:0": j}), {"accuracy": share}) for j in joules)
    run: Mapping[str, Any] = {"domains": (Domain("gpu:0", "nvml", Provenance.MEASURED),)}
    read_by_bencher(write(Run("0001_a.json", (Case("f[a]", rounds, **run),))).text)
