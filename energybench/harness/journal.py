"""The journal: every finished round is on disk, synchronised, before the next begins.

One file per sweep, `<storage>/.journal/<started>-<session>.jsonl`; a resumed sweep goes on in the same file. A line is
the CRC-32 of its JSON in eight hex digits, a blank, the JSON and a newline, written with one call on a descriptor
opened for appending and followed by fsync. A torn last line (killed in the middle of the write) is cut off when the
file is opened again; any other damaged line is left out and counted, never guessed at.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: no advisory lock; the exclusive name still keeps two sweeps apart
    fcntl = None  # type: ignore[assignment]

from energybench.errors import StoreError, UsageError

KEPT = 20
"""finished journals that are kept; a finished sweep's rounds also stand in its stored run"""


@dataclass(frozen=True, slots=True)
class JournalText:
    """What a journal file holds: the whole records, the length of the sound part, and how many lines were damaged."""

    records: tuple[Mapping[str, Any], ...]
    sound_bytes: int
    damaged: int

    @property
    def open(self) -> tuple[Mapping[str, Any], ...]:
        """The records of cases that no later `end` names: what a resumed sweep may use."""
        left: list[Mapping[str, Any]] = []
        for record in self.records:
            if record.get("kind") == "end":
                closed = set(record.get("cases", ()))
                left = [earlier for earlier in left if earlier.get("case") not in closed]
            else:
                left.append(record)
        return tuple(left)

    @property
    def ended(self) -> bool:
        """Whether every case in it completed."""
        return bool(self.records) and not self.open


def encode(record: Mapping[str, Any]) -> bytes:
    """One line of the journal. Raises ValueError where the record holds NaN or an infinity."""
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x " % zlib.crc32(text) + text + b"\n"


def decode(data: bytes) -> JournalText:
    """Read what can be read: a torn tail is not counted as damage, a line whose checksum fails is."""
    records: list[Mapping[str, Any]] = []
    damaged = 0
    sound = data.rfind(b"\n") + 1
    for line in data[:sound].splitlines():
        checksum, _, text = line.partition(b" ")
        try:
            if int(checksum, 16) != zlib.crc32(text) or len(checksum) != 8:
                raise ValueError("checksum")
            record = json.loads(text)
        except ValueError:
            damaged += 1
            continue
        records.append(record)
    return JournalText(tuple(records), sound, damaged)


class Journal:
    """An open journal file: append records, close. Holds an exclusive lock on the store's journal folder."""

    def __init__(self, path: Path, lock: int | None, earlier: JournalText) -> None:
        self.path = path
        self.earlier = earlier
        self._lock = lock
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(path, flags, 0o644)
        # Without this the next record would be glued to a torn last line.
        os.ftruncate(self._file, earlier.sound_bytes)
        _sync_folder(path.parent)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record and wait until it is on the disk. Raises StoreError where the disk refuses; a part of it
        that was written is taken away again, or the next record would be glued to it.
        """
        sound = os.fstat(self._file).st_size
        try:
            line = encode(record)
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(f"{written} of {len(line)} bytes written")
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, sound)
            raise StoreError(
                f"cannot write the journal {self.path}: {error}; free some space or choose another "
                "--benchmark-storage. Rounds written before stay there."
            ) from error

    def end(self, cases: Iterable[str]) -> None:
        """Mark `cases` as complete, so that nothing of them is offered for resuming; others stay open."""
        self.append({"kind": "end", "cases": list(cases)})

    def close(self) -> None:
        """Release the file and the lock; a file in which nothing was written is removed."""
        if os.fstat(self._file).st_size == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        if self._lock is not None:
            os.close(self._lock)


def open_journal(storage: Path, name: str, *, resume: bool, rank: int = 0) -> Journal:
    """Open a new journal `name`, or with `resume` the newest unfinished one (a new one where there is none).

    The ranks of one training run side by side, so each but the first has a folder of its own. Raises UsageError where
    another process holds the store's journal, StoreError where the folder cannot be written.
    """
    folder = storage / ".journal" / (f"rank{rank}" if rank else "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        _forget_finished(folder)
        if resume:
            for path in sorted(folder.glob("*.jsonl"), reverse=True):
                text = decode(path.read_bytes())
                if text.records and not text.ended:
                    return Journal(path, lock, text)
        return Journal(folder / f"{name}.jsonl", lock, decode(b""))
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror or error}; choose another --benchmark-storage or "
            "change its rights"
        ) from error


def _locked(folder: Path) -> int | None:
    if fcntl is None:
        return None
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UsageError(
            f"another energybench sweep is writing to {folder}: two at a time would count each other's energy. "
            "Wait for it, or give this one its own --benchmark-storage on another machine"
        ) from None
    return lock


def _forget_finished(folder: Path) -> None:
    finished = [path for path in sorted(folder.glob("*.jsonl"), reverse=True) if decode(path.read_bytes()).ended]
    for path in finished[KEPT:]:
        path.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
