"""Options that cannot stand together, before anything is opened."""

from __future__ import annotations

import pytest

from energybench.errors import UsageError
from energybench.harness.opening import check_together
from energybench.harness.options import EnergyOptions
from energybench.metering.ranks import find_rank


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (EnergyOptions(resume=True, save=False), "--energy-resume reads and continues the journal, which"),
        (EnergyOptions(looks=(3, 5)), "--energy-looks decides after its own joules who goes on"),
        (EnergyOptions(project=True, stop_after="stable"), "--energy-stop-after decides after its own joules when"),
    ],
)
def test_ranks_decide_nothing_apart_and_a_resumed_sweep_has_its_journal(options: EnergyOptions, says: str) -> None:
    rank = find_rank({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"})
    assert rank is not None
    with pytest.raises(UsageError, match=says):
        check_together(options, rank)


def test_a_single_process_may_do_all_of_it() -> None:
    check_together(EnergyOptions(project=True, stop_after="stable", looks=(3, 5), resume=True), None)
    check_together(EnergyOptions(project=True), find_rank({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}))
