"""Power over time in a side file: written beside a run that must not suffer from it, read wherever it was cut."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import StoreError
from energybench.model import Run, Span
from energybench.store import (
    Trace,
    TraceWriter,
    document,
    find_run,
    list_runs,
    machine_id,
    read_trace,
    trace_path,
    write,
)

DOMAINS = ("package:0", "gpu:GPU-8f/1")
HEADER = "time,seconds,package:0\n"


def written(folder: Path, lines: list[tuple[float, float, dict[str, float | None]]]) -> Path:
    writer = TraceWriter(folder, "s", DOMAINS)
    for line in lines:
        writer.append(*line)
    writer.close()
    assert writer.trouble == ""
    return folder / writer.name


def constant(watts: float, count: int, *, hz: float = 1.0, start_s: float = 0.0) -> Trace:
    seconds = tuple(start_s + i / hz for i in range(count))
    return Trace("t", ("gpu:0",), seconds, {"gpu:0": tuple(watts * (s - start_s) for s in seconds)})


def test_the_file_is_plain_csv_that_any_reader_takes(tmp_path: Path) -> None:
    path = written(
        tmp_path / "machine",
        [
            (1790000000.1254, 8423.104512117, {"package:0": 103.25, "gpu:GPU-8f/1": None}),
            (1790000001.1254, 8424.1045, {"package:0": 131.5000004, "gpu:GPU-8f/1": 40.125, "psys:0": 9.0}),
            (1790000002.1254, 8425.25, {"package:0": float("nan")}),
        ],
    )
    assert path == tmp_path / "machine" / "s.trace.csv"
    assert path.read_bytes().decode() == (
        "time,seconds,package:0,gpu:GPU-8f/1\n"
        "1790000000.125,8423.104512117,103.250000,\n"
        "1790000001.125,8424.1045,131.500000,40.125000\n"
        "1790000002.125,8425.25,,\n"
    )
    trace = read_trace(path)
    assert (trace.source, trace.domains) == (str(path), DOMAINS)
    assert trace.seconds == (8423.104512117, 8424.1045, 8425.25)
    assert trace.joules == {"package:0": (103.25, 131.5, None), "gpu:GPU-8f/1": (None, 40.125, None)}


MICROJOULES = st.none() | st.integers(0, 10**15)
# The columns' names as they are written; a line break in one is not what a torn line is, and no domain has one.
NAMES = st.lists(
    st.text(st.characters(exclude_categories=("C", "Z")) | st.sampled_from(' ,"'), max_size=6), unique=True
)


@st.composite
def traces(draw: st.DrawFn) -> tuple[list[str], list[float], list[list[float | None]]]:
    names = draw(NAMES)
    seconds = sorted(draw(st.lists(st.floats(0, 1e9), unique=True, max_size=6)))
    rows = [[None if (uj := draw(MICROJOULES)) is None else uj / 1e6 for _ in names] for _ in seconds]
    return names, seconds, rows


@given(traces(), st.data())
def test_cut_anywhere_it_reads_as_the_whole_lines_before_the_cut(
    trace: tuple[list[str], list[float], list[list[float | None]]], data: st.DataObject
) -> None:
    names, seconds, rows = trace
    with TemporaryDirectory() as folder:
        writer = TraceWriter(Path(folder), "s", names)
        path = Path(folder) / writer.name
        ends = [path.stat().st_size]
        for second, row in zip(seconds, rows, strict=True):
            writer.append(1.79e9 + second, second, dict(zip(names, row, strict=True)))
            ends.append(path.stat().st_size)
        whole = path.read_bytes()
        assert (len(whole), writer.trouble) == (ends[-1], "")
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        if cut < ends[0]:
            with pytest.raises(StoreError, match=r"is no trace: its first line is not time,seconds,DOMAIN"):
                read_trace(path)
        else:
            kept = sum(end <= cut for end in ends) - 1
            read = read_trace(path)
            assert read.domains == tuple(names)
            assert read.seconds == tuple(seconds[:kept])
            assert read.joules == {name: tuple(row[i] for row in rows[:kept]) for i, name in enumerate(names)}
        writer.close()


KILLED = """
import itertools, sys
from pathlib import Path
from energybench.store import TraceWriter
writer = TraceWriter(Path(sys.argv[1]), "s", ["gpu:0"])
for i in itertools.count():
    writer.append(1.79e9 + i, float(i), {"gpu:0": 250.0 * i})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_leaves_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "s.trace.csv"
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        while not (path.exists() and path.stat().st_size > 20_000):
            assert time.monotonic() < deadline
            assert writer.poll() is None
            time.sleep(0.01)
    finally:
        writer.kill()
        writer.wait()
    trace = read_trace(path)
    assert len(trace.seconds) > 100
    assert trace.seconds == tuple(map(float, range(len(trace.seconds))))
    assert {watts for _, watts in trace.power(["gpu:0"])} == {250.0}


# Where a file may not grow any more the kernel takes a part of a write, or none of it: as on a full disk.
FULL = """
import resource, sys
from pathlib import Path
from energybench.errors import StoreError
from energybench.store import TraceWriter
folder, room = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
try:
    writer = TraceWriter(folder, "s", ["gpu:0"])
except StoreError as error:
    sys.exit(str(error))
for i in range(9):
    writer.append(1.79e9 + i, float(i), {"gpu:0": 1.0 * i})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for i in range(9, 12):
    writer.append(1.79e9 + i, float(i), {"gpu:0": 1.0 * i})
print(writer.trouble)
writer.close()
writer.close()
"""
ONE = len("time,seconds,gpu:0\n")
LINE = len("1790000000.000,0.0,0.000000\n")


def run_full(folder: Path, room: int) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("resource", reason="this system cannot limit the size of a file")
    return subprocess.run([sys.executable, "-c", FULL, str(folder), str(room)], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("room", "kept", "trouble"),
    [
        (ONE + 3 * LINE + 5, 3, f"only 5 of {LINE} bytes could be written"),
        (ONE + 4 * LINE, 4, "File too large"),
    ],
)
def test_a_full_disk_stops_the_trace_and_not_the_run(room: int, kept: int, trouble: str, tmp_path: Path) -> None:
    done = run_full(tmp_path, room)
    assert (done.returncode, done.stdout.strip()) == (0, trouble), done.stderr
    text = (tmp_path / "s.trace.csv").read_text()
    assert text.endswith("\n")
    assert text.count("\n") == 1 + kept
    assert read_trace(tmp_path / "s.trace.csv").seconds == tuple(map(float, range(kept)))


def test_a_disk_without_room_for_any_data_leaves_no_file(tmp_path: Path) -> None:
    assert run_full(tmp_path, ONE + 3).returncode == 0
    assert list(tmp_path.iterdir()) == []
    done = run_full(tmp_path, 3)
    assert "Cannot write the trace" in done.stderr
    assert "--benchmark-storage=" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(
        StoreError, match=r"Cannot write the trace .*: Not a directory\. Give a folder .*--energy-trace"
    ):
        TraceWriter(tmp_path / "taken" / "machine", "s", ["gpu:0"])


def test_another_sessions_trace_is_not_written_into(tmp_path: Path) -> None:
    path = written(tmp_path, [(0.0, 1.0, {})])
    before = path.read_bytes()
    with pytest.raises(StoreError, match="File exists"):
        TraceWriter(tmp_path, "s", DOMAINS)
    assert path.read_bytes() == before


def test_without_a_line_of_data_no_file_stays_behind(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path, "s", DOMAINS)
    assert [path.name for path in tmp_path.iterdir()] == ["s.trace.csv"]
    writer.close()
    writer.close()
    writer.append(0.0, 1.0, {})
    assert (list(tmp_path.iterdir()), writer.trouble) == ([], "")


def test_a_line_that_is_not_later_than_the_last_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, [(0.0, second, {"package:0": second}) for second in (1.0, 3.0, 2.0, 3.0, 4.0)])
    assert read_trace(path).seconds == (1.0, 3.0, 4.0)


def test_appending_from_threads_while_it_is_closed_tears_nothing(tmp_path: Path) -> None:
    for attempt in range(20):
        writer = TraceWriter(tmp_path, str(attempt), DOMAINS)
        stop, started = threading.Event(), threading.Barrier(4)

        def beat(writer: TraceWriter = writer, stop: threading.Event = stop, all: threading.Barrier = started) -> None:
            all.wait()
            while not stop.is_set():
                now = time.perf_counter()
                writer.append(time.time(), now, {"package:0": now, "gpu:GPU-8f/1": now})

        threads = [threading.Thread(target=beat) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        time.sleep(0.005)
        writer.close()
        # The next file gets the descriptor that was given back: a late line would land in it.
        other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
        time.sleep(0.005)
        stop.set()
        for thread in threads:
            thread.join()
        assert os.fstat(other).st_size == 0
        os.close(other)
        path = tmp_path / writer.name
        if path.exists():  # on a busy machine no line may have come in time
            trace = read_trace(path)
            assert trace.seconds
            assert trace.joules["package:0"] == pytest.approx(trace.seconds, abs=1e-6)
        assert writer.trouble == ""


def test_constant_power_is_read_at_the_middle_of_every_step() -> None:
    assert constant(250.0, 4, start_s=100.0).power(["gpu:0"]) == ((100.5, 250.0), (101.5, 250.0), (102.5, 250.0))
    assert constant(250.0, 1).power(["gpu:0"]) == ()
    assert constant(250.0, 0).power(["gpu:0"]) == ()


@pytest.mark.parametrize(
    ("start_s", "end_s", "middles"),
    [
        (1.0, 3.0, [1.5, 2.5]),
        (0.9, 3.1, [1.5, 2.5]),
        (1.1, 3.0, [2.5]),
        (1.1, 1.9, []),
        (-9.0, -1.0, []),
        (3.5, 99.0, [4.5]),
        (3.0, 1.0, []),
    ],
)
def test_only_steps_wholly_inside_the_span_are_its_power(start_s: float, end_s: float, middles: list[float]) -> None:
    points = constant(80.0, 6).power(["gpu:0"], Span("t", start_s, end_s))
    assert [middle for middle, _ in points] == middles


def test_a_step_of_which_a_domain_is_absent_is_left_out() -> None:
    joules: dict[str, tuple[float | None, ...]] = {
        "a": (0.0, 10.0, 30.0, 60.0, 100.0),
        "b": (0.0, 1.0, None, 3.0, 4.5),
    }
    trace = Trace("t", ("a", "b"), (0.0, 1.0, 2.0, 3.0, 5.0), joules)
    assert trace.power(["a", "b"]) == ((0.5, 11.0), (4.0, 20.75))
    assert trace.power(["a"]) == ((0.5, 10.0), (1.5, 20.0), (2.5, 30.0), (4.0, 20.0))
    assert trace.power([]) == ()
    with pytest.raises(StoreError, match=r"^t has no domain 'c'; it has a, b\."):
        trace.power(["a", "c"])


STEPS = st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(0, 1e6)), min_size=1, max_size=20)


@given(STEPS)
def test_power_times_time_is_the_energy_between_the_ends(steps: list[tuple[float, float]]) -> None:
    seconds, joules = [0.0], [0.0]
    for pause, energy in steps:
        seconds.append(seconds[-1] + pause)
        joules.append(joules[-1] + energy)
    points = Trace("t", ("a",), tuple(seconds), {"a": tuple(joules)}).power(["a"])
    widths = [later - earlier for earlier, later in pairwise(seconds)]
    total = sum(watts * width for (_, watts), width in zip(points, widths, strict=True))
    assert total == pytest.approx(joules[-1], rel=1e-9)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no trace"),
        ("epoch,seconds,joules\n1,2,3\n", "is no trace"),
        ('{"benchmarks": []}\n', "is no trace"),
        ('time,seconds,"package:0\n', "is no trace"),
        ("time,seconds,a,a\n", "is no trace"),
        (HEADER + "1,1,1\n2,2\n", r"Line 3 .* is damaged \(2 values instead of 3\)"),
        (HEADER + "1,1,1,1\n", r"Line 2 .* \(4 values"),
        (HEADER + "1,1,1\n\n2,2,2\n", r"Line 3 .* \(0 values"),
        (HEADER + "1,1,x\n", r"Line 2 .* \('x' is no number"),
        (HEADER + "1,1,nan\n", r"Line 2 .* \('nan' is no number"),
        (HEADER + "1,,1\n", r"Line 2 .* \('' is no number"),
        (HEADER + "?,1,1\n", r"Line 2 .* \('\?' is no number"),
        (HEADER + "1,5,1\n2,5,1\n", r"Line 3 .* \(second 5\.0 after second 5\.0"),
        (HEADER + '1,1,"1\n', r"Line 2 .* is damaged"),
        (HEADER + "1,1,1\n\0\0\n", r"Line 3 .* \(1 values"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence_that_names_it(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.trace.csv"
    path.write_text(text)
    with pytest.raises(StoreError, match=complaint) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_text_absent_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"time,seconds,\xff\n")
    with pytest.raises(StoreError, match="is no trace"):
        read_trace(tmp_path / "x.csv")
    with pytest.raises(StoreError, match=r"There is no trace .*y\.csv: copy it"):
        read_trace(tmp_path / "y.csv")
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        read_trace(tmp_path)


def test_a_trace_that_a_spreadsheet_saved_again_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.trace.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + "1,1,1.5\n2,2.5,\n").replace("\n", "\r\n").encode())
    assert read_trace(path) == Trace(str(path), ("package:0",), (1.0, 2.5), {"package:0": (1.5, None)})


def test_a_trace_is_found_beside_its_run() -> None:
    run = Run("runs/Linux/0003_run1.json")
    assert trace_path(run, Span("ab12.trace.csv", 0.0, 1.0)) == Path("runs/Linux/ab12.trace.csv")
    for name in ("../x.csv", "/etc/passwd", "a\\b", "..", ""):
        with pytest.raises(StoreError, match=r"^runs/Linux/0003_run1\.json names .* no file beside it"):
            trace_path(run, Span(name, 0.0, 1.0))


def test_a_trace_beside_the_runs_is_no_run_for_us_or_pytest_benchmark(make_case: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    session = {"session": "0009", "status": "ok"}
    whole = document([make_case()], machine={}, commit={}, session=session)
    write(whole, store, "first")
    command = [sys.executable, "-m", "pytest_benchmark", "--storage", f"file://{store}"]

    def seen() -> list[str]:
        return [
            subprocess.run([*command, part], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
            for part in ("list", "compare")
        ]

    listed, theirs, found = list_runs(store), seen(), find_run("latest", store)
    for name in ("0009", "0009_first", "first"):  # even where a session's id looks like the name of a run
        writer = TraceWriter(store / machine_id(), name, ["package:0"])
        writer.append(1.79e9, 1.0, {"package:0": 1.0})
        writer.close()
    assert len(list((store / machine_id()).glob("*.csv"))) == 3
    assert list_runs(store) == listed
    assert find_run("latest", store) == found
    assert find_run("first", store).notes == ()
    assert seen() == theirs
    assert "0001_first" in theirs[0]
    assert write(whole, store, "second").name == "0002_second.json"


def test_a_plain_reader_finds_the_columns_by_name(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path, "s", ['odd,"name"', "gpu:0"])
    writer.append(1.79e9, 1.5, {'odd,"name"': 1.0, "gpu:0": 2.0})
    writer.close()
    with (tmp_path / writer.name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"time": "1790000000.000", "seconds": "1.5", 'odd,"name"': "1.000000", "gpu:0": "2.000000"}]
