"""The trace file: one run in one HDF5 file, written while the run goes on.

``docs/trace-format.md`` is the specification, for readers and writers in other languages.
"""

from slingshot_analysis.trace.continuation import continue_trace
from slingshot_analysis.trace.reader import TraceFile, open_trace
from slingshot_analysis.trace.schema import Group, Quantity
from slingshot_analysis.trace.trace import Trace
from slingshot_analysis.trace.trees import array_norms, named_arrays, total_norm
from slingshot_analysis.trace.writer import TraceWriter

__all__ = [
    "Group",
    "Quantity",
    "Trace",
    "TraceFile",
    "TraceWriter",
    "array_norms",
    "continue_trace",
    "named_arrays",
    "open_trace",
    "total_norm",
]
