"""The value types and what they derive."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.model import Case, Domain, Mark, Provenance, Round, Run, Span, Window, mean, weakest

MIXED = (
    Domain("package:0", "rapl", Provenance.MEASURED),
    Domain("ram", "estimate", Provenance.ESTIMATED),
    Domain("psys:0", "rapl", Provenance.MEASURED, in_total=False),
)


def mixed(*joules: dict[str, float | None]) -> Case:
    return Case("f.py::test_f[a-b]", tuple(Round(Window(2.0, j)) for j in joules), domains=MIXED)


def test_an_absent_domain_makes_the_total_absent_and_not_too_low() -> None:
    window = Window(1.0, {"package:0": 5.0, "ram": None})
    assert window.total_j(["package:0"]) == 5.0
    assert window.total_j(["package:0", "ram"]) is None
    assert window.total_j(["package:0", "gpu:0"]) is None
    assert window.total_j([]) is None


def test_a_domain_outside_the_total_is_never_added() -> None:
    case = mixed({"package:0": 10.0, "ram": 2.0, "psys:0": 99.0})
    assert case.joules() == (12.0,)
    assert case.total_domains == ("package:0", "ram")


def test_a_verdict_rests_on_counters_where_there_are_any() -> None:
    case = mixed({"package:0": 10.0, "ram": 2.0})
    assert case.verdict_domains == ("package:0",)
    assert case.verdict_provenance is Provenance.MEASURED
    assert case.provenance is Provenance.ESTIMATED
    assert case.measured_share == pytest.approx(10 / 12)


def test_an_estimated_case_is_judged_on_its_estimates() -> None:
    case = Case("f", domains=MIXED[1:2])
    assert case.verdict_domains == ("ram",)
    assert case.verdict_provenance is Provenance.ESTIMATED


def test_a_case_without_domains_has_no_provenance_and_no_energy() -> None:
    case = Case("f", (Round(Window(1.0)),))
    assert case.provenance is None
    assert case.mean_j is None
    assert case.mean_kwh is None
    assert case.measured_share is None


def test_kwh_include_pue_and_joules_do_not() -> None:
    case = Case("f", (Round(Window(1.0, {"ram": 3.6e6})),), domains=MIXED[1:2], pue=1.5)
    assert case.mean_j == 3.6e6
    assert case.mean_kwh == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("id", "short"),
    [
        ("benches/f.py::test_f[resnet18-stego]", "resnet18-stego"),
        ("f.py::TestA::test_plain", "test_plain"),
        ("f.py::test_f[x[0]]", "x[0]"),
        ("f.py::TestA::test_f[a::b]", "a::b"),
        ("folder[1]/f.py::test_f[k.py::v]", "k.py::v"),
    ],
)
def test_the_short_id_is_the_bracketed_part_uncut(id: str, short: str) -> None:
    assert Case(id).short_id == short


def test_a_case_is_named_by_its_function_and_parameters_without_file_and_class() -> None:
    case = Case("folder[1]/f.py::TestA::test_f[a::b]")
    assert (case.function, case.name) == ("test_f", "test_f[a::b]")
    assert (Case("f.py::test_g").function, Case("f.py::test_g").name) == ("test_g", "test_g")


def test_the_weakest_provenance_wins() -> None:
    assert weakest([Provenance.MEASURED, Provenance.REPLAYED, Provenance.ESTIMATED]) is Provenance.REPLAYED
    assert weakest([]) is None


def test_a_mean_leaves_out_what_is_absent() -> None:
    assert mean([1.0, None, 3.0]) == 2.0
    assert mean([None]) is None


def test_epochs_are_the_laps_before_what_was_recorded_and_absent_where_there_is_neither() -> None:
    laps = (Window(1.0, label="epoch"), Window(1.0, label="epoch"), Window(1.0, label="eval"))
    assert Round(Window(3.0, laps=laps), {"epochs": 7}).epochs == 2
    assert Round(Window(3.0), {"epochs": 7}).epochs == 7
    assert Round(Window(3.0)).epochs is None
    assert Round(Window(3.0), {"epochs": 0.0}).epochs == 0
    assert Round(Window(3.0), {"epochs": None}).epochs is None


def test_means_over_rounds_leave_out_the_rounds_that_recorded_none() -> None:
    rounds = (Round(Window(1.0), {"accuracy": 0.5}), Round(Window(3.0), {"accuracy": 0.7}), Round(Window(5.0)))
    case = Case("f.py::test_f", rounds)
    assert case.mean_metric("accuracy") == pytest.approx(0.6)
    assert case.mean_metric("accuracy") == case.mean_metric("accuracy")  # kept, not taken from a used-up iterator
    assert case.mean_metric("f1") is None
    assert case.mean_seconds == pytest.approx(3.0)
    assert case.epochs == (None, None, None)
    assert Case("f.py::test_f").mean_seconds is None


def test_a_run_is_named_by_its_file_and_finds_its_cases() -> None:
    run = Run("/somewhere/Linux/0003_run1.json", (Case("a"), Case("b")))
    assert run.name == "0003_run1"
    found = run.case("b")
    assert found is not None
    assert found.id == "b"
    assert run.case("c") is None


def test_values_cannot_be_changed(make_case: Any) -> None:
    with pytest.raises(AttributeError):
        make_case().id = "other"


def test_columns_of_unlike_rounds_say_where_a_value_is_absent() -> None:
    rounds = (
        Round(Window(1.0, {"a": 1.0, "b": 2.0}, marks=(Mark.SHARED,)), {"accuracy": 0.5}, seed=1),
        Round(Window(2.0, {"b": None, "c": 3.0}, laps=(Window(1.0, label="epoch"),)), trace=Span("t", 0.0, 1.0)),
    )
    columns = Case("c", rounds).columns
    assert columns.joules == {"a": (1.0, None), "b": (2.0, None), "c": (None, 3.0)}
    assert columns.total_j(("a", "b")) == (3.0, None)
    assert columns.total_j(("b", "c")) == (None, None)
    assert columns.total_j(()) == (None, None)
    assert columns.total_j(("nowhere",)) == (None, None)
    assert columns.metric("accuracy") == (0.5, None)
    assert columns.metric("nothing") == (None, None)
    assert columns.epochs == (None, 1.0)
    assert (columns.seeds, columns.marks) == ((1, 0), (Mark.SHARED,))
