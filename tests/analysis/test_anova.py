"""Two-way analysis of variance: by hand, and against least squares by numpy."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from energybench.analysis.anova import Anova, Observation, two_way

# Cell means 8 12 10 / 3 5 13 with two values one below and one above each: means of rows 10 and 7, of columns 5.5, 8.5
# and 11.5, of all 8.5. SS rows 6 x (1.5^2 + 1.5^2) = 27; columns 4 x (9 + 0 + 9) = 72; cells 2 x (0.25 + 12.25 + 2.25 +
# 30.25 + 12.25 + 20.25) = 155; interaction 155 - 27 - 72 = 56; error 6 x 2 = 12 with 6 degrees of freedom.
MEANS = {("a", 1): 8, ("a", 2): 12, ("a", 3): 10, ("b", 1): 3, ("b", 2): 5, ("b", 3): 13}
BY_HAND = [Observation(row, column, mean + d) for (row, column), mean in MEANS.items() for d in (-1, 1)]


def rss(y: Sequence[float], *factors: Sequence[object]) -> tuple[float, int]:
    """Least squares on dummy columns, by numpy: the independent route."""
    columns = [[float(level == each) for level in factor] for factor in factors for each in dict.fromkeys(factor)]
    design = np.array([[1.0] * len(y), *columns]).T
    fitted, _, rank, _ = np.linalg.lstsq(design, np.array(y), rcond=1e-10)
    return float(((np.array(y) - design @ fitted) ** 2).sum()), int(rank)


def by_numpy(values: Sequence[Observation]) -> dict[str, tuple[float, int]]:
    """(SS, df) of type II by differences of fits."""
    y = [v.value for v in values]
    block, row, column = [[getattr(v, key) for v in values] for key in ("block", "row", "column")]
    cell = list(zip(row, column, strict=True))
    full, additive = rss(y, block, cell), rss(y, block, row, column)
    smaller = {"rows": rss(y, block, column), "columns": rss(y, block, row)}
    found = {name: (fit[0] - additive[0], additive[1] - fit[1]) for name, fit in smaller.items()}
    found["interaction"] = (additive[0] - full[0], full[1] - additive[1])
    found["error"] = (full[0], len(y) - full[1])
    return found


def as_pairs(table: Anova) -> dict[str, tuple[float, int]]:
    effects = {name: getattr(table, name) for name in ("rows", "columns", "interaction")}
    return {name: (e.ss, e.df) for name, e in effects.items()} | {"error": (table.error_ss, table.error_df)}


def noisy(
    rows: int, columns: int, rounds: int, *, blocks: int = 1, seed: int = 0, drop: float = 0.0
) -> list[Observation]:
    rng = random.Random(seed)
    return [
        Observation(r, c, 0.7 * r - 0.3 * c + 0.1 * r * c + b + rng.gauss(0, 0.05), b)
        for b in range(blocks)
        for r in range(rows)
        for c in range(columns)
        if rng.random() >= drop
        for _ in range(rounds)
    ]


def test_the_table_that_was_computed_by_hand() -> None:
    table = two_way(BY_HAND)
    assert (table.rows.ss, table.columns.ss, table.interaction.ss) == pytest.approx((27, 72, 56))
    assert (table.rows.df, table.columns.df, table.interaction.df) == (1, 2, 2)
    assert (table.error_ss, table.error_df, table.n) == (pytest.approx(12), 6, 12)
    assert (table.rows.f, table.columns.f, table.interaction.f) == pytest.approx((13.5, 18, 14))
    assert table.interaction.p == pytest.approx(float(stats.f.sf(14, 2, 6)))
    assert table.interaction.eta is not None
    assert table.interaction.eta.value == pytest.approx(56 / 68)
    assert table.rows.rms == pytest.approx(1.5)
    assert table.error_sd == pytest.approx(math.sqrt(2))
    assert table.balanced
    assert not table.untested


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("blocks", [1, 3])
def test_unbalanced_tables_with_missing_cells_are_numpys(blocks: int, seed: int) -> None:
    values = noisy(4, 5, 2, blocks=blocks, seed=seed, drop=0.25)[:-1]  # one cell has a value less, too
    table, expected = two_way(values), by_numpy(values)
    assert not table.balanced
    for name, (ss, df) in as_pairs(table).items():
        assert df == expected[name][1], name
        assert ss == pytest.approx(expected[name][0], rel=1e-8, abs=1e-10), name


def test_columns_that_lie_within_blocks_are_told_apart_within_them_only() -> None:
    """Two machines with three settings each: of five differences between the environments one is the machines'."""
    values = [Observation(v.row, (v.block, v.column), v.value, v.block) for v in noisy(3, 3, 2, blocks=2)]
    table = two_way(values)
    assert table.columns.df == 4
    assert table.interaction.df == 10
    assert table.balanced
    assert as_pairs(table)["interaction"] == pytest.approx(by_numpy(values)["interaction"])


def test_one_value_per_cell_gives_sums_and_no_test() -> None:
    table = two_way(noisy(3, 4, 1))
    assert table.error_df == 0
    assert table.error_sd is None
    assert table.untested.startswith("one round per cell")
    for effect in (table.rows, table.columns, table.interaction):
        assert effect.ss > 0
        assert (effect.f, effect.p, effect.eta) == (None, None, None)


def test_a_single_cell_with_two_values_is_enough_for_an_error() -> None:
    values = noisy(3, 4, 1)
    table = two_way([*values, Observation(0, 0, values[0].value + 0.01, 0)])
    assert table.error_df == 1
    assert table.interaction.f is not None


def test_values_that_are_equal_within_every_cell_are_not_tested() -> None:
    table = two_way(
        [Observation(r, c, 0.1 * r * r + 0.3 * c * r) for r in range(3) for c in range(3) for _ in range(3)]
    )
    assert "equal" in table.untested
    assert table.interaction.f is None


def test_rows_and_columns_that_never_cross_have_no_interaction() -> None:
    values = [
        Observation(r, c, r + 0.01 * n) for r, c in (("a", 1), ("a", 2), ("b", 3)) for r in (ord(r),) for n in (0, 1)
    ]
    table = two_way(values)
    assert (table.interaction.df, table.interaction.f) == (0, None)
    assert table.rows.df == 0  # b differs from a as column 3 does from the others


@settings(max_examples=20)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.integers(0, 1000))
def test_what_is_added_to_a_block_changes_nothing(shifts: list[float], seed: int) -> None:
    values = noisy(3, 3, 2, blocks=3, seed=seed)
    moved = [Observation(v.row, v.column, v.value + shifts[v.block], v.block) for v in values]  # type: ignore[call-overload]
    before, after = as_pairs(two_way(values)), as_pairs(two_way(moved))
    for name, (ss, df) in before.items():
        assert after[name][1] == df
        assert after[name][0] == pytest.approx(ss, rel=1e-6, abs=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_the_sums_of_a_balanced_table_add_up_to_the_whole(seed: int) -> None:
    values = noisy(3, 4, 2, seed=seed)
    whole = rss([v.value for v in values], [0] * len(values))[0]
    assert math.fsum(ss for ss, _ in as_pairs(two_way(values)).values()) == pytest.approx(whole)
