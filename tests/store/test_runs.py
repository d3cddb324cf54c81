"""Reading, listing and finding runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import StoreError
from energybench.store import document, find_run, list_runs, machine_id, read_run, write

Save = Callable[..., Path]


@pytest.fixture
def save(make_case: Any, tmp_path: Path) -> Save:
    def save(
        name: str, status: str = "ok", machine: str | None = None, created: str | None = None, rank: int = 0
    ) -> Path:
        session = {"session": "s", "status": status, "pue": 1.5, "carbon_g_per_kwh": 400}
        if rank:
            session["rank"] = {"rank": rank, "world_size": 2, "local_rank": rank, "launcher": "torchrun"}
        whole = document([make_case(pue=1.5)], machine={}, commit={}, session=session, created=created)
        path = write(whole, tmp_path, name)
        if machine is None:
            return path
        target = tmp_path / machine / path.name
        target.parent.mkdir(exist_ok=True)
        return path.rename(target)

    return save


def test_a_run_reads_back_as_it_was_written(save: Save, make_case: Any) -> None:
    run = read_run(save("run1"))
    assert run.cases == (make_case(pue=1.5),)
    assert (run.name, run.pue, run.carbon_g_per_kwh, run.session["status"]) == ("0001_run1", 1.5, 400, "ok")
    assert run.foreign == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ('{"benchmarks": [', "is not a whole JSON file"),
        ('{"benchmarks": [], "x": NaN}', "NaN is not JSON"),
        ("[1, 2]", "is not a run"),
        ('{"benchmarks": 3}', "is not a run"),
        ('{"benchmarks": [{"fullname": "t", "extra_info": {}}]}', r"no energy case \(1 plain"),
        ('{"benchmarks": [], "energybench": {"schema": 99}}', "newer energybench"),
        ('{"benchmarks": [{"fullname": "t", "extra_info": {"energybench": {"schema": 1}}}]}', "t: its .* is damaged"),
        ('{"benchmarks": [{"fullname": "t", "extra_info": {"energybench": 7}}]}', "no schema number"),
        ("[" * 100_000, "is not a whole JSON file"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "0001_bad.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=complaint) as caught:
        read_run(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_torn_copy_is_refused_wherever_it_was_cut(save: Save) -> None:
    path = save("run1")
    whole = path.read_bytes().rstrip()
    for cut in range(1, len(whole), 97):
        path.write_bytes(whole[:cut])
        with pytest.raises(StoreError, match="not a whole JSON file"):
            read_run(path)


def test_bytes_that_are_not_text_and_absent_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="cannot be read"):
        read_run(tmp_path / "x.json")
    with pytest.raises(StoreError, match="There is no file"):
        read_run(tmp_path / "y.json")


def test_plain_entries_are_counted_and_a_repeated_case_counts_once(save: Save) -> None:
    path = save("run1")
    whole = json.loads(path.read_text())
    whole["benchmarks"] += [whole["benchmarks"][0], {"name": "plain", "extra_info": {}}]
    path.write_text(json.dumps(whole))
    run = read_run(path)
    assert run.foreign == 1
    assert [case.warnings for case in run.cases] == [("stored 2 times in this file; the last one counts",)]


def test_the_list_holds_every_machine_and_says_what_is_wrong_with_a_file(save: Save, tmp_path: Path) -> None:
    save("run1")
    save("far", machine="Other-CPython-3.12-64bit")
    (tmp_path / machine_id() / "0002_torn.json").write_text("{")
    (tmp_path / ".journal").mkdir()
    (tmp_path / ".journal" / "x.json").write_text("{}")
    listed = {entry.name: entry for entry in list_runs(tmp_path)}
    assert {name: entry.status for name, entry in listed.items()} == {
        "0001_run1": "ok",
        "0002_far": "ok",
        "0002_torn": "unreadable",
    }
    assert "not a whole JSON file" in listed["0002_torn"].error
    assert (listed["0001_run1"].number, listed["0001_run1"].save) == (1, "run1")
    assert list_runs(tmp_path / "nowhere") == ()


@pytest.mark.parametrize("ref", ["2", "0002", "0002_second", "second", "sec*", "0002*", "*/0002_second"])
def test_a_run_is_found_by_number_name_and_glob(ref: str, save: Save, tmp_path: Path) -> None:
    save("first")
    path = save("second")
    save("third")
    found = find_run(ref, tmp_path)
    assert found.path == path
    assert found.notes == ()


def test_a_run_is_found_by_path_inside_and_outside_the_store(save: Save, tmp_path: Path) -> None:
    path = save("first")
    assert find_run(str(path), tmp_path / "nowhere").path == path
    assert find_run(f"{machine_id()}/0001_first", tmp_path).path == path
    with pytest.raises(StoreError, match="is a folder"):
        find_run(str(path.parent), tmp_path)


def test_of_several_runs_of_one_name_the_newest_is_taken_and_said(save: Save, tmp_path: Path) -> None:
    save("main")
    newest = save("main")
    found = find_run("main", tmp_path)
    assert found.path == newest
    assert found.notes == ("'main' names 2 runs; the newest, 0002_main, is taken.",)


def test_this_machines_run_is_preferred_and_said(save: Save, tmp_path: Path) -> None:
    save("main", machine="Other-CPython-3.12-64bit")
    mine = save("main")
    found = find_run("main", tmp_path)
    assert found.path == mine
    assert "this one" in found.notes[0]


def test_a_run_of_other_machines_only_is_taken_by_date_and_said(save: Save, tmp_path: Path) -> None:
    save("main", machine="A-CPython-3.12-64bit", created="2026-01-01T00:00:00+00:00")
    newer = save("main", machine="B-CPython-3.12-64bit", created="2026-02-01T00:00:00+00:00")
    found = find_run("main", tmp_path)
    assert found.path == newer
    assert any("another machine folder, B-" in note for note in found.notes)


def test_latest_passes_over_what_did_not_end_ok(save: Save, tmp_path: Path) -> None:
    good = save("good")
    save("slow", status="regressed")
    save("killed", status="partial")
    (tmp_path / machine_id() / "0004_torn.json").write_text("{")
    found = find_run("latest", tmp_path)
    assert found.path == good
    assert "0004_torn (unreadable), 0003_killed (partial), 0002_slow (regressed)" in found.notes[1]


def test_latest_is_never_the_run_of_a_further_rank(save: Save, tmp_path: Path) -> None:
    first = save("run")
    save("run_rank1", rank=1)
    found = find_run("latest", tmp_path)
    assert found.path == first
    assert "0002_run_rank1 (not the first rank)" in found.notes[-1]


def test_without_an_ok_run_there_is_no_latest(save: Save, tmp_path: Path) -> None:
    save("slow", status="failed")
    with pytest.raises(StoreError, match=r"there is no `latest`.* 0001_slow \(failed\)"):
        find_run("latest", tmp_path)


def test_an_unknown_run_is_answered_with_what_there_is(save: Save, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds none"):
        find_run("run1", tmp_path)
    save("run1")
    save("other")
    with pytest.raises(StoreError, match="Nearest: 0001_run1"):
        find_run("rnu1", tmp_path)
    with pytest.raises(StoreError, match="There are: 0002_other, 0001_run1"):
        find_run("9", tmp_path)
    with pytest.raises(StoreError, match="There is no run"):
        find_run("missing/file.json", tmp_path)
