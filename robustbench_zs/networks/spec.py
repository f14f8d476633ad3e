"""What a network is, as a value, and the one place where a name becomes such a value.

Names put the depth in: `zerosnet56-opt`, `zerosnet20:lambda=10`, `zerosnet20-tra`, `preresnet32:alpha=0.7`,
`lm-resnet44:k=-0.5`, `lm-resnet44` (the original with trainable k), `resnet20`, or a scheme with the option `depth`:
`table10-1:depth=56`. The options `block=basic|bottleneck`, `widths=8-16-32`, `form=imagenet` and `projection=preactivation`
go with each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes import LM_ORIGINAL, ZEROSNET_TRA, MultistepScheme, TrainableScheme
from robustbench_zs.schemes.catalog import multistep_name, scheme_from_parts, split_name
from robustbench_zs.schemes.coefficients import LARGEST

DEFAULT_WIDTHS = {"cifar": (16, 32, 64), "imagenet": (64, 128, 256, 512)}
FIRST_BOTTLENECK_DEPTH = 164
MAX_DEPTH = 2000
MAX_WIDTH = 4096

IMAGENET_STAGES = {18: ("basic", (2, 2, 2, 2)), 34: ("basic", (3, 4, 6, 3)), 50: ("bottleneck", (3, 4, 6, 3))}
"""Block and number of blocks in each stage by depth (He et al. 2016a, Table 1)."""

_LAYERS = {"basic": 2, "bottleneck": 3}
_FAMILY_NAME = re.compile(r"(resnet|preresnet|lm-resnet|zerosnet)(\d{1,6})(-opt|-tra)?")
_FORMS = (
    "zerosnet56-opt, zerosnet56-tra, zerosnet20:lambda=10, resnet20, preresnet32, preresnet32:alpha=0.7, lm-resnet44, "
    "lm-resnet44:k=-0.5, table10-1:depth=56, atlas-001:depth=56, zerosnet18-opt:form=imagenet"
)

Scheme = MultistepScheme | TrainableScheme | None
Form = Literal["cifar", "imagenet"]
Projection = Literal["convolution", "preactivation"]


@dataclass(frozen=True)
class NetworkSpec:
    """A residual network: how states combine, number of layers, block, widths of the stages, form.

    Args:
        scheme: one scheme for all blocks, or a `TrainableScheme`, or None for the post-activation ResNet (He et al. 2016a),
            whose ReLU behind each addition makes it no multistep method.
        depth, block: 6n+2 layers with basic blocks or 9n+2 with bottlenecks; `"imagenet"` has 18, 34 or 50.
        widths: of the three (`"imagenet"`: four) stages; those of the form by default.
        form: `"cifar"` (3×3 stem) or `"imagenet"` (7×7 stem with stride 2, max-pool).
        projection: what brings a state to a new shape, a 1×1 convolution alone (`"convolution"`, as in ZeroSNet's code) or
            BN-ReLU-1×1 (`"preactivation"`, as in that of LM-ResNet).

    Raises:
        RequestError: a depth that the block does not allow, fewer blocks than the order of the scheme, a scheme without β,
            widths that are not as many numbers from 1 to 4096 as there are stages.

    Examples:
        >>> spec = zs.NetworkSpec(zs.scheme_from_name("zerosnet-opt"), depth=56, block="basic")
        >>> spec.name, spec.blocks
        ('zerosnet56-opt', 27)
    """

    scheme: Scheme
    depth: int
    block: str
    widths: tuple[int, ...] = ()
    form: Form = "cifar"
    projection: Projection = "convolution"

    def __post_init__(self) -> None:
        if self.form not in DEFAULT_WIDTHS:
            raise RequestError(f"the form must be 'cifar' or 'imagenet', not {self.form[:40]!r}")
        if self.block not in _LAYERS:
            raise RequestError(f"the block must be 'basic' or 'bottleneck', not {self.block[:40]!r}")
        if not self.widths:
            object.__setattr__(self, "widths", DEFAULT_WIDTHS[self.form])
        stages_of(self.depth, self.block, self.form)
        if self.projection not in get_args(Projection):
            raise RequestError(f"the projection must be 'convolution' or 'preactivation', not {self.projection[:40]!r}")
        if self.projection != "convolution" and self.scheme is None:
            raise RequestError("the post-activation ResNet has no projections: its shortcuts have no parameters")
        if self.form == "imagenet" and self.scheme is None:
            raise RequestError("the post-activation ResNet exists in its CIFAR form only: use torchvision's for the others")
        stages = len(DEFAULT_WIDTHS[self.form])
        if len(self.widths) != stages or not all(1 <= w <= MAX_WIDTH for w in self.widths):
            raise RequestError(
                f"widths must be {stages} numbers from 1 to {MAX_WIDTH}, such as "
                f"{'-'.join(map(str, DEFAULT_WIDTHS[self.form]))}, not {self.widths}"
            )
        if isinstance(self.scheme, MultistepScheme) and self.scheme.beta is None:
            raise RequestError("a network needs a scheme with beta: give the scheme one")
        if self.order > self.blocks:
            raise RequestError(
                f"a scheme of order {self.order} needs at least {self.order} blocks, but {self.depth} layers have only "
                f"{self.blocks}"
            )

    @property
    def order(self) -> int:
        """Number of past states that enter a step."""
        return 1 if self.scheme is None else self.scheme.order

    @property
    def fixed_scheme(self) -> MultistepScheme | None:
        """The scheme whose roots the network has; None where blocks differ or there is none."""
        return self.scheme if isinstance(self.scheme, MultistepScheme) else None

    @property
    def scheme_name(self) -> str | None:
        """Name of the scheme or the kind of network."""
        return "resnet" if self.scheme is None else self.scheme.name

    @property
    def stages(self) -> tuple[int, ...]:
        """Number of blocks in each stage."""
        return stages_of(self.depth, self.block, self.form)

    @property
    def blocks(self) -> int:
        """Number N of residual blocks, the steps of the scheme."""
        return sum(self.stages)

    @property
    def name(self) -> str:
        """Canonical name; `network_from_name` turns it into an equal value."""
        base, options = self._name_parts()
        if self.block != default_block(self.depth, self.form):
            options["block"] = self.block
        if self.widths != DEFAULT_WIDTHS[self.form]:
            options["widths"] = "-".join(map(str, self.widths))
        if self.form != "cifar":
            options["form"] = self.form
        if self.projection != "convolution":
            options["projection"] = self.projection
        tail = ",".join(f"{key}={value}" for key, value in options.items())
        return f"{base}:{tail}" if tail else base

    def _name_parts(self) -> tuple[str, dict[str, str]]:
        if self.scheme is None:
            return f"resnet{self.depth}", {}
        if isinstance(self.scheme, TrainableScheme):
            return (f"zerosnet{self.depth}-tra" if self.scheme == ZEROSNET_TRA else f"lm-resnet{self.depth}"), {}
        base, options = split_name(self.scheme.name or multistep_name(self.scheme))
        if base == "euler":
            return f"preresnet{self.depth}", options
        if base == "zerosnet-opt":
            return f"zerosnet{self.depth}-opt", options
        if base in ("preresnet", "zerosnet", "lm"):
            return f"{'lm-resnet' if base == 'lm' else base}{self.depth}", options
        return base, {**options, "depth": str(self.depth)}


def stages_of(depth: int, block: str, form: Form = "cifar") -> tuple[int, ...]:
    """Number of residual blocks in each stage of a network of so many layers.

    Raises:
        RequestError: a depth that the block does not allow.
    """
    if form == "imagenet":
        if IMAGENET_STAGES.get(depth, ("",))[0] != block:
            raise RequestError(
                f"an ImageNet network must have 18 or 34 layers in basic blocks or 50 in bottlenecks, not {depth} in "
                f"{block} blocks"
            )
        return IMAGENET_STAGES[depth][1]
    per_stage, rest = divmod(depth - 2, 3 * _LAYERS[block])
    if rest or per_stage < 1 or depth > MAX_DEPTH:
        allowed = "6n+2 (20, 32, 44, 56, 110)" if block == "basic" else "9n+2 (164, 326)"
        raise RequestError(f"a {block} network must have {allowed} layers, at most {MAX_DEPTH}, not {depth}")
    return (per_stage,) * 3


def block_moduli(spec: NetworkSpec, parameters: Sequence[float | None] | None) -> list[list[float] | None] | None:
    """Root moduli of every block that has a trainable parameter, None where that is not finite; None without such blocks."""
    if not isinstance(spec.scheme, TrainableScheme) or parameters is None:
        return None
    return [None if p is None or abs(p) > LARGEST else list(spec.scheme.at(p).moduli) for p in parameters]


def default_block(depth: int, form: str = "cifar") -> str:
    """Basic blocks up to 110 layers, bottlenecks from 164 on, as in the paper; for ImageNet bottlenecks with 50 layers."""
    if form == "imagenet":
        return IMAGENET_STAGES.get(depth, ("basic",))[0]
    return "basic" if depth < FIRST_BOTTLENECK_DEPTH else "bottleneck"


def network_from_name(name: str) -> NetworkSpec:
    """The network that a name means.

    Raises:
        RequestError: unknown form, unknown option, or a value that `NetworkSpec` or the scheme refuses.

    Examples:
        >>> zs.network_from_name("table10-1:depth=20,widths=4-8-16").widths
        (4, 8, 16)
    """
    base, options = split_name(name)
    unknown = RequestError(f"there is no network {name[:80]!r}: choose from {_FORMS}")
    family = _FAMILY_NAME.fullmatch(base)
    kind, suffix = (family[1], family[3]) if family else ("", None)
    if suffix and kind != "zerosnet":
        raise unknown
    if family:
        depth_text = family[2]
    elif "depth" in options:
        depth_text = options.pop("depth")
    else:
        raise unknown
    depth = _whole_number(depth_text, "depth")
    form: Any = options.pop("form", "cifar")  # `NetworkSpec` refuses any other
    block = options.pop("block", default_block(depth, form))
    widths = options.pop("widths", None)
    projection: Any = options.pop("projection", "convolution")
    scheme: Scheme
    if kind == "resnet" or suffix == "-tra" or (kind == "lm-resnet" and "k" not in options):
        scheme = {"resnet": None, "zerosnet": ZEROSNET_TRA, "lm-resnet": LM_ORIGINAL}[kind]
        if options:
            raise RequestError(f"the network {base!r} has no option {next(iter(options))[:40]!r}: choose from {_FORMS}")
    else:
        if kind == "preresnet":
            base = "preresnet" if "alpha" in options else "euler"
        elif kind:
            base = "zerosnet-opt" if suffix else kind.removesuffix("-resnet")
        scheme = scheme_from_parts(base, options)
    numbers = tuple(_whole_number(w, "widths") for w in widths.split("-")) if widths else ()
    return NetworkSpec(scheme, depth, block, numbers, form, projection)


def _whole_number(text: str, what: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text):
        raise RequestError(f"{what} must be a whole number, not {text[:40]!r}")
    return int(text)
