"""`energybench estimate step`: a training's energy from the epochs that have ended."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import RUN, add_pue, add_storage, storage_folder, terminal_width

if TYPE_CHECKING:
    from energybench.estimators.step.recorded import Recorded
    from energybench.estimators.step.spread import Scatter
    from energybench.estimators.step.stopping import EarlyStopping


def add(actions: Any) -> None:
    """Declare the subcommand."""
    parser = actions.add_parser(
        "step",
        help="project a training from its first epochs (STEP)",
        description="Stable Training Epoch Projection: what has been metered, and the mean of the stable epochs for "
        "every epoch that is left.",
    )
    parser.add_argument(
        "source",
        metavar="RUN|FILE.csv",
        help=f"{RUN}; or a CSV of epochs (epoch,seconds,joules) or of power (seconds,watts)",
    )
    parser.add_argument(
        "--epochs", type=int, required=True, metavar="N", help="epochs in all; with --early-stopping at most"
    )
    parser.add_argument("--case", metavar="ID", help="the case of a run: its id, the part in brackets, or a pattern")
    parser.add_argument("--round", type=int, metavar="K", help="the round of the case (default the last)")
    parser.add_argument(
        "--seen",
        type=int,
        metavar="K",
        help="use only the first K epochs; of a power series without a column epoch: how many epochs it covers",
    )
    parser.add_argument(
        "--skip", type=int, metavar="S", help="epochs before the window (default: detected; the paper's 10)"
    )
    parser.add_argument(
        "--window", type=int, metavar="W", help="epochs in the window (default: all stable ones; the paper's 5)"
    )
    parser.add_argument(
        "--form",
        choices=("energy", "power"),
        default="energy",
        help="project the epochs' energies, or mean power times time",
    )
    parser.add_argument(
        "--power",
        type=Path,
        metavar="FILE.csv",
        help="a power series of the same epochs "
        "(seconds,watts; second 0 is the begin of the first), to find the stable epoch by",
    )
    parser.add_argument(
        "--early-stopping",
        type=_early_stopping,
        metavar="PATIENCE:MIN_DELTA",
        help="predict the number of epochs from the column loss and this rule",
    )
    parser.add_argument(
        "--change",
        type=_change,
        action="append",
        default=[],
        metavar="EPOCH:WHAT",
        help="a change that is planned, such as 30:optimizer; may be given several times",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json for programs")
    add_pue(parser)
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the projection; EstimateError where there is none, StoreError where the run cannot be found or read."""
    from energybench.estimators.step.projection import Projection
    from energybench.reports.estimate import estimate_json, step_text

    given, pue, scatter = _recorded(options, err)
    rule = Projection(options.epochs, options.window, options.skip, options.form, source=given.source, scatter=scatter)
    projected = rule.after(given.epochs, _rule(options), power=given.power, ahead=dict(options.change))
    projected = replace(
        projected,
        basis={"source": given.source, **projected.basis},
        warnings=(*given.warnings, *projected.warnings),
    )
    if options.format == "json":
        print(estimate_json(projected), file=out)
    else:
        print(step_text(projected, given.source, width=terminal_width(out), pue=pue), file=out)
    return 0


def _recorded(options: argparse.Namespace, err: TextIO) -> tuple[Recorded, float | None, Scatter]:
    """What was metered, the PUE to show watt-hours with (None for a CSV without --pue), and how far epochs scatter."""
    from energybench.errors import UsageError
    from energybench.estimators.step.recorded import read_csv, read_power, with_power
    from energybench.estimators.step.spread import ASSUMED

    pue: float | None = options.pue
    scatter = ASSUMED
    if options.source.endswith(".csv"):
        for name in ("case", "round"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name} chooses from a stored run; {options.source} is a CSV file.")
        given = read_csv(Path(options.source), options.seen)
    else:
        from energybench.estimators.step.stored import find_case, recorded, scatter_of
        from energybench.store import find_run, read_run

        found = find_run(options.source, storage_folder(options), any_status=True)
        for note in found.notes:
            print(f"energybench: {note}", file=err)
        stored = read_run(found.path)
        case = find_case(stored, options.case)
        given = recorded(stored, case, options.round)
        scatter = scatter_of(stored, case)
        pue = case.pue if pue is None else pue
    if options.power is not None:
        given = with_power(given, read_power(options.power))
    if options.seen is not None:
        given = given.upto(options.seen)
    return given, pue, scatter


def _rule(options: argparse.Namespace) -> EarlyStopping | None:
    if options.early_stopping is None:
        return None
    from energybench.estimators.step.stopping import EarlyStopping

    patience, min_delta = options.early_stopping
    return EarlyStopping(patience, min_delta, options.epochs)


def _early_stopping(text: str) -> tuple[int, float]:
    patience, colon, min_delta = text.partition(":")
    try:
        return int(patience), float(min_delta) if colon else 0.0
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not PATIENCE:MIN_DELTA, such as 3:0.05") from error


def _change(text: str) -> tuple[int, str]:
    epoch, colon, what = text.partition(":")
    if not colon or not epoch.isdigit() or not what:
        raise argparse.ArgumentTypeError(f"{text!r} is not EPOCH:WHAT, such as 30:optimizer")
    return int(epoch), what
