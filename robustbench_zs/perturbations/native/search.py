"""The search for adversarial examples among the images that still stand.

Robust accuracy asks one thing of each image: is there an example in its ball? So an image leaves as soon as one is found,
and the next one takes its place: the network always sees full batches. Each row of the batch has its own image, ε, target,
restart and number of steps, so images do not wait for each other. Where few images are left, each is driven to several
targets side by side. Random starts belong to the image, and an example counts only where the decision is clear of rounding,
so what is found does not depend on who shares the batch.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from robustbench_zs.perturbations.native.budgets import Budgets
from robustbench_zs.perturbations.native.method import Attempt, ChosenImages, Found, Method
from robustbench_zs.perturbations.native.passes import PASSES, Slopes
from robustbench_zs.perturbations.native.rows import count_of, joined, select, split
from robustbench_zs.perturbations.native.rules import Rows, Turning

GAIN_AGAIN = 0.75
"""An iterate that would fool if this part of the last step's gain came again is looked at without gradients first: of those
most fool, and need no gradient. A look costs nearly as much as one."""

LOOK_FIRST = 0.5
"""So is one that has no step behind it yet, where more than this share of such iterates fooled."""

FULL = 64
"""Rows up to which further targets of the images under way are tried side by side. A pass of fewer rows costs more per row;
beyond, what an image that falls has spent on its other targets costs more than larger batches spare."""


def search(
    network: nn.Module,
    chosen: ChosenImages,
    method: Method,
    budgets: Budgets,
    *,
    device: torch.device,
    batch_size: int,
    examples: bool = False,
) -> Found:
    """Attack images: each for itself as far as results go, `batch_size` at a time as far as the network sees.

    Args:
        network: in evaluation mode, its parameters without gradients, on `device`.
        examples: whether the images found are wanted.
    """
    return _Search(network, chosen, method, budgets, device, batch_size, examples).run()


class _Search:
    def __init__(
        self,
        network: nn.Module,
        chosen: ChosenImages,
        method: Method,
        budgets: Budgets,
        device: torch.device,
        batch_size: int,
        examples: bool,
    ) -> None:
        self.data, self.method, self.budgets = chosen.data, method, budgets
        self.passes = PASSES[method.directions](network)
        self.chosen, self.numbers = chosen.tensors()
        self.device, self.batch_size = device, batch_size
        n = len(self.chosen)
        self.fooled_at, self.close_at = np.full(n, np.inf), np.full(n, np.inf)
        self.keep_examples = examples
        self.examples: Tensor | None = None
        self.aims = self._aims() if method.targets else None
        self.queue: deque[Attempt] = deque()
        self.next_try = np.zeros(n, np.int64)  # of each image at its ε, the first attempt that is not in the queue yet
        self.open = np.zeros(n, np.int64)  # and how many attempts are in the queue or under way
        # Which of the targets fools first depends on who shares the batch: an example that is wanted is found in turn.
        several = self.aims is not None and self.aims.shape[1] > 1
        self.full = min(FULL, batch_size) if several and not examples else 0
        for place in range(n):
            self._queue(Attempt(place, budgets.first()))
        self.steps = method.rule.steps
        self.seen = np.zeros(self.steps + 1)  # iterates by number of steps, and how many of them spared a gradient
        self.fell = np.zeros(self.steps + 1)

    def run(self) -> Found:
        climbing: Rows = {}  # rows whose gradient is wanted
        looking: Rows = {}  # rows that are looked at before a gradient is spent on them
        while True:
            if (count_of(climbing) < self.batch_size and count_of(looking) and not self.queue) or (
                count_of(looking) >= self.batch_size
            ):
                part, looking = split(looking, self.batch_size)
                standing = self._look(part)
                climbing, looking = self._without_fallen(climbing), self._without_fallen(looking)
                if self.method.rule.gradients:
                    climbing = joined(climbing, standing)
                else:
                    looking = joined(looking, standing)
                continue
            self._fill(climbing, looking)
            room = self.batch_size - count_of(climbing)
            if room > 0 and self.queue:
                begun = self._begin(min(room, len(self.queue)))
                if not self.method.rule.gradients:
                    looking = joined(looking, begun)
                    continue
                climbing = joined(climbing, begun)
            if not count_of(climbing):
                return Found(self.fooled_at, self.close_at, self.examples)
            part, climbing = split(climbing, self.batch_size)
            moved = self._climb(part)
            climbing, looking = self._without_fallen(climbing), self._without_fallen(looking)
            first = self._looked_at_first(moved)
            looking = joined(looking, select(moved, first))
            climbing = joined(climbing, select(moved, ~first))

    def _aims(self) -> Tensor:
        """N×T target classes."""
        assert self.method.targets is not None
        aims = []
        for rows in torch.arange(len(self.chosen)).split(self.batch_size):
            labels = self.data.labels[self.chosen[rows]].to(self.device)
            with torch.no_grad():
                logits = self.passes.network(self.data.images(self.chosen[rows]).to(self.device))
            aims.append(self.method.targets.choice(logits, labels, self.numbers[rows]))
        return torch.cat(aims).cpu() if aims else torch.empty((0, 1), dtype=torch.int64)

    def _queue(self, attempt: Attempt) -> bool:
        """Put in an attempt, or the next one that there is; whether there is one."""
        last = self.method.restarts * (1 if self.aims is None else self.aims.shape[1])
        for restart in range(attempt.restart, last):
            if self.aims is None or self._aim(attempt.place, restart) != int(self.data.labels[self.chosen[attempt.place]]):
                self._put(replace(attempt, restart=restart))
                return True
        return False

    def _put(self, attempt: Attempt, first: bool = False) -> None:
        self.next_try[attempt.place] = attempt.restart + 1
        self.open[attempt.place] += 1
        (self.queue.appendleft if first else self.queue.append)(attempt)

    def _aim(self, place: int, restart: int) -> int:
        assert self.aims is not None
        return int(self.aims[place, restart // self.method.restarts])

    def _fill(self, *under_way: Rows) -> None:
        """Put in further attempts at the images whose turn it is, one each in turn, while the batch is not full."""
        room = self.full - len(self.queue) - sum(map(count_of, under_way))
        if room <= 0:
            return
        at = {attempt.place: attempt.eps for attempt in self.queue}
        for rows in filter(count_of, under_way):
            at |= zip(rows["place"].tolist(), rows["budget"].tolist(), strict=True)
        images = deque(at.items())
        while room > 0 and images:
            place, eps = images.popleft()
            if self._queue(Attempt(place, eps, int(self.next_try[place]))):
                room -= 1
                images.append((place, eps))

    def _standing(self, rows: Rows) -> Tensor:
        """Of which rows the image has not fallen."""
        return torch.from_numpy(np.isinf(self.fooled_at[rows["place"].numpy()])).to(self.device)

    def _without_fallen(self, rows: Rows) -> Rows:
        """Rows without those of images that another of their attempts has fooled meanwhile."""
        return select(rows, self._standing(rows)) if self.full and count_of(rows) else rows

    def _begin(self, count: int) -> Rows:
        tries = [self.queue.popleft() for _ in range(count)]
        places = torch.tensor([t.place for t in tries])
        x0 = self.data.images(self.chosen[places]).to(self.device)
        eps = torch.tensor([t.eps for t in tries], dtype=x0.dtype, device=self.device)
        rows: Rows = {
            "place": places,
            "budget": torch.tensor([t.eps for t in tries], dtype=torch.float64),
            "restart": torch.tensor([t.restart for t in tries]),
            "number": self.numbers[places],
            "x0": x0,
            "y": self.data.labels[self.chosen[places]].to(self.device),
            "eps": eps,
            "step": torch.tensor([t.step for t in tries], device=self.device),
            "exact": torch.zeros(count, dtype=torch.bool, device=self.device),
            "lead": torch.full_like(eps, torch.nan),  # see `Slopes`, at the last iterate; NaN before the first
            "expected": torch.full_like(eps, torch.nan),  # and what the next one should have
            "goes_on": torch.tensor([t.change is not None for t in tries], device=self.device),
        }
        if self.aims is not None:
            rows["aim"] = self.aims[places, rows["restart"] // self.method.restarts].to(self.device)
            if self.method.targets and self.method.targets.reached:
                rows["wanted"] = rows["aim"]
        rows["x"] = x0.clone() if self.method.seed is None else self._starts(rows)
        if changes := [t.change for t in tries if t.change is not None]:
            on = rows["goes_on"]
            rows["x"][on] = self.method.norm.project(x0[on] + torch.stack(changes), x0[on], eps[on])
        self.method.rule.begin(rows)
        return rows

    def _starts(self, rows: Rows) -> Tensor:
        x = rows["x0"].clone()
        for restart in rows["restart"].unique().tolist():
            mine = (rows["restart"] == restart).nonzero()[:, 0]
            there = mine.to(self.device)
            numbers = rows["number"][mine]
            assert self.method.seed is not None
            x[there] = self.method.norm.start(rows["x0"][there], rows["eps"][there], self.method.seed, int(restart), numbers)
        return x

    def _climb(self, rows: Rows) -> Rows:
        """Rows that still stand, one step on; those that were turned back, where they are."""
        found = self.passes.slopes(rows, self._losses, self._counts(rows))
        stands, turned = self._judge(rows, found.fooled, found.close)
        on = stands & ~turned
        return joined(self._moved(rows, found, on), select(rows, stands & turned))

    def _losses(self, logits: Tensor, rows: Rows) -> Tensor:
        targets = self.method.targets
        return targets.loss(logits, rows["y"], rows["aim"]) if targets else self.method.loss(logits, rows["y"])

    def _moved(self, rows: Rows, found: Slopes, on: Tensor) -> Rows:
        """Some of the rows, one step on."""
        rows = select(rows, on)
        if count_of(rows):
            gradients = torch.nan_to_num(found.gradients[on], nan=0.0, posinf=0.0, neginf=0.0)
            lead = found.leads[on]
            rows["expected"], rows["lead"] = lead + GAIN_AGAIN * (lead - rows["lead"]), lead
            self.method.rule.move(rows, found.losses[on], gradients, self.method.norm)
            rows["step"] = rows["step"] + 1
        return rows

    def _look(self, rows: Rows) -> Rows:
        """Rows that still stand and have steps left; one step on where the rule asks for no gradient."""
        found = self.passes.judge(rows, self._losses)
        stands, _ = self._judge(rows, found.fooled, found.close)
        ended = stands & (rows["step"] == self.steps)
        self._end(select(rows, ended), fooled=False)
        on = stands & ~ended
        return select(rows, on) if self.method.rule.gradients else self._moved(rows, found, on)

    def _looked_at_first(self, rows: Rows) -> Tensor:
        if self.method.only_last:
            return rows["step"] == self.steps
        share = (self.fell + 1) / (self.seen + 4)
        by_step = torch.from_numpy(share > LOOK_FIRST).to(self.device)[rows["step"]]
        first = torch.where(rows["expected"].isnan(), by_step, rows["expected"] > 0)
        first |= rows["step"] == self.steps  # no gradient is wanted there
        return first & ~rows["turned"] if "turned" in rows else first

    def _counts(self, rows: Rows) -> Tensor:
        return rows["step"] >= (self.steps if self.method.only_last else 0)

    def _judge(self, rows: Rows, fooled: Tensor, close: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows stand, and which of these were turned back; those that fell are written down."""
        fooled, close = (self._counts(rows) & which for which in (fooled, close))
        turned = torch.zeros_like(fooled)
        if isinstance(self.method.rule, Turning):
            inside = self.method.norm.distance(rows["x"], rows["x0"]) <= rows["eps"]
            turned = self.method.rule.turn(rows, fooled & ~inside)
            fooled, close = fooled & inside, close & inside
        if close.any():
            at = select({"place": rows["place"], "budget": rows["budget"]}, close.cpu())
            np.minimum.at(self.close_at, at["place"].numpy(), at["budget"].numpy())
        steps, fell = rows["step"].cpu().numpy(), (fooled | turned).cpu().numpy()
        np.add.at(self.seen, steps, 1)
        np.add.at(self.fell, steps[fell], 1)
        self._end(select(rows, fooled), fooled=True)
        return self._standing(rows), turned

    def _end(self, rows: Rows, fooled: bool) -> None:
        """Attempts that ended: what was found, and what comes next for these images."""
        if not count_of(rows):
            return
        if self.keep_examples:
            if self.examples is None:
                self.examples = rows["x0"].new_empty((len(self.chosen), *rows["x0"].shape[1:]))
            new = torch.from_numpy(np.isinf(self.fooled_at[rows["place"].numpy()])) | fooled
            self.examples[rows["place"][new].to(self.device)] = rows["x"][new.to(self.device)]
        if fooled:
            self.fooled_at[rows["place"].numpy()] = rows["budget"].numpy()
            if self.full:
                self.queue = deque(attempt for attempt in self.queue if np.isinf(self.fooled_at[attempt.place]))
            return
        for row, (place, eps) in enumerate(zip(rows["place"].tolist(), rows["budget"].tolist(), strict=True)):
            self.open[place] -= 1
            if self._queue(Attempt(place, eps, int(self.next_try[place]))) or self.open[place]:
                continue
            following = self.budgets.after(eps)
            if following is None:
                continue
            if (steps_on := self.budgets.steps_on(eps, following)) is None:
                self._queue(Attempt(place, following))
            else:
                # Enlarged with the ball, which alone fools most images that will fall. First in the queue, so that few
                # iterates wait there.
                change = (rows["x"][row] - rows["x0"][row]) * (following / eps)
                self._put(Attempt(place, following, 0, change, self.steps - steps_on), first=True)
