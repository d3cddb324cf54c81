"""The plugin costs nothing where there is no case, and its one undocumented function is where it should be."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def plain(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project without any energy case."""
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(
        test_plain="""
        import sys

        def test_plain():
            loaded = [name for name in sys.modules if name.startswith(("energybench.", "torch", "pynvml"))]
            known = {"energybench.plugin", "energybench.errors", "energybench.harness", "energybench.harness.options",
                     "energybench.harness.declared", "energybench.harness.parsing", "energybench.harness.bridge",
                     "energybench.harness.hooks"}
            assert set(loaded) <= known, loaded
        """
    )
    return pytester


@pytest.mark.parametrize("autoload", ["", "1"], ids=["autoload", "no autoload"])
def test_a_project_without_cases_sees_and_writes_nothing(
    plain: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, autoload: str
) -> None:
    if autoload:
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", autoload)
    result = plain.runpytest_subprocess("-p", "energybench.plugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert "energybench:" not in result.stdout.str()
    files = [path for path in plain.path.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.name for path in files} <= {"tox.ini", "test_plain.py", "stdout", "stderr"}


def test_without_pytest_benchmark_no_store_appears(plain: pytest.Pytester) -> None:
    result = plain.runpytest_subprocess("-p", "energybench.plugin", "-p", "no:benchmark", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert not (plain.path / ".benchmarks").exists()


def test_a_parameter_that_is_called_energy_makes_no_case(plain: pytest.Pytester) -> None:
    plain.makepyfile(
        test_physics="""
        import pytest

        @pytest.mark.parametrize("energy", [1.0, 2.0])
        def test_level(energy):
            assert energy > 0
        """
    )
    result = plain.runpytest_subprocess("-p", "energybench.plugin", "-p", "no:cacheprovider", "test_physics.py")
    result.assert_outcomes(passed=2)
    assert "energybench:" not in result.stdout.str()
    assert not list(plain.path.glob(".benchmarks/*"))  # pytest-benchmark makes the folder in any session


def test_a_fixture_of_the_project_that_is_called_energy_makes_no_case(plain: pytest.Pytester) -> None:
    plain.makepyfile(
        test_physics="""
        import pytest

        @pytest.fixture
        def energy():
            return 13.6

        def test_level(energy):
            assert energy == 13.6
        """
    )
    result = plain.runpytest_subprocess("-p", "energybench.plugin", "-p", "no:cacheprovider", "test_physics.py")
    result.assert_outcomes(passed=1)
    assert "energybench:" not in result.stdout.str()


def test_a_fixture_of_the_project_that_is_built_on_ours_makes_a_case(plain: pytest.Pytester) -> None:
    plain.makepyfile(
        test_tuned="""
        import pytest

        @pytest.fixture
        def energy(energy):
            energy.facts(owner="me")
            return energy

        def test_tuned(energy):
            assert energy(int, 1).seconds >= 0
        """
    )
    result = plain.runpytest_subprocess("-p", "energybench.plugin", "-p", "no:cacheprovider", "test_tuned.py")
    result.assert_outcomes(passed=1)
    (stored,) = plain.path.glob(".benchmarks/*/0001_*.json")
    assert '"owner": "me"' in stored.read_text()


def test_naming_the_plugin_twice_registers_it_once(plain: pytest.Pytester) -> None:
    plain.makeconftest('pytest_plugins = ["energybench.plugin"]')
    plain.runpytest_subprocess("-p", "energybench.plugin").assert_outcomes(passed=1)


def test_the_options_are_in_the_help_with_their_ini_twins_and_the_marker_is_known(plain: pytest.Pytester) -> None:
    result = plain.runpytest_inprocess("-p", "energybench.plugin", "--help")
    text = result.stdout.str()
    for option in ("pue", "rounds", "warmup", "seeds", "meters", "profile", "models", "compressors", "compare", "data"):
        assert f"--energy-{option}" in text
        assert f"energy_{option}" in text
    for flag in ("resume", "no-save", "no-estimate"):
        assert f"--energy-{flag}" in text
    markers = plain.runpytest_inprocess("-p", "energybench.plugin", "--markers")
    markers.stdout.fnmatch_lines(
        ["@pytest.mark.energybench(rounds=1, warmup=0, seeds=None, iterations=1, max_kwh=None, max_j_per_sample=*"]
    )


def test_the_runner_plugin_has_the_one_undocumented_function(request: pytest.FixtureRequest) -> None:
    """What energybench.harness.loop builds on; a pytest without it must fail here, not in a user's sweep."""
    runner = request.config.pluginmanager.get_plugin("runner")
    assert runner is not None
    parameters = inspect.signature(runner.runtestprotocol).parameters
    assert list(parameters)[:3] == ["item", "log", "nextitem"]
    with pytest.MonkeyPatch.context():
        assert inspect.signature(runner.runtestprotocol).bind(None, log=False, nextitem=None)


def test_a_start_of_pytest_loads_nothing_heavy() -> None:
    code = (
        "import sys, energybench.plugin\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pynvml', 'matplotlib', 'psutil', 'tabulate'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
