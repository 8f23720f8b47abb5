"""Two processes that train together, of which the first one records."""

import socket
import warnings

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from slingshot_analysis import InputError, Recorder, open_trace

pytestmark = pytest.mark.slow


def spawn(function, *arguments):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    torch.multiprocessing.spawn(begin, (port, function, arguments), nprocs=2)


def begin(rank, port, function, arguments):
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(0)
    function(rank, *arguments)
    distributed.barrier()
    distributed.destroy_process_group()


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def train(rank, folder, records, resume=None, wrong=0.0):
    model = DistributedDataParallel(mlp())
    optimizer = torch.optim.Adam(model.parameters())
    generator = torch.Generator().manual_seed(rank)
    data = torch.randn(32, 6, generator=generator), torch.randint(3, (32,), generator=generator)
    recorder = None
    if records:
        options = {"probes": ["batch", "norms", "evaluation:5", "clip_coefficient"], "resume": resume}
        recorder = Recorder(folder / "run.h5", model, optimizer, train_data=data, flight_recorder=True, **options)
        recorder.attach()
        assert recorder.is_recording == (rank == 0)
        assert ("recorded by rank 0" in repr(recorder)) == (rank == 1)
    before = []
    for rows in torch.arange(32).repeat(3).split(8):
        optimizer.zero_grad()
        logits = model(data[0][rows])
        loss = nn.functional.cross_entropy(logits, data[1][rows])
        if recorder:
            recorder.batch(loss + wrong * (rank == 0), logits, data[1][rows])
        loss.backward()
        before.append(float(nn.utils.clip_grad_norm_(model.parameters(), 0.1)))
        optimizer.step()
    if recorder:
        assert recorder.step == 12 + (resume["step"] if resume else 0)
        torch.save(recorder.state_dict(), folder / f"state-{rank}.pt")
        recorder.close()
    if rank == 0:
        torch.save(model.module.state_dict(), folder / f"{records}.pt")
        torch.save(before, folder / "before.pt")


def go_on(rank, folder):
    """Resume as loops do: all ranks read the checkpoint of rank 0."""
    train(rank, folder, True, torch.load(folder / "state-0.pt", weights_only=True))


def test_the_first_process_records_and_the_weights_are_those_of_a_run_without_it(tmp_path):
    for records in (False, True):
        spawn(train, tmp_path, records)
    bare, recorded = (torch.load(tmp_path / f"{records}.pt", weights_only=True) for records in (False, True))
    assert all(torch.equal(bare[name], recorded[name]) for name in bare)
    trace = open_trace(tmp_path / "run.h5")
    assert trace.finished
    assert len(trace["batch_loss"]) == 12
    assert trace.attributes["last_layer"] == "2"
    # the norm before clipping is that of the gradients averaged over the ranks, as the optimizer's is
    coefficients, norms = trace["clip_coefficient"].value, trace["gradient_norm"].value
    assert norms == pytest.approx(0.1, rel=1e-4)
    assert norms / coefficients == pytest.approx(torch.load(tmp_path / "before.pt"), rel=1e-5)
    assert torch.load(tmp_path / "state-1.pt", weights_only=True) == {"step": 12}
    spawn(go_on, tmp_path)
    assert open_trace(tmp_path / "run.h5")["batch_loss"].step.tolist() == list(range(24))


def test_a_mistake_on_one_rank_ends_all_ranks(tmp_path):
    with pytest.raises(torch.multiprocessing.ProcessRaisedException, match=r"another loss than|Connection|closed"):
        spawn(train, tmp_path, True, None, 0.5)


def shard(rank, folder):
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    mesh = distributed.device_mesh.init_device_mesh("cpu", (2,))
    one = fully_shard(mlp(), mesh=mesh)
    other = FullyShardedDataParallel(mlp(), device_id=torch.device("cpu"))
    for model in (one, other):
        with pytest.raises(InputError, match="distributed over ranks, as by FSDP"):
            Recorder(folder / "run.h5", model, torch.optim.Adam(model.parameters()))


def test_sharded_parameters_are_refused_on_each_rank(tmp_path):
    spawn(shard, tmp_path)
    assert not (tmp_path / "run.h5").exists()


def open_alone(rank, folder, overwrite):
    """Make a recorder before the process group is there, as a script does that is started twice."""
    model = mlp()
    recorder, refused = None, 0
    try:
        recorder = Recorder(folder / "run.h5", model, torch.optim.Adam(model.parameters()), overwrite=overwrite)
    except InputError as error:
        refused = int("another process" in str(error))
    distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    count = torch.tensor(refused)
    distributed.all_reduce(count)
    assert int(count) == 1
    assert (recorder is None) == refused
    distributed.destroy_process_group()


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_two_processes_that_know_nothing_of_each_other_one_is_refused(tmp_path, overwrite):
    torch.multiprocessing.spawn(open_alone, (tmp_path, overwrite), nprocs=2)
