"""What a case's marker says: ini file < marker < command line, each mistake named with its keyword."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import UsageError
from energybench.harness.marker import Budget, CaseOptions, case_options
from energybench.harness.options import EnergyOptions

NOTHING: frozenset[str] = frozenset()


def test_without_a_word_there_is_one_round_of_seed_0_and_no_limit() -> None:
    assert case_options(EnergyOptions(), None, NOTHING) == CaseOptions(rounds=1, warmup=0, seeds=(0,))


def test_a_marker_beats_the_ini_file_and_the_command_line_beats_the_marker() -> None:
    session = EnergyOptions(rounds=2, warmup=0)
    assert case_options(session, {"rounds": 5, "warmup": 1}, NOTHING) == CaseOptions(5, 1, (0, 1, 2, 3, 4))
    assert case_options(session, {"rounds": 5, "warmup": 1}, frozenset({"rounds"})) == CaseOptions(2, 1, (0, 1))


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=6))
def test_seeds_set_the_number_of_rounds(seeds: list[int]) -> None:
    made = case_options(EnergyOptions(seeds=tuple(seeds)), None, frozenset({"seeds"}))
    assert made.rounds == len(seeds)
    assert [made.seed(index) for index in range(made.rounds)] == seeds
    assert made.seed(-1) == seeds[0]


def test_seeds_on_the_command_line_beat_a_markers_rounds() -> None:
    session = EnergyOptions(seeds=(7, 8))
    assert case_options(session, {"rounds": 5}, frozenset({"seeds"})) == CaseOptions(2, 0, (7, 8))


def test_fewer_seeds_than_rounds_are_refused() -> None:
    with pytest.raises(UsageError, match="3 rounds but 2 seeds"):
        case_options(EnergyOptions(), {"rounds": 3, "seeds": [1, 2]}, NOTHING)


def test_limits_and_margins_come_from_the_marker() -> None:
    made = case_options(
        EnergyOptions(),
        {"max_kwh": 0.5, "max_j_per_sample": 2, "min_accuracy": 1, "margin": {"energy": 0.1, "accuracy": 0.01}},
        NOTHING,
    )
    assert made.budget == Budget(max_kwh=0.5, max_j_per_sample=2, min_accuracy=1)
    assert made.margins == {"energy": 0.1, "accuracy": 0.01}
    assert case_options(EnergyOptions(), {"margin": 0.2}, NOTHING).margins == {"energy": 0.2}


def test_with_looks_a_case_starts_with_the_rounds_of_the_first_and_has_seeds_for_the_last() -> None:
    session = EnergyOptions(looks=(2, 4), rounds=9)  # the 9 can only stand in the ini file
    for command_line in (NOTHING, frozenset({"looks"})):
        assert case_options(session, None, command_line) == CaseOptions(2, 0, (0, 1, 2, 3), looks=(2, 4))
    seeded = EnergyOptions(looks=(2, 4), seeds=(5, 6, 7, 8, 9))
    made = case_options(seeded, None, frozenset({"looks", "seeds"}))
    assert (made.rounds, made.seeds) == (2, (5, 6, 7, 8))


@pytest.mark.parametrize(
    ("marker", "command_line", "rounds", "looks"),
    [
        ({"rounds": 3}, NOTHING, 3, ()),
        ({"seeds": [1, 2, 3, 4, 5]}, NOTHING, 5, ()),
        ({}, frozenset({"rounds"}), 5, ()),
        ({"rounds": 3}, frozenset({"looks"}), 2, (2, 4)),
        ({"seeds": [1, 2, 3, 4, 5]}, frozenset({"looks"}), 2, (2, 4)),
    ],
)
def test_looks_of_an_ini_file_leave_cases_alone_that_have_their_own_rounds(
    marker: dict[str, object], command_line: frozenset[str], rounds: int, looks: tuple[int, ...]
) -> None:
    made = case_options(EnergyOptions(looks=(2, 4), rounds=5), marker, command_line)
    assert (made.rounds, made.looks) == (rounds, looks)


def test_looks_need_a_seed_for_each_round_of_the_last() -> None:
    with pytest.raises(UsageError, match="10 rounds at the last look but 3 seeds: give one seed per round"):
        case_options(EnergyOptions(looks=(3, 10), seeds=(1, 2, 3)), None, frozenset({"looks", "seeds"}))


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ({"round": 3}, "no keyword 'round' .*did you mean 'rounds'"),
        (
            {"colour": 3},
            r"no keyword 'colour' \(known: iterations, margin, max_j_per_sample, max_kwh, min_accuracy, rounds, seeds, "
            r"warmup\)$",
        ),
        ({"looks": [3, 5]}, "no keyword 'looks'"),
        ({"rounds": 0}, r"energybench\(rounds=...\) is a whole number of at least 1, not 0"),
        ({"rounds": True}, "not True"),
        ({"warmup": -1}, r"energybench\(warmup=...\) is a whole number of at least 0, not -1"),
        ({"seeds": ["a"]}, r"energybench\(seeds=...\) is a list of whole numbers"),
        ({"seeds": []}, "list of whole numbers"),
        ({"seeds": 3}, r"energybench\(seeds=...\) is a list of whole numbers, not 3"),
        ({"iterations": 0}, r'energybench\(iterations=...\) is a whole number of at least 1 or "auto", not 0'),
        ({"iterations": True}, "not True"),
        ({"iterations": "some"}, "not 'some'"),
        ({"max_kwh": 0}, r"energybench\(max_kwh=...\) is a number of kWh above 0, not 0"),
        ({"max_kwh": float("nan")}, "not nan"),
        ({"max_j_per_sample": -1}, r"energybench\(max_j_per_sample=...\) is a number of joules above 0, not -1"),
        ({"max_j_per_sample": "2 J"}, "not '2 J'"),
        ({"min_accuracy": 90}, r"energybench\(min_accuracy=...\) is a share above 0 and at most 1, not 90"),
        ({"min_accuracy": True}, "not True"),
        ({"margin": 10}, r"energybench\(margin=...\): the margin is a number between 0 and 1 .*, not 10"),
        ({"margin": {"energie": 0.1}}, r"energybench\(margin=...\) gives a margin to 'energie', which is no metric"),
        ({"margin": {}}, r"energybench\(margin=...\) names no metric"),
    ],
)
def test_a_wrong_marker_says_what_is_wrong(marker: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        case_options(EnergyOptions(), marker, NOTHING)
