"""Which cases are on the front of energy and accuracy, and which joined or left it."""

from __future__ import annotations

from dataclasses import replace

from energybench.analysis.compare import compare_cases
from energybench.analysis.fronts import FrontChange, front_changes
from energybench.analysis.report import Report
from energybench.model import Case, Status


def compared(make_case, old: dict[str, tuple[float, float]], new: dict[str, tuple[float, float]]) -> Report:
    def case(id: str, joules: float, accuracy: float) -> Case:
        return make_case(id, (joules,), accuracy=(accuracy,), params={"model": id.partition("-")[0]})

    return compare_cases([case(id, *old[id]) for id in old], [case(id, *new[id]) for id in new])


def test_a_case_that_became_dominated_left_and_one_that_is_cheapest_joined(make_case) -> None:
    old = {"r-none": (100, 0.95), "r-stego": (90, 0.94), "r-prune": (95, 0.90)}
    new = {"r-none": (100, 0.95), "r-stego": (110, 0.94), "r-prune": (80, 0.90)}
    (change,) = front_changes(compared(make_case, old, new))
    assert change.group == "f r"
    assert [id.partition("[")[2] for id in change.baseline] == ["r-stego]", "r-none]"]
    assert [id.partition("[")[2] for id in change.candidate] == ["r-prune]", "r-none]"]
    assert [id.partition("[")[2] for id in change.joined] == ["r-prune]"]
    assert [id.partition("[")[2] for id in change.left] == ["r-stego]"]


def test_each_model_has_its_own_front_and_a_single_case_has_none(make_case) -> None:
    same = {"r-none": (100, 0.95), "r-stego": (90, 0.94), "v-none": (1, 0.99)}
    (change,) = front_changes(compared(make_case, same, same))
    assert (change.group, change.joined, change.left) == ("f r", (), ())


def test_what_failed_its_accuracy_or_has_no_energy_is_not_on_a_front(make_case) -> None:
    cheap = make_case("r-stego", (1.0,), accuracy=(0.5,), params={"model": "r"}, status=Status.FAILED_ACCURACY)
    rest = [make_case(f"r-{name}", (10.0,), accuracy=(0.9,), params={"model": "r"}) for name in ("none", "prune")]
    unread = make_case("r-lowrank", (None,), accuracy=(0.99,), params={"model": "r"})
    cases = [cheap, *rest, unread]
    (change,) = front_changes(compare_cases(cases, cases))
    assert change == FrontChange("f r", tuple(sorted(c.id for c in rest)), tuple(sorted(c.id for c in rest)))


def test_a_case_that_only_one_run_has_moves_no_front(make_case) -> None:
    both = [make_case(f"r-{name}", (10.0,), accuracy=(0.9,), params={"model": "r"}) for name in ("none", "prune")]
    best = make_case("r-new", (1.0,), accuracy=(0.99,), params={"model": "r"})
    (change,) = front_changes(compare_cases(both, [*both, best]))
    assert best.id not in change.candidate
    assert change.joined == ()


def test_cases_that_are_not_comparable_are_on_no_common_front(make_case) -> None:
    both = [make_case(f"r-{name}", (10.0,), accuracy=(0.9,), params={"model": "r"}) for name in ("none", "prune")]
    assert front_changes(compare_cases(both, [replace(case, workload="another") for case in both])) == ()
