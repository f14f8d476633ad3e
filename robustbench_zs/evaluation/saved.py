"""Saves adversarial images as PNG files that still fool the network with 8 bits per channel."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.outcomes import decide, evaluation_mode, memory_at
from robustbench_zs.evaluation.sources import CheckpointLike, DatasetLike, images_of, resolve_checkpoints
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.perturbations import Perturbation
from robustbench_zs.perturbations.attacks import GradientAttack
from robustbench_zs.perturbations.native import LOSSES, gradient_at
from robustbench_zs.system.files import write_atomically
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute

WHITE = 255
STEPS_AGAIN = 40
"""Steps of one or more whole levels with which an example that rounding has lost is searched again."""

ROUNDING = 1e-4
"""Levels by which the edge of a ball may be missed for want of digits in float32."""

INDEX = "index.csv"

KINDS = ("fgsm", "pgd", "apgd")


@dataclass(frozen=True)
class Example:
    """A saved image: its number in the split, its label, what the network says of the file's pixels, and the largest
    difference of a pixel to the original, as a fraction of the pixel range."""

    file: str
    network: str
    perturbation: str
    image: int
    label: int
    prediction: int
    distance: float


@dataclass(frozen=True)
class Saved:
    """What was saved, and how many examples were found in floating point that no 8-bit image of the ball keeps up."""

    examples: tuple[Example, ...]
    lost: int


def save_examples(
    checkpoints: CheckpointLike | Iterable[CheckpointLike] | None,
    attacks: Sequence[Perturbation],
    folder: str | Path,
    *,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
) -> Saved:
    """Attack the test images that a network has right, and write those that fool it as PNG files with an index.

    Each example is rounded to whole levels inside its ball and shown to the network again. Where that undoes it, it is
    searched again among 8-bit images alone: steps of whole levels along the sign of the gradient.

    Args:
        checkpoints, dataset, data_dir, examples, batch_size, device, threads: as for `evaluate`.
        attacks: FGSM, PGD or APGD in the L∞ ball, without a target.
        folder: gets `NETWORK/PERTURBATION/IMAGE.png` and `index.csv`, whose columns are those of `Example`.

    Raises:
        RequestError: another attack; images that have neither one channel nor three.
        UnfinishedError: a file cannot be written; out of memory.

    Examples:
        >>> from pathlib import Path
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> saved = zs.save_examples([network], [zs.FGSM("1/4")], "examples", dataset="digits", examples=20)
        >>> len(saved.examples) == len(list(Path("examples").rglob("*.png")))
        True
    """
    chosen = [attack for attack in attacks if _is_saved(attack)]
    if len(chosen) < len(attacks):
        raise RequestError("examples can be saved only for untargeted FGSM, PGD and APGD in the L∞ ball")
    compute = Compute(device, threads, 1, batch_size)
    execution = compute.execution(1)
    found: list[Example] = []
    lost = 0
    with torch_threads(execution.threads):
        for source in resolve_checkpoints(checkpoints, dataset):
            subject, data = Subject.of(source), images_of(source, dataset, data_dir, examples).load()
            subject.check_fits(data, "test")
            if data.test.shape[0] not in (1, 3):
                raise RequestError(f"examples can be saved as PNG with one channel or three, not {data.test.shape[0]}")
            for attack in chosen:
                here, missed = _save(
                    subject, data.test, attack, Path(folder), torch.device(execution.device), compute.batch_size
                )
                found, lost = found + here, lost + missed
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Example)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(example) for example in found)
    write_atomically(Path(folder) / INDEX, text.getvalue())
    return Saved(tuple(found), lost)


def _is_saved(attack: Perturbation) -> TypeGuard[GradientAttack]:
    if not isinstance(attack, GradientAttack) or attack.kind not in KINDS:
        return False
    return attack.ball == "linf" and getattr(attack, "target", None) is None


def _save(
    subject: Subject, data: Split, attack: GradientAttack, folder: Path, device: torch.device, batch_size: int
) -> tuple[list[Example], int]:
    network, found, lost = subject.on(device), [], 0
    seed = "" if subject.seed is None else f"-seed{subject.seed}"
    place = Path(_file_name(f"{subject.network}{seed}")) / _file_name(attack.label)
    with memory_at(batch_size), evaluation_mode(network):
        for indices in torch.arange(len(data)).split(batch_size):
            images, labels = data.images(indices).to(device), data.labels[indices].to(device)
            right = _right(network, images, labels)
            if not right.any():
                continue
            images, labels, indices = images[right], labels[right], indices[right.cpu()]
            changed = attack(network, images, labels, indices)
            fooled = ~_right(network, changed, labels)
            levels = _levels(network, images[fooled], changed[fooled], labels[fooled], attack.eps)
            kept = ~_right(network, levels / WHITE, labels[fooled])
            lost += int((~kept).sum())
            predictions = network(levels / WHITE).argmax(1) if len(levels) else labels[:0]
            distances = (levels / WHITE - images[fooled]).abs().flatten(1).amax(1)
            for row in kept.nonzero()[:, 0].tolist():
                number = int(indices[fooled.cpu()][row])
                name = place / f"{number:06d}.png"
                write_atomically(folder / name, _png(levels[row]))
                label, prediction = int(labels[fooled][row]), int(predictions[row])
                distance = float(distances[row])
                found.append(Example(str(name), subject.network, attack.label, number, label, prediction, distance))
    return found, lost


@torch.no_grad()
def _right(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return decide(network(images), labels)[0] if len(images) else labels > 0


def _levels(network: nn.Module, images: Tensor, changed: Tensor, labels: Tensor, eps: float) -> Tensor:
    """The examples in whole levels of 0 … 255 inside the ball, as floats; searched again where rounding undid them."""
    low = ((images - eps) * WHITE - ROUNDING).ceil().clamp(0, WHITE)
    high = ((images + eps) * WHITE + ROUNDING).floor().clamp(0, WHITE).maximum(low)
    levels = (changed * WHITE).round().clamp(low, high)
    longest = max(1, round(eps * WHITE / 4))
    for step in range(STEPS_AGAIN):
        again = _right(network, levels / WHITE, labels)
        if not again.any():
            break
        x = (levels[again] / WHITE).requires_grad_()
        with torch.enable_grad():
            gradient = gradient_at(x, LOSSES["margin"](network(x), labels[again]).sum())
        change = max(1, longest >> (step * 4 // STEPS_AGAIN)) * torch.nan_to_num(gradient).sign()
        levels[again] = (levels[again] + change).clamp(low[again], high[again])
    return levels


def _png(levels: Tensor) -> bytes:
    from PIL import Image

    pixels = levels.round().byte().cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.=-]+", "_", text).strip("_.")[:100]
