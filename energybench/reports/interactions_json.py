"""Model x environment for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from energybench.analysis.anova import SUMS, Effect
from energybench.analysis.interactions import PAPER_ETA, PAPER_LOSS, PAPER_SAVING, Interactions
from energybench.analysis.interactions_cells import Cell, kind_of
from energybench.analysis.interactions_choice import Choice
from energybench.analysis.row import Ratio

SCHEMA = 1


def interactions_json(found: Interactions) -> str:
    """`{"schema": 1, "runs", "protocol", "machines", "cells", "missing", "anova", "ranks", "choices", "paper", ...}`.

    Strict JSON. Joules are IT joules and may be compared within one run only; `effect` is a cell's energy over its
    run's own baseline. Scores, losses and savings are shares; absent values are null.
    """
    table = found.anova
    document = {
        "schema": SCHEMA,
        "runs": [
            {"run": name, "source": run.source, "created": run.created, "baseline_ln_j": found.baselines[name]}
            for name, run in found.runs.items()
        ],
        "protocol": found.protocol,
        "energy": kind_of(found.cells[0].case),
        "machines": dict(found.machines),
        "models": list(found.models),
        "environments": list(found.environments),
        "shared_cells": found.shared,
        "cells": [_cell(found, cell) for cell in found.cells],
        "missing": [{"model": model, "environment": environment} for model, environment in found.missing],
        "anova": {
            "response": "ln J of an epoch",
            "sums_of_squares": SUMS,
            "balanced": table.balanced,
            "untested": table.untested or None,
            "model": _effect(table.rows),
            "environment": _effect(table.columns),
            "interaction": _effect(table.interaction),
            "within": {"ss": table.error_ss, "df": table.error_df},
            "n": table.n,
        },
        "ranks": [
            {
                "run": row.run,
                "quantity": row.quantity,
                "rho": row.over_cells,
                "cells": row.cells,
                "within_environment": dict(row.within),
                "reason": row.reason or None,
            }
            for row in found.ranks
        ],
        "loss": found.loss,
        "choices": [_choice(choice) for choice in found.choices],
        "paper": {"partial_eta_squared": PAPER_ETA, "saving": PAPER_SAVING, "loss_of_f1": PAPER_LOSS},
        "notes": list(found.notes),
    }
    return json.dumps(_strict(document), indent=1, allow_nan=False)


def _cell(found: Interactions, cell: Cell) -> dict[str, Any]:
    return {
        **_place(cell),
        "case": cell.case.id,
        "setting": cell.setting,
        "default": cell.is_default,
        "rounds": len(cell.epochs),
        "joules_per_epoch": cell.joules,
        "joules_per_sample": cell.joules_per_sample,
        "seconds_per_epoch": cell.seconds,
        "effect": math.exp(cell.log_joules - found.baselines[cell.run]),
        "accuracy": cell.score("accuracy"),
        "macro_f1": cell.score("macro_f1"),
        "flops_per_epoch": cell.flops,
        "parameters": cell.parameters,
        "rated_w": cell.rated_w,
        "measured_share": cell.case.measured_share,
    }


def _place(cell: Cell) -> dict[str, str]:
    return {"run": cell.run, "model": cell.model, "environment": cell.environment}


def _effect(effect: Effect) -> dict[str, Any]:
    eta = effect.eta
    return {
        "ss": effect.ss,
        "df": effect.df,
        "f": effect.f,
        "p": effect.p,
        "rms_ln": effect.rms,
        "partial_eta_squared": None if eta is None else eta.value,
        "interval": None if eta is None else [eta.low, eta.high],
        "partial_omega_squared": None if eta is None else eta.omega,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "run": choice.run,
        "scope": choice.scope,
        "scores": list(choice.scores),
        "lost": {score: choice.lost(score) for score in choice.scores},
        "reference": _place(choice.reference),
        "cheapest": _place(choice.cheapest),
        "dearest": _place(choice.dearest),
        "default": None if choice.default is None else _place(choice.default),
        "beside_dearest": _ratio(choice.beside_dearest),
        "beside_default": _ratio(choice.beside_default),
        "within": choice.within,
        "of": choice.of,
    }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    return None if ratio is None else {**asdict(ratio), "saving": ratio.saving}


def _strict(value: Any) -> Any:
    """A number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): _strict(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
