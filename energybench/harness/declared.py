"""Every option of a session: its name, how its text becomes a value, and what the help says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energybench.harness.parsing import (
    PROFILES,
    assignment,
    carbon,
    columns,
    fraction,
    group_by,
    hertz,
    inconclusive,
    iterations,
    looks,
    price,
    profile,
    pue,
    scope,
    seconds,
    seeds,
    sort,
    stop_after,
    watts,
    whole,
    words,
)


@dataclass(frozen=True, slots=True)
class Option:
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


VALUES = (
    Option("pue", pue, "X", "power usage effectiveness (>= 1) applied to kWh on output; joules stay IT energy", 1.0),
    Option(
        "carbon",
        carbon,
        "VALUE",
        "carbon intensity, for what is shown: gCO2e per kWh, a country's code (DE, DEU), or a CSV of time,g_per_kwh",
    ),
    Option("price", price, "X[ CURRENCY]", "price of a kWh, for what is shown: 0.30 or '0.30 EUR'"),
    Option("rounds", whole(1, "the number of rounds"), "N", "metered rounds per case (default: 1; CI: 3 or more)"),
    Option("warmup", whole(0, "the number of warm-up rounds"), "N", "warm-up rounds per case, metered apart"),
    Option("seeds", seeds, "S,S,...", "seed of each round (default: 0, 1, 2, ...); sets the number of rounds too"),
    Option(
        "iterations",
        iterations,
        "N|auto",
        "calls of the target in each metered round (default: 1); auto: until the window is 20 counter ticks long",
    ),
    Option(
        "meters",
        words,
        "NAME,...",
        "auto, nvml, amdsmi, apple, rapl, pyrapl, hwmon, estimate, replay:FILE (default: auto, all that can be read)",
        ["auto"],
    ),
    Option(
        "scope",
        scope,
        "NAME",
        "machine (default): package joules as counted; process: this process tree's share of the busy CPU time of them",
        "machine",
    ),
    Option("idle-s", seconds, "S", "watch the idle machine for S seconds first; net energy is then stored too", 0.0),
    Option("trace", hertz, "HZ", "record the joules of every domain HZ times a second beside the run (0: off)"),
    Option(
        "stop-after",
        stop_after,
        "stable",
        "end a case once its projected energy is within 5 percent either way: skipped, and stored as an estimate",
    ),
    Option("powercap-root", Path, "DIR", "folder that stands for /sys/class/powercap"),
    Option("cpu-tdp", watts, "WATTS", "rated power of the CPU for the estimate where no counter can be read"),
    Option(
        "compare", str, "REF", "compare with a stored run at the end; one test item per case fails where it is worse"
    ),
    Option("margin", fraction("the energy margin"), "X", "relative energy margin of --energy-compare", 0.05),
    Option("accuracy-margin", fraction("the accuracy margin"), "X", "accuracy margin (0.005 = 0.5 points)", 0.005),
    Option(
        "margins", Path, "FILE", "TOML file with a table [margins]: pattern of case ids = margin, or {metric = margin}"
    ),
    Option("inconclusive", inconclusive, "warn|fail", "an inconclusive gate is an x (warn, default) or fails", "warn"),
    Option(
        "looks",
        looks,
        "N,N,...",
        "rounds before each look at the gate (3,5,10): only inconclusive cases go on; needs --energy-compare",
    ),
    Option("noise-floor", fraction("the noise floor"), "X", "assumed relative noise where a side has one round", 0.03),
    Option("profile", profile, "NAME", f"{', '.join(PROFILES)} (default: standard with a GPU, else quick)"),
    Option("models", words, "NAME,...", "models to run, for suites that choose by model"),
    Option("compressors", words, "NAME,...", "compressors to run: none, stego, prune, lowrank"),
    Option("data", str, "SPEC", "auto, mnist5k, digits, imagefolder:PATH, imagenet:PATH, topics or text:PATH", "auto"),
    Option("weights", str, "SPEC", "auto, imagenet, pretrained, none or file:PATH", "auto"),
    Option(
        "study",
        words,
        "NAME,...",
        "files of benches/ to run: paper (default), matched, target, controls, ..., or all",
        [],
    ),
    Option("tolerance", fraction("the tolerance"), "X", "accuracy a compressor may cost (0.01 = 1 point)", 0.01),
    Option(
        "columns",
        columns,
        "NAME,...",
        "columns of the table at the end, all shown whatever the width: kwh, joules, error, spread, accuracy, epochs, "
        "compression, search, seconds, power, per-epoch, per-sample, co2e, cost, rounds, status, provenance, measured, "
        "study, model, compressor, param:NAME, metric:NAME",
    ),
    Option("sort", sort, "NAME[:desc],...", "sort the table at the end by any of its columns, smallest first"),
    Option("group-by", group_by, "NAME", "group the table at the end: model, compressor, study, param:NAME or none"),
    Option("epochs", whole(0, "the number of epochs"), "N", "epochs of study matched without `none`; limit of target"),
    Option("target", fraction("the target"), "X", "validation accuracy that study target trains to"),
    Option("set", assignment, "NAME=VALUE", "override a hyper-parameter of the profile", [], repeat=True),
)

FLAGS = (
    ("interleave", "run round 1 of every case, then round 2 of every case, ...: drift of the machine hits all alike"),
    ("canary", "meter a fixed load before the first and after the last case (default with --energy-compare)"),
    ("no-canary", "do not meter the fixed load although the gate would like it"),
    ("project", "project the energy of a round from its epochs while it runs; end one that will exceed its max_kwh"),
    ("resume", "reuse the finished rounds of the interrupted sweep and measure only what is missing"),
    ("no-save", "do not store this run in .benchmarks/"),
    ("no-estimate", "leave CPU and RAM without a counter absent instead of estimating them"),
    ("relative-tolerance", "the tolerance is a share of the accuracy instead of points"),
    ("slow-precision", "run low precision without a fast path on this machine all the same"),
    ("check-integral", "also integrate the power of GPUs that have an energy counter, and report both"),
)
