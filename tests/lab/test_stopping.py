"""The rules that end a fine-tune, on scripted validations."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from energybench.lab.stopping import EarlyStopping, FixedEpochs, UntilTarget


@dataclass
class Seen:
    loss: float = 1.0
    accuracy: float = 0.5


@pytest.mark.parametrize(
    ("losses", "patience", "stops_at", "best"),
    [
        # The first epoch always improves on nothing; three small falls in a row are not improvements.
        ([1.0, 0.99, 0.98, 0.97, 0.5], 3, 4, 4),
        # Falls of more than 0.05 count against the last that did, so a slow slide adds up.
        ([1.0, 0.96, 0.94, 0.92, 0.88, 0.80], 3, None, 6),
        ([1.0, 2.0, 2.0, 0.9, 2.0, 2.0, 2.0], 3, 7, 4),
        ([1.0, 1.0], 1, 2, 1),
        ([1.0, 1.0, 1.0, 1.0, 1.0], 0, None, 1),
    ],
)
def test_early_stopping_counts_epochs_without_improvement(
    losses: list[float], patience: int, stops_at: int | None, best: int
) -> None:
    stopping = EarlyStopping(patience, 0.05)
    seen = (Seen(loss) for loss in losses)
    stopped = next((number for number, one in enumerate(seen, 1) if stopping.update(one)), None)
    assert stopped == stops_at
    assert stopping.best_epoch == best


def test_fixed_epochs_never_stop_by_themselves_and_set_the_limit() -> None:
    rule = FixedEpochs(4)
    assert rule.limit(90) == 4
    assert not rule.looks_first
    assert [rule.update(Seen(loss)) for loss in (1.0, 0.5, 0.7, 0.9)] == [False] * 4
    assert (rule.best_epoch, rule.reached) == (2, None)


def test_a_target_is_reached_at_equality_and_counts_before_the_first_epoch() -> None:
    rule = UntilTarget(0.9)
    assert rule.looks_first
    assert not rule.restores
    assert not rule.look(Seen(accuracy=0.899))
    assert rule.reached is False
    assert rule.update(Seen(accuracy=0.9))
    assert rule.reached
    assert UntilTarget(0.9).look(Seen(accuracy=0.9))


def test_a_target_may_take_longer_than_the_recipe_where_that_is_said() -> None:
    assert UntilTarget(0.9).limit(5) == 5
    assert UntilTarget(0.9, most=15).limit(5) == 15
