"""Schemes by name, and the list of every scheme in the paper's Tables 1, 2 and 10.

Grammar: `BASE[:key=value[,key=value]]`, that is `euler`, `preresnet:alpha=0.7`, `lm:k=0.5[,beta=printed]`,
`zerosnet:lambda=10`, `zerosnet-opt`, `table10-1` … `table10-10`, `atlas-001` …, `multistep:alphas=1/3 5/9 1/9,beta=16/9`.
"""

from __future__ import annotations

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes.atlas import atlas_scheme
from robustbench_zs.schemes.coefficients import format_coefficient, parse_coefficient, serialize_coefficient
from robustbench_zs.schemes.families import OPTIMAL_LAMBDA, one_step, third_order, two_step
from robustbench_zs.schemes.scheme import MultistepScheme

TABLE_10: tuple[tuple[tuple[str, str, str], str], ...] = (
    (("1", "1", "1"), "1"),
    (("3.75", "-4", "1.25"), "-0.5"),
    (("-3", "5", "-1"), "4"),
    (("-0.75", "2", "-0.25"), "2.5"),
    (("2.25", "-2", "0.75"), "0.5"),
    (("0.1", "0.2", "0.3"), "0.4"),
    (("0.5", "0.3", "0.1"), "0.1"),
    (("0.825", "-0.1", "0.275"), "1.45"),
    (("1", "0.3", "-0.4"), "1"),
    (("1/3", "5/9", "1/9"), "16/9"),
)
"""(α_0, α_1, α_2), β in the paper's order. The last row is printed as 0.3333, 0.5556, 0.1111, 1.7778; the paper's note
under the table says that the fractions are meant, and only they have the printed moduli 0.33, 0.33, 1.00."""

CATALOG_NAMES: tuple[str, ...] = (
    "euler",
    *(f"preresnet:alpha={alpha}" for alpha in ("2", "1.5", "0.5", "0.7")),
    *(f"lm:k={k}" for k in ("-1.5", "1.5", "-0.5", "0.5")),
    *(f"table10-{i}" for i in range(1, len(TABLE_10) + 1)),
    "zerosnet-opt",
)
"""Tables 1 (whose α = 1 is `euler`), 2 and 10 in the paper's order, then the optimal scheme of Theorem 3 by its name."""

_FORMS = (
    "euler, preresnet:alpha=0.7, lm:k=0.5, zerosnet:lambda=10, zerosnet-opt, table10-1 … table10-10, atlas-001 … "
    "or multistep:alphas=1/3 5/9 1/9,beta=16/9"
)


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """`"lm:k=0.5,beta=printed"` → `("lm", {"k": "0.5", "beta": "printed"})`.

    Raises:
        RequestError: an option without `=`, or one given twice.
    """
    base, _, tail = name.strip().partition(":")
    options: dict[str, str] = {}
    for item in filter(None, tail.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (equals and key and value):
            raise RequestError(f"the part {item[:40]!r} of the name {name[:80]!r} should be KEY=VALUE")
        if key in options:
            raise RequestError(f"the name {name[:80]!r} gives {key[:40]!r} twice")
        options[key] = value
    return base, options


def scheme_from_name(name: str) -> MultistepScheme:
    """The scheme that a name means; its `name` is the canonical form, so equal names are equal schemes.

    Raises:
        RequestError: unknown base, missing or unknown option, or a value out of range.

    Examples:
        >>> zs.scheme_from_name("lm:k=0.5").largest_modulus
        1.0
    """
    return scheme_from_parts(*split_name(name))


def scheme_from_parts(base: str, options: dict[str, str]) -> MultistepScheme:
    """`scheme_from_name` for a name that is split already."""
    left = dict(options)

    def take(key: str) -> str:
        if key not in left:
            raise RequestError(f"the scheme {base!r} needs {key}, for example {base}:{key}=0.5")
        return left.pop(key)

    if base == "euler":
        scheme = MultistepScheme((1,), 1, "euler")
    elif base == "preresnet":
        scheme = one_step(take("alpha"))
        scheme = _named(scheme, f"preresnet:alpha={format_coefficient(scheme.alphas[0])}")
    elif base == "lm":
        k = take("k")
        kind = left.pop("beta", "consistent")
        if kind not in ("consistent", "printed"):
            raise RequestError(
                f"beta of the scheme 'lm' must be 'consistent' (1 + k) or 'printed' (2k + 1), not {kind[:40]!r}"
            )
        scheme = two_step(k, "printed" if kind == "printed" else "consistent")
        suffix = ",beta=printed" if kind == "printed" else ""
        scheme = _named(scheme, f"lm:k={format_coefficient(scheme.alphas[1])}{suffix}")
    elif base == "zerosnet":
        lam = parse_coefficient(take("lambda"))
        scheme = third_order(lam, f"zerosnet:lambda={format_coefficient(lam)}")
    elif base == "zerosnet-opt":
        scheme = third_order(OPTIMAL_LAMBDA, "zerosnet-opt")
    elif base == "multistep":
        scheme = MultistepScheme(take("alphas").split(), take("beta"))
        scheme = _named(scheme, multistep_name(scheme))
    elif base.startswith("table10-") and base.removeprefix("table10-") in {str(i) for i in range(1, 11)}:
        alphas_text, beta_text = TABLE_10[int(base.removeprefix("table10-")) - 1]
        scheme = MultistepScheme(alphas_text, beta_text, base)
    elif base.startswith("atlas-"):
        scheme = atlas_scheme(base)
    else:
        raise RequestError(f"there is no scheme {base[:80]!r}: choose from {_FORMS}")
    if left:
        raise RequestError(f"the scheme {base!r} has no option {next(iter(left))[:40]!r}: choose from {_FORMS}")
    return scheme


def multistep_name(scheme: MultistepScheme) -> str:
    """The name of a scheme by its coefficients, which `scheme_from_name` reads back exactly; β must be known."""
    if scheme.beta is None:
        raise RequestError("a scheme without beta has no name")
    *alphas, beta = (
        serialize_coefficient(c) if isinstance(c, float) else format_coefficient(c) for c in (*scheme.alphas, scheme.beta)
    )
    return f"multistep:alphas={' '.join(alphas)},beta={beta}"


def catalog() -> dict[str, MultistepScheme]:
    """Every scheme of Tables 1, 2 and 10 and the optimal one of Theorem 3, by name and in the paper's order.

    Examples:
        >>> schemes = zs.catalog()
        >>> [name for name, scheme in schemes.items() if name.startswith("table10") and not scheme.zero_stable]
        ['table10-1', 'table10-2', 'table10-3', 'table10-4']
    """
    return {name: scheme_from_name(name) for name in CATALOG_NAMES}


def _named(scheme: MultistepScheme, name: str) -> MultistepScheme:
    return MultistepScheme(scheme.alphas, scheme.beta, name)
