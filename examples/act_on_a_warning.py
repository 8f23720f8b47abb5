"""Run ``python examples/act_on_a_warning.py [save|stop|lower]``: act when a slingshot is likely to come.

A recorder warns when more than half of the samples of a batch have no gradient left. This loop then saves a snapshot,
from which branches can begin, stops, or goes on with a tenth of the step size, which is the default. It writes
warned.h5 into the current folder.
"""

import sys

import torch

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.branching import Snapshot
from slingshot_analysis.recording import SlingshotWarning

UPDATES = 3000


def train(action: str) -> str:
    """Train a network that soon fits its samples; return what was done, and when."""
    inputs = 10 * torch.randn(128, 20)
    targets = (inputs[:, 0] > 0).long()
    model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    snapshot = Snapshot(model=model, optimizer=optimizer)
    pending: list[SlingshotWarning] = []  # a warning comes in the middle of an update, so only take a note of it
    done = "no warning came"
    with Recorder(
        "warned.h5",
        model,
        optimizer,
        train_data=(inputs, targets),
        on_warning=pending.append,
        overwrite=True,
    ) as recorder:
        for step in range(UPDATES):
            logits = model(inputs)
            loss = torch.nn.functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, logits, targets)
            optimizer.step()
            if not pending:
                continue
            warning = pending.pop()
            done = f"{action} at {step}, warned since {warning.step}, for {warning.precision:.0%} come true"
            if action == "stop":
                break
            if action == "save":
                snapshot.take()
                snapshot.save("warned.pt")
            else:
                for group in optimizer.param_groups:
                    group["lr"] /= 10
    return done


if __name__ == "__main__":
    torch.manual_seed(0)
    print(train(sys.argv[1] if len(sys.argv) > 1 else "lower"))
    print("rows to step", open_trace("warned.h5").steps[1])
