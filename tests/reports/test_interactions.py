"""Model x environment for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from energybench.analysis.interactions import Interactions, interactions
from energybench.model import Case, Domain, Provenance, Round, Run, Window
from energybench.reports.interactions import interactions_markdown, interactions_text
from energybench.reports.interactions_json import interactions_json

SETTINGS = ("cpu-b16-t2-fp32", "cpu-b32-t2-fp32", "cpu-b32-t2-bf16")
MODELS = {"densenet121": 30.0, "resnet18": 10.0, "convnext_base": 90.0}
THREE = (1.0, 1.01, 0.99)


def case(
    model: str,
    setting: str,
    joules: float,
    rounds: Sequence[float] = THREE,
    *,
    provenance: Provenance = Provenance.MEASURED,
    cpu: str = "EPYC",
    scored: bool = True,
) -> Case:
    score = {"accuracy": 0.95, "macro_f1": 0.94, "total": 500.0} if scored else {}
    return Case(
        f"benches/test_environment.py::test_environment[{model}-{setting}]",
        tuple(
            Round(
                Window(3.0, {"package:0": 1e6}, laps=(Window(joules / 10, {"package:0": joules * r}, label="epoch"),)),
                {"images": 256.0, **score},
            )
            for r in rounds
        ),
        domains=(Domain("package:0", "rapl", provenance),),
        facts={
            "workload": {"protocol": "environment", "model": model, "compressor": "none"},
            "environment": {"id": setting, "default": setting == SETTINGS[1]},
            "parameters": 1e6 * len(model),
            "intensity": {"flops_per_image": 1e6 * MODELS[model]},
        },
        comparability={"cpu": cpu, "cpu_count": 2},
    )


def table(
    rounds: Sequence[float] = THREE, *, skip: int = 0, machines: Sequence[str] = ("EPYC",), **how: Any
) -> Interactions:
    """bf16 halves what ConvNeXt takes and changes nothing for the others."""
    runs = []
    for number, cpu in enumerate(machines):
        cases = [
            case(m, s, j / (2 if (m, s[-4:]) == ("convnext_base", "bf16") else 1), rounds, cpu=cpu, **how)
            for m, j in MODELS.items()
            for s in SETTINGS
        ]
        runs.append(Run(f"s/000{number + 1}_env.json", tuple(cases[skip:]), session={"interleaved": True}))
    return interactions(runs)


def test_the_report_begins_with_what_it_rests_on() -> None:
    lines = interactions_text(table(), width=100).splitlines()
    assert lines[0] == "0001_env"
    assert "9 cells of the protocol environment: 3 models, 3 environments, 3 rounds a cell" in lines[1]
    assert "energy read from counters or sensors." in " ".join(" ".join(lines[1:3]).split())
    assert "EPYC, 2 CPUs, CPU power limit not read." in " ".join(lines[:5])


def test_the_tables_hold_joules_of_an_epoch_and_of_a_sample() -> None:
    text = interactions_text(table(), width=100)
    assert "IT energy of an epoch, geometric mean of the rounds, J\n" in text
    row = next(line for line in text.splitlines() if line.startswith("cpu-b32-t2-bf16"))
    assert [float(word) for word in row.split()[1:]] == pytest.approx([30.0, 10.0, 45.0], rel=0.001)
    samples = text.partition("IT energy per training sample, geometric mean of the rounds, mJ\n")[2]
    assert samples.splitlines()[2].split() == ["cpu-b16-t2-fp32", "117", "39.1", "352"]


def test_a_table_too_wide_is_cut_into_pieces_and_loses_no_model() -> None:
    text = interactions_text(table(), width=50)
    assert "geometric mean of the rounds, J (1 of 2)" in text
    head = [line for line in text.splitlines() if line.startswith("environment  ")]
    named = " ".join(head)
    assert all(named.count(model) == 2 for model in MODELS)  # J of an epoch, J of a sample
    assert all(line.count("cpu-b16-t2-fp32") == 1 for line in text.splitlines() if line.startswith("cpu-b16"))


def test_the_analysis_of_variance_names_its_sums_and_its_effects() -> None:
    text = interactions_text(table(), width=100)
    assert "(type II sums of squares)" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line[:11] in ("interaction", "model      ")}
    assert rows["interaction"][2] == "4"
    assert "<1e-16" in rows["interaction"]
    assert "Unbalanced" not in text
    assert "partial eta squared of model x environment 0.914; here 0.99" in " ".join(text.split())


def test_one_round_a_cell_is_said_to_be_no_test() -> None:
    text = " ".join(interactions_text(table((1.0,))).split())
    assert "No test and no partial eta squared: one round per cell" in text
    assert "--energy-rounds 3" in text
    assert "0.914; not tested here." in text


def test_missing_cells_are_named_and_the_table_is_called_unbalanced() -> None:
    text = " ".join(interactions_text(table(skip=1)).split())
    assert "Missing: densenet121 in cpu-b16-t2-fp32." in text
    assert "Unbalanced:" in text


def test_of_several_machines_no_raw_joules_are_shown() -> None:
    text = interactions_text(table(machines=("EPYC", "Xeon")), width=100)
    said = " ".join(text.split())
    assert "Raw joules of several runs are not compared" in said
    assert "over the 9 cells (model and setting) that all of them have" in said
    assert "@B: Xeon, 2 CPUs" in said
    assert "Runs are blocks" in said
    assert "IT energy of an epoch, geometric mean" not in said
    row = next(line for line in text.splitlines() if line.startswith("cpu-b32-t2-fp32 @A"))
    mean = (30 * 10 * 90) ** (1 / 3) / 2 ** (1 / 9)
    assert [float(word) for word in row.split()[2:]] == pytest.approx([j / mean for j in MODELS.values()], rel=0.01)


def test_estimated_joules_are_no_witness_for_tdp_times_time() -> None:
    said = "The joules are estimated from CPU time"
    assert said in " ".join(interactions_text(table(provenance=Provenance.ESTIMATED)).split())
    assert said not in " ".join(interactions_text(table()).split())


def test_the_cheapest_combination_stands_beside_the_papers_saving() -> None:
    text = " ".join(interactions_text(table(), width=160).split())
    assert "Cheapest combination that loses at most 2 points" in text
    assert (
        "up to 80.68 % saved at less than 2 % of F1; here 88.9 % at up to 2 points of macro F1, by resnet18 "
        "cpu-b16-t2-fp32 instead of convnext_base cpu-b16-t2-fp32." in text
    )
    assert "Scores on 500 images: one of them is 0.2 points" in text


def test_without_scores_there_is_no_choice_and_it_is_said() -> None:
    text = " ".join(interactions_text(table(scored=False)).split())
    assert "Cheapest combination" not in text
    assert "not to be told here, where the combinations have no score on the same data" in text


def test_markdown_shows_every_column() -> None:
    text = interactions_markdown(table())
    assert text.startswith("# 0001_env\n")
    assert "| environment" in text
    assert "omega_p^2" in text
    assert "of default" in text
    assert "Not shown" not in text


def _refuse(text: str) -> Any:
    raise AssertionError(text)


def test_json_is_strict_and_complete() -> None:
    found = table(machines=("EPYC", "Xeon"), skip=1)
    document = json.loads(interactions_json(found), parse_constant=_refuse)
    assert document["schema"] == 1
    assert document["missing"] == [
        {"model": "densenet121", "environment": f"cpu-b16-t2-fp32 @{letter}"} for letter in "AB"
    ]
    assert len(document["cells"]) == 16
    cell = document["cells"][0]
    assert (cell["model"], cell["environment"], cell["setting"]) == ("densenet121", "cpu-b32-t2-fp32 @A", SETTINGS[1])
    assert cell["joules_per_sample"] == pytest.approx(cell["joules_per_epoch"] / 256)
    anova = document["anova"]
    assert anova["sums_of_squares"] == "type II"
    low, high = anova["interaction"]["interval"]
    assert 0 < low < high < 1
    assert {row["quantity"] for row in document["ranks"]} == {"FLOPs", "parameters", "TDP x t"}
    assert document["choices"][0]["beside_dearest"]["saving"] == pytest.approx(8 / 9, rel=0.01)
    assert document["paper"] == {"partial_eta_squared": 0.914, "saving": 0.8068, "loss_of_f1": 0.02}


def test_json_of_what_was_not_tested_has_nulls() -> None:
    anova = json.loads(interactions_json(table((1.0,))), parse_constant=_refuse)["anova"]
    assert anova["interaction"]["partial_eta_squared"] is None
    assert anova["interaction"]["ss"] > 0
    assert anova["untested"].startswith("one round per cell")
