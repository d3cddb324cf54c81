"""MLflow: a stored run, logged as one MLflow run per case. Needs `mlflow` or `mlflow-skinny`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from energybench.model import Case, Run
from energybench.units import kwh

try:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
except ImportError:
    raise ImportError("log_run needs MLflow: pip install 'energybench[mlflow]'") from None

EXPERIMENT = "energybench"
_LONGEST_PARAM = 500
_UNFIT = re.compile(r"[^\w\-. /]")
_BATCH = 900
"""MLflow takes 1,000 metrics at once."""


def log_run(run: Run, *, experiment: str = EXPERIMENT, tracking_uri: str | None = None) -> tuple[str, ...]:
    """Log each case of `run` (`energybench.store.read_run(path)`) as an MLflow run; their ids.

    Metrics by round (step 0, 1, ...): `joules` and `kwh` (with the case's PUE), `domains/DOMAIN_j`, `seconds`, and what
    was recorded, such as `accuracy`; what was not read is not logged. Parameters are the case's. Tags say where the
    joules come from: `energybench.provenance`, `.measured_share`, `.domains`, and `.case`, `.run`, `.session`,
    `.status`, `.workload`, `.commit`, `.pue`, `.warnings`. A case of this session that is logged already is not logged
    again.
    """
    client = MlflowClient(tracking_uri=tracking_uri)
    found = client.get_experiment_by_name(experiment)
    place = found.experiment_id if found is not None else client.create_experiment(experiment)
    return tuple(_logged(client, place, run, case) for case in run.cases)


def _logged(client: MlflowClient, experiment: str, run: Run, case: Case) -> str:
    tags = _tags(run, case)
    # MLflow's filters know no way to write a quotation mark, which a case's id may hold: a digest stands for it.
    same = f"tags.`energybench.key` = '{tags['energybench.key']}'"
    earlier = client.search_runs([experiment], filter_string=same, max_results=1)
    if earlier:
        return str(earlier[0].info.run_id)
    begun = _milliseconds(case.rounds[0].started if case.rounds else "") or _milliseconds(run.created)
    made = client.create_run(experiment, start_time=begun, tags=tags, run_name=case.short_id)
    params = [Param(_fit(name), _text(value)[:_LONGEST_PARAM]) for name, value in case.params.items()]
    client.log_batch(made.info.run_id, params=params)
    metrics = list(_metrics(case, begun or 0))
    for first in range(0, len(metrics), _BATCH):
        client.log_batch(made.info.run_id, metrics=metrics[first : first + _BATCH])
    failed = str(case.status) == "failed"
    client.set_terminated(made.info.run_id, status="FAILED" if failed else "FINISHED")
    return str(made.info.run_id)


def _metrics(case: Case, begun: int) -> Iterator[Metric]:
    for step, (round, joules) in enumerate(zip(case.rounds, case.joules(), strict=True)):
        values: dict[str, float | None] = {"seconds": round.window.seconds, "joules": joules}
        values["kwh"] = None if joules is None else kwh(joules, case.pue)
        values |= {f"domains/{name}_j": value for name, value in round.window.joules.items()}
        values |= {name: value for name, value in round.metrics.items() if name not in values}
        when = _milliseconds(round.started) or begun
        yield from (Metric(_fit(name), value, when, step) for name, value in values.items() if value is not None)


def _tags(run: Run, case: Case) -> dict[str, str]:
    share = case.measured_share
    session = run.session.get("session", "")
    values: dict[str, Any] = {
        "key": hashlib.sha256(repr((run.name, session, case.id)).encode()).hexdigest()[:32],
        "case": case.id,
        "run": run.name,
        "session": session,
        "status": case.status,
        "provenance": case.provenance or "no energy",
        "measured_share": "" if share is None else f"{share:.4f}",
        "domains": ", ".join(f"{d.name} ({d.provenance}{'' if d.in_total else ', not added'})" for d in case.domains),
        "workload": case.workload,
        "commit": run.commit.get("id", ""),
        "pue": f"{case.pue:g}",
        "warnings": "; ".join(case.warnings),
    }
    return {f"energybench.{name}": str(value)[:_LONGEST_PARAM] for name, value in values.items()}


def _fit(name: str) -> str:
    """A name as MLflow takes it: `domains/gpu:0_j` is `domains/gpu_0_j`."""
    return _UNFIT.sub("_", name)[:250]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _milliseconds(moment: str) -> int | None:
    try:
        return int(datetime.fromisoformat(moment).timestamp() * 1000)
    except ValueError:
        return None
