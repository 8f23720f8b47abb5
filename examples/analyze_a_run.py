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
# The run is `modular_division` of the paper, recorded here and thinned ([docs/experiments.md](../docs/experiments.md)).
# Each object shows itself; nothing but this package is needed. Run `python analyze_a_run.py` in the folder `examples`.
# The notebook with its output is made by `jupytext --to notebook analyze_a_run.py` and
# `jupyter execute --inplace analyze_a_run.ipynb`.

# %%
from slingshot_analysis import analyze, compare_runs, open_trace

run = open_trace("data/modular_division.h5")
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

# %%
found.plot()

# %% [markdown]
# The transition at which the network groks, and the jump of the validation accuracy that follows it:

# %%
found.slingshots[-1]

# %%
found.to_dataframe("accuracy_jumps")

# %% [markdown]
# What may have caused the spikes, and what speaks for it:

# %%
for cause in found.diagnosis.causes:
    print(f"{cause.title}: {cause.grade}", *cause.speaks_for, sep="\n  for: ")

# %% [markdown]
# Several runs: do jumps come with transitions, and which runs grok?

# %%
names = ["cifar10_fcn6_200", "hypercube"]
others = [analyze(f"data/{name}.h5") for name in names]
compare_runs([found, *others])

# %% [markdown]
# Any signal that was recorded can be drawn beside the norm.

# %%
found.plot(run, ["norm", "loss", "accuracy", "softmax_collapse"])

# %% [markdown]
# The text that `slingshot analyze` prints:

# %%
from rich.console import Console

from slingshot_analysis.report.text import print_analyses

console = Console(width=110, force_terminal=False, force_jupyter=False)
with console.capture() as text:
    print_analyses([found], console)
print(text.get())

# %% [markdown]
# The page that `slingshot report` writes opens offline in any browser:

# %%
from pathlib import Path
from tempfile import mkdtemp

from slingshot_analysis.report.page import KeepRun, columns_for, write_report

columns = columns_for(1)
page = Path(mkdtemp()) / "report.html"
write_report(page, [found], [KeepRun(columns)(run, found)], columns=columns, command="a notebook").name
