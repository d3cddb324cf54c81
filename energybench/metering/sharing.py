"""Noticing another energybench process that meters the same device: both then count joules of both.

One file, in a folder that every user may write. A process that meters a device holds a read lock on that device's byte
(POSIX record locks: the kernel frees them when a process dies, a forked child has none, one's own never count), so
asking whether the byte could be locked for writing names another holder. And it has appended a line, so a process that
came and went between two looks is seen by the file's growth. One file and not one for each device: while it has not
grown and nobody was there, nobody is there now, and a look at any number of devices is one fstat.

It reaches as far as the folder does: two containers see each other only where they share it.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

if sys.platform != "win32":
    import fcntl

_NAME = "meters"
_FLOCK = struct.Struct("hhqqi4x")
"""`struct flock` of 64-bit Linux: type, whence, start, length, process id."""
_LONGEST_TAIL = 1 << 20
"""Bytes of new lines that one look reads at most: anybody may write the file."""


class Seen(NamedTuple):
    """What one look found: pairs of a device and another process's id, 0 where that has no id in this container."""

    arrivals: tuple[tuple[str, int], ...] = ()
    """every registration so far since this process's own, oldest first"""
    present: tuple[tuple[str, int], ...] = ()
    """who was there: one process for each device, where there are several"""


def others_between(start: Seen, end: Seen) -> tuple[str, ...]:
    """`GPU-aaaa (process 1234)` for each other process registered at any time between two looks of one Neighbours.

    Of several that were there already one is named.
    """
    if start is end:
        return ()
    found = {*start.present, *end.present, *end.arrivals[len(start.arrivals) :]}
    return tuple(
        f"{d} (process {process})" if process else f"{d} (process of another container)" for d, process in sorted(found)
    )


class Neighbours:
    """Other processes of this machine that meter the same devices. No method raises."""

    def __init__(self, devices: Sequence[str], folder: Path | None = None) -> None:
        """`devices`: `cpu` for the counters that a host has once, a GPU's UUID for each GPU.

        `folder`: None for the variable ENERGYBENCH_LOCK_DIR, else /dev/shm/energybench, else energybench in the
        temporary folder. Nothing is opened or made before register().
        """
        self.devices = tuple(dict.fromkeys(devices))
        self.folder = folder or _default_folder()
        self.trouble = ""
        """why sharing cannot be noticed; empty where it can"""
        self._bytes = {_offset(device): device for device in self.devices}
        self._file: _LockFile | None = None
        self._process = 0
        self._lock = threading.Lock()
        self._arrivals: tuple[tuple[str, int], ...] = ()
        self._read_to = 0
        self._quiet = (-1, Seen())

    def register(self) -> None:
        """From now on this process meters these devices; a second call does nothing, except in a forked child."""
        process = os.getpid()
        with self._lock:
            if self._process == process or not self.devices:
                return
            self._process, self._file, self.trouble = process, None, ""
            try:
                file = _LockFile.claim(self.folder, tuple(self._bytes))
                self._read_to = os.fstat(file.descriptor).st_size
            except OSError as error:
                self._give_up(error)
                return
            self._file, self._quiet = file, (-1, Seen())

    def look(self) -> Seen:
        """Who else is registered now. Cheap; once before a window and once after it."""
        file, (quiet_size, quiet) = self._file, self._quiet
        if file is None or self.trouble:
            return Seen(self._arrivals)
        try:
            status = os.fstat(file.descriptor)
            if status.st_size == quiet_size and status.st_nlink:
                return quiet
            if not status.st_nlink:
                raise FileNotFoundError(errno.ENOENT, "it was removed while it was in use")
            with self._lock:
                # The size before the locks, as registering takes the lock before it writes its line: whoever is not
                # found by its lock now, and has not gone before, makes the file grow beyond this size.
                if status.st_size != self._read_to:
                    self._read_arrivals(file, status.st_size)
                holders = ((device, file.holder(offset)) for offset, device in self._bytes.items())
                seen = Seen(self._arrivals, tuple((d, process) for d, process in holders if process is not None))
                if not seen.present:
                    self._quiet = (status.st_size, seen)
                return seen
        except OSError as error:
            self._give_up(error)
            return Seen(self._arrivals)

    def close(self) -> None:
        """This process meters these devices no longer; a second call does nothing."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None and self._process == os.getpid():
                file.release(tuple(self._bytes))

    def _read_arrivals(self, file: _LockFile, size: int) -> None:
        start = 0 if size < self._read_to else max(self._read_to, size - _LONGEST_TAIL)
        text = os.pread(file.descriptor, size - start, start)
        whole, newline, _ = text.rpartition(b"\n")
        self._read_to = start + len(whole) + len(newline)
        for line in whole.split(b"\n"):
            try:
                process, *offsets = line.decode().split()
                known = [self._bytes.get(int(offset, 16)) for offset in offsets]
                arrived = tuple((device, int(process)) for device in known if device is not None)
            except ValueError:  # not written by an energybench
                continue
            self._arrivals += arrived

    def _give_up(self, error: OSError) -> None:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror or str(error)
        self.trouble = (
            f"whether another process meters the same devices cannot be noticed: {self.folder / _NAME}: "
            f"{reason}; name a folder that every user may write with ENERGYBENCH_LOCK_DIR"
        )


class _LockFile:
    """The lock file of one folder, opened once in this process and for all its Neighbours.

    Closing any descriptor of a file drops all POSIX locks that the process has on it, so there may be only one.
    """

    # by process id and folder: a forked child inherits the table, but none of the locks
    _opened: ClassVar[dict[tuple[int, Path], _LockFile]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, key: tuple[int, Path]) -> None:
        self.descriptor = _open(key[1])
        self._key = key
        self._claims: Counter[int] = Counter()

    @classmethod
    def claim(cls, folder: Path, offsets: Sequence[int]) -> _LockFile:
        """Hold the bytes at `offsets` and say so in the file. Raises OSError where that cannot be done."""
        if sys.platform != "linux" or sys.maxsize < 1 << 32:
            raise OSError(errno.ENOTSUP, "only 64-bit Linux is supported")
        key = os.getpid(), folder.parent.resolve() / folder.name
        with cls._guard:
            file = cls._opened.get(key) or cls(key)
            cls._opened[key] = file
            file._claims.update(offsets)
            try:
                fresh = [offset for offset in offsets if file._claims[offset] == 1]
                for offset in fresh:
                    fcntl.lockf(file.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, offset)
                if fresh:
                    os.write(file.descriptor, f"{key[0]} {' '.join(f'{offset:x}' for offset in fresh)}\n".encode())
            except OSError:
                file._drop(offsets)
                raise
            return file

    def release(self, offsets: Sequence[int]) -> None:
        """Give back what claim() took."""
        with self._guard:
            self._drop(offsets)

    def holder(self, offset: int) -> int | None:
        """Id of another process that holds the byte at `offset`, 0 where it has none here; None where nobody does."""
        query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(self.descriptor, fcntl.F_GETLK, query))
        return None if kind == fcntl.F_UNLCK else int(process)

    def _drop(self, offsets: Sequence[int]) -> None:
        self._claims.subtract(offsets)
        self._claims += Counter()  # keeps what is still claimed
        if not self._claims:
            del self._opened[self._key]
            os.close(self.descriptor)
            return
        for offset in offsets:
            if not self._claims[offset]:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, offset)


def _default_folder() -> Path:
    given = os.environ.get("ENERGYBENCH_LOCK_DIR")
    if given:
        return Path(given)
    memory = Path("/dev/shm")
    if memory.is_dir():
        return memory / "energybench"
    import tempfile  # 3 ms, for systems without that folder

    return Path(tempfile.gettempdir()) / "energybench"


def _offset(device: str) -> int:
    return zlib.crc32(device.encode())


def _open(folder: Path) -> int:
    """A descriptor of the lock file, which is made where it is not there yet. Raises OSError.

    Others may write the folder: a link in the file's place is refused, or we would write and open up what it points to.
    """
    try:
        folder.mkdir(parents=True)
        made = True
    except FileExistsError:
        made = False
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if made:
            os.fchmod(directory, 0o1777)
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(_NAME, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory)
            os.fchmod(descriptor, 0o666)
        except FileExistsError:
            # Without O_CREAT: the kernel may refuse that for another user's file in a folder like this.
            descriptor = os.open(_NAME, flags, dir_fd=directory)
    finally:
        os.close(directory)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a plain file of its own")
    return descriptor
