"""A world in which time and power follow power laws, so that what a regression should find is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from energybench.estimators.pre.observation import Observation

Make = Callable[..., Observation]


def law(gflops: float, batch: float, watts: float) -> tuple[float, float]:
    """Seconds per image and watts."""
    return 1e-3 * gflops**0.8 * batch**-0.25 * (100.0 / watts), watts * 0.4 * gflops**0.1


@pytest.fixture
def make() -> Make:
    """An observation that obeys the law, times `slower` in its seconds."""

    def observation(
        model: str = "m1",
        gflops: float = 1.0,
        *,
        batch: float = 32.0,
        watts: float = 100.0,
        device: str = "board",
        images: float = 1000.0,
        slower: float = 1.0,
        **fields: object,
    ) -> Observation:
        per_image_s, power_w = law(gflops, batch, watts)
        epoch_s = slower * images * per_image_s
        features = {"train_gflops_per_image": gflops, "batch": batch, "device_w": watts}
        values = {"model": model, "device": device, "features": features, "images": images, "meters": "gpu, measured"}
        return Observation(**{**values, "epoch_s": epoch_s, "epoch_j": epoch_s * power_w, **fields})  # type: ignore[arg-type]

    return observation


@pytest.fixture
def world(make: Make) -> list[Observation]:
    """Six models of 1 to 32 GFLOPs at two batch sizes on one device."""
    return [make(f"m{2**k}", 2.0**k, batch=batch) for k in range(6) for batch in (16.0, 64.0)]


@pytest.fixture
def boards(make: Make) -> list[Observation]:
    """Four models on each of four devices, which are told apart by their power limit."""
    return on_boards(make, (50.0, 100.0, 200.0, 400.0))


def on_boards(make: Make, watts: Sequence[float]) -> list[Observation]:
    """Four models on each of some devices."""
    return [make(f"m{2**k}", 2.0**k, watts=limit, device=f"board{limit:g}") for k in range(4) for limit in watts]
