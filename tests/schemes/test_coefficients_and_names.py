from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zs.errors import RequestError
from robustbench_zs.schemes import CATALOG_NAMES, MultistepScheme, catalog, parse_coefficient, scheme_from_name
from robustbench_zs.schemes.catalog import multistep_name
from robustbench_zs.schemes.coefficients import LARGEST, format_coefficient, serialize_coefficient
from robustbench_zs.schemes.scheme import MAX_ORDER

exact = st.fractions(min_value=-LARGEST, max_value=LARGEST, max_denominator=10**9)
floats = st.floats(min_value=-LARGEST, max_value=LARGEST)


@given(value=exact | floats)
def test_serialized_coefficients_come_back_as_they_were(value: Fraction | float) -> None:
    back = parse_coefficient(serialize_coefficient(value))
    assert back == value
    assert type(back) is type(value)


@given(value=exact)
def test_text_for_people_is_exact_too(value: Fraction) -> None:
    assert parse_coefficient(format_coefficient(value)) == value


@pytest.mark.parametrize(
    ("given_as", "means"),
    [
        ("1/3", Fraction(1, 3)),
        (" -0.25 ", Fraction(-1, 4)),
        ("+.5", Fraction(1, 2)),
        ("3.", Fraction(3)),
        ("1e-3", Fraction(1, 1000)),
        ("0.5/3", Fraction(1, 6)),
        (Decimal("0.1"), Fraction(1, 10)),
        (7, Fraction(7)),
    ],
)
def test_what_is_written_is_what_is_meant(given_as: str, means: Fraction) -> None:
    assert parse_coefficient(given_as) == means


def test_a_float_stays_a_float() -> None:
    assert isinstance(parse_coefficient(0.1), float)


REFUSED = [
    *(
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "1/0",
        "1e999999999",
        "1e13",
        "-1e13",
        "0x10",
        "1,5",
        "1/3/5",
        "one",
        "1/-3",
        "٣x",
        "1" * 100,
    ),
    *(True, None, float("nan"), float("inf"), 2e12, 10**13, Decimal("NaN"), Decimal("1e400"), 1j, b"1"),
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda v: repr(v)[:20])
def test_what_is_no_coefficient_is_refused(value: object) -> None:
    with pytest.raises(RequestError) as error:
        parse_coefficient(value)  # type: ignore[arg-type]
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("alphas", ["1/3", [], ["0"] * (MAX_ORDER + 1)], ids=["text", "none", "too many"])
def test_what_is_no_scheme_is_refused(alphas: list[str]) -> None:
    with pytest.raises(RequestError):
        MultistepScheme(alphas)


def test_equality_is_by_coefficients() -> None:
    assert MultistepScheme(["1/3", "5/9", "1/9"], "16/9", "a") == scheme_from_name("zerosnet-opt")
    assert hash(MultistepScheme(["0.5"], 1)) == hash(MultistepScheme([Fraction(1, 2)], "1"))
    assert MultistepScheme(["0.5"], 1) != MultistepScheme(["0.5"], 2)


@pytest.mark.parametrize("name", [*CATALOG_NAMES, "zerosnet:lambda=10", "lm:k=0.5,beta=printed", "zerosnet:lambda=-9/7"])
def test_a_scheme_is_found_again_by_its_name(name: str) -> None:
    scheme = scheme_from_name(name)
    assert scheme.name == name
    assert scheme_from_name(multistep_name(scheme)) == scheme


@given(alphas=st.lists(exact | floats, min_size=1, max_size=5), beta=exact | floats)
def test_any_scheme_is_found_again_by_its_coefficients(alphas: list[Fraction | float], beta: Fraction | float) -> None:
    scheme = MultistepScheme(alphas, beta)
    back = scheme_from_name(multistep_name(scheme))
    assert back == scheme
    assert back.exact == scheme.exact


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lenet", ["lenet", "zerosnet-opt"]),
        ("preresnet", ["alpha"]),
        ("zerosnet", ["lambda"]),
        ("zerosnet:lambda=0", ["0"]),
        ("lm:k=0.5,beta=both", ["consistent", "printed"]),
        ("lm:k=0.5,k=0.6", ["twice"]),
        ("lm:k", ["KEY=VALUE"]),
        ("euler:alpha=1", ["alpha"]),
        ("table10-0", ["table10-0"]),
        ("table10-11", ["table10-11"]),
        ("table10-01", ["table10-01"]),
        ("multistep:alphas=1 x,beta=1", ["'x'"]),
        ("multistep:alphas=1", ["beta"]),
        ("", ["euler"]),
    ],
)
def test_a_wrong_name_gets_one_sentence(name: str, words: list[str]) -> None:
    with pytest.raises(RequestError) as error:
        scheme_from_name(name)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_scheme_without_beta_has_no_name() -> None:
    with pytest.raises(RequestError):
        multistep_name(MultistepScheme([1]))


def test_the_catalog_is_in_the_order_of_the_paper() -> None:
    assert list(catalog()) == list(CATALOG_NAMES)
    assert len(CATALOG_NAMES) == 20


def test_schemes_do_without_torch_and_pandas() -> None:
    code = (
        "import sys, robustbench_zs as zs; zs.scheme_from_name('zerosnet-opt').moduli; "
        "sys.exit(' '.join({'torch', 'pandas', 'torchvision'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
