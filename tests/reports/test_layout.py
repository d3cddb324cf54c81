"""What may be asked of the table of cases, and that every name has its column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.reports import layout
from energybench.reports.case_columns import Context, figure
from energybench.reports.layout import COLUMNS, GROUPS, Layout


@pytest.mark.parametrize("name", [*COLUMNS, "param:lr", "metric:loss"])
def test_every_name_is_a_column_that_also_cases_without_anything_can_be_sorted_by(name: str, make_case: Any) -> None:
    bare = make_case("bare", rounds=(), domains=())
    full = make_case("full-none", [10.0], accuracy=[0.5], params={"lr": 0.1}, metrics={"loss": 1.0})
    column = figure(name).column([bare, full], Context())
    assert len(column.cells) == 2
    assert layout.sort(f"{name}:desc") == ((name, True),)
    for case in (bare, full):
        assert isinstance(figure(name).value(case, Context()), (float, str, int, type(None)))


def test_names_are_read_with_blanks_and_each_counts_once() -> None:
    assert layout.columns(" kwh, joules ,kwh,") == ("kwh", "joules")
    assert layout.sort("model,kwh:desc,param:lr:asc") == (("model", False), ("kwh", True), ("param:lr", False))
    assert [layout.group_by(name) for name in (*GROUPS, "param:lr")] == [*GROUPS, "param:lr"]


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (layout.columns, "kwh,jouls", r"no column 'jouls' \(did you mean joules\?\); there are case, .*, param:NAME"),
        (layout.columns, "param:", "no column 'param:'"),
        (layout.columns, " , ", "expected names of columns, such as kwh,accuracy, not ' , '"),
        (layout.sort, "kwh:down", "no column 'kwh:down'"),
        (layout.sort, "", "expected names of columns to sort by, such as kwh or kwh:desc"),
        (layout.group_by, "kwh", "grouped by model, compressor, study, param:NAME or none, not by 'kwh'"),
    ],
)
def test_what_is_unknown_is_named_with_what_there_is(parse: Callable[[str], Any], text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse(text)


def test_a_parameter_that_no_case_has_is_named_with_those_they_have() -> None:
    asked = Layout(("kwh", "param:lr"), (("param:bits", True),), "param:lr")
    assert asked.params == ("lr", "bits")
    asked.check([{"lr": 1}, {"bits": 2}])
    with pytest.raises(UsageError, match="no case has a parameter 'bits': they have lr, model"):
        asked.check([{"lr": 1}, {"model": "a"}])
    with pytest.raises(UsageError, match="no case has a parameter 'lr': they have none"):
        asked.check([{}])
    Layout(("kwh",)).check([])
