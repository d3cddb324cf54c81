"""Which process of a distributed run this is, read from what its launcher put into the environment.

Each rank reads its own GPU; the lowest local rank of each host reads what the host has once: CPU packages and DRAM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from energybench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Rank:
    """One process of a distributed run of at least two."""

    rank: int
    """among all processes, from 0"""
    world_size: int
    """how many processes there are"""
    local_rank: int
    """among the processes of this host, from 0"""
    launcher: str
    """`torchrun`, `Open MPI`, `MVAPICH2`, `Intel MPI`, `MPICH/Hydra`, `Slurm`"""

    @property
    def is_lowest(self) -> bool:
        """Whether it is the one process of its host that reads CPU and DRAM."""
        return self.local_rank == 0


class _Launcher(NamedTuple):
    """The variables that a launcher sets for each process it starts."""

    name: str
    local_rank: str
    rank: str
    world_size: str


# The innermost first: each of these is started inside the ones below it (torchrun in a task of srun), not around them.
# MVAPICH2's own launcher sets Hydra's variables too.
_LAUNCHERS = (
    _Launcher("torchrun", "LOCAL_RANK", "RANK", "WORLD_SIZE"),
    _Launcher("Open MPI", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    _Launcher("MVAPICH2", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    _Launcher("MPICH/Hydra", "MPI_LOCALRANKID", "PMI_RANK", "PMI_SIZE"),
    _Launcher("Slurm", "SLURM_LOCALID", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
_SLURM_SPECIAL_STEPS = 0xFFFFFFF0
"""From here on a step id stands for a batch script or an interactive shell: one process, whatever the job asked for."""


def find_rank(environment: Mapping[str, str]) -> Rank | None:
    """This process's place in a distributed run; None where no launcher started it, or it is the only process.

    A launcher counts where all three of its variables are set; the innermost one decides, also where its world is one
    process. Under Slurm only a step of srun counts, by its own number of tasks: in the body of a batch script
    SLURM_PROCID is 0 and SLURM_NTASKS what the job asked for, while one process runs. Raises UsageError for a value
    that is no number, and for ranks that do not fit the number of processes.
    """
    for launcher in _LAUNCHERS:
        if not all(environment.get(name) for name in launcher[1:]):
            continue
        if launcher.name == "Slurm" and not _in_step(environment):
            continue
        local_rank, rank, world_size = (_number(environment, name) for name in launcher[1:])
        if world_size == 1:
            return None
        if max(rank, local_rank) >= world_size:
            raise UsageError(
                f"the environment's {launcher.rank}={rank}, {launcher.local_rank}={local_rank} and "
                f"{launcher.world_size}={world_size} do not fit together: unset what is left of an earlier run."
            )
        intel = launcher.name == "MPICH/Hydra" and any(name.startswith("I_MPI_") for name in environment)
        return Rank(rank, world_size, local_rank, "Intel MPI" if intel else launcher.name)
    return None


def _in_step(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("SLURM_STEP_ID")) and _number(environment, "SLURM_STEP_ID") < _SLURM_SPECIAL_STEPS


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not (text.isascii() and text.isdigit()):
        raise UsageError(
            f"the environment variable {name} is {text!r}, which is no whole number from 0 on: the launcher sets it, "
            "so unset it where the run was started without one."
        )
    return int(text)
