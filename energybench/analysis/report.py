"""What a comparison is asked for, and what it answers: options, pairs of cases, and the report with its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
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

    def __post_init__(self) -> None:
        for name in ("margin", "accuracy_margin", "noise_floor", "accuracy_noise"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise UsageError(f"{name.replace('_', ' ')} is {value}: give a share between 0 and 1, such as 0.05.")
        refused = sorted({"provenance", "domains"}.intersection(self.vary))
        if refused:
            raise UsageError(
                f"{refused[0]} cannot be declared as varying: joules of another kind, or of other devices, are other "
                f"quantities."
            )


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
        """1 regressed; 4 not comparable, missing or nothing compared; 3 inconclusive where strict; else 0."""
        counts = self.counts
        if Verdict.REGRESSED in counts:
            return 1
        if self.nothing_compared or Verdict.NOT_COMPARABLE in counts or Verdict.MISSING in counts:
            return 4
        if self.options.strict and Verdict.INCONCLUSIVE in counts:
            return 3
        return 0

    def of(self, case: str, metric: str) -> Comparison | None:
        """The comparison of this metric of this case, None where there is none."""
        return next((c for c in self.comparisons if c.case == case and c.metric == metric), None)
