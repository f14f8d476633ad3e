"""The sections of an atlas's report; what is claimed comes from the confirmation half alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from robustbench_zs.analysis.confirmation import CANDIDATES
from robustbench_zs.analysis.network_outcomes import CLEAN_ACCURACY
from robustbench_zs.analysis.predictors import PREDICTORS
from robustbench_zs.analysis.words import share
from robustbench_zs.reporting import network_sections, provenance
from robustbench_zs.reporting.atlas import figures, tables
from robustbench_zs.reporting.atlas.explorer import write_explorer
from robustbench_zs.reporting.atlas.study import AtlasStudy
from robustbench_zs.reporting.drawing import svg
from robustbench_zs.reporting.page import Picture, Section, Table
from robustbench_zs.reporting.plain import bullets, count
from robustbench_zs.training.header import network_spec

EXPLORER = "schemes.html"


def compared(atlas: AtlasStudy) -> Section:
    """What was trained, and what was left out."""
    facts = atlas.study.facts
    lines = [
        f"{half.name.capitalize()}: {count(len(half.means), 'scheme')}, {count(half.networks, 'network')}, of which "
        f"{len(half.diverged)} diverged and {'is' if len(half.diverged) == 1 else 'are'} left out."
        for half in atlas.halves
    ]
    header = facts.headers[0]
    return Section(
        "What was compared",
        f"The study `{facts.name}` trained networks of {header.network.depth} layers for schemes of the atlas on "
        f"{header.dataset.train_examples:,} images of `{header.dataset.name}`.",
        [
            *([f"**Scaled down, {facts.scaled}.** Its numbers are not those of the full study."] if facts.scaled else []),
            bullets(lines),
            "Discovery may be searched for anything; what is claimed comes from confirmation, by the test that "
            "`benchmarks/atlas.md` wrote down before its first network was trained.",
        ],
    )


def confirmed(atlas: AtlasStudy) -> Section | None:
    """The test written down before."""
    if atlas.confirmation is None:
        return None
    return Section(
        "Which candidate predicts robustness?",
        f"The table has the three candidates named beforehand and the {atlas.outcome} over the schemes of the confirmation "
        "half.",
        [
            Table(
                "confirmation",
                tables.confirmation_table(atlas.confirmation),
                heads={
                    "Given acc.": "partial ρ given clean accuracy",
                    "Shared": "ρ on the images that at least 95% of the networks classify correctly",
                    "Adjusted p": "for the three candidates",
                    "With studies": "for the three studies as well",
                },
            ),
            "Intervals are Fisher's z with the variance of Bonett and Wright. p-values permute whole schemes, the three "
            "candidates together (99,999 permutations, step-down max-T), and are then multiplied by three for the three "
            "studies of the atlas; the joint report uses Holm's correction, which never finds less. A relation is "
            "established where that p is at most .05 and the sign is the same given clean accuracy and on the images that "
            "at least 95% of the networks classify correctly. There the mean smallest ε is E (1 − the share lost, averaged "
            "over ε up to the largest E), so the share lost has the opposite sign.",
            Table("leads", tables.leads_table(atlas.confirmation), "Leads in |ρ|, by a paired bootstrap over schemes."),
        ],
    )


def predicted(atlas: AtlasStudy) -> Section | None:
    """Predictions beside findings."""
    if atlas.judged.empty:
        return None
    return Section(
        "What was predicted, and what was found",
        "Predictions stand in `benchmarks/atlas.md`, written before any network of the confirmation half was trained.",
        [
            Table("predictions", tables.predictions_table(atlas.judged)),
            "A range holds where ρ lies in it, a sign where the relation is established with it, and “weaker” where the "
            "95% interval of the lead lies on that side.",
        ],
    )


def beside(atlas: AtlasStudy) -> Section:
    """Every candidate in both halves."""
    return Section(
        "Discovery beside confirmation",
        f"Every candidate with the {atlas.outcome}, those that failed too; only the three named beforehand carry a claim.",
        [
            picture(
                "halves",
                figures.halves_beside(atlas.beside),
                "A relation that holds has both points on the same side of 0, at about the same place.",
                f"Spearman's ρ of {len(PREDICTORS)} candidates by half. {rhos(atlas)}",
            ),
            Table(
                "halves",
                tables.halves_table(atlas.beside),
                "ρ with its 95% interval; the last columns are of the last half.",
            ),
            picture(
                "candidates",
                figures.against_predictors(atlas.halves, [atlas.outcome], list(PREDICTORS), 4),
                f"The {atlas.outcome} against every candidate, by rank, with smooths and their 95% bands.",
                f"The {atlas.outcome} against {len(PREDICTORS)} candidates, a panel each.",
            ),
            picture(
                "clean",
                figures.against_predictors(atlas.halves, [CLEAN_ACCURACY], CANDIDATES),
                "Clean accuracy against the three candidates.",
                "Clean accuracy against noise gain, largest modulus and its distance from 1 on a log scale.",
            ),
        ],
    )


def models(atlas: AtlasStudy) -> Section | None:
    """Models of one and two predictors."""
    if atlas.models.empty:
        return None
    return Section(
        "Do two candidates predict more than one?",
        "Linear models of ranks with one and with two candidates, cross-validated over schemes (ten folds).",
        [
            Table("models", tables.models_table(atlas.models)),
            "Models were chosen and fitted on the first half. In the other half, where there is one, they are only applied; "
            "leads have 95% intervals by a paired bootstrap over schemes.",
        ],
    )


def plane(atlas: AtlasStudy) -> Section:
    """Both moduli, coloured."""
    return Section(
        "The plane of moduli",
        "Each scheme by its largest modulus and its largest parasitic modulus; dotted lines are the unit circle.",
        [
            picture(
                "moduli",
                figures.plane_of_moduli(atlas.halves, [CLEAN_ACCURACY, atlas.outcome]),
                "Where colours change from left to right, the largest modulus matters; upwards, the parasitic one.",
                f"Clean accuracy and {atlas.outcome} over the plane of largest and parasitic modulus.",
            )
        ],
    )


def ranked(atlas: AtlasStudy) -> Section:
    """Schemes by the headline outcome."""
    return Section(
        "Which schemes do best?",
        f"All schemes by their {atlas.outcome}; 95% intervals are from the spread over seeds, pooled over the schemes that "
        "have two.",
        [
            picture(
                "ranking",
                figures.ranking(atlas.points, atlas.outcome),
                "Where grey intervals overlap, the order may be that of seeds.",
                f"{len(atlas.points)} schemes in the order of their {atlas.outcome}, "
                f"{atlas.points['value'].min():.3g} to {atlas.points['value'].max():.3g}.",
            ),
            Table(
                "extremes",
                tables.extremes_table(atlas.points, atlas.outcome),
                "The first and the last; all are in `schemes.csv`.",
            ),
        ],
    )


def reliable(atlas: AtlasStudy) -> Section | None:
    """Reliability and ceiling."""
    if atlas.reliability["reliability"].isna().all():
        return None
    return Section(
        "How well could anything predict it?",
        "Another seed gives another network, so even a perfect predictor reaches no |ρ| of 1.",
        [
            Table("reliability", tables.reliability_table(atlas.reliability), heads={"Twice": "schemes with two seeds"}),
            "The reliability is the intraclass correlation of ranks over the schemes that were trained with two seeds. That "
            "of scheme means follows by Spearman and Brown; its root is the largest |ρ| to expect.",
        ],
    )


def designed(atlas: AtlasStudy) -> Section:
    """How far candidates come apart."""
    return Section(
        "The design",
        "Candidates that correlate in the design cannot be told apart by any outcome.",
        [
            picture(
                "design",
                figures.design(atlas.design),
                "Spearman's ρ of every two candidates over the schemes of this study.",
                "Rank correlations of the candidates over the schemes, a matrix; the numbers are in `design.csv`.",
            ),
            "200 schemes separate ρ = .70 from .55, and 800 separate .70 from .60.",
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
        f"[`{EXPLORER}`]({EXPLORER}) shows roots, impulse response and outcomes of the scheme that you point at.",
    )


SECTIONS: Sequence[Callable[[AtlasStudy], Section | None]] = (
    *(compared, confirmed, predicted, beside, models, plane, ranked, reliable, designed, interactive),
    lambda atlas: network_sections.diverged(atlas.study),
    lambda atlas: provenance.made(atlas.study),
)


def picture(name: str, figure: Figure, caption: str, alternative: str) -> Picture:
    """A figure as a block of a page."""
    return Picture(f"{name}.svg", svg(figure), caption, alternative)


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
