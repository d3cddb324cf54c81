"""PRE on the public runs of the SEAA 2023 replication package, which are not part of this project.

S. del Rey, S. Martinez-Fernandez, L. Cruz, X. Franch, doi 10.5281/zenodo.7828518, CC BY 4.0: 369 trainings of five
models on three GPUs. ENERGYBENCH_DELREY_CSV names the file.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from energybench.estimators.pre.check import CheckRow, ErrorRow, check_observations, errors
from energybench.estimators.pre.observation import FORWARD_SHARE, Observation

FILE = os.environ.get("ENERGYBENCH_DELREY_CSV", "")

pytestmark = pytest.mark.skipif(
    not FILE, reason="ENERGYBENCH_DELREY_CSV does not name the public runs of doi 10.5281/zenodo.7828518"
)


def public_runs(path: Path) -> list[Observation]:
    """An epoch is the whole training over its epochs, validation included. GFLOPs there are those of a forward pass."""
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            epochs = float(row["trained epochs"])
            found.append(
                Observation(
                    model=row["architecture"],
                    device=row["gpu model"],
                    features={
                        "train_gflops_per_image": 3 * float(row["GFLOPs"]),
                        "batch": float(row["batch size"]),
                        "device_w": float(row["max power limit (W)"]),
                    },
                    images=float(row["training size"]) + FORWARD_SHARE * float(row["validation size"]),
                    epoch_s=3600 * float(row["training duration (h)"]) / epochs,
                    epoch_j=1e6 * float(row["energy (MJ)"]) / epochs,
                    meters="gpu, integrated",
                    source=f"{row['training environment']} {row['architecture']} {row['run']}",
                    utilisation=float(row["gpu usage (%)"]) / 100,
                )
            )
    return found


@pytest.fixture(scope="module")
def rows() -> tuple[CheckRow, ...]:
    return check_observations(public_runs(Path(FILE)))


@pytest.fixture(scope="module")
def table(rows: tuple[CheckRow, ...]) -> dict[tuple[str, str, str], ErrorRow]:
    return {(row.method, row.quantity, row.left_out): row for row in errors(rows)}


def test_the_file_is_the_one_that_the_figures_are_of(rows: tuple[CheckRow, ...]) -> None:
    energy = [row for row in rows if row.quantity == "epoch_j" and row.left_out == "model"]
    assert len(energy) == 369
    assert len({row.group for row in energy}) == 5


def test_the_calculators_miss_as_the_paper_found(table: dict[tuple[str, str, str], ErrorRow]) -> None:
    assert table["TDP x t", "epoch_j", ""].mean_error == pytest.approx(0.607, abs=0.001)
    assert table["TDP x utilisation x t", "epoch_j", ""].mean_error == pytest.approx(0.341, abs=0.001)


def test_mean_power_of_a_model_that_was_never_seen_is_predicted_within_a_quarter(
    table: dict[tuple[str, str, str], ErrorRow],
) -> None:
    """With the true duration this is the error of the energy, as the calculators have it: below both of them."""
    power = table["PRE", "power_w", "model"]
    assert power.mean_error < 0.12
    assert power.mean_error < table["TDP x utilisation x t", "epoch_j", ""].mean_error
    assert table["PRE", "power_w", "device"].mean_error < 0.15


def test_energy_of_an_epoch_without_its_duration_beats_tdp_and_no_more(
    table: dict[tuple[str, str, str], ErrorRow],
) -> None:
    """GFLOPs do not say how long an epoch takes: NASNet's takes longer than ResNet50's at a seventh of the GFLOPs."""
    energy = table["PRE", "epoch_j", "model"].mean_error
    assert (
        table["TDP x utilisation x t", "epoch_j", ""].mean_error < energy < table["TDP x t", "epoch_j", ""].mean_error
    )


def test_intervals_of_models_that_were_never_seen_cover_what_they_say(
    table: dict[tuple[str, str, str], ErrorRow],
) -> None:
    for quantity in ("power_w", "epoch_s", "epoch_j"):
        coverage = table["PRE", quantity, "model"].coverage
        assert coverage is not None
        assert 0.80 <= coverage <= 0.98
