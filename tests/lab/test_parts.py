from __future__ import annotations

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from energybench.lab.parts import PARTS, cut
from energybench.lab.profiles import Recipe


@settings(max_examples=50, deadline=None)
@given(
    images=st.integers(10, 400),
    sizes=st.tuples(*(st.integers(1, 200),) * 3, st.integers(0, 200), st.integers(0, 200)),
    seed=st.integers(0, 5),
)
@example(images=10, sizes=(1, 1, 1, 6, 6), seed=0)
def test_parts_are_disjoint_fixed_by_seed_and_never_larger_than_asked(
    images: int, sizes: tuple[int, ...], seed: int
) -> None:
    evaluation, search, validation, train, pretraining = sizes
    asked = Recipe(
        evaluation_images=evaluation,
        search_images=search,
        validation_images=validation,
        train_images=train,
        pretrain_images=pretraining,
    )
    parts = cut(images, asked, seed)
    every = torch.cat([parts[name] for name in PARTS])
    assert len(every.unique()) == len(every) <= images
    assert all(len(parts[name]) > 0 for name in ("evaluation", "search", "validation", "train"))
    assert all(0 <= int(index) < images for index in every)
    again = cut(images, asked, seed)
    assert all(torch.equal(parts[name], again[name]) for name in PARTS)
    if sum(sizes) <= images and train:
        assert [len(parts[name]) for name in PARTS] == list(sizes)
