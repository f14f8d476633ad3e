"""What a network is, as a value, and the one place where a name becomes such a value.

Names put the depth in: `zerosnet56-opt`, `zerosnet20:lambda=10`, `preresnet32:alpha=0.7`, `lm-resnet44:k=-0.5`, or a scheme
with the option `depth`: `table10-1:depth=56`. The options `block=basic|bottleneck` and `widths=8-16-32` go with each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.schemes.catalog import multistep_name, scheme_from_parts, split_name

DEFAULT_WIDTHS = (16, 32, 64)
FIRST_BOTTLENECK_DEPTH = 164
LARGEST_DEPTH = 2000
LARGEST_WIDTH = 4096

_LAYERS = {"basic": 2, "bottleneck": 3}
_FAMILY_NAME = re.compile(r"(preresnet|lm-resnet|zerosnet)(\d{1,6})(-opt)?")
_FORMS = "zerosnet56-opt, zerosnet20:lambda=10, preresnet32, preresnet32:alpha=0.7, lm-resnet44:k=-0.5, table10-1:depth=56"


@dataclass(frozen=True)
class NetworkSpec:
    """A CIFAR-form multistep network: scheme, number of layers, block, widths of the three stages.

    Raises:
        RequestError: a depth that the block does not allow (6n+2 basic, 9n+2 bottleneck), fewer blocks than the order of
            the scheme, a scheme without β, widths that are not three numbers from 1 to 4096.
    """

    scheme: MultistepScheme
    depth: int
    block: str
    widths: tuple[int, ...] = DEFAULT_WIDTHS

    def __post_init__(self) -> None:
        if self.block not in _LAYERS:
            raise RequestError(f"the block is 'basic' or 'bottleneck', not {self.block[:40]!r}")
        per_stage, rest = divmod(self.depth - 2, 3 * _LAYERS[self.block])
        if rest or per_stage < 1 or self.depth > LARGEST_DEPTH:
            form = "6n+2 (20, 32, 44, 56, 110)" if self.block == "basic" else "9n+2 (164, 326)"
            raise RequestError(f"a {self.block} network has {form} layers, at most {LARGEST_DEPTH}, not {self.depth}")
        if len(self.widths) != 3 or not all(1 <= w <= LARGEST_WIDTH for w in self.widths):
            raise RequestError(f"widths are three numbers from 1 to {LARGEST_WIDTH}, such as 16-32-64, not {self.widths}")
        if self.scheme.beta is None:
            raise RequestError("a network needs a scheme with beta")
        if self.scheme.order > self.blocks:
            raise RequestError(
                f"a scheme of order {self.scheme.order} needs at least that many blocks; "
                f"{self.depth} layers have {self.blocks}"
            )

    @property
    def blocks_per_stage(self) -> int:
        return (self.depth - 2) // (3 * _LAYERS[self.block])

    @property
    def blocks(self) -> int:
        """Number N of residual blocks, the steps of the scheme."""
        return 3 * self.blocks_per_stage

    @property
    def name(self) -> str:
        """Canonical name; `network_from_name` turns it into an equal value."""
        base, options = split_name(self.scheme.name or multistep_name(self.scheme))
        if base == "euler":
            base = f"preresnet{self.depth}"
        elif base == "zerosnet-opt":
            base = f"zerosnet{self.depth}-opt"
        elif base in ("preresnet", "zerosnet", "lm"):
            base = f"{'lm-resnet' if base == 'lm' else base}{self.depth}"
        else:
            options["depth"] = str(self.depth)
        if self.block != default_block(self.depth):
            options["block"] = self.block
        if self.widths != DEFAULT_WIDTHS:
            options["widths"] = "-".join(map(str, self.widths))
        tail = ",".join(f"{key}={value}" for key, value in options.items())
        return f"{base}:{tail}" if tail else base


def default_block(depth: int) -> str:
    """Basic blocks up to 110 layers, bottlenecks from 164 on, as in the paper."""
    return "basic" if depth < FIRST_BOTTLENECK_DEPTH else "bottleneck"


def network_from_name(name: str) -> NetworkSpec:
    """The network that a name means.

    Raises:
        RequestError: unknown form, unknown option, or a value that `NetworkSpec` or the scheme refuses.
    """
    base, options = split_name(name)
    family = _FAMILY_NAME.fullmatch(base)
    if family:
        kind, depth_text, optimal = family.groups()
        if optimal and kind != "zerosnet":
            raise RequestError(f"there is no network {name[:80]!r}; allowed are {_FORMS}")
        if kind == "preresnet":
            base = "preresnet" if "alpha" in options else "euler"
        else:
            base = "zerosnet-opt" if optimal else kind.removesuffix("-resnet")
    elif "depth" in options:
        depth_text = options.pop("depth")
    else:
        raise RequestError(f"there is no network {name[:80]!r}; allowed are {_FORMS}")
    depth = _whole_number(depth_text, "depth")
    block = options.pop("block", default_block(depth))
    widths = options.pop("widths", None)
    return NetworkSpec(
        scheme_from_parts(base, options),
        depth,
        block,
        tuple(_whole_number(w, "widths") for w in widths.split("-")) if widths else DEFAULT_WIDTHS,
    )


def _whole_number(text: str, what: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text):
        raise RequestError(f"{what} must be a whole number, not {text[:40]!r}")
    return int(text)
