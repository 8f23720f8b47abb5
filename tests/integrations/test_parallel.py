"""Two processes of DistributedDataParallel, of which the first one records."""

import socket

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from slingshot_analysis import Recorder, open_trace


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def train(rank, port, folder, records):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    optimizer = torch.optim.Adam(model.parameters())
    generator = torch.Generator().manual_seed(rank)
    data = torch.randn(32, 6, generator=generator), torch.randint(3, (32,), generator=generator)
    recorder = None
    if records and rank == 0:
        recorder = Recorder(folder / "run.h5", model, optimizer, train_data=data, flight_recorder=True).attach()
    for rows in torch.arange(32).repeat(3).split(8):
        optimizer.zero_grad()
        logits = model(data[0][rows])
        loss = nn.functional.cross_entropy(logits, data[1][rows])
        if recorder:
            recorder.batch(loss, logits, data[1][rows])
        loss.backward()
        optimizer.step()
    if recorder:
        recorder.close()
    if rank == 0:
        torch.save(model.module.state_dict(), folder / f"{records}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.slow
def test_the_first_process_records_and_the_weights_are_those_of_a_run_without_it(tmp_path):
    for records in (False, True):
        torch.multiprocessing.spawn(train, (free_port(), tmp_path, records), nprocs=2)
    bare, recorded = (torch.load(tmp_path / f"{records}.pt", weights_only=True) for records in (False, True))
    assert all(torch.equal(bare[name], recorded[name]) for name in bare)
    trace = open_trace(tmp_path / "run.h5")
    assert trace.finished
    assert len(trace["batch_loss"]) == 12
    assert trace.attributes["last_layer"] == "2"
