from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zs.reporting.latex import SPECIAL, latex_table, latex_text


def test_a_table_has_the_rules_of_booktabs() -> None:
    table = pd.DataFrame(
        {"Network": ["table10-1:depth=20", "a_b & c"], "PGD, ε": ["78.29 ± 0.09", "–"], "Drop": ["-0.30", "**1.20**"]}
    )
    assert latex_table(table) == "\n".join(
        [
            r"\begin{tabular}{lrr}",
            r"\toprule",
            r"Network & PGD, $\varepsilon$ & Drop \\",
            r"\midrule",
            r"table10-1:depth=20 & 78.29 $\pm$ 0.09 & $-$0.30 \\",
            r"a\_b \& c & -- & 1.20 \\",
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("50%", r"50\%"),
        ("[-0.84, -0.11]", r"[$-$0.84, $-$0.11]"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("|ρ|", r"\textbar{}$\rho$\textbar{}"),
        ("a\nb", "a b"),
    ],
)
def test_text_is_escaped(text: str, latex: str) -> None:
    assert latex_text(text) == latex


@given(st.text())
def test_nothing_of_the_text_reaches_latex_as_a_command(text: str) -> None:
    written = latex_text(text)
    commands = {match for value in SPECIAL.values() for match in re.findall(r"\\[a-zA-Z]+", value)}
    assert set(re.findall(r"\\[a-zA-Z]+", written)) <= commands
    bare = re.sub(r"\\([&%$#_{}])", "", written)
    assert not re.search(r"[&%#_~^]", bare)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
