"""Where runs lie, and how a new one is put there: written whole under a temporary name, then given a free number."""

from __future__ import annotations

import errno
import json
import os
import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from energybench.errors import StoreError

NUMBERED = re.compile(r"(\d{4,})_(.*)")
"""`0003_run1` -> number and save name."""
_LAST_NUMBER = 9999


def machine_id() -> str:
    """The folder's name that pytest-benchmark gives this interpreter: `Linux-CPython-3.11-64bit`."""
    import platform

    # platform.architecture() would start a subprocess to look at the executable; the pointer's size says the same.
    bits = struct.calcsize("P") * 8
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{platform.system()}-{platform.python_implementation()}-{version}-{bits}bit"


def default_storage(rootdir: Path) -> Path:
    """`.benchmarks` under pytest's rootdir."""
    return rootdir / ".benchmarks"


def check_writable(storage: Path) -> None:
    """Make the folder of this machine's runs and write a trial file into it, before hours of measuring.

    Raises StoreError where that fails.
    """
    folder = storage / machine_id()
    trial = folder / f".trial-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def write(document: Mapping[str, Any], storage: Path, name: str) -> Path:
    """Store a whole file as `<storage>/<machine>/NNNN_<name>.json` and return its path.

    NNNN is one more than the highest number of the folder and belongs to this file alone, even when two processes
    save at once; a reader sees the whole file or none. Raises StoreError for a name with a path in it, for NaN in the
    document, for a folder that cannot be written, and when the four digits are used up.
    """
    if not name or re.search(r'[\\/:*?"<>|\x00-\x1f]', name):
        raise StoreError(f'A run cannot be saved as {name!r}: give a name without \\ / : * ? " < > | in it.')
    try:
        text = json.dumps(document, ensure_ascii=True, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise StoreError(f"The run {name!r} cannot be written as strict JSON: {error}.") from error
    folder = storage / machine_id()
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write_through(temporary, text)
            return _publish(temporary, folder, name)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def replace_whole(path: Path, text: str) -> None:
    """Put `text` in the place of what `path` holds; a reader sees the old text or the new one. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write_through(temporary, text)
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _write_through(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _publish(temporary: Path, folder: Path, name: str) -> Path:
    """Link `temporary` to the next free number.

    The number is claimed by creating `.NNNN.claim` exclusively: linking alone would keep names apart, but let two
    processes save `0007_a` and `0007_b`. A claim left by a killed process costs one number.
    """
    floor = 0
    while True:
        number = max(floor, *_numbers(folder), 0) + 1
        if number > _LAST_NUMBER:
            raise StoreError(
                f"{folder} holds a run numbered {_LAST_NUMBER}, and pytest-benchmark finds no larger number. "
                f"Move old runs elsewhere, or save to another folder with --benchmark-storage."
            )
        claim = folder / f".{number:04d}.claim"
        try:
            claim.open("x").close()
        except FileExistsError:
            floor = number
            continue
        try:
            if number in _numbers(folder):  # saved and released between the look and the claim
                continue
            target = folder / f"{number:04d}_{name}.json"
            try:
                os.link(temporary, target)
            except OSError as error:
                if error.errno == errno.EEXIST:
                    floor = number
                    continue
                temporary.rename(target)  # a file system without hard links
            _sync_folder(folder)
            return target
        finally:
            claim.unlink(missing_ok=True)


def _numbers(folder: Path) -> set[int]:
    matches = (NUMBERED.fullmatch(item.name) for item in os.scandir(folder) if item.name.endswith(".json"))
    return {int(match[1]) for match in matches if match}


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every system lets a folder be opened or synchronised
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"Cannot write runs to {folder}: {error.strerror or error}. "
        f"Give a folder that you may write with --benchmark-storage=file://PATH."
    )
