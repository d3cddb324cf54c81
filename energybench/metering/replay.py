"""The meter `replay:FILE`: recorded windows instead of counters, for tests and demonstrations.

The file is strict JSON:

    {"schema": 1,
     "domains": [{"name": "package:0"}],
     "windows": [{"label": "*resnet18-none*", "seconds": 2.0, "joules": {"package:0": 200.0},
                  "laps": [{"label": "epoch", "seconds": 1.0, "joules": {"package:0": 100.0}}]}],
     "comparability": {}}

A domain may also give `in_total`, `gain_rel`, `device` and `note`; a window `error_j` and `laps`. In a label only `*`
and `?` are wild: brackets stand for themselves, as node ids have them. The first pattern in the file that fits a
window's label answers it, `*` alone last of all; rows of one pattern are taken in order, then again from the first.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import cycle
from pathlib import Path
from typing import Any, NoReturn

from energybench.errors import MeterError, UsageError
from energybench.metering.meter import Diagnosis, fence
from energybench.metering.window import Meters, OpenWindow, Sink, with_open_laps
from energybench.model import Domain, Provenance, Window


@dataclass(frozen=True, slots=True)
class Recording:
    """A replay file: its domains and, per label pattern, its windows in order."""

    source: str
    domains: tuple[Domain, ...]
    windows: Mapping[str, tuple[Window, ...]]
    comparability: Mapping[str, Any]


class ReplayMeters(Meters):
    """Meters whose windows have the recorded seconds and joules, whatever happens in them."""

    def __init__(self, recording: Recording) -> None:
        count = sum(map(len, recording.windows.values()))
        reason = f"{count} recorded windows of {recording.source}"
        super().__init__(diagnoses=[Diagnosis("replay", domain.name, "ok", reason) for domain in recording.domains])
        self.domains = recording.domains
        self._recording = recording
        self._rows = {pattern: cycle(windows) for pattern, windows in recording.windows.items()}

    def open_window(self, label: str = "") -> OpenWindow:
        """The next recorded window for `label`. MeterError where the file has none, or after close()."""
        if self._closed:
            raise MeterError(f"the window {label!r} cannot be opened: its meters are closed.")
        return _ReplayWindow(self, replace(next(self._rows[self._pattern(label)]), label=label))

    def calibrate(self) -> None:
        """Nothing: no counter is read."""

    def trace(self, hertz: float, sink: Sink) -> None:
        """Nothing: there is no power over time in recorded windows."""

    def comparability(self) -> dict[str, Any]:
        """What the file says; nothing of this machine, since none of its joules were spent here."""
        return dict(self._recording.comparability)

    def _pattern(self, label: str) -> str:
        fitting = [pattern for pattern in self._rows if fnmatchcase(label, pattern.replace("[", "[[]"))]
        if not fitting:
            raise MeterError(
                f"{self._recording.source} has no recorded window for {label!r}: add a row with a fitting label, or "
                'one with the label "*".'
            )
        return next((pattern for pattern in fitting if pattern != "*"), "*")


class _ReplayWindow(OpenWindow):
    """Answers with `recorded`. A lap gets the next recorded lap of its label, else its share of the real time."""

    def __init__(self, meters: Meters, recorded: Window) -> None:
        super().__init__(meters, recorded.label)
        self._recorded = recorded
        self._left = list(recorded.laps)
        self._ended: list[tuple[str, float, Window | None]] = []

    @property
    def laps_ended(self) -> int:
        return len(self._ended)

    @contextmanager
    def lap(self, label: str) -> Iterator[None]:
        if self._closed:
            raise MeterError(f"the lap {label!r} cannot be opened: its window {self.label!r} is closed.")
        recorded = next((lap for lap in self._left if lap.label == label), None)
        if recorded is not None:
            self._left.remove(recorded)
        self._open_laps.append(label)
        started = time.perf_counter()
        try:
            yield
        finally:
            if not self._closed:
                self._ended.append((label, time.perf_counter() - started, recorded))
                self._open_laps.remove(label)

    def peek(self) -> Window:
        elapsed = time.perf_counter() - self._start.clock
        share = min(1.0, elapsed / self._recorded.seconds)
        return replace(_scaled(self._recorded, share), laps=self._laps_after(elapsed, share), warnings=())

    def close(self) -> Window:
        if self._closed:
            raise MeterError(f"the window {self.label!r} is closed already.")
        self._closed = True
        fence()
        elapsed_s = time.perf_counter() - self._start.clock
        self.end_s = self.start_s + elapsed_s
        laps = self._laps_after(elapsed_s, 1.0)
        return with_open_laps(replace(self._recorded, laps=laps), self._open_laps)

    def _laps_after(self, elapsed_s: float, share: float) -> tuple[Window, ...]:
        return tuple(
            replace(_scaled(self._recorded, share * real_s / elapsed_s), label=label) if lap is None else lap
            for label, real_s, lap in self._ended
        )


def _scaled(window: Window, factor: float) -> Window:
    def scale(values: Mapping[str, float | None]) -> dict[str, float | None]:
        return {name: None if value is None else value * factor for name, value in values.items()}

    return Window(window.seconds * factor, scale(window.joules), scale(window.error_j), label=window.label)


def open_replay(path: Path) -> ReplayMeters:
    """Meters that answer from the file `path`. UsageError where it cannot be read or is not such a file."""
    return ReplayMeters(read_recording(path))


def read_recording(path: Path) -> Recording:
    """Read and check a replay file. UsageError says what is wrong and where in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"the replay file {path} cannot be read: {reason}.") from error
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise UsageError(f"the replay file {path} is not strict JSON: {error}.") from error
    return _Reader(str(path)).recording(data)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not allowed; an absent value is null")


class _Reader:
    """Checks a replay file's JSON, naming the place of the first mistake."""

    def __init__(self, source: str) -> None:
        self._source = source

    def recording(self, data: Any) -> Recording:
        top = self._object(data, "the file", ("schema", "domains", "windows"), ("comparability",))
        if top["schema"] != 1:
            self._fail("schema", f"must be 1, not {top['schema']!r}")
        domains = tuple(self._domain(item, f"domains[{i}]") for i, item in enumerate(self._list(top, "domains")))
        names = [domain.name for domain in domains]
        if len(set(names)) < len(names):
            self._fail("domains", "has two domains of one name")
        windows: dict[str, tuple[Window, ...]] = {}
        for index, item in enumerate(self._list(top, "windows")):
            window = self._window(item, f"windows[{index}]", names)
            windows[window.label] = (*windows.get(window.label, ()), window)
        if not windows:
            self._fail("windows", "must have at least one row")
        comparability = top.get("comparability", {})
        if not isinstance(comparability, dict):
            self._fail("comparability", "must be an object")
        return Recording(self._source, domains, windows, comparability)

    def _domain(self, data: Any, where: str) -> Domain:
        item = self._object(data, where, ("name",), ("in_total", "gain_rel", "device", "note"))
        for key in ("name", "device", "note"):
            if not isinstance(item.get(key, ""), str):
                self._fail(f"{where}.{key}", "must be a text")
        if not isinstance(item.get("in_total", True), bool):
            self._fail(f"{where}.in_total", "must be true or false")
        if item.get("gain_rel") is not None:
            self._number(item["gain_rel"], f"{where}.gain_rel")
        return Domain(meter="replay", provenance=Provenance.REPLAYED, **item)

    def _window(self, data: Any, where: str, names: Sequence[str], lap: bool = False) -> Window:
        optional = ("error_j",) if lap else ("error_j", "laps")
        item = self._object(data, where, ("label", "seconds", "joules"), optional)
        if not isinstance(item["label"], str) or not item["label"]:
            self._fail(f"{where}.label", "must be a text that is not empty")
        seconds = self._number(item["seconds"], f"{where}.seconds")
        if seconds == 0:
            self._fail(f"{where}.seconds", "must be above 0")
        joules = self._quantities(item["joules"], f"{where}.joules", names)
        joules = {name: joules.get(name) for name in names}
        error_j = self._quantities(item.get("error_j", {}), f"{where}.error_j", names)
        laps = tuple(
            self._window(each, f"{where}.laps[{i}]", names, lap=True)
            for i, each in enumerate(self._list(item, "laps", where) if "laps" in item else [])
        )
        warnings = tuple(f"{name} has no recorded value" for name in names if joules[name] is None)
        return Window(seconds, joules, error_j, laps, item["label"], warnings)

    def _quantities(self, data: Any, where: str, names: Sequence[str]) -> dict[str, float | None]:
        if not isinstance(data, dict):
            self._fail(where, "must be an object: domain name to joules")
        unknown = sorted(set(data) - set(names))
        if unknown:
            self._fail(f"{where}.{unknown[0]}", f"is not among the domains ({', '.join(names) or 'none'})")
        return {name: None if value is None else self._number(value, f"{where}.{name}") for name, value in data.items()}

    def _object(self, data: Any, where: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
        if not isinstance(data, dict):
            self._fail(where, "must be an object")
        for key in required:
            if key not in data:
                self._fail(where, f"lacks the key {key!r}")
        unknown = sorted(set(data) - {*required, *optional})
        if unknown:
            self._fail(where, f"has an unknown key {unknown[0]!r} (known: {', '.join((*required, *optional))})")
        return data

    def _list(self, data: Mapping[str, Any], key: str, where: str = "") -> list[Any]:
        value = data[key]
        if not isinstance(value, list):
            self._fail(f"{where}.{key}".lstrip("."), "must be a list")
        return value

    def _number(self, value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            self._fail(where, f"must be a finite number of at least 0, not {value!r}")
        return float(value)

    def _fail(self, where: str, what: str) -> NoReturn:
        raise UsageError(f"the replay file {self._source}: {where} {what}.")
