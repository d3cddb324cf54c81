"""The epochs and the trace of a stored round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from energybench.estimators import EstimateError
from energybench.estimators.step.stored import find_case, recorded
from energybench.model import Case, Domain, Mark, Provenance, Round, Run, Span, Window

DOMAINS = (Domain("gpu:0", "nvml", Provenance.MEASURED), Domain("dram:0", "rapl", Provenance.MEASURED))


def lap(label: str, seconds: float, joules: float) -> Window:
    return Window(seconds, {"gpu:0": joules * 0.9, "dram:0": joules * 0.1}, label=label)


def case(name: str = "a", *, trace: Span | None = None, laps: int = 3) -> Case:
    """Rounds of 40 s: 4 s of set-up, then epochs of 10 s with evaluations of 2 s; 10 W throughout."""
    parts = [one for _ in range(laps) for one in (lap("epoch", 10.0, 100.0), lap("eval", 2.0, 20.0))]
    window = lap("", 4.0 + 12 * laps, 40.0 + 120.0 * laps)
    return Case(
        f"b.py::t[{name}]", (Round(replace(window, label="", laps=tuple(parts)), trace=trace),), domains=DOMAINS
    )


def write_trace(folder: Path, start: int, end: int, *, skip: tuple[int, ...] = ()) -> Span:
    lines = ["time,seconds,gpu:0,dram:0"]
    for second in range(start - 2, end + 3):
        dram = "" if second in skip else f"{second * 1.0}"
        lines.append(f"{second},{second},{second * 9.0},{dram}")
    (folder / "s.trace.csv").write_text("\n".join(lines) + "\n")
    return Span("s.trace.csv", float(start), float(end))


def test_the_epochs_of_the_last_round_are_taken_or_those_of_the_one_named() -> None:
    one = case()
    second = replace(one.rounds[0], window=replace(one.rounds[0].window, laps=(lap("epoch", 5.0, 50.0),)))
    both = replace(one, rounds=(one.rounds[0], second))
    run = Run("0001_r.json", (both,))
    assert [epoch.joules for epoch in recorded(run, both).epochs] == [50.0]
    first = recorded(run, both, 1)
    assert [epoch.joules for epoch in first.epochs] == [100.0] * 3
    assert first.source == "0001_r, a, round 1 of 2"
    with pytest.raises(EstimateError, match="has 2 rounds, not a round 3"):
        recorded(run, both, 3)


def test_what_lies_outside_the_epochs_is_said() -> None:
    one = case()
    assert recorded(Run("r.json", (one,)), one).warnings == (
        "25 % of the round lies outside its epochs and is not projected",
    )


def test_estimated_joules_and_marks_are_said() -> None:
    one = case()
    window = replace(one.rounds[0].window, marks=(Mark.SHARED,))
    guessed = replace(
        one,
        rounds=(replace(one.rounds[0], window=window),),
        domains=tuple(replace(domain, provenance=Provenance.ESTIMATED) for domain in DOMAINS),
    )
    said = recorded(Run("r.json", (guessed,)), guessed).warnings
    assert said[0].startswith("the epochs' joules are estimated, not measured")
    assert said[1] == "the round is marked: shared"


def test_the_trace_is_power_with_the_places_of_the_epochs(tmp_path: Path) -> None:
    one = case(trace=write_trace(tmp_path, 100, 140, skip=(110,)))
    read = recorded(Run(str(tmp_path / "r.json"), (one,)), one)
    assert read.power is not None
    assert read.power.spans == ((104.0, 114.0), (116.0, 126.0), (128.0, 138.0))
    assert read.power.joules(100, 140) == pytest.approx(400)  # a line without dram:0 costs resolution, no energy
    assert len(read.power.watts) == 39
    cut = read.upto(2).power
    assert cut is not None
    assert cut.seconds[-1] == 126


def test_where_laps_overlap_the_trace_is_left_and_it_is_said(tmp_path: Path) -> None:
    one = case(trace=write_trace(tmp_path, 100, 140))
    inside = (*one.rounds[0].window.laps, lap("all", 36.0, 360.0))
    nested = replace(one, rounds=(replace(one.rounds[0], window=replace(one.rounds[0].window, laps=inside)),))
    read = recorded(Run(str(tmp_path / "r.json"), (nested,)), nested)
    assert read.power is None
    assert any(text.startswith("its laps overlap") for text in read.warnings)


def test_a_case_is_named_by_id_by_brackets_or_by_a_pattern() -> None:
    cases = (case("vgg16-none"), case("vgg16-prune"), case("alexnet-none"))
    run = Run("r.json", cases)
    assert find_case(run, "vgg16-prune") is cases[1]
    assert find_case(run, "b.py::t[alexnet-none]") is cases[2]
    assert find_case(run, "alex*") is cases[2]
    assert find_case(Run("r.json", cases[:1]), None) is cases[0]


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (None, "r has 3 cases: a, b, c. Name one: --case ID"),
        ("x", "r has no case 'x'; it has a, b, c"),
        ("?", r"r has 3 cases like '\?': b.py::t\[a\]"),
    ],
)
def test_a_reference_that_is_none_or_several_names_what_there_is(ref: str | None, said: str) -> None:
    with pytest.raises(EstimateError, match=said):
        find_case(Run("r.json", (case("a"), case("b"), case("c"))), ref)


def test_a_case_without_epochs_is_refused() -> None:
    bare = replace(case(), rounds=(Round(Window(1.0, {"gpu:0": 1.0})),))
    with pytest.raises(EstimateError, match="No case of r has laps named `epoch`"):
        find_case(Run("r.json", (bare,)), None)
    with pytest.raises(EstimateError, match=r"mark them with `with energy\.lap\('epoch'\):`"):
        recorded(Run("r.json", (bare,)), bare)
    with pytest.raises(EstimateError, match="has no finished round"):
        recorded(Run("r.json"), replace(bare, rounds=()))


def test_what_was_noted_of_the_epochs_are_their_settings_and_losses() -> None:
    one = case()
    told = ({"loss": 2.0, "lr": 0.1, "batch": 32}, {"loss": "nan", "batch": 64, "mood": "good"}, {})
    noted = iter(told)
    parts = [replace(p, notes=next(noted)) if p.label == "epoch" else p for p in one.rounds[0].window.laps]
    window = replace(one.rounds[0].window, laps=tuple(parts))
    first, second, third = recorded(Run("r.json", (one,)), replace(one, rounds=(Round(window),))).epochs
    assert (first.loss, first.settings) == (2.0, {"lr": 0.1, "batch": 32})
    assert (second.loss, second.settings) == (None, {"batch": 64})
    assert (third.loss, third.settings) == (None, {})
