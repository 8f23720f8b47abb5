"""Many runs together: tables by run, by configuration and by dose, curves over seeds, and pooled tests."""

from slingshot_analysis.many_runs._exact import rank_sum_test
from slingshot_analysis.many_runs.branches import Agreement, ArmOutcome, Branch, agreement, read_branch
from slingshot_analysis.many_runs.comparison import Comparison, compare_runs, run_events, summarize_runs
from slingshot_analysis.many_runs.curves import Band, band, thin_curves
from slingshot_analysis.many_runs.dose import (
    cells,
    check_key,
    dose_response,
    fills_a_grid,
    is_telling,
    split_against,
)
from slingshot_analysis.many_runs.files import analyze_files
from slingshot_analysis.many_runs.groups import (
    by_configuration,
    configuration_keys,
    labels_of,
    numeric_keys,
    short_names,
    shown_value,
    varying_keys,
)
from slingshot_analysis.many_runs.keys import KeyTest, ValueCount, key_tests
from slingshot_analysis.many_runs.pooled_branches import PooledArm, pool_branches
from slingshot_analysis.many_runs.table import RESULTS, check_table_path, runs_table, write_table
from slingshot_analysis.many_runs.titles import titles_of_files

__all__ = [
    "RESULTS",
    "Agreement",
    "ArmOutcome",
    "Band",
    "Branch",
    "Comparison",
    "KeyTest",
    "PooledArm",
    "ValueCount",
    "agreement",
    "analyze_files",
    "band",
    "by_configuration",
    "cells",
    "check_key",
    "check_table_path",
    "compare_runs",
    "configuration_keys",
    "dose_response",
    "fills_a_grid",
    "is_telling",
    "key_tests",
    "labels_of",
    "numeric_keys",
    "pool_branches",
    "rank_sum_test",
    "read_branch",
    "run_events",
    "runs_table",
    "short_names",
    "shown_value",
    "split_against",
    "summarize_runs",
    "thin_curves",
    "titles_of_files",
    "varying_keys",
    "write_table",
]
