"""Options of the session: ini file < command line, each mistake named with its option."""

from __future__ import annotations

from pathlib import Path

import pytest

from energybench.errors import UsageError
from energybench.harness.options import EnergyOptions, merge, on_command_line


def configured(pytester: pytest.Pytester, *args: str, ini: str = "") -> pytest.Config:
    pytester.makeini(f"[pytest]\n{ini}")
    return pytester.parseconfig("-p", "energybench.plugin", *args)


def test_without_a_word_every_option_has_its_default(pytester: pytest.Pytester) -> None:
    assert merge(configured(pytester)) == EnergyOptions()


def test_the_ini_file_gives_every_option_its_default(pytester: pytest.Pytester) -> None:
    ini = (
        "energy_pue = 1.58\nenergy_rounds = 3\nenergy_warmup = 1\nenergy_seeds = 5, 6, 7\nenergy_meters = estimate\n"
        "energy_no_estimate = true\nenergy_margin = 0.1\nenergy_powercap_root = /somewhere\n"
        "energy_scope = process\nenergy_idle_s = 30\nenergy_trace = 2\nenergy_iterations = auto\n"
        "energy_check_integral = true\nenergy_compare = main\nenergy_looks = 2, 3\nenergy_canary = true\n"
        "energy_inconclusive = fail\nenergy_margins = gates/margins.toml\n"
        "energy_carbon = FR\nenergy_price = 0.3 EUR\nenergy_stop_after = stable\n"
        "energy_columns = kwh, power\nenergy_sort = model,kwh:desc\nenergy_group_by = param:lr\n"
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
        compare="main",
        looks=(2, 3),
        canary=True,
        inconclusive="fail",
        margins=pytester.path / "gates" / "margins.toml",
        carbon_g_per_kwh=44.18,
        carbon_source="FR 2024: Ember, yearly electricity data, via CO2.js",
        price_per_kwh=0.3,
        currency="EUR",
        project=True,
        stop_after="stable",
        columns=("kwh", "power"),
        sort=(("model", False), ("kwh", True)),
        group_by="param:lr",
    )
    assert config.getoption("energy_set") == {"lr": "0.02", "epochs": "4"}


def test_the_command_line_beats_the_ini_file(pytester: pytest.Pytester) -> None:
    config = configured(pytester, "--energy-pue=1.2", "--energy-rounds=2", ini="energy_pue = 1.58\nenergy_rounds = 9")
    assert on_command_line(config) == {"rounds"}
    options = merge(config)
    assert (options.pue, options.rounds) == (1.2, 2)


def test_fewer_seeds_than_rounds_are_refused(pytester: pytest.Pytester) -> None:
    with pytest.raises(UsageError, match="3 rounds but 2 seeds"):
        merge(configured(pytester, "--energy-rounds=3", "--energy-seeds=1,2"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("energy_pue = 0.9", "energy_pue in .*tox.ini: a PUE is a number of at least 1"),
        ("energy_rounds = many", "energy_rounds in .*: the number of rounds is a whole number of at least 1"),
        ("energy_seeds = 1,b", "energy_seeds in .*: seeds are whole numbers"),
        ("energy_profile = fast", "energy_profile in .*: unknown profile 'fast': choose one of quick, standard, paper"),
        (
            "energy_inconclusive = pass",
            "energy_inconclusive in .*: an inconclusive gate is to warn or fail, not 'pass'",
        ),
        ("energy_looks = 3,3", "energy_looks in .*: looks are growing numbers of rounds .* such as 3,5,10, not '3,3'"),
        ("energy_set =\n    lr", "energy_set in .*: expected NAME=VALUE"),
        ("energy_carbon = QQ", "energy_carbon in .*: the table of carbon intensities has no QQ"),
        ("energy_carbon = -3", "energy_carbon in .*: a carbon intensity is a number of gCO2e per kWh of at least 0"),
        ("energy_price = cheap", "energy_price in .*: a price per kWh is a number of at least 0, not 'cheap'"),
        ("energy_price = 0.3 EUR net", "energy_price in .*: a price per kWh is a number and one word for its currency"),
        ("energy_columns = kwh,watts", "energy_columns in .*: there is no column 'watts'; there are case, study, "),
        ("energy_sort = kwh:down", "energy_sort in .*: there is no column 'kwh:down'"),
        ("energy_group_by = size", "energy_group_by in .*: cases are grouped by model, compressor, study, param:NAME"),
        ("energy_stop_after = soon", "energy_stop_after in .*: a case can be ended once .* is stable, not 'soon'"),
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


def test_looks_need_a_baseline_and_stand_in_for_the_rounds(pytester: pytest.Pytester) -> None:
    with pytest.raises(UsageError, match="--energy-looks says when to look at the gate, and there is none"):
        merge(configured(pytester, "--energy-looks=3,5"))
    with pytest.raises(UsageError, match="--energy-looks gives the numbers of rounds: drop --energy-rounds"):
        merge(configured(pytester, "--energy-looks=3,5", "--energy-rounds=3", "--energy-compare=main"))
    assert merge(configured(pytester, ini="energy_looks = 3,5")).looks is None
    ini = "energy_rounds = 9\nenergy_compare = main"
    assert merge(configured(pytester, "--energy-looks=3,5", ini=ini)).looks == (3, 5)


def test_a_file_of_margins_lies_where_the_ini_file_or_the_command_line_says(pytester: pytest.Pytester) -> None:
    ini = "energy_margins = a/margins.toml"
    assert merge(configured(pytester, ini=ini)).margins == pytester.path / "a" / "margins.toml"
    assert merge(configured(pytester, "--energy-margins=b.toml", ini=ini)).margins == Path("b.toml")


@pytest.mark.parametrize(
    ("arguments", "canary"),
    [
        ([], None),
        (["--energy-canary"], True),
        (["--energy-no-canary"], False),
        (["--energy-canary", "--energy-no-canary"], False),
    ],
)
def test_the_canary_is_left_to_the_gate_unless_somebody_says_so(
    pytester: pytest.Pytester, arguments: list[str], canary: bool | None
) -> None:
    assert merge(configured(pytester, *arguments)).canary is canary


def test_a_carbon_intensity_is_a_number_a_country_or_a_file_and_a_price_may_name_its_currency(
    pytester: pytest.Pytester,
) -> None:
    given = merge(configured(pytester, "--energy-carbon=380", "--energy-price=0.25"))
    assert (given.carbon_g_per_kwh, given.carbon_source) == (380.0, "given")
    assert (given.price_per_kwh, given.currency) == (0.25, "")
    of_country = merge(configured(pytester, "--energy-carbon=deu", "--energy-price", "0.3 EUR"))
    assert (of_country.carbon_g_per_kwh, of_country.carbon_source[:8]) == (344.14, "DE 2024:")
    assert (of_country.price_per_kwh, of_country.currency) == (0.3, "EUR")


def test_a_file_of_intensities_named_in_the_ini_file_lies_beside_it(pytester: pytest.Pytester) -> None:
    pytester.mkdir("grid")
    lines = "time,g_per_kwh\n2026-01-02T00:00Z,100\n2026-01-02T01:00Z,200\n"
    (pytester.path / "grid" / "day.csv").write_text(lines)
    with pytest.MonkeyPatch.context() as patch:
        config = configured(pytester, ini="energy_carbon = grid/day.csv")
        patch.chdir("/")
        given = merge(config)
    assert given.carbon_g_per_kwh is None
    assert given.carbon_source == "day.csv, by time"
    assert given.carbon_series is not None
    assert given.carbon_series.g_per_kwh == (100.0, 200.0)


def test_a_file_of_intensities_that_is_not_there_is_named(pytester: pytest.Pytester) -> None:
    with pytest.raises(UsageError, match=r"the carbon intensities absent.csv cannot be read: No such file"):
        merge(configured(pytester, "--energy-carbon=absent.csv"))
