"""Run ``python examples/sweep_contingency.py [UPDATES]``: a sweep over ε and seeds, and slingshots against grokking.

By default each of the six runs makes 60,000 updates. It writes the folder runs/epsilon; the same command, given again,
goes on where it was stopped.
"""

import dataclasses
import sys
from pathlib import Path

from slingshot_analysis import analyze_files, compare_runs
from trainers.setups import find_setup
from trainers.sweep import plan_runs, sweep

FOLDER = Path("runs/epsilon")


if __name__ == "__main__":
    updates = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    setup = dataclasses.replace(find_setup("parity_3_50"), steps=updates)
    runs = plan_runs(setup, {"optimizer.eps": [1e-8, 1e-5]}, seeds=range(3))
    table = sweep(runs, FOLDER, jobs=1)
    print(table["state"].value_counts().to_string())
    results = analyze_files([FOLDER / file for file in table.index])
    comparison = compare_runs([analysis for result in results for analysis in result.analyses])
    print(comparison)
    found = comparison.contingency
    print(f"slingshots and grokking: {found.both}, slingshots only: {found.slingshot_only}")
    print(f"grokking only: {found.grokked_only}, neither: {found.neither}")
    comparison.plot().savefig(FOLDER / "contingency.png")
