"""Files and folders of the kernel's, there and not there."""

from __future__ import annotations

from pathlib import Path

from energybench.metering.sysfs import entries_of, text_of


def test_a_text_is_given_without_white_space_and_an_unreadable_one_is_empty(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b" package-0\xff\n")
    assert text_of(tmp_path / "name") == "package-0�"
    assert text_of(tmp_path / "absent") == ""
    assert text_of(tmp_path) == ""


def test_entries_are_sorted_and_what_is_no_folder_has_none(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
    assert [path.name for path in entries_of(tmp_path)] == ["a", "b"]
    assert entries_of(tmp_path / "a") == entries_of(tmp_path / "absent") == []
