"""Accuracy against bits: as text and as a plot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from energybench.analysis.stats import wilson
from energybench.analysis.study import Study, study_table
from energybench.errors import UsageError
from energybench.model import Run
from energybench.reports.curve import Curve, capacity_columns, curves, layer_lines, plot

POINTS = [[0, 0.95, True], [16, 0.95, False], [17, 0.945, True], [18, 0.90, True], [24, None, True]]


def declared(protocol: str, compressor: str = "stego", model: str = "resnet18") -> dict[str, Any]:
    return {"protocol": protocol, "model": model, "compressor": compressor, "profile": "quick", "data": "d"}


def capacity(make_case: Any, rule: str = "truncate", model: str = "resnet18", **facts: Any) -> Any:
    found = {
        "rule": rule,
        "scope": "whole",
        "evaluation_size": 200,
        "reference": 0.95,
        "tolerance": 0.01,
        "points": POINTS,
        "capacity": 17,
        "evaluations": 7,
        **facts,
    }
    return make_case(f"{model}-{rule}", facts={"workload": declared("capacity", model=model), "capacity": found})


def searched(make_case: Any, function: str = "finetune", tolerance: float = 0.01) -> Any:
    report = {
        "kind": "stego",
        "bits": 18,
        "given": {"rule": "truncate", "tolerance": tolerance},
        "accuracy_reference": 0.9,
        "evaluation_size": 100,
        "evaluations": 5,
        "curve": [[0, 0.9], [18, 0.89], [19, 0.5]],
    }
    facts = {"workload": declared("early stopping"), "compression": report}
    return make_case(id=f"b.py::test_{function}[resnet18-stego]", facts=facts)


def study(*cases: Any) -> Study:
    return study_table(Run("s/0001_r.json", cases))


def test_a_capacity_has_the_binomial_interval_of_the_accuracy_there(make_case: Any) -> None:
    (curve,) = curves(study(capacity(make_case)))
    assert (curve.capacity, curve.accuracy, curve.evaluations) == (17, 0.945, 7)
    assert curve.interval == wilson(189, 200)
    assert [point.bits for point in curve.points] == [0, 16, 17, 18]
    assert [point.evaluated for point in curve.points] == [True, False, True, True]


def test_an_accuracy_that_was_only_inferred_has_no_interval(make_case: Any) -> None:
    (curve,) = curves(study(capacity(make_case, capacity=16)))
    assert (curve.capacity, curve.accuracy, curve.interval) == (16, None, None)


def test_searches_speak_where_there_is_no_capacity_case_and_once_for_each_rule(make_case: Any) -> None:
    finetune, sweep = searched(make_case), searched(make_case, "tolerance", 0.1)
    (curve,) = curves(study(finetune, sweep))
    assert (curve.source, curve.rule, curve.capacity, curve.tolerance) == ("search", "truncate", 18, 0.01)
    (curve,) = curves(study(finetune, capacity(make_case)))
    assert (curve.source, curve.capacity) == ("capacity", 17)


def test_a_row_names_rule_evaluation_set_and_interval(make_case: Any) -> None:
    found = curves(study(capacity(make_case), capacity(make_case, "random", capacity=None)))
    cells = {column.header: column.cells for column in capacity_columns(found)}
    assert cells["rule"] == ("truncate", "random")
    assert cells["bits"] == ("17", "-")
    assert cells["of images"] == ("200", "200")
    assert cells["95 % interval"] == ("90.4 .. 96.9", "-")


def test_layers_stand_in_their_order_with_the_least_and_the_most(make_case: Any) -> None:
    layers = {name: {"capacity": bits} for name, bits in (("conv1", 17), ("layer1", 21), ("fc", 24), ("x", None))}
    (curve,) = curves(study(capacity(make_case, scope="layers", layers=layers, points=[], capacity=None)))
    assert layer_lines(curve, 80) == "resnet18 truncate, 4 layers one at a time: 17 (conv1) to 24 (fc)\n  17 21 24 -"
    many = Curve("r", "m", "truncate", (), None, layers={str(i): 20 for i in range(100)})
    assert max(map(len, layer_lines(many, 80).splitlines()[1:])) <= 80


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_a_plot_is_written_in_the_format_of_its_ending(name: str, magic: bytes, make_case: Any, tmp_path: Path) -> None:
    found = curves(study(capacity(make_case), capacity(make_case, "random", capacity=20)))
    plot(found, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_plot_has_a_panel_per_model_and_is_the_same_each_time(make_case: Any, tmp_path: Path) -> None:
    models = ("resnet18", "vgg16", "alexnet", "resnet34")
    found = curves(study(*(capacity(make_case, model=model) for model in models)))
    for name in ("a.svg", "b.svg"):
        plot(found, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert all(f">{model}</text>" in text for model in models)
    assert text.count(">truncate</text>") == 1


def test_a_plot_that_cannot_be_made_is_one_sentence(make_case: Any, tmp_path: Path) -> None:
    found = curves(study(capacity(make_case)))
    with pytest.raises(UsageError, match=r"a plot is written as \.png, \.svg, \.pdf"):
        plot(found, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="no capacity or stego case"):
        plot((), tmp_path / "a.svg")
    with pytest.raises(UsageError, match="cannot be written: there is no folder"):
        plot(found, tmp_path / "nowhere" / "a.svg")


def test_without_matplotlib_the_command_that_installs_it_is_named(
    make_case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'energybench\[report\]'"):
        plot(curves(study(capacity(make_case))), tmp_path / "a.svg")
