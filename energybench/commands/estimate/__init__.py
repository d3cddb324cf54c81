"""`energybench estimate`: energy that is projected or predicted, one subcommand per module."""

from __future__ import annotations

from typing import Any

from energybench.commands.estimate import check, consistency, fit, layers, pre, step

MODULES = (step, pre, layers, fit, check, consistency)
"""each with `add(actions)`; a further estimator is appended here"""


def add(commands: Any) -> None:
    """Declare the command and its subcommands."""
    parser = commands.add_parser(
        "estimate",
        help="a training's energy from its first epochs, or before it begins; the estimators judged by stored runs",
        epilog="What is printed is an estimate: it never becomes a measurement and never satisfies a budget.",
    )
    actions = parser.add_subparsers(metavar="ESTIMATOR", required=True)
    for module in MODULES:
        module.add(actions)
