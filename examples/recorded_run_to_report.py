# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a recorded run to its report
#
# Run `python examples/recorded_run_to_report.py`, or open this file as a notebook with jupytext. It reads the run of
# modular division that lies in `examples/data`, and writes report.html and figure.svg into the current folder.

# %%
from pathlib import Path

from slingshot_analysis import analyze, open_trace
from slingshot_analysis.report.page import KeepRun, columns_for, write_report

HERE = Path(__file__).parent if "__file__" in globals() else Path()
run = open_trace(HERE / "data" / "modular_division.h5")
run

# %% [markdown]
# The analysis finds the slingshots, and the accuracy that comes with them.

# %%
found = analyze(run)
print(found)

# %%
found.summary()[["transition", "confidence", "norm_before", "norm_after"]]

# %% [markdown]
# Any signal that was recorded can be drawn beside the norm.

# %%
figure = found.plot(run, ["norm", "loss", "accuracy", "softmax_collapse"])
figure.savefig("figure.svg")
figure

# %% [markdown]
# The report is one page that opens offline. `slingshot report` writes the same from the command line.

# %%
columns = columns_for(1)
page = write_report("report.html", [found], [KeepRun(columns)(run, found)], columns=columns, command="a notebook")
print(page)
