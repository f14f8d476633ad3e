"""What all commands share: negative numbers as arguments, common options, errors as one sentence, exit codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from robustbench_zs.cli.output import Output
from robustbench_zs.errors import RequestError

if TYPE_CHECKING:
    from robustbench_zs.evaluation import Model

Function = TypeVar("Function", bound=Callable[..., Any])

_NUMBER = re.compile(r"-(\d|\.\d)\S*")
_MARK = "\0"


class Command(click.Command):
    """A command that takes `-1` or `-1/3` for a number, not for an option, and has `--debug`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=_remember_debug,
                help="Show the traceback of an error.",
            )
        )

    def make_parser(self, ctx: click.Context) -> Any:
        parser = super().make_parser(ctx)
        parse_args = parser.parse_args

        def parse_marked(args: list[str]) -> Any:
            # click takes "-1" for an option; a marked token passes as an argument, then the mark comes off.
            options, rest, order = parse_args([_MARK + a if _NUMBER.fullmatch(a) else a for a in args])
            return {name: _unmarked(value) for name, value in options.items()}, _unmarked(rest), order

        parser.parse_args = parse_marked  # type: ignore[method-assign]
        return parser


def _unmarked(value: Any) -> Any:
    """Take the mark off text, also within lists and tuples."""
    if isinstance(value, str):
        return value.removeprefix(_MARK)
    if isinstance(value, (list, tuple)):
        return type(value)(_unmarked(v) for v in value)
    return value


def _remember_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.find_root().meta["debug"] = ctx.find_root().meta.get("debug", False) or value


def stacked(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Several option decorators as one, shown in the order given."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class _Split(click.ParamType):  # type: ignore[type-arg]
    """Values separated by commas, each read by `convert_one`."""

    def __init__(self, name: str, convert_one: Callable[[str], Any]) -> None:
        self.name = name
        self.convert_one = convert_one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(self.convert_one(part.strip()) for part in value.split(","))
        except ValueError:
            self.fail(f"{value[:80]!r} is not {self.name}, such as 0,1,2", param, ctx)


class _OutputFile(click.Path):
    """A file to write, refused before the work if it cannot be one."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("the name of the file is empty", param, ctx)
        return super().convert(value, param, ctx)


class _PictureFile(_OutputFile):
    """A file to draw into, whose ending says how."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).lower().endswith((".png", ".svg", ".pdf")):
            self.fail(f"{str(value)[:200]!r} should end in .png, .svg or .pdf: pictures are PNG, SVG or PDF", param, ctx)
        return super().convert(value, param, ctx)


OUTPUT_FILE = _OutputFile()
PICTURE_FILE = _PictureFile()

NUMBERS = _Split("a list of numbers separated by commas", str)
WHOLE_NUMBERS = _Split("a list of whole numbers separated by commas", int)
FLOATS = _Split("a list of numbers separated by commas", float)

_output_options = stacked(
    click.option(
        "--format", "format_", type=click.Choice(["table", "json", "csv"]), help="By default that of FILE, else a table."
    ),
    click.option("--output", type=OUTPUT_FILE, metavar="FILE", help="Write to FILE instead of to the screen."),
)


def output_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say where results go, which a command gets as one value, `output`."""

    @_output_options
    @wraps(function)
    def gathered(*arguments: Any, output: Path | None, format_: str | None, **given: Any) -> None:
        function(*arguments, output=Output(output, format_), **given)

    return gathered


data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Folder that holds cifar10/, mnist/, …"
)

data_options = stacked(
    click.option("--dataset", metavar="NAME", help="digits, mnist, cifar10, … (see `zsbench list datasets`) or a folder."),
    data_dir_option,
)

size_options = stacked(
    click.option("--examples", type=int, metavar="N", help="Use the first N test images only."),
    click.option("--batch-size", type=int, default=256, show_default=True, metavar="N"),
)

execution_options = stacked(
    click.option("--device", metavar="DEVICE", help="cuda, cpu, …; by default CUDA if there is one."),
    click.option("--threads", type=int, metavar="N", help="CPU threads per network; by default the cores are shared."),
)

model_options = stacked(
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME",
        help="A network of your own instead of checkpoints: MODULE:FACTORY, FILE.py:FACTORY, torchvision:NAME or timm:NAME. "
        "May be repeated; give each of the next five options once per --model in the same order, or once for all.",
    ),
    click.option(
        "--weights",
        type=click.Path(),
        multiple=True,
        metavar="FILE",
        help="Weights of --model: .safetensors, .pth, .pt or .ckpt; once per --model, `none` for those it comes with.",
    ),
    click.option(
        "--classes", type=int, multiple=True, metavar="K", help="Number of classes, passed to the factory of --model."
    ),
    click.option(
        "--normalize",
        multiple=True,
        metavar="NAME",
        help="Normalization that --model expects, such as cifar10 or imagenet; `none` for images in [0, 1].",
    ),
    click.option("--mean", type=FLOATS, multiple=True, metavar="M,M,M", help="The same in numbers: the mean per channel …"),
    click.option(
        "--std", type=FLOATS, multiple=True, metavar="S,S,S", help="… and the standard deviation, for images in [0, 1]."
    ),
)

eot_option = click.option(
    "--eot",
    type=int,
    metavar="N",
    help="For a --model with random outputs: gradients and accuracies are means over N draws.",
)

_MODEL_OPTIONS = ("weights", "classes", "normalize", "mean", "std")

_checkpoint_arguments = stacked(
    click.argument("checkpoints", nargs=-1, type=click.Path(path_type=Path), metavar="[CHECKPOINT]..."),
    model_options,
    data_options,
    size_options,
    execution_options,
)

_EVALUATION_OPTIONS = ("dataset", "data_dir", "examples", "batch_size", "device", "threads")


@dataclass(frozen=True)
class ChosenNetworks:
    """What is to be evaluated, and how.

    Args:
        sources: checkpoints or a model of the user's own; None for all checkpoints below checkpoints/.
        options: what every function that evaluates takes: dataset, data_dir, examples, batch_size, device, threads, workers.
    """

    sources: Sequence[Path | Model] | None
    options: dict[str, Any]


def checkpoint_arguments(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that evaluates networks; it receives them as its first argument, `ChosenNetworks`."""

    @_checkpoint_arguments
    @wraps(function)
    def gathered(checkpoints: tuple[Path, ...], **given: Any) -> None:
        own = take_own_models(given)
        if own and checkpoints:
            raise RequestError("give checkpoints or --model, not both")
        from robustbench_zs.system.workers import available_cores

        options = {name: given.pop(name) for name in _EVALUATION_OPTIONS}
        function(ChosenNetworks(own or checkpoints or None, options | {"workers": available_cores()}), **given)

    return gathered


def take_own_models(given: dict[str, Any]) -> list[Model] | None:
    """Take the `model_options` out of the options given, and return the networks of --model, or None without it.

    Raises:
        RequestError: an option without --model, or neither once nor as often as --model.
    """
    models = given.pop("models")
    options = {name: given.pop(name) for name in _MODEL_OPTIONS}
    if not models:
        if extra := [name for name, values in options.items() if values]:
            raise RequestError(f"--{extra[0]} requires --model")
        return None
    from robustbench_zs.evaluation import Model

    each = {name: _for_each(name, values, len(models)) for name, values in options.items()}
    return [
        Model(model, **{name: None if values[place] == NONE else values[place] for name, values in each.items()})
        for place, model in enumerate(models)
    ]


NONE = "none"
"""What --weights and --normalize say of a network that needs none, between others that do."""


def _for_each(option: str, values: Sequence[Any], models: int) -> Sequence[Any]:
    if len(values) == models:
        return values
    if not values:
        return [None] * models
    if len(values) == 1 and option != "weights":  # one file of weights is of one network
        return [values[0]] * models
    or_once = "" if option == "weights" else ", or once for all"
    raise RequestError(
        f"--model is given {models} times but --{option} {len(values)} times: give --{option} once per --model, in the same "
        f"order{or_once}{f' (`{NONE}` where a network needs none)' if option in ('weights', 'normalize') else ''}"
    )


def fail_to_standard_error(message: str) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.stderr.flush()
