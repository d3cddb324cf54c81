"""The journal loses no whole line and invents none, wherever it is cut or damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench.errors import StoreError, UsageError
from energybench.harness import journal
from energybench.harness.journal import Journal, decode, encode, open_journal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=5)


def sample(count: int) -> list[dict[str, Any]]:
    return [{"kind": "round", "case": f"f.py::t[é{i}]", "index": i, "record": {"j": i / 7}} for i in range(count)]


@given(RECORDS)
def test_what_is_written_is_read_back(records: list[dict[str, Any]]) -> None:
    text = decode(b"".join(map(encode, records)))
    assert list(text.records) == json.loads(json.dumps(records))
    assert text.damaged == 0


def test_cut_at_every_byte_it_keeps_exactly_the_whole_lines() -> None:
    records = sample(4)
    lines = [encode(record) for record in records]
    data = b"".join(lines)
    ends = [sum(map(len, lines[: i + 1])) for i in range(4)]
    for cut in range(len(data) + 1):
        text = decode(data[:cut])
        whole = sum(end <= cut for end in ends)
        assert list(text.records) == records[:whole], cut
        assert text.damaged == 0
        assert text.sound_bytes == ([0, *ends][whole])


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_bit_costs_at_most_the_lines_it_touches_and_invents_none(data: st.DataObject) -> None:
    records = sample(5)
    lines = [encode(record) for record in records]
    raw = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    found = list(decode(bytes(raw)).records)
    assert all(record in records for record in found)
    hit, seen = 0, 0
    for hit, line in enumerate(lines):  # noqa: B007 - the line that holds the flipped byte
        seen += len(line)
        if at < seen:
            break
    # A destroyed newline joins its line and the next.
    touched = {hit, hit + 1} if at == seen - 1 else {hit}
    assert [r for i, r in enumerate(records) if i not in touched] == [
        r for r in found if records.index(r) not in touched
    ]


@given(st.binary(max_size=300))
def test_noise_is_never_read_as_a_record(noise: bytes) -> None:
    assert decode(noise).records == ()


def test_a_record_after_a_torn_line_stands_on_its_own(tmp_path: Path) -> None:
    first, second, third = sample(3)
    path = tmp_path / ".journal" / "a.jsonl"
    path.parent.mkdir()
    path.write_bytes(encode(first) + encode(second)[:-5])
    opened = open_journal(tmp_path, "b", resume=True)
    assert opened.path == path
    assert list(opened.earlier.records) == [first]
    opened.append(third)
    opened.close()
    assert list(decode(path.read_bytes()).records) == [first, third]
    assert decode(path.read_bytes()).damaged == 0


def test_a_damaged_line_in_the_middle_is_left_out_and_counted() -> None:
    first, second, third = map(encode, sample(3))
    text = decode(first + second.replace(b"round", b"ruond") + third)
    assert [record["index"] for record in text.records] == [0, 2]
    assert text.damaged == 1


def test_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    opened = open_journal(tmp_path, "a", resume=False)
    with pytest.raises(ValueError, match="JSON compliant"):
        opened.append({"case": "x", "joules": float("nan")})
    opened.append({"case": "x", "joules": 1.0})
    opened.close()
    assert [r["joules"] for r in decode(opened.path.read_bytes()).records] == [1.0]


def test_each_record_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    opened = open_journal(tmp_path, "a", resume=False)
    monkeypatch.setattr(journal.os, "fsync", lambda fd: synced.append(opened.path.read_bytes()))
    opened.append({"case": "x"})
    assert synced == [encode({"case": "x"})]
    opened.close()


def test_a_full_disk_is_one_sentence_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_journal(tmp_path, "a", resume=False)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal.os, "write", full)
    with pytest.raises(StoreError, match=r"cannot write the journal .*a\.jsonl: .*No space left"):
        opened.append({"case": "x"})
    monkeypatch.undo()
    opened.close()


def test_the_record_after_one_that_the_disk_cut_off_stands_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = sample(3)
    log = Journal(tmp_path / "a.jsonl", None, decode(b""))
    log.append(first)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "write", lambda file, data: write(file, data[:10]))
        with pytest.raises(StoreError, match="10 of"):
            log.append(second)
    log.append(third)
    log.close()
    text = decode((tmp_path / "a.jsonl").read_bytes())
    assert (list(text.records), text.damaged) == ([first, third], 0)


def test_two_sweeps_into_one_store_are_refused_until_the_first_is_over(tmp_path: Path) -> None:
    first = open_journal(tmp_path, "a", resume=False)
    with pytest.raises(UsageError, match="another energybench sweep"):
        open_journal(tmp_path, "b", resume=False)
    first.close()
    open_journal(tmp_path, "b", resume=False).close()


def test_the_newest_unfinished_journal_is_resumed_and_finished_ones_are_not(tmp_path: Path) -> None:
    def made(name: str, *, ended: bool) -> None:
        opened = open_journal(tmp_path, name, resume=False)
        opened.append({"kind": "round", "case": name})
        if ended:
            opened.end([name])
        opened.close()

    made("1", ended=False)
    made("2", ended=False)
    made("3", ended=True)
    opened = open_journal(tmp_path, "4", resume=True)
    assert opened.path.stem == "2"
    opened.end(["2"])
    opened.close()
    opened = open_journal(tmp_path, "5", resume=True)
    assert opened.path.stem == "1"
    opened.close()


def test_a_case_that_no_end_names_stays_open_for_resuming(tmp_path: Path) -> None:
    opened = open_journal(tmp_path, "a", resume=False)
    for case in ("x", "y"):
        opened.append({"kind": "round", "case": case})
    opened.end(["x"])
    opened.close()
    text = decode(opened.path.read_bytes())
    assert [record["case"] for record in text.open] == ["y"]
    assert not text.ended


def test_a_journal_without_a_record_leaves_no_file(tmp_path: Path) -> None:
    opened: Journal = open_journal(tmp_path, "a", resume=False)
    opened.close()
    assert not opened.path.exists()


def test_only_the_newest_finished_journals_are_kept_and_every_unfinished_one(tmp_path: Path) -> None:
    folder = tmp_path / ".journal"
    folder.mkdir()
    for number in range(journal.KEPT + 5):
        (folder / f"{number:03d}.jsonl").write_bytes(encode({"case": "x"}) + encode({"kind": "end", "cases": ["x"]}))
    (folder / "000-killed.jsonl").write_bytes(encode({"case": "x"}))
    open_journal(tmp_path, "new", resume=False).close()
    kept = sorted(path.stem for path in folder.glob("*.jsonl"))
    assert kept == ["000-killed", *(f"{number:03d}" for number in range(5, journal.KEPT + 5))]


def test_a_store_under_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to .*--benchmark-storage"):
        open_journal(tmp_path / "file", "a", resume=False)
