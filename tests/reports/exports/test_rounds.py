"""The CSV of rounds."""

from __future__ import annotations

import csv
import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from energybench.model import Case, Domain, Provenance, Round, Run, Window
from energybench.reports.exports.rounds import COLUMNS, write


def table(text: str) -> list[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return list(rows)


def test_a_row_per_round_with_every_digit(make_run: Any, mixed: Case) -> None:
    export = write(make_run(mixed))
    first, second = table(export.text)
    assert first == {
        "run": "0003_run1",
        "created": "2026-01-02T03:05:00+00:00",
        "commit": "c0ffee",
        "case": mixed.id,
        "status": "ok",
        "workload": "w",
        "round": "1",
        "seed": "0",
        "started": "2026-01-02T03:04:00.125000+00:00",
        "session": "s1",
        "iterations": "1",
        "seconds": "2.0",
        "total_j": "100.0",
        "random_error_j": "0.5",
        "pue": "1.5",
        "kwh": repr(100 / 3.6e6 * 1.5),
        "provenance": "estimated",
        "marks": "",
        "warnings": "",
        "joules.gpu:0": "60.0",
        "joules.package:0": "30.0",
        "joules.psys:0": "200.0",
        "joules.ram": "10.0",
        "provenance.gpu:0": "measured",
        "provenance.package:0": "measured",
        "provenance.psys:0": "measured",
        "provenance.ram": "estimated",
        "metrics.accuracy": "0.9",
        "metrics.epochs": "4.0",
    }
    assert (second["round"], second["seed"], second["marks"]) == ("2", "1", "too-short")
    assert second["warnings"] == 'a warning; with a semicolon; and "quotes"'
    assert (export.entries, export.left_out) == (2, ())


def test_the_header_does_not_depend_on_the_order_of_cases(make_run: Any, mixed: Case, make_case: Any) -> None:
    other = make_case("b", [1.0], metrics={"a_metric": 1.0})
    headers = {write(make_run(*cases)).text.splitlines()[0] for cases in ((mixed, other), (other, mixed))}
    assert len(headers) == 1
    (header,) = headers
    assert header.split(",")[: len(COLUMNS)] == list(COLUMNS)
    assert header.split(",")[len(COLUMNS) :] == [
        *("joules.gpu:0", "joules.package:0", "joules.psys:0", "joules.ram"),
        *("provenance.gpu:0", "provenance.package:0", "provenance.psys:0", "provenance.ram"),
        *("metrics.a_metric", "metrics.accuracy", "metrics.epochs"),
    ]


def test_every_case_is_there_whatever_became_of_it_and_absent_is_empty(
    make_run: Any, difficult: tuple[Case, ...]
) -> None:
    rows = table(write(make_run(*difficult)).text)
    assert {row["status"] for row in rows} == {"ok", "failed", "failed-accuracy", "partial"}
    unread = [row for row in rows if "[unread]" in row["case"]]
    assert [(row["total_j"], row["kwh"], row["joules.package:0"]) for row in unread] == [("", "", "")] * 2
    still = next(row for row in rows if "[still]" in row["case"])
    assert still["total_j"] == "0.0"  # that was read


def test_another_pue_changes_kwh_and_no_joule(make_run: Any, mixed: Case) -> None:
    own, other = (table(write(make_run(mixed), pue=pue).text)[0] for pue in (None, 1.0))
    assert {key for key in own if own[key] != other[key]} == {"pue", "kwh"}


@given(st.floats(0, allow_infinity=False), st.text(), st.text())
def test_numbers_and_texts_come_back_as_they_went_in(joules: float, id: str, warning: str) -> None:
    window = Window(1.0, {"gpu:0": joules}, warnings=(warning,))
    case = Case(id, (Round(window),), domains=(Domain("gpu:0", "nvml", Provenance.MEASURED),))
    (row,) = table(write(Run("0001_a.json", (case,))).text)
    assert float(row["joules.gpu:0"]) == joules
    assert (row["case"], row["warnings"]) == (id.replace("\r", "\n"), warning.replace("\r", "\n"))
