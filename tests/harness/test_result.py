"""The result's numbers, from rounds that are known."""

from __future__ import annotations

import pytest

from energybench.errors import EnergybenchError
from energybench.harness.result import Result
from energybench.model import Case, Domain, Provenance, Round, Window

DOMAINS = (
    Domain("package:0", "replay", Provenance.REPLAYED),
    Domain("dram:0", "replay", Provenance.REPLAYED),
    Domain("psys:0", "replay", Provenance.REPLAYED, in_total=False),
)


def case(*joules: float | None) -> Case:
    rounds = tuple(
        Round(Window(2.0 + i, {"package:0": j, "dram:0": 1.0, "psys:0": 500.0}), {"accuracy": 0.5 + 0.1 * i}, seed=i)
        for i, j in enumerate(joules)
    )
    return Case("f.py::test_x[a]", rounds, domains=DOMAINS, pue=1.5)


def test_figures_are_means_over_the_rounds_and_only_kwh_carries_the_pue() -> None:
    result = Result(case(99.0, 199.0), "value")
    assert result.value == "value"
    assert result.joules == pytest.approx(150.0)
    assert result.it_kwh == pytest.approx(150.0 / 3.6e6)
    assert result.kwh == pytest.approx(1.5 * 150.0 / 3.6e6)
    assert result.seconds == pytest.approx(2.5)
    assert result.accuracy == pytest.approx(0.55)
    assert [round.seed for round in result.rounds] == [0, 1]


def test_a_round_without_a_full_reading_is_left_out_and_none_without_any() -> None:
    assert Result(case(99.0, None)).joules == pytest.approx(100.0)
    assert Result(case(None)).joules is None
    assert Result(case(None)).kwh is None


def test_what_is_not_there_raises_with_the_way_out() -> None:
    result = Result(case(1.0))
    with pytest.raises(EnergybenchError, match=r"^a has no return value: all its rounds came from an interrupted"):
        _ = result.value
    with pytest.raises(EnergybenchError, match=r"^a recorded no loss: call energy\.record\(loss=\.\.\.\)"):
        result.metric("loss")
