from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.estimators.pre.check import check_observations, errors
from energybench.estimators.pre.crossing import cross
from energybench.estimators.pre.observation import Observation
from energybench.estimators.pre.saved import Saved, Used, from_text, to_text, used


def saved(observations: list[Observation], method: str = "ridge") -> Saved:
    return Saved(
        crossed=cross(observations, method),
        runs=(Used("store/0001_run.json", "ab" * 32, "2026-01-01T00:00:00+00:00", 12),),
        left_out={"it failed": 2},
        errors=errors(check_observations(observations)),
        versions={"energybench": "0.1.0", "numpy": "2.0"},
        created="2026-01-02T00:00:00+00:00",
    )


@pytest.mark.parametrize("method", ["ridge", "kernel", "boosting"])
def test_a_file_predicts_what_was_saved(method: str, world: list[Observation], make: Any) -> None:
    written = saved(world, method)
    read = from_text(to_text(written), "f.json")
    at = make("new", 3.0)
    for quantity in ("power_w", "epoch_s", "epoch_j"):
        assert read.crossed.predictor.predict(quantity, at) == written.crossed.predictor.predict(quantity, at)
        by_model = (crossed.interval(quantity, at, "model") for crossed in (read.crossed, written.crossed))
        assert len(set(by_model)) == 1
    assert read.crossed.predictor.method == method
    assert (read.runs, read.left_out, read.errors, read.versions) == (
        written.runs,
        written.left_out,
        written.errors,
        written.versions,
    )


def test_the_coefficients_in_the_file_are_enough_to_predict_without_energybench(
    world: list[Observation], make: Any
) -> None:
    import math

    document = json.loads(to_text(saved(world)))
    at, fitted = make("new", 3.0), document["fitted"]
    ridge = fitted["regressors"]["epoch_s"]
    row = [math.log(at.features[name]) for name in fitted["columns"]]
    terms = zip(row, ridge["means"], ridge["deviations"], ridge["weights"], strict=True)
    log = ridge["intercept"] + sum(weight * (x - mean) / deviation for x, mean, deviation, weight in terms)
    assert math.exp(log) * at.images == pytest.approx(cross(world).predictor.predict("epoch_s", at))


def test_a_run_is_known_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "0001_run.json"
    path.write_bytes(b"{}")
    assert used(path, "then", 3) == Used(str(path), hashlib.sha256(b"{}").hexdigest(), "then", 3)


def change(text: str, edit: Any) -> str:
    document = json.loads(text)
    edit(document)
    return json.dumps(document)


def test_an_edited_file_is_noticed(world: list[Observation]) -> None:
    text = to_text(saved(world))

    def coefficient(document: Any) -> None:
        document["fitted"]["regressors"]["epoch_j"]["weights"][0] *= 1.01

    def observation(document: Any) -> None:
        document["observations"][0]["epoch_j"] *= 1.5

    for edit in (coefficient, observation):
        with pytest.raises(UsageError, match="do not follow from the observations"):
            from_text(change(text, edit), "f.json")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d.update(kind="else"), "is no fitted predictor"),
        (lambda d: d.update(schema=2), "newer energybench"),
        (lambda d: d.pop("observations"), "is damaged.*observations"),
        (lambda d: d.update(method="pickle"), "is damaged.*method 'pickle'"),
        (lambda d: d["observations"][0].update(epoch_s=-1), "is damaged.*epoch_s -1 instead of a positive number"),
        (lambda d: d["observations"][0]["features"].update(odd=1.0), "unknown feature 'odd'"),
        (lambda d: d.update(observations=d["observations"][:1]), "fewer than 3"),
    ],
)
def test_a_file_that_is_none_or_damaged_is_refused(edit: Any, said: str, world: list[Observation]) -> None:
    with pytest.raises(UsageError, match=said):
        from_text(change(to_text(saved(world)), edit), "f.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "cos\nsystem\n"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"f\.json is (damaged|no fitted)"):
        from_text(text, "f.json")
