"""The replay clock gives pytest-benchmark the recorded seconds; the store's folder is where the options say."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.harness.bridge import ReplayClock, is_disabled, run_name, storage_path
from energybench.harness.options import use_rootdir_storage


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20))
def test_each_pair_of_readings_is_one_recorded_duration_apart(seconds: list[float]) -> None:
    clock = ReplayClock()
    clock.seconds = list(seconds)
    read = []
    for _ in seconds:
        start = clock()
        read.append(clock() - start)
    assert read == pytest.approx(seconds, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("option", "folder"),
    [
        ([], "{root}/.benchmarks"),
        (["--benchmark-storage=file:///elsewhere/x"], "/elsewhere/x"),
        (["--benchmark-storage=/elsewhere/y"], "/elsewhere/y"),
        (["--benchmark-storage=file://sub/z"], "{root}/sub/z"),
        (["-p", "no:benchmark"], "{root}/.benchmarks"),
    ],
)
def test_the_store_is_under_rootdir_or_where_the_option_says(
    pytester: pytest.Pytester, option: list[str], folder: str
) -> None:
    pytester.makeini("[pytest]")
    config = pytester.parseconfig("-p", "energybench.plugin", *option)
    use_rootdir_storage(config)
    assert storage_path(config) == Path(folder.format(root=pytester.path))


def test_without_pytest_benchmark_nothing_is_disabled(pytester: pytest.Pytester) -> None:
    assert is_disabled(pytester.parseconfig("-p", "energybench.plugin", "-p", "no:benchmark")) is False


def test_an_unnamed_run_is_called_after_commit_and_time() -> None:
    now = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    assert run_name({"id": "abc", "dirty": True}, now) == "abc_20260203_040506_uncommitted-changes"
    assert run_name({"id": None}, now) == "unversioned_20260203_040506"
