"""The same request about the same files is answered without computing; any change is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from robustbench_zs.cli import answers
from robustbench_zs.cli.main import main
from robustbench_zs.training import Checkpoint

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(working_folder: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Ask:
    """Asks in a folder with one checkpoint, and gives the rows; `computed` counts how often they were computed."""
    monkeypatch.setattr(answers, "YOUNG", 0)
    (working_folder / "checkpoints").mkdir()
    shutil.copy(checkpoint.path, working_folder / "checkpoints" / "a.safetensors")

    def run(*arguments: str) -> list[dict[str, Any]]:
        time.sleep(0.05)  # coarse times of files
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--examples", "20", "--format", "json"])
        printed = capsys.readouterr()
        assert end.value.code == 0, printed.err
        rows: list[dict[str, Any]] = json.loads(printed.out)
        return rows

    return run


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has an item for each answer that was not at hand."""
    import robustbench_zs.evaluation as evaluation

    calls: list[int] = []
    for name in ("evaluate", "attack", "gap"):
        original = getattr(evaluation, name)

        def counted(*arguments: Any, original: Any = original, **options: Any) -> Any:
            calls.append(1)
            return original(*arguments, **options)

        monkeypatch.setattr(evaluation, name, counted)
    return calls


def test_an_answer_is_given_again_in_every_format(ask: Ask, computed: list[int], capsys: Any) -> None:
    for request in (["attack", "--pgd", "--steps", "2"], ["evaluate", "--noise", "gaussian", "--delta", "0.1,0.2"], ["gap"]):
        first = ask(*request)
        before = len(computed)
        assert ask(*request) == first
        for format_ in ("csv", "table"):
            with pytest.raises(SystemExit):
                main([*request, "--examples", "20", "--format", format_])
            assert "zerosnet20" in capsys.readouterr().out
        assert len(computed) == before


def test_what_changes_the_answer_is_seen(ask: Ask, computed: list[int], diverged: Checkpoint, working_folder: Path) -> None:
    first = ask("evaluate")
    assert ask("evaluate") == first
    assert len(computed) == 1
    ask("evaluate", "--noise", "constant", "--mu", "0.1")
    assert len(computed) == 2
    file = working_folder / "checkpoints" / "a.safetensors"
    shutil.copy(file, file.with_name("b.safetensors"))
    assert [row["checkpoint"] for row in ask("evaluate")] == ["checkpoints/a.safetensors", "checkpoints/b.safetensors"]
    file.with_name("b.safetensors").unlink()
    times = file.stat()
    shutil.copy(diverged.path, file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp --preserve` leaves it
    assert ask("evaluate")[0]["digest"] == diverged.digest != first[0]["digest"]
    (working_folder / "reports" / "results.sqlite").unlink()
    ask("evaluate")
    assert len(computed) == 5


def test_images_behind_links_are_seen_and_links_to_nowhere_passed_over(
    ask: Ask, computed: list[int], working_folder: Path
) -> None:
    for split in ("train", "test"):
        for label in range(10):
            images = working_folder / "elsewhere" / split / str(label)
            images.mkdir(parents=True)
            for n in range(2):
                Image.new("L", (8, 8), 20 * label + n).save(images / f"{n}.png")
            (working_folder / "data" / "own" / split).mkdir(parents=True, exist_ok=True)
            (working_folder / "data" / "own" / split / str(label)).symlink_to(images, target_is_directory=True)
    (working_folder / "data" / "own" / ".#lock").symlink_to("nowhere")
    request = ["evaluate", "checkpoints/a.safetensors", "--dataset", "own"]
    first = ask(*request)
    assert ask(*request) == first
    assert len(computed) == 1
    Image.new("L", (8, 8), 255).save(working_folder / "elsewhere" / "test" / "0" / "0.png")
    ask(*request)
    assert len(computed) == 2


def test_young_files_and_networks_of_the_users_own_are_not_kept(
    ask: Ask, computed: list[int], working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "YOUNG", 10**12)
    ask("evaluate")
    ask("evaluate")
    assert len(computed) == 2
    monkeypatch.setattr(answers, "YOUNG", 0)
    (working_folder / "net.py").write_text(
        "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    own = ["evaluate", "--model", "net.py:net", "--dataset", "digits"]
    assert ask(*own) == ask(*own)
    assert len(computed) == 4


def test_an_answer_at_hand_imports_neither_torch_nor_pandas(ask: Ask, working_folder: Path) -> None:
    ask("evaluate")
    code = (
        "import sys\nfrom robustbench_zs.cli.main import main\n"
        "try:\n    main(['evaluate', '--examples', '20'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "sys.exit(bool({'torch', 'pandas', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=working_folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_images_in_memory_import_scikit_learn_for_digits_alone(working_folder: Path) -> None:
    code = (
        "import sys, torch\nfrom torch import nn\nimport robustbench_zs as zs\n"
        "from robustbench_zs.datasets import LabelledImages\n"
        "data = LabelledImages(torch.zeros(4, 1, 8, 8).byte(), torch.zeros(4).long(), 10)\n"
        "zs.measure(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, None, device=torch.device('cpu'), batch_size=4)\n"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=working_folder, check=False).returncode == 0
