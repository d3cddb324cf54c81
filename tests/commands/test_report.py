"""`energybench report`, as its users call it."""

from __future__ import annotations

import builtins
import io
import os
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.model import Case
from energybench.store import document, write


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["report", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def store(storage: Path, name: str, cases: list[Case], status: str = "ok") -> Path:
    made = document(cases, machine={"node": "box"}, commit={}, session={"session": name, "status": status})
    return write(made, storage, name)


@pytest.fixture
def storage(tmp_path: Path, make_case: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """base; worse, with a third more joules in one of two cases; regressed, the same but for its status."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".benchmarks"
    two = [make_case("a-none", [100.0, 101.0]), make_case("b-none", [50.0, 50.5])]
    store(folder, "base", two)
    store(folder, "worse", [make_case("a-none", [130.0, 131.0]), two[1]])
    store(folder, "regressed", [make_case("a-none", [130.0, 131.0]), two[1]], status="regressed")
    return folder


def test_one_run_is_written_to_report_html(storage: Path) -> None:
    code, out, err = run("base")
    assert (code, err) == (0, "")
    assert out.startswith("report.html: 2 cases, ")
    text = Path("report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "Energy of 0001_base" in text
    assert 'id="verdicts"' not in text


def test_of_several_runs_the_first_is_the_baseline(storage: Path) -> None:
    assert run("base", "worse", "-o", "r.html")[0] == 0
    text = Path("r.html").read_text(encoding="utf-8")
    assert "Energy of 0002_worse against 0001_base" in text
    assert "a-none: energy regressed" in text


def test_a_baseline_is_named_apart_and_all_runs_are_held_against_it(storage: Path) -> None:
    assert run("worse", "regressed", "--baseline", "base", "--no-history")[0] == 0
    text = Path("report.html").read_text(encoding="utf-8")
    assert text.count("a-none: energy regressed") == 2
    assert "0001_base -&gt; 0003_regressed" in text


def test_the_title_and_the_pue_are_taken(storage: Path) -> None:
    assert run("base", "--title", "<Tuesday>", "--pue", 1.5)[0] == 0
    text = Path("report.html").read_text(encoding="utf-8")
    assert "<title>&lt;Tuesday&gt;</title>" in text
    assert "PUE 1.5" in text


def test_the_history_is_drawn_unless_it_is_not_wanted(storage: Path) -> None:
    run("worse")
    assert 'id="trend"' in Path("report.html").read_text(encoding="utf-8")
    run("worse", "--no-history")
    assert 'id="trend"' not in Path("report.html").read_text(encoding="utf-8")


def test_a_run_that_ended_badly_is_shown_with_its_status(storage: Path) -> None:
    assert run("regressed")[0] == 0
    assert "The session ended as regressed." in Path("report.html").read_text(encoding="utf-8")


def test_it_opens_in_the_browser_where_that_is_asked(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run("base", "--open")
    assert opened == [Path("report.html").resolve().as_uri()]


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["nothing"], "nothing"),
        (["base", "--baseline", "nothing"], "nothing"),
        (["base", "-o", "absent/r.html"], "There is no folder absent for the report. Make it, or give another file"),
        (["base", "-o", ".benchmarks"], "is no plain file"),
        (["base", "-o", "/dev/null"], "is no plain file"),
        (["base", "--pue", "0.5"], "at least 1"),
        ([], "the following arguments are required: RUN"),
    ],
)
def test_bad_input_is_named_and_ends_with_2(storage: Path, argv: list[str], complaint: str) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert complaint in err
    assert not Path("report.html").exists()


def test_a_torn_run_is_named(storage: Path) -> None:
    torn = next(storage.glob("*/0001_base.json"))
    torn.write_text(torn.read_text()[:200])
    code, _, err = run("worse", "--baseline", torn)
    assert code == 2
    assert "not a whole JSON file" in err


def test_a_failed_write_leaves_what_was_there(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("report.html").write_text("the report of yesterday")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run("base")
    assert code == 2
    assert "No space left on device" in err
    assert Path("report.html").read_text() == "the report of yesterday"
    assert sorted(path.name for path in Path().iterdir()) == [".benchmarks", "report.html"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_named_before_anything_is_read(storage: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    code, _, err = run("base", "-o", closed / "r.html")
    assert code == 2
    assert f"{closed} is not writable" in err


def test_a_folder_is_asked_whether_it_may_be_written(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    code, _, err = run("base")
    assert code == 2
    assert ". is not writable. Give another file with -o." in err


def test_without_the_extra_the_pip_line_is_given(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "jinja2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    code, _, err = run("base")
    assert code == 2
    assert "pip install 'energybench[report]'" in err
