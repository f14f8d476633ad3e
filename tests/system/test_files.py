from __future__ import annotations

import json
import os
import platform
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zs.errors import UnfinishedError
from robustbench_zs.system.environment import environment
from robustbench_zs.system.files import canonical_json, write_atomically

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(content=st.binary(max_size=5000) | st.text(st.characters(exclude_categories=["Cs"])))
def test_a_file_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, content: bytes | str) -> None:
    path = tmp_path_factory.mktemp("files") / "new" / "folders" / "file"
    write_atomically(path, "what was there before, and longer" * 200)
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_where_the_target_is_a_folder_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "target" / "inside").mkdir(parents=True)
    with pytest.raises(UnfinishedError, match="target could not be written"):
        write_atomically(tmp_path / "target", b"content")
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "inside"]


@pytest.mark.parametrize("path", ["", ".", "..", "/"])
def test_a_path_without_a_name_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UnfinishedError, match="could not be written"):
        write_atomically(Path(path), b"content")
    assert [p.name for p in tmp_path.rglob("*")] == ["here"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, "rows")
        assert os.read(reader, 100) == b"rows"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_where_a_parent_is_a_file_it_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "parent").write_text("text")
    with pytest.raises(UnfinishedError, match="could not be written"):
        write_atomically(tmp_path / "parent" / "file", b"content")
    assert (tmp_path / "parent").read_text() == "text"


def test_when_there_is_no_room_the_old_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UnfinishedError, match="could not be written"):
            write_atomically(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_before_the_renaming_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=50, deadline=None)
@given(value=st.dictionaries(st.text(), json_values, max_size=5))
def test_canonical_json_means_the_value_and_forgets_the_order(value: dict[str, Any]) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(dict(reversed(value.items()))) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_canonical_json_refuses_what_json_has_no_number_for(value: float) -> None:
    with pytest.raises(ValueError):
        canonical_json({"value": value})


def test_environment_names_the_versions_that_decide_results() -> None:
    import foolbox
    import numpy as np

    found = environment()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["foolbox"] == foolbox.__version__
    assert json.loads(canonical_json(found)) == found
