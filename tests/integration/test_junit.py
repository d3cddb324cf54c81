"""JUnit XML and --durations: one entry per case, with the time of all its rounds."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree


def test_each_case_is_one_testcase_with_the_time_of_all_its_rounds(project) -> None:
    project.cases("""
        import time
        import pytest

        @pytest.mark.parametrize("model", ["a", "b"])
        def test_tune(energy, model, record_property):
            record_property("model", model)
            energy(lambda: time.sleep(0.05))

        def test_plain():
            pass
        """)
    result = project.run(
        "--energy-rounds=4", "--junitxml=out.xml", "-o", "junit_family=xunit1", "--durations=2", "--durations-min=0.1"
    )
    result.assert_outcomes(passed=3)
    root = ElementTree.parse(project.path / "out.xml").getroot()
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")
    cases = list(root.iter("testcase"))
    assert [case.get("name") for case in cases] == ["test_tune[a]", "test_tune[b]", "test_plain"]
    for case in cases[:2]:
        assert float(case.get("time", "0")) >= 4 * 0.05
        properties = [(p.get("name"), p.get("value")) for p in case.iter("property")]
        assert properties == [("model", case.get("name", "")[-2])]  # once, not once per round
    lines = [line for line in result.outlines if "s call" in line]
    assert len(lines) == 2
    assert all(float(line.partition("s")[0]) >= 0.2 for line in lines)
