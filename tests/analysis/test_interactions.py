"""Model x environment: the table, its refusals, and that no raw joules cross from one machine to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from energybench.analysis.interactions import Interactions, interactions
from energybench.errors import UsageError
from energybench.model import Case, Domain, Provenance, Round, Run, Status, Window

SETTINGS = ("cpu-b16-t2-fp32", "cpu-b32-t2-fp32")
ROUNDS = (1.0, 1.02, 0.98)
BOX, OTHER = {"cpu": "EPYC", "cpu_count": 2}, {"cpu": "Xeon", "cpu_count": 8}


def case(
    model: str,
    setting: str = SETTINGS[0],
    joules: Sequence[float | None] = (100.0,),
    *,
    keys: Mapping[str, Any] = BOX,
    provenance: Provenance = Provenance.MEASURED,
    declared: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    laps: int = 1,
    **fields: Any,
) -> Case:
    """A case of the study `environment`: one epoch of 2 s and 256 images, 1 s and 5 J of evaluation."""
    workload = {"protocol": "environment", "model": model, "compressor": "none", "recipe": {"lr": 0.01}}
    return Case(
        **{
            "id": f"benches/test_environment.py::test_environment[{model}-{setting}]",
            "rounds": tuple(
                Round(
                    Window(
                        3.0,
                        {"package:0": None if j is None else j + 5},
                        laps=(
                            *[Window(2.0, {"package:0": j}, label="epoch")] * laps,
                            Window(1.0, {"package:0": 5.0}, label="eval"),
                        ),
                    ),
                    {"accuracy": 0.9, "macro_f1": 0.89, "images": 256.0 * laps, "total": 500.0, **(metrics or {})},
                    seed=seed,
                )
                for seed, j in enumerate(joules)
            ),
            "domains": (Domain("package:0", "rapl", provenance),),
            "facts": {
                "workload": {**workload, **(declared or {})},
                "environment": {"id": setting, "default": setting == SETTINGS[1]},
                "parameters": 1000 * len(model),
                "intensity": {"flops_per_image": 1e6 * len(model)},
            },
            "comparability": keys,
            **fields,
        }
    )


def run(name: str, *cases: Case, interleaved: bool = True) -> Run:
    return Run(f"s/{name}.json", cases, session={"interleaved": interleaved})


def grid(
    joules: Mapping[tuple[str, str], float], rounds: Sequence[float] = ROUNDS, scale: float = 1.0, **fields: Any
) -> list[Case]:
    return [
        case(model, setting, [scale * j * noise for noise in rounds], **fields)
        for (model, setting), j in joules.items()
    ]


# The larger batch halves the energy of `small` and leaves that of `large` as it is: an interaction.
CROSSED = dict(
    zip(
        ((m, s) for m in ("small", "large", "middling") for s in SETTINGS),
        (10.0, 5.0, 30.0, 30.0, 20.0, 15.0),
        strict=True,
    )
)


def test_a_cell_is_the_geometric_mean_of_its_rounds_and_the_interaction_is_found() -> None:
    table = interactions([run("r", *grid(CROSSED))])
    assert (table.models, table.environments) == (("small", "large", "middling"), SETTINGS)
    (cell,) = table.found("small", SETTINGS[1])
    assert cell.joules == pytest.approx(5.0 * (1.02 * 0.98) ** (1 / 3))
    assert cell.joules_per_sample == pytest.approx(cell.joules / 256)
    assert table.missing == ()
    assert table.anova.balanced
    assert table.anova.interaction.p is not None
    assert table.anova.interaction.p < 1e-6
    assert (table.anova.error_df, table.anova.n) == (12, 18)


def test_without_an_interaction_none_is_found() -> None:
    joules = {
        (m, s): a * b for m, a in (("small", 1.0), ("large", 3.0)) for s, b in zip(SETTINGS, (10.0, 20.0), strict=True)
    }
    interaction = interactions([run("r", *grid(joules))]).anova.interaction
    assert interaction.p == pytest.approx(1.0)
    assert interaction.eta is not None
    assert interaction.eta.high < 0.01


def test_an_effect_is_held_against_the_mean_over_all_cells_of_the_run() -> None:
    table = interactions([run("r", *grid(CROSSED))])
    effects = [table.effect(m, e) for m in table.models for e in table.environments]
    assert math.prod(value or 0.0 for value in effects) == pytest.approx(1.0)
    assert table.effect("large", SETTINGS[0]) == pytest.approx(30 / math.prod(CROSSED.values()) ** (1 / 6))


def test_missing_cells_are_named_and_have_no_effect() -> None:
    joules = {key: value for key, value in CROSSED.items() if key != ("large", SETTINGS[1])}
    table = interactions([run("r", *grid(joules))])
    assert table.missing == (("large", SETTINGS[1]),)
    assert table.effect("large", SETTINGS[1]) is None
    assert not table.anova.balanced
    assert table.anova.interaction.df == 1


def test_one_round_per_cell_is_an_effect_without_a_test() -> None:
    table = interactions([run("r", *grid(CROSSED, rounds=(1.0,)))])
    assert table.anova.untested.startswith("one round per cell")
    assert table.anova.interaction.rms > 0.1
    assert table.anova.interaction.eta is None


def two_machines(scale: float) -> Interactions:
    """The same table on another machine that takes `scale` times the joules, where one model fares worse."""
    there = {key: value * (1.5 if key[0] == "large" else 1.0) for key, value in CROSSED.items()}
    return interactions([run("here", *grid(CROSSED)), run("there", *grid(there, scale=scale, keys=OTHER))])


def test_how_much_another_machine_takes_as_a_whole_is_in_no_figure() -> None:
    one, other = two_machines(1.0), two_machines(250.0)
    assert list(one.machines) == ["A", "B"]
    assert one.environments == tuple(f"{s} @{m}" for m in "AB" for s in SETTINGS)
    for model in one.models:
        for environment in one.environments:
            assert other.effect(model, environment) == pytest.approx(one.effect(model, environment))
    for name in ("rows", "columns", "interaction"):
        assert getattr(other.anova, name).ss == pytest.approx(getattr(one.anova, name).ss)
    assert one.anova.columns.df == 2  # of four environments on two machines
    assert {choice.run for choice in one.choices} == {"here", "there"}
    for choice in one.choices:
        assert {cell.run for cell in (choice.cheapest, choice.dearest, choice.reference)} == {choice.run}


def test_a_model_that_fares_worse_on_one_machine_is_an_interaction() -> None:
    same = interactions([run("here", *grid(CROSSED)), run("there", *grid(CROSSED, scale=3.0, keys=OTHER))])
    assert two_machines(3.0).anova.interaction.ss > same.anova.interaction.ss + 0.1


def test_the_baseline_is_over_the_cells_that_all_runs_share() -> None:
    fewer = {key: value for key, value in CROSSED.items() if key[1] == SETTINGS[0]}
    table = interactions([run("here", *grid(CROSSED)), run("there", *grid(fewer, scale=2.0, keys=OTHER))])
    assert table.shared == 3
    mean = (10.0 * 30.0 * 20.0) ** (1 / 3) * math.prod(ROUNDS) ** (1 / 3)
    assert {name: math.exp(value) for name, value in table.baselines.items()} == pytest.approx(
        {"here": mean, "there": 2 * mean}
    )


def test_two_sessions_of_one_machine_share_its_environments() -> None:
    table = interactions([run("one", *grid(CROSSED)), run("two", *grid(CROSSED, scale=1.1))])
    assert list(table.machines) == ["A"]
    assert table.environments == SETTINGS
    assert len(table.found("small", SETTINGS[0])) == 2
    assert table.anova.interaction.df == 2
    assert table.anova.error_df == 36 - 6 - 1  # cells, and how one session differs from the other


def test_another_power_limit_is_another_machine() -> None:
    gpus = [{"gpus": [{"name": "H100", "power_limit_w": watts}]} for watts in (700.0, 350.0)]
    table = interactions([run(name, *grid(CROSSED, keys=BOX | keys)) for name, keys in zip("ab", gpus, strict=True)])
    assert table.machines["B"] == "EPYC, 2 CPUs, H100 (350 W), CPU power limit not read"


REFUSED: list[tuple[str, Callable[[], list[Run]]]] = [
    (r"only one model, small", lambda: [run("r", *grid({k: v for k, v in CROSSED.items() if k[0] == "small"}))]),
    (
        r"only one environment, cpu-b16-t2-fp32",
        lambda: [run("r", *grid({k: v for k, v in CROSSED.items() if k[1] == SETTINGS[0]}))],
    ),
    (
        r"r has no epoch with joules in its environment cases",
        lambda: [run("r", *[case(m, s, [None]) for m, s in CROSSED])],
    ),
    (r"r has no epoch with joules", lambda: [run("r", *grid(CROSSED, laps=0))]),
    (r"r holds no case that trained an uncompressed model", lambda: [run("r")]),
    (r"r holds no case", lambda: [run("r", *grid(CROSSED, declared={"compressor": "prune"}))]),
    (
        r"several kinds .* 5 read from counters or sensors, such as small-cpu-b16-t2-fp32 of r; "
        r"1 estimated, such as middling-cpu-b32-t2-fp32 of r",
        lambda: [run("r", *grid(CROSSED)[:-1], case("middling", SETTINGS[1], provenance=Provenance.ESTIMATED))],
    ),
    (
        r"several kinds",
        lambda: [run("r", *grid(CROSSED)), run("q", *grid(CROSSED, keys=OTHER, provenance=Provenance.ESTIMATED))],
    ),
    (r"r was given twice", lambda: [run("r", *grid(CROSSED))] * 2),
    (
        r"share no cell .*: r has cpu-b16-t2-fp32, cpu-b32-t2-fp32; q has cuda-b32-fp32",
        lambda: [run("r", *grid(CROSSED)), run("q", case("small", "cuda-b32-fp32", keys=OTHER))],
    ),
    (
        r"small in cpu-b16-t2-fp32 is not the same work in r and q: recipe.lr 0.01 and 0.1",
        lambda: [run("r", *grid(CROSSED)), run("q", *grid(CROSSED, keys=OTHER, declared={"recipe": {"lr": 0.1}}))],
    ),
    (r"not the same machine", lambda: [run("r", *grid(CROSSED)[:-1], case("middling", SETTINGS[1], keys=OTHER))]),
    (
        r"not the same domains",
        lambda: [
            run(
                "r",
                *grid(CROSSED)[:-1],
                replace(
                    grid(CROSSED)[-1],
                    domains=(*grid(CROSSED)[0].domains, Domain("gpu:0", "nvml", Provenance.MEASURED)),
                    rounds=WITH_GPU,
                ),
            )
        ],
    ),
    (
        r"no protocol in common",
        lambda: [run("r", *grid(CROSSED)), run("q", *grid(CROSSED, declared={"protocol": "one epoch"}))],
    ),
]
WITH_GPU = (
    Round(Window(3.0, {}, laps=(Window(2.0, {"package:0": 1.0, "gpu:0": 1.0}, label="epoch"),)), {"images": 256.0}),
)


@pytest.mark.parametrize(("said", "runs"), REFUSED, ids=range(len(REFUSED)))
def test_what_makes_no_table_is_refused_with_the_reason(said: str, runs: Callable[[], list[Run]]) -> None:
    with pytest.raises(UsageError, match=said):
        interactions(runs())


def test_a_copy_of_a_session_is_no_second_one() -> None:
    runs = [replace(run(name, *grid(CROSSED)), session={"session": "abc"}) for name in ("r", "copy")]
    with pytest.raises(UsageError, match="r was given twice, or a copy of it"):
        interactions(runs)


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    runs = [
        replace(run("r", *grid(CROSSED, keys=keys)), source=f"{place}/box/r.json") for place, keys in PLACES.items()
    ]
    table = interactions(runs)
    assert list(table.runs) == ["here/box/r", "there/box/r"]
    assert len(table.cells) == 12


PLACES = {"here": BOX, "there": OTHER}


def test_models_on_different_data_are_not_chosen_among() -> None:
    cases = [
        c
        for model in ("small", "large")
        for c in grid({k: v for k, v in CROSSED.items() if k[0] == model}, declared={"data": f"{model} images"})
    ]
    table = interactions([run("r", *cases)])
    assert {choice.scope for choice in table.choices} == {"small", "large"}
    assert "trained on different data (small images, large images)" in table.notes[0]
    assert table.anova.interaction.p is not None


def test_measured_and_integrated_joules_are_of_one_kind() -> None:
    last = grid(CROSSED, provenance=Provenance.INTEGRATED)[-1]
    assert len(interactions([run("r", *grid(CROSSED)[:-1], last)]).cells) == 6


def test_threads_that_only_feed_a_gpu_make_no_other_work() -> None:
    settings = {(m, f"cuda-b{b}-fp32"): j for m, j in (("small", 1.0), ("large", 2.0)) for b in (16, 32)}
    runs = [
        run("r", *grid(settings, declared={"threads": 16})),
        run("q", *grid(settings, keys=OTHER, declared={"threads": 64})),
    ]
    assert interactions(runs).shared == 4


def test_cases_that_failed_are_left_out_with_a_note() -> None:
    cases = grid(CROSSED)
    table = interactions([run("r", *cases[:-1], replace(cases[-1], status=Status.FAILED))])
    assert table.missing == (("middling", SETTINGS[1]),)
    assert table.notes == ("middling-cpu-b32-t2-fp32 is left out: it failed",)


def test_rounds_one_after_the_other_are_said() -> None:
    table = interactions([run("r", *grid(CROSSED), interleaved=False)])
    assert table.notes[0].startswith("not interleaved: r;")


def test_other_studies_make_a_table_where_machines_are_the_environments() -> None:
    def early(name: str, keys: Mapping[str, Any]) -> Run:
        cases = [
            case(
                model,
                joules=[j, 1.02 * j],
                laps=3,
                keys=keys,
                facts={
                    "workload": {"protocol": "early stopping", "model": model, "compressor": "none"},
                    "device": "cpu",
                    "threads": 2,
                    "hyper_parameters": {"precision": "fp32", "batch": 32},
                },
            )
            for model, j in (("small", 10.0), ("large", 30.0))
        ]
        return run(name, *cases)

    table = interactions([early("r", BOX), early("q", OTHER)])
    assert table.protocol == "early stopping"
    assert table.environments == ("cpu-t2-fp32 @A", "cpu-t2-fp32 @B")
    assert table.anova.columns.df == 0  # the machines' levels are in the baselines
    assert table.cells[0].images == 256
