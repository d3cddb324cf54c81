"""A case like any other: it knows nothing of the meter."""

from __future__ import annotations

import time
from typing import Any


def test_sleep(energy: Any) -> None:
    run = energy(time.sleep, 1.5)
    assert run.seconds > 1.4
