"""Compressors by the names of case ids."""

from __future__ import annotations

import pytest

from energybench.compress import COMPRESSORS, PAPER, Chain, LowRank, Perturbation, Pruning, StegoReduction, compressor
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
    ],
)
def test_an_unknown_name_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        compressor(name)
    assert said in str(refused.value)
