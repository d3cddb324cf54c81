"""Neighbours, with real other processes: what they do is ordered through pipes, so nothing here waits for time."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from energybench.metering.sharing import Neighbours, others_between

# Obeys lines on its standard input and answers each with a line.
OTHER = """
import os, sys
from pathlib import Path
from energybench.metering.sharing import Neighbours, others_between
neighbours = Neighbours(sys.argv[2:], Path(sys.argv[1]))
seen = neighbours.look()
alive, held = os.pipe()

def stay():
    os.close(held)
    os.read(alive, 1)  # until the parent ends
    os._exit(0)

for order in sys.stdin:
    answer = "done"
    if order == "register\\n":
        neighbours.register()
    elif order == "close\\n":
        neighbours.close()
    elif order == "look\\n":
        seen, before = neighbours.look(), seen
        answer = ", ".join(others_between(before, seen))
    elif order == "trouble\\n":
        answer = neighbours.trouble
    elif order == "nobody\\n":
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    elif order == "umask\\n":
        os.umask(0o077)
    elif order == "fork\\n":
        child = os.fork()
        if child == 0:
            neighbours.close()
            os._exit(0)
        os.waitpid(child, 0)
    elif order == "fork and stay\\n":
        if os.fork() == 0:
            stay()
    elif order == "fork and register\\n":
        if os.fork() == 0:
            neighbours.register()
            print(os.getpid(), flush=True)
            stay()
        continue
    print(answer, flush=True)
"""


class Other:
    """Another process with Neighbours of its own."""

    def __init__(self, folder: Path, devices: tuple[str, ...]) -> None:
        command = [sys.executable, "-c", OTHER, str(folder), *devices]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def __call__(self, order: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the other process died of {order!r}"
        return answer.rstrip("\n")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Reachable by every user, which pytest's own temporary folders are not."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o1777)
    yield root / "locks"
    shutil.rmtree(root)


@pytest.fixture
def other(folder: Path) -> Iterator[Callable[..., Other]]:
    """Start another process that meters the devices (default: the CPU) when it is told to."""
    running: list[Other] = []

    def start(*devices: str) -> Other:
        running.append(Other(folder, devices or ("cpu",)))
        return running[-1]

    yield start
    for process in running:
        process.kill()


@pytest.fixture
def mine(folder: Path) -> Iterator[Neighbours]:
    """This process, registered for the CPU and one GPU."""
    neighbours = Neighbours(["cpu", "GPU-a"], folder)
    neighbours.register()
    assert neighbours.trouble == ""
    yield neighbours
    neighbours.close()


def test_alone_nobody_is_seen(mine: Neighbours) -> None:
    start = mine.look()
    assert others_between(start, mine.look()) == ()


def test_another_process_that_was_there_at_the_start_is_named(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other()
    neighbour("register")
    start = mine.look()
    neighbour("close")
    assert others_between(start, mine.look()) == (f"cpu (process {neighbour.pid})",)
    after = mine.look()
    assert others_between(after, mine.look()) == ()


def test_another_process_that_is_there_at_the_end_is_named(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other("GPU-a", "cpu")
    start = mine.look()
    neighbour("register")
    end = mine.look()
    assert others_between(start, end) == (f"GPU-a (process {neighbour.pid})", f"cpu (process {neighbour.pid})")
    assert others_between(end, mine.look()) == others_between(start, end)


def test_another_process_that_came_and_went_in_between_is_named(mine: Neighbours, other: Callable[..., Other]) -> None:
    first, second = other(), other()
    start = mine.look()
    for neighbour in (first, second):
        neighbour("register")
        neighbour("close")
        neighbour.kill()
    end = mine.look()
    assert {*others_between(start, end)} == {f"cpu (process {first.pid})", f"cpu (process {second.pid})"}
    assert others_between(end, mine.look()) == ()


def test_windows_may_nest_and_each_has_its_own_others(mine: Neighbours, other: Callable[..., Other]) -> None:
    outer = mine.look()
    early = other()
    early("register")
    early("close")
    inner = mine.look()
    late = other()
    late("register")
    late("close")
    end = mine.look()
    assert others_between(inner, end) == (f"cpu (process {late.pid})",)
    assert {*others_between(outer, end)} == {f"cpu (process {early.pid})", f"cpu (process {late.pid})"}


def test_both_sides_see_one_another(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other()
    start = mine.look()
    neighbour("register")
    assert neighbour("look") == f"cpu (process {os.getpid()})"
    assert others_between(start, mine.look()) == (f"cpu (process {neighbour.pid})",)


def test_a_killed_process_is_gone(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other()
    neighbour("register")
    start = mine.look()
    neighbour.kill()
    end = mine.look()
    assert others_between(start, end) == (f"cpu (process {neighbour.pid})",)
    assert others_between(end, mine.look()) == ()


def test_who_only_looks_is_no_neighbour(mine: Neighbours, other: Callable[..., Other]) -> None:
    start = mine.look()
    other()("look")
    assert others_between(start, mine.look()) == ()


def test_processes_on_other_devices_do_not_disturb(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other("GPU-b", "GPU-c")
    start = mine.look()
    neighbour("register")
    assert others_between(start, mine.look()) == ()
    assert neighbour("look") == ""
    neighbour("close")
    assert others_between(start, mine.look()) == ()


def test_registering_twice_is_registering_once(mine: Neighbours, other: Callable[..., Other], folder: Path) -> None:
    start, size = mine.look(), (folder / "meters").stat().st_size
    mine.register()
    assert (folder / "meters").stat().st_size == size
    assert others_between(start, mine.look()) == ()
    neighbour = other()
    neighbour("register")
    mine.close()
    mine.close()
    neighbour("look")
    assert neighbour("look") == ""


def test_two_in_one_process_do_not_see_one_another_and_one_closes_without_the_other(
    mine: Neighbours, other: Callable[..., Other], folder: Path
) -> None:
    start = mine.look()
    second = Neighbours(["GPU-a", "cpu", "GPU-b"], folder)
    second.register()
    assert others_between(start, mine.look()) == ()
    assert others_between(second.look(), second.look()) == ()
    second.close()
    neighbour = other("cpu", "GPU-b")
    neighbour("register")
    assert neighbour("look") == f"cpu (process {os.getpid()})"  # no longer GPU-b


def test_a_forked_child_is_no_neighbour(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other("GPU-b")
    neighbour("register")
    neighbour("fork and stay")
    assert neighbour("look") == ""
    assert others_between(mine.look(), mine.look()) == ()


def test_a_forked_child_that_ends_takes_no_lock_along(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other()
    neighbour("register")
    neighbour("fork")
    start = mine.look()
    assert others_between(start, mine.look()) == (f"cpu (process {neighbour.pid})",)


def test_a_forked_child_that_meters_by_itself_is_a_neighbour(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other()
    neighbour("register")
    start = mine.look()
    child = int(neighbour("fork and register"))
    assert {*others_between(start, mine.look())} == {f"cpu (process {neighbour.pid})", f"cpu (process {child})"}


def test_looking_before_registering_and_after_closing_sees_nobody(folder: Path, other: Callable[..., Other]) -> None:
    other()("register")
    neighbours = Neighbours(["cpu"], folder)
    early = neighbours.look()
    neighbours.register()
    assert len(others_between(early, neighbours.look())) == 1
    neighbours.close()
    assert others_between(early, neighbours.look()) == ()
    assert neighbours.trouble == ""


def test_without_devices_nothing_is_made(folder: Path) -> None:
    neighbours = Neighbours([], folder)
    neighbours.register()
    assert others_between(neighbours.look(), neighbours.look()) == ()
    neighbours.close()
    assert not folder.exists()


def test_folder_and_file_are_open_to_every_user_whatever_the_umask(other: Callable[..., Other], folder: Path) -> None:
    neighbour = other()
    neighbour("umask")
    neighbour("register")
    assert neighbour("trouble") == ""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert stat.S_IMODE((folder / "meters").stat().st_mode) == 0o666


def test_the_folder_comes_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENERGYBENCH_LOCK_DIR", str(folder))
    neighbours = Neighbours(["cpu"])
    neighbours.register()
    assert (folder / "meters").is_file()
    neighbours.close()
    monkeypatch.delenv("ENERGYBENCH_LOCK_DIR")
    assert Neighbours(["cpu"]).folder.name == "energybench"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_seen_and_sees(mine: Neighbours, other: Callable[..., Other]) -> None:
    neighbour = other()
    neighbour("nobody")
    start = mine.look()
    neighbour("register")
    assert neighbour("trouble") == ""
    assert neighbour("look") == f"cpu (process {os.getpid()})"
    assert others_between(start, mine.look()) == (f"cpu (process {neighbour.pid})",)


def test_a_folder_that_may_not_be_written_is_told_and_nothing_is_raised(
    other: Callable[..., Other], folder: Path
) -> None:
    folder.mkdir()
    folder.chmod(0o555)
    neighbour = other()
    if os.geteuid() == 0:
        neighbour("nobody")  # root may write everywhere
    neighbour("register")
    trouble = neighbour("trouble")
    assert str(folder) in trouble
    assert "Permission denied" in trouble
    assert "ENERGYBENCH_LOCK_DIR" in trouble
    assert neighbour("look") == ""
    neighbour("close")


def test_a_file_in_the_folders_place_is_told(folder: Path) -> None:
    folder.write_text("")
    neighbours = Neighbours(["cpu"], folder)
    neighbours.register()
    assert "Not a directory" in neighbours.trouble
    neighbours.close()


@pytest.mark.parametrize("link", ["symbolic", "hard", "folder"])
def test_a_link_in_the_place_of_the_lock_file_is_refused_and_its_target_left_alone(folder: Path, link: str) -> None:
    target = folder.parent / "precious"
    target.mkdir(mode=0o700)
    precious = target / "meters"
    precious.write_text("precious")
    precious.chmod(0o600)
    if link == "folder":
        folder.symlink_to(target)
    else:
        folder.mkdir()
        (folder / "meters").symlink_to(precious) if link == "symbolic" else (folder / "meters").hardlink_to(precious)
    neighbours = Neighbours(["cpu"], folder)
    neighbours.register()
    reasons = {"symbolic": "it is a symbolic link", "hard": "not a plain file of its own", "folder": "Not a directory"}
    assert reasons[link] in neighbours.trouble
    neighbours.close()
    assert precious.read_text() == "precious"
    assert stat.S_IMODE(precious.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_a_lock_file_that_is_removed_meanwhile_is_told(mine: Neighbours, folder: Path) -> None:
    start = mine.look()
    (folder / "meters").unlink()
    assert others_between(start, mine.look()) == ()
    assert "removed while it was in use" in mine.trouble


def test_garbage_in_the_file_hides_nobody(mine: Neighbours, other: Callable[..., Other], folder: Path) -> None:
    neighbour = other()
    start = mine.look()
    with (folder / "meters").open("ab") as file:
        file.write(b"\xff\x00 zz\n\n1\nno numbers here\n" + b"x" * 5000 + b"\n")
    neighbour("register")
    with (folder / "meters").open("ab") as file:
        file.write(b"77 half a li")
    neighbour("close")
    assert others_between(start, mine.look()) == (f"cpu (process {neighbour.pid})",)
    assert mine.trouble == ""


def test_a_file_that_somebody_emptied_hides_nobody_who_comes_later(
    mine: Neighbours, other: Callable[..., Other], folder: Path
) -> None:
    os.truncate(folder / "meters", 0)
    start = mine.look()
    neighbour = other()
    neighbour("register")
    neighbour("close")
    assert others_between(start, mine.look()) == (f"cpu (process {neighbour.pid})",)


RESTLESS = """
import random, sys, time
from pathlib import Path
from energybench.metering.sharing import Neighbours
draw = random.Random(int(sys.argv[2]))
end = time.monotonic() + 1.5
print("running", flush=True)
while time.monotonic() < end:
    neighbours = Neighbours(["cpu"], Path(sys.argv[1]))
    times = [time.monotonic()]
    neighbours.register()
    times.append(time.monotonic())
    time.sleep(draw.choice([0, 0, 0.001, 0.01]))
    times.append(time.monotonic())
    neighbours.close()
    times.append(time.monotonic())
    print(*times, flush=True)
    time.sleep(draw.choice([0, 0.001, 0.01, 0.05]))
"""


def test_every_window_of_many_is_marked_exactly_where_another_process_was_registered(
    mine: Neighbours, folder: Path
) -> None:
    restless = [
        subprocess.Popen([sys.executable, "-c", RESTLESS, str(folder), str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in (1, 2)
    ]
    for process in restless:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
    windows: list[tuple[float, float, float, float, bool]] = []
    pauses = [0.0, 0.0, 0.001, 0.005]
    while any(process.poll() is None for process in restless) and len(windows) < 20_000:
        before = time.monotonic()
        start = mine.look()
        opened = time.monotonic()
        time.sleep(pauses[len(windows) % len(pauses)])
        closing = time.monotonic()
        end = mine.look()
        windows.append((before, opened, closing, time.monotonic(), bool(others_between(start, end))))
    stays = [tuple(map(float, line.split())) for process in restless for line in process.communicate()[0].splitlines()]
    assert len(stays) > 10
    for before, opened, closing, after, marked in windows:
        certain = any(registered < closing and leaving > opened for _, registered, leaving, _ in stays)
        possible = any(coming < after and left > before for coming, _, _, left in stays)
        assert certain <= marked <= possible
    assert len({marked for *_, marked in windows}) == 2
