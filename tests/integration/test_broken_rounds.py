"""Failures, skips and errors in the middle of a case: reported once, other cases finish, finished rounds are kept."""

from __future__ import annotations

import pytest

MESS = """
    import pytest

    @pytest.fixture
    def narrow(request, energy):
        if request.node.name == "test_setup_error" and energy.seed == 1:
            raise OSError("setup broke")
        yield
        if request.node.name == "test_teardown_error" and energy.seed == 1:
            raise OSError("teardown broke")

    def test_before(energy, narrow):
        energy(list)

    def test_failure(energy, narrow):
        def call():
            if energy.seed == 1:
                raise RuntimeError("out of memory")
        energy(call)

    def test_skip(energy, narrow):
        if energy.seed == 1:
            pytest.skip("no more data")
        energy(list)

    def test_setup_error(energy, narrow):
        energy(list)

    def test_teardown_error(energy, narrow):
        energy(list)

    def test_assertion(energy, narrow):
        run = energy(list)
        assert run.joules == 1

    @pytest.mark.xfail(strict=True)
    def test_expected_failure(energy, narrow):
        energy(list)
        assert False

    @pytest.mark.xfail(strict=True)
    def test_unexpected_success(energy, narrow):
        energy(list)

    def test_never_a_round(energy):
        pytest.skip("no GPU")

    def test_after(energy, narrow):
        energy(list)

    def test_plain():
        pass
    """


def test_whatever_ends_a_case_in_its_second_round_is_reported_once_and_the_first_is_stored(project) -> None:
    project.cases(MESS)
    result = project.run("--energy-rounds=3", "--junitxml=out.xml", "-rA")
    result.assert_outcomes(passed=4, failed=3, errors=2, skipped=2, xfailed=1)
    assert result.ret == 1
    stored = project.last()
    kept = {id.partition("::")[2]: (record["status"], len(record["rounds"])) for id, record in stored.records.items()}
    assert kept == {
        "test_before": ("ok", 3),
        "test_failure": ("failed", 1),
        "test_skip": ("partial", 1),
        "test_setup_error": ("failed", 1),
        "test_teardown_error": ("failed", 1),
        "test_assertion": ("failed", 3),
        "test_expected_failure": ("ok", 3),
        "test_unexpected_success": ("failed", 3),
        "test_after": ("ok", 3),
    }
    assert stored.status == "failed"
    (failure,) = stored.records["test_bench.py::test_failure"]["warnings"]
    assert failure == "the test failed: RuntimeError: out of memory"
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.parse(project.path / "out.xml").getroot()
    names = [case.get("name") for case in root.iter("testcase")]
    assert sorted(names) == sorted(set(names))
    assert len(names) == 11


def test_the_failed_rounds_own_energy_is_not_stored_as_a_round(project) -> None:
    project.cases(MESS)
    project.replay({"*test_failure": [(100.0, 1.0), (999.0, 9.0)], "*": [(1.0, 1.0)]})
    project.run("--energy-rounds=3", "-k", "test_failure")
    assert project.last().joules("test_bench.py::test_failure") == [100.0]


@pytest.mark.parametrize("limit", ["-x", "--maxfail=1", "--maxfail=2"])
def test_the_session_stops_after_as_many_failures_as_allowed(project, limit: str) -> None:
    project.cases("""
        def test_good(energy):
            energy(list)

        def test_bad(energy):
            energy(list)
            assert energy.seed == 0

        def test_worse(energy):
            assert False

        def test_last(energy):
            energy(list)
        """)
    result = project.run("--energy-rounds=2", limit)
    failures = 2 if limit == "--maxfail=2" else 1
    result.assert_outcomes(passed=1, failed=failures)
    project.says(result, f"*stopping after {failures} failures*")
    stored = project.last()
    assert {id: len(record["rounds"]) for id, record in stored.records.items()} == {
        "test_bench.py::test_good": 2,
        "test_bench.py::test_bad": 2,
    }
    assert stored.status == "failed"


def test_a_warning_as_error_fails_the_case_once_and_a_skip_causes_no_second_complaint(project) -> None:
    project.cases("""
        import warnings
        import pytest

        def test_warns(energy):
            energy(lambda: warnings.warn("deprecated"))

        def test_skipped(energy):
            pytest.skip("no GPU")

        def test_setup_fails(energy, absent):
            pass

        def test_good(energy):
            energy(list)
        """)
    result = project.run_apart("-W", "error", "--energy-rounds=2")
    result.assert_outcomes(passed=1, failed=1, skipped=1, errors=1)
    result.stdout.no_fnmatch_line("*was not used*")


def test_a_collection_error_stops_the_session_unless_told_to_go_on(project) -> None:
    project.cases()
    project.file("test_broken.py", "import absent_module\n")
    stopped = project.run("--energy-rounds=2")
    assert stopped.ret == pytest.ExitCode.INTERRUPTED
    assert project.stored() == []
    went_on = project.run("--energy-rounds=2", "--continue-on-collection-errors")
    went_on.assert_outcomes(passed=2, errors=1)
    assert {len(record["rounds"]) for record in project.last().records.values()} == {2}


def test_a_timeout_counts_per_round_and_leaves_the_finished_rounds(project) -> None:
    pytest.importorskip("pytest_timeout")
    project.cases("""
        import time
        import pytest

        @pytest.mark.timeout(2, method="signal")
        def test_hangs(energy):
            def call():
                if energy.seed == 1:
                    time.sleep(60)
            energy(call)

        def test_good(energy):
            energy(list)
        """)
    result = project.run_apart("--energy-rounds=3")
    result.assert_outcomes(passed=1, failed=1)
    project.says(result, "*Timeout*>2.0s*")
    stored = project.last()
    assert stored.records["test_bench.py::test_hangs"]["status"] == "failed"
    assert len(stored.records["test_bench.py::test_hangs"]["rounds"]) == 1


def test_an_exit_in_a_round_stores_the_finished_ones_as_partial(project) -> None:
    project.cases("""
        import pytest

        def test_it(energy):
            if energy.seed == 1:
                pytest.exit("enough", returncode=7)
            energy(list)

        def test_never_reached(energy):
            energy(list)
        """)
    result = project.run_apart("--energy-rounds=3")
    assert result.ret == 7
    stored = project.last()
    assert {id: (r["status"], len(r["rounds"])) for id, r in stored.records.items()} == {
        "test_bench.py::test_it": ("partial", 1)
    }
    assert stored.status == "partial"
