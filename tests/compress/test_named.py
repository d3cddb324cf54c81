"""Compressors by the names of case ids."""

from __future__ import annotations

import pytest

from energybench.compress import (
    COMPRESSORS,
    PAPER,
    Chain,
    ChannelPruning,
    LowRank,
    Perturbation,
    Pruning,
    StegoReduction,
    compressor,
)
from energybench.errors import UsageError


@pytest.mark.parametrize("name", sorted(set(COMPRESSORS) - {"none"}))
def test_every_name_gives_a_compressor_with_the_tolerance(name: str) -> None:
    made = compressor(name, tolerance=0.03, relative=True)
    assert (made.tolerance, made.relative) == (0.03, True)
    assert made.sought


def test_the_papers_four_are_the_plain_ones() -> None:
    assert [type(compressor(name)) for name in PAPER[1:]] == [StegoReduction, Pruning, LowRank]
    assert compressor("stego") == StegoReduction()


def test_names_joined_by_plus_are_a_chain_in_that_order() -> None:
    chain = compressor("lowrank+prune+stego", tolerance=0.02)
    assert chain == Chain((LowRank(tolerance=0.02), Pruning(tolerance=0.02), StegoReduction(tolerance=0.02)))


def test_a_value_behind_at_is_given_instead_of_searched_for() -> None:
    assert compressor("channels@0.5") == ChannelPruning(0.5)
    assert compressor("stego@1", tolerance=0.02) == StegoReduction(1, tolerance=0.02)
    assert compressor("lowrank@0.9") == LowRank(energy=0.9)
    assert compressor("lowrank_global@0.5") == LowRank(budget=0.5, allocation="global")
    chain = compressor("lowrank@0.9+prune@1+stego_epoch@16")
    assert chain == Chain((LowRank(energy=0.9), Pruning(1.0), StegoReduction(16, when="epoch")))
    assert chain.sought == ""


def test_noise_imitates_the_steganographic_reduction() -> None:
    assert compressor("noise", tolerance=0.02) == Perturbation(StegoReduction(tolerance=0.02))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stegoo", "did you mean stego?"),
        ("zip", "there are none, stego"),
        ("prune+zip", "unknown compressor 'zip'"),
        ("none+stego", "none cannot be part"),
        ("", "unknown compressor ''"),
        ("zip@3", "unknown compressor 'zip'"),
        ("none@3", "has no parameter that a search finds"),
        ("prune@half", "'half' is no number; it is given as in channels@0.5"),
        ("stego@16.5", "'16.5' is no number"),
        ("stego@33", "bits must be whole numbers from 0 to 32"),
        ("channels@1", "amount must be"),
    ],
)
def test_an_unknown_name_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        compressor(name)
    assert said in str(refused.value)
