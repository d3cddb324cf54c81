"""Rank correlations, held against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from energybench.analysis.interactions_cells import Cell, Epoch
from energybench.analysis.interactions_ranks import RankCorrelation, rank_correlations, spearman
from energybench.model import Case


def cell(model: str, environment: str, joules: float, seconds: float, flops: float, **keys: object) -> Cell:
    case = Case(
        model,
        facts={"parameters": 5, "intensity": {"flops_per_image": flops}},
        comparability=keys,
    )
    return Cell("r", case, model, environment, "", (Epoch(joules, seconds, 10.0),), environment)


def by_quantity(*cells: Cell) -> dict[str, RankCorrelation]:
    return {row.quantity: row for row in rank_correlations(cells)}


VALUES = st.integers(0, 5).map(float)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=3, max_size=12))
def test_spearman_with_ties_is_scipys(pairs: list[tuple[float, float]]) -> None:
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    found = spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(float(stats.spearmanr(a, b).statistic), abs=1e-12)


def test_two_pairs_are_too_few() -> None:
    assert spearman([1.0, 2.0], [1.0, 2.0]) is None


CPU = {"estimate_w_per_cpu": 4.0, "cpu_count": 2}
TABLE = [
    cell("a", "cpu-1", 1.0, 1.0, 100.0, **CPU),
    cell("b", "cpu-1", 2.0, 2.0, 300.0, **CPU),
    cell("c", "cpu-1", 3.0, 3.0, 200.0, **CPU),
    cell("a", "cpu-2", 9.0, 5.0, 100.0, **CPU),
    cell("b", "cpu-2", 8.0, 4.0, 300.0, **CPU),
    cell("c", "cpu-2", 7.0, 3.5, 200.0, **CPU),
]


def test_flops_rank_within_each_environment_and_over_all() -> None:
    row = by_quantity(*TABLE)["FLOPs"]
    assert row.within == pytest.approx({"cpu-1": 0.5, "cpu-2": -0.5})
    assert row.over_cells == pytest.approx(float(stats.spearmanr([1, 3, 2, 1, 3, 2], [1, 2, 3, 9, 8, 7]).statistic))
    assert row.cells == 6


def test_the_power_of_one_device_cancels_and_need_not_be_known() -> None:
    unknown = [cell(c.model, c.environment, c.joules, c.seconds, 1.0) for c in TABLE]
    assert by_quantity(*unknown)["TDP x t"].over_cells == pytest.approx(1.0)
    assert by_quantity(*TABLE)["TDP x t"].over_cells == pytest.approx(1.0)


def test_the_power_of_two_devices_must_be_known() -> None:
    row = by_quantity(*TABLE, cell("a", "cuda-1", 5.0, 0.1, 100.0, **CPU))["TDP x t"]
    assert row.over_cells is None
    assert row.cells == 0
    assert row.reason == "the rated power of one of the devices is not known"
    gpu = {"gpus": [{"name": "H100", "power_limit_w": 700.0}]}
    known = by_quantity(*TABLE, cell("a", "cuda-1", 5.0, 0.1, 100.0, **gpu))["TDP x t"]
    assert known.cells == 7
    assert known.over_cells is not None
    assert known.over_cells == pytest.approx(
        float(stats.spearmanr([8, 16, 24, 40, 32, 28, 70], [1, 2, 3, 9, 8, 7, 5]).statistic)
    )


def test_what_is_the_same_everywhere_ranks_nothing_and_says_so() -> None:
    row = by_quantity(*TABLE)["parameters"]
    assert (row.over_cells, row.within) == (None, {})
    assert row.reason == "it is the same in all cells, or their energy is"
