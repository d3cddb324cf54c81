"""How often is each rule wrong, and how often does it find what is there? A simulation of whole runs.

    python benches/overhead/verdicts.py [RUNS] [--alarms N]

36 cases of 3 rounds; ln J of a round scatters by 1.5 %, a session as a whole by 2 % (tau), each case from session to
session by 1 % (omega), all normal. Nothing changes, or one case costs 10 % more, or all do. `energybench` is what
`energybench compare` does: with the declared noise between sessions, with ten past sessions that it learns from, and
with base and head measured in turn, so that no session lies between them. Beside it stand pytest-benchmark's
`--benchmark-compare-fail=mean:5%`, and Welch's and Mann and Whitney's tests (scipy) at 5 % with Benjamini-Hochberg and
the same margin. RUNS (1000) of each; a share of 5 % of 1000 is known within 1.4 points. `--alarms` runs the first rule
alone, N times on unchanged code, for the figure that lies closest to its goal.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import stats
from tabulate import tabulate

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.noise import session_noise
from energybench.analysis.report import Report
from energybench.analysis.stats import benjamini_hochberg, wilson
from energybench.model import Case, Domain, Provenance, Round, Run, Verdict, Window

CASES, ROUNDS, PAST = 36, 3, 10
ROUND, COMMON, CASE = 0.015, 0.02, 0.01
MARGIN, CHANGE = 0.05, 1.10
GOALS = {
    "any false regressed": "<= 5 %",
    "lone +10 % found": ">= 85 %",
    "that one called ok": "<= 1 %",
    "all +10 % found": ">= 90 %",
    "unchanged called ok": ">= 80 % in turn",
}

Side = list[list[float]]
"""joules: case, then round"""


@dataclass(frozen=True)
class Seen:
    """What a rule said of one run."""

    regressed: frozenset[int]
    ok: frozenset[int]
    all_moved: bool = False


Rule = Callable[[Side, Side, random.Random], Seen]


def session(rng: random.Random, *, common: float, case: float, factors: Sequence[float] = (1.0,) * CASES) -> Side:
    """One session's joules. Case c costs 100 (c + 1) J."""
    drift = rng.gauss(0, common)
    own = [rng.gauss(0, case) for _ in range(CASES)]
    return [
        [
            100 * (c + 1) * factors[c] * 2.718281828459045 ** (drift + own[c] + rng.gauss(0, ROUND))
            for _ in range(ROUNDS)
        ]
        for c in range(CASES)
    ]


def cases(side: Side) -> list[Case]:
    """As a run stores them."""
    domain = (Domain("package:0", "rapl", Provenance.MEASURED, in_total=True),)
    return [
        Case(
            id=f"t.py::t[{c}]",
            rounds=tuple(Round(Window(1.0, {"package:0": j}), seed=seed) for seed, j in enumerate(joules)),
            domains=domain,
        )
        for c, joules in enumerate(side)
    ]


def seen(report: Report) -> Seen:
    """The verdicts on energy by case."""
    by_verdict = {
        verdict: frozenset(
            int(c.case.partition("[")[2][:-1])
            for c in report.comparisons
            if c.metric == "energy" and c.verdict is verdict
        )
        for verdict in (Verdict.REGRESSED, Verdict.OK)
    }
    moved = report.shift is not None and report.shift.verdict is Verdict.REGRESSED
    return Seen(by_verdict[Verdict.REGRESSED], by_verdict[Verdict.OK], moved)


def energybench(old: Side, new: Side, rng: random.Random, *, past: int = 0, paired: bool = False) -> Seen:
    """The verdicts of the tool itself."""
    options = CompareOptions(margin=MARGIN, paired=paired)
    before = cases(old)
    runs = [
        Run(f"{k}.json", tuple(cases(session(rng, common=COMMON, case=CASE))), created=f"2026-01-{k + 1:02d}")
        for k in range(past)
    ]
    runs.append(Run("base.json", tuple(before), created="2026-02-01"))
    noise = session_noise(runs, options) if past else None
    return seen(compare_cases(before, cases(new), options, noise=noise))


def mean_rule(old: Side, new: Side, rng: random.Random) -> Seen:
    """pytest-benchmark's: the mean grew by more than the margin."""
    ratios = [sum(b) / sum(a) for a, b in zip(old, new, strict=True)]
    worse = frozenset(c for c, ratio in enumerate(ratios) if ratio > 1 + MARGIN)
    return Seen(worse, frozenset(range(CASES)) - worse, len(worse) > CASES / 2)


def tested(old: Side, new: Side, p_value: Callable[[list[float], list[float]], float]) -> Seen:
    """A test for each case, corrected over the cases, and the margin."""
    adjusted = benjamini_hochberg([p_value(b, a) for a, b in zip(old, new, strict=True)])
    grown = [sum(b) / sum(a) > 1 + MARGIN for a, b in zip(old, new, strict=True)]
    worse = frozenset(c for c in range(CASES) if adjusted[c] <= 0.05 and grown[c])
    return Seen(worse, frozenset(range(CASES)) - worse, len(worse) > CASES / 2)


def welch(old: Side, new: Side, rng: random.Random) -> Seen:
    """Welch's t-test."""
    return tested(old, new, lambda b, a: float(stats.ttest_ind(b, a, equal_var=False, alternative="greater").pvalue))


def mann_whitney(old: Side, new: Side, rng: random.Random) -> Seen:
    """Mann and Whitney's rank test."""
    return tested(old, new, lambda b, a: float(stats.mannwhitneyu(b, a, alternative="greater").pvalue))


RULES: dict[str, tuple[Rule, bool]] = {
    "energybench, noise declared": (energybench, False),
    "energybench, ten past sessions": (lambda a, b, r: energybench(a, b, r, past=PAST), False),
    "energybench, in turn": (lambda a, b, r: energybench(a, b, r, paired=True), True),
    "mean grew by 5 %": (mean_rule, False),
    "Welch + BH + 5 %": (welch, False),
    "Mann-Whitney + BH + 5 %": (mann_whitney, False),
    "mean grew by 5 %, in turn": (mean_rule, True),
    "Welch + BH + 5 %, in turn": (welch, True),
}


def shares(rule: Rule, in_turn: bool, runs: int, seed: int) -> list[float]:
    """The five figures of one rule."""
    rng = random.Random(seed)
    noise = {"common": 0.0 if in_turn else COMMON, "case": 0.0 if in_turn else CASE}
    false = found = missed = shifted = fine = 0.0
    for run in range(runs):
        lone = run % CASES
        nothing, one, every = (
            rule(session(rng, **noise), session(rng, **noise, factors=factors), rng)
            for factors in (
                [1.0] * CASES,
                [CHANGE if c == lone else 1.0 for c in range(CASES)],
                [CHANGE] * CASES,
            )
        )
        false += bool(nothing.regressed or nothing.all_moved)
        fine += len(nothing.ok) / CASES
        found += lone in one.regressed
        missed += lone in one.ok
        shifted += every.all_moved
    return [count / runs for count in (false, found, missed, shifted, fine)]


def alarms(runs: int, seed: int = 1) -> str:
    """How often unchanged code is called regressed with the declared noise, with the interval of that share."""
    rng = random.Random(seed)
    noise = {"common": COMMON, "case": CASE}
    count = 0
    for _ in range(runs):
        said = energybench(session(rng, **noise), session(rng, **noise), rng)
        count += bool(said.regressed or said.all_moved)
    low, high = wilson(count, runs)
    return (
        f"noise declared, nothing changed: {100 * count / runs:.2f} % ({100 * low:.2f} to {100 * high:.2f}) of {runs}"
    )


def main() -> None:
    """Print a row per rule, or the one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=1000)
    parser.add_argument("--alarms", type=int, metavar="N")
    options = parser.parse_args()
    if options.alarms:
        print(alarms(options.alarms))
        return
    rows = [
        [name, *(f"{100 * value:.1f} %" for value in shares(rule, in_turn, options.runs, seed))]
        for seed, (name, (rule, in_turn)) in enumerate(RULES.items())
    ]
    print(tabulate([["goal", *GOALS.values()], *rows], headers=["rule", *GOALS], tablefmt="github"))


if __name__ == "__main__":
    main()
