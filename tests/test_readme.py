"""The manual is executed: its examples, its commands and its options are the program's."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from energybench.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("metering.md", "verdicts.md", "studies.md", "ci.md", "extending.md")
"""what README.md leads to for details; the reference is made, and held by tests/test_reference.py"""
MANUAL = "\n".join([README, *(Path(ROOT, "docs", page).read_text("utf-8") for page in PAGES)])


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


COMMANDS = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines() if line[:2] == "$ "]


def test_the_example_runs_and_leaves_a_stored_run(pytester: pytest.Pytester) -> None:
    (example,) = [block for block in blocks("python") if "def test_train(energy)" in block]
    pytester.makepyfile(test_mine=example)
    result = pytester.runpytest_subprocess("-p", "energybench.plugin", "--energy-rounds", "2")
    result.assert_outcomes(passed=1)
    assert len(list(pytester.path.glob(".benchmarks/*/0001_*.json"))) == 1


def test_the_three_lines_that_compress_a_model_run(tmp_path: Path) -> None:
    (example,) = [block for block in blocks("python") if "StegoReduction(" in block]
    file = tmp_path / "compress.py"
    file.write_text(example, encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "error", file], capture_output=True, text=True, check=True, cwd=ROOT)
    bits, rule, effect, _ = done.stdout.split()
    assert 0 < int(bits) <= 32
    assert (rule, effect) == ("truncate", "simulated")


def test_a_compressor_of_ones_own_runs() -> None:
    (example,) = [block for block in blocks("python") if "class Rounding(" in block]
    done = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout.split(), done.stderr) == (["3", "simulated", "0.95"], "")


def test_a_compressor_of_ones_own_runs_in_the_suite() -> None:
    (example,) = [block for block in blocks("python") if "class Rounding(" in block]
    script = f"""{example}
from energybench.lab.study import Study
given = Study("quick", weights="none", overrides={{"search_images": 50}}, tolerance=0.5)
assert given.subject("tiny", "rounding@17").compressor.levels == 17
assert given._found["tiny", "rounding@17", 0.5].settled.levels == 17
given.subject("tiny", "rounding")
assert given._found["tiny", "rounding", 0.5].settled.levels in {{2.0 ** k + 1 for k in range(16)}}
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_loop_with_laps_runs_and_is_projected(pytester: pytest.Pytester) -> None:
    (example,) = [block for block in blocks("python") if "def test_loop(" in block]
    pytester.makepyfile(test_loop=example)
    result = pytester.runpytest_subprocess("-p", "energybench.plugin", "--energy-project")
    result.assert_outcomes(passed=1)


def test_the_script_without_pytest_and_the_reader_run() -> None:
    scripts = [block for block in blocks("python") if "with metered()" in block or "list_runs(" in block]
    assert len(scripts) == 2
    for script in scripts:
        done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=ROOT)
        assert done.stderr == ""
        assert "2 epochs" in done.stdout or "0001_reference resnet18-none estimated" in done.stdout


def test_the_table_of_compressors_names_every_one() -> None:
    from energybench.compress import COMPRESSORS

    table = README.partition("| name in case ids |")[2].partition("\n\n")[0]
    names = [row.split("|")[1] for row in table.splitlines() if "|" in row[1:]]
    named = set(re.findall(r"`([a-z_0-9]+)`", "\n".join(names)))
    assert set(COMPRESSORS) - {"none"} <= named


def test_the_table_of_studies_names_every_file() -> None:
    files = {path.stem.removeprefix("test_") for path in (ROOT / "benches").glob("test_*.py")} - {"finetune"}
    table = README.partition("| `--energy-study` |")[2].partition("\n\n")[0]
    assert files | {"paper"} == set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_shown_command_succeeds_in_a_fresh_clone(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *arguments = shlex.split(command)
    assert program == "energybench"
    monkeypatch.chdir(ROOT)
    out, err = io.StringIO(), io.StringIO()
    assert main(arguments, out, err) == 0, err.getvalue()
    assert out.getvalue().strip()


def test_the_two_set_up_commands_are_single_lines_that_install_with_the_pins() -> None:
    for name, extra in (("main", "bench"), ("test", "test")):
        found = re.search(rf"<!-- {name} command -->\n```sh\n(.*?)```", README, re.DOTALL)
        assert found is not None
        (line,) = found[1].strip().splitlines()
        assert f"-c constraints.txt -e '.[{extra}]'" in line
        assert "pytest" in line.rpartition("&&")[2]


def test_the_manual_names_every_option_and_no_other() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--help", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    offered = set(re.findall(r"^\s+(--energy-[a-z-]+)", done.stdout, re.MULTILINE))
    named = set(re.findall(r"--energy-[a-z-]+[a-z]", MANUAL))
    assert offered
    assert offered - named == set()
    assert named - offered == set()


def test_the_readme_names_every_subcommand() -> None:
    out = io.StringIO()
    assert main(["--help"], out, out) == 0
    subcommands = re.findall(r"^    ([a-z]+) ", out.getvalue(), re.MULTILINE)
    assert "compare" in subcommands
    assert [name for name in subcommands if f"`energybench {name}" not in README] == []


def test_the_table_of_recipes_is_the_quick_profile() -> None:
    from energybench.lab.models import NINE
    from energybench.lab.profiles import recipe

    (table,) = re.findall(r"^\| model \| pixels .*?\n\n", MANUAL, re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    assert [row[0].split()[0] for row in rows] == [*NINE, "tiny"]
    for model, pixels, pretraining, its_optimizer, batch, rate in rows:
        chosen = recipe("quick", model.split()[0])
        assert int(pixels) == chosen.pixels
        assert pretraining == f"{chosen.pretrain_images} × {chosen.pretrain_epochs}"
        name, peak = its_optimizer.split()
        assert (name.lower(), float(peak)) == (chosen.pretrain_optimizer, chosen.pretrain_lr)
        assert (int(batch), float(rate)) == (chosen.batch, chosen.lr)
        shared = (chosen.epochs, chosen.optimizer, chosen.patience, chosen.min_delta, chosen.search_images)
        assert shared == (5, "sgd", 3, 0.05, 250)
        assert chosen.train_images == (250 if model.startswith("tiny") else 256)
        assert chosen.evaluation_images == 500


def test_every_link_within_the_manual_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", text):
            path, anchor = target
            if "://" in path:
                continue
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), f"{page.name}: {path}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor[1:] in slugs, f"{page.name}: {path}{anchor}"
