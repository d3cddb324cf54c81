"""The study's cases, each held against the `none` case of the same file, model and protocol.

Nothing here compares two machines: a row is a ratio inside one run, and runs stand side by side by these ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from energybench.analysis.comparability import differences
from energybench.analysis.decompose import decompose
from energybench.analysis.labels import labels
from energybench.analysis.row import Row, mapping, ratio_of, workload
from energybench.errors import UsageError
from energybench.model import Case, Run, Window

EARLY_STOPPING = "early stopping"
"""the paper's protocol"""
CAPACITY = "capacity"
INFERENCE = "inference"
ANOTHER_SEED = "another seed"
CONTROLS = ("zero epochs", ANOTHER_SEED, "random perturbation")
"""their baseline is the trained `none` case of the early-stopping protocol"""
_ALIKE = ("model", "profile", "data", "split", "batch")
"""declared inputs that a case and its baseline must share"""
_BORROWS = ("matched epochs", "target accuracy")
"""protocols whose baseline is early stopping's where they have no `none` case of their own"""


@dataclass(frozen=True, slots=True)
class Study:
    """The study cases of one or several runs."""

    runs: Mapping[str, Run]
    """by the name that rows carry: the file's, with its folder where two files have one name"""
    rows: tuple[Row, ...]
    """of all runs, in stored order; capacity curves are no rows"""
    capacity: tuple[tuple[str, Case], ...] = ()
    """(run, case) of the protocol `capacity`"""

    def of(self, run: str) -> tuple[Row, ...]:
        """The rows of one run."""
        return tuple(row for row in self.rows if row.run == run)


def study_table(runs: Run | Sequence[Run]) -> Study:
    """The study cases of one or several runs, each with its baseline, ratios and decomposition.

    Raises UsageError for a run given twice, and for one without a study case: one that declared model, compressor and
    protocol.
    """
    every = (runs,) if isinstance(runs, Run) else tuple(runs)
    rows: list[Row] = []
    capacity: list[tuple[str, Case]] = []
    names = labels(every)
    for run, label in zip(every, names, strict=True):
        cases = [case for case in run.cases if is_study_case(case)]
        if not cases:
            raise UsageError(
                f"{run.name} holds no study cases: none declares model, compressor and protocol as those of benches/ "
                f"do. Use `energybench show {run.name}`."
            )
        capacity += [(label, case) for case in cases if workload(case)["protocol"] == CAPACITY]
        shown = [case for case in cases if workload(case)["protocol"] != CAPACITY]
        bands = _bands(shown)
        # Whatever a case is held against, and whatever searched for it, is of its own model.
        siblings: dict[str, list[Case]] = {}
        for case in shown:
            siblings.setdefault(str(workload(case)["model"]), []).append(case)
        for case in shown:
            model = str(workload(case)["model"])
            rows.append(_row(label, case, siblings[model], bands.get(model)))
    return Study(dict(zip(names, every, strict=True)), tuple(rows), tuple(capacity))


def is_study_case(case: Case) -> bool:
    """Whether the case declared a model, a compressor and a protocol."""
    return all(isinstance(workload(case).get(key), str) for key in ("model", "compressor", "protocol"))


def _row(run: str, case: Case, cases: Sequence[Case], band: float | None) -> Row:
    declared = workload(case)
    baseline = _baseline(case, cases)
    notes: list[str] = []
    search, missing = _search(case, cases)
    search_j = _sum(window.total_j(case.total_domains) for window in search)
    if missing or (search and search_j is None):
        missing = True
        notes.append("its search was not metered in this run, so there is no net saving")
    row = Row(run, case, baseline, search_j=search_j, search_missing=missing, band=band)
    if baseline is None:
        if declared["compressor"] != "none" or declared["protocol"] in CONTROLS:
            notes.append(f"the run has no `none` case of {declared['model']} to hold it against")
        return replace(row, notes=tuple(notes))
    changed = _changed_recipe(baseline, case)
    if changed:
        notes.append(f"its recipe differs from none's in {', '.join(changed)}")
    row = replace(row, seconds=ratio_of(baseline.seconds, case.seconds))
    obstacles = differences(baseline, case, vary=("workload",))
    if obstacles:
        notes.append(f"its energy is not comparable with none's: {'; '.join(obstacles)}")
        return replace(row, notes=tuple(notes))
    old, new = (side.joules(side.verdict_domains) for side in (baseline, case))
    # Another seed is what the band is made of: its own interval must not rest on it.
    wide = None if declared["protocol"] == ANOTHER_SEED else band
    charged = _sum(window.total_j(case.verdict_domains) for window in search) if search else 0.0
    # One call of inference pays for no search: the full cycle says after how many it has.
    unpaid = missing or charged is None or declared["protocol"] == INFERENCE
    return replace(
        row,
        energy=ratio_of(old, new, band=wide),
        with_search=None if unpaid else ratio_of(old, new, added=charged or 0.0, band=wide),
        decomposition=decompose(baseline, case),
        notes=tuple(notes),
    )


def _changed_recipe(baseline: Case, case: Case) -> list[str]:
    old, new = (mapping(workload(side).get("recipe")) for side in (baseline, case))
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _baseline(case: Case, cases: Sequence[Case]) -> Case | None:
    """The `none` case on the same data whose other declared inputs are the most alike."""
    declared = workload(case)
    protocol = str(declared["protocol"])
    wanted = EARLY_STOPPING if protocol in CONTROLS else protocol
    if declared["compressor"] == "none" and wanted == protocol:
        return None
    tried = (wanted, EARLY_STOPPING) if wanted in _BORROWS else (wanted,)
    for name in tried:
        found = [
            other
            for other in cases
            if workload(other)["protocol"] == name
            and workload(other)["compressor"] == "none"
            and all(workload(other).get(key) == declared.get(key) for key in _ALIKE)
        ]
        if found:
            return max(found, key=lambda other: _likeness(case, other))
    return None


def _likeness(case: Case, other: Case) -> tuple[int, bool]:
    mine, theirs = workload(case), workload(other)
    functions = [side.id.rpartition("[")[0] for side in (case, other)]
    return sum(theirs.get(key) == value for key, value in mine.items()), functions[0] == functions[1]


def _bands(cases: Sequence[Case]) -> dict[str, float]:
    """Model -> the largest |ln| of the energy of a baseline with another seed over the baseline's."""
    bands: dict[str, float] = {}
    for case in cases:
        baseline = _baseline(case, cases) if workload(case)["protocol"] == ANOTHER_SEED else None
        if baseline is None or differences(baseline, case, vary=("workload",)):
            continue
        ratio = ratio_of(*(side.joules(side.verdict_domains) for side in (baseline, case)))
        if ratio is not None:
            model = str(workload(case)["model"])
            bands[model] = max(bands.get(model, 0.0), abs(math.log(ratio.value)))
    return bands


def _search(case: Case, cases: Sequence[Case]) -> tuple[tuple[Window, ...], bool]:
    """The search's windows, and whether there was a search that this run did not meter.

    They are the case's own, else those of the case that searched for the same compressor: a session searches once.
    """
    declared = workload(case)
    keys = ("model", "compressor", "compressor_parameters", "data", "split", "profile")
    alike = [other for other in cases if all(workload(other).get(key) == declared.get(key) for key in keys)]
    for other in (case, *alike):
        if other.search:
            return other.search, False
    evaluations = mapping(case.facts.get("compression")).get("evaluations")
    # Reference and result are looked at even where the parameter was given: more than two evaluations are a search.
    return (), isinstance(evaluations, int) and evaluations > 2


def _sum(values: Iterable[float | None]) -> float | None:
    """None of nothing, and where one is absent."""
    every = list(values)
    known = [value for value in every if value is not None]
    return math.fsum(known) if known and len(known) == len(every) else None
