"""The study for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench.analysis.study import study_table
from energybench.model import Case, Domain, Provenance, Round, Run, Status, Window
from energybench.reports.study import study_markdown, study_text
from energybench.reports.study_json import study_json

THREE = (100.0, 101.0, 99.0)


@pytest.fixture
def run(make_case: Any) -> Run:
    """VGG16 under three protocols, with controls and inference."""

    def case(
        compressor: str,
        joules: Sequence[float] = THREE,
        protocol: str = "early stopping",
        function: str = "finetune",
        accuracy: float = 0.9,
        **fields: Any,
    ) -> Case:
        workload = {"protocol": protocol, "model": "vgg16", "compressor": compressor, "profile": "quick", "data": "d"}
        facts = {
            "workload": workload,
            "compression": fields.pop("compression", {"kind": "none"}),
            **fields.pop("more", {}),
        }
        made: Case = make_case(
            joules=joules,
            accuracy=[accuracy] * len(joules),
            facts=facts,
            **{"epochs": 4, "pue": 1.58, "metrics": {"images": 50.0, "total": 500.0}, **fields},
        )
        return replace(made, id=f"benches/test_{function}.py::test_{function}[vgg16-{compressor}]")

    stego = {"kind": "stego", "bits": 19, "rule": "truncate", "rate": 0.59, "effect": "simulated", "evaluations": 7}
    curve = {"curve": [[0, 0.9], [19, 0.9], [20, 0.5]], "accuracy_reference": 0.9, "evaluation_size": 250}
    search = (Window(1.0, {"package:0": 30.0}),)
    intensity = {"intensity": {"flops_per_image": 4e9, "bytes_per_image": 1e9, "covers": "one training step"}}
    inference = {"protocol": "inference", "function": "inference", "epochs": 0}
    return Run(
        "s/0001_r.json",
        (
            case("none", more=intensity),
            case("stego", [60.0, 61.0, 59.0], epochs=2, search=search, compression=stego | curve),
            case("prune", [50.0, 51.0, 49.0], accuracy=0.8, epochs=7, status=Status.FAILED_ACCURACY),
            case("none", protocol="matched epochs", function="matched"),
            case("stego", [100.0, 99.0, 101.0], "matched epochs", "matched", search=search, compression=stego),
            case("none", [104.0, 103.0, 105.0], "another seed", "controls"),
            case("none", [5.0], **inference),
            case("stego", [2.5], **inference, compression=stego),
        ),
        pue=1.58,
    )


def row_of(text: str, id: str, title: str) -> list[str]:
    part = next(block for block in text.split("\n\n") if block.startswith(title))
    return next(line.split() for line in part.splitlines() if line.startswith(f"{id}  "))


def test_the_table_of_the_paper_has_its_columns(run: Run) -> None:
    text = study_text(study_table(run), width=220)
    part = next(block for block in text.split("\n\n") if block.startswith("Early stopping (test_finetune)"))
    assert part.splitlines()[0].endswith("PUE 1.58")
    for header in ("acc %", "rate", "epochs", "mWh", "saving", "net", "setting", "effect", "the paper", "status"):
        assert header in part.splitlines()[1]
    stego = row_of(text, "vgg16-stego", "Early stopping")
    assert stego[3:8] == ["19", "bits", "truncate", "59.0", "simulated"]
    assert "+40.0" in stego
    assert "+10.0" in stego
    assert (
        "vgg16-prune: accuracy more than the tolerance below the uncompressed model's and none's; epochs 1.75" in part
    )
    assert "(+50.0)" in row_of(text, "vgg16-prune", "Early stopping")


def test_protocols_and_controls_have_tables_of_their_own(run: Run) -> None:
    text = study_text(study_table(run), width=120)
    titles = [block.splitlines()[0] for block in text.split("\n\n")]
    starts = ("Early stopping (test_finetune)", "Matched epochs (test_matched)", "Another seed (test_controls)")
    assert [next(i for i, t in enumerate(titles) if t.startswith(start)) for start in starts] == [1, 2, 3]
    said = "A/A band (none with another seed beside none), which a difference must leave too: vgg16 4.0 % ("
    assert said in " ".join(text.split())


def test_differences_are_split_and_named(run: Run) -> None:
    text = study_text(study_table(run), width=120)
    split = row_of(text, "finetune vgg16-stego", "What a difference is made of")
    assert split[2] == "0.600"
    assert split[-2:] == ["fewer", "epochs"]
    matched = row_of(text, "matched vgg16-stego", "What a difference is made of")
    assert matched[-2:] == ["within", "noise"]


def test_joules_are_spread_over_images_operations_and_bytes(run: Run) -> None:
    text = study_text(study_table(run), width=160)
    part = next(block for block in text.split("\n\n") if block.startswith("What a case got"))
    assert "FLOP and bytes: one training step; bytes by the sizes of the tensors." in part
    none = row_of(text, "finetune vgg16-none", "What a case got")
    assert none[2:] == ["50.0", "2.00", "20508", "100", "25.0", "4.00"]


def test_samples_and_parameters_have_their_share(run: Run) -> None:
    compression = {"kind": "none", "after": {"flops": 6e9, "parameters": 1.5e8}}
    cases = tuple(
        replace(case, facts={**case.facts, "compression": compression})
        if case.short_id == "vgg16-none"
        else replace(
            case,
            rounds=tuple(replace(each, metrics={"samples": 25.0, "accuracy": 0.9}) for each in case.rounds),
        )
        for case in run.cases[:2]
    )
    small = replace(run, cases=cases)
    text = study_text(study_table(small), width=200)
    none, stego = (row_of(text, f"vgg16-{name}", "What a case got") for name in ("none", "stego"))
    part = next(block for block in text.split("\n\n") if block.startswith("What a case got"))
    head = part.splitlines()[1]
    assert "J/sample" in head
    assert head.split()[-1] == "MAC/param"
    assert none[2] == "2.00"  # 100 J for 50 images
    assert stego[2] == "2.40"  # 60 J for 25 samples
    assert (none[-1], stego[-1]) == ("20.0", "-")
    assert "MAC/param: multiply-adds of a forward pass of one example over the parameters." in part
    rows = {row["case"]: row for row in json.loads(study_json(study_table(small)))["rows"]}
    figures = {id.rpartition("-")[2]: (row["j_per_sample"], row["macs_param"]) for id, row in rows.items()}
    assert figures["none]"] == (2.0, 20.0)
    assert figures["stego]"] == (2.4, None)


def test_inference_cases_give_the_full_cycle(run: Run) -> None:
    text = study_text(study_table(run), width=120)
    part = next(block for block in text.split("\n\n") if block.startswith("Full cycle"))
    assert row_of(text, "vgg16-none", "Full cycle")[1:] == ["-", "100", "100", "-", "100", "-"]
    assert "vgg16-stego: cheaper from the start and for each image." in part


def test_the_claims_are_judged_below_the_tables(run: Run) -> None:
    text = study_text(study_table(run), width=100)
    (part,) = [block for block in text.split("\n\n") if block.startswith("What the paper states")]
    assert "\nnot testable here: stego: VGG16 trains with less than half of the energy" in part
    assert "\n    paper: ratio < 0.50; here: 0.60 (0.58 .. 0.62), +0.00 points; 0.90 with the search\n" in part
    assert "\nOf 26 claims 0 reproduced, " in text
    assert max(map(len, part.splitlines())) <= 100


def test_the_pue_can_be_another(run: Run) -> None:
    text = study_text(study_table(run), width=220, pue=1.0)
    assert "PUE 1\n" in text
    assert "27.8" in row_of(text, "vgg16-none", "Early stopping")
    assert "43.9" in row_of(study_text(study_table(run), width=220), "vgg16-none", "Early stopping")


def test_runs_stand_side_by_side_by_their_savings(run: Run, make_case: Any) -> None:
    other = Run("s/0002_gpu.json", run.cases[:3])
    text = study_text(study_table([run, other]), width=200)
    last = text.split("\n\n")[-1]
    assert last.startswith("Runs side by side\n")
    assert "0001_r" in last
    assert "0002_gpu" in last
    (stego,) = [line for line in last.splitlines() if line.startswith("finetune vgg16-stego  ")]
    assert stego.count("+40.0 [") == 2
    (matched,) = [line for line in last.splitlines() if line.startswith("matched vgg16-stego  ")]
    assert matched.rstrip().endswith("-")


def test_markdown_has_all_columns_and_every_claim_in_a_table(run: Run) -> None:
    text = study_markdown(study_table(run))
    assert text.startswith("# 0001_r\n\n- 8 study cases")
    assert "\n## Early stopping (test_finetune), mean of the rounds, PUE 1.58\n" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len([line for line in tables if "not testable here" in line or "reproduced" in line]) == 26
    assert "| the paper" in text
    assert "Not shown" not in text


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_the_shape_for_programs_is_the_documented_one(run: Run) -> None:
    document = json.loads(study_json(study_table(run)), parse_constant=refuse)
    assert document["schema"] == 1
    assert {"runs", "rows", "claims", "cycles", "capacity"} <= document.keys()
    assert [row["compressor"] for row in document["rows"][:3]] == ["none", "stego", "prune"]
    stego = document["rows"][1]
    assert stego["saving"] == pytest.approx(0.4, abs=1e-4)
    assert stego["net_saving"] == pytest.approx(0.1, abs=1e-4)
    assert stego["kwh"] == pytest.approx(60.0 / 3.6e6 * 1.58)
    assert stego["compression"]["bits"] == 19
    assert stego["decomposition"]["label"] == stego["cause"] == "fewer epochs"
    assert sum(stego["decomposition"]["terms"].values()) == pytest.approx(stego["decomposition"]["total"])
    assert document["rows"][0]["gflop_per_s"] == 100.0
    assert document["rows"][0]["search_j"] is None
    assert len(document["claims"]) == 26
    assert {"run", "text", "paper", "here", "judgement", "reason"} == document["claims"][0].keys()
    assert document["cycles"][1]["inference_j_per_image"] == 0.05
    assert document["capacity"][0]["points"] == [[0, 0.9, True], [19, 0.9, True], [20, 0.5, True]]


NUMBERS = st.none() | st.floats(0, 1e300)
ROUNDS = st.lists(
    st.builds(
        Round,
        window=st.builds(
            Window,
            seconds=st.floats(0, 1e300),
            joules=st.fixed_dictionaries({"gpu:0": NUMBERS}),
            laps=st.lists(st.builds(Window, seconds=st.floats(0, 1e5), label=st.just("epoch")), max_size=2).map(tuple),
        ),
        metrics=st.dictionaries(st.sampled_from(["accuracy", "epochs", "total", "images", "reached"]), NUMBERS),
        seed=st.integers(0, 3),
    ),
    max_size=3,
).map(tuple)
CASES = st.builds(
    lambda rounds, compressor, protocol, rate: Case(
        f"f[{protocol}-{compressor}]",
        rounds,
        search=(Window(1.0, {"gpu:0": 1.0}),),
        domains=(Domain("gpu:0", "nvml", Provenance.MEASURED),),
        facts={
            "workload": {"protocol": protocol, "model": "vgg16", "compressor": compressor},
            "compression": {"kind": compressor, "rate": rate},
        },
    ),
    ROUNDS,
    st.sampled_from(["none", "stego", "lowrank"]),
    st.sampled_from(["early stopping", "another seed", "zero epochs", "inference", "target accuracy"]),
    st.none() | st.floats(0, 1),
)


@settings(max_examples=60)
@given(st.lists(CASES, min_size=1, max_size=6, unique_by=lambda case: case.id))
def test_no_rounds_whatever_give_nan_or_stop_the_report(cases: list[Case]) -> None:
    study = study_table(Run("s/0001_r.json", tuple(cases)))
    json.loads(study_json(study), parse_constant=refuse)
    for text in (study_text(study), study_markdown(study)):
        assert " nan" not in text
