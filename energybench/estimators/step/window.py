"""Which epochs stand for the ones to come: the stable window, and how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from energybench.estimators import EstimateError
from energybench.estimators.step.epochs import Epoch, last_restart
from energybench.estimators.step.power import Power, settled
from energybench.estimators.step.stable import stable_from


class TooEarlyError(EstimateError):
    """More epochs have to end before anything can be projected: a live display shows nothing yet."""


@dataclass(frozen=True, slots=True)
class Window:
    """Epochs `first` up to, without, `end` (indices)."""

    first: int
    end: int
    found: str
    """how, in words"""
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Epochs in it."""
        return self.end - self.first


def find_window(
    epochs: Sequence[Epoch],
    joules: Sequence[float],
    *,
    size: int | None = None,
    skip: int | None = None,
    power: Power | None = None,
) -> Window:
    """The window of a training whose epochs so far are `epochs`.

    With `skip` it begins after that many epochs, as the paper's does after 10, and with `size` it ends after that many;
    what was metered behind it counts as it was. Without `skip` it holds the stable epochs up to the last one, of which
    the newest `size`: those after the last change of a setting that changes the cost, without the first of them, which
    pays for warming up; of these the ones after the last change of regime in `power`, and of these the ones after the
    last change of level in their own energies (`stable`).

    Raises TooEarlyError where too few epochs are there for it, EstimateError for a size or skip that is no number of
    epochs.
    """
    if size is not None and size < 1:
        raise EstimateError(f"A window holds one epoch or more, not {size}.")
    if skip is not None:
        return _given(len(epochs), size, skip)
    if size == len(epochs) == 1:
        return Window(0, 1, "the only epoch")
    if not epochs:
        raise TooEarlyError("No epoch has ended, so nothing can be projected.")
    restart, said = last_restart(epochs)
    warnings = (f"{said} at epoch {restart + 1}: the window begins behind it",) if said else ()
    first = restart + 1
    if first >= len(epochs):
        what = f"Epoch {restart + 1} is the first after a change ({said})" if said else "One epoch has ended"
        raise TooEarlyError(f"{what}; it pays for warming up, so a projection begins with the next one.")
    found = "all but the first epoch" if not said else "all but the first epoch since the change"
    if power is not None:
        told = settled(power)
        if told.epoch is None:
            warnings = (*warnings, f"{told.said}: the stable epoch is told by the epochs' energies")
        else:
            found = told.said
            first = max(first, told.epoch)
            if first >= len(epochs):
                raise TooEarlyError(f"No epoch has ended since power became stable ({told.said}).")
    change = stable_from(joules[first:])
    if change:
        found += f"; the epochs' energies change at epoch {first + change + 1}"
        first += change
    if size is not None and len(epochs) - first < size:
        raise TooEarlyError(
            f"The window takes {size} epochs; of the {len(epochs)} that have ended {len(epochs) - first} are stable "
            f"(from epoch {first + 1})."
        )
    return Window(first if size is None else len(epochs) - size, len(epochs), found, warnings)


def _given(seen: int, size: int | None, skip: int) -> Window:
    if skip < 0:
        raise EstimateError(f"Epochs to skip are a number of 0 or more, not {skip}.")
    end = seen if size is None else skip + size
    if end > seen or end <= skip:
        wanted = f"{size} epochs" if size is not None else "the epochs"
        raise TooEarlyError(f"The window takes {wanted} after the first {skip}, but only {seen} have ended.")
    return Window(skip, end, f"given: after the first {skip} epochs" if skip else "given: from the first epoch")
