"""Writing: whole files, exclusive numbers, clear refusals."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import StoreError
from energybench.store import check_writable, default_storage, machine_id, write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_machine_folder_is_pytest_benchmarks() -> None:
    assert machine_id() == pytest.importorskip("pytest_benchmark.utils").get_machine_id()


def test_the_default_store_lies_under_rootdir() -> None:
    assert default_storage(Path("/a")) == Path("/a/.benchmarks")


def test_numbers_count_up_from_the_highest_and_nothing_else_stays_behind(tmp_path: Path) -> None:
    first = write({"a": 1}, tmp_path, "run1")
    assert first == tmp_path / machine_id() / "0001_run1.json"
    first.rename(first.with_name("0041_old.json"))
    assert write({"a": 2}, tmp_path, "run1").name == "0042_run1.json"
    assert names(first.parent) == ["0041_old.json", "0042_run1.json"]


WRITER = """
import sys
from pathlib import Path
from energybench.store import write
for i in range(25):
    write({"pad": "x" * 20000}, Path(sys.argv[1]), sys.argv[2])
"""


def test_two_processes_saving_at_once_never_share_a_number(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in ("a", "b")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    stored = names(tmp_path / machine_id())
    assert [int(name[:4]) for name in stored] == list(range(1, 51))
    assert sum(name.endswith("_a.json") for name in stored) == 25
    assert all(json.loads((tmp_path / machine_id() / name).read_text()) for name in stored)


def test_a_claim_left_by_a_killed_process_costs_one_number(tmp_path: Path) -> None:
    folder = tmp_path / machine_id()
    folder.mkdir()
    (folder / ".0001.claim").touch()
    assert write({}, tmp_path, "x").name == "0002_x.json"


def test_a_file_that_another_tool_saves_in_between_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, raced = os.link, []

    def racing(source: Any, target: Any) -> None:
        if not raced:
            raced.append(Path(target))
            Path(target).write_text("theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", racing)
    assert write({}, tmp_path, "x").name == "0002_x.json"
    assert raced[0].read_text() == "theirs"


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert json.loads(write({"a": 1}, tmp_path, "x").read_text()) == {"a": 1}


def test_past_9999_the_store_is_full_and_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / machine_id()
    folder.mkdir()
    (folder / "9999_x.json").touch()
    with pytest.raises(StoreError, match="Move old runs elsewhere"):
        write({}, tmp_path, "x")
    assert names(folder) == ["9999_x.json"]


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "x:y", "what?", "a\nb"])
def test_a_save_name_is_a_name_and_not_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be saved as"):
        write({}, tmp_path, name)


def test_nan_never_reaches_the_disk(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="strict JSON"):
        write({"x": float("nan")}, tmp_path, "x")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_store_is_named_before_and_at_saving(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for attempt in (lambda: check_writable(blocked), lambda: write({}, blocked, "x")):
        with pytest.raises(StoreError, match=r"Cannot write runs to .*file.*: Not a directory\. Give a folder"):
            attempt()


def test_a_writable_store_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert names(tmp_path / "new" / machine_id()) == []
