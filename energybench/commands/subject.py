"""What the charts of `plot` and `report` are made of, gathered from the store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energybench.analysis.report import Report
    from energybench.analysis.trend import Trend
    from energybench.model import Run
    from energybench.reports.charts import Subject, Traced, Training

EVERYTHING = ("trends", "trainings", "traced")
HISTORY = 30
"""stored runs that a trend looks at"""


def subject(
    runs: Sequence[Run],
    *,
    comparison: Report | None = None,
    storage: Path | None = None,
    known: Collection[Run] = (),
    pue: float | None = None,
    needs: Collection[str] = EVERYTHING,
    history: int = HISTORY,
) -> Subject:
    """`runs` with what `needs` names: `trends` from the newest `history` runs of `storage` (none without a storage),
    `trainings` with what STEP makes of them, `traced` power. A trace that cannot be read is passed over. `known` are
    runs that were read already.
    """
    from energybench.reports.charts import Subject

    return Subject(
        tuple(runs),
        comparison=comparison,
        trends=_trends(runs, storage, history, (*runs, *known)) if "trends" in needs and storage is not None else (),
        trainings=_trainings(runs) if "trainings" in needs else (),
        traced=_traced(runs) if "traced" in needs else (),
        pue=pue,
    )


def _trends(runs: Sequence[Run], storage: Path, history: int, read: Sequence[Run]) -> tuple[Trend, ...]:
    """Of the cases of the last run, through what was stored up to it in its machine's folder."""
    from energybench.analysis.trend import Measured, trend
    from energybench.store import earlier_runs

    newest = runs[-1]
    known = [newest, *(run for run in earlier_runs(storage, newest, limit=history, known=read))]
    known = list({run.source: run for run in known}.values())[::-1]
    measured: dict[str, list[Measured]] = {case.id: [] for case in newest.cases}
    for run in known:
        for case in run.cases:
            if case.id in measured:
                measured[case.id].append(Measured(run.name, run.created, _commit(run), case))
    return tuple(trend(id, past, "energy") for id, past in measured.items())


def _commit(run: Run) -> str:
    id = str(run.commit.get("id") or "")
    return f"{id}+" if id and run.commit.get("dirty") else id


def _trainings(runs: Sequence[Run]) -> tuple[Training, ...]:
    """Each round with two epochs or more, all with readings; STEP learns from those before how far epochs scatter."""
    from energybench.estimators import EstimateError
    from energybench.estimators.step import Projection, TooEarlyError, epochs_of
    from energybench.estimators.step.epochs import checked
    from energybench.estimators.step.replay import Replay
    from energybench.estimators.step.spread import NEWEST, learnt
    from energybench.estimators.step.window import find_window
    from energybench.reports.charts.subject import SHARES, Training

    found = []
    for run in runs:
        before: list[Sequence[float]] = []
        for case in run.cases:
            for number, round in enumerate(case.rounds, 1):
                epochs = epochs_of(case, round)
                try:
                    joules = checked(epochs)
                except EstimateError:
                    continue
                if len(epochs) < 2:
                    continue
                window, why = None, ""
                try:
                    stable = find_window(epochs, joules)
                    window, why = (stable.first, stable.end), stable.found
                except TooEarlyError as error:
                    why = str(error)
                projections = {}
                rule = Projection(scatter=learnt(before[-NEWEST:]))
                before.append(joules)
                replay = Replay(case.short_id, epochs)
                for share in SHARES:
                    try:
                        seen = replay.seen(share)
                        projections[share] = rule.after(epochs[:seen], len(epochs))
                    except EstimateError:
                        continue
                seconds = tuple(epoch.seconds for epoch in epochs)
                found.append(Training(run.name, case.id, number, seconds, joules, window, why, projections))
    return tuple(found)


def _traced(runs: Sequence[Run]) -> tuple[Traced, ...]:
    """The last round of each case that has a trace. A file is read once."""
    from energybench.errors import StoreError
    from energybench.reports.charts import Traced
    from energybench.store import Trace, read_trace, trace_path

    traces: dict[Path, Trace | None] = {}
    found = []
    for run in runs:
        for case in run.cases:
            if not case.rounds or case.rounds[-1].trace is None:
                continue
            span = case.rounds[-1].trace
            try:
                path = trace_path(run, span)
                if path not in traces:
                    traces[path] = None
                    traces[path] = read_trace(path)
                trace = traces[path]
                points = () if trace is None else trace.power(case.total_domains, span)
            except StoreError:
                continue
            placed = tuple((second - span.start_s, watts) for second, watts in points)
            found.append(Traced(run.name, case.id, len(case.rounds), placed))
    return tuple(found)
