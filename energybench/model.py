"""The values that carry everything: domain, window, round, case, run, metric, comparison, estimate.

They are frozen, know nothing of files, pytest or counters, and travel in one direction: a meter makes windows, the
harness makes rounds and cases of them, the store makes runs, the analysis makes comparisons.

Units inside are joules, watts and seconds. Joules are IT energy, before the data centre's PUE. An absent reading is
None (or a missing key), never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from energybench.units import kwh


class Provenance(StrEnum):
    """Where a joule comes from, best first. Two classes are never compared with one another without being told to."""

    MEASURED = "measured"
    """a hardware energy counter"""
    INTEGRATED = "integrated"
    """power samples, integrated over time"""
    ESTIMATED = "estimated"
    """a model of utilisation and rated power; no counter was read"""
    REPLAYED = "replayed"
    """recorded values, for tests and demonstrations"""

    @property
    def rank(self) -> int:
        """0 for the best class, growing with weakness."""
        return _RANKS[self]


_RANKS = {provenance: rank for rank, provenance in enumerate(Provenance)}


def weakest(provenances: Iterable[Provenance]) -> Provenance | None:
    """The weakest class among `provenances`, None where there is none."""
    return max(provenances, key=lambda provenance: provenance.rank, default=None)


@dataclass(frozen=True, slots=True)
class Domain:
    """One place in which energy is counted: a GPU, a CPU package, DRAM, a whole platform."""

    name: str
    """`gpu:0`, `package:0`, `dram:0`, `psys:0`, `cpu`, `ram`; unique within a run"""
    meter: str
    """the meter that reads it: `nvml`, `amdsmi`, `apple`, `rapl`, `pyrapl`, `hwmon`, `estimate`, `replay`"""
    provenance: Provenance
    in_total: bool = True
    """False for a domain that contains or lies inside another (psys, core): reported, never added"""
    gain_rel: float | None = None
    """stated relative gain error of the sensor or model; cancels between runs on one device"""
    device: str = ""
    """what the counter sits in, such as a GPU's name and UUID or the CPU's model name"""
    note: str = ""
    """a restriction in words, such as `whole board, not the MIG slice`"""
    host: str = field(default="", compare=False)
    """the machine that it was read on: two ranks on one host must not count one device twice"""
    tick_s: float | None = field(default=None, compare=False)
    """seconds between two updates of the counter, measured where that is cheap; None: read on demand"""

    @property
    def identity(self) -> tuple[str, str]:
        """(host, device): domains of two files or ranks with one identity are the same joules."""
        return self.host, self.device if self.name.startswith("gpu:") and self.device else self.name


@dataclass(frozen=True, slots=True)
class Quantity:
    """Joules with their error and their source."""

    joules: float
    random_j: float | None
    """one standard deviation from when and how finely the counters are updated; None where none is stated"""
    gain_j: float | None
    """stated gain error in joules, the same share of every value of one sensor; None where none is stated"""
    source: Provenance

    @property
    def bound_j(self) -> float | None:
        """Two random standard deviations plus the whole gain error; None where neither is stated."""
        if self.random_j is None and self.gain_j is None:
            return None
        return 2 * (self.random_j or 0.0) + (self.gain_j or 0.0)


def total(quantities: Iterable[Quantity]) -> Quantity | None:
    """The sum; None of nothing. Random errors are independent and add in quadrature.

    Gain errors add linearly: two sensors of one kind may be wrong in the same direction. A part that states no error
    of a kind contributes none, and the weakest source is the sum's.
    """
    parts = tuple(quantities)
    if not parts:
        return None
    randoms = [part.random_j for part in parts if part.random_j is not None]
    gains = [part.gain_j for part in parts if part.gain_j is not None]
    return Quantity(
        joules=math.fsum(part.joules for part in parts),
        random_j=math.hypot(*randoms) if randoms else None,
        gain_j=math.fsum(gains) if gains else None,
        source=max((part.source for part in parts), key=lambda source: source.rank),
    )


class Mark(StrEnum):
    """What a reader must know of a window before trusting it; the window's warnings say it in words."""

    TOO_SHORT = "too-short"
    """fewer than 20 counter ticks: the ends alone may be wrong by percent"""
    SHARED = "shared"
    """another energybench process metered one of its devices at the same time"""
    LOST = "lost"
    """a counter vanished, was reset or could not be read: that domain has no value"""


@dataclass(frozen=True, slots=True)
class Window:
    """Energy and time between two readings. A window with a label is a lap: a part of its round, such as an epoch."""

    seconds: float
    joules: Mapping[str, float | None] = field(default_factory=dict)
    """domain name -> joules; None where the domain could not be read in this window"""
    error_j: Mapping[str, float | None] = field(default_factory=dict)
    """domain name -> random error in joules (one standard deviation); the gain part stands in Domain.gain_rel"""
    laps: tuple[Window, ...] = ()
    label: str = ""
    warnings: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()

    def quantity(self, domain: Domain) -> Quantity | None:
        """Joules of `domain` with their error; None where it could not be read in this window."""
        joules = self.joules.get(domain.name)
        if joules is None:
            return None
        gain_j = None if domain.gain_rel is None else domain.gain_rel * joules
        return Quantity(joules, self.error_j.get(domain.name), gain_j, domain.provenance)

    def total(self, domains: Iterable[Domain]) -> Quantity | None:
        """Sum over `domains` with its error; None where one is absent, since a sum without it would be too low."""
        parts = [self.quantity(domain) for domain in domains]
        known = [part for part in parts if part is not None]
        return total(known) if len(known) == len(parts) else None

    def total_j(self, names: Iterable[str]) -> float | None:
        """Sum over the domains `names`; None where one of them is absent, since a sum without it would be too low."""
        total: float | None = None
        for name in names:
            value = self.joules.get(name)
            if value is None:
                return None
            total = value if total is None else total + value
        return total

    def divided(self, calls: int) -> Window:
        """The mean of `calls` calls that this window held. Laps are left as they are."""

        def shares(values: Mapping[str, float | None]) -> dict[str, float | None]:
            return {name: None if value is None else value / calls for name, value in values.items()}

        return replace(self, seconds=self.seconds / calls, joules=shares(self.joules), error_j=shares(self.error_j))

    def laps_named(self, label: str) -> tuple[Window, ...]:
        """The laps with this label, in the order in which they ended."""
        return tuple([lap for lap in self.laps if lap.label == label]) if self.laps else ()


@dataclass(frozen=True, slots=True)
class Span:
    """Where a round lies in a trace of cumulative joules."""

    file: str
    """name of the trace, beside the run"""
    start_s: float
    """on the trace's own clock"""
    end_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """One metered call: one complete pass of a case."""

    window: Window
    """of one call: where a call was repeated to be long enough, the mean of `iterations` calls"""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """what the case recorded: accuracy in [0, 1], epochs, images, ..."""
    seed: int = 0
    started: str = ""
    """ISO 8601 with offset"""
    conditions: Mapping[str, float] = field(default_factory=dict)
    """temperatures, clocks, power limits at the start, where readable; unit at the end of each key"""
    conditions_end: Mapping[str, float] = field(default_factory=dict)
    """the same at the end"""
    iterations: int = 1
    """how often the target was called inside the metered window"""
    trace: Span | None = None
    """where its power over time was recorded"""
    session: str = ""
    """id of the pytest session that measured it: rounds of two sessions are not one sample"""


class Status(StrEnum):
    """How a case ended."""

    OK = "ok"
    FAILED_ACCURACY = "failed-accuracy"
    """ended below its accuracy tolerance: its energy is no saving"""
    FAILED = "failed"
    """raised, or failed an assertion after its measurement"""
    PARTIAL = "partial"
    """fewer rounds than asked for: interrupted, or killed"""


@dataclass(frozen=True, slots=True)
class Case:
    """One benchmark case and all its rounds."""

    id: str
    """pytest-benchmark's fullname: `benches/test_finetune.py::test_finetune[resnet18-stego]`"""
    rounds: tuple[Round, ...] = ()
    warmups: tuple[Round, ...] = ()
    search: tuple[Window, ...] = ()
    """what finding the compressor's parameter cost, metered apart"""
    pretraining: tuple[Window, ...] = ()
    """what making the starting weights cost where they were made in this case, metered apart"""
    domains: tuple[Domain, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """what the case declares or found: hyper-parameters, parameters, compression report, data set"""
    workload: str = ""
    """hash of the declared inputs; cases with different hashes are not comparable"""
    comparability: Mapping[str, Any] = field(default_factory=dict)
    """keys that must match in a comparison: GPU and CPU model, power limit, scope, precision, ..."""
    status: Status = Status.OK
    warnings: tuple[str, ...] = ()
    pue: float = 1.0
    idle_w: Mapping[str, float | None] = field(default_factory=dict)
    """watts of each domain while the machine was idle, measured once before the first case; empty: not measured"""
    margins: Mapping[str, float] = field(default_factory=dict)
    """metric -> the change that matters for this case (energy 0.1 = 10 %, accuracy 0.01 = 1 point); none: as for all"""
    _derived: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """what was derived from the fields above once: a comparison and its tables ask for it again and again"""

    @property
    def short_id(self) -> str:
        """The part in brackets, uncut (`resnet18-stego`); the function's name where there are no parameters."""
        tail = self.id.rpartition("::")[2]
        _, bracket, inside = tail.partition("[")
        return inside.removesuffix("]") if bracket else tail

    @property
    def total_domains(self) -> tuple[str, ...]:
        """Names of the domains that add up to the headline energy."""
        found: tuple[str, ...] | None = self._derived.get("total_domains")
        if found is None:
            found = self._derived["total_domains"] = tuple([d.name for d in self.domains if d.in_total])
        return found

    @property
    def verdict_domains(self) -> tuple[str, ...]:
        """The measured and integrated in-total domains; where there is none, all in-total domains."""
        found: tuple[str, ...] | None = self._derived.get("verdict_domains")
        if found is None:
            hardware = (Provenance.MEASURED, Provenance.INTEGRATED)
            counted = tuple([d.name for d in self.domains if d.in_total and d.provenance in hardware])
            found = self._derived["verdict_domains"] = counted or self.total_domains
        return found

    @property
    def provenance(self) -> Provenance | None:
        """The weakest class among the in-total domains; None where no domain was read."""
        return weakest(domain.provenance for domain in self.domains if domain.in_total)

    @property
    def verdict_provenance(self) -> Provenance | None:
        """The weakest class among the domains that a verdict rests on."""
        names = self.verdict_domains
        return weakest([domain.provenance for domain in self.domains if domain.name in names])

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of each round."""
        return tuple([round.window.seconds for round in self.rounds])

    def joules(self, names: Sequence[str] | None = None) -> tuple[float | None, ...]:
        """IT joules of each round over the domains `names` (default: all in-total domains)."""
        chosen = self.total_domains if names is None else tuple(names)
        found: tuple[float | None, ...] | None = self._derived.get(chosen)
        if found is None:
            found = self._derived[chosen] = tuple([round.window.total_j(chosen) for round in self.rounds])
        return found

    def quantities(self) -> tuple[Quantity | None, ...]:
        """IT joules of each round over the in-total domains, with their error."""
        domains = [domain for domain in self.domains if domain.in_total]
        return tuple(round.window.total(domains) if domains else None for round in self.rounds)

    @property
    def mean_quantity(self) -> Quantity | None:
        """Mean IT joules over the rounds that have a total, with their error: random parts shrink, gain does not."""
        known = [quantity for quantity in self.quantities() if quantity is not None]
        whole = total(known)
        if whole is None:
            return None
        random_j = None if whole.random_j is None else whole.random_j / len(known)
        gain_j = None if whole.gain_j is None else whole.gain_j / len(known)
        return Quantity(whole.joules / len(known), random_j, gain_j, whole.source)

    def net_j(self, window: Window) -> float | None:
        """`window` above the idle machine; None where idle power was not measured. Below 0 it is as read."""
        gross, idle = window.total_j(self.total_domains), [self.idle_w.get(name) for name in self.total_domains]
        known = [watts for watts in idle if watts is not None]
        return None if gross is None or len(known) < len(idle) else gross - sum(known) * window.seconds

    @property
    def meets_budgets(self) -> bool:
        """Whether its energy may satisfy an absolute budget: only counters and sensors can, an estimate never."""
        return self.provenance in (Provenance.MEASURED, Provenance.INTEGRATED, Provenance.REPLAYED)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The marks of its rounds, each once."""
        return tuple(dict.fromkeys([mark for round in self.rounds for mark in round.window.marks]))

    @property
    def mean_j(self) -> float | None:
        """Mean IT joules over the rounds; None where no round has a total."""
        return mean(self.joules())

    @property
    def mean_kwh(self) -> float | None:
        """Mean energy over the rounds in kWh with PUE."""
        joules = self.mean_j
        return None if joules is None else kwh(joules, self.pue)

    def metric(self, name: str) -> tuple[float | None, ...]:
        """What each round recorded under `name`."""
        return tuple([round.metrics.get(name) for round in self.rounds])

    @property
    def measured_share(self) -> float | None:
        """Share of the headline energy that hardware counters or sensors delivered; None where there is no total."""
        hardware = {
            d.name for d in self.domains if d.in_total and d.provenance in (Provenance.MEASURED, Provenance.INTEGRATED)
        }
        total = mean(self.joules())
        measured = mean(self.joules(sorted(hardware))) if hardware else 0.0
        return None if not total or measured is None else measured / total


@dataclass(frozen=True, slots=True)
class Run:
    """One stored file: the cases of one session."""

    source: str
    """path of the file"""
    cases: tuple[Case, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    commit: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    """ISO 8601 with offset"""
    pue: float = 1.0
    carbon_g_per_kwh: float | None = None
    session: Mapping[str, Any] = field(default_factory=dict)
    """the file's top-level `energybench` object: session id, status, options, diagnoses of absent meters"""
    foreign: int = 0
    """entries in the file that carry no energy (plain pytest-benchmark cases)"""

    @property
    def name(self) -> str:
        """File name without folder and `.json`: `0003_run1`."""
        return self.source.replace("\\", "/").rpartition("/")[2].removesuffix(".json")

    def case(self, id: str) -> Case | None:
        """The case with this full id, None where there is none."""
        return next((case for case in self.cases if case.id == id), None)


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that can be compared: how to read it from a case, and which direction is better."""

    name: str
    unit: str
    better: str
    """`lower` or `higher`"""
    values: Callable[[Case], tuple[float | None, ...]] = field(compare=False)
    gates: bool = False
    """whether a regression of it fails a comparison; only energy and accuracy do by default"""


class Verdict(StrEnum):
    """What a comparison concludes about one metric of one case."""

    OK = "ok"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not-comparable"
    MISSING = "missing"
    """in the baseline, not in the candidate"""
    NEW = "new"
    """in the candidate, not in the baseline"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on one metric of one case."""

    case: str
    metric: str
    verdict: Verdict
    reason: str = ""
    baseline: float | None = None
    """mean over the baseline's rounds, in the metric's unit"""
    candidate: float | None = None
    change: float | None = None
    """relative change (0.05 = +5 %) for energy and seconds; difference in points (0.01 = 1 point) for accuracy"""
    interval: tuple[float, float] | None = None
    """two-sided 95 % interval of `change`; None where one side has one round and no variance is known"""
    p: float | None = None
    """one-sided p value of `not worse`"""
    rounds: int | None = None
    """rounds a side that would settle it, where it is inconclusive and rounds can"""
    terms: Mapping[str, float] = field(default_factory=dict)
    """decomposition of ln(E_c/E_b): epochs, seconds_per_epoch, power, in natural logarithms"""
    labels: tuple[str, ...] = ()
    """`trade-off`, `estimated`, `fewer epochs`, `failed-accuracy`, and the marks of either side's windows"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A projected or predicted energy. Never called a measurement."""

    method: str
    joules: float
    interval: tuple[float, float] | None = None
    basis: Mapping[str, Any] = field(default_factory=dict)
    """what it looked at"""
    warnings: tuple[str, ...] = ()


def mean(values: Iterable[float | None]) -> float | None:
    """Arithmetic mean of the values that are there; None where there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
