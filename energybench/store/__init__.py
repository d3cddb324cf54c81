"""pytest-benchmark's JSON store and the model's types: the only package that knows the file's shape.

A run is one file `<storage>/<System-Implementation-X.Y-bits>/NNNN_<name>.json` in pytest-benchmark's format. What
energybench adds rides in each entry's `extra_info["energybench"]` (see `record`) and in a top-level object
`energybench` that describes the session. `rounds[].joules` is the only source of energy; nothing derived is read back.
Power over time lies beside it in `<session>.trace.csv` (see `trace`), where it was asked for.
"""

from __future__ import annotations

from energybench.store.document import document, entry
from energybench.store.files import check_writable, default_storage, machine_id, write
from energybench.store.record import SCHEMA, case_from_record, case_record
from energybench.store.runs import Found, RunEntry, find_run, list_runs, read_run
from energybench.store.trace import Trace, TraceWriter, read_trace, trace_path

__all__ = [
    "SCHEMA",
    "Found",
    "RunEntry",
    "Trace",
    "TraceWriter",
    "case_from_record",
    "case_record",
    "check_writable",
    "default_storage",
    "document",
    "entry",
    "find_run",
    "list_runs",
    "machine_id",
    "read_run",
    "read_trace",
    "trace_path",
    "write",
]
