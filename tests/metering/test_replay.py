"""Replay: exactly what was recorded, and a sentence with the place for every mistake in the file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import MeterError, UsageError
from energybench.metering import MeterOptions, Meters, open_meters
from energybench.model import Provenance

Open = Callable[..., Meters]


def row(label: str, joules: float | None, seconds: float = 2.0, **more: Any) -> dict[str, Any]:
    return {"label": label, "seconds": seconds, "joules": {"package:0": joules}, **more}


@pytest.fixture
def replay(tmp_path: Path) -> Open:
    def opened(*windows: dict[str, Any], domains: list[Any] | None = None, **more: Any) -> Meters:
        path = tmp_path / "recorded.json"
        content = {"schema": 1, "domains": domains or [{"name": "package:0"}], "windows": windows, **more}
        path.write_text(json.dumps(content))
        return open_meters(MeterOptions(names=(f"replay:{path}",)))

    return opened


def test_a_window_has_exactly_the_recorded_seconds_joules_and_errors(replay: Open) -> None:
    meters = replay(row("*resnet18-none*", 200.25, error_j={"package:0": 0.5}))
    window = meters.open_window("benches/test_finetune.py::test_finetune[resnet18-none]")
    closed = window.close()
    assert (closed.seconds, closed.joules, closed.error_j) == (2.0, {"package:0": 200.25}, {"package:0": 0.5})
    assert closed.label == "benches/test_finetune.py::test_finetune[resnet18-none]"
    assert meters.domains[0].provenance is Provenance.REPLAYED
    assert (closed.laps, closed.warnings) == ((), ())


def test_rows_of_one_pattern_come_in_order_and_then_again(replay: Open) -> None:
    meters = replay(row("a*", 1), row("b*", 10), row("a*", 2))
    seen = [meters.open_window(label).close().joules["package:0"] for label in ("a1", "b1", "a2", "a3", "b2")]
    assert seen == [1, 10, 2, 1, 10]


def test_brackets_in_a_pattern_stand_for_themselves(replay: Open) -> None:
    meters = replay(row("test_a[x-stego]", 1), row("*[xy]", 2), row("?*", 3))
    seen = [meters.open_window(label).close().joules["package:0"] for label in ("test_a[x-stego]", "t[xy]", "tx")]
    assert seen == [1, 2, 3]


def test_the_star_alone_answers_what_no_other_row_does(replay: Open) -> None:
    meters = replay(row("*", 9), row("*[resnet18-none]", 1))
    assert meters.open_window("t[resnet18-none]").close().joules == {"package:0": 1}
    assert meters.open_window("search").close().joules == {"package:0": 9}


def test_a_label_without_a_row_is_refused_with_label_and_file(replay: Open) -> None:
    meters = replay(row("*none*", 1))
    with pytest.raises(MeterError, match=r"recorded\.json has no recorded window for 'search'"):
        meters.open_window("search")


def test_recorded_laps_come_in_order_and_others_share_the_window_by_real_time(replay: Open) -> None:
    recorded = [
        {"label": "epoch", "seconds": 0.75, "joules": {"package:0": 70.0}},
        {"label": "epoch", "seconds": 0.5, "joules": {"package:0": 60.0}},
    ]
    window = replay(row("*", 200.0, laps=recorded)).open_window("case")
    for _ in range(2):
        with window.lap("epoch"):
            pass
    with window.lap("eval"):
        time.sleep(0.05)
    closed = window.close()
    assert [(lap.label, lap.seconds, lap.joules["package:0"]) for lap in closed.laps[:2]] == [
        ("epoch", 0.75, 70.0),
        ("epoch", 0.5, 60.0),
    ]
    share = closed.laps[2]
    assert share.label == "eval"
    # The window's power, and most of its real time: hardly anything else happened in it.
    assert share.joules["package:0"] == pytest.approx(100.0 * share.seconds)
    assert 1.0 < share.seconds <= 2.0


def test_a_recorded_null_is_absent_and_said(replay: Open) -> None:
    closed = replay(row("*", None)).open_window("case").close()
    assert closed.joules == {"package:0": None}
    assert closed.warnings == ("package:0 has no recorded value",)


def test_a_peek_grows_towards_the_recorded_values(replay: Open) -> None:
    window = replay(row("*", 200.0, seconds=1000.0)).open_window("case")
    first = window.peek().joules["package:0"]
    time.sleep(0.01)
    second = window.peek().joules["package:0"]
    assert first is not None
    assert second is not None
    assert 0 <= first < second < 200
    assert window.close().joules == {"package:0": 200.0}
    with pytest.raises(MeterError, match="closed already"):
        window.close()


def test_domains_and_comparability_are_the_files_own(replay: Open) -> None:
    domains = [{"name": "gpu:0", "device": "H200", "gain_rel": 0.05}, {"name": "psys:0", "in_total": False}]
    window = {"label": "*", "seconds": 1, "joules": {"gpu:0": 5}}
    meters = replay(window, domains=domains, comparability={"cpu": "recorded"})
    assert [(d.name, d.in_total, d.device, d.gain_rel) for d in meters.domains] == [
        ("gpu:0", True, "H200", 0.05),
        ("psys:0", False, "", None),
    ]
    assert meters.comparability() == {"cpu": "recorded"}
    assert meters.open_window("x").close().joules == {"gpu:0": 5.0, "psys:0": None}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not strict JSON"),
        ('{"schema": NaN}', "NaN is not allowed"),
        ("[]", "the file must be an object"),
        ('{"schema": 1, "domains": []}', "the file lacks the key 'windows'"),
        ('{"schema": 2, "domains": [], "windows": []}', "schema must be 1"),
        ('{"schema": 1, "domains": [], "windows": []}', "windows must have at least one row"),
        ('{"schema": 1, "domains": [], "windows": {}}', "windows must be a list"),
        ('{"schema": 1, "domains": [{"name": 5}], "windows": []}', r"domains\[0\].name must be a text"),
        ('{"schema": 1, "domains": [{"name": "a"}, {"name": "a"}], "windows": []}', "two domains of one name"),
        ('{"schema": 1, "domains": [], "windows": [], "extra": 1}', "unknown key 'extra'"),
        ('{"schema": 1, "domains": [], "windows": [{"label": "*"}]}', r"windows\[0\] lacks the key 'seconds'"),
        (
            '{"schema": 1, "domains": [], "windows": [{"label": "*", "seconds": 0, "joules": {}}]}',
            r"windows\[0\].seconds must be above 0",
        ),
        (
            '{"schema": 1, "domains": [], "windows": [{"label": "*", "seconds": 1, "joules": {"x": 1}}]}',
            r"windows\[0\].joules.x is not among the domains",
        ),
        (
            '{"schema": 1, "domains": [{"name": "x"}], "windows": [{"label": "*", "seconds": 1, "joules": {"x": -1}}]}',
            r"windows\[0\].joules.x must be a finite number",
        ),
        (
            '{"schema": 1, "domains": [], "windows": [{"label": "*", "seconds": 1, "joules": {}, "laps": [3]}]}',
            r"windows\[0\].laps\[0\] must be an object",
        ),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=words) as caught:
        open_meters(MeterOptions(names=(f"replay:{path}",)))
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        open_meters(MeterOptions(names=(f"replay:{tmp_path / 'none.json'}",)))
