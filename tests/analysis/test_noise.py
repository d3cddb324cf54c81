"""What earlier sessions say of the noise between them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from energybench.analysis.noise import canary_change, declared, session_noise
from energybench.analysis.report import CompareOptions, SessionNoise
from energybench.model import Run

OPTIONS = CompareOptions()
History = Callable[..., list[Run]]


@pytest.fixture
def history(make_case: Any) -> History:
    """Sessions of `cases` cases of three rounds with the noise given; `steps` are changes of the code, by session."""

    def make(
        sessions: int, *, common: float, case: float, cases: int = 36, seed: int = 0, steps: Sequence[float] = ()
    ) -> list[Run]:
        rng = random.Random(seed)
        runs, level = [], 0.0
        for k in range(sessions):
            level += steps[k] if k < len(steps) else 0.0
            drift = level + rng.gauss(0, common)
            made = []
            for c in range(cases):
                own = drift + rng.gauss(0, case)
                made.append(make_case(f"m{c}", [100 * (c + 1) * math.exp(own + rng.gauss(0, 0.015)) for _ in range(3)]))
            runs.append(Run(f"{k:04d}_r.json", tuple(made), created=f"2026-01-{k + 1:02d}T00:00:00+00:00"))
        return runs

    return make


def test_without_three_sessions_the_declared_noise_stands(history: History) -> None:
    stated = SessionNoise(math.log1p(0.02), math.log1p(0.01))
    assert declared(OPTIONS) == stated
    for sessions in range(3):
        assert session_noise(history(sessions, common=0.2, case=0.1), OPTIONS) == stated
    assert session_noise(history(3, common=0.2, case=0.1), OPTIONS).sessions == 3


def test_arms_measured_in_turn_have_no_noise_between_them(history: History) -> None:
    options = CompareOptions(paired=True)
    assert session_noise(history(10, common=0.2, case=0.1), options) == SessionNoise(0.0, 0.0, paired=True)


@pytest.mark.parametrize(("common", "case"), [(0.02, 0.01), (0.05, 0.02), (0.01, 0.03)])
def test_both_levels_are_found_in_a_long_history(history: History, common: float, case: float) -> None:
    found = session_noise(history(60, common=common, case=case), OPTIONS)
    assert found.common == pytest.approx(common, rel=0.25)
    assert found.case == pytest.approx(case, rel=0.15)
    assert (found.sessions, found.common_df) == (60, 63)


def test_a_quiet_history_lowers_what_was_declared_and_a_noisy_one_raises_it(history: History) -> None:
    quiet = session_noise(history(12, common=0.001, case=0.001), OPTIONS)
    assert quiet.common < 0.012
    assert quiet.case < 0.006
    noisy = session_noise(history(12, common=0.08, case=0.04), OPTIONS)
    assert noisy.common > 0.04
    assert noisy.case > 0.03


def test_a_change_of_the_code_in_the_history_is_no_noise(history: History) -> None:
    steps = [0.0] * 10 + [0.3]
    plain = session_noise(history(20, common=0.01, case=0.01), OPTIONS)
    stepped = session_noise(history(20, common=0.01, case=0.01, steps=steps), OPTIONS)
    assert stepped.common == pytest.approx(plain.common, rel=0.35)
    assert stepped.common_df == (plain.common_df or 0) - 1


def test_a_change_of_some_cases_is_no_noise_of_all(history: History, make_case: Any) -> None:
    runs = history(12, common=0.01, case=0.01)
    changed = []
    for k, run in enumerate(runs):
        cases = tuple(
            make_case(f"m{c}", [j * 2 for j in case.joules() if j]) if k >= 6 and c < 6 else case
            for c, case in enumerate(run.cases)
        )
        changed.append(Run(run.source, cases, created=run.created))
    found = session_noise(changed, OPTIONS)
    assert found.case == pytest.approx(session_noise(runs, OPTIONS).case, rel=0.3)


def test_with_few_cases_all_of_it_counts_as_common(history: History) -> None:
    found = session_noise(history(40, common=0.02, case=0.03, cases=2), OPTIONS)
    assert found.case == pytest.approx(math.log1p(0.01))
    assert found.common > 0.025


def test_only_comparable_cases_and_sessions_that_hold_most_of_them_count(history: History, make_case: Any) -> None:
    runs = history(8, common=0.02, case=0.01)
    partial = Run("0008_r.json", runs[0].cases[:10], created="2026-02-01T00:00:00+00:00")
    assert session_noise([*runs, partial], OPTIONS, like=runs[0].cases).sessions == 8
    other = [make_case(f"m{c}", [5.0, 5.1, 5.2], comparability={"gpus": "another"}) for c in range(36)]
    foreign = Run("0009_r.json", tuple(other), created="2026-02-02T00:00:00+00:00")
    assert session_noise([*runs, foreign], OPTIONS, like=runs[0].cases).sessions == 8


def test_the_order_in_which_sessions_are_given_is_no_matter(history: History) -> None:
    runs = history(9, common=0.02, case=0.01)
    assert session_noise(runs[::-1], OPTIONS) == session_noise(runs, OPTIONS)


def canary(*values: tuple[float | None, float]) -> dict[str, Any]:
    names = ("first", "last")
    return {
        "canary": [
            {"when": when, "joules": {"package:0": joules}, "seconds": seconds, "calls": 10}
            for when, (joules, seconds) in zip(names, values, strict=False)
        ]
    }


def test_the_canary_is_compared_per_call_in_joules_else_in_seconds() -> None:
    before, after = canary((10.0, 1.0), (10.0, 1.0)), canary((11.0, 1.0), (11.0, 1.0))
    assert canary_change(before, after) == pytest.approx(math.log(1.1))
    assert canary_change(canary((None, 1.0)), canary((None, 1.2))) == pytest.approx(math.log(1.2))
    assert canary_change(canary((10.0, 1.0)), canary((None, 1.2))) == pytest.approx(math.log(1.2))


def test_joules_of_other_domains_are_other_quantities() -> None:
    before, after = canary((10.0, 1.0)), canary((30.0, 1.1))
    after["canary"][0]["joules"]["dram:0"] = 5.0
    assert canary_change(before, after) == pytest.approx(math.log(1.1))


def test_the_load_on_the_gpu_speaks_where_both_sides_have_one() -> None:
    before, after = canary((10.0, 1.0)), canary((10.0, 1.0))
    before["canary"][0]["gpu"] = {"joules": {"gpu:0": 100.0}, "seconds": 0.5, "calls": 10}
    assert canary_change(before, after) == pytest.approx(0.0)
    after["canary"][0]["gpu"] = {"joules": {"gpu:0": 240.0}, "seconds": 0.5, "calls": 20}
    assert canary_change(before, after) == pytest.approx(math.log(1.2))


@pytest.mark.parametrize(
    "session",
    [
        {},
        {"canary": None},
        {"canary": []},
        {"canary": ["x"]},
        {"canary": [{"joules": {}, "seconds": 0}]},
        {"canary": [{"joules": {"a": "b"}, "seconds": None, "calls": 3}]},
        {"canary": [{"joules": {"a": -1.0}, "seconds": float("nan"), "calls": 0}]},
    ],
)
def test_a_session_without_a_readable_canary_says_nothing(session: dict[str, Any]) -> None:
    assert canary_change(session, canary((10.0, 1.0))) is None
    assert canary_change(canary((10.0, 1.0)), session) is None
