"""The canary: the same load at both ends, in windows of its own, and on the GPU only where CUDA is in use."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from energybench.harness import canary
from energybench.harness.canary import Load, Look, is_wanted, look
from energybench.harness.options import EnergyOptions
from energybench.model import Domain, Provenance, Window

MEASURED = Domain("package:0", "rapl", Provenance.MEASURED)
PLATFORM = Domain("psys:0", "rapl", Provenance.MEASURED, in_total=False)
REPLAYED = Domain("package:0", "replay", Provenance.REPLAYED)


class Counting:
    """Meters that note their windows; each takes 2 s and 50 J."""

    def __init__(self, *domains: Domain) -> None:
        self.domains = domains
        self.labels: list[str] = []

    def open_window(self, label: str) -> Any:
        self.labels.append(label)
        return SimpleNamespace(close=lambda: Window(2.0, {domain.name: 50.0 for domain in self.domains}))


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts the calls of the load, which is nothing here."""
    calls: list[str] = []
    monkeypatch.setattr(canary, "_work", lambda: calls.append("cpu"))
    monkeypatch.setattr(canary, "_calls", lambda work: 3)
    return calls


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, counted: list[str]) -> Callable[[bool], None]:
    """A torch whose CUDA is in use, or not."""

    def make(used: bool) -> None:
        torch = SimpleNamespace(
            cuda=SimpleNamespace(is_initialized=lambda: used, synchronize=lambda: None),
            float64="float64",
            ones=lambda size, dtype, device: (size, dtype, device),
            empty_like=lambda other: other,
            no_grad=nullcontext,
            mm=lambda one, other, out: counted.append("gpu"),
        )
        monkeypatch.setitem(sys.modules, "torch", torch)

    return make


def test_the_last_look_makes_as_many_calls_as_the_first(counted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    meters: Any = Counting(MEASURED, PLATFORM)
    first = look(meters, "first")
    monkeypatch.setattr(canary, "_calls", lambda work: 99)
    last = look(meters, "last", first)
    assert counted == ["cpu"] * 6
    assert meters.labels == ["canary", "canary"]
    assert [each.record() for each in (first, last)] == [
        {"when": when, "joules": {"package:0": 50.0}, "seconds": 2.0, "calls": 3} for when in ("first", "last")
    ]


def test_where_cuda_is_in_use_the_gpu_has_a_window_of_its_own(cuda, counted: list[str]) -> None:
    cuda(True)
    meters: Any = Counting(MEASURED)
    first = look(meters, "first")
    assert counted == ["cpu"] * 3 + ["gpu"] * 3
    assert first.record()["gpu"] == {"joules": {"package:0": 50.0}, "seconds": 2.0, "calls": 3}
    assert look(meters, "last", first).gpu == first.gpu
    assert len(meters.labels) == 4


@pytest.mark.parametrize(("at_first", "at_last"), [(False, True), (True, False)])
def test_a_gpu_that_is_in_use_at_one_end_only_has_no_pair(cuda, at_first: bool, at_last: bool) -> None:
    meters: Any = Counting(MEASURED)
    cuda(at_first)
    first = look(meters, "first")
    cuda(at_last)
    last = look(meters, "last", first)
    assert last.gpu is None
    assert (first.gpu is not None) is at_first


def test_without_torch_nothing_of_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    meters: Any = Counting(MEASURED)
    assert look(meters, "first") == Look("first", Load({"package:0": 50.0}, 2.0, 3))
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    ("options", "domains", "wanted"),
    [
        (EnergyOptions(), [MEASURED], False),
        (EnergyOptions(compare="main"), [MEASURED], True),
        (EnergyOptions(compare="main"), [], True),  # seconds only
        (EnergyOptions(compare="main"), [REPLAYED], False),
        (EnergyOptions(compare="main", canary=False), [MEASURED], False),
        (EnergyOptions(canary=True), [REPLAYED], True),
    ],
)
def test_it_comes_with_the_gate_where_joules_are_spent(
    options: EnergyOptions, domains: list[Domain], wanted: bool
) -> None:
    meters: Any = Counting(*domains)
    assert is_wanted(options, meters) is wanted


def test_the_load_is_always_the_same_and_leaves_the_random_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    random.seed(7)
    state = random.getstate()
    assert canary._work() == canary._work()
    assert random.getstate() == state
    assert canary._calls(lambda: None) >= 1
