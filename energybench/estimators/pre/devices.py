"""What is printed on a GPU's data sheet, for features and formulas where a stored run does not say it.

Source: the product pages and data sheets of NVIDIA for each board (nvidia.com: CUDA cores, memory, memory bandwidth,
graphics card power or maximum thermal design power). A board's enforced power limit can be another one, as that of many
makers' RTX 3070: what NVML told in a run comes before this table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """A device as far as its data sheet or its runs tell; None where they do not."""

    name: str
    watts: float | None = None
    """rated or enforced power of one board"""
    cores: float | None = None
    """CUDA cores; of a CPU the threads that compute"""
    memory_gb: float | None = None
    gb_per_s: float | None = None
    """memory bandwidth, 1e9 bytes a second"""


_BOARDS = (
    Device("GeForce GTX 750 Ti", 60, 640, 2, 86.4),
    Device("GeForce GTX 1080 Ti", 250, 3584, 11, 484),
    Device("GeForce RTX 3070", 220, 5888, 8, 448),
    Device("GeForce RTX 3080", 320, 8704, 10, 760),
    Device("GeForce RTX 3090", 350, 10496, 24, 936),
    Device("GeForce RTX 4090", 450, 16384, 24, 1008),
    Device("Tesla T4", 70, 2560, 16, 300),
    Device("Tesla V100-SXM2-16GB", 300, 5120, 16, 900),
    Device("Tesla V100-SXM2-32GB", 300, 5120, 32, 900),
    Device("L4", 72, 7424, 24, 300),
    Device("L40S", 350, 18176, 48, 864),
    Device("A100-SXM4-40GB", 400, 6912, 40, 1555),
    Device("A100-PCIE-40GB", 250, 6912, 40, 1555),
    Device("A100-SXM4-80GB", 400, 6912, 80, 2039),
    Device("H100 PCIe", 350, 14592, 80, 2000),
    Device("H100 80GB HBM3", 700, 16896, 80, 3350),
    Device("H200", 700, 16896, 141, 4800),
)


def board(name: str) -> Device | None:
    """The board that NVML or a user calls `name`, with NVIDIA before it or not; None where the table lacks it."""
    plain = " ".join(name.replace("NVIDIA", " ").split()).casefold()
    exact = [entry for entry in _BOARDS if entry.name.casefold() == plain]
    if exact:
        return exact[0]
    # A user writes `rtx 3090` or `T4`; a name that fits two boards of unlike memory is no name.
    words = [entry for entry in _BOARDS if f" {plain} " in f" {entry.name.casefold()} "]
    return words[0] if len(words) == 1 else None


def boards() -> tuple[str, ...]:
    """The names of the table."""
    return tuple(entry.name for entry in _BOARDS)
