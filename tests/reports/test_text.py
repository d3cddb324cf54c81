"""Runs and cases as tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from energybench.model import Domain, Provenance, Round, Run, Status, Window
from energybench.reports.layout import Layout, columns, sort
from energybench.reports.text import compression_text, run_table, runs_table
from energybench.store import RunEntry


def row(text: str, id: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{id} ")]
    return line.split()


def test_a_case_is_a_row_with_energy_accuracy_and_epochs(make_case: Any) -> None:
    case = make_case("tiny-none", [3000.0, 3600.0], accuracy=[0.90, 0.92], epochs=4, pue=1.5)
    text = run_table([case], width=120)
    assert text.splitlines()[0].split() == ["case", "Wh", "kJ", "spread", "acc", "%", "epochs", "s", "n"]
    assert row(text, "tiny-none") == ["tiny-none", "1.38", "3.30", "12.9", "%", "91.0", "4", "2.00", "2"]
    assert "0.00275 kWh with PUE 1.5 (2.75 Wh); IT energy 6.60 kJ" in text
    assert text.endswith("Energy: measured. 1 case ok. 2 rounds a case.")


def test_one_round_has_no_spread(make_case: Any) -> None:
    text = run_table([make_case("a-x", [100.0]), make_case("b-x", [100.0, 110.0])], width=200)
    assert row(text, "a-x")[3] == "-"
    assert row(text, "b-x")[3] == "6.7"


def test_another_pue_can_be_asked_for(make_case: Any) -> None:
    text = run_table([make_case("a-x", [3600.0], pue=1.58)], pue=2.0)
    assert row(text, "a-x")[1:3] == ["2.00", "3.60"]
    assert "PUE 2 " in text


def test_cases_of_a_model_stand_together(make_case: Any) -> None:
    ids = ["alexnet-none", "vgg16-none", "alexnet-prune", "vgg16-prune"]
    lines = run_table([make_case(id) for id in ids]).splitlines()
    starts = [line.split()[0] for line in lines[2:7]]
    assert starts == ["alexnet-none", "alexnet-prune", "-" * 13, "vgg16-none", "vgg16-prune"]


def test_ids_are_never_cut_and_80_columns_are_enough(make_case: Any) -> None:
    case = make_case(
        "mobilenet_v3_large-lowrank",
        [1234.5] * 3,
        accuracy=[0.9] * 3,
        epochs=4,
        status=Status.FAILED_ACCURACY,
        facts={"compression": {"kind": "lowrank", "rate": 0.352}},
        search=(Window(3.0, {"package:0": 55.0}),),
    )
    narrow, wide = run_table([case, make_case()], width=80), run_table([case, make_case()], width=300)
    table = [line for line in narrow.splitlines() if not line.startswith(("Not", "Total", "Energy", "1 to"))]
    assert max(map(len, table)) <= 80
    assert row(narrow, "mobilenet_v3_large-lowrank")
    assert {"failed-accuracy", "35.2", "55.0"} <= set(row(wide, "mobilenet_v3_large-lowrank"))


def test_absent_energy_is_a_dash_and_is_said(make_case: Any) -> None:
    text = run_table([make_case("a-x", [None]), make_case("b-x", [1.0])])
    assert row(text, "a-x")[1:3] == ["-", "-"]
    none = run_table([make_case("a-x", rounds=(Round(Window(1.0)),), domains=())])
    assert "No energy was read." in none
    assert "Total" not in none


def test_the_metered_share_of_a_mixed_total_is_shown(make_case: Any) -> None:
    domains = (Domain("package:0", "rapl", Provenance.MEASURED), Domain("ram", "estimate", Provenance.ESTIMATED))
    mixed = make_case("a-x", rounds=(Round(Window(1.0, {"package:0": 90.0, "ram": 10.0})),), domains=domains)
    assert "Energy: 90 % metered." in run_table([mixed])
    both = run_table([mixed, make_case("b-x")], width=200)
    assert "90 % metered" in both
    assert "measured" in row(both, "b-x")


def cells(text: str, column: int = 0) -> list[str]:
    """One column of the table's rows, rules left out."""
    table = text.partition("Total of")[0].splitlines()[1:]
    return [line.split()[column] for line in table if line.strip("- ")]


def test_columns_asked_for_by_name_are_all_shown_in_their_order_whatever_the_width(make_case: Any) -> None:
    case = make_case("a-x", [3600.0, 7200.0], epochs=4, seconds=10.0, pue=1.5, metrics={"images": 100, "loss": 0.25})
    names = "kwh,power,per-epoch,per-sample,param:model,metric:loss,rounds,cost,co2e,measured"
    session = {"price_per_kwh": 0.4, "currency": "EUR", "carbon_g_per_kwh": 500.0}
    text = run_table([case], width=40, session=session, layout=Layout(columns(names)))
    head, _, only, *_ = text.splitlines()
    assert head.split() == (
        ["case", "Wh", "W", "kJ/epoch", "J/image", "model", "loss", "n", "EUR", "g", "CO2e", "measured", "%"]
    )
    assert only.split() == ["a-x", "2.25", "540", "1.35", "54.0", "-", "0.250", "2", "0.000900", "1.12", "100"]
    assert "Not shown" not in text


def test_a_figure_that_no_case_has_is_a_column_of_dashes_where_it_was_asked_for(make_case: Any) -> None:
    text = run_table([make_case("a-x")], layout=Layout(columns("co2e,cost,per-sample,search,spread")))
    assert row(text, "a-x") == ["a-x", "-", "-", "-", "-", "-"]


def test_samples_of_several_kinds_are_called_samples(make_case: Any) -> None:
    cases = [make_case("a-x", metrics={"tokens": 50}), make_case("b-x", metrics={"images": 25})]
    text = run_table(cases, layout=Layout(columns("per-sample")))
    assert text.splitlines()[0].split() == ["case", "J/sample"]
    assert cells(text, 1) == ["2.00", "4.00"]


def test_rows_are_sorted_by_any_column_and_what_is_absent_comes_last(make_case: Any) -> None:
    cases = [make_case("a-x", [30.0]), make_case("b-x", [None]), make_case("c-x", [10.0]), make_case("d-x", [20.0])]
    assert cells(run_table(cases, layout=Layout(sort=sort("joules")))) == ["c-x", "d-x", "a-x", "b-x"]
    assert cells(run_table(cases, layout=Layout(sort=sort("joules:desc")))) == ["a-x", "d-x", "c-x", "b-x"]
    assert cells(run_table(cases, layout=Layout(sort=sort("name:desc")))) == ["d-x", "c-x", "b-x", "a-x"]


def test_the_first_of_several_columns_decides_and_the_next_where_it_is_equal(make_case: Any) -> None:
    cases = [
        make_case("a", [10.0], params={"lr": 0.1}),
        make_case("b", [20.0], params={"lr": 0.1}),
        make_case("c", [5.0], params={"lr": "auto"}),
        make_case("d", [5.0], params={"lr": 0.01}),
    ]
    assert cells(run_table(cases, layout=Layout(sort=sort("param:lr,joules:desc")))) == ["d", "b", "a", "c"]


def test_rows_stand_in_groups_each_sorted_the_group_of_the_first_row_first(make_case: Any) -> None:
    cases = [
        make_case(f"{model}-{name}", [joules], params={"model": model, "compressor": name})
        for model, name, joules in (("a", "none", 4.0), ("a", "prune", 3.0), ("b", "none", 2.0), ("b", "prune", 1.0))
    ]
    text = run_table(cases, layout=Layout(sort=sort("joules"), group_by="compressor"))
    assert cells(text) == ["b-prune", "a-prune", "b-none", "a-none"]
    assert [set(line) <= {"-", " "} for line in text.splitlines()[2:7]] == [False, False, True, False, False]
    flat = run_table(cases, layout=Layout(group_by="none"))
    assert cells(flat) == ["a-none", "a-prune", "b-none", "b-prune"]
    assert not any(set(line) <= {"-", " "} for line in flat.splitlines()[2:6])
    by_param = run_table(cases, layout=Layout(group_by="param:model"))
    assert by_param.splitlines()[0].split()[:2] == ["case", "model"]


def test_cases_of_several_studies_name_theirs_beside_the_columns_asked_for(make_case: Any) -> None:
    cases = [replace(make_case(), id=f"b.py::test_{study}[a-x]") for study in ("finetune", "matched")]
    text = run_table(cases, layout=Layout(columns("joules")))
    assert cells(text, 1) == ["finetune", "matched"]


def test_no_cases_are_a_sentence() -> None:
    assert run_table([]) == "No case was measured."
    assert runs_table([]) == "No runs are stored."


@pytest.mark.parametrize(
    ("report", "text"),
    [
        ({"kind": "stego", "bits": 19, "rate": 0.6}, "19 bits"),
        ({"kind": "prune", "amount": 0.6}, "60.0 %"),
        ({"kind": "lowrank", "rate": 0.352, "bits": None, "amount": None}, "35.2 %"),
        ({"kind": "own"}, "own"),
        ({"kind": "none"}, "-"),
        (None, "-"),
        ("text", "-"),
    ],
)
def test_what_a_compressor_did_in_a_word(report: Any, text: str) -> None:
    assert compression_text({"compression": report}) == text


def test_stored_runs_are_listed_and_unreadable_ones_named(make_case: Any) -> None:
    session = {"status": "regressed"}
    run = Run("x/0001_a.json", (make_case("a-x", [3600.0], pue=1.5),), created="2026-01-02T03:04:05+00:00", pue=1.5)
    run = Run(run.source, run.cases, commit={"branch": "main"}, created=run.created, pue=1.5, session=session)
    entries = [
        RunEntry(Path("x/0001_a.json"), "x", 1, "a", run),
        RunEntry(Path("x/0002_b.json"), "x", 2, "b", None, "x/0002_b.json is empty"),
    ]
    text = runs_table(entries, width=120)
    assert row(text, "0001_a") == ["0001_a", "regressed", "1", "1.50", "1.5", "measured", "2026-01-02", "03:04", "main"]
    assert row(text, "0002_b")[1] == "unreadable"
    assert text.endswith("0002_b: x/0002_b.json is empty")


def test_the_footer_says_what_one_image_is_worth(make_case: Any) -> None:
    cases = [
        make_case("a-none", (1.0,), accuracy=(0.9,), metrics={"total": 500}),
        make_case("b-none", (1.0,), accuracy=(0.9,), metrics={"total": 250}),
    ]
    assert run_table(cases[:1]).endswith("Accuracy on 500 images: one image is 0.2 points (1/500).")
    assert run_table(cases).endswith("Accuracy on 250 to 500 images: one image is 0.4 points (1/250).")
