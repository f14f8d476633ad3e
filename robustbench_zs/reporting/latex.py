"""Tables as LaTeX, with booktabs."""

from __future__ import annotations

import re

import pandas as pd

from robustbench_zs.reporting.cells import numeric_columns

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "δ": r"$\delta$",
    "ε": r"$\varepsilon$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "∞": r"$\infty$",
    "⚑": r"$\dagger$",
}


def latex_text(text: str) -> str:
    """The text with everything that LaTeX would take for a command escaped; a minus sign before a digit is one."""
    escaped = "".join(SPECIAL.get(character, character) for character in " ".join(text.split()))
    return re.sub(r"(?<![\w.\]-])-(?=\d)", "$-$", escaped)


def latex_table(table: pd.DataFrame) -> str:
    """A `tabular` with the rules of booktabs; columns of numbers are aligned right. Needs `\\usepackage{booktabs}`."""
    cells = [[str(value).replace("**", "") for value in row] for row in table.itertuples(index=False)]
    lines = [" & ".join(map(latex_text, row)) + r" \\" for row in [[str(c) for c in table.columns], *cells]]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric_columns(table))}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )
