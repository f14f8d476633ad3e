"""A study on two Ray nodes, each a process of its own: the store is that of the local engine, whatever dies on the way."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from ray_cluster import Cluster, rows

from robustbench_zs import RequestError, UnfinishedError, load_study, make_plan, run_study
from robustbench_zs.studies.engines import Standing, open_engine
from robustbench_zs.training.execution import Compute

pytest.importorskip("ray", reason="the extra ray is not installed")

STUDY = "table6"
STORE = Path("reports/results.sqlite")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of noise in the shape of CIFAR-10."""
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    (folder / "cifar10").mkdir()
    for split, images in (("train", 200), ("test", 50)):
        encoded = []
        for _ in range(images):
            buffer = io.BytesIO()
            Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "PNG")
            encoded.append({"bytes": buffer.getvalue(), "path": None})
        table = pyarrow.table({"img": encoded, "label": [i % 10 for i in range(images)]})
        pyarrow.parquet.write_table(table, folder / "cifar10" / f"{split}.parquet")
    return folder


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """Ray writes below HOME and into a temporary folder; the paths of its sockets have to be short."""
    folder = Path(tempfile.mkdtemp(prefix="zs-", dir="/tmp"))
    own = {"HOME": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    own |= {"RAY_memory_monitor_refresh_ms": "0", "RAY_worker_niceness": "0"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        yield dict(os.environ)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str]) -> Iterator[Cluster]:
    made = Cluster(Path(environment["HOME"]), environment)
    try:
        made.add_node()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def wanted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """The rows of the local engine."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_study(STUDY, scale="smoke", data_dir=data, device="cpu", threads=1)
        return rows(STORE)


def on_ray(cluster: Cluster, data: Path, **options: Any) -> int:
    """Run the study on the cluster; the number of networks that were trained."""
    return run_study(
        STUDY, scale="smoke", data_dir=data, device="cpu", threads=1, engine="ray", address=cluster.address, **options
    ).trained


def test_two_nodes_fill_the_store_as_one_process_does(
    cluster: Cluster, data: Path, wanted: dict[str, list[tuple[object, ...]]], working_folder: Path
) -> None:
    standings: list[Standing] = []
    assert on_ray(cluster, data, on_standing=standings.append) == 2
    assert rows(STORE) == wanted
    assert (standings[-1].done, standings[-1].failed, standings[-1].jobs) == (2, 0, 2)
    assert not list(working_folder.rglob("*.state.safetensors"))
    assert on_ray(cluster, data) == 0


def test_a_driver_that_is_killed_goes_on_when_it_is_started_again(
    cluster: Cluster,
    data: Path,
    wanted: dict[str, list[tuple[object, ...]]],
    working_folder: Path,
    environment: dict[str, str],
) -> None:
    command = [sys.executable, "-m", "robustbench_zs.cli", "run", STUDY, "--scale", "smoke", "--data-dir", str(data)]
    command += ["--device", "cpu", "--threads", "1", "--engine", "ray", "--address", cluster.address]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    while driver.poll() is None and not list(working_folder.glob("checkpoints/*/*0-????????.safetensors")):
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    assert on_ray(cluster, data) <= 1
    assert rows(STORE) == wanted


def test_a_job_that_always_fails_is_reported_and_the_others_are_done(
    cluster: Cluster, data: Path, wanted: dict[str, list[tuple[object, ...]]], working_folder: Path
) -> None:
    study = load_study(STUDY, "smoke")
    task = make_plan(study.with_precision("float32"), data).evaluations[0].task
    task.state_path.parent.mkdir(parents=True)
    task.state_path.write_bytes(b"no state of a training")
    said: list[str] = []
    with pytest.raises(UnfinishedError, match=r"1 of the jobs failed.*damaged"):
        on_ray(cluster, data, say=said.append)
    assert len([words for words in said if "it resumes elsewhere" in words]) == 2
    assert set(rows(STORE)["checkpoints"]) < set(wanted["checkpoints"])
    task.state_path.unlink()
    assert on_ray(cluster, data) == 1
    assert rows(STORE) == wanted


def test_a_node_that_is_killed_loses_only_its_running_jobs(
    cluster: Cluster, data: Path, wanted: dict[str, list[tuple[object, ...]]], working_folder: Path
) -> None:
    """The last test: one node is left."""
    killed = list[bool]()

    def kill(task: object, event: object) -> None:
        if not killed:
            cluster.kill(cluster.nodes[1])
            killed.append(True)

    on_ray(cluster, data, on_event=kill)
    assert killed
    assert rows(STORE) == wanted


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:999999", "nonsense"])
def test_an_address_without_a_cluster_is_said_at_once(address: str) -> None:
    with (
        pytest.raises(UnfinishedError, match=f"there is no connection to Ray at {address}"),
        open_engine("ray", Compute("cpu", 1), address),
    ):
        pass


def test_without_ray_the_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match=r"pip install 'robustbench_zs\[ray\]'"), open_engine("ray", Compute("cpu", 1)):
        pass
    with pytest.raises(RequestError, match="local, ray"), open_engine("slurm", Compute("cpu", 1)):
        pass
    with pytest.raises(RequestError, match="requires the engine ray"), open_engine("local", Compute("cpu", 1), "auto"):
        pass
