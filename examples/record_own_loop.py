"""Record your own training loop, stop it, go on, and roll back with a smaller step size when a transition begins.

Run ``python examples/record_own_loop.py``. It writes my_run.h5 and checkpoint.pt into the current folder.
"""

from pathlib import Path

import torch

from slingshot_analysis import Recorder, open_trace

UPDATES, BETWEEN_CHECKPOINTS = 2000, 250
CHECKPOINT = Path("checkpoint.pt")

torch.manual_seed(0)
inputs, targets = torch.randn(512, 20), torch.randint(0, 4, (512,))


def train(updates: int) -> str:
    """Train up to so many updates, from the last checkpoint if there is one; return why it ended."""
    model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    saved = torch.load(CHECKPOINT, weights_only=True) if CHECKPOINT.exists() else None
    if saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    transitions = []
    recorder = Recorder(
        "my_run.h5",
        model,
        optimizer,
        train_data=(inputs, targets),
        on_event=transitions.append,  # called before the step, so it only takes a note
        on_warning=lambda warning: print(f"since {warning.step}: a slingshot may come in {warning.lead} updates"),
        resume=saved["recorder"] if saved else None,
    ).attach()
    with recorder:
        while recorder.step < updates:
            batch = torch.randint(0, 512, (64,))
            logits = model(inputs[batch])
            loss = torch.nn.functional.cross_entropy(logits, targets[batch])
            recorder.batch(loss, logits, targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if transitions:
                return f"a transition at {transitions[0].step}"
            if recorder.step % BETWEEN_CHECKPOINTS == 0:
                parts = {"model": model, "optimizer": optimizer, "recorder": recorder}
                torch.save({name: part.state_dict() for name, part in parts.items()}, CHECKPOINT)
    return "the end"


if __name__ == "__main__":
    CHECKPOINT.unlink(missing_ok=True)
    Path("my_run.h5").unlink(missing_ok=True)
    print(train(UPDATES // 2))  # stopped early
    while (why := train(UPDATES)) != "the end":  # goes on from the last checkpoint
        print(why)
        saved = torch.load(CHECKPOINT, weights_only=True)  # back to before the transition, with half the step size
        for group in saved["optimizer"]["param_groups"]:
            group["lr"] /= 2
        torch.save(saved, CHECKPOINT)
    print(open_trace("my_run.h5"))
