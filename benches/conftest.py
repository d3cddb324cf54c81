"""Chooses the cases of the study and hands them what they work on.

`pytest benches/` runs test_finetune.py for the nine models and four compressors. The other files run when they are
named by path or node id, or by `--energy-study NAME|all`, where NAME is the file's name without `test_` and `.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from energybench.errors import EnergybenchError

HERE = Path(__file__).parent
MAIN = "finetune"
COMPRESSORS = ("none", "stego", "prune", "lowrank")

try:
    from energybench.compress import COMPRESSORS as KNOWN_COMPRESSORS
    from energybench.lab.finetune import device
    from energybench.lab.models import ARCHITECTURES, NINE
    from energybench.lab.profiles import parse_overrides
    from energybench.lab.study import Study
except ModuleNotFoundError as error:
    raise pytest.UsageError(f"benches/ needs {error.name}: pip install 'energybench[bench]'") from None

STUDY = pytest.StashKey[Study]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Called once, after the plugin has merged the options: refuse a wrong command line before anything is trained."""
    models, compressors = _chosen(config)
    for names, known, what in (
        (models, ARCHITECTURES, "model"),
        (compressors, KNOWN_COMPRESSORS, "compressor"),
        (config.getoption("energy_study"), {*_studies(), "all"}, "study"),
    ):
        for name in names:
            if name not in known:
                listed = [*NINE, *(key for key in known if key not in NINE)] if what == "model" else sorted(known)
                raise pytest.UsageError(f"unknown {what} {name!r}; there are {', '.join(listed)}")
    try:
        study = Study(
            profile=config.getoption("energy_profile") or ("standard" if device().type == "cuda" else "quick"),
            data_spec=config.getoption("energy_data"),
            weights=config.getoption("energy_weights"),
            overrides=parse_overrides(config.getoption("energy_set")),
            tolerance=config.getoption("energy_tolerance"),
        )
        for model in models:
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
    if {"model", "compressor"} <= set(metafunc.fixturenames):
        models, compressors = _chosen(metafunc.config)
        pairs = [(model, compressor) for model in models for compressor in compressors]
        metafunc.parametrize(("model", "compressor"), pairs, ids=["-".join(pair) for pair in pairs])


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


def _chosen(config: pytest.Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Models and compressors of this session, without repetitions, in the order asked for."""
    models = config.getoption("energy_models") or NINE
    compressors = config.getoption("energy_compressors") or COMPRESSORS
    return tuple(dict.fromkeys(models)), tuple(dict.fromkeys(compressors))


def _studies() -> tuple[str, ...]:
    return tuple(sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")))


def _awake(config: pytest.Config, path: Path) -> bool:
    """Whether the cases of a file run: the main file where no other is asked for, and every file that is named."""
    asked = config.getoption("energy_study")
    name = path.stem.removeprefix("test_")
    if name in asked or "all" in asked:
        return True
    named = {(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args}
    return path in named or (name == MAIN and not asked)
