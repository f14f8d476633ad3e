"""The trained networks that come with the package, and the lookup of trained networks by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from robustbench_zs.errors import RequestError
from robustbench_zs.networks import network_from_name
from robustbench_zs.networks.build import Network
from robustbench_zs.training.checkpoint import Checkpoint, find_checkpoints
from robustbench_zs.training.header import description, network_header

CHECKPOINTS = Path("checkpoints")
"""Of the user's own, in the working folder."""

IN_WORKING_FOLDER = CHECKPOINTS / "zoo"
SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "zoo"
"""One folder per dataset; in the repository they hold links to the files in its top-level `checkpoints/zoo/`."""


def own_checkpoints(dataset: str | None = None) -> list[Checkpoint]:
    """All checkpoints below `checkpoints/`, but those of the zoo, that were trained on `dataset` (None: on any)."""
    found = (c for c in find_checkpoints(CHECKPOINTS) if IN_WORKING_FOLDER not in c.path.parents)
    return _trained_on(found, dataset)


def zoo_checkpoints(dataset: str | None = None) -> list[Checkpoint]:
    """The networks of the zoo for a dataset (None: for any): those in `checkpoints/zoo/` of the working folder, else those
    that the package ships; none where the zoo is empty."""
    return _trained_on(find_checkpoints(IN_WORKING_FOLDER), dataset) or _trained_on(find_checkpoints(SHIPPED), dataset)


def load_model(network: str, dataset: str = "cifar10", seed: int = 0) -> Network:
    """A trained network by its name: an ordinary module in evaluation mode, on the CPU, images in [0, 1] → logits.

    It is looked up below `checkpoints/` in the working folder first, then in the zoo. Two names of one network, such as
    `"zerosnet56-opt"` and `"table10-10:depth=56"`, find the same.

    Args:
        network: a name, as for `train`.
        dataset: the one it was trained on.
        seed: of its training.

    Raises:
        RequestError: the name is unknown, no such network has been trained (the message lists those that exist), or several
            have.

    Examples:
        >>> short = zs.recipe_from_name("digits").with_changes(epochs=1)
        >>> [made] = zs.train(["preresnet8:widths=2-2-2"], "digits", train_examples=20, recipe=short)
        >>> network = zs.load_model("preresnet8:widths=2-2-2", dataset="digits")
        >>> network.training
        False
    """
    for there in (own_checkpoints(dataset), zoo_checkpoints(dataset)):
        found = {c.digest: c for c in there if c.header.seed == seed and _is(c, network)}
        if len(found) > 1:
            paths = ", ".join(str(c.path) for c in found.values())
            raise RequestError(
                f"there are {len(found)} networks {network!r} with seed {seed} for {dataset}: load one of them with "
                f"read_checkpoint(FILE).network(), where FILE is one of {paths}"
            )
        for checkpoint in found.values():
            return checkpoint.network()
    known = _listed([*own_checkpoints(dataset), *zoo_checkpoints(dataset)])
    raise RequestError(
        f"there is no network {network!r} with seed {seed} for {dataset}, neither below checkpoints/ nor in the zoo: "
        + (f"choose from {known}" if known else "train some for that dataset with `zsbench train`")
    )


def _trained_on(checkpoints: Iterable[Checkpoint], dataset: str | None) -> list[Checkpoint]:
    return [c for c in checkpoints if dataset is None or c.header.dataset.name == dataset]


def _is(checkpoint: Checkpoint, network: str) -> bool:
    """Whether the checkpoint is of the network that a name means, whatever name it was trained under."""
    header = checkpoint.header.network
    return description(network_header(network_from_name(network), header.channels, header.classes)) == description(header)


def _listed(checkpoints: Iterable[Checkpoint]) -> str:
    """Names with their seeds."""
    seeds: dict[str, set[int]] = {}
    for checkpoint in checkpoints:
        seeds.setdefault(checkpoint.header.network.name, set()).add(checkpoint.header.seed)
    return "; ".join(f"{name} (seed {', '.join(map(str, sorted(of)))})" for name, of in seeds.items())
