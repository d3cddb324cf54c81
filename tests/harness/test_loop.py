"""The promise of a next round keeps what lies above the test and nothing of the test itself."""

from __future__ import annotations

import pytest

from energybench.harness.loop import NextRound


def test_it_hangs_where_the_case_hangs_and_is_another_item(pytester: pytest.Pytester) -> None:
    item, other = pytester.getitems("""
        class TestGroup:
            def test_a(self): pass

        def test_b(): pass
        """)
    promised = NextRound.of(item, other)
    assert promised.listchain()[:-1] == item.listchain()[:-1]
    assert promised is not item
    assert promised.nodeid != item.nodeid
    assert promised.following is other
    assert not getattr(promised, "fixturenames", ())
