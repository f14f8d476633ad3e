"""Accuracies of networks with random outputs: the function behind `--eot`.

Such a network classifies an image correctly only with some probability. So each image, clean or perturbed, is evaluated in N
passes with fresh noise, and accuracy is the mean over images and passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from robustbench_zs.datasets import Split
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation.intervals import wilson_interval
from robustbench_zs.evaluation.outcomes import Outcomes, decide, evaluation_mode, memory_at
from robustbench_zs.evaluation.rows import frame_of_rows, result_row
from robustbench_zs.evaluation.sources import CheckpointLike, DatasetLike, dataset_label, images_of, resolve_checkpoints
from robustbench_zs.evaluation.steadiness import depends_on_chance
from robustbench_zs.evaluation.subject import Subject
from robustbench_zs.perturbations import PGD, Perturbation
from robustbench_zs.perturbations.expectation import MAX_PASSES, expectation
from robustbench_zs.system.threads import torch_threads
from robustbench_zs.training.execution import DEFAULT_BATCH_SIZE, Compute

if TYPE_CHECKING:
    import pandas as pd

Right = npt.NDArray[np.bool_]
"""Passes × images."""


def expected_accuracy(
    checkpoints: CheckpointLike | Iterable[CheckpointLike],
    perturbations: Sequence[Perturbation] = (),
    *,
    draws: int,
    seed: int = 1,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    examples: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Accuracy of networks with random outputs, averaged over draws of their noise.

    Attacks follow the mean gradient of `draws` passes (expectation over transformation), take all their steps, and their
    last iterate is evaluated in `draws` further passes. A network without random outputs is evaluated once.

    Args:
        draws: passes for each gradient and for each verdict.
        seed: of torch's generators, from which networks draw. Noise depends on the batch size as well.
        perturbations: noise, FGSM, and PGD without restarts and target; a ladder of ε is left out.
        the others: as for `evaluate`; nothing is stored.

    Returns:
        One row per network and perturbation, see `evaluation.result_row`, and `draws`. The interval is Wilson's for as many
        trials as there are images, which is too wide rather than too narrow: draws on one image are not independent images.

    Raises:
        RequestError: as `evaluate`, or the attack is another one, or no network has random outputs.
        UnfinishedError: out of memory.

    Examples:
        >>> class Noisy(torch.nn.Linear):
        ...     def forward(self, x):
        ...         return super().forward(x.flatten(1) + 0.1 * torch.randn(len(x), 64))
        >>> frame = zs.expected_accuracy([Noisy(64, 10)], [zs.PGD(0.1)], draws=4, dataset="digits", examples=20)
        >>> frame.loc[0, "perturbation"]
        'pgd(eps=0.1, steps=10, eot=4)'
    """
    whole = not isinstance(draws, bool) and isinstance(draws, (int, np.integer))
    if not whole or not 1 < draws <= MAX_PASSES:
        raise RequestError(
            "the number of draws for expectation over transformation must be a whole number from 2 to "
            f"{MAX_PASSES}, not {draws!r}"
        )
    compute = Compute(device, threads, 1, batch_size)
    execution = compute.execution(1)
    rows: list[dict[str, Any]] = []
    with torch_threads(execution.threads), torch.inference_mode(False), torch.random.fork_rng():
        for source in resolve_checkpoints(checkpoints, dataset):
            images = images_of(source, dataset, data_dir, examples)
            data = images.load()
            subject = Subject.of(source)
            subject.check_fits(data, "test")
            warning = subject.unsteadiness(data, "test", torch.device(execution.device))
            passes = int(draws) if depends_on_chance(warning) else 1
            with memory_at(batch_size):
                torch.manual_seed(seed)
                network = subject.on(torch.device(execution.device))
                taken = [_over_draws(p, passes) for p in perturbations]
                right = _right(network, data.test, taken, passes, torch.device(execution.device), compute.batch_size)
            shown: list[Perturbation | None] = [*taken] or [None]
            for perturbation, found in zip(shown, right[1:] or right, strict=True):
                row = result_row(
                    subject,
                    dataset_label(images.dataset),
                    "test",
                    perturbation,
                    _outcomes(found, data.test),
                    _outcomes(right[0], data.test),
                )
                low, high = wilson_interval(round(float(found.mean()) * found.shape[1]), found.shape[1])
                low, high = min(low, row["accuracy"]), max(high, row["accuracy"])
                rows.append(
                    {
                        **row,
                        "examples": found.shape[1],
                        "draws": passes,
                        "ci_low": low,
                        "ci_high": high,
                        "warning": None if passes > 1 else warning,
                    }
                )
    if all(row["draws"] == 1 for row in rows):
        raise RequestError(
            "none of these networks has random outputs: measure them without expectation over transformation, which is "
            "stricter"
        )
    return frame_of_rows(rows)


def _over_draws(perturbation: Perturbation, passes: int) -> Perturbation:
    if not perturbation.attacks:
        return perturbation
    if isinstance(perturbation, PGD):
        perturbation = replace(perturbation, last=True, below=(), directions="float32")
    return expectation(perturbation, passes)


def _right(
    network: nn.Module,
    data: Split,
    perturbations: Sequence[Perturbation],
    passes: int,
    device: torch.device,
    batch_size: int,
) -> list[Right]:
    """In which passes which images are right: clean, then under each perturbation.

    An image that no pass has right when clean is not attacked, and counts as wrong.
    """
    found = [np.zeros((passes, len(data)), np.bool_) for _ in range(1 + len(perturbations))]

    def judge(images: torch.Tensor, labels: torch.Tensor) -> Right:
        with torch.no_grad():
            return np.stack([decide(network(images), labels)[0].cpu().numpy() for _ in range(passes)])

    with evaluation_mode(network):
        for indices in torch.arange(len(data)).split(batch_size):
            images, labels = data.images(indices).to(device), data.labels[indices].to(device)
            found[0][:, indices.numpy()] = judge(images, labels)
            for right, perturbation in zip(found[1:], perturbations, strict=True):
                some = found[0][:, indices.numpy()].any(0) if perturbation.attacks else np.ones(len(indices), np.bool_)
                if not some.any():
                    continue
                here = torch.from_numpy(some)
                x, y, places = images[here.to(device)], labels[here.to(device)], indices[here]
                right[:, places.numpy()] = judge(perturbation(network, x, y, places), y)
    return found


def _outcomes(right: Right, data: Split) -> Outcomes:
    """Every pass over every image as an outcome of its own."""
    return Outcomes(right.ravel(), np.zeros(right.size, np.bool_), data.digest)
