"""The change of each case against a baseline, with its interval, coloured by verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energybench.analysis.report import COMPARED, Report
from energybench.model import Comparison, Verdict
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import cut_note, left_to_table
from energybench.reports.charts.names import brief, case_names, counted
from energybench.reports.charts.palette import BAD, GOOD, INK, NEUTRAL, UNCERTAIN
from energybench.reports.charts.subject import Subject
from energybench.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {
    Verdict.REGRESSED: (BAD, "s"),
    Verdict.INCONCLUSIVE: (UNCERTAIN, "o"),
    Verdict.IMPROVED: (GOOD, "D"),
    Verdict.OK: (INK, "o"),
}
"""verdict -> colour and mark, the gravest first"""
_GRAVEST = {verdict: number for number, verdict in enumerate(LOOKS)}


def chart(subject: Subject) -> Chart | None:
    """Energy, and accuracy beside it where both runs recorded it; None where nothing was compared. The gravest verdicts
    on energy stand first.
    """
    report = subject.comparison
    if report is None:
        return None
    energy = [one for one in report.comparisons if one.metric == "energy" and _is_shown(one)]
    accuracy = {one.case: one for one in report.comparisons if one.metric == "accuracy" and _is_shown(one)}
    order = list(
        dict.fromkeys(one.case for one in (*sorted(energy, key=_gravity), *sorted(accuracy.values(), key=_gravity)))
    )
    if not order:
        return None
    drawn = order[: frame.MOST_ROWS]
    of_energy = {one.case: one for one in energy}
    columns = [(of_energy, "change of energy", report.options.margin)] if of_energy else []
    if accuracy:
        columns.append((accuracy, "change of accuracy, points", report.options.accuracy_margin))
    names = _names(report)
    labels = [brief(names.get(case, case)) for case in drawn]
    verdicts = {of[case].verdict for of, _, _ in columns for case in drawn if case in of}
    legend = [
        frame.Key(verdict.value, *look, filled=verdict is not Verdict.INCONCLUSIVE)
        for verdict, look in LOOKS.items()
        if verdict in verdicts
    ]
    legend.append(frame.Key("within the margin", NEUTRAL, opacity=0.15))
    top = frame.legend_inches(legend)

    def draw(figure: Figure) -> None:
        frame.legend(figure, legend)
        left = frame.letters(labels) + 0.15
        axes = frame.grid(figure, len(columns), across=len(columns), left=left, top=top + 0.05, gap=(0.25, 0.5))
        for number, (axis, (of, name, margin)) in enumerate(zip(axes, columns, strict=True)):
            points = name.endswith("points")
            _column(axis, [of.get(case) for case in drawn], margin, 100.0 if points else 1.0)
            frame.rows(axis, labels)
            if number:
                axis.tick_params(labelleft=False)
            if not points:
                frame.percents(axis)
            axis.locator_params(axis="x", nbins=5)
            axis.set_xlabel(name)

    return Chart(
        name="compare",
        title=f"{brief(report.candidate, 40)} against {brief(report.baseline, 40)}",
        explanation=(
            "A mark is the change of a case, its bar the 95 % interval. The grey band is the margin: changes inside it "
            "do not matter. For energy left is better, for accuracy right."
        ),
        alt=_alt(report, energy, names),
        numbers=_numbers(report),
        draw=draw,
        inches=(frame.WIDTH, frame.rows_inches(len(drawn), around=top + 0.55)),
        notes=(
            *_not_drawn(report, of_energy, accuracy),
            *_without_interval([*energy, *accuracy.values()]),
            *dict.fromkeys(note for of, _, margin in columns for note in _cut([of.get(c) for c in drawn], margin)),
            *left_to_table(len(order) - len(drawn)),
        ),
    )


def _is_shown(one: Comparison) -> bool:
    return one.verdict in COMPARED and one.change is not None


def _gravity(one: Comparison) -> tuple[int, float]:
    return _GRAVEST.get(one.verdict, len(_GRAVEST)), -abs(one.change or 0.0)


def _reach(shown: Sequence[Comparison | None], margin: float) -> float:
    """Where the axis ends at most: the bar of two wild rounds must not press the other cases together."""
    largest = max((abs(one.change) for one in shown if one is not None and one.change is not None), default=0.0)
    return max(3 * largest, 2 * margin)


def _cut(shown: Sequence[Comparison | None], margin: float) -> tuple[str, ...]:
    ends = [end for one in shown if one is not None and one.interval is not None for end in one.interval]
    return cut_note(ends, -_reach(shown, margin), _reach(shown, margin))


def _column(axis: Axes, shown: Sequence[Comparison | None], margin: float, factor: float) -> None:
    ends = [0.0]
    for verdict, (colour, marker) in LOOKS.items():
        of = [(row, one) for row, one in enumerate(shown) if one is not None and one.verdict is verdict]
        bars = [
            [(factor * one.interval[0], row), (factor * one.interval[1], row)]
            for row, one in of
            if one.interval is not None
        ]
        dots = [(factor * one.change, float(row)) for row, one in of if one.change is not None]
        frame.lines(axis, bars, colour, width=1.2)
        frame.dots(axis, dots, colour, marker=marker, filled=verdict is not Verdict.INCONCLUSIVE, size=4)
        ends += [x for x, _ in dots]
    reach = factor * _reach(shown, margin)
    for one in shown:
        if one is not None and one.interval is not None:
            ends += [max(-reach, min(reach, factor * end)) for end in one.interval]
    ends += [-1.2 * factor * margin, 1.2 * factor * margin]
    axis.set_xlim(*frame.span(ends))
    axis.axvspan(-factor * margin, factor * margin, color=NEUTRAL, alpha=0.15, linewidth=0, zorder=0)
    frame.zero(axis)


def _names(report: Report) -> dict[str, str]:
    cases = [(report.candidate, pair.candidate or pair.baseline) for pair in report.pairs]
    known = [(run, case) for run, case in cases if case is not None]
    return {case.id: name for (_, case), name in zip(known, case_names(known), strict=True)}


def _numbers(report: Report) -> Numbers:
    def row(one: Comparison) -> tuple[Cell, ...]:
        ends = one.interval or (None, None)
        return (
            one.case,
            one.metric,
            one.verdict.value,
            one.baseline,
            one.candidate,
            one.change,
            *ends,
            one.p,
            one.reason or None,
        )

    fields = (
        Field("case", "case"),
        Field("metric", "metric"),
        Field("verdict", "verdict"),
        Field("baseline", "baseline, J or share", digits=4),
        Field("candidate", "candidate, J or share", digits=4),
        Field("change", "change, % or points", 100),
        Field("change_low", "from", 100),
        Field("change_high", "to", 100),
        Field("p", "p"),
        Field("reason", "reason"),
    )
    return Numbers(fields, tuple(row(one) for one in report.comparisons if one.metric in ("energy", "accuracy")))


def _not_drawn(report: Report, energy: dict[str, Comparison], accuracy: dict[str, Comparison]) -> tuple[str, ...]:
    others: dict[Verdict, set[str]] = {}
    for one in report.gating:
        if one.case not in energy and one.case not in accuracy:
            others.setdefault(one.verdict, set()).add(one.case)
    return tuple(
        f"{counted(len(cases), 'case')} {verdict.value}: not drawn, see the table." for verdict, cases in others.items()
    )


def _without_interval(shown: Sequence[Comparison]) -> tuple[str, ...]:
    bare = sum(one.interval is None for one in shown)
    return (f"{counted(bare, 'mark')} without a bar: one round on a side, judged by an assumed noise.",) if bare else ()


def _alt(report: Report, energy: Sequence[Comparison], names: dict[str, str]) -> str:
    counts = ", ".join(f"{number} {verdict.value}" for verdict, number in report.counts.items())
    text = f"Change of each case of {report.candidate} against {report.baseline}. Verdicts: {counts}."
    if energy:
        worst = max(energy, key=lambda one: one.change or 0.0)
        best = min(energy, key=lambda one: one.change or 0.0)
        text += f" Energy from {percent(best.change)} ({brief(names.get(best.case, best.case))})"
        text += f" to {percent(worst.change)} ({brief(names.get(worst.case, worst.case))})."
    return text
