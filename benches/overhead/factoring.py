"""What does factoring cost? VGG16's largest layer at rank 512 against torch.linalg.svd, and the whole of VGG16.

    python benches/overhead/factoring.py [svd]

Two 4096 x 25088 matrices: `trained`, whose singular values fall like a power over a floor of noise, and `flat`, noise
alone. Printed are wall and CPU seconds, the peak of memory above what was there before (Linux), and the error
||W - W_r|| / ||W|| beside the optimum's, both in float64. `svd` times the peer too, which takes minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from energybench.compress import LowRank
from energybench.compress.spectrum import Spectrum
from energybench.lab.models import build

ROWS, COLUMNS, RANK = 4096, 25088, 512
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def trained(rows: int, columns: int) -> Tensor:
    """Singular values like i^-0.75 down to a floor: sigma_1 / sigma_512 is about 100 for the large layer."""
    parts = min(rows, columns, 1024)
    fall = torch.arange(1, parts + 1).float() ** -0.75
    return torch.randn(rows, parts).mul_(0.01 * fall) @ torch.randn(parts, columns) + flat(rows, columns).mul_(0.2)


def flat(rows: int, columns: int) -> Tensor:
    """Independent normal values, as a layer has them before training."""
    return torch.randn(rows, columns).mul_(0.01)


def errors(matrix: Tensor, first: Tensor, second: Tensor) -> tuple[float, float]:
    """The relative error of second @ first, and that of the best approximation of the same rank, in float64."""
    gram = torch.zeros(len(matrix), len(matrix), dtype=torch.float64)
    left, wide = 0.0, second.double()
    for columns, part in zip(matrix.split(512, 1), first.split(512, 1), strict=True):
        exact = columns.double()
        gram.addmm_(exact, exact.T)
        left += float((exact - wide @ part.double()).square().sum())
    total = float(gram.trace())
    return (left / total) ** 0.5, float(torch.linalg.eigvalsh(gram)[: -len(first)].sum() / total) ** 0.5


@contextmanager
def measured(name: str) -> Iterator[None]:
    """Print what the block took."""
    before = _memory("VmRSS")
    if before is not None:
        _RESET.write_text("5")  # the peak from here on
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = _memory("VmHWM")
    memory = f", {peak - before:.0f} MB above" if peak is not None and before is not None else ""
    print(f"{name:<34} {wall:7.1f} s wall {cpu:7.1f} s CPU{memory}", flush=True)


def _memory(key: str) -> float | None:
    if not _RESET.exists():
        return None
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024 / 1e6


def main(svd: bool) -> None:
    """Print all figures."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {ROWS} x {COLUMNS}, rank {RANK}")
    torch.manual_seed(0)
    flat(1024, 1024) @ flat(1024, 1024)  # threads and libraries are loaded
    for made in (trained, flat):
        matrix = made(ROWS, COLUMNS)
        with measured(f"{made.__name__}: Spectrum and its cut"):
            first, second = Spectrum("layer", matrix, RANK).factors(RANK)
        error, optimum = errors(matrix, first, second)
        print(f"  error {error:.7f}, optimum {optimum:.7f}, above it by {error - optimum:.1e}")
        if svd and made is trained:
            with measured(f"{made.__name__}: torch.linalg.svd"):
                left, values, right = torch.linalg.svd(matrix, full_matrices=False)
            error, _ = errors(matrix, right[:RANK], left[:, :RANK] * values[:RANK])
            print(f"  error {error:.7f}")
            del left, values, right
        del matrix, first, second
    model = build("vgg16", 1000, 224)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.detach().copy_(trained(*layer.weight.flatten(1).shape).view_as(layer.weight))
    size_mb = sum(parameter.nbytes for parameter in model.parameters()) / 1e6
    with measured(f"VGG16 ({size_mb:.0f} MB), energy 0.9"):
        report = LowRank(energy=0.9)(model).report
    print(f"  {len(report.ranks or {})} of {len(report.covered)} layers, rate {report.rate:.3f}")
    with measured("VGG16, half of its parameters"):
        report = LowRank(budget=0.5)(model, inplace=True).report
    print(f"  {len(report.ranks or {})} of {len(report.covered)} layers, rate {report.rate:.3f}")


if __name__ == "__main__":
    main("svd" in sys.argv[1:])
