"""PGD with several restarts by a library that has a single one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustbench_zs.perturbations.engines import Batch, engine
from robustbench_zs.perturbations.pgd import PGD


def pgd_in_restarts(attack: PGD, network: nn.Module, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
    """The examples, N×C×H×W: for each image those of the first start that fools it, else those of the last."""
    assert attack.step_size is not None
    pgd, result = engine(attack.engine).pgd, images.clone()
    standing = torch.arange(len(images))  # rows no restart has fooled yet
    for restart in range(attack.restarts):
        x, y, index = images[standing], labels[standing], indices[standing]
        found = pgd(network, Batch(x, y, index), attack.eps, attack.steps, attack.step_size, attack.seed, restart)
        result[standing] = adversarial = attack.verified(x, found)
        if restart + 1 < attack.restarts:
            with torch.no_grad():
                logits = network(adversarial)
            # logits that are not finite are no right answer, whatever argmax makes of them
            standing = standing[(torch.isfinite(logits).all(1) & (logits.argmax(1) == y)).cpu()]
            if len(standing) == 0:
                break
    return result
