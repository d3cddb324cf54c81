"""What a case got out of its joules."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.analysis.efficiency import Efficiency, efficiency
from energybench.model import Case, Domain, Provenance, Round, Window

DOMAINS = (Domain("gpu:0", "nvml", Provenance.MEASURED), Domain("psys:0", "rapl", Provenance.MEASURED, in_total=False))


def trained(laps: list[float | None], **metrics: float) -> Case:
    """A round of 400 J and 8 s whose epochs took 1.5 s and the joules given."""
    epochs = tuple(Window(1.5, {"gpu:0": joules, "psys:0": 1e6}, label="epoch") for joules in laps)
    evaluation = Window(0.5, {"gpu:0": 20.0}, label="eval")
    return Case("f[a]", (Round(Window(8.0, {"gpu:0": 400.0}, laps=(*epochs, evaluation)), metrics),), domains=DOMAINS)


def test_the_first_epoch_stands_apart_from_the_mean_of_the_others() -> None:
    found = efficiency(trained([130.0, 90.0, 100.0, 110.0], accuracy=0.9, images=1000))
    assert (found.first_epoch_j, found.stable_epoch_j) == (130.0, 100.0)
    assert found.power_w == 50.0
    assert found.j_per_image == 0.4
    assert found.accuracy_per_kwh == pytest.approx(0.9 * 3.6e6 / 400)


def test_operations_and_bytes_are_those_of_the_epoch_laps_alone() -> None:
    case = trained([100.0] * 4, images=1200)
    facts = {"intensity": {"flops_per_image": 3e9, "bytes_per_image": 1e9, "covers": "one training step"}}
    found = efficiency(Case(case.id, case.rounds, domains=case.domains, facts=facts))
    assert found.gflop_per_s == pytest.approx(1200 * 3 / 6.0)
    assert found.gb_per_s == pytest.approx(1200 / 6.0)
    assert found.flops_per_byte == pytest.approx(3.0)
    assert found.covers == "one training step"


def test_an_inference_case_counts_its_whole_window() -> None:
    facts = {"intensity": {"flops_per_image": 3e9}, "inference": {"way": "eager"}}
    case = trained([], images=1200)
    assert efficiency(Case(case.id, case.rounds, domains=case.domains, facts=facts)).gflop_per_s == 1200 * 3 / 8.0
    plain = Case(case.id, case.rounds, domains=case.domains, facts={"intensity": facts["intensity"]})
    assert efficiency(plain).gflop_per_s is None


@pytest.mark.parametrize("wrong", [None, "many", -1, 0, float("nan"), True])
def test_an_unusable_count_is_absent(wrong: Any) -> None:
    case = trained([100.0], images=10)
    facts = {"intensity": {"flops_per_image": wrong, "bytes_per_image": wrong, "flops_per_byte": wrong}}
    found = efficiency(Case(case.id, case.rounds, domains=case.domains, facts=facts))
    assert (found.gflop_per_s, found.gb_per_s, found.flops_per_byte) == (None, None, None)


def test_what_was_not_recorded_is_absent_and_never_zero() -> None:
    assert efficiency(Case("f[a]")) == Efficiency()
    one = efficiency(trained([100.0]))
    assert (one.first_epoch_j, one.stable_epoch_j, one.j_per_image, one.accuracy_per_kwh) == (100.0, None, None, None)
    assert efficiency(trained([100.0, 90.0, None])).stable_epoch_j is None


def test_a_language_model_s_joules_are_per_token() -> None:
    assert efficiency(trained([], tokens=2000.0)).j_per_token == 0.2
