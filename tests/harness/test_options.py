"""Options: ini file < marker < command line, each mistake named with its option."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import UsageError
from energybench.harness.options import CaseOptions, EnergyOptions, case_options, merge, on_command_line

NOTHING: frozenset[str] = frozenset()


def configured(pytester: pytest.Pytester, *args: str, ini: str = "") -> pytest.Config:
    pytester.makeini(f"[pytest]\n{ini}")
    return pytester.parseconfig("-p", "energybench.plugin", *args)


def test_without_a_word_there_is_one_round_seed_0_and_a_pue_of_1(pytester: pytest.Pytester) -> None:
    options = merge(configured(pytester))
    assert options == EnergyOptions()
    assert case_options(options, None, NOTHING) == CaseOptions(rounds=1, warmup=0, seeds=(0,))


def test_the_ini_file_gives_every_option_its_default(pytester: pytest.Pytester) -> None:
    ini = (
        "energy_pue = 1.58\nenergy_rounds = 3\nenergy_warmup = 1\nenergy_seeds = 5, 6, 7\nenergy_meters = estimate\n"
        "energy_no_estimate = true\nenergy_margin = 0.1\nenergy_powercap_root = /somewhere\n"
        "energy_scope = process\nenergy_idle_s = 30\nenergy_trace = 2\nenergy_iterations = auto\n"
        "energy_check_integral = true\n"
        "energy_set =\n    lr=0.02\n    epochs=4\n"
    )
    config = configured(pytester, ini=ini)
    assert merge(config) == EnergyOptions(
        pue=1.58,
        rounds=3,
        warmup=1,
        seeds=(5, 6, 7),
        meters=("estimate",),
        powercap_root=Path("/somewhere"),
        estimate=False,
        scope="process",
        check_integral=True,
        idle_s=30.0,
        trace_hz=2.0,
        iterations="auto",
        margin=0.1,
    )
    assert config.getoption("energy_set") == {"lr": "0.02", "epochs": "4"}


def test_the_command_line_beats_the_ini_file(pytester: pytest.Pytester) -> None:
    config = configured(pytester, "--energy-pue=1.2", "--energy-rounds=2", ini="energy_pue = 1.58\nenergy_rounds = 9")
    assert on_command_line(config) == {"rounds"}
    options = merge(config)
    assert (options.pue, options.rounds) == (1.2, 2)


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


def test_fewer_seeds_than_rounds_are_refused(pytester: pytest.Pytester) -> None:
    with pytest.raises(UsageError, match="3 rounds but 2 seeds"):
        merge(configured(pytester, "--energy-rounds=3", "--energy-seeds=1,2"))
    with pytest.raises(UsageError, match="3 rounds but 2 seeds"):
        case_options(EnergyOptions(), {"rounds": 3, "seeds": [1, 2]}, NOTHING)


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ({"round": 3}, "no keyword 'round' .*did you mean 'rounds'"),
        ({"colour": 3}, r"no keyword 'colour' \(known: iterations, max_kwh, rounds, seeds, warmup\)$"),
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
    ],
)
def test_a_wrong_marker_says_what_is_wrong(marker: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        case_options(EnergyOptions(), marker, NOTHING)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("energy_pue = 0.9", "energy_pue in .*tox.ini: a PUE is a number of at least 1"),
        ("energy_rounds = many", "energy_rounds in .*: the number of rounds is a whole number of at least 1"),
        ("energy_seeds = 1,b", "energy_seeds in .*: seeds are whole numbers"),
        ("energy_profile = fast", "energy_profile in .*: unknown profile 'fast': choose one of quick, standard, paper"),
        ("energy_set =\n    lr", "energy_set in .*: expected NAME=VALUE"),
    ],
)
def test_a_wrong_ini_value_names_its_line_and_file(pytester: pytest.Pytester, line: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        merge(configured(pytester, ini=line))


def test_suites_read_the_merged_values_by_getoption(pytester: pytest.Pytester) -> None:
    config = configured(pytester, "--energy-models=a,b", "--energy-set", "lr=1", "--energy-set", "wd=2")
    merge(config)
    assert config.getoption("energy_models") == ["a", "b"]
    assert config.getoption("energy_set") == {"lr": "1", "wd": "2"}
    assert config.getoption("energy_tolerance") == 0.01
    assert config.getoption("energy_profile") is None
