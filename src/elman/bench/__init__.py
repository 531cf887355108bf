"""How fast the layer is: one registry of cases, rivals, a gate before the clock, a report.

A speed here is a ratio of medians, measured in one run against a named rival at a named shape on
as many threads, after elman and every rival were held against float64. Nothing here imports
torch until a case is measured, and that is in a process of its own.
"""

from elman.bench.cases import CASES, SHORT, Case, grid
from elman.bench.gate import RedGateError
from elman.bench.measure import Outcome, measure
from elman.bench.report import COLUMNS, Row, read_rows, rows_of, write_rows
from elman.bench.timing import Effort

__all__ = [
    "CASES",
    "COLUMNS",
    "SHORT",
    "Case",
    "Effort",
    "Outcome",
    "RedGateError",
    "Row",
    "grid",
    "measure",
    "read_rows",
    "rows_of",
    "write_rows",
]
