"""The order of passes as arithmetic, and the promise of a next round, which keeps what lies above the test."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.harness.order import NextRound, grouped, rotated


def test_the_promise_hangs_where_the_case_hangs_and_is_another_item(pytester: pytest.Pytester) -> None:
    item, other = pytester.getitems("""
        class TestGroup:
            def test_a(self): pass

        def test_b(): pass
        """)
    promised = NextRound.of(item, lambda: other)
    assert promised.listchain()[:-1] == item.listchain()[:-1]
    assert promised is not item
    assert promised.nodeid != item.nodeid
    assert promised.follows() is other
    assert not getattr(promised, "fixturenames", ())


def spread(order: list[list[int]]) -> float:
    """Of a drift of 1 over the session: the mean share in the case that got most of it, above that of the least."""
    places: dict[int, list[int]] = {}
    for place, case in enumerate(case for one_round in order for case in one_round):
        places.setdefault(case, []).append(place)
    means = [fmean(taken) for taken in places.values()]
    return (max(means) - min(means)) / sum(map(len, order))


def test_of_a_linear_drift_the_rotation_leaves_a_tenth_between_36_cases_in_3_rounds() -> None:
    models = [[4 * model + compressor for compressor in range(4)] for model in range(9)]
    cases = [[case] for model in models for case in model]
    blocks = [[case] * 3 for (case,) in cases]
    ascending = [rotated(models, 0, 3)] * 3
    assert spread(blocks) == pytest.approx(0.972, abs=0.001)
    assert spread(ascending) == pytest.approx(0.324, abs=0.001)
    for groups in (models, cases):
        assert spread([rotated(groups, index, 3) for index in range(3)]) == pytest.approx(0.102, abs=0.001)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(1, 9))
def test_every_round_has_every_member_once_and_a_groups_members_side_by_side(sizes: list[int], rounds: int) -> None:
    groups = [[(number, member) for member in range(size)] for number, size in enumerate(sizes)]
    starts = []
    for index in range(rounds):
        order = rotated(groups, index, rounds)
        first = order[0][0]
        assert order == [member for group in (*groups[first:], *groups[:first]) for member in group]
        starts.append(first)
    assert starts[0] == 0
    assert starts == sorted(starts)
    if rounds <= len(groups):  # one turn in all, in steps that differ by one at most
        steps = [after - before for before, after in zip(starts, [*starts[1:], len(groups)], strict=True)]
        assert max(steps) - min(steps) <= 1
    assert rotated(groups, -2, rounds) == rotated(groups, 0, rounds)


def test_neighbours_of_one_model_are_a_group_and_whatever_has_no_model_stands_alone(pytester: pytest.Pytester) -> None:
    items = pytester.getitems("""
        import pytest

        class Array:
            def __eq__(self, other):
                raise ValueError("the truth value of an array is ambiguous")

        one = Array()

        @pytest.mark.parametrize(("model", "compressor"), [("a", 1), ("a", 2), ("b", 1), ("a", 3), (1, 1), (True, 1)])
        def test_model(model, compressor): pass

        @pytest.mark.parametrize("size", [1, 1])
        def test_size(size): pass

        @pytest.mark.parametrize("model", [one, one, Array(), Array()])
        def test_object(model): pass

        def test_plain(): pass
        """)
    assert [[item.name for item in group] for group in grouped(items)] == [
        ["test_model[a-1]", "test_model[a-2]"],
        ["test_model[b-1]"],
        ["test_model[a-3]"],
        ["test_model[1-1]"],
        ["test_model[True-1]"],
        ["test_size[1_0]"],
        ["test_size[1_1]"],
        ["test_object[model0]", "test_object[model1]"],
        ["test_object[model2]"],
        ["test_object[model3]"],
        ["test_plain"],
    ]
