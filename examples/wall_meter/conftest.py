"""Gives the wall meter to every session that is started with --wall-file=FILE."""

from __future__ import annotations

from pathlib import Path

import pytest
from wall_meter import WallMeter

from energybench.metering import Opened


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wall-file", type=Path, help="file in which the power at the plug stands, in watts")
    parser.addoption("--wall-period", type=float, default=1.0, help="seconds between two of its values (default 1)")


def pytest_energybench_meters(config: pytest.Config) -> Opened | None:
    path = config.getoption("--wall-file")
    if path is None:
        return None
    # The plug holds what RAPL and NVML read, too. Nothing that it covers is estimated, and nothing is added twice:
    # where there are such counters, `wall` stands beside the total.
    covers = frozenset({"package", "dram", "gpu"})
    return Opened(WallMeter(path, config.getoption("--wall-period")), (), covers)
