"""Files that ask for more memory or time than they are worth."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import encode, write_parquet
from tiny_files import STUDY, baseline, header, safetensors_with, study_with

from robustbench_zs.datasets import load_dataset, parquet
from robustbench_zs.errors import RequestError
from robustbench_zs.gate import read_baseline
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.studies.load import load_study
from robustbench_zs.training import read_checkpoint

HEADROOM = 1200 * 2**20
"""Bytes of address space beyond what the libraries take: less than any of the bombs unpacks to."""

IN_LITTLE_MEMORY = """
import json, resource, sys
from pathlib import Path
import pyarrow.parquet, pyarrow.compute, PIL.Image, torch
from robustbench_zs.datasets import load_dataset
from robustbench_zs.errors import RequestError
from robustbench_zs.gate import read_baseline
from robustbench_zs.training import read_checkpoint

def dataset(path):
    return [load_dataset(path, image_size=size).train.images(slice(0, 1)) for size in json.loads(sys.argv[2])]

readers = {"baseline": read_baseline, "checkpoint": read_checkpoint, "dataset": dataset}
size = int(next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]),) * 2)
said = {}
for kind, path in json.loads(sys.argv[3]):
    try:
        readers[kind](path)
    except RequestError as error:
        said[path] = str(error)
print(json.dumps(said))
"""


def said_in_little_memory(files: list[tuple[str, Path]], image_sizes: list[int | None]) -> dict[str, str]:
    """What each file is refused with in a process that may take little memory."""
    if not sys.platform.startswith("linux"):
        pytest.skip("address space is limited on Linux only")
    listed = json.dumps([(kind, str(path)) for kind, path in files])
    command = [sys.executable, "-c", IN_LITTLE_MEMORY, str(HEADROOM), json.dumps(image_sizes), listed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, str] = json.loads(done.stdout)
    return said


def vast_png(side: int) -> bytes:
    """A PNG of so many black pixels a side, one bit each."""
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-side // 8))
    data = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_images_that_unpack_without_end_take_no_memory(tmp_path: Path) -> None:
    pixel = encode(np.zeros((8, 8), np.uint8))
    vast = vast_png(50_000)
    assert len(vast) < 2**20
    for name in ("folder", "streamed"):
        for split in ("train", "test"):
            (tmp_path / name / split / "cat").mkdir(parents=True)
            (tmp_path / name / split / "cat" / "a.png").write_bytes(vast if split == "train" else pixel)
    shared = b"\0" * 2**23  # 1.7 GB in two hundred rows, which the file says once
    for name, images in (("vast", [vast]), ("shared", [shared] * 200)):
        write_parquet(tmp_path / name / "train.parquet", images, [0] * len(images))
        write_parquet(tmp_path / name / "test.parquet", [pixel], [0])
    said = said_in_little_memory([("dataset", tmp_path / n) for n in ("folder", "vast", "shared")], [None])
    assert "DecompressionBomb" in said[str(tmp_path / "folder")]
    assert "DecompressionBomb" in said[str(tmp_path / "vast")]
    assert "image 0 of train.parquet is not an image" in said[str(tmp_path / "shared")]
    streamed = said_in_little_memory([("dataset", tmp_path / "streamed")], [8])
    assert "DecompressionBomb" in streamed[str(tmp_path / "streamed")]


def test_an_image_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "a.png").write_bytes(encode(np.zeros((8, 8), np.uint8)))
    with (tmp_path / "train" / "cat" / "a.png").open("r+b") as file:
        file.truncate(2**40)  # holes, which take no place on the disk
    with pytest.raises(RequestError, match="at most 67108864"):
        load_dataset(str(tmp_path)).train  # noqa: B018


def test_images_that_pack_too_well_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_COLUMN", 2**16)
    monkeypatch.setattr(parquet, "MAX_PACKED", 5)
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [encode(np.zeros((8, 8), np.uint8)) + b"\0" * 2**21], [0])
    with pytest.raises(RequestError, match="unpacks"):
        load_dataset(str(tmp_path)).train  # noqa: B018


def test_more_rows_than_bytes_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [b""] * 200_000, [0] * 200_000)
    with pytest.raises(RequestError, match="claims 200000 images"):
        load_dataset(str(tmp_path))


def test_images_by_the_thousand_that_are_one_are_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [encode(np.zeros((8, 8), np.uint8))] * 1500, [0, 1, 2] * 500)
    assert len(load_dataset(str(tmp_path)).train) == 1500


def with_many(place: tuple[str | int, ...], value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """An edit that sets the entry at the place."""

    def edit(content: dict[str, Any]) -> dict[str, Any]:
        inner: Any = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        return content

    return edit


MANY = 2**21
HEADERS = {
    "history": with_many(("history",), [{}] * MANY),
    "recipe": with_many(("recipe",), {str(key): [] for key in range(MANY // 2)}),
    "environment": with_many(("environment",), {str(key): [] for key in range(MANY // 2)}),
    "alphas": with_many(("network", "scheme", "alphas"), [{}] * MANY),
    "keys": with_many(("network",), dict.fromkeys(map(str, range(MANY // 2)), 1)),
}
BASELINES = {
    "networks": with_many(("networks",), [{}] * MANY),
    "outcomes": with_many(("networks", 0, "outcomes"), dict.fromkeys(map(str, range(MANY // 2)), 1)),
    "network keys": with_many(("networks", 0), dict.fromkeys(map(str, range(MANY // 2)), 1)),
}


def test_headers_and_baselines_with_millions_of_entries_are_refused_at_once(tmp_path: Path) -> None:
    files: list[tuple[str, Path]] = []
    for name, edit in HEADERS.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(safetensors_with(json.dumps(edit(header()), separators=(",", ":"))))
        files.append(("checkpoint", path))
    for name, edit in BASELINES.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(edit(baseline()), separators=(",", ":")))
        files.append(("baseline", path))
    start = time.monotonic()
    said = said_in_little_memory(files, [])
    assert time.monotonic() - start < 60
    for _, path in files:
        assert "at most" in said[str(path)], said[str(path)]


def test_a_header_longer_than_any_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_with(json.dumps({**header(), "training_key": "0" * 2**24})))
    with pytest.raises(RequestError, match="no zsbench header"):
        read_checkpoint(path)


def test_a_baseline_larger_than_any_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(RequestError, match="larger than a baseline"):
        read_baseline(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (".".join(["a"] * 100_000) + " = 1\n" + STUDY, "more than 32 parts"),
        (".".join(['"a\\"b"'] * 50_000) + " = 1\n" + STUDY, "more than 32 parts"),
        (STUDY + "[" + " . ".join(["'a'"] * 50_000) + "]\n", "more than 32 parts"),
        (study_with("networks = " + "[" * 100 + "]" * 100), "levels deep"),
        (study_with("networks = " + "[" * 100_000 + "]" * 100_000), "TOML"),
        (study_with("x = " + "{a = " * 100_000), "TOML"),
        (study_with("masking_images = 1").replace("masking_images = 0\n", "") + "#" + " " * 2**20, "1 MiB"),
        (study_with("seeds = [" + "0," * 100_000 + "]"), "seeds"),
        (study_with("schemes2 = 1\n" + "\n".join(f"a{i} = 1" for i in range(50_000))), "unknown key"),
    ],
    ids=["long key", "long quoted key", "long heading", "deep", "deeper", "deep tables", "large", "many seeds", "many keys"],
)
def test_a_study_file_is_refused_within_seconds(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    start = time.monotonic()
    with pytest.raises(RequestError, match=words) as refused:
        load_study(tmp_path / "a.toml")
    assert time.monotonic() - start < 10
    assert len(str(refused.value)) < 2000


def test_key_like_text_in_a_note_is_no_long_key(tmp_path: Path) -> None:
    note = "Values of 0.1, 0.2, 0.3. " * 30 + "See a.b.c.d.e.f.g, e.g. h.i. " * 20 + "." * 300
    (tmp_path / "a.toml").write_text(study_with(f'note = "{note}"'))
    assert load_study(tmp_path / "a.toml").note == note


@pytest.mark.parametrize("order", [32, 128])
def test_coefficients_with_too_many_digits_are_refused(tmp_path: Path, order: int) -> None:
    long = [f"{10**39 + 7 * i}/{10**39 + 9 * i + 1}" for i in range(order)]
    with pytest.raises(RequestError, match="digits"):
        MultistepScheme(long, 1)
    scheme = {"name": "x", "alphas": long, "beta": "1"}
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_with(json.dumps({**header(), "network": {**header()["network"], "scheme": scheme}})))
    with pytest.raises(RequestError, match="digits"):
        read_checkpoint(path)
    assert len(MultistepScheme([float(10**39 + i) / 10**39 / 200 for i in range(order)], 1).moduli) == order
