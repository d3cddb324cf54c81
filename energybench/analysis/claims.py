"""The paper's claims, each judged from the data of one run alone.

The rules, on ratios of a case to its `none` case with their 95 % intervals (`analysis.row`; with one round on a side
three times the assumed noise of 3 % stands in):

- A claim is *reproduced* where the whole interval lies on its side, *not reproduced* where the whole interval lies on
  the other side, and *not testable here* in between: then more rounds may settle it.
- "More than half of the energy saved": the interval's upper end is below 0.55 and the accuracy is within the tolerance;
  not reproduced where its lower end is above 0.6, or where the accuracy fell beyond the tolerance with confidence.
- "About half the time": upper end below 0.6; lower end above 0.65.
- "Nothing consistent": a saving is consistent where at least four in five of three or more models save beyond noise at
  the tolerance. Undecided models count for either side: the claim is decided only where they cannot turn it.
- A claim on one model's accuracy or rate names figures of ImageNet-1K; on other data it is not testable.
- Accuracy is kept where its mean loss is within the tolerance, as cases are judged. It counts as lost only where the
  whole interval of the loss is beyond it (one round: three times an assumed noise of 1 point); in between it is open.

Ratios of energy, time and epochs are judged on any data: the reason says which. Estimated joules are CPU seconds times
watts: they can refute a saving that would have to come with fewer seconds, and the reason calls them estimated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from energybench.analysis import paper
from energybench.analysis.claims_accuracy import accuracy_claims, capacity_claim, lowrank_claims, pruned_vgg16
from energybench.analysis.evidence import (
    FEWEST,
    Claim,
    Evidence,
    Judged,
    absent,
    conditions,
    decide,
    is_lost,
    points,
    shown,
)
from energybench.analysis.row import Outcome, Row
from energybench.analysis.stats import sample_variance, t_quantile
from energybench.model import Case, mean

CONSISTENT = 0.8
"""share of the models that must save for a saving to be called consistent"""
RARELY = 0.25
"""a share up to this is `rarely`"""


def judge(rows: Iterable[Row], capacity: Iterable[Case] = ()) -> tuple[Claim, ...]:
    """Every claim of the paper, from the rows and the capacity cases of one run."""
    evidence = Evidence.of(rows)
    return (
        *(halved_energy(evidence, model) for model in paper.HALVED),
        *(halved_time(evidence, model) for model in paper.HALVED),
        average_saving(evidence),
        average_loss(evidence),
        capacity_claim(evidence, tuple(capacity)),
        nothing_consistent(evidence, "prune", "pruning"),
        nothing_consistent(evidence, "lowrank", "low rank"),
        pruned_vgg16(evidence),
        *lowrank_claims(evidence),
        long_runs(evidence),
        nonlinear(evidence),
        *accuracy_claims(evidence),
    )


def halved_energy(evidence: Evidence, model: str) -> Claim:
    """Steganographic capacity reduction more than halves this model's training energy at no more than 1 % lost."""
    text = f"stego: {paper.name(model)} trains with less than half of the energy, at most 1 point lost"
    stated = "ratio < 0.50"
    row = evidence.row(model, "stego")
    if row is None or row.energy is None:
        return Claim(text, stated, "-", Judged.NOT_TESTABLE, absent(evidence, model, "stego"))
    here = f"{shown(row.energy)}, {points(row.loss)}"
    if row.with_search is not None:
        here += f"; {row.with_search.value:.2f} with the search"
    judgement = decide(row.energy, below=0.55, above=0.6)
    reasons = [conditions(row)]
    if judgement is Judged.NOT_TESTABLE:
        reasons.append("the interval reaches into 0.55 to 0.60: more rounds may settle it")
    if judgement is Judged.REPRODUCED and not row.is_accurate:
        judgement = Judged.NOT_REPRODUCED if is_lost(row) else Judged.NOT_TESTABLE
        reasons.append("the energy is halved, the accuracy is not kept" + ("" if is_lost(row) else " beyond doubt"))
    reasons += row.signatures
    if row.energy.is_clear and row.cause:
        reasons.append(f"the difference is mostly {row.cause}")
    return Claim(text, stated, here, judgement, "; ".join(reasons))


def halved_time(evidence: Evidence, model: str) -> Claim:
    """The same models train in about half of the time. Seconds are measured where joules are only estimated."""
    text = f"stego: {paper.name(model)} trains in about half of the time"
    row = evidence.row(model, "stego")
    if row is None or row.seconds is None:
        return Claim(text, "ratio ~ 0.50", "-", Judged.NOT_TESTABLE, absent(evidence, model, "stego"))
    judgement = decide(row.seconds, below=0.6, above=0.65)
    reasons = [conditions(row, energy=False)]
    if judgement is Judged.NOT_TESTABLE:
        reasons.append("the interval reaches into 0.60 to 0.65: more rounds may settle it")
    ratio = row.epoch_ratio
    if ratio is not None:
        reasons.append(f"epochs {ratio:.3g} x none's")
    return Claim(text, "ratio ~ 0.50", shown(row.seconds), judgement, "; ".join(reasons))


def nothing_consistent(evidence: Evidence, compressor: str, spoken: str) -> Claim:
    """Pruning and low rank save nothing consistently, and sometimes cost."""
    text = f"{spoken}: no consistent saving, sometimes a cost"
    stated = "nothing consistent"
    rows = [row for row in evidence.under(compressor) if row.energy is not None]
    counts = {outcome: sum(row.outcome is outcome for row in rows) for outcome in Outcome}
    here = ", ".join(f"{count} {_SPOKEN[outcome]}" for outcome, count in counts.items() if count) or "-"
    if len(rows) < FEWEST:
        return Claim(text, stated, here, Judged.NOT_TESTABLE, f"{len(rows)} of the at least {FEWEST} models it needs")
    saves, undecided = counts[Outcome.SAVES], counts[Outcome.UNDECIDED]
    judgement = Judged.NOT_TESTABLE
    if (saves + undecided) / len(rows) < CONSISTENT:
        judgement = Judged.REPRODUCED
    elif saves / len(rows) >= CONSISTENT:
        judgement = Judged.NOT_REPRODUCED
    reasons = [_conditions(rows), f"consistent would be {100 * CONSISTENT:g} % of the models"]
    if judgement is Judged.NOT_TESTABLE:
        reasons.append("the undecided models could turn it: more rounds may settle it")
    return Claim(text, stated, here, judgement, "; ".join(reasons))


def average_saving(evidence: Evidence) -> Claim:
    """An average saving of 37 %; by steganographic capacity reduction, which the paper's savings are of.

    Reproduced where the 95 % interval of the mean over the models lies within 10 points of it, not reproduced where it
    leaves out everything within 5.
    """
    text, stated = "stego: average energy saving over the models", f"{100 * paper.AVERAGE_SAVING:g} %"
    rows = [row for row in evidence.under("stego") if row.energy is not None]
    values = [row.energy.saving for row in rows if row.energy is not None]
    interval = _interval(values)
    if interval is None:
        return Claim(text, stated, _percent(values), Judged.NOT_TESTABLE, _too_few(values))
    low, high = interval
    judgement = Judged.NOT_TESTABLE
    if low >= paper.AVERAGE_SAVING - 0.10 and high <= paper.AVERAGE_SAVING + 0.10:
        judgement = Judged.REPRODUCED
    elif high < paper.AVERAGE_SAVING - 0.05 or low > paper.AVERAGE_SAVING + 0.05:
        judgement = Judged.NOT_REPRODUCED
    net = mean(1 - row.with_search.value for row in rows if row.with_search is not None)
    here = f"{_percent(values)} ({100 * low:.1f} .. {100 * high:.1f})"
    if net is not None:
        here += f"; {100 * net:.1f} % with the search"
    return Claim(text, stated, here, judgement, f"{_conditions(rows)}; {len(values)} models, interval over them")


def average_loss(evidence: Evidence) -> Claim:
    """Less than 0.8 % of accuracy lost on average; read as points."""
    text, stated = "stego: average loss of accuracy below 0.8 points", "< 0.8 points"
    rows = [row for row in evidence.under("stego") if row.loss is not None]
    values = [row.loss for row in rows if row.loss is not None]
    interval = _interval(values)
    if interval is None:
        return Claim(text, stated, points(mean(values)) if values else "-", Judged.NOT_TESTABLE, _too_few(values))
    low, high = interval
    here = f"{points(mean(values))} ({-100 * high:+.2f} .. {-100 * low + 0.0:+.2f})"
    judgement = Judged.NOT_TESTABLE
    if high < paper.AVERAGE_LOSS or low > paper.AVERAGE_LOSS:
        judgement = Judged.REPRODUCED if high < paper.AVERAGE_LOSS else Judged.NOT_REPRODUCED
    reasons = [", ".join(evidence.data), f"{len(values)} models, interval over them"]
    if judgement is Judged.NOT_TESTABLE:
        reasons.append("the interval holds 0.8")
    return Claim(text, stated, here, judgement, "; ".join(reasons))


def long_runs(evidence: Evidence) -> Claim:
    """More than 1.5 times the baseline's epochs rarely saves energy: one case in four at most; over half refutes."""
    text, stated = "more than 1.5 x the baseline's epochs rarely saves energy", "rarely"
    rows = [row for row in evidence.rows if (row.epoch_ratio or 0.0) > paper.EPOCH_RATIO and row.energy is not None]
    saves = sum(row.outcome is Outcome.SAVES for row in rows)
    undecided = sum(row.outcome is Outcome.UNDECIDED for row in rows)
    here = f"{saves} of {len(rows)} such cases save" if rows else "no such case"
    longest = max((row.epoch_ratio for row in evidence.rows if row.epoch_ratio is not None), default=None)
    if len(rows) < FEWEST:
        most = "" if longest is None else f"; the longest ran {longest:.3g} x none's epochs"
        reason = f"{len(rows)} of the at least {FEWEST} cases it needs{most}"
        return Claim(text, stated, here, Judged.NOT_TESTABLE, reason)
    judgement = Judged.NOT_TESTABLE
    if (saves + undecided) / len(rows) <= RARELY:
        judgement = Judged.REPRODUCED
    elif saves / len(rows) > 0.5:
        judgement = Judged.NOT_REPRODUCED
    return Claim(text, stated, here, judgement, f"{_conditions(rows)}; {undecided} undecided")


def nonlinear(evidence: Evidence) -> Claim:
    """The relation of compression and energy is nonlinear: said without a form that a run could contradict."""
    text = "the relation of compression and energy is nonlinear"
    pairs = [
        (row.rate, row.energy.value)
        for row in evidence.rows
        if row.compressor != "none" and row.rate is not None and row.energy is not None
    ]
    rho = rank_correlation([rate for rate, _ in pairs], [energy for _, energy in pairs])
    here = "-" if rho is None else f"rank correlation {rho:+.2f}"
    reason = "no relation is stated that figures could contradict, and each technique has its own rate"
    if rho is not None:
        reason += f"; the correlation is of rate and energy ratio over {len(pairs)} cases, a line being +1 or -1"
    return Claim(text, "no form given", here, Judged.NOT_TESTABLE, reason)


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rho, ties by mean ranks; None for fewer than three pairs, or where a side does not vary."""
    if len(a) < FEWEST:
        return None
    x, y = _ranks(a), _ranks(b)
    centre = (len(a) + 1) / 2
    spread = math.sqrt(math.fsum((v - centre) ** 2 for v in x) * math.fsum((v - centre) ** 2 for v in y))
    if spread == 0:
        return None
    return math.fsum((v - centre) * (w - centre) for v, w in zip(x, y, strict=True)) / spread


_SPOKEN = {
    Outcome.SAVES: "save",
    Outcome.COSTS: "cost more",
    Outcome.NEITHER: "save nothing that counts",
    Outcome.UNDECIDED: "undecided",
}


def _ranks(values: Sequence[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Two-sided 95 % interval of the mean over the models, by Student; None for fewer than three."""
    if len(values) < FEWEST:
        return None
    centre = math.fsum(values) / len(values)
    reach = t_quantile(0.025, len(values) - 1) * math.sqrt(sample_variance(values) / len(values))
    return centre - reach, centre + reach


def _percent(values: Sequence[float]) -> str:
    value = mean(values)
    return "-" if value is None else f"{100 * value:.1f} %"


def _too_few(values: Sequence[float]) -> str:
    return f"{len(values)} of the at least {FEWEST} models it needs"


def _conditions(rows: Sequence[Row]) -> str:
    return " / ".join(dict.fromkeys(conditions(row) for row in rows))
