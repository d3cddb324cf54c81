"""From stored runs to a predictor: which of their cases belong together, and what is said of the rest."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.commands.estimate.sources import Source, sources
from energybench.errors import UsageError

if TYPE_CHECKING:
    from energybench.estimators.pre.crossing import Crossed
    from energybench.estimators.pre.observation import Observation


def add_method(parser: Any) -> None:
    """--method NAME."""
    parser.add_argument(
        "--method",
        choices=("ridge", "kernel", "boosting"),
        help="of regression (default ridge; boosting needs scikit-learn)",
    )


def learned(options: argparse.Namespace, storage: Path, device: str | None) -> tuple[Crossed, list[str]]:
    """The predictor of --using, else one fitted on --from, and what to say about it."""
    if options.using is not None:
        if options.sources or options.method:
            raise UsageError("--using brings its own runs and method; --from and --method do not go with it")
        return read(Path(options.using)), []
    from energybench.estimators.pre.crossing import cross
    from energybench.estimators.pre.observation import merged

    runs, notes = sources(options.sources, storage)
    observations, _, more = chosen(runs, device)
    return cross(merged(observations), options.method or "ridge"), [*notes, *more]


def read(path: Path) -> Crossed:
    """The predictor in a file that `fit` wrote; UsageError where there is none."""
    from energybench.estimators.pre.saved import from_text

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}. `energybench estimate fit -o FILE` "
            "makes such a file"
        ) from error
    return from_text(text, str(path)).crossed


def chosen(
    runs: Iterable[Source], device: str | None = None
) -> tuple[tuple[Observation, ...], Mapping[str, int], list[str]]:
    """The observations of one kind of meters, why the other cases teach nothing, and what to say about it.

    Joules of a GPU and joules of a whole machine are two quantities. The kind is that of the named device where there
    is only one, else the one with most cases. UsageError where no case teaches anything.
    """
    from energybench.estimators.pre.observation import observe

    seen = observe(source.run for source in runs)
    notes = [f"{number(count)} left out: {reason}" for reason, count in seen.left_out.items()]
    if not seen.taken:
        why = "; ".join(f"{number(count)}: {reason}" for reason, count in seen.left_out.items()) or "they hold no case"
        raise UsageError(
            f"nothing can be learned from the runs ({why}). Measure trainings whose epochs are laps named `epoch`, or "
            "name other runs with --from"
        )
    kinds = Counter(each.meters for each in seen.taken)
    if device is not None:
        own = Counter(each.meters for each in seen.taken if device.casefold() in each.device.casefold())
        kinds = own or kinds
    kind = kinds.most_common(1)[0][0]
    taken = tuple(each for each in seen.taken if each.meters == kind)
    left = len(seen.taken) - len(taken)
    if left:
        notes.append(f"{number(left)} left out: their joules are not of {kind}, which is learned here")
    return taken, seen.left_out, notes


def number(cases: int) -> str:
    """`1 case`, `3 cases`."""
    return f"{cases} case{'' if cases == 1 else 's'}"
