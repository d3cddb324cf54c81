"""Training environments: which there are, what they change, and that all is put back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from energybench.compress.precision import Probe, UnavailableError
from energybench.lab import environment as lab
from energybench.lab.environment import Environment, cpu_power_limit_w, declared, environments, pinned, ready
from energybench.lab.profiles import Recipe
from energybench.lab.study import Study

CPU = Environment("cpu", 32, 1, "fp32")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    overrides = {"pretrain_images": 64, "pretrain_epochs": 1, "train_images": 40, "evaluation_images": 40}
    return Study("quick", overrides={**overrides, "validation_images": 40, "search_images": 40}, weights="none")


def test_a_cpu_has_every_batch_with_one_and_with_all_threads_in_two_precisions() -> None:
    ids = [each.id for each in environments(4, cuda=False)]
    assert ids == [f"cpu-b{b}-t{t}-{p}" for p in ("fp32", "bf16") for t in (4, 1) for b in (16, 32, 64)]


def test_a_single_thread_is_named_once() -> None:
    assert len(environments(1, cuda=False)) == 6


def test_a_gpu_comes_on_top_and_its_ids_have_no_threads() -> None:
    ids = [each.id for each in environments(4, cuda=True)]
    assert ids[12:] == [f"cuda-b{b}-{p}" for p in ("fp32", "tf32", "bf16") for b in (16, 32, 64)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("raises", [False, True])
def test_threads_and_arithmetic_are_put_back_whatever_happens(raises: bool) -> None:
    class RoundDone(BaseException):
        """As the harness ends a body whose next round is due."""

    before = torch.get_num_threads()
    try:
        with replace(CPU, threads=before + 1, precision="bf16").applied():
            assert torch.get_num_threads() == before + 1
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
            if raises:
                raise RoundDone
    except RoundDone:
        pass
    assert torch.get_num_threads() == before
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_precision_without_a_fast_path_is_refused_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def slow(target: str, device: object) -> Probe:
        asked.append((target, str(device)))
        return Probe(False, "this CPU takes 30 times as long as in float32")

    monkeypatch.setattr(lab, "probe", slow)
    CPU.require()
    assert asked == []
    half = replace(CPU, precision="bf16")
    with pytest.raises(UnavailableError, match="bf16 has no fast path on this cpu: this CPU takes 30 times"):
        half.require()
    half.require(slow=True)
    assert asked == [("autocast", "cpu")] * 2


def test_what_cannot_run_at_all_is_refused_even_if_slow_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "probe", lambda *_: Probe(False, "there is no such thing", possible=False))
    with pytest.raises(UnavailableError, match="no such thing"):
        replace(CPU, precision="tf32").require(slow=True)


def test_the_declared_work_differs_in_all_that_an_environment_is(study: Study) -> None:
    base = declared(CPU, study, "tiny")
    assert (base["device"], base["batch"], base["threads"], base["precision"]) == ("cpu", 32, 1, "fp32")
    assert base["protocol"] == "environment"
    for change in ({"batch": 16}, {"threads": 2}, {"precision": "bf16"}, {"device": "cuda"}):
        assert declared(replace(CPU, **change), study, "tiny") != base  # type: ignore[arg-type]
    assert declared(replace(CPU, batch=16), study, "tiny")["recipe"]["batch"] == 16


@pytest.mark.skipif(torch.cuda.is_available(), reason="the default is the GPU there")
def test_the_default_is_what_the_recipe_asks_for() -> None:
    recipe = Recipe()
    assert Environment("cpu", recipe.batch, 4, recipe.precision).is_default(recipe, threads=4)
    assert not Environment("cpu", recipe.batch, 1, recipe.precision).is_default(recipe, threads=4)
    assert not Environment("cpu", 2 * recipe.batch, 4, recipe.precision).is_default(recipe, threads=4)


def test_an_overridden_batch_leaves_only_its_environments() -> None:
    asked = Study("quick", overrides={"batch": 16})
    assert pinned(CPU, asked) == "--energy-set batch=16 leaves only the environments of that batch"
    assert pinned(replace(CPU, batch=16), asked) == ""
    assert pinned(CPU, Study("quick", overrides={"lr": 0.1})) == ""


def test_a_ready_model_has_its_starting_weights_and_says_where_it_trains(study: Study) -> None:
    subject = study.subject("tiny", "none")
    with CPU.applied():
        made = ready(replace(CPU, batch=16), subject)
        facts = made.facts(threads=1)
    start = subject.compressed.model.state_dict()
    for name, tensor in made.model.state_dict().items():
        torch.testing.assert_close(tensor, start[name], rtol=0, atol=0)
    assert made.model is not subject.compressed.model
    assert facts["hyper_parameters"]["batch"] == facts["intensity"]["batch"] == 16
    assert (facts["device"], facts["threads"]) == ("cpu", 1)
    assert facts["environment"]["id"] == "cpu-b16-t1-fp32"
    assert facts["environment"]["default"] is False


def zone(root: Path, name: str, says: str, watts: float | None) -> None:
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{says}\n")
    (folder / "constraint_0_name").write_text("short_term\n")
    (folder / "constraint_0_power_limit_uw").write_text("900000000\n")
    (folder / "constraint_1_name").write_text("long_term\n")
    if watts is not None:
        (folder / "constraint_1_power_limit_uw").write_text(f"{int(watts * 1e6)}\n")


def test_the_long_term_limits_of_all_packages_are_added(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 65.0)
    zone(tmp_path, "intel-rapl:1", "package-1", 65.0)
    zone(tmp_path, "intel-rapl:0:0", "core", 10.0)
    zone(tmp_path, "intel-rapl:2", "psys", 300.0)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 65.0)
    assert cpu_power_limit_w(tmp_path) == 130.0


def test_a_limit_that_is_not_told_is_absent(tmp_path: Path) -> None:
    assert cpu_power_limit_w(tmp_path / "nowhere") is None
    assert cpu_power_limit_w(tmp_path) is None
    zone(tmp_path, "intel-rapl:0", "package-0", 65.0)
    zone(tmp_path, "intel-rapl:1", "package-1", None)
    assert cpu_power_limit_w(tmp_path) is None  # the first package's alone would be too low
