"""Numbers as users write them: `0.02`, `8/255`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_zs.errors import RequestError

if TYPE_CHECKING:
    from robustbench_zs.schemes import CoefficientLike


def parse_number(value: CoefficientLike, what: str, low: float, high: float, open_low: bool = False) -> float:
    """A number between `low` and `high` (above `low` if `open_low`), from a number or text such as `"8/255"`.

    Raises:
        RequestError: not a number, not finite, or out of range.
    """
    from robustbench_zs.schemes import parse_coefficient

    try:
        number = float(parse_coefficient(value))
    except RequestError as error:
        raise RequestError(f"{what}: {str(error).replace('a coefficient', 'a number')}") from error
    if not low <= number <= high or (open_low and number == low):
        interval = f"{'above' if open_low else 'from'} {low:g} to {high:g}"
        raise RequestError(f"{what} must be {interval}, not {number:g}")
    return number


def format_number(value: float) -> str:
    """Shortest text that means the number: a short decimal (`0.02`), else a multiple of 1/255 (`8/255`), else all digits."""
    for text, number in ((f"{value:g}", float(f"{value:g}")), (f"{value * 255:g}/255", float(f"{value * 255:g}") / 255)):
        if abs(number - value) <= 1e-15 * abs(value):
            return text
    return repr(value)


def check_whole(name: str, value: object, high: int, low: int = 1) -> None:
    """Raises: RequestError: not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
