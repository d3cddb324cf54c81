"""pytest's hooks and the `energy` fixture; everything behind them lives in energybench.harness.

Importing this module loads nothing but pytest and the options: a session without energy cases pays milliseconds. The
hooks that measure and store are registered at the end of collection, where there are cases. `Collection` is an object
registered in pytest_configure: its modifyitems as a module-level function would run inside the --lf plugin's wrapper,
which would then deselect gates.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from energybench.errors import EnergybenchError, UsageError
from energybench.harness.options import EnergyOptions, add_options, merge, on_command_line, use_rootdir_storage

if TYPE_CHECKING:
    from energybench.harness.fixture import Energy

SESSION = "energybench.session"
"""the name under which the hooks of a session with cases are registered"""

REFUSE = "energybench::refuse"
"""the sentinel item by which an xdist worker tells the controller that it has cases"""
REFUSAL = (
    "energy cases cannot be metered in parallel workers: NVML and RAPL count the whole device, so workers would count "
    "one another. Run without -n (or with -n0)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called once when pytest starts: declare --energy-* and their ini twins."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Called when pytest takes the plugin in: declare the hook that other plugins may implement."""
    from energybench.harness import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Called before pytest-benchmark configures (it asks to be last): options, default store, session plugin."""
    config.addinivalue_line(
        "markers",
        "energybench(rounds=1, warmup=0, seeds=None, iterations=1, max_kwh=None, max_j_per_sample=None, "
        "min_accuracy=None, margin=None): how the case is metered, what it may cost and must reach, which change of it "
        "matters; the command line beats it",
    )
    command_line = on_command_line(config)
    try:
        options = merge(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if options.compare is not None and config.getoption("dist", "no") != "no":
        raise pytest.UsageError(REFUSAL)
    use_rootdir_storage(config)
    config.pluginmanager.register(Collection(options, command_line))
    with_benchmark = config.pluginmanager.hasplugin("benchmark")
    config.pluginmanager.register(_WithBenchmark() if with_benchmark else _WithoutBenchmark())


class _WithBenchmark:
    """The fixture where pytest-benchmark is there: asking for `energy` then also asks for `benchmark`."""

    @pytest.fixture
    def energy(self, request: pytest.FixtureRequest, benchmark: Any) -> Iterator[Energy]:
        """Meter a call: `run = energy(function, *args)`; `energy.lap("epoch")`, `energy.record(accuracy=...)`."""
        yield from _energy(request, benchmark)


class _WithoutBenchmark:
    """The fixture under `-p no:benchmark`."""

    @pytest.fixture
    def energy(self, request: pytest.FixtureRequest) -> Iterator[Energy]:
        """Meter a call: `run = energy(function, *args)`; `energy.lap("epoch")`, `energy.record(accuracy=...)`."""
        yield from _energy(request, None)


def _energy(request: pytest.FixtureRequest, benchmark: Any | None) -> Iterator[Energy]:
    from energybench.harness.engine import CASE
    from energybench.harness.fixture import Energy

    case = request.node.stash.get(CASE, None)
    if case is None:
        if benchmark is not None:
            benchmark.skipped = True  # no second complaint, about a fixture that was never used
        raise UsageError(
            f"{request.node.nodeid} asks for the energy fixture through request.getfixturevalue: name it as a parameter"
        )
    hooks: Any = request.config.pluginmanager.get_plugin(SESSION)
    energy = Energy(hooks.sweep, case, benchmark)
    yield energy
    energy.close()


class Collection:
    """The hooks that every session pays for: they find the cases, and bring in the others where there are any."""

    def __init__(self, options: EnergyOptions, command_line: frozenset[str]) -> None:
        self._options = options
        self._command_line = command_line
        self._deselected: set[str] = set()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Called with what -k, -m and the like have left out: those cases are not missing."""
        self._deselected.update(item.nodeid for item in items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Called after collection, around every other plugin: find the cases, then (selection done) add the gates."""
        cases = _cases(items)
        if cases and config.pluginmanager.hasplugin("benchmark"):
            from energybench.harness.bridge import install_clock

            for item in cases:
                install_clock(item)
        yield
        cases = _cases(items)
        if not cases and self._options.compare is None:
            return
        if hasattr(config, "workerinput"):
            if cases and not config.getoption("benchmark_skip", False):
                from energybench.harness.gate import refuse_workers

                items.append(refuse_workers(session, REFUSE))
            return
        from energybench.harness.engine import Sweep
        from energybench.harness.session import SessionHooks

        try:
            hooks = SessionHooks(Sweep(config, self._options, self._command_line))
            config.pluginmanager.register(hooks, SESSION)
            hooks.select(session, items, cases, {*self._deselected, *(item.nodeid for item in items)})
        except EnergybenchError as error:
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Called in xdist's controller: refuse, in one sentence, when a worker has cases."""
        if REFUSE in ids:
            raise pytest.UsageError(REFUSAL)

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_benchmark_compare_machine_info(self) -> Generator[None, None, None]:
        """Called by --benchmark-compare: in a subfolder of rootdir the stock warning cannot print its storage."""
        try:
            yield
        except ValueError as error:
            if "subpath" not in str(error):
                raise


def _cases(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if "energy" in getattr(item, "fixturenames", ()) and _asks_for_ours(item)]


def _asks_for_ours(item: pytest.Item) -> bool:
    """Whether the test's `energy` is our fixture, or one of the project's that is built on it.

    It may also be a value of the test's own parametrization, or a fixture of another meaning. Which one a test gets is
    in no public place of pytest; where it is not found, it is ours.
    """
    if "energy" in getattr(getattr(item, "callspec", None), "params", ()):
        return False
    named = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for definition in reversed(named.get("energy", ())):
        if definition.func.__module__ == __name__:
            return True
        if "energy" not in definition.argnames:
            return False
    return True
