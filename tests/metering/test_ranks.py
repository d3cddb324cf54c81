"""Ranks, against the variables that each launcher documents or sets in its source."""

from __future__ import annotations

import pytest

from energybench.errors import UsageError
from energybench.metering.ranks import Rank, find_rank

TORCHRUN = {"LOCAL_RANK": "1", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "none"}
OPEN_MPI = {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}
HYDRA = {"MPI_LOCALRANKID": "3", "MPI_LOCALNRANKS": "4", "PMI_RANK": "3", "PMI_SIZE": "4", "PMI_FD": "9"}
MVAPICH2 = {"MV2_COMM_WORLD_LOCAL_RANK": "1", "MV2_COMM_WORLD_RANK": "1", "MV2_COMM_WORLD_SIZE": "2"}
BATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
STEP = {**BATCH, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        (TORCHRUN, Rank(5, 8, 1, "torchrun")),
        (OPEN_MPI, Rank(2, 4, 0, "Open MPI")),
        (HYDRA, Rank(3, 4, 3, "MPICH/Hydra")),
        ({**HYDRA, "I_MPI_MPIRUN": "mpirun"}, Rank(3, 4, 3, "Intel MPI")),
        (MVAPICH2, Rank(1, 2, 1, "MVAPICH2")),
        (STEP, Rank(2, 4, 0, "Slurm")),
    ],
    ids=lambda value: value.launcher if isinstance(value, Rank) else "",
)
def test_each_launcher_is_known_by_its_own_variables(environment: dict[str, str], rank: Rank) -> None:
    assert find_rank(environment) == rank


def test_the_lowest_local_rank_of_each_host_is_the_one_with_number_0() -> None:
    ranks = [find_rank({**TORCHRUN, "RANK": str(rank), "LOCAL_RANK": str(rank % 4)}) for rank in range(8)]
    assert [rank.rank for rank in ranks if rank is not None and rank.is_lowest] == [0, 4]


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        ({**STEP, **TORCHRUN}, "torchrun"),
        ({**OPEN_MPI, **TORCHRUN}, "torchrun"),
        ({**STEP, **OPEN_MPI}, "Open MPI"),
        ({**STEP, **HYDRA}, "MPICH/Hydra"),
        ({**HYDRA, **MVAPICH2}, "MVAPICH2"),
        ({**STEP, "PMI_RANK": "2", "PMI_SIZE": "4"}, "Slurm"),  # srun --mpi=pmi2 sets no local rank of Hydra's
    ],
)
def test_the_innermost_of_several_launchers_decides(environment: dict[str, str], launcher: str) -> None:
    found = find_rank(environment)
    assert found is not None
    assert found.launcher == launcher


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PATH": "/bin", "RANK": "3"},
        {"RANK": "1", "WORLD_SIZE": "2"},  # what a cluster operator sets for each pod: no rank of a host
        {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1"},
        {"LOCAL_RANK": "", "RANK": "", "WORLD_SIZE": ""},
        {**STEP, "LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1"},  # four runs of one process each
    ],
)
def test_one_process_alone_has_no_rank(environment: dict[str, str]) -> None:
    assert find_rank(environment) is None


@pytest.mark.parametrize(
    "environment",
    [
        BATCH,
        {**BATCH, "SLURM_STEP_NUM_TASKS": "4"},
        {**STEP, "SLURM_STEP_ID": str(0xFFFFFFFA)},  # the interactive step that salloc opens a shell in
        {**STEP, "SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_the_body_of_a_batch_script_is_one_process_however_many_tasks_the_job_has(environment: dict[str, str]) -> None:
    assert find_rank(environment) is None


@pytest.mark.parametrize("value", ["two", "-1", "1.0", "²", " 1"])
def test_a_value_that_is_no_number_is_refused_by_name(value: str) -> None:
    with pytest.raises(UsageError, match=r"LOCAL_RANK is .*no whole number") as refused:
        find_rank({**TORCHRUN, "LOCAL_RANK": value})
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize("wrong", [{"RANK": "8"}, {"LOCAL_RANK": "8"}, {"WORLD_SIZE": "0"}, {"WORLD_SIZE": "5"}])
def test_ranks_beyond_the_number_of_processes_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="do not fit together"):
        find_rank({**TORCHRUN, **wrong})


def test_what_does_not_decide_need_not_be_sound() -> None:
    assert find_rank({**TORCHRUN, "OMPI_COMM_WORLD_RANK": "x", "SLURM_STEP_ID": "y"}) == Rank(5, 8, 1, "torchrun")
