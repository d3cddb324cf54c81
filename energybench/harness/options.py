"""What the user asked of the session: the command line above the ini file, in one frozen value.

What a marker adds for its case stands in energybench.harness.marker, which a session without cases never loads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from energybench.errors import UsageError
from energybench.harness.declared import FLAGS, VALUES, Option

if TYPE_CHECKING:
    from energybench.estimators.carbon_series import CarbonSeries

TRACED_PROFILES = ("standard", "paper")
"""profiles whose runs record power over time unless told otherwise"""


@dataclass(frozen=True, slots=True)
class EnergyOptions:
    """The session's options after merging ini file and command line; None means that nobody said anything."""

    pue: float = 1.0
    rounds: int | None = None
    warmup: int | None = None
    seeds: tuple[int, ...] | None = None
    meters: tuple[str, ...] = ("auto",)
    powercap_root: Path | None = None
    cpu_tdp_w: float | None = None
    estimate: bool = True
    scope: Literal["machine", "process"] = "machine"
    check_integral: bool = False
    idle_s: float = 0.0
    trace_hz: float | None = None
    """None: nobody said anything; the profile decides"""
    iterations: int | Literal["auto"] | None = None
    interleave: bool = False
    resume: bool = False
    save: bool = True
    compare: str | None = None
    margin: float = 0.05
    accuracy_margin: float = 0.005
    noise_floor: float = 0.03
    margins: Path | None = None
    """the file of margins by case"""
    inconclusive: Literal["warn", "fail"] = "warn"
    looks: tuple[int, ...] | None = None
    """numbers of rounds after which the cases are held against the baseline, ascending"""
    canary: bool | None = None
    """None: nobody said anything; on where there is a comparison and joules are not replayed"""
    carbon_g_per_kwh: float | None = None
    carbon_source: str = ""
    carbon_series: CarbonSeries | None = None
    """an intensity that changes over time; `carbon_g_per_kwh` is then None"""
    price_per_kwh: float | None = None
    currency: str = ""
    """as the user wrote it; empty where only a number was given"""
    columns: tuple[str, ...] = ()
    """of the table at the end; none: as many as fit"""
    sort: tuple[tuple[str, bool], ...] = ()
    """its order: columns, each with whether the largest comes first"""
    group_by: str = ""
    project: bool = False
    """whether rounds are projected from their epochs while they run"""
    stop_after: Literal["stable"] | None = None
    """what ends a case before its rounds are complete; implies `project`"""


def add_options(parser: pytest.Parser) -> None:
    """Declare every option, its ini twin and nothing else; called from pytest_addoption."""
    group = parser.getgroup("energybench", "energybench: energy of benchmark cases in joules and kWh")
    for option in VALUES:
        group.addoption(
            f"--energy-{option.name}",
            dest=option.dest,
            metavar=option.metavar,
            type=_argument(option.parse),
            action="append" if option.repeat else "store",
            default=None,
            help=option.help,
        )
        parser.addini(option.dest, option.help, type=_ini_type(option), default=None)
    for name, help_text in FLAGS:
        dest = "energy_" + name.replace("-", "_")
        group.addoption(f"--energy-{name}", dest=dest, action="store_true", default=None, help=help_text)
        parser.addini(dest, help_text, type="bool", default=False)


def _ini_type(option: Option) -> Literal["linelist", "string"]:
    return "linelist" if option.repeat else "string"


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def merge(config: pytest.Config) -> EnergyOptions:
    """Merge ini file and command line, write the merged values back to `config.option`, and check what can be checked.

    Suites read the merged values with `config.getoption("energy_models")` and the like.

    Raises UsageError for an ini value that does not parse, for seeds that do not fit the rounds, for looks that have no
    baseline or are given beside a number of rounds, and for a file of carbon intensities that cannot be used.
    """
    asked = on_command_line(config)
    own = {name for name in ("margins", "carbon") if getattr(config.option, f"energy_{name}") is not None}
    for option in VALUES:
        if getattr(config.option, option.dest) is None:
            setattr(config.option, option.dest, _from_ini(config, option))
    for name, _ in FLAGS:
        dest = "energy_" + name.replace("-", "_")
        if getattr(config.option, dest) is None:
            setattr(config.option, dest, bool(config.getini(dest)))
    given = config.option
    given.energy_set = dict(given.energy_set or [])
    if given.energy_seeds and given.energy_rounds and given.energy_rounds > len(given.energy_seeds):
        raise UsageError(
            f"{given.energy_rounds} rounds but {len(given.energy_seeds)} seeds: give one seed per round, "
            "or drop --energy-rounds"
        )
    g_per_kwh, source, series = _carbon(config, asked="carbon" in own)
    price_per_kwh, currency = given.energy_price or (None, "")
    return EnergyOptions(
        pue=given.energy_pue,
        rounds=given.energy_rounds,
        warmup=given.energy_warmup,
        seeds=tuple(given.energy_seeds) if given.energy_seeds else None,
        meters=tuple(given.energy_meters),
        powercap_root=given.energy_powercap_root,
        cpu_tdp_w=given.energy_cpu_tdp,
        estimate=not given.energy_no_estimate,
        scope=given.energy_scope,
        check_integral=given.energy_check_integral,
        idle_s=given.energy_idle_s,
        trace_hz=given.energy_trace,
        iterations=given.energy_iterations,
        interleave=given.energy_interleave,
        resume=given.energy_resume,
        save=not given.energy_no_save,
        compare=given.energy_compare,
        margin=given.energy_margin,
        accuracy_margin=given.energy_accuracy_margin,
        noise_floor=given.energy_noise_floor,
        margins=_beside_ini(config, given.energy_margins, asked="margins" in own),
        inconclusive=given.energy_inconclusive,
        looks=_looks(config, asked),
        canary=False if given.energy_no_canary else given.energy_canary or None,
        carbon_g_per_kwh=g_per_kwh,
        carbon_source=source,
        carbon_series=series,
        price_per_kwh=price_per_kwh,
        currency=currency,
        project=given.energy_project or given.energy_stop_after is not None,
        stop_after=given.energy_stop_after,
        columns=given.energy_columns or (),
        sort=given.energy_sort or (),
        group_by=given.energy_group_by or "",
    )


def _looks(config: pytest.Config, asked: frozenset[str]) -> tuple[int, ...] | None:
    """The looks of a session with a baseline. `asked` are the names that the command line gave."""
    looks, compare = config.option.energy_looks, config.option.energy_compare
    if "looks" in asked and compare is None:
        raise UsageError("--energy-looks says when to look at the gate, and there is none: give --energy-compare REF")
    if {"looks", "rounds"} <= asked:
        raise UsageError("--energy-looks gives the numbers of rounds: drop --energy-rounds")
    return tuple(looks) if looks and compare is not None else None


def _beside_ini(config: pytest.Config, path: Path | None, *, asked: bool) -> Path | None:
    """A file that the command line asked for, or that the ini file names, relative to itself."""
    return path if path is None or asked or config.inipath is None else config.inipath.parent / path


def _carbon(config: pytest.Config, *, asked: bool) -> tuple[float | None, str, CarbonSeries | None]:
    """The carbon intensity in gCO2e per kWh with its source, or the series that a file holds."""
    value = config.option.energy_carbon
    if value is None:
        return None, "", None
    if isinstance(value, tuple):
        return *value, None
    from energybench.estimators.carbon_series import read_carbon

    path = _beside_ini(config, value, asked=asked)
    assert path is not None
    series = read_carbon(path)
    return None, f"{path.name}, by time", series


def _from_ini(config: pytest.Config, option: Option) -> Any:
    text = config.getini(option.dest)
    if not text:
        return option.default
    try:
        return [option.parse(line) for line in text] if option.repeat else option.parse(text)
    except ValueError as error:
        raise UsageError(f"{option.dest} in {config.inipath or 'the ini file'}: {error}") from None


def on_command_line(config: pytest.Config) -> frozenset[str]:
    """Which of the options that markers have too were given on the command line. Call it before `merge`."""
    names = ("rounds", "warmup", "seeds", "iterations", "looks")
    return frozenset(name for name in names if getattr(config.option, f"energy_{name}") is not None)


def use_rootdir_storage(config: pytest.Config) -> None:
    """Make rootdir/.benchmarks the default store, wherever pytest is started; before pytest-benchmark configures."""
    if getattr(config.option, "benchmark_storage", None) == "file://./.benchmarks":
        config.option.benchmark_storage = f"file://{config.rootpath}/.benchmarks"
