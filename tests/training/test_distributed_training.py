"""Several shares of a step, worked through by one process or by several that `torchrun` started."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from robustbench_zs.datasets import load_dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.training import Recipe, read_checkpoint, train
from robustbench_zs.training.distributed import Processes
from robustbench_zs.training.loop import Epoch, Training, fit
from robustbench_zs.training.streams import stream

NETWORK = "zerosnet20-opt:widths=4-8-16"
CPU = torch.device("cpu")

TRAINING = """
import json, sys
from robustbench_zs.training import Recipe, train
from robustbench_zs.training.distributed import is_first
recipe = Recipe(**json.loads(sys.argv[2]))
done = train([sys.argv[3]], recipe=recipe, folder=sys.argv[1], train_examples=48, test_examples=20, device="cpu", threads=1)
assert len(done) == is_first()
"""


def torchrun(*arguments: str, processes: int = 2, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--master-addr=127.0.0.1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, f"--master-port={port}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        cwd=folder,
    )


def plain_data_parallel(recipe: Recipe) -> list[float]:
    """Losses of every step: two half batches with their own batch statistics, gradients averaged; written out plainly."""
    data = load_dataset("digits", train_examples=48).train
    mean, std = data.channel_statistics()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(stream(0, "weights").get_state())
        network = build_network(network_from_name(NETWORK), 1, 10, mean, std)
    halves = [network, copy.deepcopy(network)]
    velocities = [torch.zeros_like(p) for p in network.parameters()]
    order = stream(0, "order")
    losses = []
    for epoch in range(recipe.epochs):
        total = 0.0
        for step in torch.randperm(48, generator=order).split(recipe.batch_size):
            gradients = []
            for half, indices in zip(halves, step.chunk(2), strict=True):
                half.load_state_dict(dict(network.named_parameters()), strict=False)
                loss = F.cross_entropy(half(data.images(indices)), data.labels[indices])
                gradients.append(torch.autograd.grad(loss, list(half.parameters())))
                total += loss.item() * len(indices)
            with torch.no_grad():
                for p, v, a, b in zip(network.parameters(), velocities, *gradients, strict=True):
                    v.mul_(recipe.momentum).add_((a + b) / 2 + recipe.weight_decay * p)
                    p.sub_(recipe.learning_rates(epoch, 1)[0] * v)
        losses.append(total / 48)
    return losses


RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.02, replicas=2)


def losses_of(folder: Path) -> list[float]:
    (path,) = folder.glob("*.safetensors")
    return [epoch.loss or 0.0 for epoch in read_checkpoint(path).header.history]


def test_two_processes_train_as_one_that_averages_two_half_batches(tmp_path: Path) -> None:
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    done = torchrun(str(script), str(tmp_path / "two"), json.dumps(RECIPE.as_dict()), NETWORK)
    assert done.returncode == 0, done.stderr
    train([NETWORK], recipe=RECIPE, folder=tmp_path / "one", train_examples=48, test_examples=20, device="cpu", threads=1)
    expected = plain_data_parallel(RECIPE)
    assert losses_of(tmp_path / "two") == pytest.approx(expected, abs=1e-5)
    assert losses_of(tmp_path / "one") == pytest.approx(expected, abs=1e-5)
    one, two = (read_checkpoint(next((tmp_path / name).iterdir())) for name in ("one", "two"))
    assert one.path.name == two.path.name
    for name, tensor in one.tensors.items():  # batch-norm statistics, those of the first half, among them
        torch.testing.assert_close(two.tensors[name], tensor, rtol=1e-3, atol=1e-4)
    assert two.header.execution["processes"] == 2
    accuracies = [[epoch.test_accuracy for epoch in c.header.history] for c in (one, two)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=5.01)  # one of 20 images


def test_two_processes_go_on_where_one_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(task: object, epoch: Epoch) -> None:
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    options = {"recipe": RECIPE, "train_examples": 48, "test_examples": 20, "device": "cpu", "threads": 1}
    train([NETWORK], folder=tmp_path / "whole", **options)  # type: ignore[arg-type]
    monkeypatch.setattr("robustbench_zs.training.state.STATE_INTERVAL", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train([NETWORK], folder=tmp_path / "parts", on_progress=stop, **options)  # type: ignore[arg-type]
    (state,) = (tmp_path / "parts").iterdir()
    assert state.name.endswith(".state.safetensors")
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    done = torchrun(str(script), str(tmp_path / "parts"), json.dumps(RECIPE.as_dict()), NETWORK)
    assert done.returncode == 0, done.stderr
    assert not state.exists()
    whole, parts = (read_checkpoint(next((tmp_path / name).iterdir())) for name in ("whole", "parts"))
    assert losses_of(tmp_path / "parts") == pytest.approx(losses_of(tmp_path / "whole"), abs=1e-5)
    assert [e.seconds for e in parts.header.history[:2]] != [e.seconds for e in whole.header.history[:2]]
    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(parts.tensors[name], tensor, rtol=1e-3, atol=1e-4)


def test_the_command_line_under_torchrun_prints_once(tmp_path: Path) -> None:
    options = ["--network", NETWORK, "--epochs", "1", "--train-examples", "32", "--test-examples", "20", "--device", "cpu"]
    done = torchrun("-m", "robustbench_zs.cli", "train", *options, "--replicas", "2", "--format", "json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["epochs"] == 1
    assert done.stderr.count("trained:") == 1
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_more_shares_than_one_are_other_statistics_and_another_training(tmp_path: Path) -> None:
    same = {"folder": tmp_path, "train_examples": 48, "test_examples": 20, "device": "cpu", "threads": 1}
    one, two = (train([NETWORK], recipe=RECIPE.with_changes(replicas=n), **same)[0] for n in (1, 2))  # type: ignore[arg-type]
    assert one.path != two.path
    assert one.header.history[0].loss != two.header.history[0].loss


def test_a_rest_too_small_for_all_shares_is_left_out() -> None:
    data = load_dataset("digits", train_examples=17).train
    network = build_network(network_from_name(NETWORK), 1, 10, (0.0,), (1.0,))
    history = fit(Training(network, data, Recipe(epochs=1, batch_size=16, replicas=4), 0), data)
    assert history[0].train_accuracy % (100 / 16) == pytest.approx(0, abs=1e-4)
    with pytest.raises(RequestError, match="17 training images are too few for 18 replicas"):
        fit(Training(network, data, Recipe(epochs=1, batch_size=18, replicas=18), 0), data)


def test_shares_are_dealt_evenly() -> None:
    assert Processes(1, 2).dealt(8) == (8, range(4, 8))
    assert Processes(1, 2).dealt(1) == (2, range(1, 2))
    assert Processes(0, 1).dealt(1) == (1, range(1))
    with pytest.raises(RequestError, match="a multiple of 3"):
        Processes(0, 3).dealt(8)


def test_one_replica_on_several_cpu_processes_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    done = torchrun(str(script), str(tmp_path / "out"), json.dumps(RECIPE.with_changes(replicas=1).as_dict()), NETWORK)
    assert done.returncode != 0
    assert "2 processes on a CPU need 2 replicas" in done.stderr
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="SyncBatchNorm is there on GPUs only")
def test_statistics_over_all_processes_on_a_gpu(tmp_path: Path) -> None:
    script = tmp_path / "training.py"
    script.write_text(TRAINING.replace('device="cpu"', 'device="cuda"'))
    processes = torch.cuda.device_count()
    recipe = json.dumps(RECIPE.with_changes(replicas=1).as_dict())
    done = torchrun(str(script), str(tmp_path / "out"), recipe, NETWORK, processes=processes)
    assert done.returncode == 0, done.stderr
    alone = train(
        [NETWORK], recipe=RECIPE.with_changes(replicas=1), folder=tmp_path / "one", train_examples=48, device="cuda"
    )
    assert losses_of(tmp_path / "out") == pytest.approx([e.loss for e in alone[0].header.history], abs=1e-2)


def test_a_study_under_torchrun(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(
        'name = "two"\nnetworks = ["zerosnet20-opt:widths=4-8-16", "table10-1:depth=20,widths=4-8-16"]\n'
        '[dataset]\nname = "digits"\ntrain_examples = 32\ntest_examples = 20\n[recipe]\nepochs = 1\nreplicas = 2\n'
        '[[perturbations]]\nkind = "constant"\nmu = 0.1\n'
    )
    done = torchrun("-m", "robustbench_zs.cli", "run", "two.toml", "--device", "cpu", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trained:") == 2
    assert done.stdout.count("The report: reports/two/report.md") == 1
    assert len(pd.read_csv(tmp_path / "reports" / "two" / "results.csv")) == 4
