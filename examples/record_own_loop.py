"""Record your own training loop, and keep a checkpoint of the state at which a slingshot's transition begins."""

import torch

from slingshot_analysis import Recorder, open_trace

torch.manual_seed(0)
inputs, targets = torch.randn(512, 20), torch.randint(0, 4, (512,))
model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)


def save(transition):
    """Keep the weights; raising an exception here would stop the run instead."""
    torch.save(model.state_dict(), f"transition-{transition.step}.pt")


with Recorder(
    "my_run.h5",
    model,
    optimizer,
    train_data=(inputs, targets),
    on_event=save,
    on_warning=lambda warning: print(f"since {warning.step}: a slingshot may come in {warning.lead} updates"),
    overwrite=True,
) as recorder:
    for _ in range(2000):
        batch = torch.randint(0, 512, (64,))
        logits = model(inputs[batch])
        loss = torch.nn.functional.cross_entropy(logits, targets[batch])
        optimizer.zero_grad()
        loss.backward()
        recorder.update(loss, logits, targets[batch])  # between backward() and step()
        optimizer.step()

print(open_trace("my_run.h5"))
