"""Record a training loop of one's own: one `with` and one call per update."""

import torch

from slingshot_analysis import Recorder, open_trace

torch.manual_seed(0)
inputs, targets = torch.randn(512, 20), torch.randint(0, 4, (512,))
model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

with Recorder("my_run.h5", model, optimizer, train_data=(inputs, targets), overwrite=True) as recorder:
    for _ in range(2000):
        batch = torch.randint(0, 512, (64,))
        logits = model(inputs[batch])
        loss = torch.nn.functional.cross_entropy(logits, targets[batch])
        optimizer.zero_grad()
        loss.backward()
        recorder.update(loss, logits, targets[batch])  # between backward() and step()
        optimizer.step()

print(open_trace("my_run.h5"))
