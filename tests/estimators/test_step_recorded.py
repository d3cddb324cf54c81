"""Files of epochs and of power."""

from __future__ import annotations

from pathlib import Path

import pytest

from energybench.estimators import EstimateError
from energybench.estimators.step import Epoch
from energybench.estimators.step.recorded import Recorded, read_csv, read_power, with_power

EPOCHS = """epoch,seconds,joules,loss,lr,optimiser,batch
0,10.5,130,2.1,0.1,adam,64
1,10.0,100,1.5,0.01,sgd,64
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "e.csv"


def power(count: int, epoch: int | None = None) -> str:
    head = "seconds,watts" + (",epoch" if epoch else "")
    rows = [f"{s},{100 + s % 3}" + (f",{1 + s // epoch}" if epoch else "") for s in range(count + 1)]
    return "\n".join([head, *rows]) + "\n"


def test_epochs_are_read_with_their_settings_and_losses(file: Path) -> None:
    file.write_text(EPOCHS, encoding="utf-8-sig")
    read = read_csv(file)
    assert read.epochs == (
        Epoch(10.5, 130.0, {"lr": 0.1, "optimizer": "adam", "batch": 64.0}, 2.1),
        Epoch(10.0, 100.0, {"lr": 0.01, "optimizer": "sgd", "batch": 64.0}, 1.5),
    )
    assert (read.source, read.power, read.warnings) == (str(file), None, ())


def test_an_absent_energy_is_absent_and_not_zero(file: Path) -> None:
    file.write_text("epoch,seconds,joules\n1,10,\n2,10,5\n")
    assert [epoch.joules for epoch in read_csv(file).epochs] == [None, 5.0]


def test_power_with_epochs_is_cut_where_they_begin(file: Path) -> None:
    file.write_text(power(59, epoch=20))
    read = read_csv(file)
    assert read.power is not None
    assert read.power.spans == ((0.0, 20.0), (20.0, 40.0), (40.0, 59.0))
    assert [epoch.seconds for epoch in read.epochs] == [20, 20, 19]
    assert sum(epoch.joules or 0 for epoch in read.epochs) == pytest.approx(read.power.joules(0, 59))


def test_an_epoch_that_the_series_cuts_short_is_left_out_and_said(file: Path) -> None:
    file.write_text(power(47, epoch=20))
    read = read_csv(file)
    assert len(read.epochs) == 2
    assert read.warnings == ("epoch 3 is cut short where the series ends, and left out",)
    assert read.power is not None
    assert read.power.seconds[-1] == 40


def test_power_without_epochs_is_divided_evenly_when_it_is_said_how_many_it_covers(file: Path) -> None:
    file.write_text(power(60))
    read = read_csv(file, covers=3)
    assert [epoch.seconds for epoch in read.epochs] == [20, 20, 20]
    assert read.warnings == ("the 3 epochs are taken as equally long: the series does not say where they end",)
    with pytest.raises(EstimateError, match="say with --seen how many epochs the whole series covers"):
        read_csv(file)


def test_only_the_first_epochs_and_their_power_are_kept(file: Path) -> None:
    file.write_text(power(60, epoch=20))
    read = read_csv(file).upto(2)
    assert len(read.epochs) == 2
    assert read.power is not None
    assert read.power.seconds[-1] == 40
    with pytest.raises(EstimateError, match="has 2 epochs, not 3"):
        read.upto(3)


def test_power_from_another_file_lies_behind_the_epochs(file: Path) -> None:
    file.write_text(power(60))
    epochs = (Epoch(30.0, 3000.0), Epoch(29.0, 2900.0))
    both = with_power(Recorded("e", epochs), read_power(file))
    assert both.power is not None
    assert both.power.spans == ((0.0, 30.0), (30.0, 59.0))
    with pytest.raises(EstimateError, match="from 0 to 60 s, the epochs of e from 0 to 120 s"):
        with_power(Recorded("e", epochs * 2 + (Epoch(2.0, 1.0),)), read_power(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no lines below its header"),
        ("epoch,seconds,joules\n", "no lines below its header"),
        ("a,b\n1,2\n", r"has the columns a, b; STEP reads epoch,seconds,joules or seconds,watts\[,epoch\]"),
        ("epoch,seconds,joules\n1,10,x\n", "joules in line 2 of .* is 'x', which is no number"),
        ("epoch,seconds,joules\n1,nan,1\n", "seconds in line 2 of .* is 'nan'"),
        ("epoch,seconds,joules\n1,10\n", "Line 2 of .* has 2 values, its first line 3 names"),
        ("epoch,seconds,joules\n1,10,5\n3,10,5\n", "epoch 3 follows epoch 1: every epoch stands once"),
        ("epoch,seconds,joules\n1,10,5\n1,10,5\n", "epoch 1 follows epoch 1"),
        ("epoch,seconds,joules\n7,10,5\n", "begins with epoch 7; the energy of those before it is not known"),
        ("seconds,watts\n0,1\n1,1\n2,1\n60,1\n", "a gap of 58 s after second 2"),
        ("seconds,watts,epoch\n0,1,1\n1,1,1\n2,1,3\n", "Line 4 of .*: epoch 3 follows epoch 1"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(EstimateError, match=said):
        read_csv(file, covers=1)


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(EstimateError, match=r"There is no file .*none\.csv"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EstimateError, match="cannot be read as CSV"):
        read_csv(tmp_path / "b.csv")


def test_a_series_that_is_no_power_is_refused(file: Path) -> None:
    file.write_text(EPOCHS)
    with pytest.raises(EstimateError, match="a power series has seconds,watts"):
        read_power(file)
