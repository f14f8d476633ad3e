"""What engines are made of: claims on a cluster, errands away from the study's folder, standings, costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zs import RequestError, Study, UnfinishedError, make_plan, network_from_name
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.studies.cost import estimated, multiply_adds, time_on, training_work
from robustbench_zs.studies.engines.claims import Node, claim_of
from robustbench_zs.studies.engines.data_on_node import folder_of, read_folder
from robustbench_zs.studies.engines.errand import Errand, News, run_errand
from robustbench_zs.studies.engines.parcel import Parcel
from robustbench_zs.studies.engines.standing import Count
from robustbench_zs.studies.plan import Plan
from robustbench_zs.training import Recipe, recipe_from_name, train
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.launch import train_in_processes
from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.trial import merge_choices

CPU = Execution("cpu", 1)


@pytest.fixture
def plan() -> Plan:
    study = {
        "name": "tiny",
        "schemes": ["euler"],
        "depths": [8],
        "widths": [4, 4, 8],
        "masking_images": 0,
        "dataset": {"name": "digits", "train_examples": 64, "test_examples": 40},
        "recipe": {"epochs": 4, "batch_size": 32, "precision": "float32"},
        "perturbations": [{"kind": "gaussian", "delta": [0.1, 0.2]}],
    }
    return make_plan(Study.model_validate(study))


def errand_of(plan: Plan, **options: Any) -> Errand:
    (step,) = plan.evaluations
    return Errand((step,), (step.task.key,), CPU, 256, None, **options)


class LostNodeError(Exception):
    """What ends an errand in the middle."""


def test_an_errand_elsewhere_goes_on_from_the_state_that_came_back(
    plan: Plan, working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZSBENCH_STATE_SECONDS", "0")
    monkeypatch.setenv("TMPDIR", str(working_folder))
    (step,) = plan.evaluations
    whole, broken = list[News](), list[News]()
    news = run_errand(errand_of(plan), dict, whole.append)
    assert not (working_folder / "checkpoints").exists(), "an errand leaves nothing where the study is run"

    def until_the_third_epoch(news: News) -> None:
        broken.append(news)
        if any(isinstance(event, Epoch) and event.epoch == 3 for _, event in news.events):
            raise LostNodeError

    with pytest.raises(LostNodeError):
        run_errand(errand_of(plan), dict, until_the_third_epoch)
    state = [file for each in broken for file in each.files][-1]
    assert state.name == step.task.state_path.name
    again = list[News]()
    run_errand(errand_of(plan, files=(state,)), dict, again.append)
    epochs = [event.epoch for each in again for _, event in each.events if isinstance(event, Epoch)]
    assert epochs == [3, 4]
    weights = [file for each in (*again, *whole, news) for file in each.files if file.name == step.task.path.name]
    for number, file in enumerate(weights):
        file.unpack(working_folder / str(number) / file.name)
    digests = {replace(step.task, folder=str(number)).existing().digest for number in range(len(weights))}  # type: ignore[union-attr]
    assert len(weights) == 2
    assert len(digests) == 1
    results = [each.results for each in (*again,) if each.results][-1]
    results.unpack(working_folder / "results.sqlite")
    assert ResultsStore("results.sqlite").knows(digests.pop())


def test_an_errand_refuses_other_images_and_another_version(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="images of digits on this node are not those"):
        run_errand(replace(errand_of(plan), keys=("0" * 64,)), dict, lambda news: None)
    with pytest.raises(RequestError, match=r"this node has version"):
        run_errand(replace(errand_of(plan), version="0"), dict, lambda news: None)


def test_a_parcel_that_was_damaged_on_its_way_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    parcel = Parcel.of(tmp_path / "a")
    parcel.unpack(tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"weights"
    with pytest.raises(UnfinishedError, match="damaged"):
        replace(parcel, content=b"weightS").unpack(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_images_are_fetched_once_per_node_where_they_are_not_at_their_path(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "data" / "own" / "train").mkdir(parents=True)
    (tmp_path / "data" / "own" / "train" / "a.png").write_bytes(b"image")
    task = replace(plan.evaluations[0].task, dataset="own", data_dir=str(tmp_path / "data"))
    assert folder_of(replace(task, dataset="digits")) is None
    path = folder_of(task)
    assert path == tmp_path / "data" / "own"
    folder, files = read_folder(path)
    fetched = []

    def fetch() -> dict[str, bytes]:
        fetched.append(True)
        return dict(files)

    assert folder.here(fetch) == path
    path.rename(tmp_path / "elsewhere")
    places = {folder.here(fetch) for _ in range(3)}
    (place,) = places
    assert (place.name, (place / "train" / "a.png").read_bytes(), len(fetched)) == ("own", b"image", 1)
    with pytest.raises(RequestError, match="path that all nodes share"):
        replace(folder, digest="").here(fetch)


def cifar_task(name: str, recipe: str, dataset: str = "cifar10") -> TrainingTask:
    made = recipe_from_name(recipe)
    size = 224 if dataset == "imagenet" else None
    return TrainingTask(network_from_name(name), dataset, None, None, None, made, 0, "unused", size)


def test_small_networks_share_a_gpu_and_imagenet_takes_several() -> None:
    nodes = [Node(64, 8), Node(32, 4), Node(16, 0)]
    gpu = Execution("cuda", 8)
    small = claim_of(cifar_task("zerosnet56-opt", "cifar10"), gpu, nodes)
    assert (small.gpus, small.cores, small.processes, small.places(nodes)) == (1 / 8, 1, 1, 96)
    assert claim_of(cifar_task("zerosnet56-opt", "cifar10"), replace(gpu, places=10), nodes).gpus == 1
    large = claim_of(cifar_task("preresnet18:form=imagenet", "imagenet18", "imagenet"), gpu, nodes)
    assert (large.gpus, large.processes, large.places(nodes)) == (8, 8, 1)
    alone = claim_of(cifar_task("preresnet18:form=imagenet", "imagenet18", "imagenet"), gpu, [Node(16, 1)])
    assert alone.gpus == 1
    cores = claim_of(cifar_task("zerosnet56-opt", "cifar10"), Execution("cpu", 3), nodes)
    assert (cores.cores, cores.gpus, cores.places(nodes)) == (3, 0, 21 + 10 + 5)


def test_processes_of_one_job_train_as_one_process_does_with_as_many_shares(tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.02, replicas=2, precision="float32")
    network, folder = "zerosnet8-opt:widths=4-4-8", tmp_path / "one"
    [one] = train([network], recipe=recipe, folder=folder, train_examples=48, test_examples=20, device="cpu", threads=1)
    task = TrainingTask(network_from_name(network), "digits", None, 48, 20, recipe, 0, str(tmp_path / "two"))
    epochs: list[Epoch] = []
    train_in_processes(task, 2, CPU, epochs.append)
    two = task.existing()
    assert two is not None
    assert two.header.execution["processes"] == 2
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    losses = [epoch.loss for epoch in one.header.history]
    assert [epoch.loss for epoch in two.header.history] == pytest.approx(losses, abs=1e-5)


def test_choices_of_several_nodes_are_kept_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "execution.json"
    for shape, places in (("a", 2), ("b", 3), ("a", 4)):
        merge_choices(path, json.dumps({shape: {"places": places}}).encode())
    assert {shape: choice["places"] for shape, choice in json.loads(path.read_text()).items()} == {"a": 2, "b": 3}
    with pytest.raises(RequestError, match="damaged"):
        merge_choices(path, b"no JSON")


def test_a_standing_says_how_far_the_study_is() -> None:
    count = Count(jobs=4, work=10.0)
    assert str(count.standing()) == "0 of 4 jobs done, 0 running"
    count.done, count.running, count.failed, count.worked = 1, 2, 1, 5.0
    count.start -= 100
    count.images(5000)
    standing = count.standing()
    assert standing.seconds_left == pytest.approx(100, abs=1)
    assert standing.images_per_second == pytest.approx(50, abs=1)
    assert str(standing).startswith("1 of 4 jobs done, 2 running, 1 failed, 50 images/s, 2 min left")


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=40), st.integers(1, 20))
def test_time_on_workers_keeps_the_bounds_of_list_scheduling(jobs: list[float], workers: int) -> None:
    """Graham 1966: (Σ/m, longest) ≤ time ≤ Σ/m + (1 − 1/m)·longest."""
    seconds = time_on(workers, jobs)
    mean, longest = sum(jobs) / workers, max(jobs)
    assert max(mean, longest) <= seconds * (1 + 1e-9)
    assert seconds <= (mean + (1 - 1 / workers) * longest) * (1 + 1e-9)


def test_a_plan_is_costed_by_what_its_networks_took(plan: Plan, working_folder: Path) -> None:
    (step,) = plan.evaluations
    one = multiply_adds(step.task.network, (1, 8, 8), 10)
    assert training_work(step.task) == 4 * 3 * 64 * one
    before = estimated([plan], CPU, 2)
    assert "a trial" in before.speed.origin
    assert before.hours == before.undone > 0

    def keep(news: News) -> None:
        for file in news.files:
            file.unpack(step.task.path.parent / file.name)

    run_errand(errand_of(plan), dict, keep)
    after = estimated([plan], CPU, 2)
    trained = step.task.existing()
    assert trained is not None
    seconds = sum(epoch.seconds or 0.0 for epoch in trained.header.history)
    assert after.speed.multiply_adds == pytest.approx(training_work(step.task) / seconds)
    assert after.undone < after.hours
    assert after.seconds == pytest.approx(3600 * after.undone)


def test_the_manifest_for_kubernetes_has_the_fields_of_a_ray_cluster() -> None:
    """By KubeRay's types of ray.io/v1: required and allowed fields of the cluster, its groups and its autoscaler."""
    yaml = pytest.importorskip("yaml", reason="comes with the extra ray")
    jsonschema = pytest.importorskip("jsonschema")
    path = Path(__file__).parents[2] / "docs" / "cookbook" / "raycluster.yaml"
    _, cluster = yaml.safe_load_all(path.read_text())
    jsonschema.validate(cluster, RAY_CLUSTER)


def _fields(required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    fields = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
NUMBER = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
QUANTITIES = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^\d+(\.\d+)?([KMGT]i|m)?$"}}
SECRET = _fields({"secretKeyRef": _fields({"name": {"type": "string"}, "key": {"type": "string"}}, {})}, {})
CONTAINER = _fields(
    {"name": {"type": "string"}, "image": {"type": "string"}},
    {
        "env": {
            "type": "array",
            "items": _fields({"name": {"type": "string"}}, {"value": {"type": "string"}, "valueFrom": SECRET}),
        },
        "resources": _fields({}, {"requests": QUANTITIES, "limits": QUANTITIES}),
        "ports": {
            "type": "array",
            "items": _fields({"containerPort": NUMBER}, {"name": {"type": "string", "maxLength": 15}}),
        },
        "volumeMounts": {
            "type": "array",
            "items": _fields({"name": {"type": "string"}, "mountPath": {"type": "string"}}, {}),
        },
    },
)
CLAIM = _fields({"claimName": {"type": "string"}}, {})
EMPTY = _fields({}, {"medium": {"const": "Memory"}, "sizeLimit": {"type": "string"}})
VOLUME = _fields({"name": {"type": "string"}}, {"persistentVolumeClaim": CLAIM, "emptyDir": EMPTY})
PODS = _fields(
    {"containers": {"type": "array", "minItems": 1, "items": CONTAINER}}, {"volumes": {"type": "array", "items": VOLUME}}
)
TEMPLATE = _fields({"spec": PODS}, {"metadata": {"type": "object"}})
GROUP = _fields(
    {"groupName": {"type": "string"}, "minReplicas": NUMBER, "maxReplicas": NUMBER},
    {"rayStartParams": TEXTS, "template": TEMPLATE, "replicas": NUMBER, "numOfHosts": NUMBER},
)
RAY_CLUSTER = _fields(
    {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": "RayCluster"}, "metadata": {"type": "object"}},
    {
        "spec": _fields(
            {"headGroupSpec": _fields({"template": TEMPLATE}, {"rayStartParams": TEXTS, "serviceType": {"type": "string"}})},
            {
                "rayVersion": {"type": "string"},
                "enableInTreeAutoscaling": {"type": "boolean"},
                "autoscalerOptions": _fields({}, {"idleTimeoutSeconds": NUMBER, "upscalingMode": {"type": "string"}}),
                "workerGroupSpecs": {"type": "array", "items": GROUP},
            },
        )
    },
)
