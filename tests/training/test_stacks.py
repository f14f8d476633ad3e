"""Networks trained side by side as one module: the same as alone, and nobody disturbs the others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zs.errors import RequestError, UnfinishedError
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import build_network
from robustbench_zs.networks.multistep import MultistepResNet
from robustbench_zs.networks.stacked import part_of, stack, stack_shape
from robustbench_zs.training import Checkpoint, Recipe
from robustbench_zs.training import trial as trial_module
from robustbench_zs.training.distributed import ALONE
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.state import StateFile
from robustbench_zs.training.step import Step, sgd
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.together import Stack
from robustbench_zs.training.train import train_some
from robustbench_zs.training.trial import CHOICES, Rate, choose_executions, deal

WIDTHS = "depth=8,widths=4-4-8"
NAMES = [f"table10-{i}:{WIDTHS}" for i in (1, 5, 9, 10)]
RECIPE = Recipe(epochs=3, batch_size=16, augmentation="crop-flip")
STACKED = Execution("cpu", 1, places=4)


@pytest.fixture
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def networks_of(names: list[str], channels: int = 3) -> list[MultistepResNet]:
    made = []
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        network = build_network(network_from_name(name), channels, 10, (0.3,) * channels, (0.2,) * channels)
        assert isinstance(network, MultistepResNet)
        made.append(network.train())
    return made


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        [f"preresnet8:alpha={a},widths=4-4-8" for a in ("0.7", "1.3")],
        ["table10-2:depth=11,block=bottleneck,widths=4-4-8"] * 3,
    ],
    ids=["third order", "first order", "bottleneck"],
)
def test_a_stack_computes_what_its_networks_compute(names: list[str], double_precision: None) -> None:
    """Logits, gradients and running statistics, to the precision of float64."""
    networks = networks_of(names)
    m = len(networks)
    images, labels = torch.rand(m, 6, 3, 8, 8), torch.randint(0, 10, (m, 6))
    stacked = stack(networks)
    logits = stacked(torch.cat(list(images), 1))
    F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(m, 6).mean(1).sum().backward()
    gradients = {name: p.grad for name, p in stacked.named_parameters()}
    for index, network in enumerate(networks):
        own = network(images[index])
        F.cross_entropy(own, labels[index]).backward()
        torch.testing.assert_close(logits[index], own, rtol=0, atol=1e-10)
        for name, parameter in network.named_parameters():
            gradient = gradients[name]
            assert gradient is not None
            found = part_of(gradient, index, m, parameter.shape)
            torch.testing.assert_close(found, parameter.grad, rtol=1e-9, atol=1e-10)
        state = stacked.state_dict()
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(part_of(state[name], index, m, tensor.shape), tensor, rtol=1e-9, atol=1e-9)


def test_only_fixed_schemes_of_one_shape_go_together() -> None:
    shapes = [stack_shape(network_from_name(name)) for name in NAMES]
    assert len(set(shapes)) == 1
    assert shapes[0] is not None
    for other in ("preresnet8:alpha=0.7,widths=4-4-8", "table10-1:depth=14,widths=4-4-8", "table10-1:depth=8"):
        assert stack_shape(network_from_name(other)) != shapes[0]
    for never in ("resnet8:widths=4-4-8", "zerosnet8-tra:widths=4-4-8", "lm-resnet8:widths=4-4-8"):
        assert stack_shape(network_from_name(never)) is None


def task_of(name: str, folder: Path, seed: int = 0, recipe: Recipe = RECIPE, examples: int = 40) -> TrainingTask:
    return TrainingTask(network_from_name(name), "digits", None, examples, 20, recipe, seed, str(folder))


def bits(checkpoint: Checkpoint) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in checkpoint.tensors.items()}


def train_stack(folder: Path, names: list[str], seed: int = 0, **options: Any) -> dict[str, Checkpoint]:
    tasks = [task_of(name, folder, seed, **options) for name in names]
    return dict(zip(names, train_some(tasks, STACKED, lambda event: None), strict=True))


def test_a_network_is_the_same_alone_and_in_company_and_at_any_place(tmp_path: Path) -> None:
    all_four = train_stack(tmp_path / "four", NAMES)
    turned = train_stack(tmp_path / "turned", NAMES[::-1])
    for name in NAMES:
        alone = train_stack(tmp_path / "alone", [name])[name]
        assert bits(alone) == bits(all_four[name]) == bits(turned[name])
        assert alone.header.execution["places"] == 4


def test_a_network_that_diverges_disturbs_none_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = train_stack(tmp_path / "calm", NAMES)
    begin = TrainingTask.network_to_train

    def wild(task: TrainingTask, execution: Execution) -> Any:
        network = begin(task, execution)
        if task.network.name == NAMES[1]:
            with torch.no_grad():
                network.stem.weight.fill_(torch.inf)  # type: ignore[operator]
        return network

    monkeypatch.setattr(TrainingTask, "network_to_train", wild)
    mixed = train_stack(tmp_path / "mixed", NAMES)
    assert mixed[NAMES[1]].header.diverged_at == 1
    assert len(mixed[NAMES[1]].header.history) == 1
    for name in (NAMES[0], *NAMES[2:]):
        assert bits(mixed[name]) == bits(calm[name])


@pytest.mark.parametrize("weights", ["last", "best"])
def test_an_interrupted_stack_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    recipe = replace(RECIPE, weights=weights)  # type: ignore[arg-type]
    whole = train_stack(tmp_path / "whole", NAMES, recipe=recipe)
    monkeypatch.setattr(StateFile, "due", True)
    seen: list[int] = []

    def interrupt(event: tuple[int, Any]) -> None:
        seen.append(event[0])
        if len(seen) == len(NAMES) + 2:  # in the second epoch, when two of four have been written
            raise KeyboardInterrupt

    tasks = [task_of(name, tmp_path / "parts", recipe=recipe) for name in NAMES]
    with pytest.raises(KeyboardInterrupt):
        train_some(tasks, STACKED, interrupt)
    assert len(list((tmp_path / "parts").glob("*.state.safetensors"))) == len(NAMES)
    resumed = train_some(tasks, Execution("cpu", 1), lambda event: None)  # the choice is the one it began with
    for name, checkpoint in zip(NAMES, resumed, strict=True):
        assert bits(checkpoint) == bits(whole[name])
        assert len(checkpoint.header.history) == recipe.epochs
    assert not list((tmp_path / "parts").glob("*.state.safetensors"))


def test_stacks_are_dealt_so_that_no_worker_is_idle(tmp_path: Path) -> None:
    tasks = [task_of(f"table10-{i}:{WIDTHS}", tmp_path, seed) for seed in (0, 1) for i in range(1, 7)]
    tasks.append(task_of("resnet8:widths=4-4-8", tmp_path))
    ten, alone = Execution("cpu", 1, places=10), Execution("cpu", 1)
    dealt = deal(tasks, [ten] * 12 + [alone], 2)
    assert [indices for indices, _ in dealt] == [list(range(6)), list(range(6, 12)), [12]]
    assert [len(indices) for indices, _ in deal(tasks[:12], [replace(ten, places=4)] * 12, 2)] == [4, 4, 4]
    assert [len(indices) for indices, _ in deal(tasks[:3], [alone] * 3, 2)] == [1, 1, 1]


def test_a_choice_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {1: 100.0, 4: 300.0}
    tried: list[int] = []

    def rate(task: TrainingTask, execution: Execution) -> Rate:
        tried.append(execution.places)
        return Rate(rates[execution.places], 0.0)

    monkeypatch.setattr(trial_module, "rate", rate)
    long = replace(RECIPE, epochs=100)
    tasks = [task_of(name, tmp_path, recipe=long) for name in NAMES]
    said: list[str] = []
    base = Execution("cpu", 1)
    assert choose_executions(tasks, base, 1, said.append) == [replace(base, places=4)] * 4
    assert len(said) == 1
    assert "stacks of 4" in said[0]
    rates[4] = 1.0  # a second trial would decide otherwise
    assert choose_executions(tasks[:1], base, 1, said.append) == [replace(base, places=4)]
    assert tried == [1, 4]
    (tmp_path / CHOICES).write_text("{")
    with pytest.raises(RequestError, match="delete it"):
        choose_executions(tasks, base, 1, said.append)


@pytest.mark.parametrize("memory", [10, 5, 3, 1])
def test_a_stack_that_does_not_fit_in_memory_is_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    def rate(task: TrainingTask, execution: Execution) -> Rate:
        if execution.places > memory:
            raise MemoryError
        return Rate(100.0 * execution.places, 0.0)

    monkeypatch.setattr(trial_module, "rate", rate)
    tasks = [task_of(NAMES[0], tmp_path, seed, replace(RECIPE, epochs=100)) for seed in range(10)]
    chosen = choose_executions(tasks, Execution("cpu", 1), 1, lambda words: None)
    assert {e.places for e in chosen} == {{10: 10, 5: 5, 3: 2, 1: 1}[memory]}


def test_memory_that_runs_out_while_training_halves_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [task_of(name, tmp_path / "halved") for name in NAMES]
    step = Stack.step

    def hungry(self: Stack, images: Tensor, labels: Tensor) -> Tensor:
        if len(self.members) > 2:
            torch.empty(2**60)  # torch's own error, not one made up
        return step(self, images, labels)

    monkeypatch.setattr(Stack, "step", hungry)
    halved = train_some(tasks, STACKED, lambda event: None)
    others = [task_of(name, tmp_path / "pairs") for name in NAMES]
    pairs = train_some(others, replace(STACKED, places=2), lambda event: None)
    assert [bits(c) for c in halved] == [bits(c) for c in pairs]
    assert {c.header.execution["places"] for c in halved} == {2}
    monkeypatch.setattr(Step, "__call__", lambda *args: torch.empty(2**60))
    with pytest.raises(UnfinishedError, match="does not fit in memory"):
        train_some([task_of(NAMES[0], tmp_path / "none")], Execution("cpu", 1), lambda event: None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("how", [{}, {"places": 4}, {"streams": 4}], ids=["eager", "stack", "graphs"])
def test_networks_learn_on_a_gpu(tmp_path: Path, how: dict[str, Any]) -> None:
    """By each execution choice and in the precision of a GPU, as well as on the CPU within what rounding does."""
    recipe = Recipe(epochs=10, batch_size=32)
    tasks = [task_of(name, tmp_path, recipe=recipe.for_device("cuda"), examples=400) for name in NAMES]
    assert {task.recipe.precision for task in tasks} == {"bfloat16"}
    trained = train_some(tasks, Execution("cuda", 1, **how), lambda event: None)
    on_cpu = [task_of(name, tmp_path, recipe=recipe.for_device("cpu"), examples=400) for name in NAMES]
    for checkpoint, other in zip(trained, train_some(on_cpu, STACKED, lambda event: None), strict=True):
        (ours, theirs) = (c.header.history[-1].train_accuracy for c in (checkpoint, other))
        assert ours is not None
        assert theirs is not None
        assert abs(ours - theirs) < 10


def test_short_trainings_are_not_tried(tmp_path: Path) -> None:
    tasks = [task_of(name, tmp_path) for name in NAMES]
    assert choose_executions(tasks, Execution("cpu", 1), 1, lambda words: None) == [Execution("cpu", 1)] * 4


def test_compiled_code_takes_coefficients_as_data() -> None:
    """Compiled once, it serves another scheme; checked with eager code on the same buffer."""
    first, second = networks_of(NAMES[:2])
    for network in (first, second):
        plain = network(images := torch.rand(4, 3, 8, 8)).detach()
        network.scalars_to_data()
        torch.testing.assert_close(network(images), plain, rtol=1e-4, atol=1e-4)
    graphs: list[int] = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(1)
        return module.forward

    torch._dynamo.reset()
    for network in (first, second):
        torch.compile(network, backend=backend, dynamic=False)(torch.rand(4, 3, 8, 8))
    assert len(graphs) == 1
    torch._dynamo.reset()


def test_compiled_code_is_kept_for_the_next_network_of_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of three networks of order 3 and one of order 1 compile twice, and do what eager steps do."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    recipe = Recipe(epochs=1, batch_size=8, precision="float32")
    batch = (torch.rand(8, 3, 8, 8), torch.arange(8))
    for network in networks_of([NAMES[0], NAMES[1], "preresnet8:alpha=0.7,widths=2-3-4", NAMES[2]]):
        other = copy.deepcopy(network)
        other.scalars_to_data()
        for trained, compiled in ((network, True), (other, False)):
            Step(trained, sgd(trained, recipe), recipe, ALONE, compiled)([batch], 8)
        torch.testing.assert_close(list(network.parameters()), list(other.parameters()))
        torch.testing.assert_close(list(network.buffers()), list(other.buffers()))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    torch._dynamo.reset()
