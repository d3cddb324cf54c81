"""The paper's claims on capacity, rates and accuracies. The rules stand in `analysis.claims`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from energybench.analysis import paper
from energybench.analysis.evidence import FEWEST, Claim, Evidence, Judged, absent, is_lost, loss_interval, points
from energybench.analysis.row import Row, mapping, workload
from energybench.analysis.stats import wilson
from energybench.model import Case

_RATE_SLACK = 0.05
_LOSS_SLACK = 0.01


def capacity_claim(evidence: Evidence, capacity: Sequence[Case]) -> Claim:
    """AlexNet's weights need 8 of their 32 bits: a capacity of 24 by truncation, which is the paper's writing of zeros.

    Not reproduced where a candidate above the capacity and up to 24 was evaluated and even the upper end of its 95 %
    binomial interval is beyond the tolerance: otherwise the evaluation set is too small to say.
    """
    text, stated = "stego: AlexNet needs 8 of 32 bits a weight", f"capacity {paper.ALEXNET_BITS}"
    found = next(_alexnet_capacities(evidence, capacity), None)
    if found is None:
        why = "the run has no AlexNet capacity by the rule truncate for whole weights"
        return Claim(text, stated, "-", Judged.NOT_TESTABLE, why)
    bits, reference, tolerance, size, curve, data = found
    examples = "unknown size" if size is None else f"{size:g} images"
    where = f"{data}, rule truncate, evaluation set of {examples}"
    if bits >= paper.ALEXNET_BITS:
        return Claim(text, stated, f"capacity {bits}", Judged.REPRODUCED, where)
    if reference is not None and size:
        for k, accuracy in sorted(curve):
            if not bits < k <= paper.ALEXNET_BITS:
                continue
            _, upper = wilson(accuracy * size, size)
            if upper < reference - tolerance:
                seen = (
                    f"{k} bits: {100 * accuracy:.1f} % (at most {100 * upper:.1f}), reference {100 * reference:.1f} %"
                )
                return Claim(text, stated, f"capacity {bits}", Judged.NOT_REPRODUCED, f"{where}; {seen}")
    reason = f"{where}: too few to say that {paper.ALEXNET_BITS} bits lose more than the tolerance"
    return Claim(text, stated, f"capacity {bits}", Judged.NOT_TESTABLE, reason)


def pruned_vgg16(evidence: Evidence) -> Claim:
    """VGG16 pruned by 61 % falls from 65.5 to 61.6 %: rate within 5 points and loss within 1 point of it."""
    text, stated = "prune: VGG16 loses 3.9 points at a rate of 61 %", "rate 61 %, 65.5 -> 61.6 %"
    row = evidence.row("vgg16", "prune")
    if row is None or row.loss is None or row.baseline is None or row.rate is None:
        return Claim(text, stated, "-", Judged.NOT_TESTABLE, absent(evidence, "vgg16", "prune"))
    before = row.baseline.mean_metric("accuracy") or 0.0
    here = f"rate {100 * row.rate:.1f} %, {100 * before:.1f} -> {100 * (row.accuracy or 0.0):.1f} %"
    if not evidence.is_imagenet:
        return Claim(text, stated, here, Judged.NOT_TESTABLE, evidence.elsewhere)
    if abs(row.rate - paper.VGG16_PRUNED_RATE) > _RATE_SLACK:
        reason = "the rate found within the tolerance is another, so its loss is of something else"
        return Claim(text, stated, here, Judged.NOT_REPRODUCED, reason)
    loss = paper.VGG16_BASELINE_ACCURACY - paper.VGG16_PRUNED_ACCURACY
    return Claim(text, stated, here, *_judged_loss(row, loss))


def lowrank_claims(evidence: Evidence) -> tuple[Claim, ...]:
    """Rates of 17 to 43 %; what InceptionV3 and ResNet18 lose; what three models keep; the contradiction."""
    return (
        _rates(evidence),
        _stated_loss(evidence, "inception_v3", paper.LOWRANK_INCEPTION_LOSS, ""),
        _stated_loss(evidence, "resnet18", paper.LOWRANK_WORST_LOSS, ", the worst of all"),
        _keeps(evidence),
        _contradiction(evidence),
    )


def accuracy_claims(evidence: Evidence) -> tuple[Claim, ...]:
    """The control that the paper lacks: what the untouched model scores, at no training energy at all.

    Per model the training gained nothing where the trained baseline is not above the untouched model by more than the
    tolerance of 1 point. Reproduced where that holds for two thirds of three or more models, not reproduced where it
    holds for one third or fewer.
    """
    text = "missing control (zero epochs): the untouched model is as good as the trained baseline"
    stated = "not reported; VGG16 71.6 % untouched, 65.5 % trained"
    gains: dict[str, float] = {}
    for row in evidence.under("none"):
        zero = next((c for c in evidence.controls if (c.model, c.protocol) == (row.model, "zero epochs")), None)
        untouched = row.case.mean_metric("accuracy_start") if zero is None else zero.accuracy
        if untouched is not None and row.accuracy is not None:
            gains[row.model] = row.accuracy - untouched
    if not gains:
        why = "the run has neither zero-epoch cases nor baselines that recorded accuracy_start"
        return (Claim(text, stated, "-", Judged.NOT_TESTABLE, why),)
    nothing = sum(gain <= paper.TOLERANCE + 1e-9 for gain in gains.values())
    least, most = min(gains, key=gains.__getitem__), max(gains, key=gains.__getitem__)
    here = f"training gained at most 1 point in {nothing} of {len(gains)} models"
    judgement = Judged.NOT_TESTABLE
    if len(gains) >= FEWEST:
        share = nothing / len(gains)
        judgement = Judged.REPRODUCED if share >= 2 / 3 else Judged.NOT_REPRODUCED if share <= 1 / 3 else judgement
    reason = (
        f"{', '.join(evidence.data)}; from {100 * gains[least]:+.2f} points ({least}) to {100 * gains[most]:+.2f} "
        f"({most}) by training"
    )
    if len(gains) < FEWEST:
        reason += f"; {len(gains)} of the at least {FEWEST} models it needs"
    return (Claim(text, stated, here, judgement, reason),)


def _rates(evidence: Evidence) -> Claim:
    """Reproduced where every rate is within 5 points of the range, not reproduced where fewer than half are."""
    low, high = paper.LOWRANK_RATES
    text, stated = "low rank: compression between 17 and 43 %", "17-43 %"
    rates = {row.model: row.rate for row in evidence.under("lowrank") if row.rate is not None}
    values = list(rates.values())
    here = f"{100 * min(values):.1f} to {100 * max(values):.1f} %" if values else "-"
    if len(values) < FEWEST:
        reason = f"{len(values)} of the at least {FEWEST} models it needs"
        return Claim(text, stated, here, Judged.NOT_TESTABLE, reason)
    inside = sum(low - _RATE_SLACK <= value <= high + _RATE_SLACK for value in values)
    judgement = Judged.NOT_TESTABLE
    if inside == len(values):
        judgement = Judged.REPRODUCED
    elif inside < len(values) / 2:
        judgement = Judged.NOT_REPRODUCED
    reason = (
        f"{', '.join(evidence.data)}; {inside} of {len(values)} models are within 5 points of the range, at the rank "
        "rule and tolerance used here; the paper's rank rule is not known"
    )
    return Claim(text, stated, here, judgement, reason)


def _stated_loss(evidence: Evidence, model: str, loss: float, extra: str) -> Claim:
    text, stated = f"low rank: {paper.name(model)} loses {100 * loss:.2f} points{extra}", points(loss)
    row = evidence.row(model, "lowrank")
    if row is None or row.loss is None:
        return Claim(text, stated, "-", Judged.NOT_TESTABLE, absent(evidence, model, "lowrank"))
    if not evidence.is_imagenet:
        return Claim(text, stated, points(row.loss), Judged.NOT_TESTABLE, evidence.elsewhere)
    return Claim(text, stated, points(row.loss), *_judged_loss(row, loss))


def _judged_loss(row: Row, stated: float) -> tuple[Judged, str]:
    """Reproduced where the loss's interval lies within 1 point of `stated`, not reproduced where it lies outside."""
    interval = loss_interval(row)
    if interval is None:
        return Judged.NOT_TESTABLE, "a side recorded no accuracy"
    low, high = interval
    rounds = min(len(row.case.rounds), len(row.baseline.rounds) if row.baseline else 0)
    basis = f"{rounds} rounds" if rounds > 1 else "one round, assumed noise 1 point"
    text = f"interval {-100 * high:+.2f} .. {-100 * low:+.2f} points ({basis})"
    if low >= stated - _LOSS_SLACK and high <= stated + _LOSS_SLACK:
        return Judged.REPRODUCED, text
    if high < stated - _LOSS_SLACK or low > stated + _LOSS_SLACK:
        return Judged.NOT_REPRODUCED, text
    return Judged.NOT_TESTABLE, f"{text} is too wide"


def _keeps(evidence: Evidence) -> Claim:
    """One model that lost it with confidence refutes the statement; all three within the tolerance reproduce it."""
    text, stated = "low rank: AlexNet, ResNet18 and ResNet50 keep their accuracy", "kept"
    rows = [row for model in paper.LOWRANK_KEEPS if (row := evidence.row(model, "lowrank")) and row.loss is not None]
    here = ", ".join(f"{row.model} {points(row.loss)}" for row in rows) or "-"
    data = ", ".join(evidence.data)
    lost = [row.model for row in rows if is_lost(row)]
    if lost:
        return Claim(text, stated, here, Judged.NOT_REPRODUCED, f"{data}; beyond the tolerance: {', '.join(lost)}")
    lacking = [model for model in paper.LOWRANK_KEEPS if model not in {row.model for row in rows}]
    if lacking:
        return Claim(text, stated, here, Judged.NOT_TESTABLE, f"{data}; no low-rank case of {', '.join(lacking)}")
    in_doubt = [row.model for row in rows if not row.is_accurate]
    if in_doubt:
        reason = (
            f"{data}; {', '.join(in_doubt)} beyond the tolerance, but not beyond the noise: more rounds may settle it"
        )
        return Claim(text, stated, here, Judged.NOT_TESTABLE, reason)
    return Claim(text, stated, here, Judged.REPRODUCED, f"{data}; all three within the tolerance")


def _contradiction(evidence: Evidence) -> Claim:
    text = "low rank: ResNet18 keeps its accuracy, and ResNet18 loses 4.58 points"
    row = evidence.row("resnet18", "lowrank")
    reason = "the two statements contradict one another, so no run can reproduce both"
    if row is None or row.loss is None:
        return Claim(text, "both", "-", Judged.NOT_TESTABLE, reason)
    agrees = "the first" if row.is_accurate else "neither exactly"
    if not row.is_accurate and abs(row.loss - paper.LOWRANK_WORST_LOSS) <= _LOSS_SLACK:
        agrees = "the second"
    reason += f"; this run agrees with {agrees}"
    return Claim(text, "both", points(row.loss), Judged.NOT_TESTABLE, reason)


Capacity = tuple[int, float | None, float, float | None, list[tuple[float, float]], str]
"""bits, reference accuracy, tolerance, evaluation images, evaluated (bits, accuracy), data set"""


def _alexnet_capacities(evidence: Evidence, cases: Sequence[Case]) -> Iterator[Capacity]:
    """From a capacity case, whose curve is fuller, then from the search of the fine-tune."""
    for case in cases:
        found, declared = mapping(case.facts.get("capacity")), workload(case)
        whole = found.get("rule") == "truncate" and found.get("scope", "whole") == "whole"
        if declared.get("model") == "alexnet" and whole and isinstance(found.get("capacity"), int):
            curve = [(p[0], p[1]) for p in found.get("points") or () if len(p) < 3 or p[2]]
            yield (
                found["capacity"],
                found.get("reference"),
                found.get("tolerance", paper.TOLERANCE),
                found.get("evaluation_size"),
                curve,
                str(declared.get("data")),
            )
    row = evidence.row("alexnet", "stego")
    if row is not None and isinstance(row.compression.get("bits"), int):
        report = row.compression
        rule = report.get("rule") or _given(report).get("rule")
        if rule == "truncate":
            curve = [(p[0], p[1]) for p in report.get("curve") or ()]
            yield (
                report["bits"],
                report.get("accuracy_reference"),
                row.tolerance,
                report.get("evaluation_size"),
                curve,
                str(workload(row.case).get("data")),
            )


def _given(report: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(report.get("given"))
