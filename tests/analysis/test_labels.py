"""Names of runs that stand side by side."""

from __future__ import annotations

import pytest

from energybench.analysis.labels import labels
from energybench.errors import UsageError
from energybench.model import Run


def test_a_run_is_called_as_its_file_and_by_as_many_folders_as_tell_it_apart() -> None:
    assert labels([Run("/a/0001_x.json"), Run("/a/0002_y.json")]) == ["0001_x", "0002_y"]
    assert labels([Run("/a/m/0001_x.json"), Run("/b/m/0001_x.json")]) == ["a/m/0001_x", "b/m/0001_x"]
    assert labels([Run("C:\\a\\0001_x.json"), Run("D/0001_x.json")]) == ["a/0001_x", "D/0001_x"]


@pytest.mark.parametrize(
    "runs",
    [
        [Run("a/1.json"), Run("a/1.json")],
        [Run("a/1.json", session={"session": "s"}), Run("b/1.json", session={"session": "s"})],
    ],
    ids=["file", "copy"],
)
def test_a_run_is_given_once(runs: list[Run]) -> None:
    with pytest.raises(UsageError, match="1 was given twice, or a copy of it; name each session once"):
        labels(runs)
