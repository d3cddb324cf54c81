"""Earlier runs, and one case through all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from energybench.errors import StoreError
from energybench.model import Run
from energybench.store import case_history, earlier_runs, history, machine_id, read_run

FAR = "Other-CPython-3.12-64bit"


def names(runs: tuple[Run, ...]) -> list[str]:
    return [run.name for run in runs]


def test_earlier_runs_are_the_newest_ok_ones_before_it_newest_first(save: Any, tmp_path: Path) -> None:
    save("a")
    save("b", status="regressed")
    save("c", status="partial")
    save("d", rank=1)
    save("e", cases=[])
    (tmp_path / machine_id() / "0006_torn.json").write_text("{")
    save("f")
    save("far", machine=FAR)
    run = read_run(save("now"))
    save("later")
    assert names(earlier_runs(tmp_path, run)) == ["0007_f", "0001_a"]
    assert names(earlier_runs(tmp_path, run, limit=1)) == ["0007_f"]
    assert earlier_runs(tmp_path / "nowhere", run) == ()


def test_files_of_one_session_count_once_and_its_own_never(save: Any, tmp_path: Path) -> None:
    save("a", session="one")
    save("copy", session="one")
    save("mine", session="now")
    run = read_run(save("now", session="now"))
    assert names(earlier_runs(tmp_path, run)) == ["0002_copy"]


def test_numbers_decide_where_the_clock_was_set_back(save: Any, tmp_path: Path) -> None:
    save("a", created="2026-05-01T00:00:00+00:00")
    run = read_run(save("now", created="2026-04-01T00:00:00+00:00"))
    save("later", created="2026-03-01T00:00:00+00:00")
    assert names(earlier_runs(tmp_path, run)) == ["0001_a"]


def test_at_most_three_files_are_opened_for_each_run_that_is_wanted(
    save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("good")
    for _ in range(6):
        save("slow", status="regressed")
    run = read_run(save("now"))
    read, opened = history.read_entry, []
    monkeypatch.setattr(history, "read_entry", lambda entry: opened.append(entry.name) or read(entry))
    assert earlier_runs(tmp_path, run, limit=2) == ()
    assert opened == ["0007_slow", "0006_slow", "0005_slow", "0004_slow", "0003_slow", "0002_slow"]
    assert names(earlier_runs(tmp_path, run, limit=3)) == ["0001_good"]


def test_a_run_that_is_not_stored_yet_has_all_of_this_machine_before_it(save: Any, tmp_path: Path) -> None:
    save("a", session="one")
    save("mine", session="now")
    save("far", machine=FAR)
    assert names(earlier_runs(tmp_path, Run("", session={"session": "now"}))) == ["0001_a"]


def test_a_run_from_elsewhere_has_before_it_what_was_stored_earlier(save: Any, tmp_path: Path) -> None:
    save("old", machine=FAR, created="2026-01-01T00:00:00+00:00")
    target = save("new", machine=FAR, created="2026-03-01T00:00:00+00:00")
    target.rename(target.with_name("0002_new.json"))
    elsewhere = tmp_path / "copies" / FAR / "0001_x.json"
    moved = save("x", created="2026-02-01T01:00:00+02:00")
    elsewhere.parent.mkdir(parents=True)
    moved.rename(elsewhere)
    assert names(earlier_runs(tmp_path, read_run(elsewhere))) == ["0001_old"]


@pytest.fixture
def studied(save: Any, make_case: Any, tmp_path: Path) -> Path:
    """Three runs: a-none in all, a-stego in the last two."""
    save("one", cases=[make_case("a-none", [100.0])], commit="a" * 40, branch="main")
    save("two", cases=[make_case("a-none", [110.0]), make_case("a-stego", [90.0])], status="regressed")
    save("far", machine=FAR, cases=[make_case("b-none")])
    save("three", cases=[make_case("a-none", [120.0]), make_case("a-stego", [80.0])])
    (tmp_path / machine_id() / "0009_torn.json").write_text("{")
    return tmp_path


@pytest.mark.parametrize("pattern", ["a-none", "benches/test_f.py::test_f[a-none]", "*-none", "*test_f[a-n*"])
def test_a_case_is_followed_through_all_runs_oldest_first(pattern: str, studied: Path) -> None:
    found = case_history(studied, pattern)
    assert list(found) == ["benches/test_f.py::test_f[a-none]"]
    (past,) = found.values()
    assert [(one.run, one.status, one.case.mean_j) for one in past] == [
        ("0001_one", "ok", 100.0),
        ("0002_two", "regressed", 110.0),
        ("0003_three", "ok", 120.0),
    ]
    assert (past[0].commit.id, past[0].commit.branch, past[1].commit.id) == ("a" * 40, "main", "")
    assert past[0].created.startswith("20")


def test_a_glob_may_match_several_cases_and_another_machine_may_be_named(studied: Path) -> None:
    assert {id: len(past) for id, past in case_history(studied, "a-*").items()} == {
        "benches/test_f.py::test_f[a-none]": 3,
        "benches/test_f.py::test_f[a-stego]": 2,
    }
    assert list(case_history(studied, "*", FAR)) == ["benches/test_f.py::test_f[b-none]"]


def test_a_case_that_no_run_holds_is_answered_with_the_nearest(studied: Path) -> None:
    with pytest.raises(StoreError, match=r"No run holds a case 'a-steg'\. Nearest: a-stego"):
        case_history(studied, "a-steg")
    with pytest.raises(StoreError, match=r"No run holds a case 'zzz'\. There are: a-none, a-stego\."):
        case_history(studied, "zzz")
    with pytest.raises(StoreError, match="none of 0 readable runs"):
        case_history(studied, "a-none", "Mars")
