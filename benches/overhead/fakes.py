"""Machines that do not exist: a powercap tree and GPUs of known power, shown where every tool looks for them.

Needs Linux, root (a mount namespace shows the tree as /sys/class/powercap) and gcc (for the GPUs).
"""

from __future__ import annotations

import json
import os
import platform
import runpy
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WRITER = ROOT / "tests" / "fakes" / "powercap_writer.py"
SERVER_RANGE_J = 262_143.328850
SYSTEM = Path("/sys/class/powercap")
_CPUS = Path("/sys/devices/system/cpu")
_BYTE_CODE = tempfile.TemporaryDirectory()
_joules = runpy.run_path(str(WRITER))["joules"]


@dataclass(frozen=True)
class Power:
    """Watts over time, as the writer makes them."""

    watts: float
    shape: str = "constant"
    period_s: float = 1.0

    def joules(self, begun: float, ended: float) -> float:
        """Energy between two times in seconds since the counters were 0."""
        first, last = (float(_joules(self.shape, self.watts, self.period_s, t)) for t in (begun, ended))
        return last - first


@dataclass(frozen=True)
class Zone:
    """A directory of the powercap tree."""

    id: str
    """`intel-rapl:0:1`"""
    name: str
    """`package-0`, `dram`, `psys`"""
    power: Power
    range_j: float = SERVER_RANGE_J
    shows: str = ""
    """the id of the zone whose counter this one shows too"""
    readable: bool = True

    @property
    def path(self) -> Path:
        """Where it lies below the root; a part of a zone lies inside it."""
        control, *numbers = self.id.split(":")
        return Path(control, *(":".join((control, *numbers[: n + 1])) for n in range(len(numbers))))


@dataclass(frozen=True)
class Gpu:
    watts: float = 300.0
    tick_s: float = 0.0
    counter: bool = True


@dataclass(frozen=True)
class Machine:
    """A running one. `command` runs something that sees it."""

    prefix: tuple[str, ...]
    environment: Mapping[str, str]
    started_s: float
    """time.monotonic() at which every counter was 0"""

    def without_rights(self) -> Machine:
        """The same, for a root that may not read what is not its own."""
        drop = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        return replace(self, prefix=(*self.prefix, *drop))


@contextmanager
def machine(zones: Sequence[Zone], gpus: Sequence[Gpu] = (), sockets: int = 1) -> Iterator[Machine]:
    """Make it, let it run, and take it away."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        started_s = time.monotonic() - 1.0  # no counter is exactly 0
        writer = _run_counters(_make_tree(folder, zones), started_s)
        environment = {"LIVE_NVML_STARTED_S": repr(started_s), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        if gpus:
            library = ["-o", str(folder / "libnvidia-ml.so.1"), str(HERE / "live_nvml.c"), "-lm"]
            subprocess.run(["gcc", "-shared", "-fPIC", "-O2", *library], check=True)
            environment["LD_LIBRARY_PATH"] = str(folder)
            (folder / "nvidia-smi").write_text("#!/bin/sh\n")  # CodeCarbon looks for GPUs only where it runs
            (folder / "nvidia-smi").chmod(0o755)
            environment["PATH"] = f"{folder}:{os.environ['PATH']}"
            environment["LIVE_NVML"] = ";".join(f"{gpu.watts},{gpu.tick_s},{gpu.counter:d}" for gpu in gpus)
        try:
            yield Machine(_namespace(folder, bool(zones), sockets), environment, started_s)
        finally:
            if writer is not None:
                writer.kill()
                writer.communicate()


def _make_tree(folder: Path, zones: Sequence[Zone]) -> list[dict[str, Any]]:
    """The kernel's files and links below `folder`/powercap; returns the counters that are to be written."""
    root = folder / "powercap"
    root.mkdir()
    counters = []
    for zone in sorted(zones, key=lambda zone: bool(zone.shows)):
        path = root / zone.path
        path.mkdir(parents=True)
        (path / "name").write_text(f"{zone.name}\n")
        range_uj = round(zone.range_j * 1e6)
        (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
        register = path / "energy_uj"
        if zone.shows:  # two doors to one register: the very same file
            register.hardlink_to(root / next(z.path for z in zones if z.id == zone.shows) / "energy_uj")
        else:
            register.write_text("0\n")
            power = {"watts": zone.power.watts, "shape": zone.power.shape, "period_s": zone.power.period_s}
            counters.append({"path": str(register), "range_uj": range_uj, **power})
        if not zone.readable:
            os.chown(register, 65534, 65534)
            register.chmod(0o400)
        (root / zone.id).symlink_to(zone.path)
        control = root / zone.path.parts[0]
        if not (control / "subsystem").exists():
            (control / "subsystem").symlink_to("..")
    return counters


def _run_counters(counters: list[dict[str, Any]], started_s: float) -> subprocess.Popen[str] | None:
    if not counters:
        return None
    spec = json.dumps([{**counter, "started_s": started_s} for counter in counters])
    writer = subprocess.Popen([sys.executable, str(WRITER), spec], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "running\n"
    with suppress(OSError):  # so that a busy machine does not make the counters late
        os.sched_setscheduler(writer.pid, os.SCHED_FIFO, os.sched_param(10))
    return writer


def _namespace(folder: Path, powercap: bool, sockets: int) -> tuple[str, ...]:
    """Shows `folder`/powercap as the system's tree, and the upper half of the CPUs as a second socket's."""
    steps = ["mount -t tmpfs none /sys/class"]
    if powercap:
        steps += [f"mkdir {SYSTEM}", f"mount --bind {folder}/powercap {SYSTEM}"]
    packages = sorted(_CPUS.glob("cpu[0-9]*/topology/physical_package_id"), key=lambda path: int(path.parts[5][3:]))
    for number, path in enumerate(packages):
        package = folder / f"socket-{number}"
        package.write_text(f"{number * sockets // len(packages)}\n")
        steps.append(f"mount --bind {package} {path}")
    return ("unshare", "-m", "sh", "-c", f'{" && ".join(steps)} || exit 77; exec "$@"', "sh")


class Worker:
    """A tool in a process of its own (see peers.py), on a machine."""

    def __init__(
        self, tool: str, on: Machine, peers: Path | None, environment: Mapping[str, str] | None = None
    ) -> None:
        python = sys.executable if tool == "energybench" else str(home(tool, peers) / "bin" / "python")
        # An installed package's byte code is kept, as pip makes it; a checkout's is kept here.
        paths = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _BYTE_CODE.name} if tool == "energybench" else {}
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(
            [*on.prefix, python, str(HERE / "peers.py"), tool],
            env={**kept, **on.environment, **paths, **(environment or {})},
            cwd=tempfile.gettempdir(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, do: str, timeout_s: float = 300.0, **arguments: Any) -> dict[str, Any]:
        """Its answer, or {"error": ...} where it gave none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            return {"error": f"no answer in {timeout_s:g} s"}
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"error": f"ended with exit code {self._process.wait()}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def home(tool: str, peers: Path | None) -> Path:
    """The virtual environment of a tool."""
    return (peers or Path()) / tool.partition("-")[0]


def present(tools: Sequence[str], peers: Path | None) -> list[str]:
    """Those of `tools` that can be run."""
    return [tool for tool in tools if tool == "energybench" or (peers and (home(tool, peers) / "bin/python").exists())]


def say_where(tools: Sequence[str], peers: Path | None) -> None:
    """Print the machine and the tools' versions; ends the program where the fakes cannot be made."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("gcc"):
        raise SystemExit("the fake counters need Linux, root, unshare and gcc")
    cpu = [line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    model = cpu[0].strip() if cpu else platform.machine()
    print(f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}, load {os.getloadavg()[0]:.2f}")
    told = [f"energybench {version('energybench')} on Python {platform.python_version()}"]
    for name in dict.fromkeys(tool.partition("-")[0] for tool in tools if tool != "energybench"):
        ask = f"import importlib.metadata as m, platform as p; print({name!r}, m.version({name!r}), p.python_version())"
        python = home(name, peers) / "bin" / "python"
        told.append(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    print("; ".join(told), flush=True)
