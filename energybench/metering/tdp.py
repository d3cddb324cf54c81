"""Rated power of well-known CPUs, for the estimate alone.

Source: the "TDP" (from the 12th generation "Processor Base Power") and "Total Threads" (Intel ARK, ark.intel.com) or
"Default TDP" and "# of Threads" (amd.com product specifications) that the maker publishes for each part. Parts
made for one cloud provider have no such page and are left out on purpose: an unknown CPU is said to be unknown.
"""

from __future__ import annotations

import re

# model -> (watts, threads), both of one socket
TDP: dict[str, tuple[float, int]] = {
    "EPYC 7313": (155, 32),
    "EPYC 7402P": (180, 48),
    "EPYC 7452": (155, 64),
    "EPYC 7502": (180, 64),
    "EPYC 7543": (225, 64),
    "EPYC 7551": (180, 64),
    "EPYC 7601": (180, 64),
    "EPYC 7713": (225, 128),
    "EPYC 7742": (225, 128),
    "EPYC 7763": (280, 128),
    "EPYC 9354": (280, 64),
    "EPYC 9454": (290, 96),
    "EPYC 9534": (280, 128),
    "EPYC 9554": (360, 128),
    "EPYC 9654": (360, 192),
    "Ryzen 5 3600": (65, 12),
    "Ryzen 5 5600X": (65, 12),
    "Ryzen 5 7600X": (105, 12),
    "Ryzen 7 2700X": (105, 16),
    "Ryzen 7 3700X": (65, 16),
    "Ryzen 7 5700X": (65, 16),
    "Ryzen 7 5800X": (105, 16),
    "Ryzen 7 7700X": (105, 16),
    "Ryzen 9 3900X": (105, 24),
    "Ryzen 9 3950X": (105, 32),
    "Ryzen 9 5900X": (105, 24),
    "Ryzen 9 5950X": (105, 32),
    "Ryzen 9 7950X": (170, 32),
    "Ryzen 9 9950X": (170, 32),
    "Ryzen Threadripper 1950X": (180, 32),
    "Ryzen Threadripper 2950X": (180, 32),
    "Ryzen Threadripper 2990WX": (250, 64),
    "Ryzen Threadripper 3960X": (280, 48),
    "Ryzen Threadripper 3970X": (280, 64),
    "Ryzen Threadripper 3990X": (280, 128),
    "Ryzen Threadripper PRO 5965WX": (280, 48),
    "Ryzen Threadripper PRO 5975WX": (280, 64),
    "Ryzen Threadripper PRO 5995WX": (280, 128),
    "Xeon E5-2620 v4": (85, 16),
    "Xeon E5-2650 v4": (105, 24),
    "Xeon E5-2680 v4": (120, 28),
    "Xeon E5-2690 v4": (135, 28),
    "Xeon E5-2698 v4": (135, 40),
    "Xeon Silver 4110": (85, 16),
    "Xeon Silver 4114": (85, 20),
    "Xeon Silver 4210": (85, 20),
    "Xeon Silver 4214": (85, 24),
    "Xeon Silver 4216": (100, 32),
    "Xeon Silver 4310": (120, 24),
    "Xeon Silver 4314": (135, 32),
    "Xeon Gold 6130": (125, 32),
    "Xeon Gold 6148": (150, 40),
    "Xeon Gold 6226R": (150, 32),
    "Xeon Gold 6230": (125, 40),
    "Xeon Gold 6248": (150, 40),
    "Xeon Gold 6248R": (205, 48),
    "Xeon Gold 6330": (205, 56),
    "Xeon Gold 6338": (205, 64),
    "Xeon Gold 6430": (270, 64),
    "Xeon Platinum 8160": (150, 48),
    "Xeon Platinum 8168": (205, 48),
    "Xeon Platinum 8180": (205, 56),
    "Xeon Platinum 8260": (165, 48),
    "Xeon Platinum 8280": (205, 56),
    "Xeon Platinum 8358": (250, 64),
    "Xeon Platinum 8380": (270, 80),
    "Xeon Platinum 8468": (350, 96),
    "Xeon Platinum 8480+": (350, 112),
    "Core i5-8250U": (15, 8),
    "Core i5-8400": (65, 6),
    "Core i7-6700": (65, 8),
    "Core i7-6700K": (91, 8),
    "Core i7-7700": (65, 8),
    "Core i7-7700K": (91, 8),
    "Core i7-8550U": (15, 8),
    "Core i7-8565U": (15, 8),
    "Core i7-8700": (65, 12),
    "Core i7-8700K": (95, 12),
    "Core i7-9750H": (45, 12),
    "Core i7-10700K": (125, 16),
    "Core i7-10750H": (45, 12),
    "Core i7-12700K": (125, 20),
    "Core i7-13700K": (125, 24),
    "Core i9-7900X": (140, 20),
    "Core i9-9900K": (95, 16),
    "Core i9-10900K": (125, 20),
    "Core i9-10980XE": (165, 36),
    "Core i9-12900K": (125, 24),
    "Core i9-13900K": (125, 32),
    "Core i9-14900K": (125, 32),
}

DEFAULT_W_PER_CPU = 4.0
"""Watts per busy logical CPU of a part that the table does not know: between its servers (2 to 4) and desktops
(3 to 12). CodeCarbon assumes the same."""


def watts_per_cpu(model: str) -> float | None:
    """TDP divided by threads of the CPU whose model name the system gives as `model`; None where it is unknown."""
    plain = re.sub(r"\((?:R|TM)\)|\bCPU\b|@.*", " ", model)
    words = f" {' '.join(plain.split())} "
    entry = next((value for key, value in TDP.items() if f" {key} " in words), None)
    return None if entry is None else entry[0] / entry[1]
