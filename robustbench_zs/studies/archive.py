"""A study's results as one file: the outcome of every image, from which its report can be made without weights."""

from __future__ import annotations

import lzma
import tempfile
from pathlib import Path

from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.store import DEFAULT_STORE, ResultsStore
from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.settle import stored_plans
from robustbench_zs.studies.status import plan_status
from robustbench_zs.system.files import write_atomically

MAX_UNPACKED = 2**30
"""Bytes of a store that is unpacked: a file of a few kilobytes can say that it holds far more."""


def pack(
    study: str | Path,
    file: str | Path,
    *,
    scale: str | None = None,
    data_dir: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
) -> int:
    """Write everything that the store knows of a study's networks to `file`, an xz-compressed SQLite store.

    Args:
        study, scale, data_dir, store: as for `report`.

    Returns:
        The number of rows (one per network, or per network and question) in the file.

    Raises:
        RequestError: no such study or store, or nothing of the study is in it.
        UnfinishedError: the file cannot be written.
    """
    loaded = load_study(study, scale)
    known, plans = stored_plans(loaded, study, data_dir, store)
    digests = {network.digest for plan in plans for network in plan_status(plan, known).known.values()}
    if not digests:
        raise RequestError(f"no network of the study {loaded.name!r} is in {store}: run `zsbench run {study}` first")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.sqlite"
        rows = ResultsStore(path).take_over(Path(store), digests)
        write_atomically(Path(file), lzma.compress(path.read_bytes(), preset=9))
    return rows


def unpack(file: str | Path, *, store: str | Path = DEFAULT_STORE) -> int:
    """Put the results in a file that `pack` wrote into the store; rows that are there already stay.

    Returns:
        The number of rows that are new.

    Raises:
        RequestError: the file does not exist, was not written by `pack`, is damaged, or unpacks to more than 1 GiB.
        UnfinishedError: the store cannot be written.
    """
    try:
        with lzma.open(file) as packed:
            content = packed.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise RequestError(f"{file} contains no packed results: {error}") from error
    if len(content) > MAX_UNPACKED:
        raise RequestError(f"{file} unpacks to more than {MAX_UNPACKED >> 20} MiB, which no study of this tool needs")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.sqlite"
        path.write_bytes(content)
        return ResultsStore(store).take_over(path)
