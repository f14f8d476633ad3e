"""The nearest adversarial example of each image: a fast minimum-norm attack (FMN, Pintor et al. 2021).

An iterate climbs along the gradient inside a ball around its image, and the ball's radius follows the decision boundary: to
where the loss, taken as linear, changes sign. Steps and changes of the radius shrink along a cosine. Beyond the paper: the
loss is the lead of one class over the label, since an image's nearest boundary is seldom that of the class with the
second-largest logit. The classes tried are those whose boundary is nearest where the network is linear at the image, as in
DeepFool (Moosavi-Dezfooli et al. 2016) and FAB (Croce and Hein 2020); then the best example is refined, towards the class of
the largest other logit, as in the paper. Pixels that cannot move along the gradient, at 0 or 1, have no part in a step.

Nothing is random, each row of a batch has its own image, class and number of steps, and an example counts only where the
decision is clear of rounding: what is found does not depend on who shares the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from robustbench_zs.perturbations.native.method import ChosenImages
from robustbench_zs.perturbations.native.norms import Norm, wide
from robustbench_zs.perturbations.native.passes import CLEAR, fooled_or_close, gradient_at
from robustbench_zs.perturbations.native.rows import count_of, joined, select, split
from robustbench_zs.perturbations.native.rules import Rows

MAX_RANKED = 9
"""Classes whose boundaries are compared at the image, at most: those of the largest logits besides the label."""

TARGETS = 4
"""Classes tried, at most."""

FARTHEST = 1.5
"""How many times as far as the nearest the boundary of another class may seem that is tried too."""

NO_NEARER = 1.1
"""A class is given up where its boundary still seems this many times as far as the best example after a few steps."""

FEW = 3
"""Steps from the image after which a class may be given up."""

NEARER = 0.9995
"""The radius after an example, at most, as a part of its distance; the inverse after an iterate that is none, at least."""


@dataclass(frozen=True)
class _Turn:
    """Steps towards the boundary of one class; both numbers go from the first to the last value along a cosine.

    Args:
        length: of a step, as a part of the radius.
        change: of the radius in a step, at most, as a part of the distance.
    """

    steps: int
    length: tuple[float, float]
    change: tuple[float, float]

    def at(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Length and change at a step, the first of which is 0."""
        part = (1 + torch.cos(torch.pi * step / self.steps)) / 2
        length, change = (last + (first - last) * part for first, last in (self.length, self.change))
        return length, change


def minimum_norm(
    network: nn.Module,
    chosen: ChosenImages,
    norm: Norm,
    largest: float,
    steps: int,
    *,
    device: torch.device,
    batch_size: int,
) -> npt.NDArray[np.float64]:
    """The distance of the nearest example found for each of N images; infinite where none was within `largest`.

    Args:
        network: in evaluation mode, its parameters without gradients, on `device`.
        steps: to refine the best example; two thirds as many, at most, are spent on each class that is tried.
    """
    return _MinimumNorm(network, chosen, norm, largest, steps, device, batch_size).run()


class _MinimumNorm:
    def __init__(
        self,
        network: nn.Module,
        chosen: ChosenImages,
        norm: Norm,
        largest: float,
        steps: int,
        device: torch.device,
        batch_size: int,
    ) -> None:
        self.network, self.data, self.norm, self.largest = network, chosen.data, norm, largest
        self.device, self.batch_size = device, batch_size
        self.chosen, _ = chosen.tensors()
        self.waiting = 0  # the first image that has not begun
        self.distances = np.full(len(self.chosen), np.inf)
        self.trying = _Turn(max(2, 2 * steps // 3), length=(1.0, 0.1), change=(0.5, 0.05))
        self.refining = _Turn(steps, length=(0.5, 0.003), change=(0.1, 0.001))

    def run(self) -> npt.NDArray[np.float64]:
        rows: Rows = {}
        while True:
            while count_of(rows) < self.batch_size and self.waiting < len(self.chosen):
                rows = joined(rows, self._begin())
            if not count_of(rows):
                return self.distances
            part, rest = split(rows, self.batch_size)
            rows = joined(rest, self._step(part))  # in turns, so that all end together, in full batches

    def _begin(self) -> Rows:
        """The next images, each at the boundary of its nearest class; those that no gradient reaches stay out."""
        places = torch.arange(self.waiting, min(self.waiting + self.batch_size, len(self.chosen)))
        self.waiting += len(places)
        x0 = self.data.images(self.chosen[places]).to(self.device)
        y = self.data.labels[self.chosen[places]].to(self.device)
        targets, starts, tried = self._nearest_classes(x0, y)
        rows: Rows = {
            "place": places.to(self.device),
            "x0": x0,
            "y": y,
            "targets": targets,
            "starts": starts,
            "tried": tried,  # how many of the targets are
            "turn": torch.zeros_like(y),  # the place of the target that is tried; behind the last one the best is refined
            "step": torch.ones_like(y),  # the first one led to the start
            "x": starts[:, 0],
            "best": x0,
            "best_turn": torch.full_like(y, -1),
            "distance": x0.new_full((len(x0),), torch.inf),  # of the best example
        }
        return select(rows, tried > 0)

    def _nearest_classes(self, x0: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """N×T classes, the nearest first, N×T×C×H×W points of their boundaries, and how many of them are to be tried (N)."""
        x = x0.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.network(x)
            others = logits.detach().scatter(1, y[:, None], -torch.inf)
            classes = others.topk(min(MAX_RANKED, logits.shape[1] - 1)).indices
            leads = logits.gather(1, classes) - logits.gather(1, y[:, None])
            slopes = [self._ascent(x0, gradient_at(x, lead.sum(), again=True)) for lead in leads.unbind(1)]
        far = torch.nan_to_num(-leads.detach() / torch.stack([slope for _, slope in slopes], 1), nan=torch.inf)
        far, order = far.sort(1)
        order, far = order[:, :TARGETS], far[:, :TARGETS]
        tried = (torch.isfinite(far) & (far <= FARTHEST * far[:, :1])).sum(1)
        directions = torch.stack([direction for direction, _ in slopes], 1)[torch.arange(len(y))[:, None], order]
        radii = far.clamp_max(self.largest)
        starts = [
            self.norm.project(x0 + wide(radius) * direction, x0, radius)
            for radius, direction in zip(radii.unbind(1), directions.unbind(1), strict=True)
        ]
        return classes.gather(1, order), torch.stack(starts, 1), tried

    def _ascent(self, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The direction along which the loss grows fastest inside [0, 1], of length 1, and how fast it does (N)."""
        gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        free = torch.where(gradient > 0, x < 1, x > 0)
        gradient = gradient * free
        direction = self.norm.ascent(gradient)
        return direction, (gradient * direction).flatten(1).sum(1)

    def _step(self, rows: Rows) -> Rows:
        """Judge each iterate, move it on, and let rows whose turn has ended begin the next one or leave."""
        refining = rows["turn"] == rows["tried"]
        x = rows["x"].detach().requires_grad_()
        with torch.enable_grad():
            logits = self.network(x)
            largest = logits.detach().scatter(1, rows["y"][:, None], -torch.inf).argmax(1)
            target = torch.where(refining, largest, _of_turn(rows["targets"], rows["turn"]))
            lead = (logits.gather(1, target[:, None]) - logits.gather(1, rows["y"][:, None]))[:, 0]
            gradient = gradient_at(x, lead.sum())
        logits, x = logits.detach(), x.detach()
        distance = self.norm.distance(x, rows["x0"])
        fooled, _ = fooled_or_close(logits, rows["y"])
        better = fooled & (distance < rows["distance"]) & (distance <= self.largest)
        rows["best"] = torch.where(wide(better), x, rows["best"])
        rows["best_turn"] = torch.where(better, rows["turn"], rows["best_turn"])
        rows["distance"] = torch.where(better, distance, rows["distance"])

        direction, slope = self._ascent(x, gradient)
        aim = 2 * CLEAR * logits.abs().amax(1)  # beyond what counts, by more than rounding
        reach = distance - (lead.detach() - aim) / slope  # where the loss gets there, were it linear
        reach = torch.where(fooled, reach, reach.maximum(distance / NEARER))  # on the boundary rounding would keep it there
        rows["x"] = self._moved(rows, x, distance, reach, direction, refining)
        rows["step"] = rows["step"] + 1
        hopeless = (rows["best_turn"] != rows["turn"]) & (rows["step"] >= FEW) & (reach > NO_NEARER * rows["distance"])
        hopeless &= ~refining
        ended = hopeless | (rows["step"] >= torch.where(refining, self.refining.steps, self.trying.steps))
        return self._next_turn(rows, ended, refining)

    def _moved(self, rows: Rows, x: Tensor, distance: Tensor, reach: Tensor, direction: Tensor, refining: Tensor) -> Tensor:
        early, late = self.trying.at(rows["step"]), self.refining.at(rows["step"])
        length, change = (torch.where(refining, *pair) for pair in zip(late, early, strict=True))
        growth = torch.where(torch.isinf(rows["distance"]), self.trying.change[0], change)  # until there is an example
        radius = reach.minimum(distance * (1 + growth)).maximum(distance * (1 - change))
        radius = torch.nan_to_num(radius, nan=self.largest).minimum(NEARER * rows["distance"]).clamp(0, self.largest)
        return self.norm.project(x + wide(length * radius) * direction, rows["x0"], radius)

    def _next_turn(self, rows: Rows, ended: Tensor, refining: Tensor) -> Rows:
        rows["turn"] = rows["turn"] + ended
        refines = rows["turn"] == rows["tried"]
        start = torch.where(wide(refines), rows["best"], _of_turn(rows["starts"], rows["turn"]))
        rows["x"] = torch.where(wide(ended), start, rows["x"])
        rows["step"] = torch.where(ended, torch.where(refines, 0, 1), rows["step"])
        leaves = ended & (refining | (refines & torch.isinf(rows["distance"])))
        self._write_down(select(rows, leaves))
        return select(rows, ~leaves)

    def _write_down(self, rows: Rows) -> None:
        exact = self.norm.distance(rows["best"].double(), rows["x0"].double())
        self.distances[rows["place"].cpu().numpy()] = (
            torch.where(torch.isinf(rows["distance"]), torch.inf, exact).cpu().numpy()
        )


def _of_turn(values: Tensor, turn: Tensor) -> Tensor:
    """N×T×… values → N×…: that of each row's turn, of the last one behind it."""
    return values[torch.arange(len(turn), device=turn.device), turn.clamp_max(values.shape[1] - 1)]
