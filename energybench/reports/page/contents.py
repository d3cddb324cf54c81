"""What stands in a report, as values that a template only has to lay out: tables, charts, headlines, verdicts, lists.

Nothing here knows HTML. Text is text, as it came out of the runs; escaping is the template's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.part import Part
from energybench.units import significant

_ENERGY = ("energy", "kwh", "wh", "j", "w", "power", "saving", "change")
"""words in a field's name that tell that joules are behind it"""
_SHORT = {
    "compare": "Changes",
    "heatmap": "Heat map",
    "domains": "GPU, CPU, DRAM",
    "decompose": "What a saving is",
    "predicted": "Predicted",
    "bits": "Bits cleared",
    "cycle": "Full cycle",
}
"""of charts whose own name says too little"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell as a reader sees it, and as a CSV file has it."""

    text: str
    value: str = ""
    """a number in full; empty for text, which is its own value, and for what is absent"""
    kind: str = "text"
    """`text`, `number` or `absent`"""


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers with a caption. The template makes them sortable and offers them as CSV."""

    name: str
    """unique on the page; the CSV file is named like it"""
    caption: str
    numbers: Numbers
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[list[Shown]]:
        """The cells, as they are shown."""
        fields = self.numbers.fields
        return [[shown(field, cell) for field, cell in zip(fields, row, strict=True)] for row in self.numbers.rows]

    @property
    def is_number(self) -> list[bool]:
        """Per column whether it is one of numbers, to be set flush right."""
        columns = [[row[place] for row in self.numbers.rows] for place in range(len(self.numbers.fields))]
        return [
            any(cell is not None for cell in column) and not any(isinstance(cell, str) for cell in column)
            for column in columns
        ]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart with its picture."""

    chart: Chart
    svg: str
    """inline SVG of our own making, all text in it escaped"""

    @property
    def has_energy(self) -> bool:
        """Whether any of its numbers is of energy or power, or made of them."""
        words = {word for field in self.chart.numbers.fields for word in field.name.split("_")}
        return not words.isdisjoint(_ENERGY)

    @property
    def short(self) -> str:
        """Its word in the table of contents."""
        return _SHORT.get(self.chart.name, self.chart.name.capitalize())

    @property
    def table(self) -> Table:
        """Its numbers."""
        return Table(self.chart.name, f"{self.chart.title}: the numbers", self.chart.numbers)


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the headline row."""

    label: str
    value: str
    below: str = ""
    """what it is made of"""
    tone: str = ""
    """`good`, `bad`, `warn` or nothing: a colour beside the words, never instead of them"""

    @property
    def is_text(self) -> bool:
        """Whether its value is words, to be set smaller than a number."""
        return not self.value[:1].isdigit()


@dataclass(frozen=True, slots=True)
class Headline:
    """What one run measured, where, and how well it is known."""

    run: str
    where: str
    """machine, commit and time in a line"""
    provenance: str
    """`measured`, `estimated`, `no energy`, or `62 % metered`"""
    tiles: tuple[Tile, ...]
    sentences: tuple[str, ...] = ()
    role: str = ""
    """`baseline`, or nothing"""


@dataclass(frozen=True, slots=True)
class Caution:
    """A warning or a reason, with everything that it is about."""

    text: str
    cases: tuple[str, ...] = ()
    """none: the run as a whole"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One candidate held against the baseline."""

    heading: str
    outcome: str
    """`passed`, `regressed`, ..."""
    tone: str
    counts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    """metric -> verdict -> cases"""
    sentences: tuple[str, ...]
    regressed: tuple[str, ...]
    """cases that regressed, in words"""
    unsettled: tuple[Caution, ...]
    """the reasons of all other verdicts that are not plainly good, each with its cases"""
    table: Table


@dataclass(frozen=True, slots=True)
class Absence:
    """A chart that the runs have no numbers for."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report, from top to bottom."""

    title: str
    headlines: tuple[Headline, ...]
    judgements: tuple[Judgement, ...] = ()
    charts: tuple[Drawn, ...] = ()
    cases: tuple[Table, ...] = ()
    """the first is that of all cases"""
    claims: tuple[Table, ...] = ()
    """the study's, one table per run"""
    environment: tuple[Table, ...] = ()
    cautions: tuple[Caution, ...] = ()
    absences: tuple[Absence, ...] = ()
    energy_label: str = ""
    """`estimated`, `partly estimated`, `replayed`: stands at every chart; empty where all joules are metered"""
    made: str = ""
    """with what, and when"""
    home: str = ""
    """relative address of the site that the page belongs to; empty where it stands alone"""


def shown(field: Field, cell: Cell) -> Shown:
    """The cell under its field's scale; an absent value is a dash."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return Shown("–", kind="absent")
    if isinstance(cell, str):
        return Shown(cell)
    if isinstance(cell, int) and field.scale == 1.0:
        return Shown(str(cell), str(cell), "number")
    return Shown(significant(cell * field.scale, field.digits), repr(cell), "number")


def numbers(fields: Sequence[Field], rows: Sequence[Sequence[Cell]]) -> Numbers:
    """The numbers without those columns, beside the first, in which no row has a value."""
    kept = [place for place in range(len(fields)) if not place or any(row[place] not in (None, "") for row in rows)]
    return Numbers(tuple(fields[p] for p in kept), tuple(tuple(row[p] for p in kept) for row in rows))


def of_part(name: str, part: Part) -> Table:
    """The table of a terminal's report, its cells as text: it was made for people, on one scale per column."""
    shown = [column for column in part.columns if not column.is_empty]
    fields = [Field(column.header, column.header) for column in shown]
    rows = [tuple(None if cell == "-" else cell for cell in row) for row in zip(*(c.cells for c in shown), strict=True)]
    return Table(name, part.title, Numbers(tuple(fields), tuple(rows)), part.lines)


def anchor(name: str) -> str:
    """A text as an id: letters, digits and hyphens of ASCII, whatever a run is called."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:80] or "x"


def renamed(tables: Sequence[Table]) -> tuple[Table, ...]:
    """The tables under names that are ids and unique among them."""
    taken: set[str] = set()
    out = []
    for table in tables:
        name = first = anchor(table.name)
        count = 1
        while name in taken:
            count += 1
            name = f"{first}-{count}"
        taken.add(name)
        out.append(replace(table, name=name))
    return tuple(out)
