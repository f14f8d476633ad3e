"""The sections of an atlas's report; what is claimed comes from the confirmation half alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from robustbench_zs.analysis.confirmation import CANDIDATES, STUDIES
from robustbench_zs.analysis.network_outcomes import CLEAN_ACCURACY
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.words import share, share_interval
from robustbench_zs.reporting import network_sections, provenance, sections
from robustbench_zs.reporting.atlas import figures, tables
from robustbench_zs.reporting.atlas.explorer import write_explorer
from robustbench_zs.reporting.atlas.study import AtlasStudy
from robustbench_zs.reporting.drawing import picture
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import bullets, count
from robustbench_zs.reporting.tables import SECOND_LOOKS
from robustbench_zs.training.header import network_spec

EXPLORER = "schemes.html"


def compared(atlas: AtlasStudy) -> Section:
    """What was trained, and what was left out."""
    facts = atlas.study.facts
    lines = [
        f"{half.name.capitalize()}: {count(len(half.means), 'scheme')}, {count(half.networks, 'network')}"
        + (f", of which {len(half.diverged)} diverged and were left out." if half.diverged else "; none diverged.")
        for half in atlas.halves
    ]
    header = facts.headers[0]
    return Section(
        "What was compared",
        f"The study `{facts.name}` trained networks of {header.network.depth} layers on "
        f"{header.dataset.train_examples:,} images of `{header.dataset.name}`. The networks differ in their scheme alone, "
        "that is, in how each block combines the outputs of earlier blocks.",
        [
            *([f"**Scaled down, {facts.scaled}.** Its numbers are not those of the full study."] if facts.scaled else []),
            bullets(lines),
            "The discovery half may be searched for anything. Claims come from the confirmation half alone, by the test "
            "that was written down in `benchmarks/atlas.md` before the first network of that half was trained.",
        ],
    )


def confirmed(atlas: AtlasStudy) -> Section | None:
    """The test written down before."""
    if atlas.confirmation is None:
        return None
    return Section(
        "Which candidate predicts robustness?",
        "Three quantities of a scheme were named as candidates beforehand. The table relates each of them to the "
        f"{atlas.outcome} over the schemes of the confirmation half.",
        [
            Table(
                "confirmation",
                tables.confirmation_table(atlas.confirmation),
                f"{SECOND_LOOKS} The first adjusted p allows for the three candidates, the second for the {STUDIES} studies "
                "of the atlas as well; it is that of the first screen, and decides what is established.",
            ),
            "A relation is *established* if its p-value, adjusted for candidates and studies, is at most .05 and ρ has the "
            "same sign given the clean accuracy and on the shared images.",
            "Intervals are Fisher's z with the variance of Bonett and Wright. The p-values come from permuting whole "
            "schemes, the three candidates together (99,999 permutations, step-down max-T), and are then multiplied by "
            "three for the three studies of the atlas.",
            Table(
                "leads",
                tables.leads_table(atlas.confirmation),
                "By how much |ρ| of one candidate exceeds |ρ| of another. The intervals come from a paired bootstrap over "
                "schemes; two candidates are told apart if theirs does not contain 0.",
            ),
        ],
    )


def predicted(atlas: AtlasStudy) -> Section | None:
    """Predictions beside findings."""
    if atlas.judged.empty:
        return None
    return Section(
        "What was predicted, and what was found",
        "The predictions were written down in `benchmarks/atlas.md` before the confirmation half was trained.",
        [
            Table("predictions", tables.predictions_table(atlas.judged)),
            "A predicted range held if ρ lies in it, a predicted sign if the relation is established with that sign, and "
            "“weaker” if the 95% interval of the lead lies on that side of 0.",
        ],
    )


def beside(atlas: AtlasStudy) -> Section:
    """Every candidate in both halves."""
    return Section(
        "All quantities, and both halves",
        f"{len(PREDICTORS)} quantities of a scheme were related to the {atlas.outcome}. Only the three candidates named "
        "beforehand carry a claim; the others are shown so that none is hidden.",
        [
            picture(
                "halves",
                figures.halves_beside(atlas.beside),
                "Each dot is the rank correlation of one quantity, and its bar the 95% interval. Where both bars are clear "
                "of 0 on the same side, the relation repeats itself; a claim is made of the three candidates only.",
                f"Spearman's ρ of {len(PREDICTORS)} quantities by half. {rhos(atlas)}",
            ),
            Table(
                "halves",
                tables.halves_table(atlas.beside),
                f"Sorted by |ρ| in the {atlas.halves[-1].name} half, with the three candidates in bold. {SECOND_LOOKS}",
            ),
            picture(
                "candidates",
                figures.against_predictors(atlas.halves, [atlas.outcome], list(PREDICTORS), 4),
                f"The {atlas.outcome} against every quantity, drawn as on the first screen. A line that rises and then "
                "falls is a relation that ρ understates.",
                f"The {atlas.outcome} against {len(PREDICTORS)} quantities, a panel each.",
            ),
            picture(
                "clean",
                figures.against_predictors(atlas.halves, [CLEAN_ACCURACY], CANDIDATES),
                "Clean accuracy against the three candidates. A candidate that also goes with clean accuracy may predict "
                "robustness through it, which is what “given acc.” checks.",
                "Clean accuracy against noise gain, largest modulus and its distance from 1.",
            ),
        ],
    )


def models(atlas: AtlasStudy) -> Section | None:
    """Models of one and two predictors."""
    if atlas.models.empty:
        return None
    return Section(
        "Do two quantities together predict better than one?",
        f"{_better(atlas)}The table compares linear models of ranks with one and with two quantities, cross-validated over "
        "schemes (ten folds).",
        [
            Table("models", tables.models_table(atlas.models)),
            "The models were chosen and fitted on the discovery half and are only applied to the other. The "
            "95% intervals of the leads come from a paired bootstrap over schemes.",
        ],
    )


def _better(atlas: AtlasStudy) -> str:
    """Whether the model of two that discovery prefers leads the best quantity in the other half."""
    pairs = atlas.models[atlas.models["predictors"].str.contains(" and ")]
    if "lead" not in pairs or pairs.empty:
        return ""
    first = pairs.iloc[0]
    bounds = f"the lead of the best pair is {share(first['lead'])} {share_interval(first['lead_low'], first['lead_high'])}"
    return f"{'Yes' if first['lead_low'] > 0 else 'Not demonstrably'}: {bounds}. "


def plane(atlas: AtlasStudy) -> Section:
    """Both moduli, coloured."""
    return Section(
        "The plane of moduli",
        "Each point is a scheme, placed by its largest modulus and its largest parasitic modulus. The dotted lines mark "
        "modulus 1.",
        [
            picture(
                "moduli",
                figures.plane_of_moduli(atlas.halves, [CLEAN_ACCURACY, atlas.outcome]),
                "If colours change from left to right, the outcome goes with the largest modulus; if from bottom to top, "
                "with the parasitic one. On the diagonal the two are equal and cannot be told apart.",
                f"Clean accuracy and {atlas.outcome} over the plane of largest and parasitic modulus.",
            )
        ],
    )


def ranked(atlas: AtlasStudy) -> Section:
    """Schemes by the headline outcome."""
    return Section(
        "Which schemes do best?",
        f"The figure ranks all schemes by their {atlas.outcome}. The 95% intervals come from the spread over seeds, pooled "
        "over the schemes that were trained twice.",
        [
            picture(
                "ranking",
                figures.ranking(atlas.points, atlas.outcome),
                "If the grey intervals of two schemes overlap widely, another seed may well reverse their order.",
                f"{len(atlas.points)} schemes in the order of their {atlas.outcome}, "
                f"{atlas.points['value'].min():.3g} to {atlas.points['value'].max():.3g}.",
            ),
            Table(
                "extremes",
                tables.extremes_table(atlas.points, atlas.outcome),
                "The first and the last schemes; all of them are in `schemes.csv`.",
            ),
        ],
    )


def reliable(atlas: AtlasStudy) -> Section | None:
    """Reliability and ceiling."""
    if atlas.reliability["reliability"].isna().all():
        return None
    return Section(
        "How well could anything predict it?",
        "The same scheme trained with another seed gives another network with another outcome, so even a perfect predictor "
        "does not reach |ρ| = 1. The ceiling says how far it could get.",
        [
            Table(
                "reliability",
                tables.reliability_table(atlas.reliability),
                "Reliability is 1 if two trainings of one scheme always rank alike and 0 if they agree no more than those "
                "of different schemes.",
            ),
            "The reliability is the intraclass correlation of ranks over the schemes that were trained twice. That of "
            "scheme means follows by the formula of Spearman and Brown, and its square root is the ceiling.",
        ],
    )


def designed(atlas: AtlasStudy) -> Section:
    """How far candidates come apart."""
    return Section(
        "Which quantities can be told apart?",
        "Quantities that go together over these schemes cannot be told apart by any outcome.",
        [
            picture(
                "design",
                figures.design(atlas.design),
                "Spearman's ρ of every two quantities over the schemes of this study. Strongly coloured cells are pairs "
                "that say nearly the same.",
                "Rank correlations of the quantities over the schemes, a matrix; the numbers are in `design.csv`.",
            ),
            "Computed beforehand: 200 schemes tell a quantity of ρ = .70 apart from one of .55, 800 from one of .60. "
            "Weaker relations take more schemes.",
        ],
    )


def interactive(atlas: AtlasStudy) -> Section | None:
    """Where every scheme can be pointed at; writes that page."""
    spec = network_spec(atlas.study.facts.headers[0].network)
    title = atlas.study.facts.title or atlas.study.facts.name
    if not write_explorer(atlas.study.folder / EXPLORER, title, atlas.schemes, spec.blocks):
        return None
    return Section(
        "Every scheme",
        f"The interactive page [`{EXPLORER}`]({EXPLORER}) shows the roots, the impulse response and the outcomes of the "
        "scheme that you choose.",
    )


SECTIONS: Sequence[Callable[[AtlasStudy], Section | None]] = (
    *(compared, confirmed, predicted, beside, models, plane, ranked, reliable, designed, interactive),
    lambda atlas: sections.quantities(atlas.study),
    lambda atlas: network_sections.diverged(atlas.study),
    lambda atlas: provenance.made(atlas.study),
)


def rhos(atlas: AtlasStudy) -> str:
    """ρ of the candidates in each half, for those who cannot see the pictures."""
    halves = [half.name for half in atlas.halves]
    return " ".join(
        f"{PREDICTORS[row['predictor']].capitalize()}: "
        + ", ".join(f"ρ {share(row[f'rho_{half}'])} in {half}" for half in halves)
        + "."
        for _, row in atlas.beside.iterrows()
        if row["predictor"] in CANDIDATES
    )
