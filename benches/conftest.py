"""Chooses the cases of the study and hands them what they work on.

`pytest benches/` runs test_finetune.py for the nine models and four compressors. The other files run when they are
named by path or node id, or by `--energy-study NAME|all`, where NAME is the file's name without `test_` and `.py`;
`paper` is another name of the main one. A file may say its own models and compressors in MODELS and COMPRESSORS; those
of the command line stand in for either.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from energybench.errors import EnergybenchError

HERE = Path(__file__).parent
MAIN = "finetune"
ALIASES = {"paper": MAIN}

try:
    from energybench.compress import PAPER, compressor
    from energybench.compress.precision import UnavailableError
    from energybench.lab.arithmetic import device
    from energybench.lab.inference import WAYS
    from energybench.lab.models import ARCHITECTURES, NINE, TRANSFORMERS
    from energybench.lab.profiles import parse_overrides
    from energybench.lab.study import Study
except ModuleNotFoundError as error:
    raise pytest.UsageError(f"benches/ needs {error.name}: pip install 'energybench[bench]'") from None

STUDY = pytest.StashKey[Study]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Called once, after the plugin has merged the options: refuse a wrong command line before anything is trained."""
    models = config.getoption("energy_models") or ()
    for names, known, what in (
        (models, [*NINE, *(name for name in ARCHITECTURES if name not in NINE)], "model"),
        (config.getoption("energy_study"), sorted({*_studies(), *ALIASES, "all"}), "study"),
    ):
        for name in names:
            if name not in known:
                raise pytest.UsageError(f"unknown {what} {name!r}; there are {', '.join(known)}")
    try:
        for name in config.getoption("energy_compressors") or ():
            if name not in WAYS:
                compressor(name)
        study = Study(
            profile=config.getoption("energy_profile") or ("standard" if device().type == "cuda" else "quick"),
            data_spec=config.getoption("energy_data"),
            weights=config.getoption("energy_weights"),
            overrides=parse_overrides(config.getoption("energy_set")),
            tolerance=config.getoption("energy_tolerance"),
            relative=config.getoption("energy_relative_tolerance"),
            epochs=config.getoption("energy_epochs"),
            target=config.getoption("energy_target"),
            slow=config.getoption("energy_slow_precision"),
        )
        for model in models or _awake_models(config):
            study.check(model)
    except EnergybenchError as error:
        raise pytest.UsageError(str(error)) from None
    config.option.energy_profile = study.profile  # for what hangs on the profile elsewhere, such as the trace
    config.stash[STUDY] = study


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Called at the start: which study this is, and what `pytest benches/` leaves out."""
    study = config.stash[STUDY]
    lines = [f"energybench study: profile {study.profile}, data {study.data_spec}, weights {study.weights}"]
    asleep = [name for name in _studies() if not _awake(config, HERE / f"test_{name}.py")]
    if asleep:
        lines.append(
            f"energybench study: left out unless named by path or --energy-study NAME|all: {', '.join(asleep)}"
        )
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Called for each test: one case per model and compressor, a model's cases side by side."""
    names = metafunc.fixturenames
    if "model" not in names:
        return
    config, module = metafunc.config, metafunc.module
    models = _distinct(config.getoption("energy_models") or getattr(module, "MODELS", NINE))
    if "compressor" not in names:
        metafunc.parametrize("model", models)
        return
    own = getattr(module, "COMPRESSORS", PAPER)
    asked = config.getoption("energy_compressors") or own
    compressors = _distinct(name for name in asked if name not in WAYS or name in own)
    rows: list[tuple[object, ...]] = [(model, name) for model in models for name in compressors]
    arguments = ["model", "compressor"]
    if "points" in names:  # of tolerance; the baseline has none
        arguments.append("points")
        rows = [(*row, p) for row in rows for p in ((0.0,) if row[1] == "none" else module.POINTS)]
    ids = ["-".join(f"{part:g}" if isinstance(part, float) else str(part) for part in row) for row in rows]
    metafunc.parametrize(arguments, rows, ids=ids)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Called for each test: a precision that this machine has no fast path for is skipped with the reason."""
    try:
        return (yield)
    except UnavailableError as error:
        pytest.skip(str(error))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Called after collection: leave out the files that nobody named."""
    out = [item for item in items if item.path.parent == HERE and not _awake(config, item.path)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


@pytest.fixture(scope="session")
def study(request: pytest.FixtureRequest) -> Study:
    """Data, weights and compressed models, made once and shared by the rounds of a case."""
    return request.config.stash[STUDY]


def _awake_models(config: pytest.Config) -> Iterable[str]:
    """The models of the files that will run, where none is named: a transformer file has its own."""
    asked = {ALIASES.get(name, name) for name in config.getoption("energy_study")}
    if not _awake(config, HERE / "test_transformer.py") or "all" in asked:
        return NINE
    others = any(_awake(config, HERE / f"test_{name}.py") for name in _studies() if name != "transformer")
    return (*(NINE if others else ()), *TRANSFORMERS)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Without repetitions, in the order asked for."""
    return tuple(dict.fromkeys(names))


def _studies() -> tuple[str, ...]:
    return tuple(sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")))


def _awake(config: pytest.Config, path: Path) -> bool:
    """Whether the cases of a file run: the main file where no other is asked for, and every file that is named."""
    asked = [ALIASES.get(name, name) for name in config.getoption("energy_study")]
    name = path.stem.removeprefix("test_")
    if name in asked or "all" in asked:
        return True
    named = {(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args}
    return path in named or (name == MAIN and not asked)
