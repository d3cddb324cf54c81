"""The study for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from energybench.analysis import paper
from energybench.analysis.claims import judge
from energybench.analysis.cycle import CycleRow, full_cycles
from energybench.analysis.decompose import Decomposition
from energybench.analysis.efficiency import efficiency
from energybench.analysis.returns import returns
from energybench.analysis.row import Ratio, Row, workload
from energybench.analysis.study import Study
from energybench.reports.curve import Curve, curves

SCHEMA = 1
_COMPRESSION = (
    *("kind", "effect", "rate", "rate_definition", "bits", "rule", "bits_by_layer", "amount", "structure", "energy"),
    *("budget", "ranks", "dtype", "bytes_packed", "evaluations", "evaluation_size"),
)


def study_json(study: Study, *, pue: float | None = None) -> str:
    """`{"schema": 1, "runs": [...], "rows": [...], "claims": [...], "cycles": [...], "capacity": [...]}`, strict JSON.

    Shares are in [0, 1], energies in IT joules but for keys with `kwh`, which have the PUE; absent values are null.
    """
    document = {
        "schema": SCHEMA,
        "runs": [
            {"run": name, "source": run.source, "created": run.created, "status": run.session.get("status")}
            for name, run in study.runs.items()
        ],
        "rows": [_row(row, pue) for row in study.rows],
        "claims": [
            {"run": run, **asdict(claim)}
            for run in study.runs
            for claim in judge(study.of(run), [case for name, case in study.capacity if name == run])
        ],
        "cycles": [_cycle(row) for run in study.runs for row in full_cycles(study.of(run))],
        "capacity": [_curve(curve) for curve in curves(study)],
    }
    return json.dumps(_strict(document), indent=1, allow_nan=False)


def _row(row: Row, pue: float | None) -> dict[str, Any]:
    case, declared = row.case, workload(row.case)
    factor = case.pue if pue is None else pue
    figures = asdict(efficiency(case))
    per_kwh, bought = figures.pop("accuracy_per_kwh"), returns(case)
    return {
        "run": row.run,
        "case": case.id,
        "protocol": row.protocol,
        "study": row.study,
        "model": row.model,
        "compressor": row.compressor,
        "profile": declared.get("profile"),
        "data": declared.get("data"),
        "baseline": None if row.baseline is None else row.baseline.id,
        "rounds": len(case.rounds),
        "status": case.status.value,
        "accuracy": row.accuracy,
        "accuracy_loss": row.loss,
        "accuracy_loss_from_start": row.loss_from_start,
        "tolerance": row.tolerance,
        "accurate": row.is_accurate,
        "compression": {key: row.compression.get(key) for key in _COMPRESSION}
        | {"parts": row.compression.get("parts")},
        "epochs": row.epochs,
        "epoch_ratio": row.epoch_ratio,
        "seconds": case.mean_seconds,
        "joules": case.mean_j,
        "pue": factor,
        "kwh": row.kwh(pue),
        "provenance": None if case.provenance is None else case.provenance.value,
        "measured_share": case.measured_share,
        "search_j": row.search_j,
        "search_missing": row.search_missing,
        "energy_ratio": _ratio(row.energy),
        "energy_ratio_with_search": _ratio(row.with_search),
        "seconds_ratio": _ratio(row.seconds),
        "saving": None if row.energy is None else row.energy.saving,
        "net_saving": None if row.with_search is None else row.with_search.saving,
        "outcome": None if row.energy is None else row.outcome.value,
        "noise_band": row.band,
        "decomposition": _decomposition(row.decomposition),
        "cause": row.cause,
        "signatures": list(row.signatures),
        **figures,
        "j_per_sample": bought.j_per_sample,
        "macs_param": bought.macs_param,
        "accuracy_per_kwh": None if per_kwh is None else per_kwh / factor,
        "paper": paper.stated(row.model, row.compressor),
        "notes": list(row.notes),
    }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    return {"value": ratio.value, "interval": [ratio.low, ratio.high], "basis": ratio.basis}


def _decomposition(split: Decomposition | None) -> dict[str, Any] | None:
    """Natural logarithms."""
    if split is None:
        return None
    return {
        "terms": dict(split.terms),
        "intervals": {name: None if ends is None else list(ends) for name, ends in split.intervals.items()},
        "total": split.total,
        "interval": None if split.interval is None else list(split.interval),
        "label": split.label,
    }


def _cycle(row: CycleRow) -> dict[str, Any]:
    cycle, met = row.cycle, row.against_none
    return {
        "run": row.run,
        "case": row.case.id,
        "model": row.model,
        "compressor": row.compressor,
        "batch": row.batch,
        "search_j": None if cycle is None else cycle.search_j,
        "train_j": None if cycle is None else cycle.train_j,
        "fixed_j": None if cycle is None else cycle.fixed_j,
        "inference_j_per_image": None if cycle is None else cycle.inference_j,
        "inference_ratio": _ratio(row.inference),
        "break_even_images": None if met is None else met.images,
        "estimated": row.is_estimated,
        "reason": row.reason if met is None else met.reason,
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        **{key: value for key, value in asdict(curve).items() if key not in ("points", "layers")},
        "accuracy": curve.accuracy,
        "interval": None if curve.interval is None else list(curve.interval),
        "points": [[point.bits, point.accuracy, point.evaluated] for point in curve.points],
        "layers": dict(curve.layers),
    }


def _strict(value: Any) -> Any:
    """JSON types only; a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): _strict(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
