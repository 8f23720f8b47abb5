"""Run ``python examples/branch_own_loop.py``: which change, made when the warning comes, removes the next event?

A loop of your own is trained until its recorder warns that a slingshot is likely to come. From the state that it has
then, arms go on that differ in one thing: the control in nothing, a null arm in the last digit of one weight. It writes
a trace of each arm into the current folder.
"""

from itertools import pairwise

import torch

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.branching import Snapshot, changed, perturb

UPDATES = 2000
ARMS: dict[str, dict[str, float | str]] = {"control": {}, "null": {}, "eps=1e-4": {"eps": 1e-4}}

torch.manual_seed(0)
inputs = torch.randn(128, 20)
targets = (inputs[:, 0] * inputs[:, 1] > 0).long()
widths = [20, 32, 32, 32, 2]
layers = [part for two in pairwise(widths) for part in (torch.nn.Linear(*two), torch.nn.ReLU())]
model = torch.nn.Sequential(*layers[:-1])
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)


def update(recorder: Recorder | None = None) -> None:
    logits = model(inputs)
    loss = torch.nn.functional.cross_entropy(logits, targets)
    optimizer.zero_grad()
    loss.backward()
    if recorder is not None:
        recorder.update(loss, logits, targets)
    optimizer.step()


def train_until_warned(snapshot: Snapshot) -> int:
    """Train until a warning comes, take the state of that moment, and return its step."""
    warned: list[object] = []  # a warning comes in the middle of an update, so only take a note of it
    options = {"train_data": (inputs, targets), "overwrite": True, "on_warning": warned.append}
    with Recorder("parent.h5", model, optimizer, **options) as recorder:
        while not warned:
            update(recorder)
        step = recorder.step
    snapshot.take()
    return step


if __name__ == "__main__":
    snapshot = Snapshot(model=model, optimizer=optimizer)
    step = train_until_warned(snapshot)
    snapshot.check(update)  # trains twice from here and compares the bits: is anything forgotten?
    print(f"branches begin at {step}")
    for arm, change in ARMS.items():
        snapshot.restore()
        if arm == "null":
            perturb(model[-1].weight)
        options = {"start": step, "attributes": {"arm": arm}, "overwrite": True, "probes": ["batch", "norms:10"]}
        with Recorder(f"{arm}.h5", model, optimizer, **options) as recorder, changed(optimizer, **change):
            for _ in range(UPDATES):
                update(recorder)
        loss = open_trace(f"{arm}.h5")["batch_loss"]
        print(f"{arm}: largest loss {loss.value.max():.2g}, at {loss.step[loss.value.argmax()]}")
