"""The run that --energy-compare names, and the comparison of this session with it, made when the first gate asks."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energybench.errors import StoreError, UsageError
from energybench.harness.attempts import attempt
from energybench.harness.bridge import machine_and_commit
from energybench.harness.engine import Sweep
from energybench.model import Case, Provenance, Run

if TYPE_CHECKING:
    from energybench.analysis.report import CompareOptions, Report, SessionNoise

COUNTED = (Provenance.MEASURED, Provenance.INTEGRATED)
"""joules of hardware: where the baseline has them, the candidate must"""


class Baseline:
    """The run to compare with, and what is missing, compared and promised beside it."""

    def __init__(self, sweep: Sweep, ref: str) -> None:
        from energybench.store import find_run, read_run

        found = find_run(ref, sweep.storage)
        self.run: Run = read_run(found.path)
        self.notes: tuple[str, ...] = tuple(found.notes)
        if not self.run.cases:
            raise StoreError(
                f"{found.path} holds no energy cases: --energy-compare needs a run that energybench stored; "
                "`energybench list` names them"
            )
        self.missing: tuple[str, ...] = ()
        self._ref = ref
        self._sweep = sweep
        self._report: Report | None = None
        self._terms: tuple[CompareOptions, SessionNoise] | None = None

    def find_missing(self, session: pytest.Session, known: Iterable[str]) -> None:
        """Baseline cases that this session should have had: their file was asked for whole, no item has their id."""
        if session.config.getoption("lf", False):
            return  # --lf asks for a subset, and leaves out whole files without a word to other plugins
        seen = set(known)
        roots = [_asked(argument, session.config) for argument in session.config.args]
        whole = [root for root in roots if root is not None]
        self.missing = tuple(
            case.id
            for case in self.run.cases
            if case.id not in seen
            and _inside(case.id, whole, session.config.rootpath)
            and _in_scope(case, session.config)
        )

    @property
    def made(self) -> Report | None:
        """The report that the gates were judged by; None where none has asked for it."""
        return self._report

    def report(self) -> Report:
        """The comparison of the baseline's cases in scope with what was measured in this session, made once."""
        if self._report is None:
            from energybench.analysis.noise import canary_change

            looks = {"canary": [look.record() for look in self._sweep.canary]}
            self._report = self.compare(canary_change(self.run.session, looks))
            tested = any(c.metric == "energy" and c.change is not None for c in self._report.comparisons)
            if self._report.noise is not None and tested:
                from energybench.reports.comparison_words import describe_noise

                self._sweep.notes.append(describe_noise(self._report.noise))
        return self._report

    def compare(self, canary: float | None = None) -> Report:
        """The comparison as things stand now. `canary` is ln of its change, None while it is not known."""
        from energybench.analysis.compare import compare_cases

        options, noise = self._on_terms()
        wanted = {*self._sweep.cases, *self.missing}
        cases = [case for case in self.run.cases if case.id in wanted]
        return compare_cases(cases, self._sweep.results(), options, noise=noise, canary=canary)

    def margin(self, case: str, metric: str, report: Report) -> float:
        """What the comparison took for the margin of this metric of this case (relative; of accuracy a share)."""
        from energybench.analysis.margins import margin_for

        sides = next(pair for pair in report.pairs if pair.case == case)
        own = sides.candidate or sides.baseline
        assert own is not None
        return margin_for(own, metric, report.options)

    def broken_promise(self, report: Report, case: str | None = None) -> str:
        """A sentence where the baseline has counted joules and this run none, for all common cases or for one."""
        sides = [
            (pair.baseline.verdict_provenance, pair.candidate.verdict_provenance)
            for pair in report.pairs
            if pair.baseline and pair.candidate and case in (None, pair.case)
        ]
        if not sides or not all(old in COUNTED and new not in COUNTED for old, new in sides):
            return ""
        old, new = sides[0]
        return (
            f"the joules of {self.run.name} are {old}, those of this run are {new or 'absent'}: no counter could be "
            "read, and a gate on measured energy does not pass on less (`energybench doctor` says what is missing here)"
        )

    def _on_terms(self) -> tuple[CompareOptions, SessionNoise]:
        """Options and noise of every comparison of this session; the store is asked once."""
        if self._terms is None:
            from energybench.analysis.noise import session_noise
            from energybench.analysis.report import CompareOptions

            sweep, given = self._sweep, self._sweep.options
            candidate = self._candidate()
            own = len(given.looks or (1,))
            tried = attempt(sweep.storage, candidate.commit, self.run)
            if tried.note:
                sweep.notes.append(tried.note)
            options = CompareOptions(
                margin=given.margin,
                accuracy_margin=given.accuracy_margin,
                noise_floor=given.noise_floor,
                margins=sweep.margins,
                strict=given.inconclusive == "fail",
                looks=tried.earlier_looks + own,
            )
            self._terms = options, session_noise(self._history(candidate), options, like=candidate.cases)
            sweep.gate = {
                "baseline": self.run.name,
                "reference": self._ref,
                "baseline_session": self.run.session.get("session"),
                "margin": given.margin,
                "accuracy_margin": given.accuracy_margin,
                "noise_floor": given.noise_floor,
                "margins": {pattern: dict(margins) for pattern, margins in sweep.margins.items()},
                "own_looks": own,
                "looks": options.looks,
            }
        return self._terms

    def _history(self, candidate: Run) -> Sequence[Run]:
        from energybench.store.history import earlier_runs

        earlier = {run.source: run for run in earlier_runs(self._sweep.storage, candidate)}
        return list({**earlier, self.run.source: self.run}.values())

    def _candidate(self) -> Run:
        """This session as the run that it will be."""
        machine, commit = machine_and_commit(self._sweep.config)
        return Run(
            source="",
            cases=self._sweep.results(),
            machine=machine,
            commit=commit,
            created=datetime.datetime.now(datetime.UTC).isoformat(),
            pue=self._sweep.options.pue,
            session=self._sweep.session_record(),
        )


def check_reference(sweep: Sweep) -> Baseline | None:
    """The baseline of --energy-compare, found before anything runs. Raises UsageError where it cannot be read."""
    if sweep.options.compare is None:
        return None
    try:
        return Baseline(sweep, sweep.options.compare)
    except StoreError as error:
        raise UsageError(f"--energy-compare: {error}") from None


def read_margin_file(sweep: Sweep, known: Iterable[str]) -> tuple[Mapping[str, Mapping[str, float]], list[str]]:
    """The margins of --energy-margins, and a note on patterns that fit none of the `known` case ids.

    Raises UsageError for a file that cannot be read or holds anything else.
    """
    if sweep.options.margins is None:
        return {}, []
    from energybench.analysis.margins import read_margins, without_case

    margins = read_margins(sweep.options.margins)
    idle = without_case(margins, known)
    if not idle:
        return margins, []
    fit = "fits" if len(idle) == 1 else "fit"
    return margins, [f"{sweep.options.margins}: {', '.join(map(repr, idle))} {fit} no case of this suite or baseline"]


def _asked(argument: str, config: pytest.Config) -> Path | None:
    """The path that a command-line argument selects whole; None for a node id, which restricts its file."""
    if "::" in argument:
        return None
    path = Path(config.invocation_params.dir, argument)
    if config.option.pyargs and not path.exists():
        path = _module(argument) or path
    return path.resolve()


def _module(name: str) -> Path | None:
    """The file, or the folder, of a module or package that pytest was given by its name (--pyargs)."""
    from importlib.util import find_spec

    try:
        spec = find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return None if spec.origin is None else Path(spec.origin)


def _inside(node_id: str, whole: Sequence[Path], rootdir: Path) -> bool:
    file = Path(rootdir, node_id.partition("::")[0]).resolve()
    return any(file.is_relative_to(root) for root in whole)


def _in_scope(case: Case, config: pytest.Config) -> bool:
    """Whether --energy-models and --energy-compressors leave the case in."""
    for parameter in ("model", "compressor"):
        chosen: Any = getattr(config.option, f"energy_{parameter}s", None)
        value = case.params.get(parameter)
        if chosen and value is not None and value not in chosen:
            return False
    return True
