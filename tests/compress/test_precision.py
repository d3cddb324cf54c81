"""What the probe says of this machine, of one with fewer instructions, and of hardware that is not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from energybench.compress import precision
from energybench.compress.precision import SLOWER, TARGETS, Probe, UnavailableError, probe
from energybench.errors import CompressionError, UsageError


@pytest.mark.parametrize("target", ["bfloat16", "autocast", "float16"])
def test_a_cpu_is_judged_by_a_measured_ratio_that_the_reason_names(target: str) -> None:
    found = probe(target)
    ratio = float(found.reason.split(" times")[0].split()[-1])
    assert found.reason.startswith("this CPU takes ")
    assert found.fast == (ratio <= SLOWER)
    assert found.possible


def test_every_target_is_probed_once_and_says_something() -> None:
    for target in TARGETS:
        if target != "int8":  # imports torchao, which its own tests do
            assert probe(target) is probe(target, torch.device("cpu"))
            assert probe(target).reason


def test_what_a_cpu_cannot_do_is_said_with_the_hardware_that_can() -> None:
    tf32, float8 = probe("tf32"), probe("float8")
    assert not tf32.possible
    assert not tf32.fast
    assert "8.0" in tf32.reason
    assert not float8.fast
    assert "8.9" in float8.reason or "energybench[lowbit]" in float8.reason


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown precision 'fp4'; there are bfloat16, autocast"):
        probe("fp4")


def test_probing_leaves_the_random_generator_and_the_threads_alone() -> None:
    precision._probe.cache_clear()
    precision._half_ratio.cache_clear()
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    probe("bfloat16")
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_unavailable_is_a_compression_error() -> None:
    assert issubclass(UnavailableError, CompressionError)


def _elsewhere(target: str, **environment: str) -> Probe:
    code = (
        "import json, torch; torch.set_num_threads(1)\n"
        "from energybench.compress.precision import probe\n"
        f"p = probe({target!r}); print(json.dumps([p.fast, p.reason]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    fast, reason = json.loads(done.stdout)
    return Probe(fast, reason)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN to be limited")
def test_a_cpu_whose_bfloat16_instructions_are_hidden_is_found_out() -> None:
    # oneDNN obeys this variable: the same machine, as if it had AVX2 alone.
    found = _elsewhere("bfloat16", ONEDNN_MAX_CPU_ISA="AVX2")
    if found.fast:
        pytest.skip(f"hiding instructions from oneDNN changes nothing on this CPU: {found.reason}")
    assert "does not support it" in found.reason


class FakeCard:
    """Stands for torch.cuda's description of a card; no energybench class."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
        precision._probe.cache_clear()
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A Card")


@pytest.mark.parametrize(
    ("capability", "fast", "possible"),
    [
        ((6, 1), set(), {"bfloat16", "autocast", "float16"}),
        ((7, 0), {"float16"}, {"bfloat16", "autocast", "float16"}),
        ((8, 0), {"float16", "bfloat16", "autocast", "tf32"}, {"bfloat16", "autocast", "float16", "tf32"}),
    ],
)
def test_a_gpu_is_judged_by_its_compute_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], fast: set[str], possible: set[str]
) -> None:
    FakeCard(monkeypatch, capability)
    found = {target: probe(target, "cuda:0") for target in ("bfloat16", "autocast", "tf32", "float16")}
    precision._probe.cache_clear()
    assert {target for target, p in found.items() if p.fast} == fast
    assert {target for target, p in found.items() if p.possible} == possible
    assert found["tf32"].reason == (
        f"A Card has compute capability {capability[0]}.{capability[1]}; tf32 is fast from 8.0 on"
    )


def test_float8_needs_the_capability_and_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed", exc_type=ImportError)
    for capability, fast in (((8, 6), False), ((8, 9), True), ((9, 0), True)):
        FakeCard(monkeypatch, capability)
        assert probe("float8", "cuda:0").fast == fast
    precision._probe.cache_clear()
