"""What STEP is given: the epochs of a stored round, or a CSV file of epochs or of power.

    epoch,seconds,joules[,loss][,lr][,optimizer][,frozen][,batch][,data]
    seconds,watts[,epoch]

Epochs are numbered from 0 or 1 without a gap. Samples of power carry the number of the epoch that they fall in; without
that column the caller says how many epochs the series covers, which then count as equally long.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from energybench.estimators import EstimateError
from energybench.estimators.step.epochs import SETTINGS, Epoch
from energybench.estimators.step.power import Power, from_samples

EPOCHS = ("epoch", "seconds", "joules")
POWER = ("seconds", "watts")
CUT = 0.8
"""the last epoch of a power series counts as cut short below this share of the usual length"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Epochs with the power series that they were metered in, where there is one."""

    source: str
    epochs: tuple[Epoch, ...]
    power: Power | None = None
    warnings: tuple[str, ...] = ()

    def upto(self, epochs: int) -> Recorded:
        """As it stood when that many epochs had ended. EstimateError where fewer are there."""
        if not 0 < epochs <= len(self.epochs):
            raise EstimateError(f"{self.source} has {len(self.epochs)} epochs, not {epochs}.")
        power = self.power.upto(epochs) if self.power is not None and self.power.ends_s else self.power
        return Recorded(self.source, self.epochs[:epochs], power, self.warnings)


def read_csv(path: Path, covers: int | None = None) -> Recorded:
    """The epochs of a file; `covers` is the number of epochs of a power series without a column `epoch`.

    Raises EstimateError for a file that cannot be read, has other columns, no lines, or a value that is no number.
    """
    rows = _rows(path)
    names = set(rows[0])
    if names.issuperset(EPOCHS):
        return Recorded(str(path), tuple(_epochs(rows, path)))
    if names.issuperset(POWER):
        return _of_power(rows, path, covers)
    raise EstimateError(
        f"{path} has the columns {', '.join(rows[0])}; STEP reads {','.join(EPOCHS)} or {','.join(POWER)}[,epoch], "
        f"with these names in its first line."
    )


def read_power(path: Path) -> Power:
    """A power series alone, to go with epochs from elsewhere; its clock begins with the first epoch."""
    rows = _rows(path)
    if not set(rows[0]).issuperset(POWER):
        raise EstimateError(f"{path} has the columns {', '.join(rows[0])}; a power series has {','.join(POWER)}.")
    return from_samples(*_columns(rows, path), str(path))


def with_power(recorded: Recorded, power: Power) -> Recorded:
    """The epochs with a power series whose second 0 is the begin of the first of them.

    Raises EstimateError where the series does not hold them all.
    """
    ends, total = [], 0.0
    for epoch in recorded.epochs:
        total += epoch.seconds
        ends.append(total)
    if not ends or power.start_s > 1 or power.seconds[-1] < ends[-1] - max(1.0, 0.01 * ends[-1]):
        raise EstimateError(
            f"The power series runs from {power.start_s:g} to {power.seconds[-1]:g} s, the epochs of {recorded.source} "
            f"from 0 to {total:g} s: they are not of one training, or on other clocks."
        )
    placed = Power(power.start_s, power.seconds, power.watts, tuple(ends), (0.0, *ends[:-1]))
    return Recorded(recorded.source, recorded.epochs, placed.upto(len(ends)), recorded.warnings)


def _rows(path: Path) -> list[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = [name.strip().lower() for name in next(reader, [])]
            rows = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(names):
                    raise EstimateError(
                        f"Line {reader.line_num} of {path} has {len(cells)} values, its first line {len(names)} names."
                    )
                rows.append(dict(zip(names, (cell.strip() for cell in cells), strict=True)))
    except FileNotFoundError as error:
        raise EstimateError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EstimateError(f"{path} cannot be read as CSV: {error}.") from error
    if not rows:
        raise EstimateError(
            f"{path} holds no lines below its header; it needs {','.join(EPOCHS)} or {','.join(POWER)}."
        )
    return [{{"optimiser": "optimizer"}.get(name, name): cell for name, cell in row.items()} for row in rows]


def _epochs(rows: Sequence[Mapping[str, str]], path: Path) -> list[Epoch]:
    numbers = [_number(row["epoch"], path, line, "epoch") for line, row in enumerate(rows, 2)]
    if numbers[0] not in (0, 1):
        raise EstimateError(f"{path} begins with epoch {numbers[0]:g}; the energy of those before it is not known.")
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise EstimateError(
                f"In {path} epoch {after:g} follows epoch {before:g}: every epoch stands once, in order."
            )
    epochs = []
    for line, row in enumerate(rows, 2):
        settings = {name: _setting(row[name]) for name in SETTINGS if row.get(name)}
        joules = _number(row["joules"], path, line, "joules") if row["joules"] else None
        loss = _number(row["loss"], path, line, "loss") if row.get("loss") else None
        epochs.append(Epoch(_number(row["seconds"], path, line, "seconds"), joules, settings, loss))
    return epochs


def _of_power(rows: Sequence[Mapping[str, str]], path: Path, covers: int | None) -> Recorded:
    seconds, watts = _columns(rows, path)
    power = from_samples(seconds, watts, str(path))
    warnings: tuple[str, ...] = ()
    if "epoch" in rows[0]:
        of = [_number(row["epoch"], path, line, "epoch") for line, row in enumerate(rows, 2)]
        for line, (before, after) in enumerate(pairwise(of), 3):
            if after not in (before, before + 1):
                raise EstimateError(f"Line {line} of {path}: epoch {after:g} follows epoch {before:g}.")
        # A step between two epochs belongs to the one that it ends: it ends where the next one's first sample is.
        ends = [seconds[i] for i in range(1, len(of)) if of[i] != of[i - 1]] + [seconds[-1]]
        lengths = [end - begin for begin, end in pairwise((seconds[0], *ends))]
        if len(lengths) > 2 and lengths[-1] < CUT * median(lengths[:-1]):
            ends.pop()
            warnings = (f"epoch {len(lengths)} is cut short where the series ends, and left out",)
    elif covers is None:
        raise EstimateError(
            f"{path} does not say where its epochs end. Add a column epoch, or say with --seen how many epochs the "
            f"whole series covers."
        )
    else:
        length = seconds[-1] - seconds[0]
        ends = [seconds[0] + length * (k + 1) / covers for k in range(covers)]
        warnings = (f"the {covers} epochs are taken as equally long: the series does not say where they end",)
    power = Power(power.start_s, power.seconds, power.watts, tuple(ends)).upto(len(ends))
    epochs = tuple(Epoch(end - begin, power.joules(begin, end)) for begin, end in power.spans)
    return Recorded(str(path), epochs, power, warnings)


def _columns(rows: Sequence[Mapping[str, str]], path: Path) -> tuple[list[float], list[float]]:
    seconds = [_number(row["seconds"], path, line, "seconds") for line, row in enumerate(rows, 2)]
    return seconds, [_number(row["watts"], path, line, "watts") for line, row in enumerate(rows, 2)]


def _number(cell: str, path: Path, line: int, name: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise EstimateError(f"{name} in line {line} of {path} is {cell!r}, which is no number.")
    return value


def _setting(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell
