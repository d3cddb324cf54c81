"""`energybench estimate layers`, as its users call it."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from energybench.cli import main

SMALL = ("--model", "tiny", "--size", "16", "--batch", "4", "--classes", "10")


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["estimate", "layers", *argv], out, err)
    return code, out.getvalue(), err.getvalue()


def document(*argv: str) -> Any:
    code, out, err = run(*argv, "--format", "json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_a_step_is_shown_by_kind_with_the_dearest_first_and_called_what_it_is() -> None:
    code, out, err = run(*SMALL, "--watts", "10", "--images", "10", "--epochs", "2", "--pue", "1.5")
    assert (code, err) == (0, "")
    assert out.startswith("tiny, a training step of 4 images of 16 x 16: ")
    assert "(watts given, 10.0 W)" in " ".join(out.split())
    lines = out.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("---")) + 1
    shares = [
        float(line.split()[2]) for line in lines[begin:] if len(line.split()) == 4 and line.split()[2][0].isdigit()
    ]
    assert len(shares) > 3
    assert shares == sorted(shares, reverse=True)
    assert "6 steps: " in out  # three batches of ten images, twice
    assert "at PUE 1.5: " in out
    assert "missed whole steps by 20 % (median)" in " ".join(out.split())


def test_the_document_adds_up() -> None:
    found = document(*SMALL, "--watts", "10", "--images", "8", "--epochs", "3")
    basis = found["basis"]
    assert (basis["steps"], basis["work"], basis["source"]) == (6, "training step", "watts given")
    assert found["joules"] == pytest.approx(6 * basis["step_j"])
    assert basis["step_j"] == pytest.approx(10 * basis["step_s"])
    assert sum(kind["joules"] for kind in basis["by_kind"].values()) == pytest.approx(basis["step_j"])
    assert {"conv", "optimiser", "loss"} <= set(basis["by_kind"])
    assert (found["low"], found["high"]) == (None, None)


def test_a_forward_pass_has_no_optimiser_and_its_joules_are_this_machines() -> None:
    basis = document(*SMALL, "--forward")["basis"]
    assert basis["work"] == "forward pass"
    assert "optimiser" not in basis["by_kind"]
    assert basis["domains"]
    assert basis["source"] in ("measured", "integrated", "estimated")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--model", "resnet19"), "resnet19"),
        (("--model", "tiny", "--size", "16", "--batch", "1"), "a batch of at least 2 images, not 1"),
        (("--model", "causal_lm"), "reads tokens"),
    ],
)
def test_what_cannot_be_listed_is_refused(argv: tuple[str, ...], says: str) -> None:
    code, out, err = run(*argv, "--watts", "10")
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.parametrize("argv", [("--batch", "0"), ("--watts", "-1"), ("--epochs", "many")])
def test_numbers_out_of_range_are_refused(argv: tuple[str, str]) -> None:
    code, out, err = run("--model", "tiny", *argv)
    assert (code, out) == (2, "")
    assert argv[1] in err


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("energybench.lab")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = run(*SMALL)
    assert code == 2
    assert "pip install 'energybench[bench]'" in err
