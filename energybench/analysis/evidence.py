"""What the claims of the paper are judged by: one run's rows under its protocol, and the rules for an interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from energybench.analysis import paper
from energybench.analysis.effects import accuracy_effect
from energybench.analysis.row import Ratio, Row, workload
from energybench.analysis.study import EARLY_STOPPING

ACCURACY_NOISE = 0.01
"""noise of one round's accuracy, assumed where a side has one round"""
FEWEST = 3
"""models, or cases, that a statement on several of them needs at least"""


class Judged(StrEnum):
    """What a run says of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    NOT_TESTABLE = "not testable here"


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of the paper beside what a run shows."""

    text: str
    paper: str
    """the paper's figure"""
    here: str
    """this run's figure; a dash where it has none"""
    judgement: Judged
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The rows of one run that speak for the paper's protocol: its four techniques under early stopping."""

    rows: tuple[Row, ...]
    controls: tuple[Row, ...] = ()
    """all rows of other protocols"""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Evidence:
        """One row per model and compressor: the fine-tune at the paper's tolerance before any other."""
        every = tuple(rows)
        chosen: dict[tuple[str, str], Row] = {}
        for row in sorted(every, key=lambda row: (row.tolerance != paper.TOLERANCE, row.study != "finetune")):
            if row.protocol == EARLY_STOPPING:
                chosen.setdefault((row.model, row.compressor), row)
        return cls(tuple(chosen.values()), tuple(row for row in every if row.protocol != EARLY_STOPPING))

    def row(self, model: str, compressor: str) -> Row | None:
        """The row of this model under this compressor."""
        return next((row for row in self.rows if (row.model, row.compressor) == (model, compressor)), None)

    def under(self, compressor: str) -> tuple[Row, ...]:
        """All models under this compressor."""
        return tuple(row for row in self.rows if row.compressor == compressor)

    @property
    def data(self) -> tuple[str, ...]:
        """Names of the data sets."""
        return tuple(dict.fromkeys(str(workload(row.case).get("data", "unknown data")) for row in self.rows))

    @property
    def is_imagenet(self) -> bool:
        """Whether every row was measured on ImageNet."""
        return bool(self.rows) and all("imagenet" in name.lower() for name in self.data)

    @property
    def elsewhere(self) -> str:
        """Why figures of ImageNet-1K cannot be tested here."""
        return f"the figure is ImageNet-1K's, and this run is on {', '.join(self.data) or 'nothing'}"


def conditions(row: Row, *, energy: bool = True) -> str:
    """Where a judgement comes from: data, profile, the kind of joules, rounds."""
    declared = workload(row.case)
    ratio = row.energy if energy else row.seconds
    parts = [f"{declared.get('data', 'unknown data')}, profile {declared.get('profile', 'not stated')}"]
    if energy and row.is_estimated:
        parts.append("energy estimated")
    if ratio is not None:
        parts.append(ratio.basis)
    return ", ".join(parts)


def decide(ratio: Ratio, *, below: float, above: float) -> Judged:
    """Reproduced where the whole interval lies below `below`, not reproduced where it lies above `above`."""
    if ratio.high < below:
        return Judged.REPRODUCED
    return Judged.NOT_REPRODUCED if ratio.low > above else Judged.NOT_TESTABLE


def loss_interval(row: Row) -> tuple[float, float] | None:
    """95 % interval of the loss of accuracy beside none, as shares; None where a side recorded none.

    With one round on a side, or without spread, three times the assumed noise of one round stands in.
    """
    effect = None if row.baseline is None else accuracy_effect(row.baseline, row.case, same_images=True)
    if effect is None:
        return None
    if effect.test is None:
        return effect.worse - 3 * ACCURACY_NOISE, effect.worse + 3 * ACCURACY_NOISE
    return effect.test.interval()


def is_lost(row: Row) -> bool:
    """Whether the whole interval of the loss of accuracy is beyond the tolerance."""
    interval = loss_interval(row)
    return interval is not None and interval[0] > row.tolerance


def shown(ratio: Ratio) -> str:
    """`0.92 (0.84 .. 1.00)`."""
    return f"{ratio.value:.2f} ({ratio.low:.2f} .. {ratio.high:.2f})"


def points(loss: float | None) -> str:
    """A loss of accuracy as the change in points: 0.026 -> `-2.6 points`."""
    return "accuracy not recorded" if loss is None else f"{-100 * loss + 0.0:+.2f} points"


def absent(evidence: Evidence, model: str, compressor: str) -> str:
    """Why a model cannot be judged: there is no such case, or no baseline to hold it against."""
    row = evidence.row(model, compressor)
    if row is None:
        return f"the run has no {model}-{compressor} case under the protocol {EARLY_STOPPING}"
    return "; ".join(row.notes) or f"{model}-{compressor} has no reading beside its none case"
