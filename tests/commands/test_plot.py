"""`energybench plot`, as its users call it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.commands.subject import subject
from energybench.model import Case, Domain, Provenance, Round, Run, Span, Window
from energybench.reports.charts import CHARTS
from energybench.store import document, read_run, write


def plot(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["plot", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def store(storage: Path, name: str, cases: list[Case], pue: float = 1.0) -> Path:
    session = {"session": name, "status": "ok", "pue": pue}
    return write(document(cases, machine={}, commit={"id": name * 8}, session=session), storage, name)


@pytest.fixture
def storage(tmp_path: Path, make_case: Any) -> Path:
    """Two runs of two cases; the second costs a tenth more."""
    for number, name in enumerate(("first", "second")):
        joules = [100.0 + 10 * number, 101.0 + 10 * number]
        cases = [make_case(f"resnet18-{kind}", joules, accuracy=(0.9, 0.91)) for kind in ("none", "stego")]
        store(tmp_path / "store", name, cases)
    return tmp_path / "store"


def test_a_chart_is_drawn_into_the_file_that_is_named(storage: Path, tmp_path: Path) -> None:
    code, out, _ = plot("pareto", "0002", "-o", tmp_path / "a.png", "--storage", storage)
    assert (code, out) == (0, f"Energy against accuracy: {tmp_path / 'a.png'}\n")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_file_it_is_named_after_the_chart_in_this_folder(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = plot("domains", "0001", "0002", "--storage", storage)
    assert (code, out) == (0, "Energy by domain: domains.svg\n")
    text = (tmp_path / "domains.svg").read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert "0001_first" in text
    assert "0002_second" in text


def test_a_comparison_takes_a_baseline_and_a_candidate(storage: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.svg"
    assert plot("compare", "0001", "0002", "-o", target, "--storage", storage)[0] == 0
    assert "0002_second against 0001_first" in target.read_text(encoding="utf-8")
    code, _, err = plot("compare", "0001", "-o", target, "--storage", storage)
    assert code == 2
    assert "takes a baseline and a candidate" in err


def test_a_trend_looks_at_the_stored_runs(storage: Path, tmp_path: Path) -> None:
    code, out, _ = plot("trend", "latest", "-o", tmp_path / "a.svg", "--storage", storage)
    assert (code, out) == (0, f"History: {tmp_path / 'a.svg'}\n")


def test_only_the_cases_that_are_named_are_drawn(storage: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.svg"
    assert plot("domains", "0001", "--case", "*-stego", "-o", target, "--storage", storage)[0] == 0
    text = target.read_text(encoding="utf-8")
    assert "resnet18-stego" in text
    assert "resnet18-none" not in text
    code, _, err = plot("domains", "0001", "--case", "vgg*", "-o", target, "--storage", storage)
    assert code == 2
    assert "0001_first has no case 'vgg*'; it has resnet18-none, resnet18-stego." in err


def test_the_pue_is_said(storage: Path, tmp_path: Path) -> None:
    _, _, err = plot("domains", "0001", "--pue", "1.58", "-o", tmp_path / "a.svg", "--storage", storage)
    assert "energybench: Energy includes the data centre: PUE 1.58." in err


def test_the_list_names_every_chart_with_what_it_shows() -> None:
    code, out, _ = plot("--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(CHARTS)
    assert max(map(len, out.splitlines())) <= 88


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "Name a chart and a run"),
        (("heatmap",), "takes at least one run"),
        (("histogram", "0001"), "There is no chart 'histogram'; there are compare, heatmap"),
        (("cycle", "0001"), "`plot cycle` has nothing to draw of 0001_first. No inference case"),
        (("epochs", "0001"), "No round has two epochs or more"),
        (("domains", "0001", "0001"), "was given twice"),
        (("domains", "0001", "-o", "a.gif"), "give the file one of these endings"),
        (("domains", "0001", "-o", "nowhere/a.svg"), "there is no folder nowhere"),
        (("domains", "0009"), "0009"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_exits_with_2(
    argv: tuple[str, ...], message: str, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = plot(*argv, "--storage", storage)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.glob("*.svg"))


def test_the_study_goes_on_plotting_its_curves(tmp_path: Path, make_case: Any) -> None:
    found = {"rule": "truncate", "points": [[0, 0.95], [8, 0.94]], "capacity": 8, "reference": 0.95, "tolerance": 0.01}
    declared = {"protocol": "capacity", "model": "resnet18", "compressor": "stego"}
    case = make_case("resnet18-truncate", facts={"workload": declared, "capacity": found})
    store(tmp_path / "store", "r", [case])
    target, out = tmp_path / "a.svg", io.StringIO()
    assert main(["study", "0001", "--plot", str(target), "--storage", str(tmp_path / "store")], out, out) == 0
    assert ">resnet18</text>" in target.read_text(encoding="utf-8")


def traced_run(tmp_path: Path) -> Run:
    domains = (Domain("gpu:0", "nvml", Provenance.MEASURED),)
    laps = tuple(Window(10.0, {"gpu:0": joules}, label="epoch") for joules in (1500.0, 1000.0, 1001.0, 999.0, 1000.0))
    round = Round(Window(50.0, {"gpu:0": 5500.0}, laps=laps), trace=Span("s.trace.csv", 100.0, 104.0))
    path = store(tmp_path, "traced", [Case("b.py::test_a[m-none]", (round,), domains=domains)])
    lines = "".join(f"{1000 + n},{100 + n},{100.0 * n}\n" for n in range(6))
    (path.parent / "s.trace.csv").write_text(f"time,seconds,gpu:0\n{lines}", encoding="utf-8")
    return read_run(path)


def test_a_subject_has_the_trace_from_the_rounds_begin_and_what_step_says(tmp_path: Path) -> None:
    made = subject([traced_run(tmp_path)], needs=("traced", "trainings"))
    (traced,) = made.traced
    assert traced.points == ((0.5, 100.0), (1.5, 100.0), (2.5, 100.0), (3.5, 100.0))
    (training,) = made.trainings
    assert training.joules == (1500.0, 1000.0, 1001.0, 999.0, 1000.0)
    assert training.window == (1, 5)
    assert sorted(training.projections) == [0.4, 0.8]
    assert training.projections[0.8].joules == pytest.approx(5500.0)


def test_a_subject_without_its_trace_is_drawn_by_its_laps(tmp_path: Path) -> None:
    run = traced_run(tmp_path)
    (Path(run.source).parent / "s.trace.csv").unlink()
    made = subject([run])
    assert made.traced == ()
    chart = CHARTS["power"].make(made)
    assert chart is not None
    assert "1 case without a trace: mean of each lap." in chart.notes


def test_a_subject_reads_only_what_is_needed(tmp_path: Path) -> None:
    made = subject([traced_run(tmp_path)], needs=())
    assert (made.traced, made.trainings, made.trends) == ((), (), ())
