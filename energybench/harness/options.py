"""What the user asked of the session: the command line above the ini file, in one frozen value.

What a marker adds for its case stands in energybench.harness.marker, which a session without cases never loads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from energybench.errors import UsageError
from energybench.harness.parsing import (
    PROFILES,
    assignment,
    fraction,
    hertz,
    inconclusive,
    iterations,
    looks,
    profile,
    pue,
    scope,
    seconds,
    seeds,
    watts,
    whole,
    words,
)

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


@dataclass(frozen=True, slots=True)
class _Option:
    """One `--energy-NAME VALUE` with its ini twin `energy_name`."""

    name: str
    parse: Callable[[str], Any]
    metavar: str
    help: str
    default: Any = None
    repeat: bool = False

    @property
    def dest(self) -> str:
        return "energy_" + self.name.replace("-", "_")


_VALUES = (
    _Option("pue", pue, "X", "power usage effectiveness (>= 1) applied to kWh on output; joules stay IT energy", 1.0),
    _Option("rounds", whole(1, "the number of rounds"), "N", "metered rounds per case (default: 1; CI: 3 or more)"),
    _Option("warmup", whole(0, "the number of warm-up rounds"), "N", "warm-up rounds per case, metered apart"),
    _Option("seeds", seeds, "S,S,...", "seed of each round (default: 0, 1, 2, ...); sets the number of rounds too"),
    _Option(
        "iterations",
        iterations,
        "N|auto",
        "calls of the target in each metered round (default: 1); auto: until the window is 20 counter ticks long",
    ),
    _Option(
        "meters",
        words,
        "NAME,...",
        "auto, nvml, amdsmi, apple, rapl, pyrapl, hwmon, estimate, replay:FILE (default: auto, all that can be read)",
        ["auto"],
    ),
    _Option(
        "scope",
        scope,
        "NAME",
        "machine (default): package joules as counted; process: this process tree's share of the busy CPU time of them",
        "machine",
    ),
    _Option("idle-s", seconds, "S", "watch the idle machine for S seconds first; net energy is then stored too", 0.0),
    _Option("trace", hertz, "HZ", "record the joules of every domain HZ times a second beside the run (0: off)"),
    _Option("powercap-root", Path, "DIR", "folder that stands for /sys/class/powercap"),
    _Option("cpu-tdp", watts, "WATTS", "rated power of the CPU for the estimate where no counter can be read"),
    _Option(
        "compare", str, "REF", "compare with a stored run at the end; one test item per case fails where it is worse"
    ),
    _Option("margin", fraction("the energy margin"), "X", "relative energy margin of --energy-compare", 0.05),
    _Option("accuracy-margin", fraction("the accuracy margin"), "X", "accuracy margin (0.005 = 0.5 points)", 0.005),
    _Option(
        "margins", Path, "FILE", "TOML file with a table [margins]: pattern of case ids = margin, or {metric = margin}"
    ),
    _Option("inconclusive", inconclusive, "warn|fail", "an inconclusive gate is an x (warn, default) or fails", "warn"),
    _Option(
        "looks",
        looks,
        "N,N,...",
        "rounds before each look at the gate (3,5,10): only inconclusive cases go on; needs --energy-compare",
    ),
    _Option("noise-floor", fraction("the noise floor"), "X", "assumed relative noise where a side has one round", 0.03),
    _Option("profile", profile, "NAME", f"{', '.join(PROFILES)} (default: standard with a GPU, else quick)"),
    _Option("models", words, "NAME,...", "models to run, for suites that choose by model"),
    _Option("compressors", words, "NAME,...", "compressors to run: none, stego, prune, lowrank"),
    _Option("data", str, "SPEC", "auto, mnist5k, digits, imagefolder:PATH, imagenet:PATH, topics or text:PATH", "auto"),
    _Option("weights", str, "SPEC", "auto, imagenet, pretrained, none or file:PATH", "auto"),
    _Option(
        "study",
        words,
        "NAME,...",
        "files of benches/ to run: paper (default), matched, target, controls, ..., or all",
        [],
    ),
    _Option("tolerance", fraction("the tolerance"), "X", "accuracy a compressor may cost (0.01 = 1 point)", 0.01),
    _Option("epochs", whole(0, "the number of epochs"), "N", "epochs of study matched without `none`; limit of target"),
    _Option("target", fraction("the target"), "X", "validation accuracy that study target trains to"),
    _Option(
        "set", assignment, "NAME=VALUE", "override a hyper-parameter of the profile; may be repeated", [], repeat=True
    ),
)

_FLAGS = (
    ("interleave", "run round 1 of every case, then round 2 of every case, ...: drift of the machine hits all alike"),
    ("canary", "meter a fixed load before the first and after the last case (default with --energy-compare)"),
    ("no-canary", "do not meter the fixed load although the gate would like it"),
    ("resume", "reuse the finished rounds of the interrupted sweep and measure only what is missing"),
    ("no-save", "do not store this run in .benchmarks/"),
    ("no-estimate", "leave CPU and RAM without a counter absent instead of estimating them"),
    ("relative-tolerance", "the tolerance is a share of the accuracy instead of points"),
    ("slow-precision", "run low precision without a fast path on this machine all the same"),
    ("check-integral", "also integrate the power of GPUs that have an energy counter, and report both"),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare every option, its ini twin and nothing else; called from pytest_addoption."""
    group = parser.getgroup("energybench", "energybench: energy of benchmark cases in joules and kWh")
    for option in _VALUES:
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
    for name, help_text in _FLAGS:
        dest = "energy_" + name.replace("-", "_")
        group.addoption(f"--energy-{name}", dest=dest, action="store_true", default=None, help=help_text)
        parser.addini(dest, help_text, type="bool", default=False)


def _ini_type(option: _Option) -> Literal["linelist", "string"]:
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

    Raises UsageError for an ini value that does not parse, for seeds that do not fit the rounds, and for looks that
    have no baseline or are given beside a number of rounds.
    """
    asked = on_command_line(config)
    margins_asked = config.option.energy_margins is not None
    for option in _VALUES:
        if getattr(config.option, option.dest) is None:
            setattr(config.option, option.dest, _from_ini(config, option))
    for name, _ in _FLAGS:
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
        margins=_margins(config, asked=margins_asked),
        inconclusive=given.energy_inconclusive,
        looks=_looks(config, asked),
        canary=False if given.energy_no_canary else given.energy_canary or None,
    )


def _looks(config: pytest.Config, asked: frozenset[str]) -> tuple[int, ...] | None:
    """The looks of a session with a baseline. `asked` are the names that the command line gave."""
    looks, compare = config.option.energy_looks, config.option.energy_compare
    if "looks" in asked and compare is None:
        raise UsageError("--energy-looks says when to look at the gate, and there is none: give --energy-compare REF")
    if {"looks", "rounds"} <= asked:
        raise UsageError("--energy-looks gives the numbers of rounds: drop --energy-rounds")
    return tuple(looks) if looks and compare is not None else None


def _margins(config: pytest.Config, *, asked: bool) -> Path | None:
    """The file of margins; named in an ini file, it lies relative to that."""
    path: Path | None = config.option.energy_margins
    return path if path is None or asked or config.inipath is None else config.inipath.parent / path


def _from_ini(config: pytest.Config, option: _Option) -> Any:
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
