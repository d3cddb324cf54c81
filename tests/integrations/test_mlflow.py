"""A stored run in MLflow's file store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlflow", reason="MLflow is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of another's library

from energybench.integrations.mlflow import log_run  # noqa: E402
from energybench.model import Case, Run, Status  # noqa: E402


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def stored(*cases: Case, session: str = "abc") -> Run:
    created = "2026-01-02T03:04:05+00:00"
    return Run("x/0001_first.json", cases, commit={"id": "f" * 40}, created=created, session={"session": session})


def test_each_case_is_a_run_with_its_rounds_as_steps(make_case: Any, uri: str) -> None:
    case = make_case("r-none", (100.0, None), accuracy=(0.9, 0.8), params={"model": "r", "k": 3}, pue=2.0)
    (id,) = log_run(stored(case), tracking_uri=uri)
    made = client(uri).get_run(id)
    assert made.info.run_name == "r-none"
    assert made.data.params == {"model": "r", "k": "3"}
    steps = {metric.step: metric.value for metric in client(uri).get_metric_history(id, "accuracy")}
    assert steps == {0: 0.9, 1: 0.8}
    # A round that was not read has no joules, rather than 0.
    assert [(m.step, m.value) for m in client(uri).get_metric_history(id, "joules")] == [(0, 100.0)]
    assert made.data.metrics["domains/package_0_j"] == 100.0
    assert made.data.metrics["kwh"] == pytest.approx(2 * 100 / 3.6e6)


def test_the_tags_say_where_the_joules_come_from(make_case: Any, uri: str) -> None:
    (id,) = log_run(stored(replace(make_case(), status=Status.FAILED)), tracking_uri=uri)
    made = client(uri).get_run(id)
    tags = {name.partition(".")[2]: value for name, value in made.data.tags.items() if name.startswith("energybench.")}
    assert tags["provenance"] == "measured"
    assert tags["domains"] == "package:0 (measured)"
    assert (tags["run"], tags["session"], tags["status"], tags["commit"]) == ("0001_first", "abc", "failed", "f" * 40)
    assert made.info.status == "FAILED"


def test_logging_a_run_again_logs_nothing_twice(make_case: Any, uri: str) -> None:
    cases = [make_case("a-none"), make_case('b-"none"')]
    first = log_run(stored(*cases), tracking_uri=uri)
    assert log_run(stored(*cases), tracking_uri=uri) == first
    assert len(set(log_run(stored(*cases, session="def"), tracking_uri=uri)) - set(first)) == 2
