"""What a person sees: figures where others have dots, a table, and a progress line that leaves no trace."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest

SLOW = """
    import time
    import pytest

    @pytest.mark.parametrize("model", ["a", "a_model_with_quite_a_long_name_for_a_case"])
    def test_tune(energy, model):
        def tune():
            for _ in range(3):
                with energy.lap("epoch"):
                    print("captured")
            energy.record(accuracy=0.9, epochs=3)
        energy(tune)

    def test_plain():
        pass

    def test_fails(energy):
        energy(list)
        assert False, "on purpose"
    """


class Screen:
    """As much of a terminal as pytest and the progress line use: text, newline, return, and seven escapes."""

    def __init__(self, columns: int) -> None:
        self.lines: list[list[str]] = [[]]
        self.columns = columns
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\s\S]", text):
            if token.startswith("\x1b["):
                self._escape(token[-1], token[2:-1])
            elif token == "\n":
                self._down()
            elif token == "\r":
                self.column = 0
            else:
                if self.column == self.columns:
                    self.column = 0
                    self._down()
                line = self.lines[self.row]
                line.extend(" " * (self.column + 1 - len(line)))
                line[self.column] = token
                self.column += 1

    def _down(self) -> None:
        self.row += 1
        while len(self.lines) <= self.row:
            self.lines.append([])

    def _escape(self, letter: str, number: str) -> None:
        if letter == "m":
            return
        if letter == "G":
            self.column = int(number or 1) - 1
        elif letter == "A":
            self.row -= int(number or 1)
        elif letter in "KJ":
            del self.lines[self.row][self.column :]
            if letter == "J":
                del self.lines[self.row + 1 :]
        else:
            raise AssertionError(f"an escape that this screen does not know: {number}{letter}")

    @property
    def text(self) -> list[str]:
        return ["".join(line).rstrip() for line in self.lines]


def on_a_terminal(project, *args: str, columns: int, term: str = "xterm") -> tuple[list[str], str]:
    """The final screen and the raw output of pytest on a terminal of this width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *project.arguments("-p", "no:cacheprovider", *args)],
        cwd=project.path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": term},
        close_fds=True,
    )
    os.close(theirs)
    raw = b""
    while select.select([ours], [], [], 600)[0]:  # a busy machine is no bug
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        raw += chunk
    os.close(ours)
    process.wait()
    screen = Screen(columns)
    screen.feed(raw.decode())
    # Seconds, the session's time and the file's name differ between any two runs.
    changing = re.compile(r"in \d+\.\d+s|\d{8}_\d{6}|[-=]{3,}|000\d_")
    return [changing.sub("", line) for line in screen.text], raw.decode()


@pytest.mark.parametrize(("columns", "args"), [(120, []), (60, []), (100, ["-v"])], ids=["wide", "narrow", "verbose"])
def test_the_progress_line_leaves_no_trace_on_the_final_screen(project, columns: int, args: list[str]) -> None:
    project.cases(SLOW)
    live, raw = on_a_terminal(project, "--energy-rounds=2", "--tb=line", *args, columns=columns)
    plain, raw_plain = on_a_terminal(project, "--energy-rounds=2", "--tb=line", *args, columns=columns, term="dumb")
    assert "epoch 2" in raw
    assert "epoch 2" not in raw_plain
    assert "epoch 2" not in "\n".join(live)
    assert live == plain


def test_the_progress_line_says_what_the_round_will_come_to_and_leaves_no_trace(project) -> None:
    project.cases("""
        def test_train(energy):
            energy.plan(4)
            def train():
                for _ in range(4):
                    with energy.lap("epoch"):
                        pass
            energy(train)
        """)
    laps = [{"label": "epoch", "seconds": 2.0, "joules": {"package:0": 3600.0}} for _ in range(4)]
    project.file(
        "replay.json",
        json.dumps(
            {
                "schema": 1,
                "domains": [{"name": "package:0"}],
                "windows": [{"label": "*", "seconds": 8.0, "joules": {"package:0": 14400.0}, "laps": laps}],
            }
        ),
    )
    asked = ["--energy-project", "--energy-carbon=500", "--energy-price=0.3 EUR"]
    live, raw = on_a_terminal(project, *asked, columns=140)
    plain, raw_plain = on_a_terminal(project, *asked, columns=140, term="dumb")
    projected = (
        r"epoch 3 of 4, at the end 4\.00 Wh \(3\.\d\d to 4\.\d\d\), 2\.00 g CO2e, 0\.00120 EUR, about \d\.\d s left"
    )
    assert re.search(projected, raw)
    assert "at the end" not in raw_plain
    assert live == plain
    assert any("(4.00 Wh), 2.00 g CO2e, 0.00120 EUR; IT energy 14.4 kJ." in line for line in live)


@pytest.mark.parametrize("args", [["-q"], ["-s"]], ids=["quiet", "uncaptured"])
def test_there_is_no_progress_line_where_it_would_be_in_the_way(project, args: list[str]) -> None:
    project.cases(SLOW)
    _, raw = on_a_terminal(project, *args, columns=100)
    assert "epoch 1" not in raw
    assert "1 failed, 3 passed" in raw


def test_each_verbosity_has_its_screen(project) -> None:
    project.cases(SLOW)
    plain = project.run_apart("--energy-rounds=2")
    project.says(
        plain,
        "energybench: 3 cases, 2 rounds each, PUE 1, store *",
        "energybench: replayed: package:0 (replay)",
        "[[]1/3[]] a: round 1/2, 1.0 s, 27.8 mWh replayed, accuracy 0.9, 3 epochs",
        "[[]1/3[]] a: round 2/2, 1.0 s, 27.8 mWh replayed, accuracy 0.9, 3 epochs*",
        "[[]3/3[]] test_fails: round 2/2, 1.0 s, 27.8 mWh replayed, failed*",
        "*- energybench -*",
        "stored as *",
        "*1 failed, 3 passed*",
    )
    verbose = project.run_apart("--energy-rounds=2", "-v")
    project.says(
        verbose,
        "test_bench.py::test_tune[[]a[]]*",
        "[[]1/3[]] a: round 2/2, 1.0 s, * 3 epochs PASSED*",
        "test_bench.py::test_plain PASSED*",
        "[[]3/3[]] test_fails: round 2/2, 1.0 s, 27.8 mWh replayed, failed FAILED*",
    )
    quiet = project.run_apart("--energy-rounds=2", "-q")
    project.says(quiet, "...F*")
    quiet.stdout.no_fnmatch_line("*round 1/2*")
    quiet.stdout.no_fnmatch_line("energybench: 3 cases*")


def test_kwh_on_the_screen_carry_the_pue_and_joules_do_not(project) -> None:
    project.cases("def test_it(energy):\n    energy(list)\n")
    project.replay({"*": [(3600.0, 2.0)]})
    result = project.run("--energy-pue=1.5")
    project.says(result, "[[]1/1[]] test_it: round 1/1, 2.0 s, 1.50 Wh replayed*")
    project.says(result, "energybench: 1 case, 1 round each, PUE 1.5, *")


def test_the_header_says_what_is_estimated_and_what_is_absent(project) -> None:
    project.cases("def test_it(energy):\n    energy(list)\n")
    root = project.path / "no-powercap"
    root.mkdir()
    estimated = project.run(f"--energy-powercap-root={root}", meters="auto")
    estimated.assert_outcomes(passed=1)
    project.says(estimated, "energybench: estimated: *cpu*", "energybench: absent: *")
    absent = project.run(f"--energy-powercap-root={root}", "--energy-no-estimate", meters="auto")
    absent.assert_outcomes(passed=1)
    if not any("integrated:" in line or "measured:" in line for line in absent.outlines):
        project.says(absent, "energybench: no energy counter and no estimate: seconds and accuracy only")
        (only,) = project.last().records["test_bench.py::test_it"]["rounds"]
        assert only["joules"] == {}


def test_the_table_at_the_end_is_laid_out_as_asked_on_the_command_line_or_in_the_ini_file(project) -> None:
    project.cases("""
        import pytest

        @pytest.mark.parametrize("lr", [0.1, 0.2])
        @pytest.mark.parametrize("model", ["a", "b"])
        def test_it(energy, model, lr):
            energy(list)
        """)
    project.replay({"*a-0.1*": [(4.0, 1.0)], "*a-0.2*": [(3.0, 1.0)], "*b-0.1*": [(2.0, 1.0)], "*b-0.2*": [(1.0, 1.0)]})
    asked = ["--energy-columns=joules,power,param:lr", "--energy-sort", "joules:desc", "--energy-group-by=param:lr"]
    result = project.run(*asked)
    result.assert_outcomes(passed=4)
    table = result.outlines[next(n for n, line in enumerate(result.outlines) if "-- energybench --" in line) :]
    assert table[1].split() == ["case", "J", "W", "lr"]
    assert [line.split()[:2] for line in table[3:8]] == [
        ["a-0.1", "4.00"],
        ["b-0.1", "2.00"],
        table[5].split()[:2],
        ["a-0.2", "3.00"],
        ["b-0.2", "1.00"],
    ]
    project.file("pytest.ini", "[pytest]\nenergy_columns = seconds\nenergy_sort = kwh\nenergy_group_by = none\n")
    result = project.run()
    table = result.outlines[next(n for n, line in enumerate(result.outlines) if "-- energybench --" in line) :]
    assert table[1].split() == ["case", "s"]
    assert [line.split()[0] for line in table[3:7]] == ["b-0.2", "b-0.1", "a-0.2", "a-0.1"]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--energy-columns=kwh,jouls", "*there is no column 'jouls' (did you mean joules?); there are case, *"),
        ("--energy-sort=kwh:down", "*there is no column 'kwh:down'*"),
        (
            "--energy-group-by=size",
            "*cases are grouped by model, compressor, study, param:NAME or none, not by 'size'*",
        ),
        ("--energy-group-by=param:size", "*no case has a parameter 'size': they have model"),
    ],
)
def test_a_name_that_there_is_not_ends_the_session_before_anything_is_measured(project, option: str, says: str) -> None:
    project.cases()
    result = project.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, says)
    assert project.stored() == []


def test_words_of_the_tables_have_colours_where_pytest_has(project) -> None:
    project.cases()
    project.run("--benchmark-save=main")
    project.replay({"*": [(200.0, 1.0)]})
    red = project.run("--energy-compare=main", "--color=yes")
    assert any("\x1b[31mregressed\x1b[0m" in line for line in red.outlines)
    plain = project.run("--energy-compare=main", "--color=no")
    assert any(" regressed " in line for line in plain.outlines)
    assert "\x1b" not in plain.stdout.str()


def test_the_gates_verdicts_stand_in_a_table_at_the_end(project) -> None:
    project.cases()
    project.run("--benchmark-save=main")
    project.replay({"*a]": [(200.0, 1.0)], "*b]": [(100.0, 1.0)]})
    result = project.run("--energy-compare=main")
    lines = result.outlines
    begin = next(n for n, line in enumerate(lines) if "- against 0001_main -" in line)
    assert lines[begin + 1].split()[:3] == ["case", "energy", "change"]
    assert lines[begin + 3].split()[:4] == ["a", "regressed", "+100.0", "%"]
    assert lines[begin + 4].split()[:2] == ["b", "ok"]
    text = result.stdout.str()
    assert "2 cases in both runs: energy" in text
    assert "(exit " not in text
    assert text.count("oise between sessions: ") <= 1 + text.count("gate[")  # said once, beside what failed gates say
    alone = project.run()
    assert "- against" not in alone.stdout.str()
