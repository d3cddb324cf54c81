"""OpenMetrics text, read by a parser of its grammar (OpenMetrics 1.0, ABNF)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.model import Case, Domain, Provenance, Round, Run, Window
from energybench.reports.exports.openmetrics import write

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[n"\\])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? ([+-]?[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)")
UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass
class Family:
    metadata: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)


def parsed(text: str) -> dict[str, Family]:
    """name -> its metadata and samples; everything that the format forbids fails."""
    assert text.endswith("# EOF\n")
    assert not any(line.endswith("\r") for line in text.split("\n"))
    families: dict[str, Family] = {}
    current = ""
    for line in text.removesuffix("# EOF\n").split("\n")[:-1]:
        if line.startswith("#"):
            kind, name, value = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)", line).groups()  # type: ignore[union-attr]
            if name != current:
                assert name not in families, "an interleaved family"
                families[name] = Family()
                current = name
            assert not families[name].samples, "metadata after samples"
            assert kind not in families[name].metadata
            families[name].metadata[kind] = value
            assert list(families[name].metadata) == ["TYPE", "UNIT", "HELP"][: len(families[name].metadata)]
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == current, "a gauge's sample has its family's name"
            labels = tuple(
                (key, re.sub(r"\\[n\"\\]", lambda m: UNESCAPED[m[0]], value))
                for key, value in re.findall(LABEL, match[2] or "")
            )
            assert len(dict(labels)) == len(labels)
            assert labels not in families[current].samples, "a repeated label set"
            families[current].samples[labels] = float(match[match.lastindex or 0])
    for name, family in families.items():
        assert family.metadata["TYPE"] == "gauge"
        assert name.endswith("_" + family.metadata["UNIT"])
        assert not name.endswith(("_total", "_created", "_info", "_count", "_sum", "_bucket"))
    return families


def by_case(family: Family) -> dict[str, float]:
    return {dict(labels)["case"].partition("[")[2].removesuffix("]"): v for labels, v in family.samples.items()}


def test_joules_seconds_and_accuracy_are_gauges_with_units(make_run: Any, mixed: Case) -> None:
    export = write(make_run(mixed))
    families = parsed(export.text)
    energy = families["energybench_round_energy_joules"]
    assert energy.samples == {(("case", mixed.id), ("status", "ok"), ("provenance", "estimated")): 101.0}
    assert energy.metadata["UNIT"] == "joules"
    assert by_case(families["energybench_round_duration_seconds"]) == {"mixed": 2.0}
    assert by_case(families["energybench_accuracy_ratio"]) == {"mixed": pytest.approx(0.905)}
    assert families["energybench_run_stored_timestamp_seconds"].samples == {(): 1767323100.0}
    assert (export.entries, export.left_out) == (3, ())


def test_an_absent_reading_has_no_sample(make_run: Any, difficult: tuple[Case, ...]) -> None:
    export = write(make_run(*difficult))
    families = parsed(export.text)
    energy = by_case(families["energybench_round_energy_joules"])
    assert "unread" not in energy
    assert "empty" not in energy
    assert energy["partly"] == 10.0
    assert energy["failed"] == 102.0  # the label says what became of it
    assert {dict(labels)["status"] for labels in families["energybench_round_energy_joules"].samples} == {
        *("ok", "failed", "failed-accuracy", "partial")
    }
    assert "still" not in by_case(families["energybench_accuracy_ratio"])
    assert export.left_out == ("unread: no energy reading", "empty: no energy reading")


def test_a_run_that_does_not_say_when_it_was_stored_has_no_time(make_run: Any, mixed: Case) -> None:
    assert "timestamp" not in write(make_run(mixed, created="")).text


def test_no_sample_has_a_time_of_its_own_since_the_collector_refuses_the_file_then(make_run: Any, mixed: Case) -> None:
    samples = [line for line in write(make_run(mixed)).text.splitlines() if not line.startswith("#")]
    assert all(re.search(r"(\}|^[a-z_]+) \S+$", line) for line in samples)


@given(st.text(), st.floats(0, allow_infinity=False))
def test_every_id_and_every_number_comes_back(id: str, joules: float) -> None:
    rounds = (Round(Window(1.0, {"gpu:0": joules})),)
    case = Case(id, rounds, domains=(Domain("gpu:0", "nvml", Provenance.MEASURED),))
    families = parsed(write(Run("0001_a.json", (case,))).text)
    ((labels, value),) = families["energybench_round_energy_joules"].samples.items()
    assert dict(labels)["case"] == id
    assert value == joules
