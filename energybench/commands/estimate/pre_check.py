"""PRE's part of `energybench estimate check`: each model of a run predicted from the others."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from energybench.errors import UsageError

if TYPE_CHECKING:
    from energybench.commands.estimate.check import Checked
    from energybench.model import Run


def pre(stored: Run, options: argparse.Namespace) -> Checked:
    """PRE with whole models left out, and whole devices where there are three, beside calculators."""
    from energybench.commands.estimate.check import Checked
    from energybench.commands.estimate.pre_report import error_columns
    from energybench.estimators.pre.check import check, errors
    from energybench.reports.part import Part

    try:
        rows = check([stored])
    except UsageError as error:
        return Checked("pre", lines=(f"PRE: {error}.",), data=[])
    table = errors(rows)
    models = len({row.group for row in rows if row.left_out == "model"})
    cases = len({row.source for row in rows})
    lines = (
        f"{cases} cases of {models} models, each predicted without any case of its model. The error of mean power is "
        f"that of energy where the time is known. Calculators are given the true time.",
    )
    part = Part("PRE: error with whole models or devices left out", error_columns(table), lines=lines)
    return Checked("pre", (part,), data=[asdict(row) for row in table])
