"""github-action-benchmark: what its reader takes, and what its alerts do with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.model import Case, Domain, Provenance, Round, Run, Window
from energybench.reports.exports.github_action import write


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON: Node's JSON.parse would throw")


def read_by_the_action(text: str) -> list[dict[str, Any]]:
    """The contract of extractCustomBenchmarkResult and its BenchmarkResult (src/extract.ts, v1)."""
    elements = json.loads(text, parse_constant=refuse)
    assert isinstance(elements, list)  # .map is called on it
    assert elements  # an empty array is an error there
    for element in elements:
        assert {"name", "value", "unit"} <= element.keys() <= {"name", "value", "unit", "range", "extra"}
        assert type(element["value"]) in (int, float)
        for key in element.keys() - {"value"}:
            assert isinstance(element[key], str), key
            assert element[key], key
    names = [element["name"] for element in elements]
    assert len(set(names)) == len(names)  # the first element of a name is the one that later runs are held against
    return elements


def test_kwh_come_with_pue_spread_and_what_the_number_does_not_say(make_run: Any, mixed: Case) -> None:
    export = write(make_run(mixed), "kwh")
    (element,) = read_by_the_action(export.text)
    assert element == {
        "name": "benches/test_f.py::test_f[mixed] (estimated)",
        "unit": "kWh",
        "value": pytest.approx(101.0 / 3.6e6 * 1.5),
        "range": "± 1.4 %",
        "extra": "rounds: 2\nIT energy: 101.0 J\nPUE: 1.5\n"
        "energy: estimated (gpu:0 measured, package:0 measured, ram estimated)\n"
        "share of counters and sensors: 90 %\naccuracy: 90.50 %\nstatus: ok\nmarks: too-short",
    }
    assert (export.entries, export.left_out) == (1, ())
    (other,) = read_by_the_action(write(make_run(mixed), "kwh", 1.0).text)
    assert other["value"] == pytest.approx(101.0 / 3.6e6)
    assert "PUE: 1\n" in other["extra"]


def test_joules_are_before_pue(make_run: Any, make_case: Any) -> None:
    (element,) = read_by_the_action(write(make_run(make_case(joules=[100.0], pue=1.5)), "joules").text)
    assert (element["unit"], element["value"]) == ("J", 100.0)
    assert "PUE" not in element["extra"]


def test_accuracy_is_in_percent_with_a_spread_in_points_and_no_label(make_run: Any, mixed: Case) -> None:
    (element,) = read_by_the_action(write(make_run(mixed), "accuracy").text)
    assert (element["name"], element["unit"]) == (mixed.id, "%")
    assert element["value"] == pytest.approx(90.5)
    assert element["range"] == "± 0.71 points"


def test_one_round_has_no_spread_rather_than_one_of_zero(make_run: Any, make_case: Any) -> None:
    (element,) = read_by_the_action(write(make_run(make_case(joules=[100.0])), "kwh").text)
    assert "range" not in element


def test_an_estimate_is_another_series_than_a_measurement(make_run: Any, make_case: Any) -> None:
    names = {
        read_by_the_action(write(make_run(make_case(joules=[1.0], provenance=source)), "kwh").text)[0]["name"]
        for source in (Provenance.ESTIMATED, Provenance.MEASURED, Provenance.REPLAYED)
    }
    assert len(names) == 3


def test_cases_without_a_reading_are_left_out_and_never_zero(make_run: Any, difficult: tuple[Case, ...]) -> None:
    export = write(make_run(*difficult), "kwh")
    elements = read_by_the_action(export.text)
    assert [element["name"].partition("[")[2] for element in elements] == [
        "measured]",
        "estimated] (estimated)",
        "replayed] (replayed)",
        "partly]",
        "stopped]",
    ]
    assert all(element["value"] > 0 for element in elements)
    assert "rounds: 1 with a value of 2" in elements[3]["extra"]
    assert "status: partial" in elements[4]["extra"]
    assert "unread: no energy reading" in export.left_out


def test_nothing_to_say_has_no_entries(make_run: Any, make_case: Any) -> None:
    export = write(make_run(make_case(joules=[None])), "kwh")
    assert (json.loads(export.text), export.entries) == ([], 0)


@given(
    joules=st.lists(st.none() | st.floats(0, 1e150), min_size=1, max_size=4),
    shares=st.lists(st.none() | st.floats(0, 1), min_size=4, max_size=4),
    metric=st.sampled_from(["kwh", "joules", "accuracy", "seconds"]),
)
def test_no_rounds_whatever_give_what_node_cannot_read(
    joules: list[float | None], shares: list[float | None], metric: str
) -> None:
    rounds = tuple(Round(Window(1.0, {"gpu:0": j}), {"accuracy": s}) for j, s in zip(joules, shares, strict=False))
    case = Case("f[a]", rounds, domains=(Domain("gpu:0", "nvml", Provenance.MEASURED),))
    export = write(Run("0001_a.json", (case,)), metric)
    if export.entries:
        read_by_the_action(export.text)
    else:
        assert export.left_out
