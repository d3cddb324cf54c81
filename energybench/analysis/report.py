"""What a comparison is asked for, and what it answers: options, pairs of cases, and the report with its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from energybench.errors import UsageError
from energybench.model import Case, Comparison, Verdict

GATING = ("energy", "accuracy")
"""The metrics that decide the exit code."""
COMPARED = (Verdict.OK, Verdict.IMPROVED, Verdict.REGRESSED, Verdict.INCONCLUSIVE)
"""The verdicts on two values that were held against one another."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What counts as a change, and what a gate insists on. Raises UsageError for a value out of range."""

    margin: float = 0.05
    """relative growth in energy that matters"""
    accuracy_margin: float = 0.005
    """fall in accuracy that matters, as a share (0.005 = half a point)"""
    noise_floor: float = 0.03
    """relative noise of one round's energy, assumed where a side has one round"""
    accuracy_noise: float = 0.01
    """noise of one round's accuracy, assumed where a side has one round"""
    strict: bool = False
    """an inconclusive case fails (exit code 3)"""
    common: bool = False
    """only cases that both runs have are in scope"""
    vary: Collection[str] = frozenset()
    """comparability keys, or `workload`, that are meant to differ"""
    common_noise: float = 0.02
    """relative noise of a whole session, common to all its cases, assumed where the store has no history (tau)"""
    case_noise: float = 0.01
    """relative noise of one case from session to session, assumed where the store has no history (omega)"""
    paired: bool = False
    """both sides were measured in turn in one session, so that there is no noise between sessions"""
    looks: int = 1
    """how often this change has been, or may be, held against the baseline; each look may use its part of the level"""
    margins: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """pattern of case ids (as for fnmatch, on the whole id or the part in brackets) -> metric -> margin"""

    def __post_init__(self) -> None:
        for name in ("margin", "accuracy_margin", "noise_floor", "accuracy_noise", "common_noise", "case_noise"):
            value, may_be_none = getattr(self, name), name in ("common_noise", "case_noise")
            if not (0 < value < 1 or (may_be_none and value == 0)):
                raise UsageError(f"{name.replace('_', ' ')} is {value}: give a share between 0 and 1, such as 0.05.")
        refused = sorted({"provenance", "domains"}.intersection(self.vary))
        if refused:
            raise UsageError(
                f"{refused[0]} cannot be declared as varying: joules of another kind, or of other devices, are other "
                f"quantities."
            )


@dataclass(frozen=True, slots=True)
class SessionNoise:
    """How far unchanged code comes apart from one session to the next, as standard deviations of ln J."""

    common: float
    """shared by all cases of a session (tau)"""
    case: float
    """of each case on its own (omega)"""
    sessions: int = 0
    """earlier sessions that it was estimated from; 0: declared"""
    common_df: int | None = None
    """degrees of freedom of `common`; None: taken as known"""
    paired: bool = False
    """both sides come from one session, measured in turn: there is none"""


@dataclass(frozen=True, slots=True)
class Shift:
    """What all cases have in common: the median change over the cases of both runs, and the verdict on it."""

    metric: str
    verdict: Verdict
    change: float
    """relative (0.05 = +5 %)"""
    interval: tuple[float, float] | None
    reason: str
    cases: int
    p: float | None = None
    """one-sided p value of `not worse`"""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two sides of one case id; one of them may be absent."""

    case: str
    baseline: Case | None
    candidate: Case | None


@dataclass(frozen=True, slots=True)
class Report:
    """All comparisons of two runs."""

    comparisons: tuple[Comparison, ...]
    pairs: tuple[Pair, ...] = ()
    """the cases behind them, in the candidate's order, missing cases at the end"""
    options: CompareOptions = field(default_factory=CompareOptions)
    notes: tuple[str, ...] = ()
    baseline: str = ""
    """name of the baseline run, such as `0001_run1`"""
    candidate: str = ""
    shift: Shift | None = None
    """of energy; None where fewer than three cases could be compared"""
    canary: float | None = None
    """relative change of the canary, a fixed load that no code under test touches; None where a side has none"""
    noise: SessionNoise | None = None
    """between sessions, as the verdicts on energy took it"""
    _index: dict[tuple[str, str], Comparison] = field(default_factory=dict, init=False, repr=False, compare=False)
    """filled by the first look-up: a table asks for every case"""

    @property
    def gating(self) -> tuple[Comparison, ...]:
        """The comparisons that decide: energy and accuracy."""
        return tuple(comparison for comparison in self.comparisons if comparison.metric in GATING)

    @property
    def counts(self) -> dict[Verdict, int]:
        """Verdict -> number of gating comparisons with it, missing and new cases counted once."""
        return dict(Counter(comparison.verdict for comparison in self.gating))

    @property
    def nothing_compared(self) -> bool:
        """Whether not one gating metric of one case could be held against its counterpart."""
        return not any(comparison.verdict in COMPARED for comparison in self.gating)

    @property
    def exit_code(self) -> int:
        """1 regressed, a case or all together; 4 not comparable, missing or nothing compared; 3 inconclusive where
        strict; else 0.
        """
        counts = self.counts
        if Verdict.REGRESSED in counts or (self.shift is not None and self.shift.verdict is Verdict.REGRESSED):
            return 1
        if self.nothing_compared or Verdict.NOT_COMPARABLE in counts or Verdict.MISSING in counts:
            return 4
        if self.options.strict and Verdict.INCONCLUSIVE in counts:
            return 3
        return 0

    def of(self, case: str, metric: str) -> Comparison | None:
        """The comparison of this metric of this case, None where there is none."""
        if not self._index:
            for comparison in self.comparisons:
                self._index.setdefault((comparison.case, comparison.metric), comparison)
        return self._index.get((case, metric))
