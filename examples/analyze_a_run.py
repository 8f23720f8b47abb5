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
# Run this by `python examples/analyze_a_run.py`. In the folder `examples`, `jupytext --to notebook analyze_a_run.py`
# and `jupyter execute --inplace analyze_a_run.ipynb` make the notebook. The run is division modulo 97, thinned.

# %%
from pathlib import Path
from tempfile import mkdtemp

from slingshot_analysis import analyze, compare_runs, open_trace
from slingshot_analysis.report.page import KeepRun, columns_for, write_report

DATA = (Path(__file__).parent if "__file__" in globals() else Path()) / "data"
run = open_trace(DATA / "modular_division.h5")
run

# %% [markdown]
# A signal has its own steps. `to_dataframe` gives a group exactly as it was measured.

# %%
run["last_layer_norm"]

# %%
run.to_dataframe("every_500")[["train_loss", "val_accuracy"]].tail(3)

# %% [markdown]
# `analyze` finds phases, spikes, jumps and slingshots. Each line below is a field of the result.

# %%
found = analyze(run)
found

# %% [markdown]
# The network groks at the last transition, and any recorded signal can be drawn beside the norm.

# %%
found.slingshots[-1]

# %%
found.plot(run, ["norm", "loss", "accuracy", "softmax_collapse"])

# %% [markdown]
# What may have caused the spikes, and what speaks for it:

# %%
for cause in found.diagnosis.causes:
    print(f"{cause.title}: {cause.grade}", *cause.speaks_for, sep="\n  for: ")

# %% [markdown]
# Several runs: do jumps come with transitions? And the page that `slingshot report` writes opens offline anywhere.

# %%
compare_runs([found, *(analyze(DATA / f"{name}.h5") for name in ("cifar10_fcn6_200", "hypercube"))])

# %%
columns = columns_for(1)
page = Path(mkdtemp()) / "report.html"
write_report(page, [found], [KeepRun(columns)(run, found)], columns=columns, command="a notebook").name
