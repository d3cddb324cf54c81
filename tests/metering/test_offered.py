"""Meters of a user's own beside the built-in ones: what is taken in, and what is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import MeterError
from energybench.metering import Diagnosis, MeterOptions, Opened, Reading, Resolution, open_meters
from energybench.metering.offered import admit, as_opened
from energybench.model import Domain, Provenance

AUTO = MeterOptions()
WHOLE = frozenset({"package", "dram", "gpu"})


class Own:
    """A meter as a user writes one; anything of it can be given otherwise."""

    heartbeat_s: Any = None

    def __init__(self, name: str = "wall", domain: str = "", **other: Any) -> None:
        self.name: Any = name
        self.domains: Any = (Domain(domain or name, name, Provenance.INTEGRATED),)
        self.resolution: Any = {}
        self.closed = 0
        self._reading: Any = {domain or name: Reading(1.0)}
        self._keys: Any = {}
        self._conditions: Any = {}
        for key, value in other.items():
            setattr(self, key, value)

    def read(self) -> Any:
        return self._reading() if callable(self._reading) else self._reading

    def calibrate(self) -> None:
        pass

    def conditions(self) -> Any:
        return self._conditions

    def comparability(self) -> Any:
        return self._keys

    def close(self) -> None:
        self.closed += 1


def raising() -> Mapping[str, Reading]:
    raise TimeoutError("no answer")


def estimate_and(*given: Any) -> MeterOptions:
    """The estimate with these meters of one's own, and no counter that this machine may have."""
    return MeterOptions(
        names=("estimate", *(each.meter.name if isinstance(each, Opened) else each.name for each in given))
    )


def totals(*given: object) -> dict[str, bool]:
    meters = open_meters(estimate_and(*given), further=lambda: given)
    meters.close()
    return {domain.name: domain.in_total for domain in meters.domains}


def test_a_meter_of_the_users_own_stands_last_and_is_closed_with_the_others() -> None:
    own = Own()
    meters = open_meters(estimate_and(own), further=lambda: [own])
    assert [domain.name for domain in meters.domains] == ["cpu", "ram", "wall"]
    window = meters.open_window()
    assert window.close().joules["wall"] == 0.0
    meters.close()
    assert own.closed == 1
    assert [d.reason for d in meters.diagnoses if d.device == "wall"] == ["given by a plugin"]


def test_what_a_meter_covers_is_not_estimated() -> None:
    assert totals(Opened(Own(), (), WHOLE)) == {"wall": True}
    assert totals(Opened(Own(), (), frozenset({"package:0"}))) == {"ram": True, "wall": True}
    assert totals(Own("board", "package:0")) == {"ram": True, "package:0": True}


def test_of_two_meters_that_cover_the_same_the_first_counts() -> None:
    given = Opened(Own("plug"), (), WHOLE), Opened(Own("pdu"), (), frozenset({"cpu"}))
    assert totals(*given) == {"plug": True, "pdu": False}


def test_a_meter_is_not_added_where_a_counter_reads_a_part_of_it(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    options = MeterOptions(names=("rapl", "wall"), powercap_root=Path(powercap.root))
    meters = open_meters(options, further=lambda: [Opened(Own(), (), WHOLE)])
    wall = next(domain for domain in meters.domains if domain.name == "wall")
    assert (wall.in_total, wall.note) == (False, "not added: other meters read package in it")
    meters.close()


def test_replayed_windows_ask_for_no_meter(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    row = '{"label": "*", "seconds": 1, "joules": {"package:0": 1}}'
    path.write_text(f'{{"schema": 1, "domains": [{{"name": "package:0"}}], "windows": [{row}]}}')
    options = MeterOptions(names=(f"replay:{path}",))
    open_meters(options, further=lambda: pytest.fail("asked")).close()


def test_a_further_rank_leaves_what_its_host_has_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    wall, card = Own(), Own("fpga", "gpu:fpga")
    meters = open_meters(estimate_and(wall, card), further=lambda: [wall, card])
    assert {"wall", "gpu:fpga"} & {domain.name for domain in meters.domains} == {"gpu:fpga"}
    assert wall.closed == 1
    meters.close()


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (lambda: Own(""), "a meter's name is one word"),
        (lambda: Own("a:b"), "a meter's name is one word"),
        (lambda: Own("rapl"), "is named 'rapl', as another meter is"),
        (lambda: Own("replay"), "is named 'replay', as another meter is"),
        (lambda: Own(domain="cpu"), "reads a domain 'cpu', and so does 'estimate'"),
        (lambda: Own(domains=()), "domains is a tuple of energybench.model.Domain, not"),
        (lambda: Own(domains=["wall"]), "domains is a tuple"),
        (lambda: Own(domains=(Domain("wall", "plug", Provenance.MEASURED),)), "says that 'plug' reads it, not 'wall'"),
        (lambda: Own(heartbeat_s=0), "heartbeat_s is seconds above 0, or None, not 0"),
        (lambda: Own(resolution={"wall": 0.1}), "resolution is a mapping of domain names to"),
        (lambda: Own(resolution={"plug": Resolution(1, 1)}), "a resolution of 'plug', which it does not read"),
        (lambda: Own(resolution={"wall": Resolution(-1, 1)}), "steps and periods are numbers from 0 on"),
        (lambda: Own(_keys={"a": object()}), r"comparability\(\) is not plain JSON"),
        (lambda: Own(_keys=[]), r"comparability\(\) is a dict"),
        (lambda: Own(_keys={"cpu": "x"}), "the comparability key 'cpu' is another's; call it 'meter_wall_cpu'"),
        (lambda: Own(_conditions={"t": "hot"}), r"conditions\(\) is a dict of numbers"),
        (lambda: Own(_reading=raising), r"read\(\) raised TimeoutError \(no answer\)"),
        (lambda: Own(_reading={"wall": 1.0}), r"read\(\) is a dict of domain names to energybench.metering.Reading"),
        (lambda: Own(_reading={"plug": Reading(1.0)}), r"read\(\) gives plug, but its domains are wall"),
        (lambda: Own(_reading={"wall": Reading(None, trouble="unplugged")}), "cannot read 'wall': unplugged"),
        (lambda: Own(_reading={"wall": Reading(float("nan"))}), "reads nan, which is no joules"),
    ],
)
def test_what_no_session_could_use_is_refused_and_closed(own: Callable[[], Own], says: str) -> None:
    meter = own()
    with pytest.raises(MeterError, match=says):
        open_meters(AUTO, further=lambda: [meter])
    assert meter.closed == 1


def test_what_is_no_meter_at_all_is_refused() -> None:
    with pytest.raises(MeterError, match=r"Opened\(None, \(\)\): add a Diagnosis"):
        as_opened(Opened(None, ()))
    with pytest.raises(MeterError, match="gave the class Own as a meter"):
        as_opened(Own)
    absent = Opened(None, (Diagnosis("wall", "wall", "absent", "no plug"),))
    assert as_opened(absent) is absent


kinds = st.frozensets(st.sampled_from(["package", "dram", "gpu", "psys", "disk"]))


@given(kinds, kinds)
def test_no_kind_of_energy_is_in_the_total_twice(first: frozenset[str], second: frozenset[str]) -> None:
    one = admit(Opened(Own("one"), (), first), (), (), ())
    two = admit(Opened(Own("two"), (), second), [one.meter], one.covers, ())  # type: ignore[list-item]
    assert two.meter is not None
    assert two.meter.domains[0].in_total is not bool(first & second)
    assert not one.covers & two.covers
