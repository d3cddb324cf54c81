"""A benchmark case with its rounds, and a stored file of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from energybench.model.columns import Columns, LateRounds
from energybench.model.energy import Domain, Provenance, Quantity, mean, total, weakest
from energybench.model.round import Round
from energybench.model.window import Mark, Window
from energybench.units import kwh

T = TypeVar("T")
_ABSENT: Any = object()


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
    rounds: Sequence[Round] = ()
    """a tuple, or what equals it: rounds of a stored run may be made when one is first asked for"""
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
    _derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """what was derived from the fields above once: a comparison and its tables ask for it again and again"""

    @property
    def function(self) -> str:
        """The test function's name: `test_finetune`."""
        return _parted(self.id)[0]

    @property
    def name(self) -> str:
        """The function with its parameters, without file and class: `test_finetune[resnet18-stego]`."""
        function, parameters = _parted(self.id)
        return function if parameters is None else f"{function}[{parameters}]"

    @property
    def short_id(self) -> str:
        """The part in brackets, uncut (`resnet18-stego`); the function's name where there are no parameters."""
        function, parameters = _parted(self.id)
        return function if parameters is None else parameters

    @property
    def total_domains(self) -> tuple[str, ...]:
        """Names of the domains that add up to the headline energy."""
        return self._once("total_domains", lambda: tuple([d.name for d in self.domains if d.in_total]))

    @property
    def verdict_domains(self) -> tuple[str, ...]:
        """The measured and integrated in-total domains; where there is none, all in-total domains."""
        return self._once("verdict_domains", lambda: self._counted or self.total_domains)

    @property
    def _counted(self) -> tuple[str, ...]:
        hardware = (Provenance.MEASURED, Provenance.INTEGRATED)
        return tuple([d.name for d in self.domains if d.in_total and d.provenance in hardware])

    @property
    def provenance(self) -> Provenance | None:
        """The weakest class among the in-total domains; None where no domain was read."""
        return weakest(domain.provenance for domain in self.domains if domain.in_total)

    @property
    def verdict_provenance(self) -> Provenance | None:
        """The weakest class among the domains that a verdict rests on."""
        return self._once("verdict provenance", self._verdict_provenance)

    def _verdict_provenance(self) -> Provenance | None:
        names = self.verdict_domains
        return weakest([domain.provenance for domain in self.domains if domain.name in names])

    @property
    def columns(self) -> Columns:
        """Its rounds by quantity."""
        rounds = self.rounds
        return rounds.columns if isinstance(rounds, LateRounds) else self._once("columns", lambda: Columns.of(rounds))

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of each round."""
        return self.columns.seconds

    @property
    def mean_seconds(self) -> float | None:
        """Mean seconds of a round; None where there is no round."""
        return self._once("mean seconds", lambda: mean(self.seconds))

    def joules(self, names: Sequence[str] | None = None) -> tuple[float | None, ...]:
        """IT joules of each round over the domains `names` (default: all in-total domains)."""
        chosen = self.total_domains if names is None else tuple(names)
        return self._once(chosen, lambda: self.columns.total_j(chosen))

    @property
    def verdict_joules(self) -> tuple[float | None, ...]:
        """IT joules of each round over the domains that a verdict rests on."""
        return self._once("verdict joules", lambda: self.joules(self.verdict_domains))

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
        return self.columns.marks

    @property
    def mean_j(self) -> float | None:
        """Mean IT joules over the rounds; None where no round has a total."""
        return self._once("mean joules", self._mean_j)

    def _mean_j(self) -> float | None:
        return self.mean_verdict_j if self.verdict_domains == self.total_domains else mean(self.joules())

    @property
    def mean_verdict_j(self) -> float | None:
        """The same over the domains that a verdict rests on."""
        return self._once("mean verdict joules", lambda: mean(self.verdict_joules))

    @property
    def mean_kwh(self) -> float | None:
        """Mean energy over the rounds in kWh with PUE."""
        joules = self.mean_j
        return None if joules is None else kwh(joules, self.pue)

    def metric(self, name: str) -> tuple[float | None, ...]:
        """What each round recorded under `name`."""
        return self.columns.metric(name)

    def mean_metric(self, name: str) -> float | None:
        """Mean of what the rounds recorded under `name`; None where none did."""
        column = self.columns.metrics.get(name)
        return None if column is None else self._once(("mean of metric", name), lambda: mean(column))

    @property
    def epochs(self) -> tuple[float | None, ...]:
        """Epochs of each round; None where it neither marked nor recorded any."""
        return self.columns.epochs

    @property
    def measured_share(self) -> float | None:
        """Share of the headline energy that hardware counters or sensors delivered; None where there is no total."""
        hardware = {
            d.name for d in self.domains if d.in_total and d.provenance in (Provenance.MEASURED, Provenance.INTEGRATED)
        }
        total = mean(self.joules())
        measured = mean(self.joules(sorted(hardware))) if hardware else 0.0
        return None if not total or measured is None else measured / total

    def _once(self, key: Hashable, derive: Callable[[], T]) -> T:
        """What `derive` gives, asked for the first time and kept under `key`."""
        found: T = self._derived.get(key, _ABSENT)
        if found is _ABSENT:
            found = self._derived[key] = derive()
        return found


def _parted(id: str) -> tuple[str, str | None]:
    """Function and parameters of a node id. Parameters may hold brackets and `::` themselves."""
    _, file, inside = id.partition(".py::")
    head, bracket, parameters = (inside if file else id).partition("[")
    return head.rpartition("::")[2], parameters.removesuffix("]") if bracket else None


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
