"""Promoted runs: set, read, found, forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import StoreError
from energybench.store import (
    baselines,
    find_baseline,
    find_run,
    list_runs,
    machine_id,
    read_baselines,
    remove_baseline,
    set_baseline,
)

FAR = "Other-CPython-3.12-64bit"
COMMIT = "a" * 40


def test_a_promoted_run_is_what_its_name_means(save: Any, tmp_path: Path) -> None:
    path = save("x", commit=COMMIT, created="2026-01-02T03:04:05+00:00")
    save("newer")
    promoted, replaced = set_baseline("main", path, tmp_path)
    assert replaced is None
    assert (promoted.run, promoted.commit, promoted.created) == (
        f"{machine_id()}/0001_x.json",
        COMMIT,
        "2026-01-02T03:04:05+00:00",
    )
    assert find_baseline("main", tmp_path) == (path, ("'main' is a baseline: 0001_x.",))
    assert find_baseline("other", tmp_path) is None
    assert read_baselines(tmp_path) == {"main": {machine_id(): promoted}}
    assert [entry.name for entry in list_runs(tmp_path)] == ["0001_x", "0002_newer"]


def test_the_file_is_made_to_be_committed(save: Any, tmp_path: Path) -> None:
    path = save("x", commit=COMMIT)
    for name in ("main", "before"):
        set_baseline(name, path, tmp_path)
    text = (tmp_path / "baselines.json").read_text()
    stored = json.loads(text)
    assert stored["schema"] == 1
    assert list(stored["baselines"]) == ["before", "main"]
    assert set(stored["baselines"]["main"][machine_id()]) == {"run", "commit", "created", "set", "sha256"}
    assert text.endswith("}\n")
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted([machine_id(), "baselines.json"])


def test_setting_again_replaces_the_run_of_that_machine_only(save: Any, tmp_path: Path) -> None:
    far, old, new = save("x", machine=FAR), save("x"), save("y")
    set_baseline("main", far, tmp_path)
    set_baseline("main", old, tmp_path)
    promoted, replaced = set_baseline("main", new, tmp_path)
    assert replaced is not None
    assert (replaced.name, promoted.name) == ("0001_x", "0002_y")
    assert set(read_baselines(tmp_path)["main"]) == {FAR, machine_id()}
    assert find_run("main", tmp_path).path == new


def test_the_run_of_another_machine_is_taken_where_this_one_has_none_and_said(save: Any, tmp_path: Path) -> None:
    path = save("x", machine=FAR)
    set_baseline("main", path, tmp_path)
    assert find_run("main", tmp_path).notes == (f"'main' is a baseline: 0001_x, of another machine folder, {FAR}.",)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "failed"}, "failed"),
        ({"status": "partial"}, "partial"),
        ({"status": "regressed"}, "regressed"),
        ({"status": "inconclusive"}, "inconclusive"),
        ({"status": ""}, "does not say how it ended"),
        ({"rank": 1}, "not the first rank"),
        ({"cases": []}, "no energy cases"),
    ],
)
def test_what_did_not_end_ok_is_promoted_only_by_force(
    fields: dict[str, Any], reason: str, save: Any, tmp_path: Path
) -> None:
    path = save("x", **fields)
    with pytest.raises(StoreError, match=rf"0001_x cannot become the baseline 'main' \({reason}\).* --force"):
        set_baseline("main", path, tmp_path)
    assert not (tmp_path / "baselines.json").exists()
    set_baseline("main", path, tmp_path, force=True)
    assert find_run("main", tmp_path).path == path


@pytest.mark.parametrize(
    "name", ["", " ", "7", "0007", "0007_x", "latest", "latest@main", "run*", "a?", "[a]", "x.json", "--force", "a\nb"]
)
def test_a_name_that_means_something_else_is_refused(name: str, save: Any, tmp_path: Path) -> None:
    path = save("x")
    with pytest.raises(StoreError, match="cannot be called"):
        set_baseline(name, path, tmp_path)


@pytest.mark.parametrize("name", ["main", "release/1.0", "v2", "7b", "deadbeef"])
def test_a_name_may_look_like_a_branch_or_a_tag(name: str, save: Any, tmp_path: Path) -> None:
    path = save("x")
    set_baseline(name, path, tmp_path)
    assert find_run(name, tmp_path).path == path


def test_a_file_outside_the_stores_machine_folders_is_refused(save: Any, tmp_path: Path) -> None:
    path = save("x")
    for place in (tmp_path / "x.json", tmp_path.parent / "x.json"):
        place.write_text(path.read_text())
        with pytest.raises(StoreError, match="lies in no machine's folder"):
            set_baseline("main", place, tmp_path)


def test_a_baseline_whose_file_is_gone_is_an_error_that_says_what_to_do(save: Any, tmp_path: Path) -> None:
    path = save("x")
    set_baseline("main", path, tmp_path)
    assert read_baselines(tmp_path)["main"][machine_id()].state(tmp_path) == "ok"
    path.unlink()
    with pytest.raises(StoreError, match=r"0001_x\.json, which is not there\. Restore it .* baseline set main REF"):
        find_run("main", tmp_path)
    assert read_baselines(tmp_path)["main"][machine_id()].state(tmp_path) == "gone"


def test_a_baseline_whose_file_has_changed_is_an_error_and_line_ends_do_not_count(save: Any, tmp_path: Path) -> None:
    path = save("x")
    set_baseline("main", path, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert find_run("main", tmp_path).path == path
    path.write_bytes(path.read_bytes().replace(b"100.0", b"200.0"))
    with pytest.raises(StoreError, match=r"is not the file that was promoted: its content has changed\. Restore"):
        find_run("main", tmp_path)
    assert read_baselines(tmp_path)["main"][machine_id()].state(tmp_path) == "changed"


def test_a_baseline_is_forgotten_whole_or_for_one_machine(save: Any, tmp_path: Path) -> None:
    far, path = save("x", machine=FAR), save("x")
    for one in (far, path):
        set_baseline("main", one, tmp_path)
    set_baseline("other", path, tmp_path)
    with pytest.raises(StoreError, match=rf"has no run of Mars, only of: .*{FAR}"):
        remove_baseline("main", tmp_path, "Mars")
    assert set(remove_baseline("main", tmp_path, FAR)) == {FAR}
    assert set(read_baselines(tmp_path)["main"]) == {machine_id()}
    assert set(remove_baseline("main", tmp_path)) == {machine_id()}
    assert set(read_baselines(tmp_path)) == {"other"}
    assert path.exists()
    with pytest.raises(StoreError, match=r"no baseline 'main' .*\. There are: other"):
        remove_baseline("main", tmp_path)
    with pytest.raises(StoreError, match=r"There is none yet; `energybench baseline set` makes one"):
        remove_baseline("main", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not JSON"),
        ("<<<<<<< ours\n{}", "is not JSON .*Resolve what a merge left"),
        ("[]", "is damaged"),
        ("{}", "no 'schema'"),
        ('{"schema": 2, "baselines": {}}', "schema 2; this energybench reads up to 1"),
        ('{"schema": 1, "baselines": []}', "is damaged"),
        ('{"schema": 1, "baselines": {"main": {"m": {"run": "m/x.json"}}}}', "no 'commit'"),
        ('{"schema": 1, "baselines": {"main": {"m": 5}}}', "is damaged"),
    ],
)
def test_a_damaged_file_is_refused_and_never_overwritten(text: str, complaint: str, save: Any, tmp_path: Path) -> None:
    path = save("x")
    (tmp_path / "baselines.json").write_text(text)
    for attempt in (
        lambda: find_run("main", tmp_path),
        lambda: set_baseline("main", path, tmp_path),
        lambda: remove_baseline("main", tmp_path),
    ):
        with pytest.raises(StoreError, match=rf"baselines\.json {complaint}|baselines\.json is damaged \({complaint}"):
            attempt()
    assert (tmp_path / "baselines.json").read_text() == text
    assert find_run("1", tmp_path).path == path  # what names a file does not need it


@pytest.mark.parametrize("run", ["../x.json", "/etc/passwd", "x.json", "m/../../x.json", 5])
def test_a_baseline_outside_the_store_is_not_followed(run: Any, save: Any, tmp_path: Path) -> None:
    set_baseline("main", save("x"), tmp_path)
    stored = json.loads((tmp_path / "baselines.json").read_text())
    stored["baselines"]["main"][machine_id()]["run"] = run
    (tmp_path / "baselines.json").write_text(json.dumps(stored))
    with pytest.raises(StoreError, match=r"is damaged \(run "):
        find_run("main", tmp_path)


SETTER = """
import sys
from pathlib import Path
from energybench.store import set_baseline
storage, path = Path(sys.argv[1]), Path(sys.argv[2])
for i in range(20):
    set_baseline(f"{sys.argv[3]}{i}", path, storage)
"""


def test_two_processes_setting_at_once_lose_nothing(save: Any, tmp_path: Path) -> None:
    path = save("x")
    command = [sys.executable, "-c", SETTER, str(tmp_path), str(path)]
    setters = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[2]) for name in ("a", "b")]
    assert [setter.wait(timeout=120) for setter in setters] == [0, 0]
    assert set(read_baselines(tmp_path)) == {f"{name}{i}" for name in ("a", "b") for i in range(20)}


def test_a_lock_of_a_killed_process_is_named(save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save("x")
    monkeypatch.setattr(baselines, "PATIENCE_S", 0.05)
    (tmp_path / ".baselines.lock").touch()
    with pytest.raises(StoreError, match=r"\.baselines\.lock has been there for 0\.05 s.* delete that file"):
        set_baseline("main", path, tmp_path)
    (tmp_path / ".baselines.lock").unlink()
    set_baseline("main", path, tmp_path)
    assert not (tmp_path / ".baselines.lock").exists()


def test_stock_pytest_benchmark_goes_on_reading_the_store(save: Any, tmp_path: Path) -> None:
    set_baseline("main", save("x"), tmp_path)
    command = [sys.executable, "-m", "pytest_benchmark", "--storage", f"file://{tmp_path}"]
    for action, says in (("list", "0001_x.json"), ("compare", "test_f[resnet18-none]")):
        done = subprocess.run([*command, action], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert says in done.stdout
        assert done.stderr == ""
