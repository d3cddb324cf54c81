"""The process tree's share of busy CPU time, against the operating system's own accounts read around it."""

from __future__ import annotations

import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.metering.scope import Busy, ProcessShare, share, share_error

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
# The middle process ends at once: what it started then belongs to nobody in this tree. It says who that is.
DETACHED = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.DEVNULL).pid)
"""

SECONDS = st.floats(0, 1e9, allow_nan=False)


def machine_s() -> float:
    """psutil's reading of the same kernel clock: its own parser, its own choice of fields."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


def tree_s() -> float:
    """Of this process and the children it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def stat_file(folder: Path, text: str) -> Path:
    path = folder / "stat"
    path.write_text(text)
    return path


def cpu_s(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A busy process outside this tree."""
    code = BURN.format(seconds=100)
    done = subprocess.run([sys.executable, "-c", DETACHED, code], stdout=subprocess.PIPE, text=True, check=True)
    process = psutil.Process(int(done.stdout))
    assert process.pid not in {child.pid for child in psutil.Process().children(recursive=True)}
    yield process
    process.kill()


def test_a_busy_child_gets_its_share_beside_a_busy_stranger(stranger: psutil.Process) -> None:
    reader = ProcessShare()
    outer_machine, outer_tree = machine_s(), tree_s()
    start = reader.read()
    inner_machine, inner_tree, other_s = machine_s(), tree_s(), cpu_s(stranger)
    subprocess.run([sys.executable, "-c", BURN.format(seconds=0.8)], check=True)
    inner_machine, inner_tree, other_s = machine_s() - inner_machine, tree_s() - inner_tree, cpu_s(stranger) - other_s
    end = reader.read()
    outer_machine, outer_tree = machine_s() - outer_machine, tree_s() - outer_tree
    part = share(start, end)
    assert part is not None
    ticks = 6 * TICK_S  # of the five fields and the tree's own, each cut to a tick
    assert (inner_tree - ticks) / (outer_machine + ticks) <= part <= (outer_tree + ticks) / (inner_machine - ticks)
    assert end.tree_s - start.tree_s >= 0.8 - TICK_S
    assert other_s > 0
    assert part <= 1 - 0.8 * (other_s - ticks) / (outer_machine + ticks)  # 0.8: two accounts of the kernel's


def test_a_stranger_alone_costs_this_tree_nothing(stranger: psutil.Process) -> None:
    reader = ProcessShare()
    own_s, other_s = tree_s(), cpu_s(stranger)
    start = reader.read()
    deadline = time.monotonic() + 60
    while cpu_s(stranger) < other_s + 0.5 and time.monotonic() < deadline:
        time.sleep(0.05)
    end = reader.read()
    assert cpu_s(stranger) >= other_s + 0.5
    assert end.tree_s - start.tree_s <= tree_s() - own_s + 2 * TICK_S


def test_the_fields_that_count_are_user_nice_system_irq_and_softirq(tmp_path: Path) -> None:
    path = stat_file(tmp_path, "cpu  1 10 100 9999 9999 1000 10000 9999 9999 9999\ncpu0 5 5 5 5 5 5 5 5 5 5\n")
    assert ProcessShare(path).read().machine_s == pytest.approx(11111 * TICK_S)


def test_a_machine_that_was_not_busy_has_no_share(tmp_path: Path) -> None:
    path = stat_file(tmp_path, "cpu  10 0 10 500 0 0 0 0 0 0\n")
    reader = ProcessShare(path)
    start = reader.read()
    path.write_text("cpu  10 0 10 700 9 0 0 5 0 0\n")  # idle, waiting and stolen time only
    end = reader.read()
    assert share(start, end) is None
    assert share_error(start, end) == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "intr 1 2 3\n",
        "cpu  1 2 3 4\n",
        "cpu  1 2 x 4 5 6 7\n",
        "cpu  1 2 -3 4 5 6 7\n",
        "cpu0 1 2 3 4 5 6 7 8\n",
    ],
)
def test_a_file_that_is_no_account_of_all_cpus_is_refused_with_what_it_holds(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="does not begin with the times of all CPUs"):
        ProcessShare(stat_file(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ProcessShare(tmp_path / "stat")


def test_a_file_that_breaks_later_is_told_by_the_reading(tmp_path: Path) -> None:
    path = stat_file(tmp_path, "cpu  1 2 3 4 5 6 7\n")
    reader = ProcessShare(path)
    path.write_text("gone\n")
    with pytest.raises(ValueError, match="'gone'"):
        reader.read()


def test_a_stand_in_that_is_mounted_over_the_hosts_account_is_refused(tmp_path: Path) -> None:
    stat = stat_file(tmp_path, "cpu  1 2 3 4 5 6 7\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = f"""
import subprocess, sys
from pathlib import Path
from energybench.metering.scope import ProcessShare
subprocess.run(["mount", "-t", "tmpfs", "none", "{elsewhere}"], check=True)
Path("{elsewhere}/stat").write_text("cpu  1 2 3 4 5 6 7\\n")
subprocess.run(["mount", "--bind", "{elsewhere}/stat", "{stat}"], check=True)
try:
    ProcessShare(Path("{stat}"))
except ValueError as error:
    print(error)
"""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"] if os.geteuid() else ["unshare", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us make a mount namespace")
    done = subprocess.run([*unshare, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "this container only" in done.stdout


@given(SECONDS, SECONDS, SECONDS, SECONDS)
def test_a_share_is_never_outside_0_and_1(tree: float, machine: float, spent: float, busy: float) -> None:
    start, end = Busy(tree, machine), Busy(tree + spent, machine + busy)
    part = share(start, end)
    if end.machine_s == start.machine_s:
        assert part is None
    else:
        assert part is not None
        assert 0.0 <= part <= 1.0
    assert 0.0 <= share_error(start, end) <= 0.5


@given(SECONDS, SECONDS, SECONDS, SECONDS)
def test_clocks_that_run_backwards_give_no_negative_share(a: float, b: float, c: float, d: float) -> None:
    part = share(Busy(a, b), Busy(c, d))
    assert part is None or 0.0 <= part <= 1.0


@pytest.mark.parametrize(("busy_s", "true_share"), [(0.5, 0.1), (0.5, 0.9), (3.0, 0.5)])
def test_the_stated_error_is_the_scatter_of_times_cut_to_ticks(busy_s: float, true_share: float) -> None:
    """Five fields of the machine and one time of the tree, each at a random phase of the tick, in 4,000 windows."""
    draw = random.Random(7)

    def told(seconds: float) -> float:
        phase = draw.random() * TICK_S
        return (math.floor((phase + seconds) / TICK_S) - math.floor(phase / TICK_S)) * TICK_S

    found: list[float] = []
    for _ in range(4000):
        # lengths that are no multiple of the tick: what is cut off then is uniform at both ends
        parts = [busy_s * weight + draw.uniform(-0.5, 0.5) * TICK_S for weight in (0.5, 0.1, 0.2, 0.1, 0.1)]
        tree = true_share * sum(parts) + draw.uniform(-0.5, 0.5) * TICK_S
        found.append(told(tree) / sum(told(part) for part in parts) - tree / sum(parts))
    error = share_error(Busy(0.0, 0.0), Busy(true_share * busy_s, busy_s))
    assert statistics.mean(found) == pytest.approx(0.0, abs=error / 5)
    assert statistics.pstdev(found) == pytest.approx(error, rel=0.15)
