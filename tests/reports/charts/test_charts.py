"""Every chart: of a whole study, of nothing, of hostile names and of a thousand cases."""

from __future__ import annotations

import ast
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from energybench.model import Domain, Provenance, Round, Run, Window
from energybench.reports.charts import CHARTS, Chart, Subject, all_charts
from energybench.reports.charts.figure import svg

NAMES = tuple(CHARTS)


def made(name: str, subject: Subject) -> Chart:
    chart = CHARTS[name].make(subject)
    assert chart is not None
    return chart


@pytest.mark.parametrize("name", NAMES)
def test_a_study_has_every_chart_and_it_is_drawn_with_its_words(name: str, everything: Subject) -> None:
    chart = made(name, everything)
    assert chart.name == name
    assert all((chart.title, chart.explanation, chart.alt))
    assert all(text.endswith(".") for text in (chart.explanation, chart.alt, *chart.notes))
    text = svg(chart)
    ET.fromstring(text)
    assert len(text) < 200_000


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_a_cell_per_column_and_no_number_is_not_finite(name: str, everything: Subject) -> None:
    numbers = made(name, everything).numbers
    assert numbers.rows
    assert len({field.name for field in numbers.fields}) == len(numbers.fields)
    for row in numbers.rows:
        assert len(row) == len(numbers.fields)
        assert all(math.isfinite(cell) for cell in row if isinstance(cell, float))


@pytest.mark.parametrize("subject", [Subject(()), Subject((Run("0001_empty.json"),))], ids=["no run", "no case"])
def test_where_there_is_nothing_to_draw_there_is_no_chart(subject: Subject) -> None:
    assert all_charts(subject) == ()
    assert all(kind.absent.endswith(".") for kind in CHARTS.values())


def test_all_charts_stand_in_the_order_of_the_table(everything: Subject) -> None:
    assert tuple(chart.name for chart in all_charts(everything)) == NAMES


def test_cases_without_any_reading_have_no_chart_of_energy(make_case: Any, make_subject: Any) -> None:
    bare = make_case("resnet18-none", [None, None], accuracy=[0.9, 0.9], epochs=3)
    names = {chart.name for chart in all_charts(make_subject(Run("s/0001_r.json", (bare,))))}
    assert names == set()


def test_a_plain_case_without_a_study_is_drawn_by_domain_and_through_its_history(
    make_case: Any, make_subject: Any
) -> None:
    runs = [
        Run(f"s/000{n}_r.json", (make_case("a", [100.0 + n], params={"size": n}),), created=f"2026-01-0{n}")
        for n in (1, 2)
    ]
    names = [chart.name for chart in all_charts(make_subject(runs[1], tuple(runs[:1]), runs[0]))]
    assert names == ["compare", "domains", "trend"]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_drawn_and_stand_in_full_in_the_numbers(
    name: str, make_study_case: Callable[..., Any], make_subject: Any, hostile: tuple[str, ...]
) -> None:
    cases = []
    for model in hostile:
        for compressor, joules in (("none", 100.0), (model[:9] + "$", 80.0)):
            inference = {"function": "inference", "protocol": "inference", "metrics": {"images": 10.0}}
            cases += [
                make_study_case(model, compressor, joules=joules),
                make_study_case(model, compressor, joules=1.0, **inference),
                make_study_case(model, compressor, joules=joules, function="tolerance", tolerance=0.05),
            ]
        points = {"rule": model, "points": [[0, 0.9], [8, 0.8]], "capacity": 8, "tolerance": 0.1, "reference": 0.9}
        cases.append(make_study_case(model, "stego", function="capacity", protocol="capacity", capacity=points))
    run = Run("s/0002_r.json", tuple(cases), created="2026-01-02")
    past = replace(run, source="s/0001_r.json", created="2026-01-01")
    chart = made(name, make_subject(run, (past,), past))
    root = ET.fromstring(svg(chart))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    cells = [cell for row in chart.numbers.rows for cell in row if isinstance(cell, str)]
    assert any(hostile[0] in cell for cell in cells)
    shown = [element.text or "" for element in root.iter() if element.tag.endswith("}text")]
    assert all(len(text) <= 60 for text in shown)


@pytest.fixture(scope="module")
def thousand(make_study_case: Callable[..., Any], make_subject: Any) -> Subject:
    cases = tuple(
        make_study_case(f"model{number:03d}", compressor, rounds=1, epochs=3, joules=100.0 + number)
        for number in range(250)
        for compressor in ("none", "stego", "prune", "lowrank")
    )
    run = Run("s/0002_r.json", cases, created="2026-01-02")
    past = replace(run, source="s/0001_r.json", created="2026-01-01")
    subject: Subject = make_subject(run, (past,), past)
    return subject


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("bits", "cycle", "tolerance")])
def test_of_a_thousand_cases_the_largest_are_drawn_and_the_rest_is_counted(name: str, thousand: Subject) -> None:
    chart = made(name, thousand)
    assert chart.inches[1] <= 12
    assert len({row[0] for row in chart.numbers.rows}) >= 250
    if name != "predicted":  # there every training is a mark
        assert any("in the table only" in note for note in chart.notes)
        assert len(svg(chart)) < 300_000


def test_several_runs_are_told_apart_in_names_and_numbers(make_study: Callable[..., Run]) -> None:
    from energybench.commands.subject import subject

    chart = made("domains", subject([make_study("0001_a", models=1), make_study("0002_b", models=1)]))
    assert chart.numbers.fields[0].name == "run"
    assert {row[0] for row in chart.numbers.rows} == {"0001_a", "0002_b"}


def test_runs_of_different_pue_are_shown_at_pue_1(make_study: Callable[..., Run]) -> None:
    first, second = make_study("0001_a", models=1), make_study("0002_b", models=1)
    second = replace(second, cases=tuple(replace(case, pue=1.2) for case in second.cases))
    mixed = made("domains", Subject((first, second)))
    assert any("shown at PUE 1" in note for note in mixed.notes)
    total = [field.name for field in mixed.numbers.fields].index("energy_kwh")
    none = second.cases[0]
    row = next(row for row in mixed.numbers.rows if row[:2] == ("0002_b", none.id))
    assert none.mean_j is not None
    assert row[total] == pytest.approx(none.mean_j / 3.6e6)
    assert "PUE 2" in "".join(made("domains", Subject((first,), pue=2.0)).notes)


def test_the_drawing_uses_no_colour_but_the_palettes(everything: Subject) -> None:
    for chart in all_charts(everything):
        assert not re.search(r"(?:fill|stroke):\s*#[0-9a-f]{6}", svg(chart)), chart.name


def test_making_the_charts_loads_no_matplotlib() -> None:
    code = (
        "import sys; from energybench.reports.charts import CHARTS, Subject, all_charts;"
        "from energybench.model import Run; all_charts(Subject((Run('a.json'),)));"
        "assert len(CHARTS) == 12; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "matplotlib" not in done.stdout.split()
    assert "numpy" not in done.stdout.split()


def test_charts_draw_in_named_colours_only_and_without_pyplot() -> None:
    folder = Path(sys.modules["energybench.reports.charts"].__file__ or "").parent
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "matplotlib.pyplot" not in text
        constants = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        colours = [value for value in constants if isinstance(value, str) and re.fullmatch("#[0-9a-f]{6}", value)]
        assert not colours or path.name == "palette.py", path


def test_a_round_with_overlapping_laps_has_no_course_of_power(make_subject: Any) -> None:
    from energybench.model import Case

    laps = (Window(2.0, {"gpu:0": 10.0}, label="epoch"), Window(2.0, {"gpu:0": 10.0}, label="epoch"))
    domains = (Domain("gpu:0", "nvml", Provenance.MEASURED),)
    case = Case("b.py::test_a[x]", (Round(Window(3.0, {"gpu:0": 15.0}, laps=laps)),), domains=domains)
    assert CHARTS["power"].make(make_subject(Run("0001_r.json", (case,)))) is None
