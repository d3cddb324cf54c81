"""How far unchanged code comes apart from one session to the next, learnt from the sessions before.

Rounds of one session are nested in it: they share its temperature, its neighbours, its drivers. With m_kc the mean of
ln J of case c in session k,

    m_kc = case c's own level + a_k (common to all cases, standard deviation tau) + b_kc (of each case, omega) + rounds.

Both are estimated robustly, since the history of a project holds changes of its code as well: a session whose step from
the one before is far out of line begins a stretch of its own, and only scatter within stretches counts.
"""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from energybench.analysis.comparability import differences
from energybench.analysis.report import CompareOptions, SessionNoise
from energybench.analysis.stats import sample_variance
from energybench.model import Case, Run

FEWEST_SESSIONS = 3
DECLARED_WORTH = 4
"""sessions that the declared noise counts as, beside those of the history"""
FEWEST_CASES = 5
"""that say what is common to them"""
OUTLYING = 4.0
"""robust standard deviations of the steps; a step beyond is taken for a change of the code"""
_MAD = 1.4826
"""standard deviations per median absolute deviation of a normal distribution"""


@dataclass(frozen=True, slots=True)
class _Mean:
    value: float
    """of ln J over the rounds"""
    variance: float
    """of that mean; 0 where one round cannot say"""


def declared(options: CompareOptions) -> SessionNoise:
    """The noise without any history: none between arms that were measured in turn, else what the options assume."""
    if options.paired:
        return SessionNoise(0.0, 0.0, paired=True)
    return SessionNoise(math.log1p(options.common_noise), math.log1p(options.case_noise))


def session_noise(earlier: Iterable[Run], options: CompareOptions, like: Sequence[Case] = ()) -> SessionNoise:
    """The noise between sessions, from `earlier` runs, oldest first or last, of one machine; else the declared one.

    Only cases that are comparable with their namesake of `like` (or of the newest run) count, and only sessions that
    hold most of them. Fewer than FEWEST_SESSIONS say nothing. tau^2 is the scatter of the sessions' medians,
    with the declared noise counted as DECLARED_WORTH further sessions; omega^2 that of what remains, less the
    rounds' own.
    """
    stated = declared(options)
    if options.paired:
        return stated
    runs = tuple(earlier)
    if len(runs) < FEWEST_SESSIONS:
        return stated
    sessions = _sessions(runs, like)
    if len(sessions) < FEWEST_SESSIONS:
        return stated
    names = {name for session in sessions for name in session}
    common = [name for name in names if all(name in session for session in sessions)]
    if not common:
        return stated
    centred = {name: [session[name].value for session in sessions] for name in common}
    levels = [median(values[k] - values[0] for values in centred.values()) for k in range(len(sessions))]
    stretches = _stretches(levels)
    scatter = math.fsum(_squares([levels[k] for k in stretch]) for stretch in stretches)
    df = len(levels) - len(stretches) + DECLARED_WORTH
    shared = math.sqrt((scatter + DECLARED_WORTH * stated.common**2) / df)
    if len(common) < FEWEST_CASES:
        # Too few cases to part what they share from what they do not: all of it is called common.
        return SessionNoise(shared, stated.case, len(sessions), df)
    own = _case_noise(_residuals(sessions, common, levels), stated.case)
    return SessionNoise(shared, own, len(sessions), df)


def canary_change(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> float | None:
    """ln of how much more the canary took per call than in the baseline's session; None where a side has none.

    Both arguments are a run's top-level `energybench` object. The GPU's load where both sides have one, since what runs
    there carries most of the joules, else the CPU's; joules where both have them over the same domains, else seconds.
    """
    for load in ("gpu", ""):
        for unit in ("joules", "seconds"):
            old, new = (_logs(session, load, unit) for session in (baseline, candidate))
            for domains in old.keys() & new.keys():
                return math.fsum(new[domains]) / len(new[domains]) - math.fsum(old[domains]) / len(old[domains])
    return None


def _logs(session: Mapping[str, Any], load: str, unit: str) -> dict[tuple[str, ...], list[float]]:
    """Domains -> ln of joules (or, of no domain, seconds) per call at each look; only what is a positive number."""
    found: dict[tuple[str, ...], list[float]] = {}
    stored = session.get("canary")
    for look in stored if isinstance(stored, list) else ():
        entry = look.get(load) if load and isinstance(look, dict) else look
        if not isinstance(entry, dict):
            continue
        calls = _positive(entry.get("calls")) or 1.0
        values = entry.get(unit) if unit == "joules" else {"": entry.get(unit)}
        read = {name: _positive(value) for name, value in values.items()} if isinstance(values, dict) else {}
        known = [value for value in read.values() if value is not None]
        if known and len(known) == len(read):
            found.setdefault(tuple(sorted(read)), []).append(math.log(math.fsum(known) / calls))
    return found


def _positive(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value > 0 else None


def _sessions(earlier: Iterable[Run], like: Sequence[Case]) -> list[dict[str, _Mean]]:
    """Case id -> mean, for each earlier run that holds most of the cases."""
    runs = sorted(earlier, key=_moment)
    reference = {case.id: case for case in like or (runs[-1].cases if runs else ())}
    found = []
    for run in runs:
        means = {}
        for case in run.cases:
            other = reference.get(case.id)
            mean = None if other is None or differences(other, case) else _mean(case)
            if mean is not None:
                means[case.id] = mean
        if means and 2 * len(means) > len(reference):
            found.append(means)
    return found


def _moment(run: Run) -> float:
    """Seconds since the epoch; 0 where the run does not say when it was made."""
    try:
        return datetime.datetime.fromisoformat(run.created).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _mean(case: Case) -> _Mean | None:
    logs = [math.log(joules) for joules in case.joules(case.verdict_domains) if joules is not None and joules > 0]
    if not logs:
        return None
    variance = sample_variance(logs) / len(logs) if len(logs) > 1 else 0.0
    return _Mean(math.fsum(logs) / len(logs), variance)


def _stretches(levels: Sequence[float]) -> list[list[int]]:
    """Positions of the levels, cut where a step is far out of line with the others."""
    steps = [later - earlier for earlier, later in itertools.pairwise(levels)]
    usual = _MAD * median(map(abs, steps))
    stretches = [[0]]
    for position, step in enumerate(steps, 1):
        if usual > 0 and abs(step) > OUTLYING * usual:
            stretches.append([])
        stretches[-1].append(position)
    return stretches


def _squares(values: Sequence[float]) -> float:
    centre = math.fsum(values) / len(values)
    return math.fsum((value - centre) ** 2 for value in values)


def _residuals(
    sessions: Sequence[Mapping[str, _Mean]], common: Sequence[str], levels: Sequence[float]
) -> list[tuple[float, float]]:
    """For each case and pair of neighbouring sessions: the step beyond the common one, and its rounds' variance."""
    return [
        (
            (later[name].value - levels[k + 1]) - (earlier[name].value - levels[k]),
            earlier[name].variance + later[name].variance,
        )
        for k, (earlier, later) in enumerate(itertools.pairwise(sessions))
        for name in common
    ]


def _case_noise(residuals: Sequence[tuple[float, float]], stated: float) -> float:
    """omega from steps r with var(r) = 2 omega^2 + rounds; by medians, since some steps are changes of the code."""
    spread = (_MAD * median(abs(step) for step, _ in residuals)) ** 2
    rounds = median(variance for _, variance in residuals)
    estimate = max(0.0, (spread - rounds) / 2)
    # What a few steps between few sessions say is blended with what was declared, as for the common part.
    worth = DECLARED_WORTH * 4
    return math.sqrt((len(residuals) * estimate + worth * stated**2) / (len(residuals) + worth))
