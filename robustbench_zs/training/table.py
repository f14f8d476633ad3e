"""The results of trainings as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustbench_zs.networks.spec import block_moduli
from robustbench_zs.schemes.table import scheme_columns
from robustbench_zs.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    import pandas as pd


def training_table(checkpoints: Sequence[Checkpoint]) -> pd.DataFrame:
    """One row per checkpoint: what it is, moduli and verdict of its scheme, last loss and accuracies (percent), time (s)."""
    import pandas as pd

    rows = []
    for checkpoint in checkpoints:
        header, spec = checkpoint.header, checkpoint.spec
        last, best = header.history[-1], header.best
        rows.append(
            {
                "schema_version": 1,
                "checkpoint": str(checkpoint.path),
                "digest": checkpoint.digest,
                "network": header.network.name,
                "scheme": spec.scheme_name,
                **scheme_columns(spec.fixed_scheme),
                "block_moduli": block_moduli(spec, header.history[-1].block_parameters),
                "dataset": header.dataset.name,
                "train_examples": header.dataset.train_examples,
                "seed": header.seed,
                "epochs": last.epoch,
                "diverged_at": header.diverged_at,
                "loss": last.loss,
                "train_accuracy": last.train_accuracy,
                "test_accuracy": last.test_accuracy,
                "best_test_accuracy": best.test_accuracy if best else None,
                "best_epoch": best.epoch if best else None,
                "seconds": header.seconds,
            }
        )
    return pd.DataFrame(rows)
