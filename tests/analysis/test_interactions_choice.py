"""The cheapest combination within a loss."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from energybench.analysis.interactions_cells import Cell, Epoch
from energybench.analysis.interactions_choice import Choice, choices
from energybench.model import Case, Round, Window


def cell(
    model: str,
    setting: str,
    joules: Sequence[float],
    accuracy: float | None,
    f1: float | None = None,
    *,
    default: bool = False,
    images: float | None = 10.0,
) -> Cell:
    scores = {key: value for key, value in (("accuracy", accuracy), ("macro_f1", f1)) if value is not None}
    case = Case(model, (Round(Window(1.0), scores),), facts={"environment": {"default": default}})
    return Cell("r", case, model, setting, "", tuple(Epoch(j, 1.0, images) for j in joules), setting)


CELLS = [
    cell("good", "a", [100.0, 101.0], 0.97, 0.96, default=True),
    cell("good", "b", [60.0, 61.0], 0.96, 0.93),
    cell("small", "a", [20.0, 20.2], 0.955, 0.955, default=True),
    cell("small", "b", [10.0, 10.1], 0.90, 0.90),
]


def chosen(loss: float = 0.02, cells: Sequence[Cell] = CELLS) -> dict[tuple[str, str], Choice]:
    return {(choice.scope, score): choice for choice in choices(cells, loss) for score in choice.scores}


def test_the_cheapest_of_all_models_loses_no_more_than_was_allowed() -> None:
    choice = chosen()["all models", "accuracy"]
    assert (choice.cheapest.model, choice.cheapest.setting) == ("small", "a")
    assert (choice.within, choice.of) == (3, 4)
    assert choice.reference is CELLS[0]
    assert choice.lost("accuracy") == pytest.approx(0.015)
    assert choice.beside_dearest.saving == pytest.approx(0.8, abs=0.001)
    assert choice.beside_default is not None
    assert choice.default is CELLS[0]
    assert choice.beside_default.value == pytest.approx(choice.beside_dearest.value)


def test_accuracy_and_macro_f1_may_choose_differently() -> None:
    # `good` in b keeps its accuracy and loses three points of F1.
    found = chosen()
    assert found["good", "accuracy"].cheapest is CELLS[1]
    assert found["good", "macro_f1"].cheapest is CELLS[0]
    assert found["good", "macro_f1"].beside_dearest.saving == 0
    assert found["good", "macro_f1"].beside_dearest.basis == "the same combination"


def test_scores_that_choose_the_same_are_one_choice() -> None:
    choice = chosen()["small", "accuracy"]
    assert choice.scores == ("accuracy", "macro_f1")
    assert choice.cheapest is CELLS[2]


def test_a_loss_of_exactly_what_was_allowed_is_within() -> None:
    assert chosen(0.07)["all models", "accuracy"].cheapest is CELLS[3]
    assert chosen(0.0699)["all models", "accuracy"].cheapest is CELLS[2]


def test_nothing_may_be_lost() -> None:
    choice = chosen(0.0)["all models", "accuracy"]
    assert choice.cheapest is choice.dearest is CELLS[0]


def test_a_default_that_was_not_measured_is_absent() -> None:
    found = chosen(cells=CELLS[1:2] + CELLS[3:])["all models", "accuracy"]
    assert found.default is None
    assert found.beside_default is None


def test_cells_without_a_score_or_images_are_no_candidates() -> None:
    cells = [*CELLS[:2], cell("mute", "a", [1.0], None), cell("blank", "a", [1.0], 0.99, images=None)]
    choice = chosen(cells=cells)["all models", "accuracy"]
    assert choice.of == 2
    assert choice.cheapest is CELLS[1]


def test_one_combination_is_no_choice() -> None:
    assert choices(CELLS[:1], 0.02) == ()
