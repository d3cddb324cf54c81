"""pytest-benchmark's JSON store and the model's types: the only package that knows the file's shape.

A run is one file `<storage>/<System-Implementation-X.Y-bits>/NNNN_<name>.json` in pytest-benchmark's format. What
energybench adds rides in each entry's `extra_info["energybench"]` (see `record`) and in a top-level object
`energybench` that describes the session. `rounds[].joules` is the only source of energy; nothing derived is read back.
Power over time lies beside it in `<session>.trace.csv` (see `trace`), where it was asked for; which runs were promoted
stands in `<storage>/baselines.json` (see `baselines`).
"""

from __future__ import annotations

from energybench.store.baselines import find_baseline, known_baseline, read_baselines, remove_baseline, set_baseline
from energybench.store.document import document, entry
from energybench.store.files import check_writable, default_storage, machine_id, write
from energybench.store.history import PastCase, case_history, earlier_runs, history_of
from energybench.store.parsing import case_from_record
from energybench.store.record import SCHEMA, case_record
from energybench.store.refs import Found, find_run
from energybench.store.runs import RunEntry, list_runs, read_entries, read_run
from energybench.store.trace import Trace, TraceWriter, read_trace, trace_path

__all__ = [
    "SCHEMA",
    "Found",
    "PastCase",
    "RunEntry",
    "Trace",
    "TraceWriter",
    "case_from_record",
    "case_history",
    "case_record",
    "check_writable",
    "default_storage",
    "document",
    "earlier_runs",
    "entry",
    "find_baseline",
    "find_run",
    "history_of",
    "known_baseline",
    "list_runs",
    "machine_id",
    "read_baselines",
    "read_entries",
    "read_run",
    "read_trace",
    "remove_baseline",
    "set_baseline",
    "trace_path",
    "write",
]
