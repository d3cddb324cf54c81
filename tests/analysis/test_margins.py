"""Which margin counts for a case, and what a file of margins may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.compare import METRICS as COMPARED
from energybench.analysis.compare import CompareOptions
from energybench.analysis.margins import METRICS, as_margins, fits, margin_for, read_margins, without_case
from energybench.errors import UsageError

ID = "benches/test_epoch.py::test_epoch[resnet18-prune]"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "margins.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_metric_that_is_compared_may_have_a_margin() -> None:
    assert set(METRICS) == {metric.name for metric in COMPARED}


def test_without_a_word_the_options_margins_count(make_case) -> None:
    options = CompareOptions(margin=0.07, accuracy_margin=0.02)
    assert [margin_for(make_case(), metric, options) for metric in METRICS] == [0.07, 0.02, 0.07, 0.07, 0.07]


def test_the_cases_own_margin_beats_the_first_fitting_pattern_that_names_the_metric(make_case) -> None:
    patterns = {
        "vgg16-*": {"energy": 0.9},
        "resnet18-*": {"accuracy": 0.03},
        "*-none": {"energy": 0.2, "accuracy": 0.04},
        "*": {"energy": 0.3},
    }
    options = CompareOptions(margins=patterns)
    case = make_case("resnet18-none")
    assert margin_for(case, "energy", options) == 0.2
    assert margin_for(case, "accuracy", options) == 0.03
    assert margin_for(case, "seconds", options) == 0.05
    own = make_case("resnet18-none", margins={"energy": 0.01})
    assert margin_for(own, "energy", options) == 0.01
    assert margin_for(own, "accuracy", options) == 0.03


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [
        (ID, True),
        ("resnet18-prune", True),
        ("resnet18-*", True),
        ("resnet1?-prune", True),
        ("benches/*", True),
        ("*[resnet18-*]", True),
        ("*::test_epoch[*", True),
        ("resnet18", False),
        ("resnet1[0-9]-prune", False),  # no set of characters: brackets stand for themselves
        ("Resnet18-prune", False),
        ("test_epoch*", False),
    ],
)
def test_a_pattern_fits_the_whole_id_or_the_part_in_brackets(pattern: str, fitting: bool) -> None:
    assert fits(pattern, ID) is fitting


@given(st.text(st.characters(exclude_characters="*?"), max_size=30))
def test_an_id_always_fits_itself(id: str) -> None:
    assert fits(id, id)


def test_a_file_keeps_its_order_and_a_number_alone_is_of_energy(tmp_path: Path) -> None:
    path = written(tmp_path, '[margins]\n"b-*" = 0.1\n"a-*" = {energy = 0.08, accuracy = 0.01}\n')
    assert list(read_margins(path).items()) == [("b-*", {"energy": 0.1}), ("a-*", {"energy": 0.08, "accuracy": 0.01})]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[margins\n", "are not TOML: .*line 1"),
        ("", r"hold one table, \[margins\].*it has none"),
        ("margins = 3\n", "hold one table.*`margins` is none"),
        ("[margins]\n[tool]\nx = 1\n", "hold one table.*it has tool"),
        ('[margins]\n"a" = 5\n', "'a': the margin is a number between 0 and 1 .*, not 5"),
        ('[margins]\n"a" = true\n', "'a': .*not True"),
        ('[margins]\n"a" = nan\n', "'a': .*not nan"),
        ('[margins]\n"a" = "5 %"\n', "'a': .*not '5 %'"),
        ('[margins]\n"a" = {enrgy = 0.1}\n', "'a' gives a margin to 'enrgy', which is no metric: choose of energy, "),
        ('[margins]\n"a" = {accuracy = 0}\n', "'a': the margin of accuracy is a number .*not 0"),
        ('[margins]\n"a" = {}\n', "'a' names no metric"),
        ('[margins]\n"a" = [0.1]\n', r"'a': .*not \[0.1\]"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_in_it(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=f"^the margins {path}.*{says}"):
        read_margins(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.toml cannot be read: No such file"):
        read_margins(tmp_path / "absent.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[margins]\n# \xe9\n")
    with pytest.raises(UsageError, match=r"latin\.toml cannot be read: it is not UTF-8 text"):
        read_margins(path)


def test_patterns_that_fit_no_case_are_found() -> None:
    assert without_case(["resnet18-*", "vgg16-*", ID], [ID]) == ("vgg16-*",)
    assert without_case(["*"], []) == ("*",)


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_any_number_between_0_and_1_is_a_margin(value: float) -> None:
    assert as_margins(value, "x") == {"energy": value}
    assert as_margins({"accuracy": value}, "x") == {"accuracy": value}
