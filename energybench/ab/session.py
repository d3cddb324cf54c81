"""One pytest session of a checkout, in a process of its own, with a store of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from energybench.errors import StoreError, UsageError
from energybench.model import Run
from energybench.store import read_run

_OURS = (
    "--energy-rounds",
    "--energy-seeds",
    "--energy-compare",
    "--energy-resume",
    "--energy-no-save",
    "--benchmark-storage",
    "--benchmark-save",
    "--benchmark-autosave",
)
# The project's ini file may ask for what only makes sense in a session of its own.
_NEUTRAL = ("-o", "energy_compare=", "-o", "energy_resume=false", "-o", "energy_no_save=false")
_PATIENCE_S = 30.0
_TAIL_LINES = 30


@dataclass(frozen=True, slots=True)
class Place:
    """Where sessions run."""

    top: Path
    """the topmost folder of the checkout"""
    here: Path
    """the current folder of pytest, relative to it"""
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Session:
    """What came of one session."""

    code: int
    """pytest's exit code; negative: the number of the signal that killed it"""
    run: Run | None
    """what it stored, None where it stored nothing"""
    store: Path
    seconds: float
    tail: str = ""
    """the end of what it printed"""
    interrupted: bool = False
    """whether the user stopped it (Ctrl-C, SIGTERM); what it had finished is in `run` all the same"""

    @property
    def measured(self) -> bool:
        """Whether it holds at least one finished round."""
        return self.run is not None and bool(self.run.cases)

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.code < 0:
            try:
                return f"was killed by {signal.Signals(-self.code).name}"
            except ValueError:
                return f"was killed by signal {-self.code}"
        return _ENDINGS.get(self.code, f"ended with exit code {self.code}")


_ENDINGS = {
    0: "passed",
    1: "has tests that failed (pytest's exit code 1)",
    2: "was interrupted, or could not collect its tests (pytest's exit code 2)",
    3: "broke inside pytest (exit code 3)",
    4: "was refused by pytest as wrongly called (exit code 4)",
    5: "found no tests (pytest's exit code 5)",
}


def check_arguments(args: Sequence[str], top: Path | None = None) -> None:
    """Raise UsageError for what every session is given by us, and for a path that leads into the user's own tree `top`.

    Such a path would measure the tree instead of the checkout.
    """
    if "-pno:benchmark" in args or ("-p", "no:benchmark") in pairwise(args):
        raise UsageError(
            "-p no:benchmark behind `--`: each session gets a store of its own through pytest-benchmark's "
            "--benchmark-storage. Drop it."
        )
    for word in args:
        name = word.partition("=")[0]
        if name in _OURS:
            raise UsageError(
                f"{name} behind `--`: rounds, seeds, store and comparison of each session are set here. Drop it."
            )
        path = word.partition("::")[0]
        if top is not None and Path(path).is_absolute() and Path(path).resolve().is_relative_to(top):
            raise UsageError(
                f"{word} lies in {top} itself, so it would be measured for both sides. Give the path relative to the "
                "current folder: it is looked up in each checkout."
            )


def measure(place: Place, args: Sequence[str], seeds: Sequence[int], store: Path) -> Session:
    """Run `pytest ARGS` in `place`: one round of every case for each of `seeds`, stored in the new folder `store`.

    A signal to stop reaches pytest as Ctrl-C once, so that it stores its finished rounds. Raises StoreError where
    the run that it stored cannot be read.
    """
    store.mkdir(parents=True)
    log = store / "output.txt"
    command = [
        *(sys.executable, "-m", "pytest", "-p", "energybench.plugin", *args, *_NEUTRAL),
        f"--energy-rounds={len(seeds)}",
        f"--energy-seeds={','.join(map(str, seeds))}",
        f"--benchmark-storage=file://{store}",
    ]
    started = time.monotonic()
    interrupted = False
    with log.open("wb") as output:
        # In a session of its own the terminal's Ctrl-C does not reach it beside ours.
        process = subprocess.Popen(
            command,
            cwd=place.top / place.here,
            env=dict(place.variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            interrupted = True
            _stop(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:])
    files = sorted(store.glob("*/[0-9]*.json"))
    try:
        run = read_run(files[-1]) if files else None
    except StoreError:
        if process.returncode == 0:
            raise
        run = None
    return Session(process.returncode, run, store, time.monotonic() - started, tail, interrupted)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask once, wait, then insist. A second Ctrl-C insists at once."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(_PATIENCE_S)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        process.kill()
        with suppress(KeyboardInterrupt):
            process.wait()
