"""One case of the study beside its baseline: ratios with intervals, what they are made of, what failed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from energybench.analysis import paper
from energybench.analysis.decompose import Decomposition, has_epochs, log_interval
from energybench.model import Case, Provenance, Status, mean
from energybench.units import kwh

NOISE = 0.03
"""relative noise of one round's joules and seconds, assumed where a side has one round; three times it is a claim"""
MARGIN = 0.05
"""a difference that is smaller than this with confidence is called none"""
_LARGEST_LOG = 700.0
_WITHOUT_EPOCHS = {"faster epochs": "less time", "slower epochs": "more time"}


class Outcome(StrEnum):
    """What a case's energy says beside its baseline's, once noise and accuracy are counted in."""

    SAVES = "saves"
    """the whole interval lies below 1, and the accuracy is within the tolerance"""
    COSTS = "costs"
    """the whole interval lies above 1"""
    NEITHER = "neither"
    """the whole interval lies within 5 % of 1, or energy fell and accuracy with it: no saving that counts"""
    UNDECIDED = "undecided"
    """the interval is too wide to say, or there is none"""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quantity of a case over its baseline's, by geometric means of the rounds."""

    value: float
    low: float
    high: float
    """the 95 % interval by Welch on logarithms; with one round on a side three times the assumed noise; in either case
    at least as wide as the A/A band of the model, where the run has one"""
    basis: str
    """what the interval rests on, in words"""

    @property
    def saving(self) -> float:
        """1 - ratio: 0.5 is half saved, below 0 it costs more."""
        return 1 - self.value

    @property
    def saving_interval(self) -> tuple[float, float]:
        """The interval of `saving`."""
        return 1 - self.high, 1 - self.low

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 1 out: more than noise."""
        return not self.low <= 1 <= self.high


@dataclass(frozen=True, slots=True)
class Row:
    """One case of the study beside its baseline."""

    run: str
    """name of the stored run"""
    case: Case
    baseline: Case | None = None
    """the `none` case; None for that case itself, and where the run has none"""
    energy: Ratio | None = None
    """training energy, the search not charged"""
    with_search: Ratio | None = None
    """the same with the search's joules added to each round: only this is a net saving. None for inference too"""
    seconds: Ratio | None = None
    decomposition: Decomposition | None = None
    search_j: float | None = None
    """IT joules of the search that this case rests on; None where nothing was searched, or no reading exists"""
    search_missing: bool = False
    """a search took place whose joules are not in this run"""
    band: float | None = None
    """A/A band of the model: |ln| of the energy of the baseline with another seed over the baseline's"""
    notes: tuple[str, ...] = ()

    @property
    def protocol(self) -> str:
        """As declared, such as `early stopping`."""
        return str(workload(self.case).get("protocol"))

    @property
    def model(self) -> str:
        """torchvision's name of the model, or the declared one."""
        return str(workload(self.case).get("model"))

    @property
    def compressor(self) -> str:
        """Its name in case ids, such as `stego` or `prune+stego`."""
        return str(workload(self.case).get("compressor"))

    @property
    def study(self) -> str:
        """The test function without `test_`: `finetune`."""
        return self.case.function.removeprefix("test_")

    @property
    def compression(self) -> Mapping[str, Any]:
        """`facts["compression"]`, empty where the case has none."""
        return mapping(self.case.facts.get("compression"))

    @property
    def rate(self) -> float | None:
        """Compression rate by the compressor's own definition."""
        value = self.compression.get("rate")
        return float(value) if isinstance(value, (int, float)) else None

    @property
    def tolerance(self) -> float:
        """Accuracy that the case was allowed to lose, as a share; the paper's where none was declared."""
        found = _first(workload(self.case).get("compressor_parameters"), "tolerance")
        return float(found) if isinstance(found, (int, float)) else paper.TOLERANCE

    @property
    def accuracy(self) -> float | None:
        """Mean over the rounds, a share."""
        return self.case.mean_metric("accuracy")

    @property
    def loss(self) -> float | None:
        """Accuracy of the baseline minus this case's, as a share; of rounds of the same seed where both have them."""
        return None if self.baseline is None else _loss(self.baseline, self.case)

    @property
    def loss_from_start(self) -> float | None:
        """Accuracy of the uncompressed, untrained model minus this case's, on the same images."""
        start, end = self.case.mean_metric("accuracy_start"), self.accuracy
        return None if start is None or end is None else start - end

    @property
    def epochs(self) -> float | None:
        """Mean over the rounds; None where none were marked or recorded."""
        return _epochs(self.case)

    @property
    def epoch_ratio(self) -> float | None:
        """Epochs over the baseline's."""
        own, of_baseline = self.epochs, None if self.baseline is None else _epochs(self.baseline)
        return None if own is None or not of_baseline else own / of_baseline

    @property
    def is_estimated(self) -> bool:
        """Whether the ratios of energy rest on a model of utilisation, not on a counter."""
        return self.case.verdict_provenance is Provenance.ESTIMATED

    @property
    def is_accurate(self) -> bool:
        """Whether the accuracy is within the tolerance of the uncompressed model's and of the baseline's.

        A target accuracy that was not reached counts as beyond it.
        """
        unreached = 0 in self.case.metric("reached")
        return not unreached and self.case.status is not Status.FAILED_ACCURACY and not self._is_beyond(self.loss)

    @property
    def signatures(self) -> tuple[str, ...]:
        """The paper's failure signatures that this case shows, in words, and a target that was not reached."""
        found, beyond = [], []
        if 0 in self.case.metric("reached"):
            found.append("target not reached")
        elif self.case.status is Status.FAILED_ACCURACY:
            beyond.append("the uncompressed model's")
        if self._is_beyond(self.loss):
            beyond.append("none's")
        if beyond:
            found.append(f"accuracy more than the tolerance below {' and '.join(beyond)}")
        ratio = self.epoch_ratio
        if ratio is not None and ratio > paper.EPOCH_RATIO:
            found.append(f"epochs {ratio:.3g} x none's")
        return tuple(found)

    @property
    def outcome(self) -> Outcome:
        """What may be said of the energy without the search."""
        ratio = self.energy
        if ratio is None:
            return Outcome.UNDECIDED
        if ratio.low > 1:
            return Outcome.COSTS
        if ratio.high < 1:
            return Outcome.SAVES if self.is_accurate else Outcome.NEITHER
        if not self.is_accurate or (ratio.low >= 1 - MARGIN and ratio.high <= 1 + MARGIN):
            return Outcome.NEITHER
        return Outcome.UNDECIDED

    @property
    def cause(self) -> str:
        """The term that holds most of the difference; `within noise` where the difference may be none."""
        if self.decomposition is None or self.energy is None:
            return ""
        if not self.energy.is_clear:
            return "within noise"
        label = self.decomposition.label
        return label if has_epochs(self.case) else _WITHOUT_EPOCHS.get(label, label)

    def kwh(self, pue: float | None = None) -> float | None:
        """Mean kWh of a round with `pue`, else with the case's own."""
        joules = self.case.mean_j
        return None if joules is None else kwh(joules, self.case.pue if pue is None else pue)

    def _is_beyond(self, loss: float | None) -> bool:
        if loss is None or self.baseline is None:
            return False
        allowed = self.tolerance
        if _first(workload(self.case).get("compressor_parameters"), "relative"):
            allowed *= self.baseline.mean_metric("accuracy") or 0.0
        return loss > allowed + 1e-9


def workload(case: Case) -> Mapping[str, Any]:
    """The declared inputs of a case, empty where it has none."""
    return mapping(case.facts.get("workload"))


def ratio_of(
    baseline: Sequence[float | None],
    candidate: Sequence[float | None],
    *,
    added: float = 0.0,
    band: float | None = None,
) -> Ratio | None:
    """Of the rounds that have a positive value; None where a side has none. `added` joins each of the candidate's.

    `band` is the |ln ratio| that noise alone has been seen to make: the interval is widened to it.
    """
    old = [math.log(value) for value in baseline if value is not None and value > 0]
    new = [math.log(value + added) for value in candidate if value is not None and value > 0]
    if not old or not new:
        return None
    change = math.fsum(new) / len(new) - math.fsum(old) / len(old)
    interval = log_interval(old, new)
    rounds = min(len(old), len(new))
    if interval is None:
        reach = math.log1p(3 * NOISE)
        interval, basis = (change - reach, change + reach), f"one round, assumed noise {100 * NOISE:g} %"
    else:
        basis = f"{rounds} rounds a side"
    low, high = interval
    if band is not None and (change - band < low or change + band > high):
        low, high = min(low, change - band), max(high, change + band)
        basis += f", A/A band {100 * math.expm1(band):.1f} %"
    value, low, high = (math.exp(max(-_LARGEST_LOG, min(_LARGEST_LOG, x))) for x in (change, low, high))
    return Ratio(value, low, high, basis)


def _loss(baseline: Case, candidate: Case) -> float | None:
    old, new = (
        {
            seed: value
            for seed, value in zip(side.columns.seeds, side.metric("accuracy"), strict=True)
            if value is not None
        }
        for side in (baseline, candidate)
    )
    seeds = old.keys() & new.keys()
    if seeds:
        return math.fsum(old[seed] - new[seed] for seed in seeds) / len(seeds)
    before, after = mean(old.values()), mean(new.values())
    return None if before is None or after is None else before - after


def _epochs(case: Case) -> float | None:
    return mean(case.epochs)


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` where it is a mapping, as stored facts should be; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _first(value: Any, key: str) -> Any:
    """The first value under `key` in nested mappings and lists: a chain's parameters are its parts'."""
    return next(_under(value, key), None)


def _under(value: Any, key: str) -> Iterator[Any]:
    if isinstance(value, Mapping):
        if value.get(key) is not None:
            yield value[key]
        for inner in value.values():
            yield from _under(inner, key)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _under(inner, key)
