"""One kept descriptor on a file of the kernel's, and what happens when the file goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from energybench.metering.counter import Counter, CounterResetError, SysfsRegister


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "energy_uj"
    path.write_text("123\n")
    return path


def test_it_reads_the_file_as_it_is_now(file: Path) -> None:
    register = SysfsRegister(file)
    assert register() == 123
    file.write_text("456\n")
    assert register() == 456
    register.close()
    register.close()


@pytest.mark.parametrize(
    ("text", "words"), [("", "''"), ("12.5\n", "'12.5'"), ("nan", "'nan'"), ("-7\n", "negative"), ("\xff", "no number")]
)
def test_what_is_no_count_is_refused_with_what_stood_there(file: Path, text: str, words: str) -> None:
    file.write_text(text, encoding="latin-1")
    register = SysfsRegister(file)
    with pytest.raises(ValueError, match=words):
        register()
    register.close()


def test_a_file_that_is_gone_is_said_when_it_is_asked_for(file: Path) -> None:
    register = SysfsRegister(file)
    register.alive()
    file.unlink()
    with pytest.raises(OSError, match="is gone"):
        register.alive()
    register.close()


def test_a_file_made_anew_is_opened_and_said(file: Path) -> None:
    register = SysfsRegister(file)
    file.unlink()
    file.write_text("5\n")
    with pytest.raises(CounterResetError, match="made anew"):
        register.alive()
    assert register() == 5
    register.close()


def test_a_counter_whose_file_vanishes_has_no_value_and_goes_on_when_it_is_back(file: Path) -> None:
    now = [0.0]
    register = SysfsRegister(file)
    counter = Counter(register, 1.0, None, lambda: now[0], tick_s=0.001, alive=register.alive)
    counter.read()
    file.unlink()
    now[0] = 1.0
    assert counter.read().joules is None  # a kept descriptor would show the old value for ever: 0 J that nobody counted
    file.write_text("10\n")
    now[0] = 2.0
    back = counter.read()
    assert (back.joules, back.breaks) == (None, 1)
    now[0] = 3.0
    first = counter.read()
    file.write_text("14\n")
    now[0] = 4.0
    second = counter.read()
    assert first.breaks == second.breaks == 1
    assert first.joules is not None
    assert second.joules == first.joules + 4
    register.close()


def test_no_descriptor_is_left_open(file: Path) -> None:
    def is_open(descriptor: int) -> bool:
        try:
            os.fstat(descriptor)
        except OSError:
            return False
        return True

    before = {d for d in range(64) if is_open(d)}
    register = SysfsRegister(file)
    file.unlink()
    file.write_text("5\n")
    with pytest.raises(CounterResetError):
        register.alive()
    register.close()
    assert {d for d in range(64) if is_open(d)} == before
