"""AMD SMI: energy of AMD GPUs through AMD's package `amdsmi`, imported when the meter is opened.

The energy counter is tried, not guessed (`amdsmi_gpu.Trial`); where a card has none that counts, its power is sampled
and integrated by the trapezoid rule. Only the GPUs that HIP shows to this process are read, and a rank of a launcher
reads its own alone. Several GPUs may share one sensor (two dies, partitions): that card is read whole, once.

Tested with the real packages of ROCm 6.4 and 7.0 on a small libamd_smi.so in C; not run on hardware.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from energybench.metering.meter import Diagnosis, MeterOptions, Opened
from energybench.metering.ranks import find_rank

DRIVER_PLACES = (Path("/sys/module/amdgpu"), Path("/sys/class/kfd"))
"""Where the kernel has AMD's driver, one of them is there."""

_NO_PERMISSION, _NOT_LOADED = 10, 34  # AMDSMI_STATUS_NO_PERM, AMDSMI_STATUS_DRIVER_NOT_LOADED
_INSTALL_REMEDY = (
    "pip install amdsmi, of the release of the installed ROCm (or pip install /opt/rocm/share/amd_smi); until then "
    "hwmon's power sensors stand in"
)
_LIBRARY_REMEDY = "install ROCm's amd-smi-lib and the package amdsmi of the same release"
_GROUP_REMEDY = "sudo usermod -a -G render,video $USER, then log in again"
_DRIVER_REMEDY = "load the driver amdgpu; `amd-smi list` must work for this user"


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open every card of which this process may use a GPU; one that cannot be read leaves the others.

    Where the kernel has no AMD driver nothing is said, unless the meter was asked for by name. `covers` names the cards
    that are not this process's as well, also where no meter is opened: hwmon must not add them either. Raises
    UsageError where the environment's rank cannot be understood.
    """
    if "amdsmi" not in options.names and not any(place.exists() for place in DRIVER_PLACES):
        return Opened(None, ())
    # Only here: without an AMD GPU all of it would be loaded for nothing, which takes milliseconds.
    from energybench.metering.amdsmi_gpu import error_code, said, shut_down
    from energybench.metering.amdsmi_meter import open_cards

    rank = find_rank(os.environ)
    try:
        amdsmi = _import()
    except (ImportError, OSError, KeyError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "amdsmi":
            return _refused("absent", "the package amdsmi is not installed", _INSTALL_REMEDY)
        reason = f"the package amdsmi finds no libamd_smi.so, or one of another release ({said(error)})"
        return _refused("absent", reason, _LIBRARY_REMEDY)
    try:
        amdsmi.amdsmi_init()
    except amdsmi.AmdSmiException as error:
        code = error_code(error)
        if code == _NO_PERMISSION:
            return _refused("no-permission", "this user may not talk to the AMD driver", _GROUP_REMEDY)
        if code == _NOT_LOADED:
            return _refused("driver-error", "the AMD driver is not loaded", _DRIVER_REMEDY)
        return _refused("driver-error", f"amdsmi cannot be started: {said(error)}", _DRIVER_REMEDY)
    try:
        return open_cards(amdsmi, None if rank is None else rank.local_rank, options, covered)
    except amdsmi.AmdSmiException as error:
        shut_down(amdsmi)
        return _refused("driver-error", f"amdsmi cannot list the GPUs: {said(error)}", _DRIVER_REMEDY)


def _import() -> Any:
    """The package. Not finding its library, it prints that, and then fails at the first of its functions."""
    import contextlib
    import io
    from importlib import import_module

    with contextlib.redirect_stdout(io.StringIO()):
        return import_module("amdsmi")


def _refused(state: str, reason: str, remedy: str) -> Opened:
    return Opened(None, (Diagnosis("amdsmi", "gpu", state, reason, remedy),))
