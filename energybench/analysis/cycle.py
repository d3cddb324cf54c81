"""Full-cycle energy: what a model costs from its compression to its n-th inference.

    E(n) = E_search + E_compress + E_train + n * E_inference

and the number of inferences from which a compressed model has paid for itself (Full-Cycle Energy, arXiv 2108.13465):

    n* = (fixed_c - fixed_b) / (E_inference_b - E_inference_c),  fixed = E_search + E_compress + E_train

Joules are IT energy over the in-total domains; a PUE is one factor on both sides and does not move n*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from energybench.analysis.evidence import Evidence
from energybench.analysis.row import Ratio, Row, mapping, ratio_of, workload
from energybench.analysis.study import INFERENCE
from energybench.model import Case, Provenance, mean


@dataclass(frozen=True, slots=True)
class FullCycle:
    """The parts of E(n), in joules."""

    train_j: float
    inference_j: float
    """per image"""
    search_j: float | None = None
    """None: nothing was searched"""
    compress_j: float | None = None
    """compressing by what the search found, where that was metered apart; the lab meters it inside the search"""

    @property
    def fixed_j(self) -> float:
        """What is spent before the first inference."""
        return self.train_j + (self.search_j or 0.0) + (self.compress_j or 0.0)

    def at(self, images: float) -> float:
        """E(n) in joules after `images` >= 0 inferences."""
        return self.fixed_j + images * self.inference_j


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where two full-cycle energies meet."""

    images: float | None
    """n*; None where they do not meet at a positive number of images"""
    reason: str
    """which side is cheaper where, in words"""


def break_even(baseline: FullCycle, candidate: FullCycle) -> BreakEven:
    """n* of a candidate beside its baseline, or why there is none.

    n* is the number above which the candidate is cheaper where it costs more before the first image and less for each;
    and the number below which it is cheaper where it costs less before the first image and more for each.
    """
    fixed = candidate.fixed_j - baseline.fixed_j
    each = baseline.inference_j - candidate.inference_j
    if each == 0:
        if fixed == 0:
            return BreakEven(None, "equal at every number of images")
        return BreakEven(None, f"an image costs the same, so it stays {'dearer' if fixed > 0 else 'cheaper'} for ever")
    if fixed == 0:
        return BreakEven(None, f"{'cheaper' if each > 0 else 'dearer'} from the first image")
    images = fixed / each
    if images < 0:
        return BreakEven(None, f"{'cheaper' if each > 0 else 'dearer'} from the start and for each image")
    if not math.isfinite(images):
        return BreakEven(None, "an image costs so nearly the same that the two never meet")
    return BreakEven(images, "cheaper above it" if each > 0 else "cheaper below it")


@dataclass(frozen=True, slots=True)
class CycleRow:
    """The full cycle of one inference case."""

    run: str
    case: Case
    """the inference case"""
    model: str
    compressor: str
    batch: float | None
    cycle: FullCycle | None
    """None where a part is absent: `reason` names it"""
    inference: Ratio | None = None
    """J per image over that of none; None for none itself, and where the two are not comparable"""
    against_none: BreakEven | None = None
    """None for the baseline itself"""
    reason: str = ""

    @property
    def is_estimated(self) -> bool:
        """Whether any of its joules come from a model of utilisation."""
        return self.case.provenance is Provenance.ESTIMATED


def full_cycles(rows: Sequence[Row]) -> tuple[CycleRow, ...]:
    """One per inference case of one run, from the fine-tune case of the same model and compressor.

    A way to run the uncompressed model, such as torch.compile, has no fine-tune of its own: it takes that of none, and
    what was spent on making it ready (a compilation) stands as its search.
    Where the J per image of the two sides differ by no more than noise, n* is still given and its reason says so: it
    then is the quotient of a difference that may be nothing.
    """
    training = Evidence.of(rows)
    pairs = [(row, _cycle_row(row, training)) for row in rows if row.protocol == INFERENCE]
    by_case = {id(made.case): made for _, made in pairs}
    return tuple(_against(made, by_case.get(id(row.baseline))) for row, made in pairs)


def inference_j(case: Case) -> float | None:
    """Mean joules per image over the rounds; `images` is what one call recorded. None where either is absent."""
    return mean(_per_image(case, case.total_domains))


def _per_image(case: Case, names: Sequence[str]) -> list[float | None]:
    return [
        None if joules is None or not (images := round.metrics.get("images")) else joules / images
        for round, joules in zip(case.rounds, case.joules(names), strict=True)
    ]


def _cycle_row(row: Row, training: Evidence) -> CycleRow:
    trained = training.row(row.model, row.compressor)
    search_j, search_missing = (None, False) if trained is None else (trained.search_j, trained.search_missing)
    if trained is None and mapping(row.case.facts.get("inference")).get("way", "eager") != "eager":
        trained, search_j, search_missing = training.row(row.model, "none"), row.search_j, row.search_missing
    each, train_j = inference_j(row.case), None if trained is None else trained.case.mean_j
    cycle, reason = None, ""
    if each is None:
        reason = "its rounds have no joules, or recorded no images"
    elif trained is None:
        reason = f"the run has no fine-tune case of {row.model}-{row.compressor}"
    elif train_j is None:
        reason = "its fine-tune case has no energy reading"
    elif search_missing:
        reason = "the search was not metered in this run"
    else:
        cycle = FullCycle(train_j, each, search_j=search_j)
    batch = row.case.mean_metric("batch") or workload(row.case).get("batch")
    inference = None
    if row.baseline is not None and row.energy is not None:  # else the energies are not comparable
        inference = ratio_of(*(_per_image(side, side.verdict_domains) for side in (row.baseline, row.case)))
    return CycleRow(
        run=row.run,
        case=row.case,
        model=row.model,
        compressor=row.compressor,
        batch=batch if isinstance(batch, (int, float)) else None,
        cycle=cycle,
        inference=inference,
        reason=reason,
    )


def _against(row: CycleRow, baseline: CycleRow | None) -> CycleRow:
    if row.cycle is None or baseline is None or baseline.cycle is None:
        return row
    met = break_even(baseline.cycle, row.cycle)
    if row.inference is not None and not row.inference.is_clear:
        met = replace(met, reason=f"{met.reason}; but J per image differ by no more than noise ({row.inference.basis})")
    return replace(row, against_none=met)
